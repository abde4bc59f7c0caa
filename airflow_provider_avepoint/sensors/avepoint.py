"""Wait for a good backup, or for the end of one job."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.checked import CheckedOperator
from airflow_provider_avepoint.core.arguments import parse_flag, parse_text, require_text
from airflow_provider_avepoint.core.errors import AvePointError, AvePointJobNotFound
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.literals import check_each, check_listing
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.wait_events import Event, Status, Watch, doubt_job, doubt_verdict
from airflow_provider_avepoint.gates import PolicyOperator
from airflow_provider_avepoint.links import LinkedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_avepoint.hooks.avepoint import AvePointHook
    from airflow_provider_avepoint.triggers.avepoint import _WaitTrigger

__all__ = ["AvePointBackupSensor", "AvePointJobSensor"]

# Airflow 3.3.2 can fail a correct task if its trigger fires within seconds of the deferral. So the first
# event comes at least this long after the deferral.
_FIRST_POLL_AFTER = timedelta(seconds=10)
# The trigger ends the wait by itself. Airflow's own timeout comes this much later, in case no trigger runs.
_BACKSTOP = timedelta(minutes=5)
# The scheduler's error for a deferral that lasts too long: in Airflow 3, and in Airflow 2.11.
_DEFERRAL_TIMEOUTS = ("Trigger timeout", "Trigger/execution timeout")
#: The XCom key of a job that ended badly; a job that ended well is the return value.
JOB_KEY = "job"
_WATCH_KEY = "avepoint_watch"


class _AvePointSensor(BaseSensorOperator):
    """A wait that ends in the same way in every mode.

    A look at the API returns an event or None. In every mode :meth:`_conclude` turns the event into the end
    of the task.
    """

    def __init__(
        self,
        *,
        poke_interval: timedelta | float = 300,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        _check_ways(deferrable, self.mode)
        self.deferrable = self.mode != "reschedule" if deferrable is None else deferrable
        self._watch = Watch()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)  # type: ignore[misc]  # both sensors are checked operators
        _check_ways(given.get("deferrable"), given.get("mode"))

    @abstractmethod
    def _look(self, hook: AvePointHook, watch: Watch) -> Event | None:
        """Look once; return the event that ends the wait, or None."""

    @abstractmethod
    def _build_trigger(self, **waiting: Any) -> _WaitTrigger:
        """Return the trigger that continues the wait; *waiting* holds the arguments of every trigger."""

    @abstractmethod
    def _keep_evidence(self, context: Context, evidence: dict[str, Any] | None) -> None:
        """Keep the evidence of a wait that ends badly in an XCom."""

    def _note_evidence(self, context: Context, evidence: dict[str, Any]) -> None:
        """Record the evidence that the wait ends with."""

    @abstractmethod
    def _doubt(self, status: Status, evidence: object) -> str | None:
        """Say why *evidence* cannot belong to the end of this wait; None where it can."""

    @abstractmethod
    def _reject(self, message: str, evidence: dict[str, Any] | None) -> NoReturn:
        """End the task because the backup or job ended badly."""

    def execute(self, context: Context) -> Any:
        """Wait, and return the evidence.

        :param context: Airflow's context of the task.
        :returns: the verdict or the job that ended the wait, ready for JSON.
        :raises AirflowSkipException: the task is skipped, as its arguments say.
        """
        self._watch = Watch()
        if not self.deferrable:
            return self._execute_in_place(context)
        try:
            return self._execute_deferrable(context)
        except AirflowSkipException:
            raise
        except Exception as e:
            if self.never_fail:  # for any error, as the base sensor does in the other modes
                exceptions.skip(self, f"never_fail: {e}")
            raise

    def _execute_in_place(self, context: Context) -> Any:
        """Wait in poke or reschedule mode, by Airflow's own sensor."""
        if self.reschedule and context.get("ti") is None:
            self.mode = "poke"  # outside of a task instance nothing can reschedule
        started_at = datetime.now(UTC)
        # The base sensor would skip the task without reporting the last look.
        soft_fail, self.soft_fail = self.soft_fail, False
        try:
            event = super().execute(context)
        except AirflowSensorTimeout:
            begun = self._find_first_look(context) or started_at
            waited = max((datetime.now(UTC) - begun).total_seconds(), self.timeout)
            event = self._watch.time_out(waited)
        finally:
            self.soft_fail = soft_fail
        return self._conclude(context, event)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, in Airflow's poke and reschedule modes.

        :param context: Airflow's context of the task.
        :returns: whether the wait is over; the XCom value is the event that ends the wait.
        """
        try:
            event = self._poll(context)
        except Exception as e:
            self._watch.note_defect(e)  # with silent_fail the base sensor continues to wait
            raise
        if event is None and not self._watch.failed_polls:
            self.log.info("%s", self._watch.news if self._watch.is_changed else "Nothing has changed.")
        return PokeReturnValue(is_done=event is not None, xcom_value=event)

    def execute_complete(self, context: Context, event: Event | None = None) -> Any:
        """End the task according to the trigger's event.

        :param context: Airflow's context of the task.
        :param event: the trigger's event; None or an event of an unknown form fails the task.
        :returns: the evidence of a good end, ready for JSON.
        """
        return self._conclude(context, event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume the task after a deferral.

        With ``soft_fail`` the base sensor would turn every failure of a resumed task into a skip, also a
        refused password, but not in the other modes. Here one place decides each outcome for all modes.

        :param next_method: the method to continue with; ``__fail__`` if the trigger failed.
        :param next_kwargs: the method's arguments, or ``error`` and ``traceback`` of the failure.
        :param context: Airflow's context of the task.
        :returns: the result of *next_method*.
        """
        self.console_url: str | None = None  # as LinkedOperator does
        if next_method != "__fail__":
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        failure = next_kwargs or {}
        if failure.get("error") in _DEFERRAL_TIMEOUTS:
            self._fail(
                exceptions.AvePointWaitTimeout(
                    f"No triggerer ran this wait to its end{_tell_age(context)}, and nothing is known of "
                    "what was waited for. Check that a triggerer is running and has room for more triggers, "
                    "then clear the task."
                )
            )
        self.log.error("The trigger failed:\n%s", "\n".join(failure.get("traceback") or ()))
        return self._fail(AirflowException(f"The trigger of this wait failed: {failure.get('error')}"))

    def _execute_deferrable(self, context: Context) -> Any:
        started_at = datetime.now(UTC)
        event = self._poll(context)
        if event is not None:
            return self._conclude(context, event)
        deadline = started_at + timedelta(seconds=self.timeout)
        execution_deadline = started_at + self.execution_timeout if self.execution_timeout else None
        interval = timedelta(seconds=self.poke_interval)
        now = datetime.now(UTC)
        if now >= deadline:
            return self._conclude(context, self._watch.time_out((now - started_at).total_seconds()))
        pace = " and then ever less often" if self.exponential_backoff else ""
        self.log.info(
            "%s",
            self._watch.tell(
                f"Waiting on the triggerer, a look every {self.poke_interval:.0f} s{pace}, until "
                f"{deadline:%Y-%m-%d %H:%M:%S} UTC."
            ),
        )
        return self.defer(
            trigger=self._build_trigger(
                avepoint_conn_id=self.avepoint_conn_id,  # type: ignore[attr-defined]  # both sensors have one
                poll_interval=self.poke_interval,
                started_at=started_at.isoformat(),
                deadline=deadline.isoformat(),
                execution_deadline=execution_deadline.isoformat() if execution_deadline else None,
                first_poll_at=(now + min(_FIRST_POLL_AFTER, interval)).isoformat(),
                exponential_backoff=bool(self.exponential_backoff),
                max_wait=self.max_wait.total_seconds() if self.max_wait else None,
                **self._watch.hand_over(),
            ),
            method_name="execute_complete",
            timeout=deadline - now + 2 * interval + _BACKSTOP,
        )

    def _poll(self, context: Context) -> Event | None:
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        store = self._find_store(context)
        if store is not None:
            self._watch = Watch.resume(**json.loads(str(store.get(_WATCH_KEY) or "{}")))
        try:
            with AvePointHook(self.avepoint_conn_id) as hook:  # type: ignore[attr-defined]  # both have one
                self.leave_link(context, hook.settings)  # type: ignore[attr-defined]  # both are linked
                event = self._look(hook, self._watch)
        except AvePointError as e:
            event = self._watch.note_error(e)
            if event is None:
                self.log.warning("The poll failed (%s in a row): %s", self._watch.failed_polls, e)
        if store is not None:
            store.set(_WATCH_KEY, json.dumps(self._watch.hand_over()))
        return event

    def _find_first_look(self, context: Context) -> datetime | None:
        """Return the time of the first look in mode="reschedule", by another process; None where unknown."""
        find = getattr(context.get("ti"), "get_first_reschedule_date", None)
        first: datetime | None = find(context) if self.reschedule and find is not None else None
        return first

    def _find_store(self, context: Context) -> Any:
        """Return the store that keeps a wait's state between the processes of mode="reschedule", or None."""
        return context.get("task_state_store") if self.reschedule else None

    def _conclude(self, context: Context, event: Event | None) -> Any:
        """Return the evidence of a good end, or raise the error for any other end."""
        if (store := self._find_store(context)) is not None:
            store.set(_WATCH_KEY, "{}")  # the next try begins anew
        status, event = self._check(event)
        message, evidence = str(event.get("message")), event.get("evidence")
        if evidence is not None:
            try:
                self._note_evidence(context, evidence)
            except AvePointError as e:
                self._fail(e)
        if status is Status.PASSED:
            self.log.info("%s", message)
            return evidence
        self._keep_evidence(context, evidence)
        if status is Status.ERROR:
            self._fail(_rebuild_error(event))
        if status is Status.OVERDUE:
            self._skip_if(self.never_fail, message)
            raise AirflowTaskTimeout(message)
        if status is Status.FAILED:
            self._skip_if(self.soft_fail or self.never_fail, message)
            return self._reject(message, evidence)
        # An outage is no verdict: settings that skip a bad verdict do not skip an outage.
        self._skip_if(status is Status.TIMEOUT and (self.soft_fail or self._skips_when_bad), message)
        return self._fail(exceptions.AvePointWaitTimeout(message))

    def _check(self, event: Event | None) -> tuple[Status, Event]:
        """Return the event and its status; fail the task where the event is malformed or doubtful."""
        if not isinstance(event, dict) or event.get("status") not in list(Status):
            self._fail(AirflowException(f"The wait ended with an event that is not understood: {event!r}"))
        status, evidence = Status(event["status"]), event.get("evidence")
        needs_evidence = status in (Status.PASSED, Status.FAILED)
        if (evidence is not None or needs_evidence) and (doubt := self._doubt(status, evidence)):
            self._fail(
                AirflowException(
                    f"An event that says {status} has ended the wait, but {doubt}. Nothing is decided; clear "
                    "the task to look again."
                )
            )
        return status, event

    @property
    def _skips_when_bad(self) -> bool:
        return False

    def _fail(self, error: Exception) -> NoReturn:
        self._skip_if(self.never_fail, str(error))
        raise error

    def _skip_if(self, condition: bool, message: str) -> None:  # noqa: FBT001  # reads as a sentence
        if condition:
            exceptions.skip(self, message)


