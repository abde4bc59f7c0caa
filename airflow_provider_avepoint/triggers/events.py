"""Start DAGs when a backup has ended: a trigger for ``AssetWatcher``, and its shared stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import NoneType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.verdict import Reason, judge, leave_out_claimed
from airflow_provider_avepoint.core.watermark import Watermark, key_of
from airflow_provider_avepoint.triggers.poll import join

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # Airflow 2 has no asset watchers
    BaseEventTrigger = BaseTrigger  # type: ignore[assignment,misc]  # a stand-in that Airflow 2 never uses
try:
    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer
except ImportError:  # before Airflow 3.3 watchers share no stream
    AdvanceItem = Any  # type: ignore[assignment,misc]  # a stand-in for an older Airflow
    SharedStreamProducer = None  # type: ignore[assignment,misc]  # a stand-in for an older Airflow

log = logging.getLogger(__name__)

_WATERMARK = "avepoint_watermark"
_NEVER = datetime.max.replace(tzinfo=UTC)
# Seconds that a stream waits for its first watcher's watermark; then the stream chooses the window itself.
_PATIENCE = 30.0
# Seconds between two attempts to read a watermark.
_RETRY_DELAY = 10.0
# Seconds that storing a watermark may take: while a triggerer stops, Airflow may never answer.
_KEEPING = 10.0
_LONGEST_INTERVAL = 86400.0
# The age, in seconds, for a policy without one: a backup of any age passes.
_ANY_AGE = 36500 * 86400.0
#: The values of *announce*: which backups are announced.
ANNOUNCE = ("all", "passed", "not_passed")
# The fields of a job in an event. Error messages and the raw row are left out, to keep events small.
_CARRIED = (
    *("product", "job_id", "job_type", "workload", "state", "raw_state"),
    *("started_at", "finished_at", "duration"),
    *("counts", "record_counts", "metadata_counts", "size_bytes"),
    *("organization_id", "organization_name", "location"),
    "problems",
)


class AvePointBackupEventTrigger(BaseEventTrigger):
    """Send one event for each backup that ends, for ``AssetWatcher``.

    On Airflow 3.3 the watermark is stored with the asset, and watchers of one connection that list the same
    jobs share a stream: no backup is lost while the triggerer is down. If the triggerer was killed, or
    stopped within a second or two of an event, that event may come again, with the same ``key``. On Airflow
    3.0 to 3.2 a watcher sees only backups that end while it runs, and logs this.

    Airflow 3.3.2 may start one run for several events, hand the run only the first event, and hand the others
    to the run of a later event (apache/airflow#56050). So let the DAG read the asset's events by
    ``inlet_events`` and drop the keys that it has seen, as the example ``avepoint_event_driven`` does.

    The payload of an event is a job without its error messages (see :class:`BackupJob`), with ``key``,
    ``avepoint_conn_id``, ``passed`` and ``reason``. ``passed`` says whether this backup by itself meets the
    policy, and ``reason`` says why. A backup that could not be read has the reason ``unreadable`` and has not
    passed; ``problems`` names the parts that could not be read. If the vendor later lists an ended backup
    with another end, under the same id, the backup is announced once more: the ``key`` then ends with the new
    state, such as ``/success``.

    :param asset: the name of the watched asset: the watermark is stored with this asset.
    :param product: the product's name, such as ``dynamics365``.
    :param announce: which backups are announced: ``all``, those that ``passed`` the policy, or those that
        have ``not_passed``.
    :param policy: the arguments of a :class:`~airflow_provider_avepoint.core.policy.Policy`: which scopes and
        job types count, and how good a backup must be. Each backup is judged by itself, when its end is seen.
        So arguments about several backups (``decide_by``, ``expect_seen_within``) or about a task
        (``on_failed``, ``fail_fast``) have no effect. Those about the schedule or unusual activity are
        refused: no single backup shows either. Without an age, a backup of any age passes.
    :param avepoint_conn_id: the id of the connection.
    :param poll_interval: seconds between two looks.
    :raises AvePointConfigError: an argument cannot be used; Airflow shows an import error for the DAG file.
    """

    def __init__(
        self,
        *,
        asset: str,
        product: str,
        announce: str = "all",
        policy: Mapping[str, Any] | None = None,
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
        for name in ("asset", "avepoint_conn_id"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise AvePointConfigError(f"{name}: {value!r} is not a text.")
        if announce not in ANNOUNCE:
            raise AvePointConfigError(f"announce: {announce!r} is not one of {', '.join(ANNOUNCE)}.")
        is_number = isinstance(poll_interval, (int, float)) and not isinstance(poll_interval, bool)
        if not is_number or not 0 < poll_interval <= _LONGEST_INTERVAL:
            raise AvePointConfigError(
                f"poll_interval: {poll_interval!r} is not a number of seconds above 0, and at most a day's."
            )
        self.checked_policy  # noqa: B018  # refuse a bad policy when the DAG file is parsed

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of this class, and the arguments that rebuild this trigger, as JSON values."""
        written = self.checked_policy.as_dict()
        return (
            "airflow_provider_avepoint.triggers.avepoint.AvePointBackupEventTrigger",
            {
                "asset": self.asset,
                "product": self.product,
                "announce": self.announce,
                "policy": None if self.policy is None else {name: written[name] for name in self.policy},
                "avepoint_conn_id": self.avepoint_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    @cached_property
    def checked_policy(self) -> Policy:
        """The policy that says which backups count, and how good each must be.

        :raises AvePointConfigError: an argument of the policy is unknown or cannot be used.
        """
        if not isinstance(self.policy, (Mapping, NoneType)):
            raise AvePointConfigError(f"policy: {self.policy!r} is not an object of a policy's arguments.")
        given = {"product": self.product, **(self.policy or {})}
        known = [each.name for each in fields(Policy)]
        if unknown := [name for name in given if name not in known]:
            raise AvePointConfigError(f"policy: {unknown[0]!r} is not one of {', '.join(known)}.")
        if given["product"] != self.product:
            raise AvePointConfigError(
                f"policy: its product is {given['product']!r}, the watcher's is {self.product!r}."
            )
        if given.get("started_after") is None and given.get("max_age") is None:
            given["max_age"] = _ANY_AGE
        policy = Policy(**given)
        for name, is_asked in (
            ("expect_scheduled", policy.expect_scheduled),
            ("max_unusual", policy.max_unusual is not None),
        ):
            if is_asked:
                raise AvePointConfigError(
                    f"policy: {name} is not about a single backup; ask it in AvePointBackupSensor or "
                    "AvePointBackupCheckOperator."
                )
        return policy

    @cached_property
    def _judging(self) -> Policy:
        """The policy for judging one backup by itself; ``expect_seen_within`` covers a backup of any age."""
        return replace(self.checked_policy, expect_seen_within=_ANY_AGE)

    def shared_stream_key(self) -> Hashable | None:
        """Return the key of the stream that this watcher shares, or None before Airflow 3.3.

        Watchers share a stream if connection, product, interval and listings are equal. Watchers of one
        connection that do not share a stream still share the poll (see :mod:`.poll`).
        """
        if SharedStreamProducer is None:
            return None
        listed = tuple(
            (query.organization_id, query.location, query.job_type, query.object_type)
            for query in self.checked_policy.listings(_NEVER)
        )
        return ("avepoint", self.avepoint_conn_id, self.product, float(self.poll_interval), listed)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return the producer for all watchers that have the same :meth:`shared_stream_key`.

        :param kwargs: the arguments of one of these watchers.
        """
        return build_producer(cls(**kwargs))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Look]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each backup that has ended since this watcher's watermark.

        :param shared_stream: the looks of the shared stream.
        """
        watermark = await self._load()
        async for look in shared_stream:
            known = Watermark.first_start(look.now) if watermark is None else watermark.since_at(look.now)
            if look.since <= known:  # else the look begins too late for this watcher; the next look will not
                events, watermark = await self._advance(watermark, look)
                for event in events:
                    yield event
                # Only after Airflow has taken the last event: a watcher that is stopped before must find its
                # old watermark.
                look.kept[self.asset] = watermark
            look.state_need(self._need(watermark, look))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each backup that ends from now on; used where Airflow stores no watermark."""
        self.log.warning(
            "This Airflow keeps no state for assets: backups of %s that end while no triggerer runs are not "
            "announced. Airflow 3.3 keeps it.",
            self.product,
        )
        watermark: Watermark | None = None
        async with aclosing(look_on(self)) as looks:
            async for look in looks:
                if look.since != _NEVER:
                    events, watermark = await self._advance(watermark, look)
                    for event in events:
                        yield event
                look.state_need(self._need(watermark, look))

    def _need(self, watermark: Watermark | None, look: Look) -> datetime:
        """Return the earliest start that the look after *look* must cover."""
        if watermark is None:
            return Watermark.first_start(look.now)
        return watermark.earliest_start(look.now + timedelta(seconds=self.poll_interval))

    async def _advance(self, watermark: Watermark | None, look: Look) -> tuple[list[TriggerEvent], Watermark]:
        """Run :meth:`_take` in a thread, so that a hundred thousand jobs do not block the event loop."""
        return await asyncio.to_thread(self._take, watermark, look)

    def _take(self, watermark: Watermark | None, look: Look) -> tuple[list[TriggerEvent], Watermark]:
        """Return the events of *look*, and the watermark after it; the first look gives no event."""
        jobs = look.jobs
        if self.checked_policy.organization_ids is not None:
            wanted = set(map(normalize_id, self.checked_policy.organization_ids))
            jobs = [
                job
                for job in jobs
                if normalize_id(job.organization_id) in wanted
                or (job.organization_id is None and job.problems)
            ]
        if watermark is None:
            self.log.info("Watching the backups of %s that end from now on.", self.product)
            return [], Watermark.begin(jobs, look.now)
        ended, watermark = watermark.advance(jobs, look.now, asked_since=look.since)
        events: dict[str, TriggerEvent] = {}
        for job in ended:
            key = f"{quote(self.avepoint_conn_id, safe='')}/{key_of(job)}"
            if (correction := watermark.correction_of(job)) is not None:
                key = f"{key}/{correction}"
            if key not in events and (event := self._announce(job, key, look.now)) is not None:
                events[key] = event
        return list(events.values()), watermark

    def _announce(self, job: BackupJob, key: str, now: datetime) -> TriggerEvent | None:
        reason = self._judge(job, now)
        passed = reason is Reason.PASSED
        wanted = {"passed": passed, "not_passed": not passed, "all": True}
        if reason in (None, Reason.EXCLUDED) or not wanted[self.announce]:
            return None
        facts = job.as_dict()
        payload = {name: facts[name] for name in _CARRIED}
        payload |= {
            "key": key,
            "avepoint_conn_id": self.avepoint_conn_id,
            "passed": passed,
            "reason": reason,
        }
        self.log.info("%s has ended: %s.", key, job.state)
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's

    def _judge(self, job: BackupJob, now: datetime) -> Reason | None:
        """Return the reason of one backup by itself; None where the policy does not cover its scope."""
        judged = [scope for scope in judge([job], self._judging, now).scopes if scope.job is not None]
        if judged:
            return judged[0].reason
        policy = self.checked_policy
        may_be_asked_for = all(
            wanted is None or found is None or found in wanted
            for wanted, found in ((policy.object_types, job.workload), (policy.locations, job.location))
        )
        is_of_type = job.job_type in policy.job_type
        # A row that cannot be read, and names no scope, may belong to any scope of the policy.
        return Reason.UNREADABLE if job.problems and is_of_type and may_be_asked_for else None

    async def _load(self) -> Watermark | None:
        """Return the watermark that is stored with the asset; None where this watcher begins anew.

        A store that does not answer is asked again. An error would make Airflow restart the trigger,
        immediately and without end; a start without the watermark would lose backups.
        """
        if self.asset_state_store is not None and not self._is_watched():
            self.log.error(
                "asset=%r is not the name of the asset that this trigger watches: no watermark is kept for "
                "it, and backups that end while no triggerer runs may be lost or announced again.",
                self.asset,
            )
        while True:
            try:
                kept = await _store_of(self.asset).aget(_WATERMARK)
                break
            except Exception:  # any failure between the trigger and Airflow's store
                self.log.exception(
                    "The watermark of asset %s cannot be read; it is tried again in %g s",
                    self.asset,
                    _RETRY_DELAY,
                )
                await asyncio.sleep(_RETRY_DELAY)
        if kept is None:
            return None
        try:
            return Watermark.from_dict(kept)
        except ValueError as e:
            self.log.error(  # noqa: TRY400  # the traceback says no more
                "The watermark of asset %s cannot be read (%s): its watcher begins anew, and what ended "
                "meanwhile is not announced.",
                self.asset,
                e,
            )
            return None

    def _is_watched(self) -> bool:
        from airflow.providers.common.compat.sdk import Asset

        try:
            self.asset_state_store[Asset(self.asset)]  # type: ignore[index]  # the caller has excluded None
        except KeyError:
            return False
        return True


class Look:
    """One look at the API, for all watchers of a stream.

    :param now: the time of the look.
    :param since: the earliest start that the look covers.
    :param jobs: the jobs that the API listed.
    """

    def __init__(self, *, now: datetime, since: datetime, jobs: list[BackupJob]) -> None:
        self.now = now
        self.since = since
        self.jobs = jobs
        #: The watermark after this look by asset, for each watcher whose events Airflow has taken.
        self.kept: dict[str, Watermark] = {}
        self.need: datetime | None = None
        self.is_answered = asyncio.Event()

    def state_need(self, since: datetime) -> None:
        """Make the next look cover every start from *since* on.

        :param since: the earliest start that a watcher needs.
        """
        self.need = since if self.need is None else min(self.need, since)
        self.is_answered.set()


async def look_on(trigger: AvePointBackupEventTrigger) -> AsyncGenerator[Look]:
    """Yield a look at each interval, without end; a poll that fails is repeated and yields nothing.

    The first look is empty. It lets the watchers say which starts the next look must cover.

    :param trigger: one of the watchers that share the stream.
    """
    policy, product = trigger.checked_policy, get_product(trigger.product)
    look = Look(now=datetime.now(UTC), since=_NEVER, jobs=[])
    yield look
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await look.is_answered.wait()
    asked_at = since = _NEVER

    def ask(now: datetime, location: str | None) -> list[JobQuery]:
        nonlocal asked_at, since
        asked_at, since = now, look.need or Watermark.first_start(now)
        return policy.listings(since, location=location)

    async with join(trigger.avepoint_conn_id, trigger.product, ask, trigger.poll_interval) as wait:
        while True:
            try:
                answers = await wait.look()
            except RuntimeError:  # a defect of the poll, which is in its log; the poll continues
                continue
            if answers is None or isinstance(answers, AvePointError):
                continue  # the poll has logged the failure
            jobs = answers.jobs(wait.queries)
            if product.asks_each_object_type:
                jobs = leave_out_claimed(jobs)
            look = Look(now=asked_at, since=since, jobs=jobs)
            yield look


def build_producer(trigger: AvePointBackupEventTrigger) -> SharedStreamProducer:
    """Return the producer of a shared stream in ack mode, which stores watermarks after the events.

    Airflow has stored the events of a look before the producer stores the watermarks after that look.

    :param trigger: one of the watchers that share the stream.
    """

    class Producer(SharedStreamProducer):
        async def open_stream(self) -> AsyncIterator[tuple[Look, Look]]:
            async with aclosing(look_on(trigger)) as looks:
                async for look in looks:
                    yield look, look

        async def advance(self, batch: Sequence[AdvanceItem]) -> None:
            kept: dict[str, Watermark] = {}
            for item in batch:
                # A watcher that has not taken a look begins again from its stored watermark; a later look
                # that all watchers have taken covers this look too.
                if item.outcome.is_clean:
                    kept |= item.broker_payload.kept
            for asset, watermark in kept.items():
                try:
                    async with asyncio.timeout(_KEEPING):
                        await _store_of(asset).aset(_WATERMARK, watermark.as_dict())
                except Exception:
                    # An error would make Airflow restart the stream, immediately and without end.
                    log.exception("The watermark of asset %s could not be kept; events may repeat", asset)

    return Producer()


def _store_of(asset: str) -> AssetStateStoreAccessor:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor

    return AssetStateStoreAccessor(name=asset)
