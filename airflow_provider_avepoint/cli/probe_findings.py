"""The findings of a probe: from experiments, and from the keys, states and times of the listed rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_avepoint.cli.wire_forms import (
    MISSING,
    describe_absence,
    describe_number,
    describe_state,
    describe_time,
)
from airflow_provider_avepoint.core.fields import (
    get_key,
    is_absent,
    normalize_label,
    parse_integer,
    parse_time,
)
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products.vocabulary import Code, Columns, CountKeys, Key, Product, State

Row = Mapping[str, Any]
Parser = Callable[[object], object]

_NOT_LISTED = "not listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact that a server showed.

    :param about: the subject, such as ``page size``.
    :param seen: the fact, in our own words.
    :param ours: the product file's value; empty where the file has none.
    :param differs: whether the product file has another value.
    """

    about: str
    seen: str
    ours: str = ""
    differs: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the finding, ready for JSON."""
        return {"about": self.about, "seen": self.seen, "ours": self.ours, "differs": self.differs}


@dataclass(slots=True, kw_only=True)
class ProbeFindings:
    """The findings about one product's server.

    :param product: the product.
    :param problem: why the listing could not be read; empty where it could.
    :param jobs: the number of distinct jobs that were seen.
    :param requests: the number of requests that were sent.
    :param findings: the findings, in the order of the experiments.
    """

    product: Product
    problem: str = ""
    jobs: int = 0
    requests: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_readable(self) -> bool:
        """Whether the listing could be read."""
        return not self.problem

    def note(self, about: str, seen: str, ours: str = "", *, differs: bool = False) -> None:
        """Add a finding; the parameters are the fields of :class:`Finding`.

        :param about: the subject.
        :param seen: the fact.
        :param ours: the product file's value.
        :param differs: whether the product file has another value.
        """
        self.findings.append(Finding(about=about, seen=seen, ours=ours, differs=differs))

    def as_dict(self) -> dict[str, Any]:
        """Return the findings, ready for JSON."""
        return {
            "product": self.product.name,
            "problem": self.problem or None,
            "jobs": self.jobs,
            "requests": self.requests,
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def add_rows(self, rows: Collection[Row]) -> None:
        """Add findings about the states, times, keys and words of rows.

        :param rows: the rows as received, one for each job.
        """
        self.jobs = len(rows)
        if not rows:
            self.note("jobs", "none; an earlier --started-after may help")
            return
        self._add_states(rows)
        self._add_times(rows)
        self._add_keys(rows)
        columns = self.product.columns
        self._add_words("job type", columns.job_type, self.product.job_type_words, rows)
        self._add_words("workload", columns.workload, self.product.object_type_words, rows)

    def _add_states(self, rows: Collection[Row]) -> None:
        columns = self.product.columns
        spellings: Counter[tuple[str, str]] = Counter()
        for row in rows:
            raw = get_value(row, columns.state)
            line = find_state(self.product, raw)
            is_known = line is not None and line.state is not JobState.UNKNOWN
            ours = line.state.value if line is not None and is_known else _NOT_LISTED
            spellings[describe_state(self.product, raw), ours] += 1
        for (spelling, ours), number in sorted(spellings.items()):
            self.note("state", f"{spelling} in {_jobs(number)}", ours, differs=ours == _NOT_LISTED)

    def _add_times(self, rows: Collection[Row]) -> None:
        columns = self.product.columns
        is_open = {id(row): self._is_open(row) for row in rows}
        for about, key, chosen in (
            ("start of a job", columns.started_at, rows),
            ("finish of a job that ended", columns.finished_at, [r for r in rows if not is_open[id(r)]]),
            ("finish of a job under way", columns.finished_at, [r for r in rows if is_open[id(r)]]),
        ):
            forms: Counter[tuple[str, bool]] = Counter()
            for row in chosen:
                value = get_value(row, key)
                forms[describe_time(value), is_readable(parse_time, value)] += 1
            for (form, is_read), number in sorted(forms.items()):
                ours = "read" if is_read else "not read"
                self.note(about, f"{form} in {_jobs(number)}", ours, differs=not is_read)

    def _is_open(self, row: Row) -> bool:
        line = find_state(self.product, get_value(row, self.product.columns.state))
        if line is None:
            return False
        is_finished = not is_none(get_value(row, self.product.columns.finished_at))
        return line.state.is_open or (line.needs_finish and not is_finished)

    def _add_keys(self, rows: Collection[Row]) -> None:
        """Add the keys that no row has, the spelling that rows use, and the values that cannot be read."""
        for holder, key, parse in _all_keys(self.product.columns):
            spellings: Counter[str] = Counter()
            unreadable = 0
            for row in rows:
                place = get_key(row, holder) if holder else row
                name, value = _look_up(place, key) if isinstance(place, Mapping) else ("", MISSING)
                if name:
                    spellings[name] += 1
                    unreadable += not is_readable(parse, value)
            ours = key if isinstance(key, str) else " or ".join(key)
            if not spellings:
                self.note("key", "no row has it", ours, differs=True)
            elif not isinstance(key, str):
                self.note("key", " and ".join(sorted(spellings)), ours)
            if unreadable:
                self.note("value", f"not understood in {_jobs(unreadable)}", ours, differs=True)

    def _add_words(
        self, what: str, key: Key | None, words: Mapping[Code, str], rows: Collection[Row]
    ) -> None:
        """Add the codes that the product's file has no word for; a text is not repeated."""
        if key is None or not words:
            return
        unknown: Counter[str] = Counter()
        for row in rows:
            value = get_value(row, key)
            code = read_code(value)
            if describe_absence(value) is None and code not in words:
                unknown[describe_number(code) if isinstance(code, int) else "a text"] += 1
        for seen, count in sorted(unknown.items()):
            self.note(what, f"{seen} in {_jobs(count)}", _NOT_LISTED, differs=True)


