"""Restores of files and folders: the request's check, the jobs that it starts, and what they come to.

https://learn.avepoint.com/docs/services-and-features/m365/jobs/perform-restore-job.html: the body, the id in
the answer, the limits of 20 paths and of three running jobs, and the refusals 400 and 429. What the page
leaves open (a path or library that does not exist, a time in the future, how long a job takes to be listed)
is up to ``RestoreSettings``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import times
from .control_schema import Counts, JobFields, RestoreSettings
from .encoding import VendorError, invalid_parameter
from .products.base import RestoreEndpoint

MOST_PATHS = 20
MOST_RUNNING = 3
#: The job types that the limit counts.
LIMITED_TYPES = frozenset({"restore", "export"})
_ID_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request asks to restore.

    :param workload: the word for the service.
    :param path_count: the number of files and folders.
    """

    workload: str
    path_count: int


def read_request(endpoint: RestoreEndpoint, body: Mapping[str, Any]) -> Wanted:
    """Check the body of a request.

    :param endpoint: the endpoint.
    :param body: the JSON body.
    :raises VendorError: a field is missing or wrong.
    """
    number = body.get("serviceType")
    if isinstance(number, bool) or number not in endpoint.services:
        raise invalid_parameter("ServiceType", f"The value '{number}' is not valid for ServiceType.")
    workload, key, label, owner = endpoint.services[number]
    moment = body.get("recoveryDateTime")
    if not isinstance(moment, str) or not moment.endswith("Z") or "T" not in moment:
        raise invalid_parameter("RecoveryDateTime", "'Recovery Date Time' is not in a supported format.")
    try:
        times.parse_iso(moment)
    except ValueError as error:
        raise invalid_parameter("RecoveryDateTime", str(error)) from error
    scope = body.get(key)
    if not isinstance(scope, dict):
        raise invalid_parameter(key[0].upper() + key[1:], f"'{label}' must not be empty.")
    if not isinstance(scope.get(owner), str) or not scope[owner]:
        raise invalid_parameter(owner[0].upper() + owner[1:], f"'{owner}' must not be empty.")
    return Wanted(workload=workload, path_count=_count_paths(scope.get("restoreTargets")))


def _count_paths(targets: Any) -> int:
    if not isinstance(targets, list) or not targets:
        raise invalid_parameter("RestoreTargets", "'Restore Targets' must not be empty.")
    count = 0
    for target in targets:
        paths = [path for key in ("files", "folders") if key in target for path in _paths(key, target[key])]
        if not paths:
            raise invalid_parameter("RestoreTargets", "At least one of Files and Folders is required.")
        for path, other in itertools.permutations(paths, 2):
            if path.casefold().startswith(f"{other.casefold()}/"):
                raise invalid_parameter("RelativePath", f"'{path}' lies in '{other}'.")
        count += len(paths)
    if count > MOST_PATHS:
        raise invalid_parameter("RestoreTargets", f"At most {MOST_PATHS} paths can be restored at once.")
    return count


def _paths(key: str, rows: Any) -> Iterator[str]:
    if not isinstance(rows, list) or not rows:
        raise invalid_parameter(key.capitalize(), f"'{key.capitalize()}' must not be empty.")
    for row in rows:
        path = row.get("relativePath") if isinstance(row, dict) else None
        if not isinstance(path, str) or not path.strip():
            raise invalid_parameter("RelativePath", "'Relative Path' must not be empty.")
        yield path


def too_many_running() -> VendorError:
    """Return the refusal of a restore beside three running jobs."""
    return VendorError(
        429, f"There are already {MOST_RUNNING} restore/export jobs running, cannot start new restore job."
    )


def restore_id(started: int, number: int) -> str:
    """Return an id in the form of the page's sample: RS, the time, four digits.

    :param started: when the restore was asked for, in ticks.
    :param number: the number whose last digits end the id.
    """
    return f"RS{times.to_stamp(started)}{number % 10**_ID_DIGITS:0{_ID_DIGITS}d}"


def describe_job(wanted: Wanted, settings: RestoreSettings, location: str | None) -> JobFields:
    """Return the description of the job that a request starts.

    :param wanted: what the request asks to restore.
    :param settings: what becomes of restores.
    :param location: the Multi-Geo code of the request.
    """
    counts: Counts | None = Counts(successful=wanted.path_count)
    if "counts" in settings.model_fields_set:
        counts = settings.counts
    return JobFields.model_validate(
        {
            "job_type": "restore",
            "workload": wanted.workload,
            "location": location,
            "starts_in": settings.starts_in,
            "runs_for": settings.runs_for,
            "ends_as": settings.ends_as,
            "counts": counts and counts.model_dump(),
            "extra": settings.extra,
        }
    )
