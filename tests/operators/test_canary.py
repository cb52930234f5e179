"""Whatever a task identifies with, and whatever an API does with it: nothing that the task leaves has a piece of it."""

import base64
import json
import logging
from types import SimpleNamespace
from urllib.parse import unquote_plus

import canary
import pytest
from aiohttp import web
from canary import KINDS, SECOND, SECRET, Kind
from certificates import make_certificate
from servers import raw_server, running_api
from task_runner import Supervisor, run_try
from tasks import READINGS, rest_to_sql, sql_to_rest

from airflow_async_rest import Batch, LinkPages, RequestRetry
from airflow_async_rest.compat import secrets_masker

pytestmark = pytest.mark.release

ONCE = RequestRetry(max_attempts=1)


class Recording(Supervisor):
    """A supervisor that also keeps what else it is told: rendered fields, and the state of the task."""

    def send(self, msg):
        with self.path.with_suffix(".told").open("a", encoding="utf-8") as told:
            if type(msg).__name__ != "MaskSecret":
                told.write(f"{msg.model_dump_json()}\n")
        return super().send(msg)


class Scene:
    """What a task meets, and all that it leaves."""

    def __init__(self, connect, tmp_path, spans, logged, caplog, token_url):
        self._connect, self._folder, self._spans, self._logged, self._caplog = connect, tmp_path, spans, logged, caplog
        self.supervisor, self._token_url = Recording(tmp_path / "airflow.json"), token_url

    def connect(self, kind: Kind, host: str) -> None:
        fields = json.loads(json.dumps(kind.connection).replace(canary.TOKEN_URL, self._token_url))
        self._connect("search_api", **{"conn_type": "async_rest", "host": host + kind.query, **fields})

    def run(self, task, try_number: int = 1) -> str:
        ran = []
        task._pre_execute_hook = lambda context: ran.append(context["ti"].task)
        state, error = run_try(task, self.supervisor, try_number)
        lineage = lineage_of(ran[0] if ran else task, state)
        (self._folder / "more.txt").write_text(f"{error!r} {error} {lineage}")
        return state

    def traces(self) -> dict[str, list[str]]:
        """Find what is left of the secrets."""
        spans = [
            f"{span.name} {span.status.description} {span.attributes} {[(e.name, dict(e.attributes)) for e in span.events]}"
            for span in self._spans()
        ]
        texts = {"spans": "\n".join(spans), "log": self._logged() + self._caplog.text}
        found = {name: canary.traces(text) for name, text in texts.items()}
        return {name: pieces for name, pieces in found.items() if pieces} | canary.traces_in_files(self._folder)


def lineage_of(task, state) -> str:
    from airflow.providers.openlineage.extractors import ExtractorManager
    from airflow.utils.state import TaskInstanceState

    known = state if state in {"success", "failed"} else "failed"
    about = {"dagrun": SimpleNamespace(run_id="run"), "task_instance": SimpleNamespace()}
    return str(ExtractorManager().extract_metadata(task=task, task_instance_state=TaskInstanceState(known), **about))


@pytest.fixture
def spans(monkeypatch):
    from airflow.sdk.observability import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter.get_finished_spans


@pytest.fixture
def login():
    """A server that gives a canary as token, again and again."""

    def answer(seen):
        assert canary.traces(str(seen.headers) + seen.body.decode(), (SECOND,))
        return web.json_response({"access_token": SECRET, "expires_in": 3600})

    with running_api(answer) as server:
        yield server


@pytest.fixture
def scene(places, postgres, connect, tmp_path, spans, logged, caplog, monkeypatch, login, fernet_key):
    """Everything at DEBUG, a connection ``partner`` whose password templates use, and an empty table.

    Airflow's masker knows nothing yet: it would go on masking what it has learnt in other tests.
    """
    secrets_masker._masker().reset_masker()
    caplog.set_level(logging.DEBUG)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    connect("partner", conn_type="http", password=SECRET)
    connect("warehouse", **postgres.connection())
    connect("tokens", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, async_rest_tokens, locations", "CREATE TABLE locations (id bigint)"
    )
    return Scene(connect, tmp_path, spans, logged, caplog, f"{login.url}/token")


def endpoint_of(kind: Kind, placeholder: str) -> str:
    return f"x/{placeholder}{kind.arguments.get('endpoint', '')}"


def delivery(kind: Kind, count: int = 1, **arguments):
    settings = {"sql": READINGS.format(rows=count), "request_retry": ONCE, **kind.arguments}
    return sql_to_rest(**(settings | {"endpoint": endpoint_of(kind, "{id}")} | arguments))


def fetch(kind: Kind, count: int = 1, **arguments):
    settings = {"items": list(range(1, count + 1)), "rows": None, "columns": ["id"], "request_retry": ONCE}
    settings |= {**kind.arguments, "endpoint": endpoint_of(kind, "{item}"), **arguments}
    return rest_to_sql(**settings)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("make", [delivery, fetch])
