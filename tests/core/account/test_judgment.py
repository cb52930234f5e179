import pytest
from tables import every_row

from airflow_async_rest.core.account.judgment import explain, give_up_on_credentials, is_whole, judge, keeps_changes
from airflow_async_rest.core.account.report import Commit, RowTotals, Totals
from airflow_async_rest.core.errors import AuthenticationError, CredentialsError
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.sending.retry import RequestRetry


def of_delivery(*reasons, delivered=90, commit=Commit.NONE) -> Totals:
    totals = Totals({"read": 100, "delivered": delivered, "commit": commit})
    for reason in reasons:
        totals.failed_again(reason)
    return totals


def of_fetch(*reasons, refused=0, read=100) -> Totals:
    totals = Totals()
    totals.read, totals.rows = read, RowTotals(refused=refused)
    for reason in reasons:
        totals.failed_again(reason)
    return totals


@every_row(
    ("reasons", "permanent", "advice"),
    [
        (["http_422", "encode"], True, "or let the API take them and replay the dead letters"),
        (["refused", "unmatched_results"], True, "or let the API take them and replay the dead letters"),
        (["answer_unreadable"], True, "before a replay with reasons=['answer_unreadable'] sends them again"),
        (["encode", "endpoint"], True, "None of them can be made a request"),
        (
            ["schema"],
            True,
            "Their payloads break schema=, and none was sent; a retry would change nothing: fix the rows",
        ),
        (
            ["schema", "encode"],
            True,
            "None of them can be sent as it is, so a retry would change nothing: fix the rows",
        ),
        (["http_503", "encode"], False, "A retry sends only these again; or replay the dead letters"),
        (["transform"], False, "A retry makes requests of these once more; a replay cannot"),
        (["transform", "encode"], False, "A retry makes requests of these once more; a replay cannot"),
        (["transform", "http_503"], False, "A retry sends only these again; or replay the dead letters"),
        (["not_stored"], False, "A retry sends only these again; or replay the dead letters"),
    ],
)
def test_what_failed_says_what_can_be_done(reasons, permanent, advice):
    totals = Totals()
    for reason in reasons:
        totals.failed_again(reason)
    error = judge(totals, 0, RequestRetry(), "file:///dead")
    assert error.permanent is permanent
    assert str(error).endswith(" in file:///dead")
    assert advice in str(error)


@pytest.mark.parametrize("reasons", [["encode"], ["schema"], ["schema", "value"], ["http_308"], ["http_422"]])
def test_what_is_to_be_cleared_is_the_task_that_delivers_also_where_a_replay_says_it(reasons):
    said = str(judge(of_delivery(*reasons), 0, RequestRetry(), "file:///dead"))
    assert "clear the task that delivers them" in said


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (Totals({"read": 1, "reasons": {"timeout": 1}, "failed": 1}), "1 of 1 item failed ("),
        (Totals({"read": 2, "reasons": {"timeout": 2}, "failed": 2}), "2 of 2 items failed ("),
        (of_fetch(refused=1), "0 of 100 items failed and 1 row was refused ("),
        (of_fetch(refused=2), "0 of 100 items failed and 2 rows were refused ("),
    ],
)
def test_numbers_stand_with_their_nouns(totals, said):
    assert str(judge(totals, 0, RequestRetry(), "x")).startswith(said)


@every_row("commit", [Commit.BEGUN, Commit.DONE])
@every_row(
    ("reasons", "advice"),
    [
        (
            ["http_503"],
            "so these rows cannot be read again, and a retry would not find them: replay the dead letters in",
        ),
        (["http_422", "timeout"], "cannot be read again"),
        (["answer_unreadable"], "before a replay with reasons=['answer_unreadable'] sends them again"),
        (["unmatched_results"], "and replay with that batch="),
    ],
)
def test_what_failed_of_rows_that_are_taken_is_no_retrys(commit, reasons, advice):
    totals = of_delivery(*reasons, commit=commit)
    error = judge(totals, 0, RequestRetry(), "file:///dead")
    assert error.permanent
    assert advice in str(error)
    assert "retry sends only" not in str(error)


@pytest.mark.parametrize(("reason", "permanent"), [("http_503", False), ("encode", True)])
def test_what_failed_of_rows_that_are_put_back_is_said_as_ever(reason, permanent):
    totals = of_delivery(reason)
    as_ever = judge(totals, 0, RequestRetry(), "file:///dead")
    totals.commit = Commit.UNDONE
    error = judge(totals, 0, RequestRetry(), "file:///dead")
    undone = "What the sql has changed is undone, so the same rows can be read again. "
    assert (error.permanent, str(error).replace(undone, "")) == (permanent, str(as_ever))
    assert undone in str(error)


@every_row(
    ("totals", "max_failures", "can_replay", "keeps"),
    [
        (of_delivery(), 0, True, True),
        (of_delivery(delivered=0), 0, True, True),
        (of_delivery("http_500"), 1, False, True),  # accepted, whatever it is
        (of_delivery("http_500"), 0, True, True),
        (of_delivery("http_422", "answer_unreadable"), 0.01, True, True),
        (of_delivery("http_500"), 0, False, False),
        (of_delivery("http_500", delivered=0), 0, True, False),
        (of_delivery("http_500", "http_405"), 0, True, False),
        (of_delivery("http_308"), 0, True, False),
        (of_fetch(), 0, True, True),
        (of_fetch("http_500"), 1, False, True),
        (of_fetch("http_500"), 0, True, False),
        (of_fetch(refused=1), 0, True, False),
    ],
)
def test_a_change_is_kept_where_nothing_that_failed_needs_the_rows(totals, max_failures, can_replay, keeps):
    assert keeps_changes(totals, max_failures, can_replay=can_replay) is keeps


