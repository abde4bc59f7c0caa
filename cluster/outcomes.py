"""What the gates came to, beside what they had to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cluster.database import Database, TaskEnd
from cluster.gates import FATES, Gate

DAG_ID = "cluster_gates"
GATE = "organization.gate"
RECORD = "organization.record"


class Outcomes:
    """What became of each gate of the run, and of the task behind it.

    :param records: the file in which the tasks behind the gates have written that they ran.
    """

    def __init__(self, gates: Sequence[Gate], database: Database, records: Path) -> None:
        self._gates = gates
        self._ends = database.task_ends(DAG_ID, GATE)
        self._behind = database.task_ends(DAG_ID, RECORD)
        self._reasons = database.reasons(DAG_ID, GATE)
        lines = records.read_text().splitlines() if records.exists() else []
        self._runs = [(line["organization_id"], line["try_number"]) for line in map(json.loads, lines)]

    def complaints(self) -> Iterator[str]:
        """Yield a sentence for each thing that is not as it should be."""
        runs = Counter(self._runs)
        ran = Counter(organization for organization, _ in self._runs)
        for number, gate in enumerate(self._gates):
            name = f"Gate {number} ({gate.fate.name})"
            yield from _check_gate(name, gate, self._ends.get(number), self._reasons.get(number, set()))
            yield from _check_behind(name, gate, self._behind.get(number), ran[gate.organization])
        known = {gate.organization for gate in self._gates}
        yield from (f"A task ran for {stranger}, which no gate is about." for stranger in ran.keys() - known)
        for (organization, try_number), count in runs.items():
            if count > 1:
                yield f"The task behind {organization} ran {count} times in its try {try_number}."

    def table(self) -> list[str]:
        """Return the lines of a table: a row for each fate."""
        ran = Counter(organization for organization, _ in self._runs)
        rows: list[tuple[str, ...]] = [
            ("backup ends", "gates", "passed", "failed", "deferred", "retried", "ran behind", "re-run")
        ]
        for fate in FATES:
            gates = [(number, gate) for number, gate in enumerate(self._gates) if gate.fate is fate]
            ends = [self._ends[number] for number, _ in gates if number in self._ends]
            states = Counter(end.state for end in ends)
            behind = [ran[gate.organization] for _, gate in gates]
            figures = [
                len(gates),
                states["success"],
                states["failed"],
                sum(end.was_deferred for end in ends),
                sum(end.tries > 1 for end in ends),
                sum(count > 0 for count in behind),
                sum(count > 1 for count in behind),
            ]
            rows.append((fate.name, *map(str, figures)))
        return _align(rows)


def _check_gate(name: str, gate: Gate, end: TaskEnd | None, reasons: set[str]) -> Iterator[str]:
    due = "success" if gate.fate.passes else "failed"
    if end is None:
        yield f"{name} was never there."
        return
    if end.ends != (due,):
        yield f"{name} ended as {', then '.join(end.ends) or end.state}, not as {due} once."
    if reasons != {gate.fate.reason}:
        yield f"{name} was judged {sorted(reasons)} in its tries, not {gate.fate.reason} alone."
    if gate.fate.is_late and not end.was_deferred:
        yield f"{name} has never waited on a triggerer."


def _check_behind(name: str, gate: Gate, end: TaskEnd | None, runs: int) -> Iterator[str]:
    due = "success" if gate.fate.passes else "upstream_failed"
    if end is None or end.ends != (due,):
        ends = "nothing" if end is None else ", then ".join(end.ends) or end.state
        yield f"{name}: the task behind it ended as {ends}, not as {due} once."
    if bool(runs) != gate.fate.passes:
        yield f"{name}: the task behind it ran {runs} times."
    elif end is not None and runs > end.tries:
        yield f"{name}: the task behind it ran {runs} times in {end.tries} tries."


def _align(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
