"""Which backups have ended since somebody last looked: each one once, and none lost.

A :class:`Watermark` is what is kept between two looks. It does not trust times to tell what is new: a job is
listed when it starts, ends hours later, and may be listed late. So it remembers the jobs that were under way,
and of the last hours which jobs it has seen end, and as what: an end that is corrected is news once more.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import quote

from airflow_provider_avepoint.core.grading import GRADES, Limits, pick_sighting
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import CLOCK_SKEW, LISTED_LATE, LONGEST_JOB, shift
from airflow_provider_avepoint.core.starts import find_start_range

# What is under way for longer is looked for again after so long for each job that such a look lists: a backup
# that hangs must not make every look go back for weeks, through all that ran since.
_PAUSE_A_JOB = timedelta(seconds=0.1)
# 72 bits tell a lifetime of jobs apart, and are as many characters without padding.
_DIGEST_BYTES, _DIGEST_LENGTH = 9, 12
_HOUR = timedelta(hours=1)
#: What a job that could not be read has ended as, whatever its state.
_UNREADABLE = "unreadable"
# What stands for an outcome that release 0.1.0 did not keep.
_NOT_KEPT = ""


def key_of(job: BackupJob) -> str:
    """Return what tells a job from every other of its connection, the same each time.

    Without the workload where rows do not say it: a server may list one job for several.
    """
    workload = None if get_product(job.product).asks_each_object_type else job.workload
    parts = (job.product, job.location, normalize_id(job.organization_id), workload, job.job_id)
    return "/".join("" if part is None else quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """Up to where a watcher has announced the ends of backups.

    :param since: jobs that started before are known: only those of *under_way* can still end.
    :param searched_at: when all of *under_way* were looked for last.
    :param searched_through: how many jobs must be listed to find them all.
    :param under_way: the jobs seen that had not ended, by digest, with when they started.
    :param ended: the jobs that have ended and are announced, by digest, with the hour in which they started.
    :param outcomes: what those of *ended* were first seen to end as; release 0.1.0 did not keep it.
    :param corrections: of those that were seen to end otherwise later, as what, in this order.
    :param folded_until: so long digests of release 0.1.0 may be among them, which wrote ids in lower case.
    """

    since: datetime
    searched_at: datetime
    searched_through: int = 0
    under_way: Mapping[str, datetime] = field(default_factory=dict)
    ended: Mapping[str, datetime] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    corrections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folded_until: datetime | None = None

    @classmethod
    def begin(cls, jobs: Iterable[BackupJob], now: datetime) -> Self:
        """Return the watermark of a watcher that begins at *now*: what has ended before is not announced.

        :param jobs: all since :meth:`first_start`.
        """
        start = cls(since=shift(now, -LISTED_LATE), searched_at=now)
        return start.advance(jobs, now, asked_since=cls.first_start(now))[1]

    @staticmethod
    def first_start(now: datetime) -> datetime:
        """Return how far back a watcher must look that begins at *now*, to see all that is under way."""
        return shift(now, -LONGEST_JOB)

    def since_at(self, now: datetime) -> datetime:
        """Return :attr:`since`; where that is still to come, our clock was wrong: what is sure at *now*."""
        return self.since if self.since <= now else shift(now, -LISTED_LATE)

    def earliest_start(self, now: datetime) -> datetime:
        """Return how far back a look must go that comes at *now*."""
        sought = [self.since_at(now)]
        if abs(now - self.searched_at) >= self.searched_through * _PAUSE_A_JOB:
            sought += self.under_way.values()
        return min(sought)

    def advance(
        self, jobs: Iterable[BackupJob], now: datetime, *, asked_since: datetime
    ) -> tuple[list[BackupJob], Self]:
        """Return the jobs that have ended since the last look, and what to keep.

        A job that was listed several times, for several workloads, is returned as often: the same key tells.
        What it came to is the same each time: of two ends the worse.

        A job that has ended otherwise than it was announced is returned again, as each outcome once: see
        :meth:`correction_of`.

        :param jobs: all that started since *asked_since*, which is :meth:`since_at` or before. Jobs that are
            under way and not among them are not forgotten.
        :param now: when they were asked for.
        """
        known_before = self.since_at(now)
        since = max(known_before, shift(now, -LISTED_LATE))
        news: list[BackupJob] = []
        under_way: dict[str, datetime] = {}
        ended: dict[str, datetime] = {}
        outcomes: dict[str, str] = {}
        corrected: dict[str, tuple[str, ...]] = {}
        starts: list[datetime] = []
        for digest, listed in self._group(jobs).items():
            job = _pick(listed)
            start = _latest_start(job)
            starts += [start or now] * len(listed)
            begun = find_start_range(job)[0]
            is_to_come = (begun or start or now) > shift(now, CLOCK_SKEW)
            if not job.state.is_terminal or is_to_come:
                # What does not say when it started was listed late at most.
                under_way[digest] = begun or self.under_way.get(digest, known_before)
                continue
            was_under_way = digest in self.under_way
            is_new = digest not in self.ended and (start is None or start >= known_before)
            outcome = _outcome_of(job)
            outcomes[digest] = self.outcomes.get(digest, outcome)
            corrected |= self._correct(digest, outcome)
            if is_new or was_under_way or digest in corrected:
                news += [
                    replace(job, workload=each) for each in dict.fromkeys(one.workload for one in listed)
                ]
            if start is None or start >= since:
                ended[digest] = _hour_of(start or now)
        for digest, hour in self.ended.items():
            # A listing that leaves one out, once, must not make it new again.
            if hour + _HOUR > since:
                ended.setdefault(digest, hour)
        for digest, start in self.under_way.items():
            under_way.setdefault(digest, start)
        oldest = shift(now, -LONGEST_JOB)
        under_way = {
            digest: start for digest, start in under_way.items() if digest not in outcomes and start >= oldest
        }
        searched_at, searched_through = self.searched_at, self.searched_through
        if asked_since <= min(self.under_way.values(), default=asked_since):
            oldest = min(under_way.values(), default=now)
            searched_at, searched_through = now, sum(start >= oldest for start in starts)
        kept = type(self)(
            since=since,
            searched_at=searched_at,
            searched_through=searched_through,
            under_way=under_way,
            ended=ended,
            outcomes={name: word for name, word in {**self.outcomes, **outcomes}.items() if name in ended},
            corrections={name: words for name, words in self.corrections.items() if name in ended}
            | corrected,
            folded_until=self.folded_until if self.folded_until and now < self.folded_until else None,
        )
        return sorted(news, key=lambda job: (job.finished_at or job.effective_start or now, job.job_id)), kept

    def correction_of(self, job: BackupJob) -> str | None:
        """Return as what *job* has ended, where that corrects what it was announced as; else None."""
        outcome = _outcome_of(job)
        return outcome if outcome in self.corrections.get(self._digest(job), ()) else None

    def _correct(self, digest: str, outcome: str) -> dict[str, tuple[str, ...]]:
        """Return the corrections of an ended job with *outcome*, where it was not announced as that yet."""
        announced, words = self.outcomes.get(digest), self.corrections.get(digest, ())
        is_known = announced is None or outcome in (words or (announced,))
        return {} if is_known else {digest: (*words, outcome)}

    def _group(self, jobs: Iterable[BackupJob]) -> dict[str, list[BackupJob]]:
        """Return the sightings of each job, by digest."""
        grouped: dict[str, list[BackupJob]] = defaultdict(list)
        for job in jobs:
            grouped[self._digest(job)].append(job)
        return grouped

    def _digest(self, job: BackupJob) -> str:
        """Return the digest of *job*, or the one under which release 0.1.0 knew it."""
        digest = _digest(job)
        if self.folded_until is None or job.organization_id is None or self._knows(digest):
            return digest
        folded = _digest(replace(job, organization_id=job.organization_id.strip("{} ").casefold()))
        return folded if self._knows(folded) else digest

    def _knows(self, digest: str) -> bool:
        return digest in self.ended or digest in self.under_way

    def as_dict(self) -> dict[str, Any]:
        """Return the watermark, ready for JSON, and short: Airflow warns of more than 64 KB.

        What the jobs of an hour ended as stands beside their digests, as how many of them in a row did.
        """
        hours: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for digest, hour in self.ended.items():
            hours[hour.isoformat()].append((self.outcomes.get(digest, _NOT_KEPT), digest))
        return {
            "since": self.since.isoformat(),
            "searched_at": self.searched_at.isoformat(),
            "searched_through": self.searched_through,
            "under_way": {digest: start.isoformat() for digest, start in sorted(self.under_way.items())},
            "ended": {
                hour: "".join(digest for _, digest in sorted(jobs)) for hour, jobs in sorted(hours.items())
            },
            "outcomes": {
                hour: [list(counted) for counted in sorted(Counter(outcome for outcome, _ in jobs).items())]
                for hour, jobs in sorted(hours.items())
            },
            "corrections": {digest: list(words) for digest, words in sorted(self.corrections.items())},
            "folded_until": self.folded_until and self.folded_until.isoformat(),
        }

    @classmethod
    def from_dict(cls, written: Any) -> Self:
        """Read what :meth:`as_dict` wrote.

        :raises ValueError: it is something else.
        """
        try:
            since = _parse(written["since"])
            until = (
                written["folded_until"] if "outcomes" in written else shift(since, LONGEST_JOB).isoformat()
            )
            return cls(
                since=since,
                searched_at=_parse(written["searched_at"]),
                searched_through=int(written["searched_through"]),
                under_way={
                    digest: _parse(start)
                    for name, start in written["under_way"].items()
                    for digest in _split(name)
                },
                ended={
                    digest: _parse(hour)
                    for hour, digests in written["ended"].items()
                    for digest in _split(digests)
                },
                outcomes=dict(_read_outcomes(written["ended"], written.get("outcomes", {}))),
                corrections={
                    digest: tuple(map(str, words)) for digest, words in written.get("corrections", {}).items()
                },
                folded_until=None if until is None else _parse(until),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            raise ValueError(f"not a watermark: {type(e).__name__}: {e}") from e


def _pick(sightings: list[BackupJob]) -> BackupJob:
    picked = pick_sighting(sightings)
    assert picked is not None  # noqa: S101  # there is one at least
    return picked


def _outcome_of(job: BackupJob) -> str:
    """Return what a job that has ended came to, in a word: as a gate grades it, without a policy."""
    if job.problems:
        return _UNREADABLE
    return (Limits().grade(job) if job.state in GRADES else job.state).value


def _latest_start(job: BackupJob) -> datetime | None:
    """Return when a job started at the latest: no job starts after its end."""
    start = find_start_range(job)[1]
    return job.finished_at if start is None and job.state.is_terminal else start


def _read_outcomes(ended: Mapping[str, str], outcomes: Mapping[str, list[Any]]) -> Iterator[tuple[str, str]]:
    """Yield the digests with what each ended as, where that was kept."""
    for hour, counted in outcomes.items():
        words = [word for word, count in counted for _ in range(count)]
        for digest, word in zip(_split(ended[hour]), words, strict=True):
            if word != _NOT_KEPT:
                yield digest, word


def _digest(job: BackupJob) -> str:
    """Return a short stand-in for :func:`key_of`: thousands must fit where Airflow keeps them."""
    digest = hashlib.blake2b(key_of(job).encode(), digest_size=_DIGEST_BYTES).digest()
    return urlsafe_b64encode(digest).decode()


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _parse(written: str) -> datetime:
    moment = datetime.fromisoformat(written)
    if moment.utcoffset() is None:
        raise ValueError(f"{written!r} has no time zone")
    return moment.astimezone(UTC)


def _split(digests: str) -> Iterator[str]:
    if len(digests) % _DIGEST_LENGTH:
        raise ValueError("digests of another length")
    for at in range(0, len(digests), _DIGEST_LENGTH):
        yield digests[at : at + _DIGEST_LENGTH]
