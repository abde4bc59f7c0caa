"""What a subject has to say: figures against their bounds, and tables, for a terminal and for the page."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

_BEGIN, _END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure to reach.

    :param is_least: the bound is the least that will do; else it is the most.
    """

    what: str
    value: float
    bound: float
    is_least: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the value is on the right side of its bound, or on it."""
        return self.value >= self.bound if self.is_least else self.value <= self.bound

    def as_dict(self) -> dict[str, Any]:
        """Return the figure, ready for JSON."""
        return {
            "what": self.what,
            "value": round(self.value, 3),
            "at_least" if self.is_least else "at_most": self.bound,
            "is_reached": self.is_reached,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; the first column is text, the others are figures."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_text(self) -> str:
        """Return it in columns."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = (
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in (self.head, *self.rows)
        )
        return "\n".join(line.rstrip() for line in lines)

    def as_markdown(self) -> str:
        """Return it as the page has it."""
        rule = ["---"] + ["---:"] * (len(self.head) - 1)
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.head, rule, *self.rows))


def tabulate_figures(figures: Iterable[Figure]) -> Table:
    """Return the table that says which figures are reached."""
    return Table(
        ("figure", "is", "bound", ""),
        [
            (
                each.what,
                f"{each.value:.2f}",
                f"{'≥' if each.is_least else '≤'} {each.bound:g}",
                "reached" if each.is_reached else "MISSED",
            )
            for each in figures
        ],
    )


def describe_machine() -> dict[str, Any]:
    """Return what figures depend on."""
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "airflow": version("apache-airflow"),
        "airflow_http_provider": version("apache-airflow-providers-http"),
    }


def put_into(text: str, block: str) -> str:
    """Return *text* with *block* between the two comments, in place of what is there.

    :raises ValueError: the comments are not there, once each and in this order.
    """
    before, begin, rest = text.partition(f"{_BEGIN}\n")
    _, end, after = rest.partition(_END)
    if not begin or not end or _BEGIN in after or _END in after:
        raise ValueError(f"There is no one place between {_BEGIN} and {_END}.")
    return f"{before}{begin}\n{block}\n\n{end}{after}"
