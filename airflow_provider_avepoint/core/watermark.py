"""Find the backups that have ended since the last look: each one once, and none lost.

A :class:`Watermark` is the state between two looks. Times cannot tell which jobs are new: a job is listed
when it starts, ends hours later, and may be listed late. So a watermark remembers the jobs that were under
way. For the last hours, it also remembers which jobs have ended, and with which outcome: a corrected outcome
is news again.
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

# Re-check long-running jobs at an interval proportional to the size of the listing: this long for each job
# that the re-check lists. So a hanging backup does not make every look list weeks of jobs.
_PAUSE_A_JOB = timedelta(seconds=0.1)
# 72 bits are enough to tell all jobs of a tenant apart, and need no padding in base 64.
_DIGEST_BYTES, _DIGEST_LENGTH = 9, 12
_HOUR = timedelta(hours=1)
#: The outcome of an unreadable job, whatever its state.
_UNREADABLE = "unreadable"
# The outcome of a job that release 0.1.0 announced, which kept no outcomes.
_NOT_KEPT = ""


def key_of(job: BackupJob) -> str:
    """Return the key of a job: the same at each look, and different for any two jobs of a connection.

    The key leaves out the workload where rows do: a server may list one job for several workloads.

    :param job: a job of any product.
    """
    workload = None if get_product(job.product).asks_each_object_type else job.workload
    parts = (job.product, job.location, normalize_id(job.organization_id), workload, job.job_id)
    return "/".join("" if part is None else quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """The point up to which a watcher has announced the ends of backups.

    :param since: of the jobs that started before this moment, only those in *under_way* can still end.
    :param searched_at: when a look last covered all jobs in *under_way*.
    :param searched_through: how many jobs such a look lists.
    :param under_way: the jobs seen that had not ended: digest → start.
    :param ended: the ended jobs that were announced: digest → the hour of the start.
    :param outcomes: the first outcome seen of jobs in *ended*, by digest; release 0.1.0 did not keep
        outcomes.
    :param corrections: the later, different outcomes of jobs in *ended*, by digest, in the order in which
        they were seen.
    :param folded_until: until this moment, digests of release 0.1.0 may occur, which wrote ids in small
        letters.
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
        """Return the watermark of a watcher that begins now; jobs that ended before are not announced.

        :param jobs: all jobs that started since :meth:`first_start`.
        :param now: when the jobs were asked for, aware.
        """
        start = cls(since=shift(now, -LISTED_LATE), searched_at=now)
        return start.advance(jobs, now, asked_since=cls.first_start(now))[1]

    @staticmethod
    def first_start(now: datetime) -> datetime:
        """Return the earliest start that a new watcher must ask for, to see every job that is under way.

        :param now: when the watcher begins, aware.
        """
        return shift(now, -LONGEST_JOB)

    def since_at(self, now: datetime) -> datetime:
        """Return :attr:`since`; where that is in the future, our clock was wrong, so return what is certain.

        :param now: the time of the look, aware.
        """
        return self.since if self.since <= now else shift(now, -LISTED_LATE)

    def earliest_start(self, now: datetime) -> datetime:
        """Return the earliest start that a look must ask for.

        :param now: the time of the look, aware.
        """
        sought = [self.since_at(now)]
        if abs(now - self.searched_at) >= self.searched_through * _PAUSE_A_JOB:
            sought += self.under_way.values()
        return min(sought)

    def advance(
        self, jobs: Iterable[BackupJob], now: datetime, *, asked_since: datetime
    ) -> tuple[list[BackupJob], Self]:
        """Return the jobs that have ended since the last look, and the next watermark.

        A job that was listed for several workloads is returned for each of them; all have the same key and
        the same outcome (of two ends, the worse). A job with a new outcome is returned again, once for each
        outcome: see :meth:`correction_of`.

        :param jobs: all jobs that started since *asked_since*. Jobs under way that are not listed stay
            remembered.
        :param now: when the jobs were asked for, aware.
        :param asked_since: :meth:`since_at` or an earlier moment.
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
                # A new job without a start began at *since* at the earliest, however late it was listed.
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
            # Keep a job that this listing leaves out: the job must not be new when it is listed again.
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
        """Return the outcome of *job* where that outcome corrects an announcement; else None.

        :param job: a job that :meth:`advance` returned together with this watermark.
        """
        outcome = _outcome_of(job)
        return outcome if outcome in self.corrections.get(self._digest(job), ()) else None

    def _correct(self, digest: str, outcome: str) -> dict[str, tuple[str, ...]]:
        """Return the corrections of an ended job with *outcome* added; empty where *outcome* is no news."""
        announced, words = self.outcomes.get(digest), self.corrections.get(digest, ())
        is_known = announced is None or outcome in (words or (announced,))
        return {} if is_known else {digest: (*words, outcome)}

    def _group(self, jobs: Iterable[BackupJob]) -> dict[str, list[BackupJob]]:
        """Group the sightings of each job, by digest."""
        grouped: dict[str, list[BackupJob]] = defaultdict(list)
        for job in jobs:
            grouped[self._digest(job)].append(job)
        return grouped

    def _digest(self, job: BackupJob) -> str:
        """Return the digest of *job*; the digest of release 0.1.0 if only that one is known."""
        digest = _digest(job)
        if self.folded_until is None or job.organization_id is None or self._knows(digest):
            return digest
        folded = _digest(replace(job, organization_id=job.organization_id.strip("{} ").casefold()))
        return folded if self._knows(folded) else digest

    def _knows(self, digest: str) -> bool:
        return digest in self.ended or digest in self.under_way

    def as_dict(self) -> dict[str, Any]:
        """Return the watermark, ready for JSON and short: Airflow warns above 64 KB.

        For each hour, *ended* joins the digests of its jobs in one text. The outcomes of an hour are run
        lengths over these digests.
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

        :param written: the object, as it came from JSON.
        :raises ValueError: *written* is not a watermark.
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
    """Return the outcome of an ended job in a word: the grade of a gate without limits."""
    if job.problems:
        return _UNREADABLE
    return (Limits().grade(job) if job.state in GRADES else job.state).value


def _latest_start(job: BackupJob) -> datetime | None:
    """Return the latest instant at which a job may have started: at the latest, its end."""
    start = find_start_range(job)[1]
    return job.finished_at if start is None and job.state.is_terminal else start


def _read_outcomes(ended: Mapping[str, str], outcomes: Mapping[str, list[Any]]) -> Iterator[tuple[str, str]]:
    """Yield each digest with its outcome, where the outcome was kept."""
    for hour, counted in outcomes.items():
        words = [word for word, count in counted for _ in range(count)]
        for digest, word in zip(_split(ended[hour]), words, strict=True):
            if word != _NOT_KEPT:
                yield digest, word


def _digest(job: BackupJob) -> str:
    """Return a short stand-in for :func:`key_of`: Airflow's storage must hold thousands."""
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
