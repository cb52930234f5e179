"""The pages in Airflow 3.0, whose UI keeps the user's token in the browser.

So there are two of each: a frame, which anybody gets, and what it asks for with the token.
"""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse

from airflow_async_rest.compat.core_api import MAY_SEE_XCOM, SessionDep, of_airflows_tables

router = APIRouter(prefix="/pages")


def _query(request: Request) -> dict[str, str]:
    return dict(request.query_params)


@router.get("/{page}")
def frame(page: str) -> FileResponse:
    """Return what asks for the content with the token that Airflow's UI has left in the browser; it tells nothing."""
    del page
    return FileResponse(Path(__file__).with_name("frame.html"), media_type="text/html")


@router.get("/{page}/content", dependencies=MAY_SEE_XCOM)
def content(page: str, query: Annotated[dict[str, str], Depends(_query)], session: SessionDep) -> HTMLResponse:
    """Return a page; see :func:`airflow_async_rest.ui.pages.content.show`."""
    status, html = of_airflows_tables("airflow_async_rest.ui.pages.content").show(page, session, query)
    return HTMLResponse(html, status)
