"""ReplayDeadLettersOperator: what failed, sent again as it was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import ConfigurationError, FailuresError
from airflow_async_rest.core.models import Response, Verdict
from airflow_async_rest.core.phases.garbage import collecting_new_garbage_only
from airflow_async_rest.core.requests.settings import MOST_PREVIEWED, parse_preview
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.spelling import counted, in_short
from airflow_async_rest.operators.job_operator import JobOperator
from airflow_async_rest.operators.upstream_reports import Reports, find_reports, find_task, leaves_reports, parse_of
from airflow_async_rest.tasks.dead_letters import chosen_reasons, folder_uris

if TYPE_CHECKING:
    from airflow.sdk import Context


class _NotGiven(Enum):
    """The default where None already means something."""

    NOT_GIVEN = "not given"


NOT_GIVEN = _NotGiven.NOT_GIVEN


def _is_preview(preview: Any, of_all: Any) -> bool:
    """Return whether dead letters are only counted.

    :param of_all: the same argument in default_args: how many requests the other operators show.
    :raises ConfigurationError: when it is something else.
    """
    if isinstance(preview, bool):
        return preview
    if preview is not of_all:
        raise ConfigurationError(f"preview={preview!r}: write True or False; it is not templated.")
    return parse_preview("preview", preview, MOST_PREVIEWED) is not None


class ReplayDeadLettersOperator(JobOperator):
    """Sends dead letters again: the same requests, with the same idempotency keys.

    What is delivered is marked as resolved in its folder, so that another replay sends only the rest. It
    returns a report like ``SqlToRestOperator``'s; ``dead_letters`` in it is null when nothing failed again. It fails
    when some did, and when a task that it is for, or right after, had stopped early or left no report: rows that were
    never read are in no dead letter.

    :param of: the tasks of this DAG whose dead letters are sent again: a task's whole id (with its task groups), the
        task itself, or a list of them. Of a mapped task all windows of this run are meant; where both are in one mapped
        task group, the one of the same map index. A task, given as an object, comes before the replay; an id sets no
        order. Write ids in ``partial()``. Give this, or ``dead_letters``.
    :param dead_letters: one folder URI, a list of them, or null: then there is nothing to do. For dead letters of other
        runs, as a report's ``dead_letters`` names their folder. (templated)
    :param http_conn_id: a connection of type ``async_rest`` or ``http``. (templated)
    :param reasons: only those that failed for one of these, such as ``["http_503", "timeout"]``. Default: all.
        (templated)
    :param preview: count them by reason, and send nothing, as ``{"preview": 3}`` in the run's conf does. Default False.
    :param headers: sent with every request, over the connection's; those of the first delivery are not kept in
        dead letters. (templated)
    :param concurrency: as in ``SqlToRestOperator``.
    :param rate_limit: as in ``SqlToRestOperator``. (templated)
    :param batch: as in ``SqlToRestOperator``, for the items of bulk requests; they go in batches again, of the format
        that their dead letters name. Needed only where that, or ``results``, is a function. Default: as they were.
    :param response_check: as in ``SqlToRestOperator``.
    :param request_retry: as in ``SqlToRestOperator``.
    :param max_failures: as in ``SqlToRestOperator``, of the dead letters read.
    :param max_quota_wait: as in ``SqlToRestOperator``.
    :param trigger_rule: default ``"all_done"``: a replay has most to do when the task before it failed.
    """

    template_fields: Sequence[str] = (*JobOperator.template_fields, "dead_letters", "reasons")
    ui_color = "#fdebd0"
    after_kill = "a retry sends the dead letters that are left"

    def __init__(
        self,
        *,
        of: Any = None,
        dead_letters: str | Sequence[str] | _NotGiven | None = NOT_GIVEN,
        http_conn_id: str = "async_rest_default",
        reasons: Sequence[str] | None = None,
        preview: bool = False,
        headers: Mapping[str, str] | None = None,
        concurrency: int | str | None = None,
        rate_limit: str | Sequence[str] | None = None,
        batch: Batch | None = None,
        response_check: Callable[[Response], bool | Verdict | None] | None = None,
        request_retry: RequestRetry | None = None,
        max_failures: int | str = 0,
        max_quota_wait: timedelta = timedelta(days=1),
        trigger_rule: str = "all_done",
        **kwargs: Any,
    ) -> None:
        super().__init__(trigger_rule=trigger_rule, **kwargs)
        with self._named_in_errors():
            if (of is None) is (dead_letters is NOT_GIVEN):
                given, end = ("neither of= nor", "") if of is None else ("both of= and", ", not both")
                raise ConfigurationError(
                    f"{given} dead_letters= given: write either of= with the task whose dead letters are sent again, "
                    f"or dead_letters= with their folder's URI{end}."
                )
            self.of, tasks = ([], []) if of is None else parse_of(of)
            self.preview = _is_preview(preview, (kwargs.get("default_args") or {}).get("preview", NOT_GIVEN))
        if tasks:
            self.set_upstream(tasks)
        self.dead_letters = None if dead_letters is NOT_GIVEN else dead_letters
        self.http_conn_id = http_conn_id
        self.reasons = reasons
        self.headers = headers
        self.concurrency = concurrency
        self.rate_limit = rate_limit
        self.batch = batch
        self.response_check = response_check
        self.request_retry = request_retry
        self.max_failures = max_failures
        self.max_quota_wait = max_quota_wait
        self._check_arguments()

    @collecting_new_garbage_only()
    def execute(self, context: "Context") -> dict[str, Any]:
        """Send the dead letters. :return: the report."""
        # The engine loads here, not where DAG files are parsed.
        from airflow_async_rest.connections.connection import RestConnection  # noqa: PLC0415
        from airflow_async_rest.tasks import arguments, errors, jobs  # noqa: PLC0415
        from airflow_async_rest.tasks.storage.state_stores import mark_of_try  # noqa: PLC0415

        with errors.explained(context, self.log):
            run = self._begin(context, 1 if self.preview else None)
            reports = self._reports(context)
            uris, reasons = self._folders(reports), chosen_reasons(self.reasons)
            sending = arguments.Sending.of({**vars(self), "endpoint": ""})
            ti = context["ti"]
            by = {name: getattr(ti, name) for name in ("dag_id", "run_id", "task_id", "map_index", "try_number")}
            http, mark = RestConnection(self.http_conn_id), "" if run.preview else mark_of_try(context)
            job = jobs.replay_job(http, sending, uris, reasons, self.log, by=by, mark=mark)
            if run.preview:
                report = self._preview(job.source, uris)
                self._check(context, report, reports, uris)
                return report
        report = run.run(job)
        if reasons is not None and not report["read"]:
            self.log.warning("No dead letter has one of the reasons %s: nothing was sent.", ", ".join(sorted(reasons)))
        with errors.explained(context, self.log):
            self._check(context, report, reports + self._reports_right_before(context), uris)
        return report

    def _folders(self, reports: Sequence[Reports]) -> list[str]:
        if not self.of:
            return folder_uris(self.dead_letters)
        return folder_uris([uri for each in reports for one in each.found for uri in folder_uris(one["dead_letters"])])

    def _reports(self, context: "Context") -> list[Reports]:
        """Find what the tasks report that this is for."""
        return [find_reports(context["ti"], find_task(self.dag, task_id)) for task_id in self.of]

    def _reports_right_before(self, context: "Context") -> list[Reports]:
        """Find what the other tasks right before this one report; of tasks of any kind, where they do."""
        tasks = [self.dag.get_task(task_id) for task_id in sorted(self.upstream_task_ids.difference(self.of))]
        found = [find_reports(context["ti"], task) for task in tasks]
        return [
            each if leaves_reports(task) else replace(each, missing=[]) for task, each in zip(tasks, found, strict=True)
        ]

    def _check(
        self, context: "Context", report: dict[str, Any], reports: Sequence[Reports], uris: Sequence[str]
    ) -> None:
        """Check that nothing is missing but what was dead: the state of a DAG's last task is that of its run.

        :raises FailuresError: when a task before this one did not read its rows to the end, or that is unknown.
        """
        from airflow_async_rest.tasks import errors  # noqa: PLC0415

        if wrong := [text for each in reports for text in each.wrong(found_none=not uris)]:
            done = "nothing is sent yet" if report.get("preview") else "the dead letters are sent"
            error = FailuresError(f"{done}, but {'; '.join(wrong)}", permanent=True)
            if self.do_xcom_push:  # Airflow does so for a task that succeeds only
                errors.push_report(context["ti"], {**report, "error": in_short(str(error))})
            raise error

    def _preview(self, letters: Any, uris: list[str]) -> dict[str, Any]:
        """Count what would be sent. :param letters: the source of the replay."""
        from airflow_async_rest.tasks.run_life import nothing_done  # noqa: PLC0415

        sent, left = (dict(counts.most_common()) for counts in letters.count())
        count = sum(sent.values())
        self.log.info("Preview: %s would be sent: %s.", counted(count, "dead letter"), sent or "none")
        if left:
            others = counted(sum(left.values()), "dead letter")
            why = "no request could be made of it, or the API has taken it"
            self.log.info("Preview: %s would stay dead: %s; %s.", others, left, why)
        found = {"read": count, "unfinished": count, "reasons": sent, "dead_letters": uris}
        return nothing_done() | found | {"preview": True}
