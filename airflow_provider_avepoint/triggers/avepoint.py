"""Wait for a job or a verdict on the triggerer's event loop."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_avepoint.core.batching import Answers, ask_for_job
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.questions import KnownDays, Question
from airflow_provider_avepoint.core.wait_events import Event, Watch, find_pause
from airflow_provider_avepoint.triggers.events import AvePointBackupEventTrigger
from airflow_provider_avepoint.triggers.ledger import akeep_schedules
from airflow_provider_avepoint.triggers.poll import Wait, join
from airflow_provider_avepoint.triggers.restore import AvePointRestoreTrigger

__all__ = [
    "AvePointBackupEventTrigger",
    "AvePointBackupTrigger",
    "AvePointJobTrigger",
    "AvePointRestoreTrigger",
]

# Arguments that are serialized only if they differ from their default, which is None or False: a triggerer
# of an older release than its workers does not know them.
_OPTIONAL = ("last_error", "unknown_since", "exponential_backoff", "max_wait")
# The same for arguments of a policy.
_OPTIONAL_IN_POLICY = {
    name: value
    for name, value in Policy(product="m365", max_age=1).as_dict().items()
    if name in ("expect_scheduled", "max_unusual", "unusual_within")
}


class _WaitTrigger(BaseTrigger):
    """Wait, and look whenever the shared poll looks, until the wait ends; send one event.

    The arguments are JSON values and hold the connection's id, never a secret. Times are absolute, so that a
    restarted triggerer continues the same wait.

    :param avepoint_conn_id: the id of the connection.
    :param poll_interval: seconds between two looks.
    :param started_at: when the wait began, in ISO 8601.
    :param deadline: when the wait times out, in ISO 8601; None for never.
    :param execution_deadline: when the task's ``execution_timeout`` ends the wait, in ISO 8601; None for
        never.
    :param first_poll_at: the earliest time of a look, and so of an event, in ISO 8601.
    :param failed_polls: how many polls in a row had failed before the worker handed the wait over.
    :param news: the last result before the hand-over, in a sentence.
    :param last_error: why the last of the failed polls had failed.
    :param unknown_since: when the first of the failed polls had failed.
    :param exponential_backoff: whether the pauses between looks grow with the time since *started_at*.
    :param max_wait: the longest pause, in seconds; None for no limit.
    """

    def __init__(
        self,
        *,
        avepoint_conn_id: str,
        poll_interval: float,
        started_at: str,
        deadline: str | None = None,
        execution_deadline: str | None = None,
        first_poll_at: str | None = None,
        failed_polls: int = 0,
        news: str | None = None,
        last_error: str | None = None,
        unknown_since: str | None = None,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.avepoint_conn_id = avepoint_conn_id
        self.poll_interval = poll_interval
        self.started_at = started_at
        self.deadline = deadline
        self.execution_deadline = execution_deadline
        self.first_poll_at = first_poll_at
        self.failed_polls = failed_polls
        self.news = news
        self.last_error = last_error
        self.unknown_since = unknown_since
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait

    @property
    @abstractmethod
    def subject(self) -> dict[str, Any]:
        """The arguments that name what the trigger waits for, as JSON values."""

    @property
    @abstractmethod
    def polled_product(self) -> str:
        """The product whose poll this wait shares."""

    @abstractmethod
    def ask(self, now: datetime, location: str | None) -> list[JobQuery]:
        """Return the listings to ask for at *now*.

        :param now: the time of the look.
        :param location: the connection's own Multi-Geo location; None where the connection has none.
        """

    def ask_more(self, answers: Answers, queries: list[JobQuery]) -> list[JobQuery]:  # noqa: ARG002  # most ask nothing
        """Return further listings to ask for in the same look.

        :param answers: the answers to *queries*.
        :param queries: the listings that :meth:`ask` returned.
        """
        return []

    def ask_beside(self, location: str | None) -> list[Question]:  # noqa: ARG002  # most ask nothing
        """Return what to ask beside the jobs.

        :param location: the connection's own Multi-Geo location; None where the connection has none.
        """
        return []

    async def prepare(self, answers: Answers) -> None:
        """Do what :meth:`note` needs and must not do itself, because it takes a while.

        :param answers: the answers of the look.
        """

    @abstractmethod
    def note(self, answers: Answers, queries: list[JobQuery], watch: Watch) -> Event | None:
        """Take the answers of a look; return the event that ends the wait, or None.

        :param answers: the answers to *queries*.
        :param queries: the listings that this trigger asked for.
        :param watch: the state of the wait.
        """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of this class, and the arguments that rebuild this trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "avepoint_conn_id": self.avepoint_conn_id,
                "poll_interval": self.poll_interval,
                "started_at": self.started_at,
                "deadline": self.deadline,
                "execution_deadline": self.execution_deadline,
                "first_poll_at": self.first_poll_at,
                "failed_polls": self.failed_polls,
                "news": self.news,
                **{name: value for name in _OPTIONAL if (value := getattr(self, name))},
                **self.subject,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event that ends the wait."""
        watch = Watch.resume(self.failed_polls, self.news, self.last_error, self.unknown_since)
        await _sleep_until(_parse(self.first_poll_at))
        event: Event | None
        try:
            event = await self._wait(watch)
        except AvePointConfigError as e:  # a worker of a newer release may use a product or word unknown here
            event = self._note_error(e, watch)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's

    async def _wait(self, watch: Watch) -> Event:
        """Look until a look ends the wait, or until its time is over."""
        ends_at = min(filter(None, map(_parse, (self.deadline, self.execution_deadline))), default=None)
        async with join(
            self.avepoint_conn_id,
            self.polled_product,
            self.ask,
            self._find_pause(),
            self.ask_more,
            ask_beside=self.ask_beside,
        ) as wait:
            while True:
                answers = await wait.look(ends_at)
                wait.set_interval(self._find_pause())
                if isinstance(answers, Answers):
                    await self.prepare(answers)
                event = self._take(answers, wait, watch, ends_at)
                if event is None and ends_at is not None and datetime.now(UTC) >= ends_at:
                    event = self._end(watch)
                if event is not None:
                    return event

    def _find_pause(self) -> float:
        """Return the seconds until the next look."""
        started_at = _parse(self.started_at)
        if not self.exponential_backoff or started_at is None:
            return self.poll_interval
        elapsed = (datetime.now(UTC) - started_at).total_seconds()
        return find_pause(self.poll_interval, elapsed, self.max_wait)

    def _take(
        self,
        answers: Answers | AvePointError | None,
        wait: Wait,
        watch: Watch,
        ends_at: datetime | None,
    ) -> Event | None:
        if answers is None:
            watch.note_silence(wait.poll_error)
            return None
        if isinstance(answers, AvePointError):
            return self._note_error(answers, watch)
        try:
            event = self.note(answers, wait.queries, watch)
        except AvePointError as e:
            return self._note_error(e, watch)
        if event is not None:
            self.log.info("%s", event["message"].partition("\n")[0])  # the sensor says all of the message
        elif watch.is_changed:
            begun = f"{_parse(self.started_at):%Y-%m-%d %H:%M:%S}"
            next_look = _write_next_look(wait.seconds_left, ends_at)
            self.log.info("%s", watch.tell(f"Waiting since {begun}; next look about {next_look} UTC."))
        return event

    def _note_error(self, error: AvePointError, watch: Watch) -> Event | None:
        event = watch.note_error(error)
        if event is None:
            self.log.warning("The poll failed (%s in a row so far): %s", watch.failed_polls, error)
        return event

    def _end(self, watch: Watch) -> Event:
        deadline = _parse(self.deadline)
        if deadline is not None and datetime.now(UTC) >= deadline:
            started_at = _parse(self.started_at) or deadline
            return watch.time_out((datetime.now(UTC) - started_at).total_seconds())
        return watch.overrun()


