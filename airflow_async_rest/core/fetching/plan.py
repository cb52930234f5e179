"""What is asked for, and how its answers are read: all that a job that fetches is told of it."""

from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.pages import Pages


@dataclass(frozen=True, kw_only=True)
class FetchPlan:
    """What is asked for, and how its answers are read.

    :param pages: None where everything of an item is in one answer.
    :param missing_ok: whether a 404 to an item's first request says that there are no rows.
    :param max_pages: the most pages of an item; more of them fail it.
    :raises ConfigurationError: when the pages cannot be asked for in this way.
    """

    builder: FetchRequestBuilder
    pages: Pages | None
    reader: AnswerReader
    missing_ok: bool = False
    max_pages: int = 10_000

    def __post_init__(self) -> None:
        check_limits(self.missing_ok, self.max_pages)
        check_pages(self.pages, self.builder.method, self.reader)

    def tally(self, **parts: Any) -> Tally:
        """Return what counts the keys and paths of the answers that lead nowhere.

        :param parts: what :class:`Tally` takes beside the paths.
        """
        next_path = self.pages.next_path if self.pages else None
        return Tally(self.reader.asked, [next_path] if next_path else [], **parts)


def check_limits(missing_ok: Any, max_pages: Any) -> None:
    """Check what may become of an item's pages. :raises ConfigurationError: when an argument is wrong; names it."""
    if not isinstance(missing_ok, bool):
        raise ConfigurationError(f"missing_ok={missing_ok!r}: write True or False.")
    if type(max_pages) is not int or max_pages < 1:
        raise ConfigurationError(f"max_pages={max_pages!r}: write a whole number from 1 up.")


def check_pages(pages: Pages | None, method: str, reader: AnswerReader) -> None:
    """Check that pages can be asked for, and told apart. :raises ConfigurationError: when not; says what to write."""
    if pages is None:
        return
    if method == "GET" and pages.begin().into == "body":
        raise ConfigurationError("paginate with into='body': a GET has none; write method='POST', or into='query'.")
    if pages.counts_rows and not reader.counts:
        raise ConfigurationError(
            f"paginate={type(pages).__name__}(...) goes by how many rows the API gives, and rows= may make "
            "more or fewer of them: say with page_rows='data.items' at which path of the answer the API's are."
        )
