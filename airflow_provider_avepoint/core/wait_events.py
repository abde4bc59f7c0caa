"""Decide what one look at the API means for a wait: nothing yet, or how the wait ends. All modes share this.

A wait ends with an event: a JSON object that a trigger can send and a sensor can act on::

    {"status": "passed",      "message": …, "evidence": {…}}    the verdict passes, or the job ended well
    {"status": "failed",      "message": …, "evidence": {…}}    the end is bad, and waiting cannot help
    {"status": "timeout",     "message": …, "evidence": … | None}    the last look reached the API
    {"status": "outage",      "message": …, "evidence": None}    a timeout after a last look that failed
    {"status": "overdue",     "message": …, "evidence": … | None}    the task's execution_timeout has passed
    {"status": "error",       "message": …, "error": "AvePointAuthError", "facts": {…}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_avepoint.core.errors import (
    AvePointError,
    AvePointPayloadError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.job_text import describe_state, list_problems, quote_error, show_time
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.text import one_line, quoted
from airflow_provider_avepoint.core.verdict import WINDOW, Reason, Verdict, grade_job

#: A wait gives up after this many failed polls in a row; each poll has its own retries.
MAX_FAILED_POLLS = 10
# The first growing pause, in poll intervals. Airflow's first pause is random: half an interval to a whole.
_FIRST_PAUSE = 0.75
_NOTHING_SEEN = "nothing has been seen yet"
# Scopes with these reasons are in the evidence of a verdict but do not count in it.
_NOT_JUDGED = ("excluded", "forgotten")
_LONGEST_ERROR = 2000

Event = dict[str, Any]


class Status(StrEnum):
    """How a wait ends."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUTAGE = "outage"
    OVERDUE = "overdue"
    ERROR = "error"


# These grades of a job are final, and bad.
_ENDED_BADLY = frozenset({Reason.FAILED, Reason.PARTIAL, Reason.SKIPPED})


