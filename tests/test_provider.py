"""Airflow finds the provider: as `airflow providers list` and the connection form see it."""

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("list", {"package_name": "airflow-provider-async-rest"}),
        ("hooks", {"connection_type": "async_rest", "class": "airflow_async_rest.hooks.rest.AsyncRestHook"}),
    ],
)
def test_airflow_providers_shows_the_package(command, expected, capsys):
    from airflow.cli import cli_parser

    # What the command does, without a process of its own: test_wheel.py and test_connection_check.py start it.
    arguments = cli_parser.get_parser().parse_args(["providers", command, "--output", "json"])
    arguments.func(arguments)
    printed = capsys.readouterr().out
    entries = json.loads(printed[printed.index("[{") :])
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
    assert conf.get("async_rest", "file_mode") == "0600"