def _check_ways(deferrable: object, mode: object) -> None:
    if deferrable is True and mode == "reschedule":
        raise ValueError("deferrable=True and mode='reschedule' are two ways to wait; choose one.")


def _tell_age(context: Context) -> str:
    """Say how long ago the task began; an empty text where that is unknown."""
    started_at = getattr(context.get("ti"), "start_date", None)
    if not isinstance(started_at, datetime) or started_at.tzinfo is None:
        return ""
    return f" in the {(datetime.now(UTC) - started_at).total_seconds():.0f} s since the task began"


def _rebuild_error(event: Event) -> Exception:
    """Return the error that an event describes, with its facts; the trigger may be of another release."""
    message, facts = str(event.get("message")), event.get("facts")
    known = getattr(exceptions, str(event.get("error")), None)
    if not isinstance(known, type) or not issubclass(known, AvePointError):
        return AirflowException(message)
    error = known(message)
    for name in vars(error).keys() & (facts if isinstance(facts, dict) else {}).keys():
        setattr(error, name, facts[name])  # type: ignore[index]  # the loop runs only if facts is a dict
    return error


class AvePointBackupSensor(_AvePointSensor, PolicyOperator):
    """Wait until the backup is good; see :class:`~airflow_provider_avepoint.core.policy.Policy`.

    Returns the verdict with its evidence. Defers by default: the worker looks once, then the triggerer looks.
    The window of ``started_after`` and the timeout are fixed when the wait begins; ``max_age`` is measured
    anew at each look. Of the arguments of Airflow's sensors:

    - ``exponential_backoff``: each pause between looks is about twice the pause before, up to *max_wait*, in
      every mode.
    - ``timeout``: seconds after which the task ends with ``AirflowSensorTimeout``, without a retry. With
      ``on_failed="skip"`` or ``soft_fail`` the task is skipped instead, unless the last look failed: an
      outage is no verdict.

    :param product: the product's name, such as ``dynamics365``.
    :param started_after: the data cut-off: the backup must have started at or after it.
    :param max_age: the largest age of the backup; a number is in seconds. Either *started_after* or *max_age*
        is required.
    :param organization_ids: the organisations that are expected.
    :param object_types: the workloads that are expected.
    :param locations: the Multi-Geo locations that are expected.
    :param expect_seen_within: expect every scope that had a job within this time before the window; a number
        is in seconds, and None switches this off.
    :param exclude: scopes that are shown but not judged.
    :param job_type: the job types that count as a backup.
    :param decide_by: which ended backups of a scope must be good: ``newest``, ``any`` or ``all``.
    :param accept_partial: a backup that finished with exceptions passes.
    :param max_failed: a partial backup passes up to this number of failed objects.
    :param max_failed_ratio: a partial backup passes up to this share of failed objects, 0 to 1.
    :param on_failed: what the task does with a verdict that does not pass: ``fail``, ``retry`` or ``skip``.
    :param fail_fast: the sensor ends as soon as a scope is bad and none of its newer backups is running.
    :param expect_scheduled: expect every service that is scheduled (Microsoft 365). AvePoint tells the
        schedule of the current UTC day only: with *ledger_conn_id* each schedule that is read is kept there,
        and the due runs of past days are judged by what was kept.
    :param max_unusual: the largest count of unusual activity that passes; None does not ask for it.
    :param unusual_within: how far back unusual activity counts; a number is in seconds. It does nothing while
        *max_unusual* is None.
    :param ledger_conn_id: an Airflow connection to the ledger's database, PostgreSQL or SQLite. The verdict
        is recorded there; None records nothing. A verdict that passes but cannot be recorded, or that would
        pass while the schedule of past days cannot be read, fails the task: a retry may mend that.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param avepoint_conn_id: the id of the AvePoint connection.
    :param poke_interval: seconds between two looks, or a timedelta.
    :param deferrable: None defers unless ``mode="reschedule"``. Before Airflow 3.3 that mode forgets between
        two looks how many looks in a row have failed, and the result of the last good look.
    :raises AvePointBackupFailed: with ``fail_fast``, the verdict is bad and waiting cannot mend it: the task
        fails without a retry. With ``on_failed="retry"`` the task raises ``AvePointBackupNotVerified``
        instead, and Airflow retries it by its own settings. With ``on_failed="skip"`` or ``soft_fail`` the
        task is skipped instead; downstream tasks whose trigger rule matches skipped tasks (``none_failed``,
        ``all_done``) then still run.
    """

    # PolicyOperator declares the arguments of the policy. They are repeated here for editors, which show the
    # arguments of the class that is written; a test compares both.
    def __init__(
        self,
        *,
        product: str,
        started_after: datetime | str | None = None,
        max_age: timedelta | float | str | None = None,
        organization_ids: Sequence[str] | str | None = None,
        object_types: Sequence[str] | str | None = None,
        locations: Sequence[str] | str | None = None,
        expect_seen_within: timedelta | float | str | None = timedelta(days=7),
        exclude: list[dict[str, Any]] | str | None = None,
        job_type: str | Sequence[str] = "backup",
        decide_by: str | None = None,
        accept_partial: bool | str = False,
        max_failed: int | str | None = None,
        max_failed_ratio: float | str | None = None,
        on_failed: str = "fail",
        fail_fast: bool | str = True,
        expect_scheduled: bool | str = False,
        max_unusual: int | str | None = None,
        unusual_within: timedelta | float | str = timedelta(days=7),
        ledger_conn_id: str | None = None,
        tenant: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        poke_interval: timedelta | float = 300,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            product=product,
            started_after=started_after,
            max_age=max_age,
            organization_ids=organization_ids,
            object_types=object_types,
            locations=locations,
            expect_seen_within=expect_seen_within,
            exclude=exclude,
            job_type=job_type,
            decide_by=decide_by,
            accept_partial=accept_partial,
            max_failed=max_failed,
            max_failed_ratio=max_failed_ratio,
            on_failed=on_failed,
            fail_fast=fail_fast,
            expect_scheduled=expect_scheduled,
            max_unusual=max_unusual,
            unusual_within=unusual_within,
            ledger_conn_id=ledger_conn_id,
            tenant=tenant,
            avepoint_conn_id=avepoint_conn_id,
            poke_interval=poke_interval,
            deferrable=deferrable,
            **kwargs,
        )

    def _look(self, hook: AvePointHook, watch: Watch) -> Event | None:
        return watch.note_verdict(hook.judge(self.build_policy(), keep_days=self.build_keeper()))

    def _build_trigger(self, **waiting: Any) -> _WaitTrigger:
        from airflow_provider_avepoint.triggers.avepoint import AvePointBackupTrigger

        policy = self.build_policy()
        ledger = self.find_ledger() if policy.expect_scheduled else None
        return AvePointBackupTrigger(policy=policy.as_dict(), ledger=ledger, **waiting)

    def _keep_evidence(self, context: Context, evidence: dict[str, Any] | None) -> None:
        self.keep_evidence(context, evidence)

    def _note_evidence(self, context: Context, evidence: dict[str, Any]) -> None:
        self.note_verdict(context, evidence)

    def _doubt(self, status: Status, evidence: object) -> str | None:
        return doubt_verdict(status, evidence, self.product)

    def _reject(self, message: str, evidence: dict[str, Any] | None) -> NoReturn:
        self.reject(message, evidence, is_settled=True)

    @property
    def _skips_when_bad(self) -> bool:
        return self.on_failed == "skip"


