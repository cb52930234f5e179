"""docker-compose.yaml against the code it starts; with a Compose client, against Compose too."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest
import yaml
from checkout import REPOSITORY, skip_or_fail
from cryptography.fernet import Fernet

COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
SERVICES = COMPOSE["services"]
WITH_CELERY = {name for name, service in SERVICES.items() if service.get("profiles") == ["celery"]}
PARTS = [name for name in SERVICES if name in WITH_CELERY and "command" in SERVICES[name]]
DOCKERFILE = COMPOSE["x-image"]["build"]["dockerfile_inline"]
CONNECTIONS = {
    name.removeprefix("AIRFLOW_CONN_").lower(): json.loads(fields)
    for name, fields in SERVICES["airflow"]["environment"].items()
    if name.startswith("AIRFLOW_CONN_")
}


def test_the_connections_are_those_that_the_dags_name():
    code = "".join(path.read_text() for path in (REPOSITORY / "dags").glob("*.py"))
    named = re.findall(r'(?:_conn_id=|Hook\()"(\w+)"', code)
    assert set(CONNECTIONS) == set(named)


@pytest.mark.parametrize(("conn_id", "dialect"), [("source_db", "postgresql"), ("oracle_db", "oracle")])
def test_a_databases_connection_is_one_for_the_hook(connect, conn_id, dialect):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    connect(conn_id, **CONNECTIONS[conn_id])
    assert ChunkedSqlHook(conn_id).chunks("SELECT 1 FROM sensors")._engine.dialect.name == dialect


def test_the_apis_connection_is_one_for_the_hook_and_leads_to_the_api(connect):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", **CONNECTIONS["search_api"])
    url = urlsplit(str(AsyncRestHook("search_api").settings().base_url))
    assert url.hostname in SERVICES
    assert f"--port {url.port}" in SERVICES[url.hostname]["command"]


def test_what_is_filled_is_what_the_dags_read():
    filled = {urlsplit(dsn) for dsn in SERVICES["fill"]["command"].split() if "://" in dsn}
    read = {
        (c["host"], c["port"], c["login"], c["password"], c.get("schema") or c["extra"]["service_name"])
        for c in CONNECTIONS.values()
        if c["conn_type"] in {"postgres", "oracle"}
    }
    assert {(dsn.hostname, dsn.port, dsn.username, dsn.password, dsn.path.strip("/")) for dsn in filled} == read
    assert {host for host, *_ in read} <= set(SERVICES)


def test_the_users_are_those_that_the_databases_make():
    postgres, oracle = SERVICES["postgres"]["environment"], SERVICES["oracle"]["environment"]
    source, oracle_db = CONNECTIONS["source_db"], CONNECTIONS["oracle_db"]
    assert (source["login"], source["password"]) == (postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"])
    assert (oracle_db["login"], oracle_db["password"]) == (oracle["APP_USER"], oracle["APP_USER_PASSWORD"])
    metadata = urlsplit(SERVICES["airflow"]["environment"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    assert (metadata.username, metadata.password) == (source["login"], source["password"])
    assert metadata.path.strip("/") == postgres["POSTGRES_DB"] != source["schema"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_what_will_happen(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        healthy = how["condition"] == "service_healthy"
        assert healthy or how["condition"] == "service_completed_successfully"
        assert ("healthcheck" in SERVICES[other]) == healthy, other


def test_every_service_that_stays_has_a_health_check():
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"fill", "migrate"}


def started_with(name: str) -> set[str]:
    return {name}.union(*map(started_with, SERVICES[name].get("depends_on", ())))


def test_airflow_is_started_either_alone_or_with_all_that_celery_needs():
    assert started_with("airflow").isdisjoint(WITH_CELERY)
    assert started_with("worker") == set(SERVICES) - {"airflow"}
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


def test_the_parts_of_airflow_with_celery_agree_and_find_each_other():
    settings = SERVICES["scheduler"]["environment"]
    assert all(settings.items() <= SERVICES[name]["environment"].items() for name in PARTS)
    Fernet(settings["AIRFLOW__CORE__FERNET_KEY"])
    of_one = dict(SERVICES["airflow"]["environment"]) | {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
    assert of_one.items() <= settings.items()
    assert urlsplit(settings["AIRFLOW__CELERY__BROKER_URL"]).hostname == "redis"
    results, metadata = settings["AIRFLOW__CELERY__RESULT_BACKEND"], settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert results == f"db+{metadata}"
    api = urlsplit(settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
    assert (SERVICES[api.hostname]["command"], api.path) == ("api-server", "/execution/")
    assert SERVICES[api.hostname]["ports"][0].endswith(f":{api.port}")


def test_dead_letters_are_where_all_parts_find_them():
    for name in PARTS:
        service = SERVICES[name]
        [(volume, folder)] = [volume.split(":") for volume in service["volumes"]]
        assert volume in COMPOSE["volumes"]
        assert f"mkdir {folder} " in DOCKERFILE  # else the volume were root's
        assert service["environment"]["AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH"].startswith(f"{folder}/")


@pytest.mark.parametrize("name", ["airflow", *PARTS])
def test_airflow_has_the_commands_that_are_started(name):
    from airflow.cli.cli_parser import get_parser

    if find_spec("airflow.providers.celery") is None:
        skip_or_fail("apache-airflow-providers-celery is not installed")
    check = SERVICES[name].get("healthcheck", {"test": [""]})["test"][-1]
    commands = [shlex.split(SERVICES[name]["command"]), *([shlex.split(check)[1:]] if "airflow jobs" in check else [])]
    for command in commands:
        assert callable(get_parser().parse_args(command).func)


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "ports" in service])
def test_a_port_is_open_on_this_machine_only_and_can_be_moved(name):
    for port in SERVICES[name]["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-(\d+)\}:\1", port)


def test_the_modules_that_are_started_exist():
    commands = [shlex.split(service["command"]) for service in SERVICES.values() if "command" in service]
    modules = [command[2] for command in commands if command[:2] == ["python", "-m"]]
    assert modules == ["demo.api", "demo.fill"]
    assert all(importlib.util.find_spec(module) for module in modules)


def test_the_image_has_the_airflow_that_is_tested_and_copies_what_exists():
    tested = re.search(r"^apache-airflow==(.+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert re.match(r"FROM apache/airflow:slim-(.+)-python3\.11\n", DOCKERFILE)[1] == tested
    copied = [name for line in re.findall(r"^COPY \S+ (.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert {"airflow_async_rest", "demo", "dags"} < set(copied)
    assert all((REPOSITORY / name).exists() for name in copied)


def find_client() -> list[str]:
    for client in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(client[0]):
            answer = subprocess.run([*client, "version"], capture_output=True, check=False)
            if answer.returncode == 0:
                return client
    skip_or_fail("needs a Compose client: apt install docker-compose")
    return []


def test_compose_accepts_it(tmp_path):
    client = find_client()
    version = subprocess.run([*client, "version", "--short"], capture_output=True, text=True, check=True).stdout
    copy = json.loads(json.dumps(COMPOSE))
    if version.startswith("1."):  # the old client knows no inline Dockerfile; all the rest is the same to it
        for service in copy["services"].values():
            service.get("build", {}).pop("dockerfile_inline", None)
    (tmp_path / "compose.json").write_text(json.dumps(copy))
    file = ["--file", str(tmp_path / "compose.json"), "--profile", "celery"]
    command = [*client, "--project-directory", str(REPOSITORY), *file, "config"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert set(yaml.safe_load(result.stdout)["services"]) == set(SERVICES)
