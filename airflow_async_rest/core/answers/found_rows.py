"""Payload -> the API's rows in it: by a path, or by the author's function. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.answers.author_functions import call
from airflow_async_rest.core.encoding.paths import MISSING, WHOLE, JsonPath, parse_path
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.models import Response

Rows = str | Callable[[Any, dict[str, Any]], Any] | None

# Where an API says what went wrong, in an answer that has no data.
_ERRORS = ("errors", "error")
_WORDS = ("message", "detail", "title", "description", "error")


@dataclass(frozen=True, slots=True)
class FoundRows:
    """What an answer has.

    :param rows: objects.
    :param count: how many rows the API gave; None when only the author's function knows where they are.
    :param given: what the API gave, to be compared with what the page before gave.
    """

    rows: list[Any]
    count: int | None
    given: Any


NOTHING = FoundRows([], 0, [])


class RowFinder:
    """Finds rows; see ``RestToSqlOperator`` for the arguments.

    :raises ConfigurationError: when an argument cannot be read.
    """

    def __init__(self, rows: Rows, page_rows: str | None = None, *, empty_ok: bool = False) -> None:
        if rows is not None and not isinstance(rows, str) and not callable(rows):
            raise ConfigurationError(f"rows={rows!r}: write a path such as 'data.items', or a function.")
        if not isinstance(empty_ok, bool):
            raise ConfigurationError(f"empty_ok={empty_ok!r}: write True or False.")
        self._path = parse_path("rows", rows) if isinstance(rows, str) else None
        self._page_path = parse_path("page_rows", page_rows) if page_rows else WHOLE if page_rows == "" else None
        self._function = rows if callable(rows) else None
        self._empty_ok = empty_ok

    @property
    def counts(self) -> bool:
        """Whether it is known how many rows the API gives, whatever is made of them."""
        if self._page_path is not None:
            return self._page_path.leads_to_one_place
        return self._function is None and (self._path is None or self._path.leads_to_one_place)

    @property
    def takes_numbers_as_they_are(self) -> bool:
        """Whether no function makes the rows, and no expression that may depend on what kind of number there is."""
        return self._function is None and (self._path is None or not self._path.computes)

    def find_again(self, response: Response, payload: Any) -> list[Any]:
        """Find the rows of an answer once more, where no function makes them.

        :param payload: what the response says, parsed in another way.
        """
        return self._list_at("rows", self._path, response, payload)

    def find(self, response: Response, payload: Any, item: Mapping[str, Any]) -> FoundRows:
        """Find the rows.

        :param payload: what the response says.
        :param item: what was asked for.
        :raises AnswerError: when none are found, or they are not objects; says why.
        """
        given = None if self._page_path is None else self._page_rows(self._page_path, response, payload)
        if self._function is not None:
            _check_errors(response, payload, nothing_found=False)
            rows = self._make(response, payload, item)
        else:
            rows = self._list_at("rows", self._path, response, payload)
        given = rows if given is None else given
        for row in rows:
            if not isinstance(row, Mapping):
                _check_errors(response, payload, nothing_found=row is None)
                raise AnswerError(
                    f"a row of the answer is {response.excerpt(row)!r}, which is not an object: a function as rows can "
                    "make one of it"
                )
        # A function may have taken rows out of the payload.
        return FoundRows(rows, len(given), given) if self.counts else FoundRows(rows, None, response.body)

    def _list_at(self, argument: str, path: JsonPath | None, response: Response, payload: Any) -> list[Any]:
        found = payload if path is None else path.find(payload)
        if found is not MISSING and found is not None:
            if path is None:
                _check_errors(response, payload, nothing_found=False)
            rows = _as_list(response, found)
            if not rows:
                _check_errors(response, payload, nothing_found=True)
            return rows
        _check_errors(response, payload, nothing_found=True)
        if self._empty_ok:
            return []
        what = "nothing" if found is MISSING else "null"
        where = "" if path is None else f" at {argument}={path.text!r}"
        raise AnswerError(
            f"the answer has {what}{where}: if that says that there are no rows, write empty_ok=True; it begins "
            f"{response.excerpt(payload)!r}"
        )

    def _page_rows(self, path: JsonPath, response: Response, payload: Any) -> list[Any]:
        """Find what is counted: an object that has the rows in it would count as one, and the next page overlap."""
        found = path.find(payload)
        if isinstance(found, Mapping):
            keys = response.excerpt(", ".join(map(str, found)))
            raise AnswerError(
                f"at page_rows={path.text!r} the answer has an object, with {keys}: write the path of the list of the "
                "API's rows"
            )
        return self._list_at("page_rows", path, response, payload)

    def _make(self, response: Response, payload: Any, item: Mapping[str, Any]) -> list[Any]:
        assert self._function is not None  # noqa: S101  (for the type checker)
        try:
            made = call(self._function, payload, dict(item))
            return [] if made is None else _as_list(response, made)
        except AnswerError:
            raise
        except Exception as error:  # the author's code may raise anything
            raise AnswerError(f"the function rows raised {type(error).__name__}: {error}") from error


def _as_list(response: Response, found: Any) -> list[Any]:
    if isinstance(found, Mapping):
        return [found]
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise AnswerError(f"the rows of the answer are {response.excerpt(found)!r}, which is not a list of objects")
    return list(found)


def _check_errors(response: Response, payload: Any, *, nothing_found: bool) -> None:
    """Check that there are no errors in the place of data.

    :param nothing_found: whether there is nothing where the rows should be.
    :raises AnswerError: with the API's message.
    """
    if not isinstance(payload, Mapping) or not (nothing_found or _is_null(payload.get("data", MISSING))):
        return
    for name in _ERRORS:
        if errors := payload.get(name):
            raise AnswerError(f"the API answers with {name} and without data: {response.excerpt(_message(errors))!r}")


def _is_null(value: Any) -> bool:
    """Return whether a value is null, or an object of nulls only."""
    return value is None or (isinstance(value, Mapping) and bool(value) and all(map(_is_null, value.values())))


def _message(errors: Any) -> str:
    """Write what an API says of its errors."""
    if isinstance(errors, list):
        return "; ".join(map(_message, errors))
    if isinstance(errors, Mapping):
        errors = next((errors[name] for name in _WORDS if errors.get(name)), errors)
    return str(errors)
