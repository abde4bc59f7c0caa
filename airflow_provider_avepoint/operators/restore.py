"""Restore files and folders as a drill, once, and judge what came back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_avepoint.checked import CheckedOperator
from airflow_provider_avepoint.core.arguments import (
    parse_flag,
    parse_ledger,
    parse_moment,
    parse_span,
    parse_text,
    require_text,
)
from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointError,
    AvePointPayloadError,
    AvePointRestoreUncertain,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.fields import to_iso
from airflow_provider_avepoint.core.literals import check_each, is_literal
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.restore import (
    BUSY_PAUSE,
    SEARCH_FOR,
    Drill,
    Intent,
    IntentStore,
    News,
    Phase,
    Reply,
    ReplyKind,
    RestoreRequest,
    adopt,
    describe_uncertainty,
    describe_unjudged,
    find_candidates,
    judge_restore,
    look_for_news,
    name_account,
    parse_expected,
    parse_paths,
    parse_service,
    prepare_restore,
    start_restore,
)
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.core.wait_events import MAX_FAILED_POLLS
from airflow_provider_avepoint.exceptions import AvePointJobFailed, for_airflow, to_airflow
from airflow_provider_avepoint.gates import name_try
from airflow_provider_avepoint.lineage import describe_drill
from airflow_provider_avepoint.links import LinkedOperator
from airflow_provider_avepoint.operators.drills import DrillLedger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_avepoint.hooks.avepoint import AvePointHook

__all__ = ["AvePointRestoreOperator"]

#: The XCom key of a drill that does not pass; one that passes is returned.
DRILL_KEY = "drill"
_INTENT_KEY = "avepoint_restore"
# The arguments of RestoreRequest.parse.
_ASKED = (
    *("service", "site_url", "onedrive_upn", "library"),
    *("files", "folders", "recovery_time", "location"),
)
# An intent has to outlive every retry of its task, whatever Airflow's own retention is.
_RETENTION = timedelta(days=365)
# Airflow 3.3.2 can fail a correct task if its trigger fires within seconds of the deferral.
_FIRST_POLL_AFTER = timedelta(seconds=10)
_BACKSTOP = timedelta(minutes=5)
# A try gives up so long before Airflow's execution_timeout.
_TO_SAY_SO = timedelta(seconds=30)
_SEARCH_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """What the task waits for.

    :param intent: what was kept.
    :param until: when to look again whatever there is to see, by this machine's clock.
    :param text: what was seen, in a sentence.
    :param is_paused: nothing is looked at before *until*.
    """

    intent: Intent
    until: datetime
    text: str
    is_paused: bool = False


class AvePointRestoreOperator(CheckedOperator, LinkedOperator):
    """Restore files and folders of Microsoft 365, follow the restore job, and judge it as a backup is judged.

    **This writes.** AvePoint's API restores in place: it has no destination, and its documents do not say
    whether files that exist are overwritten. So restore a folder that was made for it (a canary), never one
    that people work in. The connection has to allow a restore (``allow_restore``), and the app registration
    needs the permission ``microsoft365backup.restore.readwrite.all`` beside the one to read jobs.

    A task of one DAG run restores at most once, however often it is retried, cleared or resumed. The API
    cannot tell a request that is sent twice, so the task keeps its intent before it sends (in Airflow 3.3's
    task state, or else in the ledger). After a crash, a timeout or a lost answer it looks for a restore job
    that began since: one that is found is taken for its own; several, or none within ten minutes, end the
    task as uncertain. A row shows no more of a restore job than its id and its times. So while this task
    runs, start no other restore by hand, and run restores of one tenant one after the other (an Airflow pool
    of one slot that counts deferred tasks too).

    To restore anew, start a new DAG run. (Where ``[state_store] clear_on_success`` is set, Airflow forgets
    what a task has kept when the task succeeds: clearing such a task restores anew too.)

    With *ledger_conn_id* the drill is kept in the ledger, in the table ``avepoint_drills``: also a drill that
    does not pass, and one whose outcome nobody knows. A DAG that checks the content of what came back says so
    with *expect_content_check*, and records the check with :func:`record_content_check`.

    Returns the drill: ``passed``, ``reason``, ``message``, ``request``, ``digest``, ``sent_at``,
    ``was_adopted``, ``expect_files``, ``restored_files``, ``job`` and ``judged_at``; with a ledger also
    ``ledger``, which names the drill there. The reasons are ``passed``, ``partial``, ``failed``, ``skipped``,
    ``too_few_files`` and ``nothing_restored``. A drill that does not pass is in the XCom ``drill``.

    :param service: ``sharepoint_online``, ``onedrive``, ``microsoft_365_groups`` or ``teams``.
    :param site_url: the full URL of the site collection or subsite; not for ``onedrive``.
    :param onedrive_upn: the user principal name of the OneDrive's owner; for ``onedrive`` alone.
    :param library: the name of the document library, such as ``Documents``.
    :param files: the path of a file in the library, or several paths. Files and folders are at most 20
        together, and none lies in another one.
    :param folders: the path of a folder in the library, or several paths.
    :param recovery_time: the latest backup before this instant is restored from: an aware datetime, or an
        ISO 8601 string with an offset. Each try of the task must get the same instant.
    :param expect_files: how many files must come back, at least. None: not said; a job that counts 0 files
        fails all the same, and a job without a count is judged by its state.
    :param location: the Multi-Geo location; None takes the connection's own, else the central one.
    :param expect_content_check: in the ledger the drill passes only when :func:`record_content_check` has
        recorded a check of the content.
    :param ledger_conn_id: an Airflow connection to the ledger's database, PostgreSQL or SQLite. None keeps no
        drill, and needs Airflow 3.3 or newer. A drill that passes but cannot be kept fails the task; a retry
        does not restore again. Before Airflow 3.3, do not change *ledger_conn_id* while a DAG run is on.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param deferrable: wait on the triggerer.
    :param poll_interval: how often to look; a number is in seconds.
    :param timeout: how long to wait for a place beside other restores and exports (AvePoint runs three at a
        time), for a job that may have begun, and for the job's end; a number is in seconds. A shorter
        ``execution_timeout`` ends the wait, too, also while the task is deferred. A retry goes on.
    :param avepoint_conn_id: the id of the AvePoint connection.
    :raises AvePointJobFailed: the restore has ended, and not well: the task fails without a retry.
    :raises AvePointRestoreUncertain: nobody knows whether the restore began: the task fails without a retry.
    """

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "service",
        "site_url",
        "onedrive_upn",
        "library",
        "files",
        "folders",
        "recovery_time",
        "expect_files",
        "location",
        "expect_content_check",
        "ledger_conn_id",
        "tenant",
    )
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        service: str,
        site_url: str | None = None,
        onedrive_upn: str | None = None,
        library: str,
        files: Sequence[str] | str | None = None,
        folders: Sequence[str] | str | None = None,
        recovery_time: datetime | str,
        expect_files: int | str | None = None,
        location: str | None = None,
        expect_content_check: bool | str = False,
        ledger_conn_id: str | None = None,
        tenant: str | None = None,
        deferrable: bool = True,
        poll_interval: timedelta | float = 60,
        timeout: timedelta | float = timedelta(hours=6),
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.service = service
        self.site_url = site_url
        self.onedrive_upn = onedrive_upn
        self.library = library
        self.files = files
        self.folders = folders
        self.recovery_time = recovery_time
        self.expect_files = expect_files
        self.location = location
        self.expect_content_check = expect_content_check
        self.ledger_conn_id = ledger_conn_id
        self.tenant = tenant
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self._drill: dict[str, Any] | None = None
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        check_each(
            given,
            service=parse_service,
            library=require_text,
            files=parse_paths,
            folders=parse_paths,
            location=parse_text,
            recovery_time=parse_moment,
            expect_files=lambda _, value: parse_expected(value),
            expect_content_check=parse_flag,
            deferrable=parse_flag,
            poll_interval=_parse_span,
            timeout=_parse_span,
        )
        asked = {name: given[name] for name in _ASKED}
        if not is_literal(asked["recovery_time"]):
            asked["recovery_time"] = datetime.now(UTC)  # stands for what is rendered later
        if all(map(is_literal, asked.values())):
            RestoreRequest.parse(**asked)

    def execute(self, context: Context) -> dict[str, Any]:
        """Restore, or go on with the restore that an earlier try has begun, and return the drill.

        :param context: Airflow's context of the task.
        :returns: the drill that the class describes, ready for JSON.
        :raises AvePointConfigError: an argument cannot be used, or the connection does not allow a restore;
            nothing was sent.
        """
        with for_airflow():
            return self._restore(context, None, datetime.now(UTC), patience=MAX_FAILED_POLLS)

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,
        *,
        intent: dict[str, Any] | None = None,
        started_at: str | None = None,
    ) -> dict[str, Any]:
        """Go on after a deferral. The event decides nothing: the task looks for itself.

        :param context: Airflow's context of the task.
        :param event: what the trigger has seen, for the log.
        :param intent: what was kept when the task deferred; what is kept with the task wins.
        :param started_at: when this try began, in ISO 8601.
        """
        has_failed = False
        if isinstance(event, Mapping):
            self.log.info("%s", event.get("message"))
            has_failed = event.get("has_failed") is True
        begun = datetime.now(UTC) if started_at is None else datetime.fromisoformat(started_at)
        with for_airflow():
            return self._restore(context, intent, begun, patience=1 if has_failed else MAX_FAILED_POLLS)

    def _restore(
        self, context: Context, handed_over: dict[str, Any] | None, begun: datetime, *, patience: int
    ) -> dict[str, Any]:
        """Go on until the drill is over; defer instead of sleeping where the task is deferrable.

        :param handed_over: the intent as it was when the task deferred.
        :param begun: when this try began.
        :param patience: after how many looks in a row that fail the try gives up.
        """
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        interval = _parse_span("poll_interval", self.poll_interval)
        deadline = begun + self._find_patience()
        expected = parse_expected(self.expect_files)
        is_deferrable = parse_flag("deferrable", self.deferrable)
        is_checked = parse_flag("expect_content_check", self.expect_content_check)
        ledger = self._find_ledger(context)
        if ledger is not None and handed_over is None:
            ledger.check()
        intents = open_intents(context, handed_over, ledger)
        with AvePointHook(self.avepoint_conn_id) as hook:
            request = self._build_request(hook.settings.location)
            self.leave_link(context, hook.settings)
            failed = 0
            while True:
                try:
                    step = self._advance(hook, request, intents, expected, deadline)
                    failed = 0
                except (AvePointUnavailable, AvePointPayloadError) as e:
                    failed += 1
                    if (wait := self._wait_out(intents, deadline)) is None or failed >= patience:
                        self._note_unjudged(e, request, intents, expected, ledger)
                        raise
                    self.log.warning("The look failed: %s", e)
                    step = wait
                except (AvePointError, AirflowException) as e:
                    if isinstance(e, AvePointRestoreUncertain):
                        self._count("restores", request, "uncertain")
                    self._note_unjudged(e, request, intents, expected, ledger)
                    raise
                if isinstance(step, Drill):
                    self._count("restores", request, step.reason)
                    return self._conclude(context, step, ledger, is_checked=is_checked)
                self.log.info("%s Looking again until %s UTC.", step.text, f"{step.until:%Y-%m-%d %H:%M:%S}")
                if is_deferrable:
                    self._defer(request, step, begun, interval)
                left = (step.until - datetime.now(UTC)).total_seconds()
                time.sleep(max(0.0, left if step.is_paused else min(interval.total_seconds(), left)))

    def _find_ledger(self, context: Context) -> DrillLedger | None:
        conn_id, tenant = parse_ledger(self.ledger_conn_id, self.tenant, self.avepoint_conn_id)
        if conn_id is None:
            return None
        return DrillLedger(conn_id=conn_id, tenant=tenant, task=name_try(context))

    @staticmethod
    def _wait_out(intents: IntentStore, deadline: datetime) -> _Wait | None:
        """Return the wait after a look that failed; None where nothing was sent, or the time is over."""
        kept = intents.load()
        intent = None if kept is None else Intent.read(kept)
        now = datetime.now(UTC)
        until = deadline
        if intent is not None and intent.job_id is None:
            until = min(deadline, now + SEARCH_FOR)
        if intent is None or intent.phase is Phase.REFUSED or now >= until:
            return None
        return _Wait(intent=intent, until=until, text="Nothing new is known of the restore.")

    def _advance(
        self,
        hook: AvePointHook,
        request: RestoreRequest,
        intents: IntentStore,
        expected: int | None,
        deadline: datetime,
    ) -> Drill | _Wait:
        """Go one step on: ask for the restore where that is safe, then look once."""
        kept = intents.load()
        intent = None if kept is None else Intent.read(kept)
        if intent is None or intent.phase is Phase.REFUSED:
            intent, reply = self._ask(hook, request, intents)
            if reply.error is not None:
                raise to_airflow(reply.error)
            if reply.kind is ReplyKind.BUSY:
                return self._wait_for_place(intent, reply, deadline)
        if (intent.digest, intent.account) != (request.digest, name_account(hook.settings)):
            raise AvePointRestoreUncertain(
                f"At {intent.sent_at:%Y-%m-%d %H:%M:%S} UTC this task asked for another restore than its "
                "arguments and its connection name now. Has somebody changed them, or does a template give "
                "each try something else, such as the time of the try? Nothing was sent now. Look in "
                "AvePoint's job monitor what became of the first one; then start a new run of the DAG.",
                sent_at=intent.sent_at.isoformat(),
                digest=intent.digest,
            )
        news = hook.perform(look_for_news(hook.client, request, intent))
        if intent.job_id is None:
            adopted = adopt(intent, news.candidates, news.now)
            if adopted is None:
                return self._search_on(intent, news, deadline)
            intents.save(adopted.as_dict())
            self.log.warning("%s It is taken for the one that this task has asked for.", news.text)
            intent, news = adopted, hook.perform(look_for_news(hook.client, request, adopted))
        if news.job is not None:
            drill = judge_restore(request, intent, news.job, expected, news.now)
            if isinstance(drill, Drill):
                self._check_adoption(hook, request, intent)
                return drill
        if datetime.now(UTC) >= deadline:
            raise AirflowException(
                f"Gave up waiting; {news.text} The restore goes on in AvePoint; a retry of this task goes on "
                "following the same job."
            )
        return _Wait(intent=intent, until=deadline, text=news.text)

    @staticmethod
    def _search_on(intent: Intent, news: News, deadline: datetime) -> _Wait:
        now = datetime.now(UTC)
        if now >= deadline:
            why = f" ({intent.doubt.rstrip('.')})" if intent.doubt else ""
            raise AirflowException(
                f"Gave up waiting; {news.text} Nobody knows whether the restore began{why}. A retry of this "
                f"task looks for the job until {to_iso(intent.search_ends_at)}, and never restores twice."
            )
        until = min(deadline, now + (intent.search_ends_at - news.now))
        return _Wait(intent=intent, until=until, text=news.text)

    def _ask(self, hook: AvePointHook, request: RestoreRequest, intents: IntentStore) -> tuple[Intent, Reply]:
        """Ask for the restore, once; keep the intent before, and what came of it after."""
        now, known_ids = hook.perform(prepare_restore(hook.client, request))
        intent = Intent(
            digest=request.digest,
            account=name_account(hook.settings),
            nonce=secrets.token_hex(8),
            sent_at=now,
            known_ids=known_ids,
        )
        intents.save(intent.as_dict())
        try:
            reply = hook.perform(start_restore(hook.client, request, known_ids))
        except AvePointError as e:  # out of the driver, in the middle of an answer
            reply = Reply(kind=ReplyKind.UNKNOWN, message=str(e))
        match reply.kind:
            case ReplyKind.STARTED:
                self.log.info("Restore job %s has begun.", reply.job_id)
                intent = replace(intent, phase=Phase.STARTED, job_id=reply.job_id)
            case ReplyKind.UNKNOWN:
                self.log.warning("It is not known whether the restore began: %s", reply.message)
                doubt = one_line(reply.message)
                intent = replace(intent, answered_at=hook.client.clock.now(), doubt=doubt)
            case _:
                intent = replace(intent, phase=Phase.REFUSED)
        intents.save(intent.as_dict())
        self._count("restore_requests", request, reply.kind)
        return intent, reply

    @staticmethod
    def _wait_for_place(intent: Intent, reply: Reply, deadline: datetime) -> _Wait:
        now = datetime.now(UTC)
        if now >= deadline:
            raise AvePointUnavailable(
                "Nothing was restored: no place came free beside other restores and exports. "
                f"({reply.message})",
                status=429,
            )
        return _Wait(intent=intent, until=min(deadline, now + BUSY_PAUSE), text=reply.message, is_paused=True)

    @staticmethod
    def _check_adoption(hook: AvePointHook, request: RestoreRequest, intent: Intent) -> None:
        """Look once more, at the end, whether the job that was found is the only one that it may be."""
        if not intent.was_adopted:
            return
        ids = hook.perform(find_candidates(hook.client, intent, request.product, request.location))
        if len(ids) > 1:
            raise describe_uncertainty(intent, ids)

    def _defer(self, request: RestoreRequest, wait: _Wait, begun: datetime, interval: timedelta) -> None:
        from airflow_provider_avepoint.triggers.avepoint import AvePointRestoreTrigger

        now = datetime.now(UTC)
        written = wait.intent.as_dict()
        if wait.intent.job_id is None:
            interval = min(interval, _SEARCH_INTERVAL)
        self.defer(
            trigger=AvePointRestoreTrigger(
                avepoint_conn_id=self.avepoint_conn_id,
                request=request.as_dict(),
                intent=None if wait.is_paused else written,
                poll_interval=interval.total_seconds(),
                wake_at=wait.until.isoformat(),
                first_poll_at=(now + min(_FIRST_POLL_AFTER, interval)).isoformat(),
            ),
            method_name="execute_complete",
            kwargs={"intent": written, "started_at": begun.isoformat()},
            timeout=max(wait.until - now, timedelta()) + 2 * interval + _BACKSTOP,
        )

    def _note_unjudged(
        self,
        error: Exception,
        request: RestoreRequest,
        intents: IntentStore,
        expected: int | None,
        ledger: DrillLedger | None,
    ) -> None:
        """Keep in the ledger that a restore may have begun and was not judged; the error ends the task."""
        if ledger is None:
            return
        try:
            kept = intents.load()
            drill = None if kept is None else describe_unjudged(request, kept, error, expected)
            if drill is not None:
                ledger.save(drill)
        except AvePointError as e:
            self.log.error("The drill could not be kept: %s", e)  # noqa: TRY400  # no bug, no stack

    def _conclude(
        self, context: Context, drill: Drill, ledger: DrillLedger | None, *, is_checked: bool
    ) -> dict[str, Any]:
        self._drill = evidence = drill.as_dict()
        if ledger is not None:
            try:
                evidence["ledger"] = ledger.save(evidence, awaits_check=is_checked and drill.passed)
            except AvePointError as e:
                if drill.passed:
                    raise
                self.log.error("The drill could not be kept: %s", e)  # noqa: TRY400  # no bug, no stack
        if drill.passed:
            self.log.info("%s", drill.message)
            return evidence
        if (ti := context.get("ti")) is not None:
            ti.xcom_push(DRILL_KEY, evidence)
        raise AvePointJobFailed(drill.message, job=evidence["job"])

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the backup that was restored from as the task's input; None where OpenLineage is missing."""
        return describe_drill(self.avepoint_conn_id, self._drill)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the same lineage for a drill that did not pass.

        :param task_instance: Airflow's task instance.
        """
        return self.get_openlineage_facets_on_complete(task_instance)

    @staticmethod
    def _count(name: str, request: RestoreRequest, outcome: str) -> None:
        from airflow_provider_avepoint.metrics import count

        count(name, product=request.product, service=request.service, outcome=str(outcome))

    def _find_patience(self) -> timedelta:
        """Return how long a try may wait: it gives up, and says so, before Airflow ends it without a word."""
        patience = _parse_span("timeout", self.timeout)
        if self.execution_timeout is None:
            return patience
        return min(patience, self.execution_timeout - min(_TO_SAY_SO, self.execution_timeout / 10))

    def _build_request(self, default_location: str | None) -> RestoreRequest:
        asked = {name: getattr(self, name) for name in _ASKED}
        return RestoreRequest.parse(**asked, default_location=default_location)


def _parse_span(name: str, value: object) -> timedelta:
    span = parse_span(name, value)
    if span is None:
        raise refuse(name, value, "is no time span.")
    return span


def open_intents(
    context: Context, handed_over: dict[str, Any] | None, ledger: DrillLedger | None = None
) -> IntentStore:
    """Return where the intent of a task is kept: in Airflow's task state, or else in the ledger.

    Outside of a task instance nothing retries a task, and the process itself remembers.

    :param context: Airflow's context of the task.
    :param handed_over: the intent as it was when the task deferred.
    :param ledger: the task's place in the ledger.
    :raises AvePointConfigError: a task instance has no place to keep the intent in.
    """
    if (store := context.get("task_state_store")) is not None:
        if handed_over is None and ledger is not None:  # an older Airflow may have begun the run
            handed_over = ledger.find_intent()
        return _TaskState(store, handed_over)
    if ledger is not None and (kept := ledger.open_intents(handed_over)) is not None:
        return kept
    if context.get("ti") is not None:
        raise AvePointConfigError(
            "A restore needs a place to keep what it is about to do, so that no retry restores twice: the "
            "task state of Airflow 3.3 or newer, or a ledger. Give ledger_conn_id."
        )
    return _Memory(handed_over)


class _TaskState:
    """Keeps the intent in Airflow's task state, which outlives the process, the try and a clearing."""

    def __init__(self, store: Any, handed_over: dict[str, Any] | None) -> None:
        self._store = store
        self._handed_over = handed_over

    def load(self) -> object:
        kept = self._store.get(_INTENT_KEY)
        return self._handed_over if kept is None else kept

    def save(self, kept: dict[str, Any]) -> None:
        self._store.set(_INTENT_KEY, kept, retention=_RETENTION)
        # A try that Airflow has given up may still run: it can read nothing back, and must not go on.
        if self._store.get(_INTENT_KEY) != kept:
            raise AvePointUnavailable("Airflow's task state has not kept what this task is about to do.")


class _Memory:
    """Keeps the intent while the process lives, for notebooks and plain tests."""

    def __init__(self, handed_over: dict[str, Any] | None) -> None:
        self._kept = handed_over

    def load(self) -> object:
        return self._kept

    def save(self, kept: dict[str, Any]) -> None:
        self._kept = kept
