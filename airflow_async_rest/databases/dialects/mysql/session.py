"""What a session is told: its modes, its limits, its transactions. Pure."""

from collections.abc import Mapping

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