@dataclass(slots=True)
class Watch:
    """The state of one wait: what was last seen, and how many polls in a row have failed.

    :param failed_polls: how many polls in a row have failed.
    :param news: what was last seen, in a sentence.
    :param last_error: why the last poll failed; None where it did not fail.
    :param unknown_since: when the first of these polls failed, in UTC; None where the last poll did not fail.
    :param is_changed: whether the last look that reached the API saw something else than the look before.
    """

    failed_polls: int = 0
    news: str = _NOTHING_SEEN
    last_error: str | None = None
    unknown_since: datetime | None = None
    is_changed: bool = False
    _seen: Verdict | BackupJob | None = None

    @classmethod
    def resume(
        cls,
        failed_polls: int = 0,
        news: str | None = None,
        last_error: str | None = None,
        unknown_since: str | None = None,
    ) -> Watch:
        """Restore the state of a wait that began in another process; see :meth:`hand_over`.

        :param failed_polls: as in the class.
        :param news: as in the class; None where nothing was seen.
        :param last_error: as in the class.
        :param unknown_since: as in the class, in ISO 8601.
        """
        since = None if unknown_since is None else datetime.fromisoformat(unknown_since)
        return cls(failed_polls, news or _NOTHING_SEEN, last_error, since)

    def hand_over(self) -> dict[str, Any]:
        """Return the arguments of :meth:`resume`, as JSON values: another process continues the wait."""
        return {
            "failed_polls": self.failed_polls,
            "news": self.news,
            "last_error": self.last_error,
            "unknown_since": None if self.unknown_since is None else self.unknown_since.isoformat(),
        }

    def note_verdict(self, verdict: Verdict) -> Event | None:
        """Note a verdict; return the event where the verdict ends the wait.

        :param verdict: the verdict of this look.
        """
        self._note(verdict.describe(), verdict)
        if verdict.passed:
            return self._event(Status.PASSED)
        if verdict.policy.fail_fast and verdict.is_settled:
            return self._event(Status.FAILED)
        return None

    def note_job(self, job: BackupJob, *, accept_partial: bool, now: datetime | None = None) -> Event | None:
        """Note a job, graded as a gate grades it; return the event where the job ends the wait.

        :param job: the job as this look found it.
        :param accept_partial: a partial backup passes.
        :param now: the time by the API's clock, aware; None takes this machine's clock.
        """
        grade = grade_job(job, now or datetime.now(UTC), accept_partial=accept_partial)
        self._note(describe_job(job, grade), job)
        if grade is Reason.PASSED:
            return self._event(Status.PASSED)
        return self._event(Status.FAILED) if grade in _ENDED_BADLY else None

    def note_absence(self, message: str) -> None:
        """Note that the job is not listed yet.

        :param message: what to say of this, in a sentence.
        """
        self._note(message, None)

    def note_error(self, error: AvePointError) -> Event | None:
        """Note a failed poll; return the event where the error ends the wait.

        An unavailable service or a strange answer ends the wait after ``MAX_FAILED_POLLS`` polls in a row;
        every other error ends the wait at once.

        :param error: why the poll failed.
        """
        if isinstance(error, (AvePointUnavailable, AvePointPayloadError)):
            self._lose(str(error))
            if self.failed_polls < MAX_FAILED_POLLS:
                return None
            message = f"{self.failed_polls} polls in a row failed; the last: {error} {self._recall()}"
        else:
            message = str(error)
        return {
            "status": Status.ERROR.value,
            "message": message,
            "error": type(error).__name__,
            "facts": {name: value for name, value in vars(error).items() if value is not None},
        }

    def note_silence(self, error: AvePointError | None = None) -> None:
        """Note that the wait is over and the last look has no answer yet.

        :param error: why other waits with the same query have no answer either; None where that is not known.
        """
        known = self.last_error or (None if error is None else str(error))
        self._lose(known or "No answer has come to the last look by the end of the wait.")

    def note_defect(self, error: Exception) -> None:
        """Note a look that failed with an error of another kind, where the wait goes on.

        :param error: the error, such as one of Airflow's database.
        """
        self._lose(f"{type(error).__name__}: {error}")

    def time_out(self, waited_seconds: float) -> Event:
        """Return the event for the end of the sensor's timeout: an outage where the last poll failed.

        :param waited_seconds: how long the whole wait has lasted.
        """
        gave_up = f"Gave up after {waited_seconds:.0f} s"
        if self.failed_polls:
            return {
                "status": Status.OUTAGE.value,
                "message": f"{gave_up}; {self._describe_outage()} Mend this, then clear the task.",
                "evidence": None,
            }
        return self._event(Status.TIMEOUT, f"{gave_up}; {self.news}")

    def overrun(self) -> Event:
        """Return the event for the end of the task's ``execution_timeout``."""
        seen = self._describe_outage() if self.failed_polls else self.news
        event = self._event(Status.OVERDUE, f"The task's execution_timeout has passed; {seen}")
        return event | {"evidence": None} if self.failed_polls else event

    def tell(self, more: str) -> str:
        """Return what was last seen, and a sentence after it: on its own line where several were needed.

        :param more: the sentence.
        """
        separator = "\n" if "\n" in self.news else " "
        return f"{self.news}{separator}{more}"

    @property
    def evidence(self) -> dict[str, Any] | None:
        """Return what was last seen, ready for JSON; a job comes without its raw row."""
        if self._seen is None:
            return None
        evidence = self._seen.as_dict()
        evidence.pop("raw", None)
        return evidence

    def _note(self, news: str, seen: Verdict | BackupJob | None) -> None:
        self.failed_polls, self.last_error, self.unknown_since = 0, None, None
        self.is_changed = _steady(news) != _steady(self.news) and not _are_alike(self._seen, seen)
        self.news, self._seen = news, seen

    def _lose(self, error: str) -> None:
        self.failed_polls += 1
        self.last_error = one_line(error, _LONGEST_ERROR)
        self.unknown_since = self.unknown_since or datetime.now(UTC)

    def _describe_outage(self) -> str:
        since = "" if self.unknown_since is None else f" since {self.unknown_since:%Y-%m-%d %H:%M:%S} UTC"
        last = "" if self.last_error is None else f" The last error: {self.last_error}"
        looks = "the last look" if self.failed_polls == 1 else f"the last {self.failed_polls} looks"
        return f"nothing is known{since}: {looks} failed.{last} {self._recall()}"

    def _recall(self) -> str:
        """Describe what the last successful look saw."""
        if self.news == _NOTHING_SEEN:
            return "No look before had reached the API."
        return f"Before that, {self.news}"

    def _event(self, status: Status, message: str | None = None) -> Event:
        return {"status": status.value, "message": message or self.news, "evidence": self.evidence}


def _steady(news: str) -> str:
    """Return *news* without the line that differs from look to look."""
    return "\n".join(line for line in news.split("\n") if not line.startswith(WINDOW))


def _are_alike(before: Verdict | BackupJob | None, now: Verdict | BackupJob | None) -> bool:
    """Tell whether two verdicts rest on the same jobs, and say the same of each scope."""
    if not isinstance(before, Verdict) or not isinstance(now, Verdict):
        return False

    def outline(verdict: Verdict) -> list[object]:
        return [
            (
                each.scope,
                each.reason,
                each.missed_runs,
                each.unusual,
                each.job and (each.job.job_id, each.job.state),
            )
            for each in verdict.scopes
        ]

    return outline(before) == outline(now)


def find_pause(poll_interval: float, elapsed: float, max_wait: float | None) -> float:
    """Return the pause before the next look where pauses grow, as with a sensor's ``exponential_backoff``.

    Each pause is twice as long as the one before. The pause follows from the age of the wait, not from a
    count, so a triggerer that restarts continues with the pause that was reached.

    :param poll_interval: seconds.
    :param elapsed: seconds since the wait began.
    :param max_wait: the longest pause in seconds; None for no limit.
    :returns: seconds.
    """
    pause, spent = _FIRST_PAUSE * poll_interval, 0.0
    while 0 < spent + pause <= elapsed and (max_wait is None or pause < max_wait):
        spent += pause
        pause *= 2
    return pause if max_wait is None else min(pause, max_wait)


