"""What there is to measure; a new subject is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import listing, loading, looks, page, waits, wakeups
from benchmarks.report import Figure, Table

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One part of ``results.json``, and how it is read.

    :param measure: takes readings, and says meanwhile what it does; the result is JSON.
    :param judge: the figures to reach.
    :param tabulate: the tables, of which the page shows all.
    :param footnote: how to read them.
    """

    measure: Callable[[Callable[[str], None]], dict[str, Any]]
    judge: Callable[[Result], Sequence[Figure]]
    tabulate: Sequence[Callable[[Result], Table]]
    footnote: Callable[[Result], str]


SUBJECTS = {
    "listing": Subject(
        measure=listing.measure,
        judge=listing.judge,
        tabulate=(listing.tabulate, listing.tabulate_growth),
        footnote=listing.footnote,
    ),
    "looks": Subject(
        measure=looks.measure,
        judge=looks.judge,
        tabulate=(looks.tabulate,),
        footnote=looks.footnote,
    ),
    "loading": Subject(
        measure=loading.measure,
        judge=loading.judge,
        tabulate=(loading.tabulate,),
        footnote=loading.footnote,
    ),
    "page": Subject(
        measure=page.measure,
        judge=page.judge,
        tabulate=(page.tabulate,),
        footnote=page.footnote,
    ),
    "waits": Subject(
        measure=waits.measure,
        judge=waits.judge,
        tabulate=(waits.tabulate,),
        footnote=waits.footnote,
    ),
    "wakeups": Subject(
        measure=wakeups.measure,
        judge=wakeups.judge,
        tabulate=(wakeups.tabulate,),
        footnote=wakeups.footnote,
    ),
}
