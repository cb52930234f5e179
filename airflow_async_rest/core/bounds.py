"""How long a try waits for what, how often it writes, and how much may wait for that."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The bounds of one try, and why they are what they are.

    Airflow's SIGKILL comes 5 s after its SIGTERM, and a stop leaves no more for everything.

    :param grace_seconds: that requests in flight get after a stop.
    :param after_stop_seconds: for the last writes after that.
    :param at_end_seconds: for the last writes of a try that nobody stopped.
    :param share_for_xcom: of the time for the last writes, the share of XCom, between 0 and 1.
    :param standstill_seconds: how long an API may make no progress before the run stops: what one request may take with
        the defaults, five attempts of 60 s each, so that a row that hangs for itself has become a dead letter before.
        Also the longest pause that is honoured, unless the author honours longer ones.
    :param observer_seconds: after which an observer that hangs is given up, at the end.
    :param load_seconds: of a state store, in all, before a first try sends.
    :param patient_load_seconds: and before a later one: what that would send again costs more.
    :param replaced_seconds: that a state store may take to say whether a later try has taken over.
    :param wait_write_seconds: that it may take to keep how long a quota is waited for: the last writes come after that;
        and to note that a try begins to send what the one before has left.
    :param write_every_seconds: what is done after the last checkpoint is sent again after a SIGKILL; a call of the
        state store takes about 10 ms.
    :param progress_every_seconds: between two writes of the progress.
    :param most_moments: of the progress that are remembered: five minutes.
    :param log_every_seconds: between two lines that say how it goes.
    :param most_failed_writes: one after the other, while nothing more is taken because so many dead letters wait.
    :param longest_unwritten_seconds: that a dead letter waits for others: a part for each would be too many of them.
    :param most_unwritten: dead letters that wait.
    :param much_unwritten_bytes: of these; then there is no room for more of them.
    :param chunk_rows: fetched rows that are worth a transaction. While the database works on one, more come, so that
        it gets the larger ones the slower it is; and at the end there is little left to be staged.
    :param chunk_bytes: of large rows, fewer are.
    :param most_chunks: that wait.
    :param store_open_seconds: that the store of a shared limit may take until it is connected and has answered: ten
        times there and back, of which each may take a quarter of a second.
    :param store_answer_seconds: that it may take to answer.
    :param store_retry_seconds: between two questions whether a store that was away is back.
    :param store_settle_seconds: after it is back, or has forgotten, before it is asked: by then what it handed out
        before is used up. A place that comes later than this after the store's last answer is asked for once more.
    :param store_away_seconds: that a task waits for it; then the slot is worth more than the wait.
    :param store_close_seconds: for a pause that is still to be told, for an answer that says what a day was charged
        with, for giving back what was not sent, and for the goodbye, each: a stop waits for them.
    :param token_answer_seconds: that the store may take to answer who asks for a token. Nothing is paced by that, and a
        task whose refresh token cannot be had ends.
    :param token_lock_seconds: that a task waits while another one renews the token they share: a bit more than what an
        endpoint may take that answers the second time.
    :param token_lock_expiry_seconds: after which the lock of a process that is gone ends, where the store cannot tell.
    :param token_write_seconds: that the next refresh token is tried to be written down, once the last one is used up.
    """

    grace_seconds: float = 2.0
    after_stop_seconds: float = 1.8
    at_end_seconds: float = 30.0
    share_for_xcom: float = 0.3
    standstill_seconds: float = 300.0
    observer_seconds: float = 0.5
    load_seconds: float = 10.0
    patient_load_seconds: float = 60.0
    replaced_seconds: float = 0.3
    wait_write_seconds: float = 10.0
    write_every_seconds: float = 1.0
    progress_every_seconds: float = 2.0
    most_moments: int = 150
    log_every_seconds: float = 10.0
    most_failed_writes: int = 30
    longest_unwritten_seconds: float = 30.0
    most_unwritten: int = 100
    much_unwritten_bytes: int = 2 << 20
    chunk_rows: int = 1_000
    chunk_bytes: int = 4 << 20
    most_chunks: int = 10
    store_open_seconds: float = 4.0
    store_answer_seconds: float = 1.0
    store_retry_seconds: float = 0.1
    store_settle_seconds: float = 0.3
    store_away_seconds: float = 600.0
    store_close_seconds: float = 0.25
    token_answer_seconds: float = 5.0
    token_lock_seconds: float = 120.0
    token_lock_expiry_seconds: float = 10.0
    token_write_seconds: float = 60.0


USUAL = Bounds()
