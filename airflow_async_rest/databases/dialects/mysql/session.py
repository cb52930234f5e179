"""What a session is told: its TLS, its modes, its limits, its transactions. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError

_DAY = 86_400
_STRICT = ("STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "NO_AUTO_VALUE_ON_ZERO")
# They change how quotes are read that we write; the others are names for several, these among them.
_OF_QUOTES = frozenset({
    "ANSI", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL",
})  # fmt: skip
# In seconds, while an API takes its time. A statement that streams is under way until its last row is fetched.
_PATIENCE = ("net_write_timeout", "net_read_timeout", "wait_timeout")
_UNLIMITED = ("idle_transaction_timeout", "idle_readonly_transaction_timeout", "idle_write_transaction_timeout",
              "max_statement_time", "max_execution_time")  # fmt: skip
# As long as another load of the same table may take to merge.
_LOCK_WAIT_SECONDS = 600
_TO_LOAD = {"innodb_lock_wait_timeout": str(_LOCK_WAIT_SECONDS), "default_storage_engine": "'InnoDB'",
            "sql_safe_updates": "0", "sql_notes": "0"}  # fmt: skip
_ALL_ROWS = {"sql_select_limit": "18446744073709551615", "completion_type": "0"}

NAMES = ("sql_mode", "binlog_format", "max_allowed_packet", "local_infile",
         *_PATIENCE, *_UNLIMITED, *_TO_LOAD, *_ALL_ROWS)  # fmt: skip
ASK = f"SHOW VARIABLES WHERE Variable_name IN ({', '.join(map(repr, NAMES))})"

_SSL = ("ca", "capath", "cert", "key", "cipher")
_WITHOUT_TLS, _WITH_TLS = ("DISABLED", "PREFERRED"), ("REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")


def tls(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``ssl`` and ``ssl_mode`` of a connection's extra, so that a CA is verified.

    Without a mode, the driver would go on without TLS where the server has none.

    :raises ConfigurationError: when the driver would read them as something else.
    """
    given, mode = _ssl_of(extra.get("ssl")), str(extra.get("ssl_mode") or "").upper()
    if mode and mode not in {*_WITHOUT_TLS, *_WITH_TLS}:
        raise _wrong(f"ssl_mode={extra['ssl_mode']!r}", f"write one of {', '.join((*_WITHOUT_TLS, *_WITH_TLS))}")
    has_ca = bool(given.get("ca") or given.get("capath"))
    if has_ca and mode in _WITHOUT_TLS:
        raise _wrong(
            f"a CA in ssl, and ssl_mode={mode!r}, which verifies nothing", "write 'VERIFY_CA', or leave one out"
        )
    if given and not mode:
        mode = "VERIFY_CA" if has_ca else "REQUIRED"
    files = {name: value for name, value in given.items() if name in _SSL}
    return ({"ssl": files} if files else {}) | ({"ssl_mode": mode} if mode else {})


def needs_tls(settings: Mapping[str, Any]) -> bool:
    """Return whether a connection must not be without TLS. :param settings: as :func:`tls` returns them."""
    return settings.get("ssl_mode") in _WITH_TLS


def _ssl_of(given: Any) -> dict[str, Any]:
    if isinstance(given, str) and given:
        try:
            given = json.loads(given)
        except ValueError:
            raise _wrong("an ssl that is no JSON", 'write {"ssl": {"ca": "/path/to/ca.pem"}}') from None
    if not given or given is True:
        return {"": True} if given else {}
    if not isinstance(given, dict) or (unknown := sorted(set(given) - set(_SSL))):
        what = f"ssl with {unknown[0]!r}" if isinstance(given, dict) else "an ssl that is no object"
        raise _wrong(what, f"ssl has {', '.join(_SSL)}; whether the server's name is verified says ssl_mode")
    return given


def _wrong(what: str, advice: str) -> ConfigurationError:
    return ConfigurationError(f"the SQL connection's extra has {what}: {advice}.")


def strict_mode(sql_mode: str) -> str:
    """Return a session's modes for a load: those it has, but that what it cannot keep is refused, and 0 is kept."""
    kept = [mode for mode in sql_mode.split(",") if mode and mode not in _OF_QUOTES]
    return ",".join(dict.fromkeys([*kept, *_STRICT]))


def statements(found: Mapping[str, str], *, loads: bool) -> list[str]:
    """Write what a session is told.

    :param found: the server's variables, as :data:`ASK` finds them: not every server has all.
    :param loads: whether it loads; else it reads, in the author's own modes.
    """
    wanted = {name: str(max(_DAY, int(found[name]))) for name in _PATIENCE if name in found}
    wanted |= dict.fromkeys(_UNLIMITED, "0") | _ALL_ROWS
    if loads:
        wanted |= _TO_LOAD | {"sql_mode": f"'{strict_mode(found.get('sql_mode', ''))}'"}
    told = [f"SET {', '.join(f'SESSION {name} = {value}' for name, value in wanted.items() if name in found)}"]
    # A replica that is sent statements needs every row as it was read by the first one; there, the server refuses this.
    if loads and found.get("binlog_format") != "STATEMENT":
        told.append("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return told
