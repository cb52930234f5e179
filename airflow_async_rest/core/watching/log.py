"""The log of a job, as a person follows it: how it starts, goes and ends, and what fails (not a thousand times)."""

import contextlib
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from airflow_async_rest.core.account.waits import Wait
from airflow_async_rest.core.errors import AsyncRestError, QuotaWaitError, StoppedError
from airflow_async_rest.core.letters.folder import ROW_REFUSED
from airflow_async_rest.core.letters.shown import shown_key, visible
from airflow_async_rest.core.models import DeadLetter, Request
from airflow_async_rest.core.spelling import counted, in_short

_FAILURES_PER_REASON = 3
_PAUSES = 5
_MOST_OF_KEY = 200  # characters
_READABLE = 80  # characters: what a window of 1280 pixels has room for, beside the grid
# Where PostgreSQL points at in the SQL; in one line it points at nothing.
_POINTER = re.compile(r"\s*^LINE \d+:.*\n\s*\^$", re.MULTILINE)
_FURTHER = " (further ones like it are only counted)"


class Log(Protocol):
    """What is used of a logger, ``logging``'s or Airflow's."""

    def info(self, message: str, /, *args: Any) -> Any:
        """Log what happens."""

    def warning(self, message: str, /, *args: Any) -> Any:
        """Log what somebody may have to act on."""

    def error(self, message: str, /, *args: Any) -> Any:
        """Log why it failed."""


def sentence_of(error: BaseException, redact: Callable[[str], str]) -> str:
    """Return an error as one line for people: what a report says of it, and the log's last line.

    :param redact: takes secrets out of it, before anything is cut off.
    """
    text = _POINTER.sub("", getattr(error, "summary", "") or str(error))
    if not isinstance(error, AsyncRestError):  # some say nothing but a name, such as a KeyError
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return in_short(visible(redact(text)))


def say_why(log: Log, sentence: str) -> None:
    """Log why a task fails, in lines that Airflow's page shows whole in a small window: it breaks none."""
    for line in textwrap.wrap(sentence, _READABLE, break_on_hyphens=False):
        log.error("%s", line)