def read_code(value: object) -> Code | None:
    """Return a row's code as the product's tables have it: a number, or a normalised text.

    :param value: the value in the row.
    """
    number = as_number(value)
    return normalize_label(value) if number is None and isinstance(value, str) else number


def get_value(row: Row, key: Key | None) -> object:
    """Return the row's value under the first spelling of *key* that the row has, or ``MISSING``.

    :param row: a row as received.
    :param key: a key, or several spellings of a key; None gives ``MISSING``.
    """
    return MISSING if key is None else _look_up(row, key)[1]


def _look_up(row: Row, key: Key) -> tuple[str, object]:
    """Return the first spelling of *key* that the row has, and its value."""
    for spelling in (key,) if isinstance(key, str) else key:
        value = get_key(row, spelling, MISSING)
        if value is not MISSING:
            return spelling, value
    return "", MISSING


def is_none(value: object) -> bool:
    """Tell whether a value is missing or means "none".

    :param value: a value as received, or ``MISSING``.
    """
    return value is MISSING or is_absent(value)


def is_readable(parse: Parser | None, value: object) -> bool:
    """Tell whether a parser accepts a value.

    :param parse: the parser, which raises ``ValueError``; None accepts every value.
    :param value: a value as received; ``MISSING`` is accepted.
    """
    try:
        if parse is not None and value is not MISSING:
            parse(value)
    except ValueError:
        return False
    return True


def as_number(value: object) -> int | None:
    """Return a whole number, from a number or a text of digits; None for any other value.

    :param value: a value as received, or ``MISSING``.
    """
    try:
        return None if value is MISSING else parse_integer(value)
    except ValueError:
        return None


def find_state(product: Product, raw: object) -> State | None:
    """Return the line of the product's table of states for a raw state; None where the table has none.

    :param product: the product.
    :param raw: the state as received: a number, a text of digits, or a label.
    """
    number = as_number(raw)
    if number is not None:
        return product.state_table.get(number)
    return product.state_table.get(normalize_label(raw)) if isinstance(raw, str) else None


def _all_keys(columns: Columns) -> Iterator[tuple[str | None, Key, Parser | None]]:
    """Yield each key of a product's rows: the object that holds it, the key, and the parser of its values."""
    parsers = {"duration": columns.parse_duration, "size": columns.parse_size}
    for each in fields(columns):
        value = getattr(columns, each.name)
        if isinstance(value, CountKeys):
            holder = columns.counts_at if each.name == "counts" else None
            for count in fields(value):
                if (key := getattr(value, count.name)) is not None:
                    yield holder, key, parse_integer
        elif isinstance(value, (str, tuple)):
            yield None, value, parsers.get(each.name)


def _jobs(number: int) -> str:
    return f"{number:,} job{'' if number == 1 else 's'}"
