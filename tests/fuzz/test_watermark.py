"""Whatever a vendor's jobs and a watcher's looks do: every end is announced, once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.watermark import Watermark
from tests.core.test_watermark import DAY, HOUR, MINUTE, NOW, TERMINAL, begin, job

from . import fuzz

pytestmark = pytest.mark.no_cover


@dataclass(frozen=True)
class Life:
    """One job at the vendor.

    :param listed_after: how long after its start it appears; before it, where it waits for its time.
    :param hides_start: while it runs, its row does not say when it started.
    """

    name: str
    started_at: datetime
    listed_after: timedelta
    lasts: timedelta
    hides_start: bool
    ends_as: JobState
    is_unknown_meanwhile: bool

    @property
    def ended_at(self) -> datetime:
        return self.started_at + self.lasts

    @property
    def listed_at(self) -> datetime:
        return self.started_at + self.listed_after

    def row(self, at: datetime, skew: timedelta) -> BackupJob | None:
        """Return its row at a time, by a vendor's clock that is ahead by *skew*; None before it is listed."""
        if at < self.listed_at:
            return None
        if at >= self.ended_at:
            return job(
                self.name,
                self.ends_as,
                started_at=self.started_at + skew,
                finished_at=self.ended_at + skew,
            )
        meanwhile = "unknown" if self.is_unknown_meanwhile else "running"
        state = "waiting" if at < self.started_at else meanwhile
        return job(self.name, state, started_at=None if self.hides_start else self.started_at + skew)


BEGINNING = NOW


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """Draw jobs that start from days before the watcher's beginning on."""
    minutes = st.integers(-3 * 24 * 60, 4 * 24 * 60)
    drawn = []
    for index in range(draw(st.integers(1, 12))):
        hides_start = draw(st.booleans())
        starts = draw(st.integers(-5 * 60, 4 * 24 * 60) if hides_start else minutes)
        drawn.append(
            Life(
                name=f"J{index}",
                started_at=BEGINNING + starts * MINUTE,
                listed_after=draw(st.integers(-600, 5 * 60 + 45)) * MINUTE,
                lasts=draw(st.sampled_from([1, 4, 45, 300, 500, 1500, 5000, 20_000])) * MINUTE,
                hides_start=hides_start,
                ends_as=draw(st.sampled_from(TERMINAL)),
                is_unknown_meanwhile=draw(st.booleans()),
            )
        )
    return drawn


@fuzz(2)
@given(
    jobs=lives(),
    gaps=st.lists(st.sampled_from([1, 5, 5, 5, 60, 400, 1800, 6000]), min_size=1, max_size=60),
    jitters=st.lists(st.integers(-120, 120), min_size=70, max_size=70),
    skew=st.integers(-4, 4),
    interrupts=st.sets(st.integers(0, 60)),
    others_need=st.sets(st.integers(0, 60)),
)
def test_every_end_after_the_beginning_is_announced_whatever_happens(
    jobs: list[Life],
    gaps: list[int],
    jitters: list[int],
    skew: int,
    interrupts: set[int],
    others_need: set[int],
) -> None:
    """Looks come at any time, by clocks that differ; after an interrupt the look before is done again.

    Without interrupts nothing is announced twice. What has ended before the beginning is not announced,
    unless it was listed later.
    """
    ahead = skew * MINUTE

    def listed(at: datetime, since: datetime) -> list[BackupJob]:
        rows = [row for each in jobs if (row := each.row(at, ahead)) is not None]
        return [row for row in rows if row.effective_start is None or row.effective_start >= since]

    watermark = begin(*listed(BEGINNING, Watermark.first_start(BEGINNING)), now=BEGINNING)
    at, need, announced = BEGINNING, watermark.earliest_start(BEGINNING), Counter[str]()
    # Two quiet looks at the end: by then every job has ended.
    last = max(each.ended_at for each in jobs)
    for index, minutes in enumerate([*gaps, None, 3 * 24 * 60]):
        at = max(at, last) + 6 * HOUR if minutes is None else at + minutes * MINUTE
        now = at + timedelta(seconds=jitters[index])
        since = need - 40 * DAY if index in others_need else need
        news, kept = watermark.advance(listed(at, since), now, asked_since=since)
        announced.update(each.job_id for each in news)
        if index not in interrupts or index >= len(gaps):
            watermark = Watermark.from_dict(kept.as_dict())
        need = watermark.earliest_start(now)

    ended_after = {each.name for each in jobs if max(each.ended_at, each.listed_at) > BEGINNING}
    expected = {each.name: each for each in jobs if each.name in ended_after}
    assert set(expected) == set(announced)
    if not interrupts:
        assert {1} >= set(announced.values())