@pytest.mark.parametrize(("read", "staged", "keeps"), [(0, 0, True), (100, 0, False), (100, 1, True)])
def test_a_change_for_which_nothing_came_is_not_kept_where_there_must_be_rows(read, staged, keeps):
    totals = of_fetch(read=read)
    totals.rows.staged = staged
    assert keeps_changes(totals, 0, can_replay=True, needs_rows=True) is keeps
    assert keeps_changes(totals, 0, can_replay=True)


@every_row(
    ("reasons", "refused", "permanent", "text"),
    [
        (["http_404"], 0, True, "1 of 100 items failed (1 http_404); max_failures allows 0. Is the path right"),
        (["http_404", "http_422"], 0, True, "max_failures allows 0. A retry would change nothing"),
        (["http_500"], 0, False, "1 of 100 items failed (1 http_500); max_failures allows 0. A retry fetches only these"),
        (["unreadable_answer"], 0, False, "A retry fetches only these again. They are listed in file:///dead"),
        ([], 3, True, "0 of 100 items failed and 3 rows were refused (3 row_refused); max_failures allows 0. The database"),
        (["http_410"], 3, True, "with the database's words, in file:///dead"),
        (["timeout"], 3, False, "1 of 100 items failed and 3 rows were refused (3 row_refused, 1 timeout)"),
    ],
)  # fmt: skip
def test_what_was_not_fetched_or_loaded_says_what_can_be_done(reasons, refused, permanent, text):
    error = judge(of_fetch(*reasons, refused=refused), 0, RequestRetry(), "file:///dead")
    assert error.permanent is permanent
    assert text in str(error)
    assert "replay" not in str(error)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("http_422", "A retry would change nothing; the rows of all others were handed over. These are listed in"),
        ("http_500", "A retry fetches all items again; the rows of all others were handed over. These are listed in"),
    ],
)
def test_what_no_try_goes_on_with_is_not_promised_to_the_next_one(reason, advice):
    text = str(judge(of_fetch(reason), 0, RequestRetry(), "file:///dead", resumes=False))
    assert advice in text
    assert "only these" not in text


def test_a_row_that_the_database_refused_is_quoted():
    totals = of_fetch(refused=1)
    totals.last_messages["row_refused"] = "value too long for type character varying(3)"
    assert str(judge(totals, 0, RequestRetry(), "")).endswith(
        " The last one: 'value too long for type character varying(3)'"
    )


def test_an_empty_answer_is_not_quoted(item_of):
    totals = Totals()
    totals.failed_again("http_500")
    totals.last_messages["http_500"] = ""
    assert str(judge(totals, 0, RequestRetry(), "file:///dead")).endswith("the dead letters in file:///dead")
    with pytest.raises(CredentialsError, match=r"It says: nothing$"):
        give_up_on_credentials(DeadLetter.of(item_of(0), "http_401", status=401, attempts=1), "search_api")


@pytest.mark.parametrize(
    ("reasons", "delivered", "hint"),
    [
        (["http_404"] * 3, 0, "Is the path right"),
        (["http_404"] * 3, 1, ""),
        (["http_403"] * 3, 0, "allowed to do that"),
        (["http_405"], 0, "Is the method right"),
        (["http_404", "http_422"], 0, ""),
    ],
)
def test_where_all_fail_alike_and_nothing_was_accepted_the_cause_is_named(reasons, delivered, hint):
    totals = Totals()
    totals.read, totals.delivered = 100, delivered
    for reason in reasons:
        totals.failed_again(reason)
    text = str(judge(totals, 0, RequestRetry(), "file:///dead"))
    assert (hint in text) if hint else "?" not in text


@pytest.mark.parametrize(
    ("accepted", "kind", "text"),
    [
        (0, AuthenticationError, "answers 401. Nothing was accepted yet"),
        (8, CredentialsError, "answers 401. 8 items were accepted before: a retry goes on where this try ended"),
    ],
)
def test_credentials_that_were_good_once_are_worth_a_retry(accepted, kind, text):
    error = explain(CredentialsError("connection 'api': the API answers 401"), accepted)
    assert type(error) is kind
    assert text in str(error)
    assert str(error).startswith("connection 'api'")


@every_row(
    ("reasons", "refused", "max_failures", "whole", "good"),
    [
        ([], 0, 0, True, True),
        ([], 1, 0, True, False),
        ([], 1, 1, True, True),
        (["timeout"], 0, 0, False, False),
        (["timeout"], 0, 1, True, True),
        (["timeout"], 1, 1, True, False),
        (["timeout"], 1, 0.02, True, True),
        (["timeout"], 2, 0.02, True, False),
        (["timeout"] * 3, 0, 0.02, False, False),
    ],
)
def test_refused_rows_count_as_failures_and_leave_a_load_whole(reasons, refused, max_failures, whole, good):
    totals = of_fetch(*reasons, refused=refused)
    assert is_whole(totals, max_failures) is whole
    assert (judge(totals, max_failures, RequestRetry(), "") is None) is good
