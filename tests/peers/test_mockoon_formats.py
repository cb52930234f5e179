"""Files of a server that others wrote, in each format, packed or not, under a wrong content type; and pages of them. The
first request for a file fails, and so does one for a page in the middle.
"""

import gzip

import pytest
from node_peers import mockoon_route, running_mockoon, write_routes

from airflow_async_rest import Csv, NumberedPages, RequestRetry

pytestmark = pytest.mark.release
ROWS = [{"id": str(n), "place": f"Střední {n}; \nulice"} for n in range(200)]


def separated(separator):
    return "".join(f'{id_}{separator}"{place}"\r\n' for id_, place in [("id", "place"), *map(dict.values, ROWS)])


NDJSON = "".join(f'{{"id": "{row["id"]}", "place": "Střední {row["id"]}; \\nulice"}}\n' for row in ROWS)
# Format: what it is called, and what it is.
FORMATS = {
    "json": ("text/html", "json", f"[{','.join(NDJSON.splitlines())}]".encode()),
    "ndjson": ("text/csv", "ndjson", NDJSON.encode()),
    "csv": ("application/json", "csv", separated(",").encode("utf-8-sig")),
    "tsv": ("text/csv", "tsv", separated("\t").encode()),
    "spreadsheet": ("text/html", Csv(";", charset="windows-1250"), separated(";").encode("windows-1250")),
}
# Three pages of two rows each.
PAGES = {
    "pages.csv": {
        "body": "id\n{{queryParam 'page'}}0\n{{queryParam 'page'}}1\n",
        "headers": {"X-Total-Pages": "3"},
    },
    "flags": {
        "body": """{"rows": [{"id": "{{queryParam 'page'}}0"}, {"id": "{{queryParam 'page'}}1"}],
        "has_more": {{lt (parseInt (queryParam 'page')) 3}} }"""
    },
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The server with a file of each format, packed too, and with pages."""
    folder = tmp_path_factory.mktemp("files")
    routes = []
    for name, (content_type, _, body) in FORMATS.items():
        for ending, packed in (("", body), (".gz", gzip.compress(body))):
            path = folder / f"{name}{ending}"
            path.write_bytes(packed)
            found = {"bodyType": "FILE", "filePath": str(path), "sendFileAsBody": True, "content_type": content_type}
            routes.append(mockoon_route(path.name, at_request(1, {"statusCode": 503}), found))
    routes += [mockoon_route(name, at_request(2, {"statusCode": 503}), page) for name, page in PAGES.items()]
    with running_mockoon(write_routes(folder / "routes.json", *routes)) as url:
        yield url


def at_request(number, response):
    return {"when": ("request_number", "", f"^{number}$"), **response}


@pytest.fixture
def fetch(files, connect, tmp_path):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def rows(endpoint, **arguments):
        connect("files", conn_type="async_rest", host=files)
        chunks = AsyncRestHook("files").fetch(
            [1],
            endpoint=endpoint,
            request_retry=RequestRetry(backoff_base_seconds=0.01),
            dead_letter_path=str(tmp_path),
            **arguments,
        )
        return [row for chunk in chunks for row in chunk]

    return rows


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_read_as_what_it_is_and_not_as_what_it_is_called(fetch, name, ending):
    assert fetch(f"{name}{ending}", answer_format=FORMATS[name][1]) == ROWS


@pytest.mark.parametrize(
    ("endpoint", "arguments"),
    [
        ("pages.csv", {"paginate": NumberedPages(pages="header.X-Total-Pages"), "answer_format": "csv"}),
        ("flags", {"paginate": NumberedPages(more="has_more"), "rows": "rows"}),
    ],
)
def test_each_row_of_its_pages_comes_once(fetch, endpoint, arguments):
    assert [row["id"] for row in fetch(endpoint, **arguments)] == ["10", "11", "20", "21", "30", "31"]
