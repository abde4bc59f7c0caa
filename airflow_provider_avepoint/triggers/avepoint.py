"""Wait for a job or a verdict on the triggerer's event loop."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_avepoint.core.errors import AvePointError, AvePointJobNotFound
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.waiting import Event, Watch

if TYPE_CHECKING:
    from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook


# Whatever a sensor was told: an interval of 0 must not turn into a loop without a pause.
_LEAST_INTERVAL = 1.0


class _WaitTrigger(BaseTrigger):
    """Look again and again until the wait ends; one event, then done.

    Arguments are JSON values and hold the connection's id, never a secret. Times are absolute, so that a
    restarted triggerer goes on where the other stopped.

    :param avepoint_conn_id: the connection.
    :param poll_interval: seconds between two looks.
    :param started_at: when the wait began, in ISO 8601.
    :param deadline: when it times out; None for never.
    :param execution_deadline: when the task's ``execution_timeout`` ends it; None for never.
    :param first_poll_at: no look, and so no event, comes before this moment.
    :param failed_polls: polls in a row that had failed before the wait was handed over.
    :param news: what had been seen before that, in a sentence.
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

    @property
    @abstractmethod
    def subject(self) -> dict[str, Any]:
        """The arguments that say what is waited for, as JSON values."""

    @abstractmethod
    async def look(self, hook: AvePointAsyncHook, watch: Watch) -> Event | None:
        """Ask once and return the event that ends the wait, if it does."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments that make this trigger again."""
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
                **self.subject,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event that ends the wait."""
        from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook

        watch = Watch.resume(self.failed_polls, self.news)
        ends_at = min(filter(None, map(_parse, (self.deadline, self.execution_deadline))), default=None)
        await _sleep_until(_parse(self.first_poll_at))
        async with AvePointAsyncHook(self.avepoint_conn_id) as hook:
            while True:
                event = await self._poll(hook, watch)
                if event is None and ends_at is not None and datetime.now(UTC) >= ends_at:
                    event = self._end(watch)
                if event is not None:
                    yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's
                    return
                next_poll = datetime.now(UTC) + timedelta(seconds=max(_LEAST_INTERVAL, self.poll_interval))
                await _sleep_until(next_poll if ends_at is None else min(next_poll, ends_at))

    async def _poll(self, hook: AvePointAsyncHook, watch: Watch) -> Event | None:
        known = watch.news
        try:
            event = await self.look(hook, watch)
        except AvePointError as e:
            self.log.warning("The poll failed (%s in a row so far): %s", watch.failed_polls, e)
            return watch.note_error(e)
        if watch.news != known:
            self.log.info("%s Next look in %.0f s.", watch.news, self.poll_interval)
        return event

    def _end(self, watch: Watch) -> Event:
        deadline = _parse(self.deadline)
        if deadline is not None and datetime.now(UTC) >= deadline:
            started_at = _parse(self.started_at) or deadline
            return watch.time_out((datetime.now(UTC) - started_at).total_seconds())
        return watch.overrun()


class AvePointBackupTrigger(_WaitTrigger):
    """Wait until a policy's verdict passes, or is bad for good.

    :param policy: ``Policy.as_dict()``: the arguments of a :class:`Policy` as JSON values.
    """

    def __init__(self, *, policy: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.policy = policy

    @property
    def subject(self) -> dict[str, Any]:
        """The policy."""
        return {"policy": self.policy}

    async def look(self, hook: AvePointAsyncHook, watch: Watch) -> Event | None:
        """Judge what the API shows now."""
        return watch.note_verdict(await hook.ajudge(Policy(**self.policy)))


class AvePointJobTrigger(_WaitTrigger):
    """Wait until one job reaches a terminal state. An id that is not listed yet is waited for.

    :param product: the product whose job it is.
    :param job_id: its id.
    :param accept_partial: whether a job that finished with exceptions ended well.
    :param location: the Multi-Geo location to look in.
    :param organization_id: the organisation to look in.
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

    @property
    def subject(self) -> dict[str, Any]:
        """The job and what counts as its good end."""
        return {
            "product": self.product,
            "job_id": self.job_id,
            "accept_partial": self.accept_partial,
            "location": self.location,
            "organization_id": self.organization_id,
        }

    async def look(self, hook: AvePointAsyncHook, watch: Watch) -> Event | None:
        """Ask how the job stands."""
        try:
            job = await hook.aget_job(
                self.product, self.job_id, location=self.location, organization_id=self.organization_id
            )
        except AvePointJobNotFound:
            watch.note_absence(f"{self.product} job {self.job_id} is not listed yet.")
            return None
        return watch.note_job(job, accept_partial=self.accept_partial)


def _parse(moment: str | None) -> datetime | None:
    return None if moment is None else datetime.fromisoformat(moment)


async def _sleep_until(moment: datetime | None) -> None:
    if moment is not None:
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
