"""What all page styles have: statuses and flags that tell the end, and paths into a page's answer."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any, ClassVar

from airflow_async_rest.core.encoding.paths import MISSING, JsonPath, parse_path
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages.page import BODY, QUERY, Page, PageAnswer

_HEADER = "header."
_FLAGS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
_MOST_DIGITS = 18
_FIRST_FAILURE, _LAST_FAILURE = 400, 599


@dataclass(frozen=True, kw_only=True)
class Style:
    """What all page styles have.

    A path into an answer leads into its body, or, as ``header.X-Next-Page``, to one of its headers.

    :param end_statuses: HTTP statuses by which the API says of a page after the first that there are no more, such as
        ``(404,)``; of a page that it counts, or has a flag for, they do not say so. Default: none, it fails the item.
    :param more: path of a flag that is true as long as there is a next page, such as ``"has_more"``; it is in every
        answer, and comes before all else that tells the end. Default: there is none.
    """

    goes_by_rows: ClassVar[bool] = False
    end_statuses: tuple[int, ...] = ()
    more: str | None = None

    def __post_init__(self) -> None:
        check_statuses(type(self).__name__, self.end_statuses)
        if self.more is not None:
            parse_path(self._argument("more"), self.more)

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many pages, or rows, there are, or whether there are more."""
        return self.more is not None

    @property
    def counts_rows(self) -> bool:
        """Whether it must be known how many rows the API gave."""
        return False

    @property
    def keep(self) -> tuple[str, ...]:
        """Parameters of the item's own query that go along on links."""
        return ()

    @property
    def below(self) -> str | None:
        """The path below which links are followed; None: the base URL's."""
        return None

    @property
    def next_path(self) -> JsonPath | None:
        """Where in the body it is said what the next page is."""
        return None

    @property
    def concurrent(self) -> bool:
        """Whether pages are asked for side by side."""
        return False

    def ahead(self, page: Page, answer: PageAnswer) -> Iterable[Page]:  # noqa: ARG002
        """Yield none: each page tells the next."""
        return ()

    def _argument(self, name: str) -> str:
        return f"{type(self).__name__}({name})"

    def _find(self, name: str, answer: PageAnswer) -> Any:
        """Return what is where an argument says, or MISSING: in the body, or else, after ``header.``, in a header."""
        path = str(getattr(self, name))
        found = parse_path(self._argument(name), path).find(answer.payload)
        if found is MISSING and path.startswith(_HEADER):
            return answer.response.headers.get(path.removeprefix(_HEADER), MISSING)
        return found

    def _path_in_body(self, name: str) -> JsonPath | None:
        """Return the path of an argument, if it leads into the body."""
        path: str | None = getattr(self, name)
        return None if path is None or path.startswith(_HEADER) else parse_path(self._argument(name), path)

    def _find_number(self, name: str, answer: PageAnswer) -> int:
        """Return the number where an argument says, which is the last part of one such as ``items 0-24/319``.

        A part of a page is one.

        :raises AnswerError: when the API does not say.
        """
        found = self._find(name, answer)
        with suppress(ArithmeticError, ValueError):
            exact = Decimal(str(found).rpartition("/")[2].strip())
            if not isinstance(found, bool) and exact >= 0 and exact.adjusted() < _MOST_DIGITS:
                return ceil(exact)
        raise AnswerError(
            f"{self._argument(name)}: the answer has {_shown(found)} at {getattr(self, name)!r}, where a number should "
            "be, from 0 up; without it, pages are asked for until one is empty"
        )

    def _has_more(self, answer: PageAnswer) -> bool | None:
        """Return whether the flag says that there is a next page; None where there is no flag.

        :raises AnswerError: when an answer with content does not have it.
        """
        if self.more is None or is_nothing(answer):
            return None if self.more is None else False
        found = self._find("more", answer)
        flag = _FLAGS.get(str(found).strip().lower()) if isinstance(found, bool | int | str) else None
        if flag is None:
            raise AnswerError(
                f"{self._argument('more')}: the answer has {_shown(found)} at {self.more!r}, where true or false "
                "should be"
            )
        return flag


def is_nothing(answer: PageAnswer) -> bool:
    """Return whether an answer has no content: there are no more rows then, but it does not say how many there are."""
    return answer.payload is None and not answer.count


def check_names(style: str, *, into: str, **names: Any) -> None:
    """Check the names of parameters. :raises ConfigurationError: when they cannot be names where they are put."""
    if into not in (QUERY, BODY):
        raise ConfigurationError(f"{style}(into={into!r}): write 'query' or 'body'.")
    for argument, name in names.items():
        if not isinstance(name, str) or not name.strip():
            raise ConfigurationError(f"{style}({argument}={name!r}): write the name of a parameter of the API.")
        if into == BODY and not all(name.split(".")):
            raise ConfigurationError(
                f"{style}({argument}={name!r}): in a body, write names with dots between, as 'variables.after'."
            )


def check_statuses(style: str, statuses: Any) -> None:
    """Check statuses that tell the end. :raises ConfigurationError: when one is not that of a failure."""
    if not isinstance(statuses, list | tuple) or not all(map(_is_status_of_failure, statuses)):
        raise ConfigurationError(f"{style}(end_statuses={statuses!r}): write HTTP statuses from 400 to 599, as (404,).")


def _is_status_of_failure(status: Any) -> bool:
    return type(status) is int and _FIRST_FAILURE <= status <= _LAST_FAILURE


def _shown(found: Any) -> str:
    return "nothing" if found is MISSING else repr(found)