def test_an_api_that_echoes_what_it_gets(places, scene, kind, make):
    answers = canary.echoes(kind.secrets)
    answers.insert(0, (400, {}, f"a page for people: {kind.secrets}"))
    places.answer = lambda seen: canary.response(answers[canary.row_of(seen)])
    scene.connect(kind, places.url)
    assert scene.run(make(kind, len(answers) - 1, max_failures="100%")) != "running"
    assert len(places.seen) >= len(answers) - 1
    sent = json.dumps([[seen.query, seen.headers] for seen in places.seen])
    assert len(canary.traces(sent, kind.secrets)) >= len(kind.secrets[0]) - 7
    assert "***" in json.dumps(scene.supervisor.data["xcom"])
    assert scene.traces() == {}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_api_that_puts_it_into_links_and_rows(places, scene, kind):
    """Links to the next page that lead on, or away; rows whose keys are secrets, or that are none."""
    [*_, secret] = kind.secrets

    long = "." * 180 + secret
    answers = {
        2: {"next": f"https://elsewhere.example.com/{long}", "rows": []},
        3: {"next": f"http://[{long}", "rows": []},
        4: {"next": [long], "rows": []},
        5: {"rows": [long]},
        6: {"rows": long},
        7: {secret: long},
    }

    def answer(seen):
        first = {"next": f"{seen.path}?page=2&own={secret}&code={secret}", "rows": [{"id": 1, secret: 1}]}
        return answers.get(canary.row_of(seen), first)

    places.answer = lambda seen: web.json_response({} if "page=2" in seen.query else answer(seen))
    scene.connect(kind, places.url)
    scene.run(fetch(kind, 7, rows="rows", paginate=LinkPages("next"), max_failures="100%"))
    assert scene.traces() == {}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("status", [302, 307])
def test_another_server_is_sent_nothing(places, scene, kind, status):
    """Neither by a redirect nor by a link to the next page: one on another port of the same host is another server."""
    with running_api() as other:
        places.answer = lambda seen: web.json_response(
            {"rows": [], "next": f"{other.url}/x/1?page=2"},
            status=200 if seen.path == "/x/2" else status,
            headers={"Location": f"{other.url}{seen.path}?{seen.query}"},
        )
        scene.connect(kind, places.url)
        scene.run(delivery(kind))
        scene.run(delivery(kind, method="POST", batch=Batch(max_items=5), endpoint=endpoint_of(kind, "1"), key=None), 2)
        scene.run(fetch(kind, 3, rows="rows", paginate=LinkPages("next"), max_failures="100%"), 3)
        assert {seen.method for seen in places.seen} == {"PUT", "POST", "GET"}
        assert other.seen == []
    assert scene.traces() == {}


def refusing_status(secret: str, status: int):
    return lambda seen: web.Response(status=status, text=json.dumps({"error": "." * 160 + secret}))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("status", [401, 429])
@pytest.mark.parametrize("make", [delivery, fetch])
def test_errors_that_end_the_task(places, scene, kind, status, make):
    places.answer = refusing_status(kind.secrets[0], status)
    scene.connect(kind, places.url)
    assert scene.run(make(kind, 3)) in {"failed", "up_for_retry"}
    places.answer = lambda seen: 200
    scene.run(make(kind, 3), 2)
    assert scene.traces() == {}


RAW = {
    "reason phrase": b"HTTP/1.1 400 no %s\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"%s and so on\r\n\r\n",
    "no status": b"HTTP/1.1 %s\r\n\r\n",
    "header too long": b"HTTP/1.1 200 OK\r\nX-Echo: " + b"." * 80 + b"%s" + b"." * 70_000 + b"\r\n\r\n",
    "header that is none": b"HTTP/1.1 200 OK\r\n" + b"." * 12 + b"%s\r\n\r\n",
    "length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
    "body cut short": b"HTTP/1.1 500 no\r\nContent-Length: 900\r\n\r\n%s",
    "extension of a chunk": b"HTTP/1.1 400 no\r\nTransfer-Encoding: chunked\r\n\r\n2;x=%s\r\nno\r\n0\r\n\r\n",
    "wrong chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
    "body too large": b"HTTP/1.1 400 no\r\nContent-Length: 11000000\r\n\r\n%s" + b"." * 11_000_000,
}


@pytest.mark.parametrize("answer", RAW.values(), ids=RAW)
@pytest.mark.parametrize("kind", ["bearer", "basic", "key in the query"])
@pytest.mark.parametrize("make", [delivery, fetch])
def test_an_answer_that_cannot_be_read(scene, answer, kind, make):
    with raw_server(answer % KINDS[kind].secrets[0].encode()) as port:
        scene.connect(KINDS[kind], f"http://127.0.0.1:{port}")
        scene.run(make(KINDS[kind]))
    assert scene.traces() == {}


