"""DAGs that start because a backup has ended: a trigger for ``AssetWatcher``, and its shared stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_avepoint.core.announcing import Watermark, key_of
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.product import get_product
from airflow_provider_avepoint.core.question import Question
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.verdict import Reason, judge, leave_out_claimed
from airflow_provider_avepoint.triggers.poll import join

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # Airflow 2 has no asset watchers
    BaseEventTrigger = BaseTrigger  # type: ignore[assignment,misc]  # never used there
try:
    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer
except ImportError:  # before Airflow 3.3 every watcher runs by itself
    AdvanceItem = Any  # type: ignore[assignment,misc]  # as above
    SharedStreamProducer = None  # type: ignore[assignment,misc]  # as above

log = logging.getLogger(__name__)

_WATERMARK = "avepoint_watermark"
_NEVER = datetime.max.replace(tzinfo=UTC)
# Seconds in which the first watcher of a stream has read its watermark, or the stream looks back by itself.
_PATIENCE = 30.0
#: Which ends are announced.
ANNOUNCE = ("all", "passed", "not_passed")
# What of a job an event carries; messages and rows stay behind: an event is small.
_CARRIED = (
    *(
        "product",
        "job_id",
        "job_type",
        "workload",
        "state",
        "raw_state",
        "started_at",
        "finished_at",
        "duration",
    ),
    *("counts", "record_counts", "metadata_counts", "size_bytes"),
    *("organization_id", "organization_name", "location"),
)


class AvePointBackupEventTrigger(BaseEventTrigger):
    """Send one event for each backup that ends, for ``AssetWatcher``.

    On Airflow 3.3 the watermark is kept with the asset, and the watchers of one connection share one stream:
    no backup is lost while the triggerer is away, and where it was killed a repeat carries the same ``key``.
    On Airflow 3.0 to 3.2 a watcher knows only what ends while it runs, and says so in its log.

    An event's payload is a job without its messages (see :class:`BackupJob`), with ``key``,
    ``avepoint_conn_id`` and ``passed``: whether this backup by itself meets the policy.

    :param asset: the name of the asset that is watched: where the watermark is kept.
    :param product: such as ``dynamics365``.
    :param announce: ``all``, or only what ``passed`` the policy, or what has ``not_passed``.
    :param policy: the arguments of a :class:`~airflow_provider_avepoint.core.policy.Policy`, as JSON values:
        which scopes and job types count, and how good a backup must be. Each backup is judged by itself, when
        it ends.
    :param avepoint_conn_id: the connection.
    :param poll_interval: seconds between two looks.
    """

    def __init__(
        self,
        *,
        asset: str,
        product: str,
        announce: str = "all",
        policy: dict[str, Any] | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float = 300,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.asset = asset
        self.product = product
        self.announce = announce
        self.policy = policy
        self.avepoint_conn_id = avepoint_conn_id
        self.poll_interval = poll_interval
        if announce not in ANNOUNCE:
            raise AvePointConfigError(f"announce: {announce!r} is not one of {', '.join(ANNOUNCE)}.")
        self.checked_policy  # noqa: B018  # a DAG that cannot work is refused when it is read

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments that make this trigger again."""
        return (
            "airflow_provider_avepoint.triggers.avepoint.AvePointBackupEventTrigger",
            {
                "asset": self.asset,
                "product": self.product,
                "announce": self.announce,
                "policy": self.policy,
                "avepoint_conn_id": self.avepoint_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    @cached_property
    def checked_policy(self) -> Policy:
        """Which backups count, and how good each must be."""
        given = dict(self.policy or {})
        if given.get("started_after") is None and given.get("max_age") is None:
            given["max_age"] = 36500 * 86400.0  # whenever it has started
        return Policy(product=self.product, **given)

    def shared_stream_key(self) -> Hashable | None:
        """Return what watchers that share a stream have in common: the connection and what is listed."""
        if SharedStreamProducer is None:
            return None
        policy = self.checked_policy
        customers = policy.organization_ids if get_product(self.product).needs_organization else None
        return (
            "avepoint",
            self.avepoint_conn_id,
            self.product,
            self.poll_interval,
            policy.job_type,
            policy.object_types,
            policy.locations,
            customers,
        )

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return the one poll of all watchers that share :meth:`shared_stream_key`."""
        return build_producer(cls(**kwargs))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Look]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each backup that has ended since this watcher's watermark."""
        watermark = await self._load()
        async for look in shared_stream:
            need = Watermark.first_start(look.now) if watermark is None else watermark.earliest_start
            if look.since <= need:  # else it goes back less far than this watcher needs; the next one will
                events, watermark = self._advance(watermark, look)
                look.kept[self.asset] = watermark
                need = watermark.earliest_start
                for event in events:
                    yield event
            look.state_need(need)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each backup that ends from now on: where Airflow keeps no watermark."""
        self.log.warning(
            "This Airflow keeps no state for assets: backups of %s that end while no triggerer runs are not "
            "announced. Airflow 3.3 keeps it.",
            self.product,
        )
        watermark: Watermark | None = None
        async for look in look_on(self):
            if look.since > datetime.now(UTC):  # the first, which only asks how far to go back
                look.state_need(Watermark.first_start(look.now))
                continue
            events, watermark = self._advance(watermark, look)
            look.state_need(watermark.earliest_start)
            for event in events:
                yield event

    def _advance(self, watermark: Watermark | None, look: Look) -> tuple[list[TriggerEvent], Watermark]:
        if watermark is None:
            self.log.info("Watching the backups of %s that end from now on.", self.product)
            return [], Watermark.begin(look.jobs, look.now)
        ended, watermark = watermark.advance(look.jobs, look.now)
        return [event for job in ended if (event := self._announce(job, look.now)) is not None], watermark

    def _announce(self, job: BackupJob, now: datetime) -> TriggerEvent | None:
        verdicts = [scope for scope in judge([job], self.checked_policy, now).scopes if scope.job is not None]
        if not verdicts:
            return None  # of a scope that the policy is not about
        (verdict,) = verdicts
        wanted = {"passed": verdict.passed, "not_passed": not verdict.passed, "all": True}
        if verdict.reason is Reason.EXCLUDED or not wanted[self.announce]:
            return None
        facts = job.as_dict()
        payload = {name: facts[name] for name in _CARRIED}
        payload |= {"key": key_of(job), "avepoint_conn_id": self.avepoint_conn_id, "passed": verdict.passed}
        self.log.info("%s has ended: %s.", payload["key"], job.state)
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's

    async def _load(self) -> Watermark | None:
        """Return the watermark that is kept with the asset, None where this watcher begins."""
        kept = await _store_of(self.asset).aget(_WATERMARK)
        if kept is None:
            return None
        try:
            return Watermark.from_dict(kept)  # type: ignore[arg-type]  # what is none raises
        except ValueError as e:
            self.log.error("The watermark of %s cannot be read (%s): it begins anew.", self.asset, e)  # noqa: TRY400
            return None


class Look:
    """One look at the API, for all watchers of a stream.

    :param since: jobs that started before were not asked for.
    """

    def __init__(self, *, now: datetime, since: datetime, jobs: list[BackupJob]) -> None:
        self.now = now
        self.since = since
        self.jobs = jobs
        #: The watermark of each watcher, by asset, once its events of this look are stored.
        self.kept: dict[str, Watermark] = {}
        self.need: datetime | None = None
        self.is_answered = asyncio.Event()

    def state_need(self, since: datetime) -> None:
        """Have the next look go back to *since* at least."""
        self.need = since if self.need is None else min(self.need, since)
        self.is_answered.set()


async def look_on(trigger: AvePointBackupEventTrigger) -> AsyncGenerator[Look]:
    """Yield a look at each interval, for ever; a poll that fails is repeated, not reported.

    The first look is empty: it lets the watchers say how far they want to look back.
    """
    policy, product = trigger.checked_policy, get_product(trigger.product)
    look = Look(now=datetime.now(UTC), since=_NEVER, jobs=[])
    yield look
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await look.is_answered.wait()
    since = _NEVER

    def ask(now: datetime, location: str | None) -> list[Question]:
        nonlocal since
        since = look.need or Watermark.first_start(now)
        return policy.listings(since, location=location)

    async with join(trigger.avepoint_conn_id, trigger.product, ask, trigger.poll_interval) as wait:
        while True:
            answers = await wait.look()
            if answers is None or isinstance(answers, AvePointError):
                continue  # the poll has said so in the log
            jobs = answers.jobs(wait.questions)
            if product.asks_each_object_type:
                jobs = leave_out_claimed(jobs)
            look = Look(now=datetime.now(UTC), since=since, jobs=jobs)
            yield look


def build_producer(trigger: AvePointBackupEventTrigger) -> SharedStreamProducer:
    """Return the producer of a shared stream in ack mode: it keeps watermarks once events are stored."""

    class Producer(SharedStreamProducer):
        async def open_stream(self) -> AsyncIterator[tuple[Look, Look]]:
            async with aclosing(look_on(trigger)) as looks:
                async for look in looks:
                    yield look, look

        async def advance(self, batch: Sequence[AdvanceItem]) -> None:
            if not all(item.outcome.is_clean for item in batch):
                return  # somebody has not taken it: what is kept next covers it, or it is repeated
            kept: dict[str, Watermark] = {}
            for item in batch:
                kept |= item.broker_payload.kept
            for asset, watermark in kept.items():
                try:
                    await _store_of(asset).aset(_WATERMARK, watermark.as_dict())
                except Exception:
                    # Raising would end the stream and begin it anew, at once and for ever.
                    log.exception("The watermark of asset %s could not be kept; events may repeat", asset)

    return Producer()


def _store_of(asset: str) -> AssetStateStoreAccessor:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

    return AssetStateStoreAccessor(name=asset)
