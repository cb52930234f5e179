"""Airflow's own web application with the plugin in it, and users of several roles."""

import warnings

import pytest


@pytest.fixture(scope="module")
def application(airflow_db, tmp_path_factory):
    """Airflow's application, as its API server makes it; whoever asks needs a token."""
    from airflow import plugins_manager

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # one of Starlette's, about its test client
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "False")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "x" * 64)
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ann:user,vic:viewer")
        patch.setenv(
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(tmp_path_factory.mktemp("auth") / "passwords.json")
        )
        from airflow.api_fastapi.app import create_app, purge_cached_app

        purge_cached_app()
        yield create_app(apps="core")
        assert plugins_manager.get_import_errors() == {}
        purge_cached_app()


@pytest.fixture
def client_of(application):
    """Return a client of a user: ``"ann"`` may clear tasks, ``"vic"`` may look, None has not logged in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    def make(name: str | None):
        client = TestClient(application, raise_server_exceptions=False)
        if name is not None:
            user = SimpleAuthManagerUser(username=name, role={"ann": "user", "vic": "viewer"}[name])
            client.headers["Authorization"] = f"Bearer {get_auth_manager().generate_jwt(user)}"
        return client

    return make
