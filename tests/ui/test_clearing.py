"""The two ways on: which calls they make, and what is left where one of them is refused. Run by Node.js."""

import json

import pytest
from ui.node import evaluated

RESUME = {"kind": "resume"}
REPLAY = {"kind": "replay", "request": {"reasons": ["http_422"], "search": "", "kind": " ", "count": 2}}
ASK, WITHDRAW, CLEAR, LOOK = "PUT replay", "DELETE replay", "POST clearTaskInstances", "GET post"
LEFT = "The request is still in the task's state store"


def gone(way, *, clear=200, withdraw=200, version="3.2.0", state="failed"):
    """Return the calls that a way makes of an Airflow that answers so, each with its body, and the error.

    A status of 0 is no answer at all.
    """
    answers = {
        "GET version": [200, {"version": version}],
        LOOK: [200, {"state": state}],
        ASK: [200, None],
        WITHDRAW: [withdraw, {"detail": "the store is away"}],
        CLEAR: [clear, {"detail": "Airflow says no"}],
    }
    expression = f"""(async () => {{
      const answers = {json.dumps(answers)}, calls = [];
      globalThis.document = {{ baseURI: "http://127.0.0.1/" }};
      globalThis.fetch = async (url, {{ method, body }}) => {{
        const name = `${{method}} ${{new URL(url).pathname.split("/").at(-1)}}`;
        calls.push([name, body ? JSON.parse(body) : null]);
        const [status, text] = answers[name];
        if (status === 0) throw new TypeError("no answer");
        return {{ ok: status < 400, status, statusText: "", text: async () => JSON.stringify(text) }};
      }};
      const scope = {{ dagId: "d", runId: "r", taskId: "post", mapIndex: -1 }};
      const error = await found.goOn(scope, {json.dumps(way)}).then(() => null, (error) => error);
      return {{ calls, error: error && [error.message, Boolean(error.isUnsure)] }};
    }})()"""
    found = evaluated("clearing.js", expression)
    return [call for call in found["calls"] if call[0] != "GET version"], found["error"]


@pytest.mark.parametrize(
    ("way", "answers", "calls", "says", "is_unsure"),
    [
        (RESUME, {}, [WITHDRAW, CLEAR], None, None),
        (RESUME, {"clear": 403}, [WITHDRAW, CLEAR], "Airflow says no", False),
        (RESUME, {"clear": 500}, [WITHDRAW, CLEAR], "Airflow says no", True),
        # A request that could not be withdrawn would make it a replay.
        (RESUME, {"withdraw": 503}, [WITHDRAW], "the store is away", False),
        (REPLAY, {}, [ASK, CLEAR], None, None),
        (REPLAY, {"clear": 403}, [ASK, CLEAR, WITHDRAW], "Airflow says no", False),
        (REPLAY, {"clear": 403, "withdraw": 503}, [ASK, CLEAR, WITHDRAW], LEFT, False),
        # It may be cleared all the same, and would send everything without the request.
        (REPLAY, {"clear": 500}, [ASK, CLEAR], LEFT, True),
        (REPLAY, {"clear": 0}, [ASK, CLEAR], LEFT, True),
        # Before 3.2 Airflow does not look itself whether the task runs.
        (REPLAY, {"version": "3.1.8"}, [ASK, LOOK, CLEAR], None, None),
        (
            REPLAY,
            {"version": "3.1.8", "state": "running"},
            [ASK, LOOK, WITHDRAW],
            "The task is running already.",
            False,
        ),
        (RESUME, {"version": "3.1.8", "state": "running"}, [WITHDRAW, LOOK], "The task is running already.", False),
    ],
)
def test_a_way_is_gone_whole_or_not_at_all(way, answers, calls, says, is_unsure):
    made, error = gone(way, **answers)
    assert [name for name, _ in made] == calls
    assert (error is None) is (says is None)
    if error is not None:
        assert says in error[0]
        assert (LEFT in error[0]) is (says == LEFT)
        assert error[1] is is_unsure


def test_a_request_is_left_as_it_was_asked_for():
    [(_, asked), (_, cleared)], _ = gone(REPLAY)
    assert asked == {"value": REPLAY["request"]}
    assert (cleared["dry_run"], cleared["task_ids"], cleared["dag_run_id"]) == (False, ["post"], "r")
