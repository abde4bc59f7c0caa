"""Restore drills: when a restore was last proven, and what has not been proven since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_avepoint.report.formatting import say_count, say_duration
from airflow_provider_avepoint.report.rhythm import is_late

#: A drill without a verdict is under way for so long, and has got lost after it.
LONGEST_DRILL = timedelta(days=1)
# Fewer days with a drill do not make drills usual.
_LEAST_DAYS = 3
# The reason of a drill whose files are back, and whose content is still to be checked.
_NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPlace:
    """The service that a drill restores, as gates and audits name the service.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param service: the service, such as ``sharepoint_online``.
    :param location: the Multi-Geo location; None for the central one.
    """

    tenant: str
    product: str
    service: str
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreDrill:
    """One drill of the ledger.

    :param place: the service that was restored.
    :param target: the site or the owner, and the library.
    :param sent_at: when the restore was asked for.
    :param judged_at: when the drill was judged; None without a verdict.
    :param passed: whether the files came back as they must be; None without a verdict.
    :param reason: the reason in a word; None without a verdict.
    :param message: the reason in a sentence; None without a verdict.
    :param job_id: the restore job; None where it is not known.
    :param restored_files: how many files came back; None where the job does not say.
    """

    place: DrillPlace
    target: str
    sent_at: datetime
    judged_at: datetime | None = None
    passed: bool | None = None
    reason: str | None = None
    message: str | None = None
    job_id: str | None = None
    restored_files: int | None = None

    def as_of(self, now: datetime) -> RestoreDrill:
        """Return the drill as it was at a moment: a later verdict had not come yet.

        :param now: the moment.
        """
        if self.judged_at is None or self.judged_at <= now:
            return self
        return replace(self, judged_at=None, passed=None, reason=None, message=None, restored_files=None)

    def is_under_way(self, now: datetime) -> bool:
        """Tell whether a verdict may still come.

        :param now: the moment of the report.
        """
        is_open = self.passed is None or self.reason == _NOT_CHECKED
        return is_open and now - self.sent_at <= LONGEST_DRILL

    @property
    def outcome(self) -> str:
        """What the drill came to, in a word or two."""
        if self.passed is None:
            return "no verdict"
        return self.reason or ("passed" if self.passed else "failed")

    @property
    def returned(self) -> str:
        """What came back, in a few words."""
        return "files not counted" if self.restored_files is None else say_count(self.restored_files, "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRestore:
    """A restore that a task has begun, and that nobody has judged.

    :param tenant: the name of the tenant.
    :param task: the DAG, the task and the run.
    :param kept_at: when the task last said how far the restore had come.
    """

    tenant: str
    task: str
    kept_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillHistory:
    """The drills of one service.

    :param place: the service.
    :param drills: the drills, newest first; empty where a drill is only demanded.
    :param demanded: how recent a proof must be; None where nothing demands one.
    :param now: the moment of the report.
    """

    place: DrillPlace
    drills: tuple[RestoreDrill, ...]
    demanded: timedelta | None
    now: datetime

    @property
    def proven(self) -> RestoreDrill | None:
        """The newest drill that passed."""
        return next((drill for drill in self.drills if drill.passed), None)

    @property
    def newest(self) -> RestoreDrill | None:
        """The newest drill."""
        return self.drills[0] if self.drills else None

    @property
    def unproven(self) -> tuple[RestoreDrill, ...]:
        """The newest drill of each target that did not pass; a drill that is under way decides nothing."""
        seen: dict[str, RestoreDrill] = {}
        for drill in self.drills:
            if not drill.is_under_way(self.now):
                seen.setdefault(drill.target, drill)
        return tuple(drill for drill in seen.values() if not drill.passed)

    def is_proven_since(self, drill: RestoreDrill) -> bool:
        """Tell whether a later drill of the service passed.

        :param drill: a drill that did not pass.
        """
        return self.proven is not None and self.proven.sent_at > drill.sent_at

    @property
    def open_failures(self) -> tuple[RestoreDrill, ...]:
        """The drills that did not pass, after which no drill of the service has passed."""
        return tuple(drill for drill in self.unproven if not self.is_proven_since(drill))

    @property
    def age(self) -> timedelta | None:
        """How long ago the newest proof was found; None without one."""
        return None if self.proven is None else self.now - (self.proven.judged_at or self.proven.sent_at)

    @property
    def is_overdue(self) -> bool:
        """Whether a proof is demanded, and there is none that is recent enough."""
        return self.demanded is not None and (self.age is None or self.age > self.demanded)

    @property
    def has_stopped(self) -> bool:
        """Whether drills were usual, and no longer run."""
        moments = [drill.sent_at for drill in self.drills]
        return len({moment.date() for moment in moments}) >= _LEAST_DAYS and is_late(moments, self.now)

    @property
    def needs_attention(self) -> bool:
        """Whether a restore is not proven, though a drill has run or is demanded."""
        return bool(self.open_failures) or self.is_overdue

    @property
    def current(self) -> str:
        """How the service stands, in words that stay the same while it stands so."""
        if failures := self.open_failures:
            return failures[0].outcome
        if self.is_overdue:
            return "overdue" if self.proven else "never proven"
        return "under way" if self.proven is None else "proven"

    def describe_proof(self) -> str:
        """Say how old the newest proof is."""
        if self.age is None:
            return "no restore has ever been proven"
        return f"the last proven restore is {say_duration(self.age)} old"

    def describe_demand(self) -> str:
        """Say how old a proof may be; empty where nothing demands one."""
        if self.demanded is None:
            return ""
        days, rest = divmod(self.demanded, timedelta(days=1))
        within = say_duration(self.demanded) if rest else say_count(days, "day")
        return f"a proof within {within} is required"


def follow(
    drills: Iterable[RestoreDrill], demands: Mapping[DrillPlace, timedelta], now: datetime
) -> tuple[DrillHistory, ...]:
    """Return the history of each service with a drill or a demand: those that need attention first.

    :param drills: the drills of the ledger, in any order.
    :param demands: how recent a proof must be, by service.
    :param now: the moment of the report; later drills are left out.
    """
    known: dict[DrillPlace, list[RestoreDrill]] = defaultdict(list)
    for drill in drills:
        if drill.sent_at <= now:
            known[drill.place].append(drill.as_of(now))
    histories = [
        DrillHistory(
            place=place,
            drills=tuple(sorted(known[place], key=lambda drill: drill.sent_at, reverse=True)),
            demanded=demands.get(place),
            now=now,
        )
        for place in {**known, **demands}
    ]
    return tuple(
        sorted(
            histories,
            key=lambda each: (
                not each.needs_attention,
                each.place.tenant,
                each.place.product,
                each.place.service,
                each.place.location or "",
            ),
        )
    )