@pytest.mark.parametrize("make", [delivery, fetch])
def test_a_cookie_that_is_none(scene, make):
    kind = Kind({"password": SECRET, "extra": json.dumps({"auth_type": "bearer", "cookies": True})})
    cookie = f"a b{SECRET}=1; expires={SECRET}"
    with raw_server(f"HTTP/1.1 400 no\r\nSet-Cookie: {cookie}\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        scene.connect(kind, f"http://127.0.0.1:{port}")
        scene.run(make(kind))
    assert "Illegal cookie name" in scene._caplog.text
    assert scene.traces() == {}


def entries_that_echo(secret: str) -> list:
    """Answers to a bulk request of three."""
    text = "." * 190 + secret
    entry = {"status": 400, "error": {"type": secret, "reason": text}, "id": secret, "code": secret, secret: text}
    return [
        [entry] * 3,
        [entry] * 4,
        [{"status": secret, "error": {secret: secret}}] * 3,
        {"errors": True, "items": [{"index": entry}] * 3},
        {"errors": True, "items": [{secret: entry}] * 3},
        {"data": {secret: entry}, "errors": [entry]},
        {secret: text},
        text,
    ]


@pytest.mark.parametrize("results", ["list", "elasticsearch", "multi_status", "graphql", "kinesis", "function", "none"])
def test_a_bulk_answer_that_echoes_what_it_gets(places, scene, results):
    batch = Batch(
        max_items=3,
        results={"none": None, "function": lambda response, _: raise_it(response.text)}.get(results, results),
    )
    scene.connect(KINDS["basic"], places.url)
    for try_number, answer in enumerate(entries_that_echo(SECRET), 1):
        places.answer = lambda seen, answer=answer: web.json_response(answer, status=200 if results != "none" else 400)
        scene.supervisor.data["state"] = {}
        scene.run(delivery(Kind(), 3, endpoint="bulk", method="POST", batch=batch), try_number)
        assert len(places.seen) >= try_number
    assert scene.traces() == {}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("fault", ["refused", "no TLS", "certificate", "reset"])
def test_no_connection(places, scene, tmp_path, kind, fault):
    places.answer = lambda seen: "reset"
    made = make_certificate(tmp_path, "a")
    with running_api(ssl_context=made.server()) as secure:
        urls = {
            "refused": "http://127.0.0.1:9",
            "no TLS": places.url.replace("http:", "https:"),
            "certificate": secure.url,
            "reset": places.url,
        }
        scene.connect(kind, urls[fault])
        assert scene.run(delivery(kind)) in {"failed", "up_for_retry"}
        assert scene.run(fetch(kind), 2) in {"failed", "up_for_retry"}
    assert scene.traces() == {}


@pytest.mark.parametrize("kind", ["bearer", "key in the query", "query of the operator"])
@pytest.mark.parametrize("credentials", [f"ann:{SECOND}", SECOND, f"{SECOND}:", f"{SECOND}:x"])
def test_a_proxy_that_tells_what_it_is_told(places, scene, connect, kind, credentials):
    fields = dict(KINDS[kind].connection)
    extra = {**json.loads(fields.pop("extra", "{}")), "proxy": places.url.replace("://", f"://{credentials}@")}
    connect("search_api", conn_type="async_rest", host="http://api.invalid", extra=json.dumps(extra), **fields)
    for try_number, status in enumerate((400, 407, 502), 1):
        places.answer = lambda seen, status=status: web.Response(status=status, text=f"{seen.path} {seen.headers}")
        scene.run(delivery(KINDS[kind]), try_number)
        assert places.seen[-1].headers["Proxy-Authorization"]
    assert scene.traces() == {}


def raise_it(text):
    raise RuntimeError("." * 180 + text)


@pytest.mark.parametrize(
    "kind", ["basic", "bearer", "key in a header", "key in the query", "a header of no telling name"]
)
def test_code_of_the_author_that_tells_it(places, scene, kind):
    kind, secret = KINDS[kind], KINDS[kind].secrets[0]
    scene.connect(kind, places.url)
    tasks = [
        delivery(kind, transform=lambda row: raise_it(secret)),
        delivery(kind, transform=lambda row: {secret: float("nan")}),
        delivery(kind, response_check=lambda response: raise_it(secret)),
        delivery(kind, response_check=lambda response: "." * 90 + secret),
        fetch(kind, response_check=lambda response: raise_it(secret)),
    ]
    tasks[-1].rows = lambda payload, item: raise_it(secret)
    for try_number, task in enumerate(tasks, 1):
        scene.supervisor.data["state"] = {}
        assert scene.run(task, try_number) in {"failed", "up_for_retry"}
    assert scene.traces() == {}


def tell_another(*_):
    """Ask for a connection only now, and tell of it, as an author's function may."""
    from airflow.sdk import BaseHook

    other = BaseHook.get_connection("another")
    raise RuntimeError(f"{other.password} {other!r} {other.password} {other.get_uri()} {other.extra}")


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (delivery, {"transform": tell_another}),
        (delivery, {"response_check": tell_another}),
        (fetch, {"response_check": tell_another}),
        (fetch, {"rows": tell_another}),
        (fetch, {"body": tell_another, "method": "POST"}),
    ],
)
def test_another_connection_that_is_asked_for_while_the_task_runs(places, scene, connect, make, arguments):
    connect("another", conn_type="http", login="ann", password=SECOND, extra=json.dumps({"api_key": SECRET}))
    scene.connect(KINDS["bearer"], places.url)
    assert scene.run(make(Kind(), **arguments)) in {"failed", "up_for_retry"}
    assert scene.traces() == {}


