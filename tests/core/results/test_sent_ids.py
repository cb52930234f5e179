import orjson
from tables import every_row

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.results.matching import SentIds

EMBEDDED = orjson.Fragment('{"id":7,"deep":{"id":1.50}}')
DEEP = orjson.Fragment("[" * 200_000 + "]" * 200_000)


@every_row(
    ("payload", "path", "sent"),
    [
        ({"id": 7}, "id", "7"),
        ({"doc": {"id": 7}}, "doc.id", "7"),
        ({"doc": EMBEDDED}, "doc.id", "7"),
        ({"doc": EMBEDDED}, "doc.deep.id", "1.5"),
        ({"docs": [EMBEDDED]}, "docs.0.id", "7"),
        (EMBEDDED, "id", "7"),
        ({"doc": EMBEDDED}, "doc.no", None),
        ({"doc": DEEP}, "doc.id", None),
        ({"id": DEEP}, "id", None),
        (DEEP, "id", None),
    ],
)
def test_ids_are_found_in_json_that_is_embedded_as_it_is(payload, path, sent):
    assert SentIds((tuple(path.split(".")),), JsonEncoder()).take(payload) == (sent,)
