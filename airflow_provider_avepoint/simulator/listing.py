"""The jobs of one product, and fast answers to the question which of them match, newest first.

Jobs are stored oldest first (so that a new job is appended) and read from the end. A question with only a
window of start times takes two bisections. Any other question takes one scan. Its result is kept until a job
is added, changed or removed, or until the clock moves a job with a life into another state.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from .jobs import Facts, Job

_KEPT_SELECTIONS = 32
_started = attrgetter("started")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The conditions of a request.

    :param after: the start of the window in ticks, inclusive; None for no bound.
    :param before: the end of the window in ticks, inclusive; None for no bound.
    :param window_filters_by: the times of a job that must match the window.
    :param wanted: facts as (name, value) pairs; texts are compared without regard to case.
    :param sought: a text that the job's id or one of the facts *sought_in* must contain; "" for no search.
    :param sought_in: the names of the facts that are searched.
    """

    after: int | None = None
    before: int | None = None
    window_filters_by: Literal["start", "finish", "overlap"] = "start"
    wanted: tuple[tuple[str, Any], ...] = ()
    sought: str = ""
    sought_in: tuple[str, ...] = ()


def are_wanted(facts: Facts, wanted: Iterable[tuple[str, Any]]) -> bool:
    """Tell whether facts match.

    :param facts: the facts.
    :param wanted: (name, value) pairs; texts are compared without regard to case.
    """
    return all(_folded(getattr(facts, name)) == _folded(value) for name, value in wanted)


def is_asked_for(job: Job, question: Question, now: int) -> bool:
    """Tell whether a job matches a question, apart from the window.

    :param job: the job.
    :param question: the question.
    :param now: the server's time in ticks.
    """
    return are_wanted(job.at(now).facts, question.wanted) and _is_sought(job, question)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


class Selection:
    """The matching jobs.

    :param jobs: jobs, oldest first.
    :param low: the index of the first matching job.
    :param high: the index after the last matching job.
    :param valid_until: the time in ticks at which the clock may change the matches; None for never.
    """

    __slots__ = ("_high", "_jobs", "_low", "valid_until")

    def __init__(self, jobs: Sequence[Job], low: int, high: int, valid_until: int | None) -> None:
        self._jobs = jobs
        self._low = low
        self._high = high
        self.valid_until = valid_until

    def __len__(self) -> int:
        return self._high - self._low

    def newest(self, offset: int, count: int) -> list[Job]:
        """Return matching jobs, newest first.

        :param offset: how many of the newest jobs are skipped.
        :param count: the most jobs to return.
        """
        high = max(self._low, self._high - offset)
        return list(reversed(self._jobs[max(self._low, high - count) : high]))

    def oldest(self, offset: int, count: int) -> list[Job]:
        """Return matching jobs, oldest first.

        :param offset: how many of the oldest jobs are skipped.
        :param count: the most jobs to return.
        """
        low = min(self._high, self._low + offset)
        return list(self._jobs[low : min(self._high, low + count)])


