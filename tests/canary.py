"""Connections with secrets that can be found again, APIs that echo them, and the search for what is left of them.

The search knows nothing of how secrets are taken out of texts: it undoes encodings, and looks for eight characters.
"""

import base64
import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote_plus

from aiohttp import web

PIECE = 8
SECRET = "cAn4rY/Qz8+Wm2=Lk9&xVb7Hs"
SECOND = "b1rD-Ts5Uo0~Pd3Gf6Jw_ZeN"


@dataclass(frozen=True)
class Kind:
    """A way to identify.

    :param connection: fields of the API's connection, without its host.
    :param arguments: of the operator.
    :param secrets: that the API gets to see.
    :param query: of the base URL.
    """

    connection: dict = field(default_factory=dict)
    arguments: dict = field(default_factory=dict)
    secrets: tuple[str, ...] = (SECRET,)
    query: str = ""


def _basic(login: str, password: str) -> str:
    return base64.b64encode(f"{login}:{password}".encode()).decode()


def _extra(**fields) -> dict:
    return {"extra": json.dumps(fields)}


def _token(**fields) -> dict:
    """An API that wants a token; see ``TOKEN_URL``."""
    return {"login": "me", **fields, "extra": json.dumps({"token_url": TOKEN_URL, **fields["extra"]})}


# Stands for the URL of a server that gives SECRET as its token, and knows a client whose secret is SECOND.
TOKEN_URL = "https://token.invalid"
# The connection ``tokens`` is a store that tasks share.
_CLIENT = {"auth_type": "oauth2_client_credentials"}
KINDS = {
    "basic": Kind({"login": "ann", "password": SECRET}, secrets=(SECRET, _basic("ann", SECRET))),
    "basic, the login is the key": Kind(
        {"login": SECOND, "password": "x"}, secrets=(SECOND, _basic(SECOND, "x"))
    ),
    "bearer": Kind({"password": SECRET, **_extra(auth_type="bearer")}),
    "token of a client": Kind(_token(password=SECOND, extra=_CLIENT)),
    "token of a client, in the body": Kind(_token(password=SECOND, extra={**_CLIENT, "client_auth": "body"})),
    "refresh token": Kind(
        _token(
            password=SECOND,
            extra={"auth_type": "oauth2_refresh_token", "refresh_token": SECOND, "rate_limit_conn_id": "tokens"},
        )
    ),
    "key in a header": Kind({"password": SECRET, **_extra(auth_type="api_key", api_key_header="X-Own")}),
    "key in the query": Kind({"password": SECRET, **_extra(auth_type="api_key_query", api_key_param="own")}),
    "headers": Kind(
        _extra(headers={"Authorization": f"Token {SECRET}", "Cookie": f"a=b; sid={SECOND}"}), secrets=(SECRET, SECOND)
    ),
    "a header of no telling name": Kind(_extra(headers={"X-Tenant": SECOND}), secrets=(SECOND,)),
    "extra of an http connection": Kind({"conn_type": "http", **_extra(**{"X-Token": SECOND})}, secrets=(SECOND,)),
    "query of the base URL": Kind(query=f"?code={quote(SECRET, safe='')}"),
    "headers of the operator": Kind(
        arguments={"headers": {"X-Api-Key": SECOND, "Authorization": "Bearer {{ conn.partner.password }}"}},
        secrets=(SECOND, SECRET),
    ),
    "query of the operator": Kind(arguments={"endpoint": "?key={{ conn.partner.password | urlencode }}"}),
}  # fmt: skip


def straddling(secret: str) -> list[str]:
    """Texts in which a secret stands where others cut: after 40, 100, 200, 300, 400 and 500 characters."""
    return ["." * (edge - 12) + secret + "." * 600 for edge in (40, 80, 100, 200, 300, 400, 500)]


SPELLINGS = (
    str, json.dumps, lambda text: quote(text, safe=""), html.escape, repr, lambda text: json.dumps(json.dumps(text)),
    lambda text: _basic("x", text), lambda text: _basic("xy", text), lambda text: _basic("xyz", text),
)  # fmt: skip
HEADERS = (
    "X-Echo",
    "Set-Cookie",
    "WWW-Authenticate",
    "Retry-After",
    "Content-Type",
    "Content-Encoding",
    "ETag",
    "Link",
)


def echoes(secrets: tuple[str, ...]) -> list[tuple[int, dict, str]]:
    """Make all the answers that echo secrets, each of which fails its row."""
    made = []
    for secret in secrets:
        texts = [spell(secret) for spell in SPELLINGS] + straddling(secret)
        made += [(400, {}, text) for text in texts]
        made += [(422, {"Content-Type": "application/json"}, json.dumps({"error": {text: [text]}})) for text in texts]
        made += [(302, {"Location": f"/login/{quote(text, safe='')}?next={text[:40]}"}, "") for text in texts]
        made += [(302, {"Location": f"https://{_basic('a', secret)}@elsewhere.example.com/{secret}"}, "")]
        made += [(500, {name: f"a/{secret}"}, f"not {secret} again") for name in HEADERS]
        made += [(200, {"Content-Encoding": secret}, "\udcff"), (200, {"Content-Type": f"a/{secret}"}, secret)]
    return made


def response(answer) -> web.Response:
    """Make an answer of :func:`echoes`."""
    status, headers, text = answer
    return web.Response(status=status, headers=headers, body=text.encode("utf-8", "surrogateescape"))


def row_of(seen) -> int:
    """Which row a request is for; 0 for one that was redirected."""
    found = re.fullmatch(r"/x/(\d+)", seen.path)
    return int(found[1]) if found else 0


def traces(text: str, secrets=(SECRET, SECOND)) -> list[str]:
    """Find pieces of secrets in a text, as they are or in one of the usual encodings."""
    readings = {text, unquote_plus(text), html.unescape(text)}
    readings |= {re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), one) for one in readings}
    readings |= {one.replace("\\", "") for one in readings} | {unquote_plus(one) for one in readings}
    for run in {run for one in readings for run in re.findall(r"[A-Za-z0-9+/_-]{11,}", one)}:
        for start in range(4):
            aligned = run[start:].translate(str.maketrans("-_", "+/"))
            data = base64.b64decode(aligned[: len(aligned) // 4 * 4] or b"")
            readings.add(data.decode("latin-1"))
    pieces = {secret[start : start + PIECE] for secret in secrets for start in range(len(secret) - PIECE + 1)}
    whole = "\0".join(readings)
    return sorted(piece for piece in pieces if piece in whole)


def traces_in_files(folder: Path, secrets=(SECRET, SECOND)) -> dict[str, list[str]]:
    """Find pieces of secrets in all files below a folder."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    found = {name: traces(path.read_bytes().decode("latin-1"), secrets) for name, path in files.items()}
    return {name: pieces for name, pieces in found.items() if pieces}
