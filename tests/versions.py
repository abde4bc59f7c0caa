"""What differs between the versions of Airflow: names that moved, and what an older one lacks."""

from __future__ import annotations

import re
import warnings
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.version import Version

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Airflow's libraries say of each other when it loads
    import airflow
    import airflow.models

AIRFLOW = Version(airflow.__version__).release[:2]

if AIRFLOW >= (3, 2):
    from airflow.sdk.exceptions import AirflowRescheduleException
else:
    from airflow.exceptions import AirflowRescheduleException

if AIRFLOW >= (3, 1):
    from airflow.sdk._shared import secrets_masker
elif AIRFLOW >= (3, 0):
    from airflow.sdk.execution_time import secrets_masker
else:
    from airflow.utils.log import secrets_masker

if AIRFLOW >= (3, 0):
    from airflow.models.trigger import TriggerFailureReason
    from airflow.sdk.io import store as object_stores

    #: What the scheduler says of a deferral that lasts too long.
    DEFERRAL_TIMEOUT = TriggerFailureReason.TRIGGER_TIMEOUT.value
else:
    from airflow.io import store as object_stores

    DEFERRAL_TIMEOUT = "Trigger/execution timeout"

__all__ = [
    "AIRFLOW",
    "DEFERRAL_TIMEOUT",
    "IGNORED_WARNINGS",
    "SENSITIVE_FIELDS",
    "AirflowRescheduleException",
    "find_what_is_lacking",
    "needs_airflow",
    "object_stores",
    "reset_masker",
]

SENSITIVE_FIELDS = secrets_masker.DEFAULT_SENSITIVE_FIELDS  # noqa: AIR301  # asked for by version

#: What older versions of Airflow, and the libraries of their days, say of each other: category by module.
IGNORED_WARNINGS: dict[str, type[Warning]] = (
    {}
    if AIRFLOW >= (3, 3)
    else {"airflow": FutureWarning, "uvicorn": DeprecationWarning, "websockets": DeprecationWarning}
)

#: Files and folders of tests that an Airflow before the version cannot run, or not even import.
_NEEDS = {
    "airflow": ("3.0", "demo.stack starts an Airflow 3"),
    "cluster/test_run.py": ("3.1", "3.0's audit log keeps a proxy's password, and demo.stack starts no 2.11"),
    "cli": ("3.2", "providers add commands"),
    "dags/test_event_driven.py": ("3.0", "asset watchers"),
    "page": ("3.1", "pages of plugins in Airflow's UI"),
    "test_benchmarks.py": ("3.0", "what the benchmarks measure"),
    "test_compose.py": ("3.3", "what docker-compose.yaml runs"),
    "triggers/test_events.py": ("3.3", "assets keep state, and watchers share streams"),
}


def needs_airflow(version: str, why: str) -> pytest.MarkDecorator:
    """Skip a test on Airflow before *version*; *why* says what that lacks."""
    return pytest.mark.skipif(AIRFLOW < Version(version).release, reason=f"Airflow {version}: {why}")


def find_what_is_lacking(path: str) -> str | None:
    """Return why the tests in *path*, of this folder, cannot run on this Airflow; None where they can."""
    for start, (version, why) in _NEEDS.items():
        if AIRFLOW < Version(version).release and (path == start or path.startswith(f"{start}/")):
            return f"Airflow {version}: {why}"
    return None


class _LazyPattern:
    """A pattern of Airflow's masker, compiled when a text is masked.

    The masker compiles one pattern of all its secrets each time it is given a secret. This takes 10 ms,
    several times for each hook, and most tests never log a line that is masked.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)


secrets_masker.re = SimpleNamespace(**{**vars(re), "compile": _LazyPattern})  # noqa: AIR301  # as above


def reset_masker() -> None:
    """Let Airflow's masker forget every secret it has been given."""
    masker = secrets_masker._secrets_masker()  # noqa: AIR301  # as above
    masker.patterns = set()
    masker.replacer = None