class JobLog:
    """Writes the log lines of one try.

    :param redact: takes secrets out of texts that come from outside.
    """

    def __init__(self, log: Log, redact: Callable[[str], str]) -> None:
        self._log = log
        self.redact = redact
        self._times: Counter[tuple[str, ...]] = Counter()

    def started(
        self, target: str, about: Mapping[str, Any], concurrency: int | None, limit: tuple[int, float] | None, how: str
    ) -> None:
        """Say what, where, which window, which limits, and whether it resumes."""
        self._log.info(
            "%s: %sconcurrency %s, rate limit %s; %s.",
            target,
            "".join(f"{name} {value}, " for name, value in about.items() if value is not None),
            concurrency or "adaptive",
            f"{limit[0]} per {limit[1]:g} s" if limit else "none",
            self.redact(how),
        )

    def without_key(self) -> None:
        """Warn that positions are used instead of keys."""
        self._log.warning(
            "No key= is given, so the row's position is used instead: the SQL needs an ORDER BY that leaves no ties, "
            "or a retry may give one row another's Idempotency-Key."
        )

    def keys_repeated(self, count: int) -> None:
        """Warn of rows that an API cannot tell from others."""
        self._log.warning(
            "Rows whose key= an earlier row has: %d. Equal ones share an Idempotency-Key, so an API may store them "
            "once; of others for the same address, any may come last. Name the columns that tell rows apart, or write "
            "order_by_key=True.",
            count,
        )

    def paths_not_found(self, report: Mapping[str, Any], nearest: Callable[[str], str | None]) -> None:
        """Warn of paths that no row has.

        :param nearest: says what one was most likely meant to be.
        """
        near = {path: nearest(path) for path in report["paths_not_found"]}
        if near:
            self._log.warning(
                "No row has what columns= asks for: %s. Their columns get no value: they are NULL, or the default, in "
                "new rows, and an upsert leaves what is there.",
                ", ".join(
                    f"{path!r}{f' (the nearest key is {self.redact(key)!r})' if key else ''}"
                    for path, key in near.items()
                ),
            )

    def next_page_misspelled(self, misspelled: Mapping[str, str]) -> None:
        """Warn of pages that were most likely never asked for.

        :param misspelled: where the next page was looked for -> where it may be.
        """
        for path, near in misspelled.items():
            self._log.warning(
                "No answer has %r, where paginate= looks for the next page, so only the first page of each item was "
                "fetched. Is it %r?",
                path,
                self.redact(near),
            )

    def next_page_unasked(self, path: str) -> None:
        """Warn of pages that nobody has asked for.

        :param path: where an answer says that there is a next one.
        """
        self._log.warning(
            "An item's last answer has %r, as where there is a next page, and nobody has asked for it: its rows may be "
            "missing. Say with paginate= how the API gives its pages.",
            self.redact(path),
        )

    def starting_over(self, why: Exception) -> None:
        """Say that the source is read from its start."""
        self._log.warning("Starting over from the first row: %s.", why)

    def rows_taken(self, why: Exception) -> None:
        """Say that nothing more is read."""
        self._log.info("Nothing is read: %s. The report of that try stands; new rows belong to the next run.", why)

    def begins_again(self, key: Any, why: Exception) -> None:
        """Say that an item is fetched from its first page; the first few times."""
        if self._nth("begins again") <= _FAILURES_PER_REASON:
            self._log.info(
                "Item %s: the API does not go on at the page where an earlier try stopped (%s): it starts over from "
                "the first one.",
                visible(shown_key(key)[:_MOST_OF_KEY]),
                why,
            )

    def not_replaced(self) -> None:
        """Say why a load that is not whole is not merged."""
        self._log.warning(
            "More items failed than max_failures accepts, so what was there is not replaced; what was fetched stays "
            "staged, and a retry, or a Clear, fetches only the rest."
        )

    def failed(self, letter: DeadLetter) -> None:
        """Log a failed item, short; after a few for the same reason only their number goes on being logged."""
        if (count := self._nth("failed", letter.reason)) <= _FAILURES_PER_REASON:
            self._log.warning(
                "Item %s failed: %s, %s%s%s",
                visible(shown_key(letter.key)[:_MOST_OF_KEY]),
                letter.reason,
                _attempts(letter),
                f": {visible(letter.response_excerpt[:200])}" if letter.response_excerpt else "",
                _FURTHER if count == _FAILURES_PER_REASON else "",
            )

    def refused(self, index: int, number: int, message: str) -> None:
        """Log a row that the database refused; the first few.

        :param index: of its item.
        :param number: its own among the item's rows.
        """
        if (count := self._nth("failed", ROW_REFUSED)) <= _FAILURES_PER_REASON:
            self._log.warning(
                "Row %d of item %d (both counted from 0, as in the dead letters) is not loaded: %s%s",
                number,
                index,
                self.redact(message)[:300],
                _FURTHER if count == _FAILURES_PER_REASON else "",
            )

    def uncertain(self, request: Request) -> None:
        """Log once that a request without an answer is sent again."""
        if request.method in {"POST", "PATCH"} and self._nth("uncertain") == 1:
            self._log.info(
                "A %s without an answer is sent again, so the API may see it twice; both carry the same "
                "Idempotency-Key. (Logged once.)",
                request.method,
            )

    def paused(self, seconds: float) -> None:
        """Say that all requests wait because the API asks for it; the first few times."""
        if (count := self._nth("paused")) <= _PAUSES:
            self._log.info(
                "The API asks for a pause of %.3g s: all requests wait.%s",
                seconds,
                " (Further pauses are not logged.)" if count == _PAUSES else "",
            )

    def waits(self, wait: Wait) -> None:
        """Say since when the task does not run, until when, and why."""
        self._log.warning(
            "The quota has been used up since %s: %s. The task frees its slot, and goes on by itself at %s; no retry "
            "is used.",
            wait.since,
            wait.why,
            wait.until,
        )

    def progress(self, report: Mapping[str, Any]) -> None:
        """Say how it goes."""
        share = report["limit_share_used"]
        self._log.info(
            "%d done, %d failed%s, %s items/s, latency p50/p99 %s/%s ms, %d of %s in flight, %s not settled%s%s.",
            report["delivered"] + report["skipped"],
            report["failed"],
            _reasons(report),
            report["items_per_second"],
            report["latency_ms"]["p50"],
            report["latency_ms"]["p99"],
            report["in_flight"],
            counted(report["concurrency"], "request"),
            counted(report["unfinished"], "item"),
            "" if share is None else f", {share:.0%} of the rate limit used",
            _shared(report.get("shared_limit")),
        )

    def ended(self, report: Mapping[str, Any], error: BaseException | None) -> None:
        """Say how it ended, and in a line of its own, before all that Airflow writes, why it failed."""
        self._log.info(
            "%s: %d read, %d delivered, %d failed%s, %d skipped, %d unfinished; %s (%s) in %.1f s%s, %s items/s%s%s%s.",
            _how_ended(error),
            report["read"],
            report["delivered"],
            report["failed"],
            _reasons(report),
            report["skipped"],
            report["unfinished"],
            counted(report["requests"], "request"),
            counted(report["retries"], "retry", "retries"),
            report["elapsed_seconds"],
            "" if report["resumed_from"] is None else " of all tries",
            report["items_per_second"],
            _latency(report),
            _rows(report),
            f"; dead letters in {report['dead_letters']}" if report["dead_letters"] else "",
        )
        if report["error"]:
            say_why(self._log, report["error"])

    @contextlib.contextmanager
    def complaining(self, doing: str) -> Iterator[None]:
        """Let a failure to write pass, logged once: the rows matter more."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (whatever the store, its client or the network raise)
            self.complain(doing, error)

    def complain(self, doing: str, error: BaseException) -> None:
        """Warn, once, that something could not be done."""
        if self._nth("complained", doing) == 1:
            self._log.warning("Could not %s: %s", doing, self.redact(str(error) or repr(error)))

    def _nth(self, *what: str) -> int:
        """Count something that is said a few times only. :return: how often it has come."""
        self._times[what] += 1
        return self._times[what]


def _how_ended(error: BaseException | None) -> str:
    if isinstance(error, QuotaWaitError):
        return "Waiting"
    return "Done" if error is None else "Stopped" if isinstance(error, StoppedError) else "Failed"


def _attempts(letter: DeadLetter) -> str:
    """Say how often it was sent; what is fetched may have had a request for each page."""
    if letter.attempts <= 1:
        return ("not sent", "sent once")[letter.attempts]
    return f"{letter.attempts} requests" if letter.fetch else f"sent {letter.attempts} times"


def _shared(limit: Mapping[str, Any] | None) -> str:
    """Say how a limit stands that others keep to as well."""
    if limit is None:
        return ""
    away = {"closed": ", whose store is away: nothing is sent", "fallback": ", whose store is away"}.get(limit["store"])
    by_all = "" if limit["used_by_all"] is None else f", {limit['used_by_all']:.0%} by all who share it"
    return f"{by_all}, {counted(limit['waiting'], 'request waits', 'requests wait')} for the shared limit{away or ''}"


def _rows(report: Mapping[str, Any]) -> str:
    if "rows_loaded" not in report:
        return ""
    ignored = ", ".join(report["keys_ignored"])
    return "".join(
        (
            f"; {counted(report['rows_loaded'], 'row')} loaded",
            f", {report['rows_refused']:,} refused by the database" if report["rows_refused"] else "",
            f", {report['rows_staged']} only staged" if report["rows_staged"] else "",
            f"; keys of the rows that are no columns of the table, and so not loaded: {ignored}" if ignored else "",
        )
    )


def _latency(report: Mapping[str, Any]) -> str:
    values = report["latency_ms"].values()
    return "" if None in values else f", latency p50/p95/p99 {'/'.join(map(str, values))} ms"


def _reasons(report: Mapping[str, Any]) -> str:
    texts = ", ".join(f"{count} {reason}" for reason, count in report["reasons"].items())
    return f" ({texts})" if texts else ""