class JobList:
    """The jobs of one product.

    :param lists_waiting: whether a job is listed before it starts.
    """

    def __init__(self, *, lists_waiting: bool) -> None:
        self._lists_waiting = lists_waiting
        self._jobs: list[Job] = []
        self._living: list[Job] = []
        self._by_id: dict[str, list[Job]] | None = {}
        self._selections: OrderedDict[Question, Selection] = OrderedDict()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """Iterate over the jobs, newest first."""
        return reversed(self._jobs)

    def add(self, job: Job) -> None:
        """Add one job; of two jobs with the same start, the job added later counts as newer.

        :param job: the job.
        """
        self._index().setdefault(job.job_id, []).append(job)
        insort_right(self._jobs, job, key=_started)
        if job.life is not None:
            self._living.append(job)
        self._selections.clear()

    def add_history(self, jobs: Iterable[Job]) -> None:
        """Add many jobs without a life; the index by id is rebuilt when it is next needed.

        :param jobs: the jobs, oldest first.
        """
        self._jobs.extend(jobs)
        self._jobs.sort(key=_started)
        self._by_id = None
        self._selections.clear()

    def remove(self, job: Job) -> None:
        """Remove a job.

        :param job: one of the jobs.
        """
        del self._jobs[self._jobs.index(job, bisect_left(self._jobs, job.started, key=_started))]
        self._index()[job.job_id].remove(job)
        self._living = [other for other in self._living if other is not job]
        self._selections.clear()

    def with_id(self, job_id: str) -> list[Job]:
        """Return the jobs of an id; they differ in location or organisation.

        :param job_id: the id.
        """
        return list(self._index().get(job_id, ()))

    def is_listed(self, job: Job, now: int) -> bool:
        """Tell whether the vendor's server lists a job yet.

        :param job: the job.
        :param now: the server's time in ticks.
        """
        return self._lists_waiting or job.life is None or job.started <= now

    def select(self, question: Question, now: int) -> Selection:
        """Return the jobs that match a question.

        :param question: the question.
        :param now: the server's time in ticks.
        """
        kept = self._selections.get(question)
        if kept is not None and (kept.valid_until is None or now < kept.valid_until):
            self._selections.move_to_end(question)
            return kept
        selection = self._scan(question, now)
        self._selections[question] = selection
        if len(self._selections) > _KEPT_SELECTIONS:
            self._selections.popitem(last=False)
        return selection

    def _scan(self, question: Question, now: int) -> Selection:
        changes = {job: moment for job in self._living if (moment := job.next_change(now)) is not None}
        self._living = list(changes)
        valid_until = min(changes.values(), default=None)
        low, high = self._bounds(question)
        hides_some = any(not self.is_listed(job, now) for job in self._living)
        is_window_only = not question.wanted and not question.sought
        if is_window_only and question.window_filters_by == "start" and not hides_some:
            return Selection(self._jobs, low, high, valid_until)
        wanted = _Wanted(question.wanted)
        found = [
            job
            for job in self._jobs[low:high]
            if (
                wanted[job.facts]
                if job.life is None
                else wanted[job.at(now).facts] and self.is_listed(job, now)
            )
        ]
        if question.window_filters_by != "start":
            in_window = _WINDOWS[question.window_filters_by]
            found = [job for job in found if in_window(job.at(now), question)]
        if question.sought:
            found = [job for job in found if _is_sought(job, question)]
        return Selection(found, 0, len(found), valid_until)

    def _bounds(self, question: Question) -> tuple[int, int]:
        """Return the range of jobs that may match; no job finishes before it starts."""
        low, high = 0, len(self._jobs)
        if question.before is not None:
            high = bisect_right(self._jobs, question.before, key=_started)
        if question.after is not None and question.window_filters_by == "start":
            low = bisect_left(self._jobs, question.after, key=_started)
        return low, max(low, high)

    def _index(self) -> dict[str, list[Job]]:
        if self._by_id is None:
            self._by_id = {}
            for job in self._jobs:
                self._by_id.setdefault(job.job_id, []).append(job)
        return self._by_id


class _Wanted(dict[Facts, bool]):
    """Whether facts are wanted; decided once for all jobs that share the facts."""

    def __init__(self, wanted: tuple[tuple[str, Any], ...]) -> None:
        super().__init__()
        self._wanted = wanted

    def __missing__(self, facts: Facts) -> bool:
        self[facts] = decision = are_wanted(facts, self._wanted)
        return decision


def _is_sought(job: Job, question: Question) -> bool:
    texts = (job.job_id, *(getattr(job.facts, name) or "" for name in question.sought_in))
    return any(question.sought.casefold() in text.casefold() for text in texts)


def _finishes_in_window(job: Job, question: Question) -> bool:
    if question.after is None and question.before is None:
        return True
    return (
        job.finished is not None
        and (question.after is None or question.after <= job.finished)
        and (question.before is None or job.finished <= question.before)
    )


def _overlaps_window(job: Job, question: Question) -> bool:
    return question.after is None or job.finished is None or question.after <= job.finished


# "start" is missing: the bisection has already applied it.
_WINDOWS: dict[str, Callable[[Job, Question], bool]] = {
    "finish": _finishes_in_window,
    "overlap": _overlaps_window,
}
