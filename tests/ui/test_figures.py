"""What the tab Delivery says in figures, and of the way of the rows: pure decisions, run by Node.js."""

import pytest
from ui.node import ran

WAY = {"sql": "SELECT id FROM sensors ORDER BY id", "sql_conn_id": "source_db", "endpoint": "sensors/{id}"}
SENT = {"api": "https://api.example.com/v1", "target": "Delivering to PUT sensors/{id} at https://api.example.com/v1"}
FETCHED = {**SENT, "target": "Fetching GET entities/{id} into places from https://api.example.com/v1"}


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT id FROM sensors", ["sensors"]),
        ("select * from public.sensors s join rooms r on r.id = s.room", ["public.sensors", "rooms"]),
        ('SELECT 1 FROM "My Table"', ["My Table"]),
        ("WITH late AS (SELECT * FROM readings), x AS (SELECT 1) SELECT * FROM late JOIN x ON true", ["readings"]),
        ("SELECT extract(epoch FROM at) FROM readings WHERE a IS DISTINCT FROM b", ["readings"]),
        ("SELECT 'from here' FROM readings -- from there\n/* join them */", ["readings"]),
        ("SELECT * FROM generate_series(1, 5)", []),
        ("SELECT * FROM (SELECT id FROM a) AS x JOIN LATERAL (SELECT 1 FROM a) y ON true", ["a"]),
        ("", []),
    ],
)
def test_the_tables_of_a_query(sql, tables):
    assert ran("route.js", "tablesOf", sql) == tables


@pytest.mark.parametrize(
    ("fields", "figures", "is_fetch", "way"),
    [
        (WAY, SENT, False, ["sensors (source_db)", "PUT https://api.example.com/v1/sensors/{id}"]),
        (WAY, {**SENT, "target": "Delivering to POST _bulk in batches of 500 at https://x"}, False,
         ["sensors (source_db)", "POST https://api.example.com/v1/_bulk"]),
        (WAY, {**SENT, "target": "Delivering to POST _bulk, up to 1,200 items a request, at https://x"}, False,
         ["sensors (source_db)", "POST https://api.example.com/v1/_bulk, up to 1,200 items a request"]),
        (WAY, {**SENT, "target": "Delivering to POST a,b, up to 1 item a request, at https://x"}, False,
         ["sensors (source_db)", "POST https://api.example.com/v1/a,b, up to 1 item a request"]),
        (WAY, {**SENT, "target": "Delivering to POST a,b/{id} at https://x"}, False,
         ["sensors (source_db)", "POST https://api.example.com/v1/a,b/{id}"]),
        (WAY, {"api": "https://api.example.com/"}, False, ["sensors (source_db)", "https://api.example.com/sensors/{id}"]),
        ({**WAY, "http_conn_id": "search_api"}, None, False, ["sensors (source_db)", "sensors/{id} (search_api)"]),
        ({**WAY, "sql": "SELECT 1"}, SENT, False, ["a query (source_db)", "PUT https://api.example.com/v1/sensors/{id}"]),
        ({**WAY, "sql": "SELECT 1 FROM a, b JOIN c JOIN d JOIN e"}, SENT, False,
         ["a, c, … (source_db)", "PUT https://api.example.com/v1/sensors/{id}"]),
        ({"items": [1, 2], "destination_table": "places", "destination_conn_id": "warehouse"}, FETCHED, True,
         ["given items", "GET https://api.example.com/v1/entities/{id}", "places (warehouse)"]),
        ({}, FETCHED, True, ["the window", "GET https://api.example.com/v1/entities/{id}"]),
        (None, SENT, False, ["PUT https://api.example.com/v1/sensors/{id}"]),  # a function
        ({"dead_letters": "file:///x"}, {"api": "https://x", "target": "Replaying 1 folder of dead letters to https://x"},
         False, ["dead letters", "https://x"]),
        ({"endpoint": ["s/{id}"], "sql": {"x": 1}, "http_conn_id": 5}, {"api": "https://x"}, False, ["https://x"]),
        ({"endpoint": {"x": 1}, "destination_table": {"x": 1}}, {"api": "https://x"}, True, ["the window", "https://x"]),
        ({}, {}, False, []),
        (None, None, False, []),
    ],
)  # fmt: skip
def test_a_line_says_what_goes_where(fields, figures, is_fetch, way):
    assert ran("route.js", "routeOf", fields, figures, is_fetch) == way


ALL_FAILED = [[0, 0, 0], [10, 55, 55], [20, 110, 110]]


@pytest.mark.parametrize(
    ("figures", "rates"),
    [
        ({"history": ALL_FAILED}, {"good": 0, "bad": 5.5}),
        ({"history": [[0, 0], [10, 55]]}, {"good": 5.5, "bad": 0}),  # of a try before there was a third number
        ({"history": [[0, 0, 0], [100, 50, 0], [120, 90, 10]]}, {"good": 1.5, "bad": 0.5}),
        ({"history": [[5, 7, 1]], "elapsed_seconds": 2, "delivered": 6, "failed": 2}, {"good": 3, "bad": 1}),
        ({"elapsed_seconds": 0, "delivered": 0}, None),
        ({}, None),
    ],
)
def test_delivered_and_failed_are_told_apart(figures, rates):
    assert ran("rates.js", "recentRates", figures) == rates


@pytest.mark.parametrize(
    ("bad", "stretches"),
    [
        ([0, 0, 0], []),
        ([0, 0, 1, 0, 0], [[1, 3]]),
        ([1, 0, 0, 0, 0, 0, 2], [[0, 1], [5, 6]]),
        ([0, 1, 0, 1, 0, 0], [[0, 4]]),
        ([1, 1], [[0, 1]]),
        ([0, 1, 0, 0, 1, 0], [[0, 2], [3, 5]]),
    ],
)
def test_the_line_is_red_only_where_something_fails(bad, stretches):
    assert ran("rates.js", "failing", [{"bad": each} for each in bad]) == stretches


def test_the_chart_says_the_same_as_the_figures():
    points = ran("rates.js", "speeds", ALL_FAILED)
    assert [(point["good"], point["bad"]) for point in points] == [(0, 5.5), (0, 5.5)]
    now = ran("rates.js", "recentRates", {"history": ALL_FAILED})
    assert ran("rates.js", "wordsOf", points, now) == "delivered: now 0.0, highest 0.0 · failed: now 5.5, highest 5.5"
    good = ran("rates.js", "speeds", [[0, 0], [10, 1000], [10.2, 1001], [20, 2000]])
    assert ran("rates.js", "wordsOf", good, None) == "delivered: highest 100"


def test_waits_for_a_quota_are_in_the_history():
    tries = [
        {"try_number": 1, "state": "success", "start_date": "2026-03-01T00:00:00Z", "end_date": "2026-03-01T02:00:00Z"}
    ]
    waits = [{"since": "2026-03-01T00:10:00+00:00", "until": "2026-03-01T01:10:00+00:00", "why": "429"}]
    found = ran("next_step.js", "historyOf", tries, None, None, waits)
    assert [(each["name"], each["text"]) for each in found] == [("Try 1", ""), ("Waited for the quota", "1 h: 429")]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        (4, 4),
        (" 16 ", 16),
        ("17", None),
        ("0", None),
        ("", None),
        ("-3", None),
        ("2.5", None),
        ("1e1", None),
        ("x", None),
    ],
)
def test_a_number_that_is_none_is_not_replaced(text, number):
    assert ran("format.js", "numberOf", text, 16) == number