def test_a_driver_that_tells_the_uri_of_its_connection(places, scene, connect, monkeypatch):
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    connect("source_db", conn_type="postgres", host="127.0.0.1", login="ann", password=SECRET, port=9)
    monkeypatch.setattr(PostgresHook, "get_conn", lambda self: raise_it(self.get_connection("source_db").get_uri()))
    assert scene.run(delivery(Kind())) == "up_for_retry"
    assert scene.traces() == {}


@pytest.mark.parametrize("before", [0, 170, 180, 190])
def test_an_argument_that_cannot_be_read(places, scene, before):
    text = "(" + "." * before + "{{ conn.partner.password }}"
    assert scene.run(fetch(Kind(), items=text)) == "failed"
    assert scene.traces() == {}


@pytest.mark.parametrize("between", [14, 26, 30, 34, 38])
def test_a_database_that_quotes_a_part_of_it(places, scene, between):
    password, dots = "{{ conn.partner.password }}", "." * between
    for try_number, sql in enumerate((f"SELECT '{password}{dots}', nope", f"SELECT nope, '{dots[14:]}{password}'"), 1):
        assert scene.run(delivery(Kind(), sql=f"{sql}, '{'.' * 60}'"), try_number) == "failed"
        assert "LINE 1" in (scene._folder / "more.txt").read_text()
    assert scene.traces() == {}


def test_a_database_that_quotes_it(places, scene):
    kind = KINDS["bearer"]
    scene.connect(kind, places.url)
    password = "{{ conn.partner.password }}"
    quoted = (
        f"SELEC '{password}'",
        f"SELECT '{password}'::int AS id",
        f'SELECT 1 AS "{password}"',
        f"SELECT {password}",
    )
    for try_number, sql in enumerate(quoted, 1):
        scene.run(delivery(kind, sql=sql), try_number)
    places.answer = lambda seen: web.json_response([{"id": f"{'.' * 30}{SECRET}"}])
    assert scene.run(fetch(kind), 9) == "failed"
    left = scene.traces()
    # A row that the database refuses is loaded again by the next try, so that its dead letter has it as it came.
    assert all(name.endswith(".jsonl") for name in left)


@pytest.mark.parametrize("kind", ["token of a client", "token of a client, in the body"])
@pytest.mark.parametrize("make", [delivery, fetch])
def test_a_token_endpoint_that_echoes_what_it_gets(places, scene, login, kind, make):
    def answer(seen):
        proof = base64.b64decode(seen.headers.get("Authorization", "Basic ")[6:]).decode()
        told = f"{seen.headers} {seen.body.decode()} {proof} {SECOND} {unquote_plus(seen.body.decode())}"
        return web.json_response({"error": "invalid_client", "error_description": told}, status=400 + len(login.seen))

    login.answer = answer
    scene.connect(KINDS[kind], places.url)
    for try_number in range(1, 5):
        assert scene.run(make(KINDS[kind]), try_number) in {"failed", "up_for_retry"}
    assert places.seen == []
    assert len(login.seen) >= 4
    assert scene.traces() == {}


HMAC = Kind({"password": SECRET, "extra": json.dumps({"auth_type": "hmac"})})


@pytest.mark.parametrize("make", [delivery, fetch])
def test_an_api_that_echoes_signatures(places, scene, make):
    signatures = []

    def answer(seen):
        signatures.append(seen.headers["X-Signature"])
        spell = canary.SPELLINGS[canary.row_of(seen) % len(canary.SPELLINGS)]
        return web.Response(status=422, text=spell(signatures[-1]))

    places.answer = answer
    scene.connect(HMAC, places.url)
    scene.run(make(HMAC, 18, max_failures="100%"))
    assert len(signatures) == 18
    assert scene.traces() == {}
    assert canary.traces_in_files(scene._folder, signatures) == {}
