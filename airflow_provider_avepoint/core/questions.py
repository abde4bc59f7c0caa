"""What a gate asks beside the jobs: the schedule, and unusual activity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.activity import UnusualActivity
    from airflow_provider_avepoint.core.errors import AvePointError
    from airflow_provider_avepoint.core.schedule import BackupSchedule, DaySchedule


#: What the answer to a question holds.
Reading: TypeAlias = "BackupSchedule | UnusualActivity"
#: Keeps schedules, and returns what is known of each day from a day on.
KeepDays: TypeAlias = Callable[[Sequence["BackupSchedule"], date], "KnownDays"]


class Topic(StrEnum):
    """What a question is about."""

    SCHEDULE = "schedule"
    ACTIVITY = "activity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question beside the jobs. Gates with the same question share its answer.

    :param topic: what the question is about.
    :param product: the product's name.
    :param organization_id: the organisation; None for all.
    :param location: the Multi-Geo location; None for the one that the endpoint takes itself.
    :param within: how far back unusual activity is asked for; None for a schedule.
    """

    topic: Topic
    product: str
    organization_id: str | None = None
    location: str | None = None
    within: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownDays:
    """What is known of the schedules of the days in a window, today among them.

    :param days: the days of which anything is known, of all locations that were asked for.
    :param error: why nothing could be read; then no verdict passes.
    """

    days: tuple[DaySchedule, ...] = ()
    error: AvePointError | None = None


class Circumstances:
    """The answers to the questions of a gate.

    :param readings: question → what was read.
    :param known_days: what is known of the schedules of past days; None where nobody keeps them.
    """

    def __init__(
        self, readings: Mapping[Question, Reading] | None = None, known_days: KnownDays | None = None
    ) -> None:
        self._readings = dict(readings or {})
        self.known_days = known_days

    def add(self, question: Question, reading: Reading) -> None:
        """Add the answer to a question.

        :param question: the question.
        :param reading: what was read.
        """
        self._readings[question] = reading

    def only(self, questions: Iterable[Question], known_days: KnownDays | None = None) -> Circumstances:
        """Return the answers to some questions.

        :param questions: these questions; each has an answer.
        :param known_days: what is known of past days to the one who asks these questions.
        """
        return Circumstances({each: self._readings[each] for each in questions}, known_days)

    @property
    def schedules(self) -> list[BackupSchedule]:
        """The schedules that were read."""
        return list(self._of(Topic.SCHEDULE))  # type: ignore[arg-type]  # the topic tells the class

    @property
    def activities(self) -> list[UnusualActivity]:
        """The unusual activity that was read."""
        return list(self._of(Topic.ACTIVITY))  # type: ignore[arg-type]  # the topic tells the class

    def _of(self, topic: Topic) -> Iterator[Reading]:
        return (reading for question, reading in self._readings.items() if question.topic is topic)
