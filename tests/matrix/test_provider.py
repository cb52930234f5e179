"""Airflow finds the provider, its connection type, form and settings; and the package is what was installed for it."""

import importlib.util
import json
import os
import pkgutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import airflow, listed
from scheduling import VERSION

# Endpoints are an application of Airflow 3's API server.
_OF_API_SERVER = tuple(
    f"airflow_async_rest.{name}"
    for name in ("compat.core_api", "ui.endpoints", "ui.state_endpoints", "ui.deliveries", "ui.pages.routes")
)
_IMPORT_TIME = """
import time
import {first}
started = time.process_time()
import airflow_async_rest.operators.sql_to_rest, airflow_async_rest.operators.rest_to_sql
print(time.process_time() - started)
"""

_FIELDS_OF_FORM = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
[meta] = [one for one in HookMetaService.hook_meta_data() if one.connection_type == "async_rest"]
print(json.dumps(list(meta.extra_fields)))
"""


def test_the_wheel_brought_no_other_airflow():
    assert version("apache-airflow") == os.environ["MATRIX_VERSION"]
    import airflow_async_rest

    assert Path(sys.prefix) in Path(airflow_async_rest.__file__).parents


def test_every_module_can_be_imported():
    import airflow_async_rest

    drivers = {"duckdb", "MySQLdb", "pyarrow", "snowflake"}  # of databases whose extras are not installed
    missing = {}
    for module in pkgutil.walk_packages(airflow_async_rest.__path__, "airflow_async_rest."):
        if VERSION < (3,) and module.name.startswith(_OF_API_SERVER):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] not in drivers:
                missing[module.name] = str(error)
    assert missing == {}


def test_importing_the_operators_takes_no_longer_than_a_tenth_of_a_second():
    first = "airflow.sdk, airflow.sdk.bases.operator" if VERSION >= (3,) else "airflow.models.baseoperator"
    code = [sys.executable, "-W", "ignore", "-c", _IMPORT_TIME.format(first=first)]
    times = [float(subprocess.run(code, capture_output=True, text=True, check=True).stdout) for _ in range(3)]
    print(f"import: {min(times) * 1000:.0f} ms")
    assert min(times) < 0.1


def test_the_provider_is_listed(airflow_db):
    found = [one for one in listed("providers", "list") if one["package_name"] == "airflow-provider-async-rest"]
    assert len(found) == 1
    classes = {one["connection_type"]: one["class"] for one in listed("providers", "hooks")}
    assert classes["async_rest"] == "airflow_async_rest.hooks.rest.AsyncRestHook"
    # Without what it imports, Airflow would store a connection of type http as generic.
    assert ("http" in classes) == (importlib.util.find_spec("airflow.providers.http") is not None)


def test_the_form_has_the_connections_own_fields(airflow_db):
    from airflow_async_rest.provider_info import CONNECTION_FIELDS

    if (3,) <= VERSION < (3, 1):
        pytest.skip("3.0 draws a connection's own fields by Flask-AppBuilder only, which it does not bring along")
    if VERSION < (3,):
        fields = [one["connection_parameter_name"] for one in listed("providers", "widgets")]
        assert set(fields) >= {f"extra__async_rest__{name}" for name in CONNECTION_FIELDS}
    else:  # what the UI is sent, in a process of its own: where Flask is not there, others stand in for it
        code = [sys.executable, "-W", "ignore", "-c", _FIELDS_OF_FORM]
        printed = subprocess.run(code, capture_output=True, text=True, check=True).stdout
        assert json.loads(printed.splitlines()[-1]) == list(CONNECTION_FIELDS)


def test_the_provider_info_follows_airflows_schema():
    import jsonschema
    from airflow import providers_manager

    from airflow_async_rest.provider_info import get_provider_info

    schema = json.loads((Path(providers_manager.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_settings_of_airflow_cfg_have_their_defaults():
    from airflow_async_rest.tasks.storage.folders import file_mode, shows_payloads

    assert (file_mode(), shows_payloads()) == (0o600, True)
    assert "xcom_payloads" in airflow("config", "list")


def test_a_connection_is_tested(api, airflow_db):
    assert "Connection success!" in airflow("connections", "test", "search_api")
    assert len(api.seen) == 1


def test_secrets_that_airflow_knows_are_found():
    from airflow_async_rest.compat.names import mask_secret
    from airflow_async_rest.compat.secrets_masker import is_name_of_secret, known_secrets

    mask_secret("s3cret-of-the-matrix")
    assert "s3cret-of-the-matrix" in known_secrets()
    assert (is_name_of_secret("api_key"), is_name_of_secret("colour")) == (True, False)


def test_sqlalchemy_has_a_dialect_for_each_database_whose_provider_is_installed():
    import sqlalchemy

    from airflow_async_rest.compat.sqlalchemy import create_engine

    for name in ("postgresql", "sqlite", "oracle+oracledb"):
        assert create_engine(f"{name}://").dialect.name == name.partition("+")[0]
    if sqlalchemy.__version__.startswith("1.4."):  # whose own dialect would ask for texts as for the database's own
        import oracledb

        handler = create_engine("oracle+oracledb://").dialect._generate_connection_outputtype_handler()
        assert handler(SimpleNamespace(), "name", oracledb.DB_TYPE_NVARCHAR, 10, 0, 0) is None  # as the driver would


def test_the_plugin_is_loaded(airflow_db):
    assert "async_rest" in airflow("plugins")


def test_the_endpoints_are_served(airflow_db):
    if VERSION < (3,):
        pytest.skip("2.11 has no API server to which a plugin can add an application")
    from fastapi.testclient import TestClient

    from airflow_async_rest import __version__
    from airflow_async_rest.ui.endpoints import app

    assert TestClient(app).get(f"static/{__version__}/delivery.js").status_code == 200


def test_the_tabs_are_drawn():
    if VERSION < (3, 1):
        pytest.skip("the UI takes no pages of plugins before 3.1")
    from airflow.plugins_manager import get_plugin_info

    [plugin] = [one for one in get_plugin_info() if one["name"] == "async_rest"]
    assert {one["destination"] for one in plugin["react_apps"]} == {"task_instance", "dag", "nav"}
    assert {one["bundle_url"].startswith("/") for one in plugin["react_apps"]} == {VERSION < (3, 3)}


def test_the_event_of_an_outlet_is_told_the_counts():
    from airflow_async_rest.compat.names import Asset
    from airflow_async_rest.tasks.lineage import describe_outlets

    try:
        from airflow.sdk.execution_time.context import OutletEventAccessors
    except ImportError:
        from airflow.utils.context import OutletEventAccessors
    outlet, events = Asset("told"), OutletEventAccessors()
    ti = SimpleNamespace(task=SimpleNamespace(outlets=[outlet]))
    describe_outlets({"ti": ti, "outlet_events": events}, {"read": 3, "delivered": 2, "failed": None})
    assert events[outlet].extra == {"read": 3, "delivered": 2}
