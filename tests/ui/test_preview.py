"""What the tab Delivery says of a preview: pure decisions, run by Node.js."""

import json

import pytest
from ui.node import evaluated, ran

FIRST = {
    "method": "PUT",
    "url": "https://api.example.com/sensors/1",
    "headers": {"Idempotency-Key": "k"},
    "body": '{"id":1}',
}
SENT = {**FIRST, "answer": {"status": 201, "excerpt": "made"}}
WITHOUT = "Run it without preview to send them; the run's conf may ask for one, too."
ABOUT = {"expected": {"items": 86_400, "how": "about"}}


@pytest.mark.parametrize(
    ("preview", "report", "title", "text"),
    [
        ({"rows": 86_400, "seconds": 864, "requests": [FIRST]}, ABOUT, "A preview: nothing was sent",
         f"About 86,400 rows in all. The rate limit alone makes that take at least 14 min 24 s. {WITHOUT}"),
        ({"rows": 1, "requests": [FIRST]}, None, "A preview: nothing was sent", f"1 row in all. {WITHOUT}"),
        ({"rows": 0, "seconds": 0, "requests": []}, {}, "A preview: nothing was sent",
         f"0 rows in all. The rate limit alone makes that take at least 0 s. {WITHOUT}"),
        ({"requests": [FIRST]}, None, "A preview: nothing was sent", f"How many rows there are is not known. {WITHOUT}"),
        ({"rows": 9, "requests": [SENT, FIRST]}, None, "A preview: 1 request was sent, to see the answer", f"9 rows in all. {WITHOUT}"),
        ({"letters": 9, "requests": []}, None, "A preview: nothing was sent", f"9 dead letters would be sent again. {WITHOUT}"),
        ({"letters": 1, "requests": []}, ABOUT, "A preview: nothing was sent", f"1 dead letter would be sent again. {WITHOUT}"),
    ],
)  # fmt: skip
def test_a_preview_says_how_much_it_would_send(preview, report, title, text):
    found = ran("preview_data.js", "sayPreview", preview, report)
    assert (found["title"], found["text"]) == (title, text)


@pytest.mark.parametrize(
    ("request_", "text", "answer"),
    [
        (FIRST, 'Idempotency-Key: k\n\n{"id":1}', None),
        (SENT, 'Idempotency-Key: k\n\n{"id":1}', "201\nmade"),
        ({**FIRST, "body": None, "answer": {"status": None, "excerpt": "timeout"}}, "Idempotency-Key: k", "no answer\ntimeout"),
        ({**FIRST, "body": ""}, "Idempotency-Key: k", None),
        ({**FIRST, "headers": {}, "body": {"id": 1}}, '\n{"id":1}', None),
        ({"method": "PUT", "url": FIRST["url"]}, "", None),
    ],
)  # fmt: skip
def test_a_preview_has_each_request_as_it_would_go_out(request_, text, answer):
    [found] = ran("preview_data.js", "sayPreview", {"requests": [request_]}, None)["requests"]
    assert found == {"line": "PUT https://api.example.com/sensors/1", "text": text, "answer": answer}


@pytest.mark.parametrize(
    ("pushed", "left"),
    [
        (None, None),
        ("x", None),
        ({"requests": 5}, None),
        ({"requests": [None, "x", {"method": "PUT"}, {"method": 1, "url": "x"}]}, {"requests": []}),
        ({"rows": "9", "seconds": -1, "requests": [SENT]}, {"requests": [SENT]}),
        ({"rows": None, "requests": [{**FIRST, "headers": [1], "answer": "x"}]},
         {"requests": [{name: value for name, value in FIRST.items() if name != "headers"}]}),
    ],
)  # fmt: skip
def test_what_of_a_preview_is_of_another_type_is_left_out(pushed, left):
    assert ran("well_formed.js", "previewOf", pushed) == left
    said = evaluated("preview_data.js", f"found.sayPreview({json.dumps(left or {'letters': 0, 'requests': []})})")
    assert "undefined" not in json.dumps(said)
