"""Which Airflow releases are supported, and what they run on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release of Airflow.

    :param version: the last of its minor version.
    :param published: the day of it. Its libraries are those of that day, as in the constraint files that
        Airflow publishes: later ones break it (Airflow 3.2.2 with pydantic 2.14, 3.0.6 with Starlette 1.0).
    :param newest_python: the newest that it allows.
    """

    version: str
    published: date
    newest_python: tuple[int, int]

    @property
    def minor(self) -> str:
        """Such as ``3.1``."""
        return self.version.rpartition(".")[0]


RELEASES = (
    Release(version="2.11.2", published=date(2026, 3, 14), newest_python=(3, 12)),
    Release(version="3.0.6", published=date(2025, 8, 29), newest_python=(3, 12)),
    Release(version="3.1.8", published=date(2026, 3, 11), newest_python=(3, 13)),
    Release(version="3.2.2", published=date(2026, 5, 29), newest_python=(3, 14)),
    Release(version="3.3.2", published=date(2026, 9, 17), newest_python=(3, 14)),
)
OLDEST_PYTHON = (3, 11)