class AvePointBackupTrigger(_WaitTrigger):
    """Wait until a policy's verdict passes, or is bad and can no longer change.

    :param policy: ``Policy.as_dict()``: the arguments of a :class:`Policy` as JSON values.
    :param ledger: ``ledger_conn_id`` and ``tenant``, where schedules are kept; None keeps none.
    """

    def __init__(
        self, *, policy: dict[str, Any], ledger: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.ledger = ledger
        self._known_days: KnownDays | None = None

    @property
    def subject(self) -> dict[str, Any]:
        """The policy, as JSON values; arguments of this release only if they differ from their default."""
        usual = _OPTIONAL_IN_POLICY
        written: dict[str, Any] = {
            "policy": {
                name: value
                for name, value in self.policy.items()
                if name not in usual or value != usual[name]
            }
        }
        return written if self.ledger is None else written | {"ledger": self.ledger}

    @cached_property
    def _policy(self) -> Policy:
        return Policy(**self.policy)

    @property
    def polled_product(self) -> str:
        """The policy's product."""
        return self._policy.product

    def ask(self, now: datetime, location: str | None) -> list[JobQuery]:
        """Return the listings that hold the policy's jobs.

        :param now: the time of the look.
        :param location: the connection's own Multi-Geo location; None where the connection has none.
        """
        return self._policy.queries(now, location=location)

    def ask_more(self, answers: Answers, queries: list[JobQuery]) -> list[JobQuery]:
        """Return the listings that show whether the server filters by object type at all.

        They are needed where all jobs of one object type are also listed for another.

        :param answers: the answers to *queries*.
        :param queries: the listings that :meth:`ask` returned.
        """
        if not self._policy.may_need_control:
            return []
        return self._policy.control_queries(queries, answers.jobs(queries))

    def ask_beside(self, location: str | None) -> list[Question]:
        """Return the policy's questions about the schedule and unusual activity.

        :param location: the connection's own Multi-Geo location; None where the connection has none.
        """
        return self._policy.questions(location=location)

    async def prepare(self, answers: Answers) -> None:
        """Keep the schedules of the look, and recall those of past days.

        :param answers: the answers of the look.
        """
        if self.ledger is None or not (schedules := answers.schedules(self._policy)):
            return
        first = self._policy.window_start(answers.now).astimezone(UTC).date()
        self._known_days = await akeep_schedules(schedules, first, **self.ledger)

    def note(self, answers: Answers, queries: list[JobQuery], watch: Watch) -> Event | None:
        """Judge the jobs that the API shows now.

        :param answers: the answers to *queries*.
        :param queries: the listings that this trigger asked for.
        :param watch: the state of the wait.
        :returns: the event that ends the wait, or None.
        """
        verdict = answers.judge(self._policy, queries, self._known_days)
        event = watch.note_verdict(verdict)
        for warning in verdict.warnings if watch.is_changed else ():
            self.log.warning("%s", warning)
        return event


class AvePointJobTrigger(_WaitTrigger):
    """Wait until one job reaches a terminal state. A job that is not listed yet is waited for.

    :param product: the product's name.
    :param job_id: the job's id.
    :param accept_partial: whether a job that finished with exceptions ended well.
    :param location: the Multi-Geo location of the job.
    :param organization_id: the job's organisation.
    """

    def __init__(
        self,
        *,
        product: str,
        job_id: str,
        accept_partial: bool = False,
        location: str | None = None,
        organization_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.product = product
        self.job_id = job_id
        self.accept_partial = accept_partial
        self.location = location
        self.organization_id = organization_id
        #: When the search for the job began; None before the first look of this trigger.
        self._begun: datetime | None = None
        self._job: BackupJob | None = None

    @property
    def subject(self) -> dict[str, Any]:
        """The job, and whether a partial end is good, as JSON values."""
        return {
            "product": self.product,
            "job_id": self.job_id,
            "accept_partial": self.accept_partial,
            "location": self.location,
            "organization_id": self.organization_id,
        }

    @property
    def polled_product(self) -> str:
        """The job's product."""
        return self.product

    def ask(self, now: datetime, location: str | None) -> list[JobQuery]:
        """Return the listing that holds the job, with a window as short as the job's known times allow.

        :param now: the time of the look.
        :param location: the connection's own Multi-Geo location; None where the connection has none.
        """
        known = get_product(self.product)
        query = JobQuery(
            product=known,
            organization_id=normalize_id(self.organization_id),
            location=self.location or (location if known.tells_locations else None),
            job_id=self.job_id,
        )
        return [ask_for_job(query, now, begun=self._begun, known=self._job)]

    def note(self, answers: Answers, queries: list[JobQuery], watch: Watch) -> Event | None:
        """Note the state of the job.

        :param answers: the answers to *queries*.
        :param queries: the one listing that this trigger asked for.
        :param watch: the state of the wait.
        :returns: the event that ends the wait, or None.
        """
        (query,) = queries
        job = answers.find(query)
        self._begun = _parse(self.started_at)
        if job is None:
            if self._job is not None:  # the connection may lead to another server now: search from the start
                self._job = self._begun = None
            watch.note_absence(f"{self.product} job {self.job_id} is not listed yet.")
            return None
        self._job = job
        return watch.note_job(job, accept_partial=self.accept_partial, now=answers.now)


def _write_next_look(seconds: float, ends_at: datetime | None) -> str:
    """Write the time of the next look, or of the wait's last look; with the date where it is far ahead."""
    now = datetime.now(UTC)
    moment = now + timedelta(seconds=seconds)
    if ends_at is not None:
        moment = min(moment, max(now, ends_at))
    return f"{moment:%H:%M:%S}" if moment - now < timedelta(hours=12) else f"{moment:%Y-%m-%d %H:%M:%S}"


def _parse(moment: str | None) -> datetime | None:
    return None if moment is None else datetime.fromisoformat(moment)


async def _sleep_until(moment: datetime | None) -> None:
    if moment is not None:
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
