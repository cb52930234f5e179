"""Results: how the answer to a bulk request tells what became of each of its items, and how those of known APIs do."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from airflow_async_rest.core.encoding.paths import split_path
from airflow_async_rest.core.errors import ConfigurationError

Paths = str | tuple[str, ...] | None

_PATHS = ("entries", "at", "key", "status", "success", "error", "text", "code", "stored")
_VALUES = ("success_values", "retry_codes")
_CHOICES = {"lists": ("all", "failures"), "match": ("position", "index", "id", None)}


@dataclass(frozen=True, kw_only=True)
class Results:
    """Where an answer says what became of each item of a batch, and what counts as a failure.

    A path is made of names with dots between: a whole number is a place in a list, ``*`` any value of an object or a
    list. Several paths, as a tuple, are tried in turn. ``Results()`` reads a list of objects that have a status,
    success or error field under a usual name; :data:`RESULTS` has those of well-known APIs.

    :param entries: path of the entries in the answer, ``""``: the answer itself. Default: the answer itself, or a
        list in it under a usual name.
    :param lists: ``"all"``: there is an entry for each item; ``"failures"``: only for those that failed.
    :param match: which item an entry is about: the one at its ``"position"``, the one whose ``"index"`` it has, or
        the one that was sent with its ``"id"``. Default: by the id where entries have what was sent, else by position
        (in a list of failures: by the id).
    :param at: path of the index or id in an entry; there may be a list of them. Default: ``key``. With
        ``match="position"``, an id there that was not sent at its position is an error.
    :param first_index: index of the first item.
    :param key: path, in the payload as sent, of the value that entries repeat. Default: the operator's key. In a list
        of failures it may be a tuple: one for each path of ``at``.
    :param status: path of an HTTP status: a number, or a text that begins with one.
    :param success: path of what says that the item was stored; with a list of failures, in the answer, that the rest
        went well.
    :param success_values: those there that say so. Default: all but false, null, 0, what is empty, and words such as
        ``fail`` or ``rejected``.
    :param error: path of the error: something there says that the item failed, null or nothing in it that it did not.
        With none of ``status``, ``success`` and ``error``, the usual names are looked for. An entry in which none of
        them is found is not understood.
    :param text: path of the sentence for people. Default: the error, else the entry.
    :param code: path of what tells failures apart, in an entry, or in an answer that has none.
    :param retry_codes: those that say that the item may be sent again.
    :param lines: whether the answer is NDJSON, a line an entry.
    :param stops: whether the API stops at the first failure: what was before it is stored, what comes after is not.
    :param stored: path of the list (or the number) of stored items, in a list of failures: where it is shorter than
        what did not fail, the answer is an error.
    :param may_be_objects: whether a success that is no 207 may also hold the stored objects, or nothing of interest.
        In a 201 a field ``status`` is then theirs.
    :raises ConfigurationError: names the argument that is wrong.
    """

    entries: Paths = None
    lists: str = "all"
    match: str | None = None
    at: Paths = None
    first_index: int = 0
    key: Paths = None
    status: Paths = None
    success: Paths = None
    success_values: tuple[Any, ...] | None = None
    error: Paths = None
    text: Paths = None
    code: Paths = None
    retry_codes: tuple[Any, ...] = ()
    lines: bool = False
    stops: bool = False
    stored: Paths = None
    may_be_objects: bool = False

    def __post_init__(self) -> None:
        for name in (*_PATHS, *_VALUES):
            if isinstance(value := getattr(self, name), list):  # as JSON has it
                object.__setattr__(self, name, tuple(value))
        for name in _PATHS:
            self._check_paths(name)
        for name in _VALUES:
            self._check_values(name)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise self._error(name, f"write one of {', '.join(map(repr, choices))}")
        for name in ("lines", "stops", "may_be_objects"):
            if not isinstance(getattr(self, name), bool):
                raise self._error(name, "write True or False")
        if isinstance(self.first_index, bool) or not isinstance(self.first_index, int):
            raise self._error("first_index", "write a whole number, the index of the first item")
        self._check_together()

    @property
    def by_usual_names(self) -> bool:
        """Whether nothing is said of where entries say what became of their item."""
        return self.status is self.success is self.error is None

    def paths(self, name: str) -> tuple[str, ...]:
        """Return the paths of an argument, in the order in which they are tried."""
        value = getattr(self, name)
        return () if value is None else (value,) if isinstance(value, str) else value

    def to_json(self) -> dict[str, Any]:
        """Return the arguments that differ from their defaults, as JSON: ``Results(**...)`` is the same again."""
        given = {of.name: getattr(self, of.name) for of in fields(self) if getattr(self, of.name) != of.default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def _check_paths(self, name: str) -> None:
        value = getattr(self, name)
        if not (value is None or isinstance(value, str) or (isinstance(value, tuple) and value)):
            raise self._error(name, "write a path such as 'data.items', or a tuple of several")
        for path in self.paths(name):
            if path != "" or name != "entries":
                split_path(f"Results({name}={value!r})", path)

    def _check_values(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and (
            not isinstance(value, tuple) or any(isinstance(entry, Mapping | tuple | list) for entry in value)
        ):
            raise self._error(name, "write a tuple of values, such as ('created', 'updated')")

    def _check_together(self) -> None:
        if self.match == "index" and self.at is None:
            raise self._error("match", "write at=..., too: the path of the index in an entry")
        if self.lists == "failures" and self.match == "position":
            raise self._error("match", "in a list of failures, write 'index' or 'id', and at=...")
        if self.lists == "failures" and self.may_be_objects:
            raise self._error("may_be_objects", "it goes with lists='all'")
        for name in ("stops", "stored"):
            if self.lists == "all" and getattr(self, name):
                raise self._error(name, "it goes with lists='failures'")
        if self.success_values is not None and self.success is None:
            raise self._error("success_values", "write success=..., too: the path where they are found")
        if bool(self.retry_codes) != (self.code is not None):
            raise self._error("retry_codes", "code=... and retry_codes=... go together")
        if isinstance(self.key, tuple) and not (
            self.lists == "failures" and isinstance(self.at, tuple) and len(self.at) == len(self.key)
        ):
            raise self._error("key", "write one path; several only in a list of failures, one for each path of at")

    def _error(self, name: str, advice: str) -> ConfigurationError:
        return ConfigurationError(f"Results({name}={getattr(self, name)!r}): {advice}.")


# Of GraphQL; the others are Shopify's.
_USER_ERRORS = ("userErrors", "customerUserErrors", "checkoutUserErrors", "mediaUserErrors")


def _of_aws(entries: str, success: str, throttled: str) -> Results:
    return Results(
        entries=entries,
        match="position",
        success=success,
        error="ErrorCode",
        text="ErrorMessage",
        code=("ErrorCode", "__type"),
        retry_codes=(throttled, "InternalFailure", "LimitExceededException"),
    )


#: Readers of results, by the name under which ``Batch(results=...)`` takes them.
RESULTS: Mapping[str, Results] = MappingProxyType(
    {
        # _bulk of Elasticsearch and OpenSearch: {"items": [{"index": {"_id": "7", "status": 201}}]}
        "elasticsearch": Results(
            entries="items.*.*", match="position", at="_id", key="_id", status="status", error="error"
        ),
        # A 207 with a list of objects with a status each.
        "multi_status": Results(may_be_objects=True),
        # A list of objects with a status, success or error field each.
        "list": Results(),
        # tabledata.insertAll: without skipInvalidRows, the rows that are not at fault are "stopped".
        "bigquery": Results(
            entries="insertErrors",
            lists="failures",
            match="index",
            at="index",
            text="errors",
            code="errors.*.reason",
            retry_codes=("stopped", "backendError", "internalError", "rateLimitExceeded", "timeout"),
        ),
        # /users/track
        "braze": Results(
            entries="errors",
            lists="failures",
            match="index",
            at="index",
            text="type",
            success="message",
            success_values=("success", "queued"),
        ),
        # A 400 names the first event that is invalid, from 0; those before it are indexed (moby/moby#35862).
        "splunk_hec": Results(
            entries="",
            lists="failures",
            match="index",
            at="invalid-event-number",
            text="text",
            success="code",
            success_values=(0,),
            code="code",
            retry_codes=(8, 9, 26),  # internal error, server busy, queue full
            stops=True,
        ),
        # CRM batches: inputs have an id, or an objectWriteTraceId where they are created.
        "hubspot": Results(
            entries="errors",
            lists="failures",
            match="id",
            at=("context.ids", "context.objectWriteTraceId"),
            key=("id", "objectWriteTraceId"),
            text="message",
            success="status",
            success_values=("COMPLETE",),
            stored="results",
        ),
        # PutRecords. A refusal of all is a 400 with a __type.
        "kinesis": _of_aws("Records", "SequenceNumber", throttled="ProvisionedThroughputExceededException"),
        # PutRecordBatch
        "firehose": _of_aws("RequestResponses", "RecordId", throttled="ServiceUnavailableException"),
        # Firebase Cloud Messaging
        "fcm": Results(
            entries="results",
            match="position",
            success="message_id",
            error="error",
            code="error",
            retry_codes=("Unavailable", "InternalServerError"),
        ),
        # sObject Collections
        "salesforce": Results(
            entries="",
            match="position",
            success="success",
            error="errors",
            code="errors.*.statusCode",
            retry_codes=(
                "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                "PROCESSING_HALTED",
                "SERVER_UNAVAILABLE",
                "UNABLE_TO_LOCK_ROW",
            ),
        ),
        # A list of operations, or one operation with an aliased mutation for each item.
        "graphql": Results(
            entries=("", "data.*"),
            match="position",
            error=("errors", *(f"{where}{name}" for where in ("", "data.*.") for name in _USER_ERRORS)),
        ),
        # Leads and custom objects. A refusal of all is a 200 with a code.
        "marketo": Results(
            entries="result",
            match="position",
            success="status",
            success_values=("created", "updated", "deleted", "added", "removed"),
            error="reasons",
            code=("reasons.*.code", "errors.*.code"),
            retry_codes=(604, 606, 608, 611, 615, 713, 719, 1022),
        ),
        # documents/import
        "typesense": Results(lines=True, match="position", status="code", success="success", error="error"),
    }
)
