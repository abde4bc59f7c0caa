"""What a gate asks beside the jobs: the schedule, and unusual activity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.activity import UnusualActivity
    from airflow_provider_avepoint.core.schedule import BackupSchedule


#: What the answer to a question holds.
Reading: TypeAlias = "BackupSchedule | UnusualActivity"


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


class Circumstances:
    """The answers to the questions of a gate.

    :param readings: question → what was read.
    """

    def __init__(self, readings: Mapping[Question, Reading] | None = None) -> None:
        self._readings = dict(readings or {})

    def add(self, question: Question, reading: Reading) -> None:
        """Add the answer to a question.

        :param question: the question.
        :param reading: what was read.
        """
        self._readings[question] = reading

    def only(self, questions: Iterable[Question]) -> Circumstances:
        """Return the answers to some questions.

        :param questions: these questions; each has an answer.
        """
        return Circumstances({each: self._readings[each] for each in questions})

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
