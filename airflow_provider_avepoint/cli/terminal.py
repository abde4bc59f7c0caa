"""Print tables and a progress bar at a terminal, plain lines to a pipe, and JSON for scripts."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from airflow.cli.simple_table import SimpleTable
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from airflow_provider_avepoint.core.fields import to_iso
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.hooks.avepoint import AvePointHook

_log = logging.getLogger(__name__)

_BAD = ("partial", "failed", "missed", "stale", "unknown", "unknown_state", "unreadable", "clock_skew")
_STYLES = {
    **dict.fromkeys(("success", "passed"), "green"),
    **dict.fromkeys(("waiting", "running", "skipped", "stopped", "excluded", "forgotten"), "yellow"),
    **dict.fromkeys(_BAD, "red"),
}
# Wider than any table, so that rows in a pipe are not wrapped.
_PIPE_WIDTH = 10_000
# The width of what stands between two columns of a table.
_GAP = len(" | ")
_INDENT = "  "
# A terminal narrower than this has no room for the name and the bar of a progress bar.
_ROOM_FOR_BAR = 60


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows as a table without its empty columns, or one below the other where a table does not fit.

    Lines break between words only. A word that is longer than a line is left to the terminal to break.

    :param rows: mappings from column to value, all with the same columns; None and "" are empty.
    """
    names = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)] if rows else []
    if not names:
        return
    cells = [[_cell(row[name]) for name in names] for row in rows]
    console = _open_console()
    widths = _find_widths([[Text(name) for name in names], *cells], console.width)
    if widths is None:
        _print_records(console, names, cells)
        return
    table = SimpleTable(show_header=True)  # type: ignore[no-untyped-call]  # Airflow's has no types
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, width=width)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def print_line(text: str) -> None:
    """Print a sentence; at a terminal, lines break between words.

    :param text: the sentence.
    """
    console = _open_console()
    for line in _wrap(console, Text(text), console.width):
        console.print(line, soft_wrap=True)


def _open_console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False)


def _cell(value: object) -> Text:
    # rich would read brackets in a plain text as markup.
    text = "" if value is None else one_line(to_iso(value) if isinstance(value, datetime) else value)
    return Text(text, style=_STYLES.get(text.partition(" ")[0], ""))