class AvePointJobSensor(_AvePointSensor, CheckedOperator, LinkedOperator):
    """Wait until one job has ended well: ``success``, or ``partial`` with *accept_partial*.

    Returns the job. A job that is not listed yet is waited for. The arguments for waiting:

    - ``deferrable``: None defers unless ``mode="reschedule"``. Before Airflow 3.3 that mode forgets between
      two looks how many looks in a row have failed, and the result of the last good look.
    - ``poke_interval``: seconds between two looks.
    - ``exponential_backoff``: each pause between looks is about twice the pause before, up to *max_wait*, in
      every mode.
    - ``timeout``: seconds after which the task ends with ``AirflowSensorTimeout``, without a retry. With
      ``soft_fail`` the task is skipped instead, unless the last look failed.

    :param product: the product's name, such as ``dynamics365``.
    :param job_id: the job's id.
    :param accept_partial: a job that finished with exceptions counts as ended well.
    :param location: the Multi-Geo location of the job (Microsoft 365).
    :param organization_id: the job's organisation, where the product has organisations.
    :param avepoint_conn_id: the id of the AvePoint connection.
    :raises AvePointJobFailed: the job ended otherwise: the task fails without a retry, because a retry would
        find the same end. With ``soft_fail`` the task is skipped instead.
    """

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "product",
        "job_id",
        "accept_partial",
        "location",
        "organization_id",
    )
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        product: str,
        job_id: str,
        accept_partial: bool | str = False,
        location: str | None = None,
        organization_id: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.job_id = job_id
        self.accept_partial = accept_partial
        self.location = location
        self.organization_id = organization_id
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        check_listing({name: given[name] for name in ("product", "location", "organization_id")})
        check_each(
            given, product=require_text, job_id=require_text, accept_partial=parse_flag, location=parse_text
        )

    def _look(self, hook: AvePointHook, watch: Watch) -> Event | None:
        accept_partial = parse_flag("accept_partial", self.accept_partial)
        try:
            job = hook.get_job(
                self.product, self.job_id, location=self.location, organization_id=self.organization_id
            )
        except AvePointJobNotFound:
            watch.note_absence(f"{self.product} job {self.job_id} is not listed yet.")
            return None
        return watch.note_job(job, accept_partial=accept_partial, now=hook.client.clock.now())

    def _build_trigger(self, **waiting: Any) -> _WaitTrigger:
        from airflow_provider_avepoint.triggers.avepoint import AvePointJobTrigger

        return AvePointJobTrigger(
            product=self.product,
            job_id=require_text("job_id", self.job_id),
            accept_partial=parse_flag("accept_partial", self.accept_partial),
            location=parse_text("location", self.location),
            organization_id=normalize_id(parse_text("organization_id", self.organization_id)),
            **waiting,
        )

    def _keep_evidence(self, context: Context, evidence: dict[str, Any] | None) -> None:
        if evidence is not None and (ti := context.get("ti")) is not None:
            ti.xcom_push(JOB_KEY, evidence)

    def _doubt(self, status: Status, evidence: object) -> str | None:
        return doubt_job(
            status,
            evidence,
            self.product,
            str(self.job_id).strip(),
            accept_partial=parse_flag("accept_partial", self.accept_partial),
        )

    def _reject(self, message: str, evidence: dict[str, Any] | None) -> NoReturn:
        raise exceptions.AvePointJobFailed(message, job=evidence)
