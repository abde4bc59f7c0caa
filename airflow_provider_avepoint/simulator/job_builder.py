"""Build jobs from the fields of the control API, and describe jobs by these fields."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from . import times
from .control_schema import NO_COUNTS, JobFields, Refused
from .encoding import ABSENT
from .jobs import Facts, Job, Life
from .products.base import Product

ENDED_WORDS = frozenset({"success", "partial", "failed", "skipped", "stopped"})
_LIFE_FIELDS = frozenset({"starts_in", "runs_for", "ends_as"})
_HISTORY_FIELDS = frozenset({"state", "raw_state", "finished_at"})
_DEFAULT_AGE = times.ticks_in(3600)
_DEFAULT_LENGTH = times.ticks_in(600)
_DEFAULT_RUN_SECONDS = 60.0


def build_job(product: Product, fields: JobFields, job_id: str, now: int) -> Job:
    """Return the job that the fields describe.

    :param product: the product, with its words.
    :param fields: the description.
    :param job_id: the job's id.
    :param now: the server's time in ticks.
    :raises Refused: the product has no such word or field, or the fields contradict each other.
    """
    given = frozenset(fields.model_fields_set)
    alive = bool(given & _LIFE_FIELDS)
    if alive and (clash := given & _HISTORY_FIELDS):
        raise Refused(f"{_list(clash)} cannot stand beside starts_in, runs_for or ends_as: the clock decides")
    started = _in_calendar(_read_start(fields, given, now, alive=alive))
    if alive:
        ends_as = product.check_state(fields.ends_as or "success")
        if ends_as not in ENDED_WORDS:
            raise Refused(f"ends_as is a state that a job ends in: {_list(ENDED_WORDS)}")
        life = Life(
            waiting=_facts(product, fields, "waiting", has_results=False),
            running=_facts(product, fields, "running", has_results=False),
            ended=_facts(product, fields, ends_as),
        )
        run = times.ticks_in(_DEFAULT_RUN_SECONDS if fields.runs_for is None else fields.runs_for)
        return Job(job_id, started, _in_calendar(started + run), life.ended, life)
    facts = history_facts(product, fields)
    if fields.finished_at is not None:
        return Job(job_id, started, _in_calendar(fields.finished_at), facts)
    if "finished_at" in given:
        return Job(job_id, started, None, facts)
    is_open = facts.state not in ENDED_WORDS and facts.raw_state is ABSENT
    default_end = started + _DEFAULT_LENGTH if started > now else min(started + _DEFAULT_LENGTH, now)
    return Job(job_id, started, None if is_open else default_end, facts)


def history_facts(product: Product, fields: JobFields) -> Facts:
    """Return the facts of a job of history.

    :param product: the product, with its words.
    :param fields: the description.
    :raises Refused: the product has no such word or field, or both *state* and *raw_state* are given.
    """
    if "raw_state" not in fields.model_fields_set:
        return _facts(product, fields, product.check_state(fields.state or "success"))
    if fields.state is not None:
        raise Refused("give state or raw_state, not both")
    return _facts(product, fields, None, raw_state=fields.raw_state)


def changed_fields(job: Job, changes: JobFields, now: int) -> JobFields:
    """Return the description of a job after a change.

    A new state ends or reopens the job: the job keeps its finish, or finishes now, or has no finish. Fields
    that contradict the change are left out.

    :param job: the job.
    :param changes: the fields to change.
    :param now: the server's time in ticks.
    """
    given = changes.model_dump(exclude_unset=True)
    before = job.at(now)
    fields = description(before if given.keys() & _HISTORY_FIELDS else job)
    if given.keys() & _LIFE_FIELDS:
        fields = _without(fields, _HISTORY_FIELDS)
    if given.keys() & {"starts_in", "started_ago"}:
        fields = _without(fields, {"started_at"})
    if given.keys() & {"state", "raw_state"}:
        fields = _without(fields, {"state", "raw_state"})
        is_open = "state" in given and given["state"] not in ENDED_WORDS
        fields["finished_at"] = None if is_open else before.finished or now
    return JobFields.model_validate({**fields, **given})


def description(job: Job) -> dict[str, Any]:
    """Return the control fields that describe a job, without those that are not set; times are in ticks.

    :param job: the job.
    """
    facts = job.facts
    fields: dict[str, Any] = {
        "job_type": facts.job_type,
        "workload": facts.workload,
        "organization_id": facts.organization_id,
        "organization_name": facts.organization_name,
        "location": facts.location,
        "data_source": facts.data_source,
        "level": facts.level,
        "label": facts.label,
        "started_at": job.started,
        "counts": facts.counts and facts.counts.model_dump(),
        "record_counts": facts.record_counts and facts.record_counts.model_dump(),
        "metadata_counts": facts.metadata_counts and facts.metadata_counts.model_dump(),
        "size_bytes": facts.size_bytes,
        "errors": [error.model_dump() for error in facts.errors],
        "extra": facts.extra,
        "omit": list(facts.omit),
    }
    if facts.duration is not ABSENT:
        fields["duration"] = facts.duration
    if job.life is not None and job.finished is not None:
        return fields | {
            "runs_for": (job.finished - job.started) / times.TICKS_PER_SECOND,
            "ends_as": facts.state,
        }
    state = {"state": facts.state} if facts.raw_state is ABSENT else {"raw_state": facts.raw_state}
    return fields | {"finished_at": job.finished} | state


def as_json(product_name: str, job: Job, now: int) -> dict[str, Any]:
    """Return the job as the control API shows it: its fields at *now*, with times in ISO 8601.

    :param product_name: the product's name.
    :param job: the job.
    :param now: the server's time in ticks.
    """
    seen = {"product": product_name, "job_id": job.job_id, "state": None, **description(job.at(now))}
    for name in ("started_at", "finished_at"):
        seen[name] = None if seen[name] is None else times.to_iso_full(seen[name])
    return seen


def _without(fields: dict[str, Any], names: AbstractSet[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _read_start(fields: JobFields, given: AbstractSet[str], now: int, *, alive: bool) -> int:
    ways = given & {"started_at", "started_ago", "starts_in"}
    if len(ways) > 1:
        raise Refused(f"give one of {_list(ways)}")
    if fields.started_at is not None:
        return fields.started_at
    if fields.started_ago is not None:
        return now - times.ticks_in(fields.started_ago)
    if fields.starts_in is not None:
        return now + times.ticks_in(fields.starts_in)
    return now if alive else now - _DEFAULT_AGE


def _in_calendar(ticks: int) -> int:
    if not 0 <= ticks <= times.LATEST:
        raise Refused("a job starts and finishes between the years 1 and 9999")
    return ticks


def _facts(
    product: Product,
    fields: JobFields,
    word: str | None,
    *,
    raw_state: Any = ABSENT,
    has_results: bool = True,
) -> Facts:
    product.check_fields(fields)
    organization_id, organization_name = product.read_organization(fields)
    workload = product.read_workload(fields)
    return Facts(
        job_type=product.read_job_type(fields.job_type, workload),
        workload=workload,
        organization_id=organization_id,
        organization_name=organization_name,
        location=product.read_location(fields.location),
        data_source=product.data_sources.read_or_default(fields.data_source, "data source"),
        level=product.levels.read_or_default(fields.level, "level"),
        label=fields.label if "label" in fields.model_fields_set else product.default_label,
        state=word,
        state_code=product.code_of_raw(raw_state) if word is None else product.states.get(word),
        raw_state=raw_state,
        counts=fields.counts if has_results else NO_COUNTS,
        record_counts=fields.record_counts if has_results else NO_COUNTS,
        metadata_counts=fields.metadata_counts if has_results else NO_COUNTS,
        size_bytes=fields.size_bytes if has_results else 0,
        errors=fields.errors if has_results else (),
        duration=fields.duration if "duration" in fields.model_fields_set else ABSENT,
        extra=fields.extra,
        omit=fields.omit,
    )


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
