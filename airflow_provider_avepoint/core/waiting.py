"""What one look at the API means for a wait: nothing yet, or how it ends. Shared by every mode of waiting.

A wait ends with an event, a JSON object that a trigger can send and a sensor can act on::

    {"status": "passed",      "message": …, "evidence": {…}}    the verdict passes, the job ended well
    {"status": "failed",      "message": …, "evidence": {…}}    it does not, and waiting cannot help
    {"status": "timeout",     "message": …, "evidence": … | None}
    {"status": "overdue",     "message": …, "evidence": … | None}    the task's execution_timeout
    {"status": "error",       "message": …, "error": "AvePointAuthError", "facts": {…}}
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_avepoint.core.errors import (
    AvePointError,
    AvePointPayloadError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.text import one_line, quoted
from airflow_provider_avepoint.core.verdict import Verdict

#: Failed polls in a row after which a wait gives up; each has had its own retries.
MAX_FAILED_POLLS = 10

Event = dict[str, Any]


class Status(StrEnum):
    """How a wait ends."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OVERDUE = "overdue"
    ERROR = "error"


@dataclass(slots=True)
class Watch:
    """One wait: what it has seen last, and how many polls in a row have failed.

    :param news: the last thing seen, in a sentence.
    """

    failed_polls: int = 0
    news: str = "nothing has been seen yet"
    _seen: Verdict | BackupJob | None = None

    @classmethod
    def resume(cls, failed_polls: int = 0, news: str | None = None) -> Watch:
        """Return the watch of a wait that began elsewhere."""
        return cls(failed_polls, news) if news else cls(failed_polls)

    def note_verdict(self, verdict: Verdict) -> Event | None:
        """Take a verdict; return the event that ends the wait, if it does."""
        self._note(verdict.describe(), verdict)
        if verdict.passed:
            return self._event(Status.PASSED)
        if verdict.policy.fail_fast and verdict.is_settled:
            return self._event(Status.FAILED)
        return None

    def note_job(self, job: BackupJob, *, accept_partial: bool) -> Event | None:
        """Take a job; return the event that ends the wait, if it does."""
        self._note(describe_job(job), job)
        if not job.state.is_terminal:
            return None
        is_good = job.state is JobState.SUCCESS or (job.state is JobState.PARTIAL and accept_partial)
        return self._event(Status.PASSED if is_good else Status.FAILED)

    def note_absence(self, message: str) -> None:
        """Take that a job is not listed yet."""
        self._note(message, None)

    def note_error(self, error: AvePointError) -> Event | None:
        """Take a failed poll; return the event that ends the wait: at once unless the next may do better."""
        if isinstance(error, (AvePointUnavailable, AvePointPayloadError)):
            self.failed_polls += 1
            if self.failed_polls < MAX_FAILED_POLLS:
                return None
            message = f"{self.failed_polls} polls in a row failed; the last: {error} Before that, {self.news}"
        else:
            message = str(error)
        return {
            "status": Status.ERROR.value,
            "message": message,
            "error": type(error).__name__,
            "facts": {name: value for name, value in vars(error).items() if value is not None},
        }

    def time_out(self, waited_seconds: float) -> Event:
        """Return the event for the end of the sensor's timeout."""
        return self._event(Status.TIMEOUT, f"Gave up after {waited_seconds:.0f} s; {self.news}")

    def overrun(self) -> Event:
        """Return the event for the end of the task's ``execution_timeout``."""
        return self._event(Status.OVERDUE, f"The task's execution_timeout has passed; {self.news}")

    @property
    def evidence(self) -> dict[str, Any] | None:
        """What was seen last, ready for JSON; a job without its raw row."""
        if self._seen is None:
            return None
        evidence = self._seen.as_dict()
        evidence.pop("raw", None)
        return evidence

    def _note(self, news: str, seen: Verdict | BackupJob | None) -> None:
        self.failed_polls = 0
        self.news, self._seen = news, seen

    def _event(self, status: Status, message: str | None = None) -> Event:
        return {"status": status.value, "message": message or self.news, "evidence": self.evidence}


def describe_job(job: BackupJob) -> str:
    """Say in a line how a job stands, with the vendor's own words."""
    text = f"{job.product} job {one_line(job.job_id, 100)} is {job.state} ({quoted(job.raw_state)})"
    if job.finished_at is not None:
        text += f", finished {job.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    text += job.describe_failures()
    if job.errors and (error := job.errors[0]).message:
        text += f"; {one_line(error.message)}" + (f" ({one_line(error.url)})" if error.url else "")
    return text + "."