def _find_widths(lines: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """Return the widths of columns with which no word breaks; None where they do not fit into *width*."""
    columns = list(zip(*lines, strict=True))
    widths = [max(map(_measure_word, column)) for column in columns]
    wanted = [max(cell.cell_len for cell in column) for column in columns]
    rest = width - sum(widths) - _GAP * (len(columns) - 1)
    if rest < 0:
        return None
    # A column that lacks little gets it first: so the fewest columns have more than one line.
    for number in sorted(range(len(columns)), key=lambda each: wanted[each] - widths[each]):
        more = min(rest, wanted[number] - widths[number])
        widths[number] += more
        rest -= more
    return widths


def _print_records(console: Console, names: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
    """Print each row as lines of a name and a value, without the empty values."""
    indent = max(map(cell_len, names)) + len(_INDENT)
    for row in rows:
        for name, value in zip(names, row, strict=True):
            room = console.width - indent
            if not value.plain:
                continue
            if _measure_word(value) <= room:
                first, *others = _wrap(console, value, room)
                console.print(Text(name.ljust(indent)) + first, soft_wrap=True)
                lines = [Text(" " * indent) + line for line in others]
            else:
                console.print(Text(name), soft_wrap=True)
                lines = [Text(_INDENT) + line for line in _wrap(console, value, console.width - len(_INDENT))]
            for line in lines:
                console.print(line, soft_wrap=True)
        console.print()


def _measure_word(text: Text) -> int:
    """Return the width of the longest word."""
    return max(map(cell_len, text.plain.split()), default=0)


def _wrap(console: Console, text: Text, width: int) -> list[Text]:
    """Return *text* as lines of *width* or, where a word is longer, of that word's width."""
    lines = list(text.wrap(console, max(width, _measure_word(text), 1)))
    for line in lines:
        line.rstrip()
    return lines


def print_json(document: Any) -> None:
    """Print a document as indented JSON.

    :param document: a value that JSON can hold.
    """
    print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201  # printing is the purpose


def print_json_list(items: Iterable[Mapping[str, Any]]) -> None:
    """Print a JSON array while its items arrive, one item in a line; after an error the array is not closed.

    :param items: the items, each a JSON object.
    """
    sys.stdout.write("[")
    for number, item in enumerate(items):
        sys.stdout.write(",\n" if number else "\n")
        sys.stdout.write(json.dumps(item, ensure_ascii=False))
    sys.stdout.write("\n]\n")


def say(message: str) -> None:
    """Print a sentence on standard error; at a terminal, lines break between words.

    :param message: the sentence.
    """
    console = _open_console(stderr=True)
    for line in _wrap(console, Text(message), console.width):
        print(line.plain, file=sys.stderr)  # noqa: T201  # above a progress bar, if there is one


class SayHandler(logging.Handler):
    """Says what is logged, above a progress bar: another handler would write into the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record on standard error.

        :param record: the record.
        """
        say(one_line(record.getMessage(), 1000))


def write_span(seconds: float) -> str:
    """Return a duration in its largest unit and the next smaller: ``2d 3h``, ``3h 12m``, ``45s``.

    :param seconds: the duration; less than 0 counts as 0.
    """
    rest = max(0, int(seconds))
    for size, unit, next_size, next_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if rest >= size:
            few = rest % size // next_size
            return f"{rest // size}{unit} {few}{next_unit}" if few else f"{rest // size}{unit}"
    return f"{rest}s"


class Bar:
    """A handle on a progress bar; see :func:`progress_bar`.

    :param progress: rich's progress display.
    :param task: the id of the bar in *progress*.
    """

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._count = 0
        self._steps = 0
        self._expected = 0

    def expect(self, steps: int) -> None:
        """Add steps to the expected number; a bar with only one step shows no fraction.

        :param steps: the number of further steps.
        """
        self._expected += steps
        self._show()

    def count(self) -> None:
        """Add one to the counter."""
        self._count += 1
        self._show()

    def finish_step(self) -> None:
        """Mark one step as finished."""
        self._steps += 1
        self._expected = max(self._expected, self._steps)
        self._show()

    def _show(self) -> None:
        is_measured = self._expected > 1
        self._progress.update(
            self._task,
            total=self._expected if is_measured else None,
            completed=self._steps,
            steps=f"{self._steps} of {self._expected}, " if is_measured else "",
            count=f"{self._count:,}",
        )


@contextmanager
def progress_bar(what: str, unit: str, *, output: str) -> Iterator[Bar]:
    """Show a bar on standard error while the block runs, if that is a terminal; then remove the bar.

    With JSON output to the same terminal no bar is shown.

    :param what: the text in front of the bar.
    :param unit: the unit of the counter, such as ``jobs``.
    :param output: the command's ``--output``.
    """
    console = Console(stderr=True)
    is_in_the_way = output == "json" and sys.stdout.isatty()
    named = (TextColumn("{task.description}", markup=False), BarColumn())
    columns = (
        SpinnerColumn(),
        *(named if console.width >= _ROOM_FOR_BAR else ()),
        TextColumn(f"{{task.fields[steps]}}{{task.fields[count]}} {unit}"),
        TimeElapsedColumn(),
    )
    # What is said is printed above the bar. With redirection of standard output too, output for a pipe would
    # go to the terminal.
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        disable=is_in_the_way or not console.is_terminal,
    ) as progress:
        yield Bar(progress, progress.add_task(what, total=None, steps="", count="0"))


class WatchedHook(AvePointHook):
    """A hook that shows on a bar how many jobs it has read.

    :param conn_id: the id of the connection.
    :param bar: the progress bar.
    """

    def __init__(self, conn_id: str, bar: Bar) -> None:
        super().__init__(conn_id)
        self._bar = bar

    @property
    def log(self) -> Any:
        """The logger that the commands listen to; Airflow's own would write into the bar."""
        return _log

    def query(self, queries: list[JobQuery], *, with_changes: bool = False) -> Iterator[BackupJob]:
        """Yield the jobs of several queries, count them, and tell the bar how many queries there are.

        :param queries: the queries.
        :param with_changes: see :meth:`AvePointHook.query`.
        """
        self._bar.expect(len(queries))
        for job in super().query(queries, with_changes=with_changes):
            self._bar.count()
            yield job

    def note_answered(self, query: JobQuery) -> None:  # noqa: ARG002  # the hook's signature
        """Show one query more that is answered.

        :param query: the query.
        """
        self._bar.finish_step()
