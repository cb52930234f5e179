"""Airflow finds the provider: as `airflow providers list` and the connection form see it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def airflow(*arguments):
    command = [str(Path(sys.executable).parent / "airflow"), *arguments, "--output", "json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout[result.stdout.index("[{") :])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("list", {"package_name": "airflow-provider-async-rest"}),
        ("hooks", {"connection_type": "async_rest", "class": "airflow_async_rest.hooks.rest.AsyncRestHook"}),
    ],
)
def test_airflow_providers_shows_the_package(command, expected):
    entries = airflow("providers", command)
    assert [entry for entry in entries if expected.items() <= entry.items()]


def test_the_provider_info_follows_airflows_schema():
    import jsonschema
    from airflow import providers_manager

    from airflow_async_rest.provider_info import get_provider_info

    schema = json.loads((Path(providers_manager.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_settings_of_airflow_cfg_have_their_defaults():
    from airflow.sdk.configuration import conf

    assert conf.getboolean("async_rest", "xcom_payloads") is True
    assert conf.get("async_rest", "dead_letter_path") == ""
