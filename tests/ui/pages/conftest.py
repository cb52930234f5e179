"""An application that has the pages."""

import pytest


@pytest.fixture
def client_of(client_of):
    """Clients of an application that has the pages: that of this version has none."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from airflow_async_rest.ui.pages.routes import router

    application = FastAPI()
    application.include_router(router, prefix="/async-rest")

    def make(name):
        client = TestClient(application, base_url="http://testserver/async-rest/pages/")
        client.headers.update(client_of(name).headers)
        return client

    return make
