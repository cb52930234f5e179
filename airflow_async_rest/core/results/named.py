"""The answers of well-known APIs to bulk requests, as their documentation describes them."""

from collections.abc import Mapping
from types import MappingProxyType

from airflow_async_rest.core.results.results import Results

# Of GraphQL; the others are Shopify's.
_USER_ERRORS = ("userErrors", "customerUserErrors", "checkoutUserErrors", "mediaUserErrors")

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
        "kinesis": Results(
            entries="Records",
            match="position",
            success="SequenceNumber",
            error="ErrorCode",
            text="ErrorMessage",
            code=("ErrorCode", "__type"),
            retry_codes=("ProvisionedThroughputExceededException", "InternalFailure", "LimitExceededException"),
        ),
        # PutRecordBatch
        "firehose": Results(
            entries="RequestResponses",
            match="position",
            success="RecordId",
            error="ErrorCode",
            text="ErrorMessage",
            code=("ErrorCode", "__type"),
            retry_codes=("ServiceUnavailableException", "InternalFailure", "LimitExceededException"),
        ),
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
            error=(
                "errors",
                *(f"{where}{name}" for where in ("", "data.*.") for name in _USER_ERRORS),
            ),
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