def doubt_verdict(status: Status, evidence: object, product: str) -> str | None:
    """Say why *evidence* cannot be the verdict that ended a wait; None where it can.

    :param status: the status of the event.
    :param evidence: the evidence of the event, as it came through Airflow.
    :param product: the product that the sensor waits for.
    """
    if not isinstance(evidence, Mapping) or not isinstance(evidence.get("reason"), str):
        return "it holds no verdict"
    policy = evidence.get("policy")
    judged = policy.get("product") if isinstance(policy, Mapping) else None
    if judged != product:
        return f"its verdict is on {quoted(judged)}, and this sensor waits for {quoted(product)}"
    passed = evidence.get("passed")
    if status is Status.PASSED and (passed is not True or evidence["reason"] != "passed"):
        return f"its verdict says passed: {quoted(passed)}, reason: {quoted(evidence['reason'])}"
    if status is not Status.PASSED and passed is not False:
        return f"its verdict says passed: {quoted(passed)}"
    if passed and not _has_passed(evidence.get("scopes")):
        return "its scopes have not all passed"
    if strange := _find_strange(evidence["policy"], evidence.get("scopes")):
        return f"its scopes are of {quoted(strange)}, which its policy does not name"
    return None


def _find_strange(policy: Mapping[str, Any], scopes: object) -> object:
    """Return an organisation in *scopes* that *policy* does not name; None where there is none."""
    named = policy.get("organization_ids")
    if not isinstance(named, list) or not isinstance(scopes, list):
        return None
    wanted = {normalize_id(str(each)) for each in named}
    places = [scope.get("scope") for scope in scopes if isinstance(scope, Mapping)]
    found = [place.get("organization_id") for place in places if isinstance(place, Mapping)]
    return next((each for each in found if each is not None and normalize_id(str(each)) not in wanted), None)


def _has_passed(scopes: object) -> bool:
    """Tell whether at least one scope was judged, and all judged scopes have passed."""
    if not isinstance(scopes, list) or not all(isinstance(scope, Mapping) for scope in scopes):
        return False
    judged = [scope for scope in scopes if scope.get("reason") not in _NOT_JUDGED]
    return bool(judged) and all(
        scope.get("passed") is True and scope.get("reason") == "passed" for scope in judged
    )


def doubt_job(
    status: Status, evidence: object, product: str, job_id: str, *, accept_partial: bool
) -> str | None:
    """Say why *evidence* cannot be the job that ended a wait; None where it can.

    :param status: the status of the event.
    :param evidence: the evidence of the event, as it came through Airflow.
    :param product: the product of the job that the sensor waits for.
    :param job_id: the id of that job.
    :param accept_partial: whether a partial backup passes.
    """
    if not isinstance(evidence, Mapping):
        return "it holds no job"
    found = (evidence.get("product"), evidence.get("job_id"))
    if found != (product, job_id):
        return (
            f"its job is {quoted(found[1])} of {quoted(found[0])}, "
            f"and this sensor waits for {quoted(job_id)} of {quoted(product)}"
        )
    if status is Status.PASSED and not _has_ended_well(evidence, accept_partial=accept_partial):
        return f"its job is in the state {quoted(evidence.get('state'))}, and has not ended well"
    return None


def _has_ended_well(evidence: Mapping[str, Any], *, accept_partial: bool) -> bool:
    """Tell whether a job has ended well, from what :meth:`BackupJob.as_dict` kept of it."""
    try:
        counts, records, metadata = (
            Counts(**evidence.get(level, {})) for level in ("counts", "record_counts", "metadata_counts")
        )
        job = BackupJob(
            product=evidence["product"],
            job_id=evidence["job_id"],
            state=JobState(evidence["state"]),
            problems=tuple(evidence.get("problems") or ()),
            counts=counts,
            record_counts=records,
            metadata_counts=metadata,
        )
        return grade_job(job, datetime.now(UTC), accept_partial=accept_partial) is Reason.PASSED
    except (KeyError, TypeError, ValueError):
        return False


def describe_job(job: BackupJob, grade: Reason) -> str:
    """Describe in one line how a job stands, with the vendor's own word for its state.

    :param job: the job.
    :param grade: how a gate grades the job; named where it differs from the state.
    """
    text = f"{job.product} job {one_line(job.job_id, 100)} is {job.state} ({describe_state(job)})"
    if job.finished_at is not None:
        text += f", finished {show_time(job.finished_at)}"
    text += job.describe_failures() + list_problems(job)
    if grade not in (Reason.PASSED, Reason.RUNNING) and grade.value != job.state.value:
        text += f"; it counts as {grade}"
    return f"{text}{quote_error(job)}."
