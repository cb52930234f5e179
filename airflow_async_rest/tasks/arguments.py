"""The arguments of operators, ``deliver`` and ``fetch``, as values for the engine: under the same names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from airflow_async_rest.core.account.checkpoint import fingerprint
from airflow_async_rest.core.answers.columns import Columns
from airflow_async_rest.core.answers.formats import AnswerFormat
from airflow_async_rest.core.answers.reader import Rows
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.fetching.request import Body
from airflow_async_rest.core.pages import PageStyle
from airflow_async_rest.core.reading.given_items import GivenItems
from airflow_async_rest.core.reading.source import Chunks, Expected
from airflow_async_rest.core.requests.settings import MOST_PREVIEWED, parse_preview
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import ResponseCheck
from airflow_async_rest.tasks.checking.arguments import check_arguments
from airflow_async_rest.tasks.storage.folders import TaskScope
from airflow_async_rest.windows import Window

if TYPE_CHECKING:
    from airflow.sdk import Context

_PREVIEW, _SEND = "preview", "preview_send"
_ALIKE = 0.85  # "previw" and "previews" are; "preview_only" is not, and "review" is another word


@dataclass(frozen=True, kw_only=True)
class Requesting:
    """How requests are made: the arguments that all operators share; see ``SqlToRestOperator``.

    :raises ConfigurationError: when one is wrong; names it.
    """

    headers: Mapping[str, str] | None = None
    concurrency: int | str | None = None
    rate_limit: str | Sequence[str] | None = None
    response_check: ResponseCheck | None = None
    request_retry: RequestRetry | None = None
    max_failures: int | str = 0
    max_quota_wait: timedelta = timedelta(days=1)
    dead_letter_path: str | None = None
    body_format: str | None = None

    def __post_init__(self) -> None:
        check_arguments(vars(self))

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """Take the fields out of all arguments of an operator, or of a call, where they have the same names."""
        return cls(**{one.name: arguments[one.name] for one in fields(cls) if one.name in arguments})

    @property
    def retry(self) -> RequestRetry:
        """Which requests are sent again, and when."""
        return RequestRetry() if self.request_retry is None else self.request_retry


@dataclass(frozen=True, kw_only=True)
class Sending(Requesting):
    """How items are sent: the arguments that operators and ``deliver`` share; see ``SqlToRestOperator``."""

    endpoint: str
    method: str = "POST"
    transform: Callable[[dict[str, Any]], Any] | None = None
    key: str | Iterable[str] | None = None
    batch: Batch | None = None
    schema: Mapping[str, Any] | str | None = None
    order_by_key: bool = False


@dataclass(frozen=True, kw_only=True)
class Asking(Requesting):
    """What is asked for, and what is made of the answers; see ``RestToSqlOperator``."""

    endpoint: str
    method: str = "GET"
    query: Mapping[str, Any] | None = None
    body: Body = None
    paginate: PageStyle | None = None
    rows: Rows = None
    columns: Columns = None
    missing_ok: bool = False
    page_rows: str | None = None
    empty_ok: bool = False
    max_pages: int = 10_000
    answer_format: AnswerFormat = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a job works on: rows of a query, given items, or steps of a window.

    :param expected: tells how many there will be; see :class:`~airflow_async_rest.core.job.Job`.
    :param depends_on: what the items depend on, such as SQL and binds; None when the job cannot resume.
    :param window: of the run; without one the run itself stands for it.
    """

    chunks: Chunks
    expected: Callable[[], Expected | None]
    depends_on: tuple[Any, ...] | None = None
    window: Window | None = None

    @classmethod
    def of(cls, items: GivenItems, depends_on: tuple[Any, ...] | None = None, window: Window | None = None) -> Self:
        """Make it of items whose number is known."""
        return cls(chunks=items, expected=items.expected, depends_on=depends_on, window=window)

    @property
    def about(self) -> Mapping[str, str | None]:
        """What a report begins with."""
        return self.window.texts() if self.window else {"window_start": None, "window_end": None}

    def span(self, scope: TaskScope) -> tuple[str, ...]:
        """Return what distinguishes these items from those of other runs."""
        return tuple(self.window.texts().values()) if self.window else (scope.run_id,)

    def fingerprint(self, scope: TaskScope, *asked: Any) -> str | None:
        """Return what distinguishes the job's checkpoint from others; None when it cannot resume.

        :param asked: what is done with the items.
        """
        return fingerprint(*self.depends_on, self.span(scope), *asked) if self.depends_on else None


class Previewing(NamedTuple):
    """A preview, where one is asked for.

    :param requests: that are shown.
    :param sends: whether the first of them is sent.
    """

    requests: int
    sends: bool

    @classmethod
    def of(cls, context: "Context | None", preview: Any = None, preview_send: Any = None) -> Self | None:
        """Read the arguments, and the run's conf, which comes before them; None where nobody asks for one.

        :raises ConfigurationError: when one of them is no such number; says where it stands.
        """
        conf = _conf_of(context)

        def read(name: str, argument: Any, most: int) -> int | None:
            in_conf = parse_preview(f"the run's conf has {name}", conf.get(name), most)
            return in_conf or parse_preview(name, argument, most)

        count, sends = read(_PREVIEW, preview, MOST_PREVIEWED), read(_SEND, preview_send, 1)
        return cls(count or 1, bool(sends)) if count or sends else None


def _conf_of(context: "Context | None") -> Mapping[str, Any]:
    """Return the run's conf.

    :raises ConfigurationError: when it spells a name in another way: the run would quietly send everything.
    """
    conf: Mapping[str, Any] = getattr((context or {}).get("dag_run"), "conf", None) or {}
    for name in conf:
        written = str(name).strip().lower().replace("-", "_")
        meant = get_close_matches(written, (_PREVIEW, _SEND), 1, _ALIKE) if written.startswith("p") else []
        if meant and name != meant[0]:
            raise ConfigurationError(f"the run's conf has {name!r}: write {meant[0]!r}.")
    return conf
