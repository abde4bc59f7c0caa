"""What a product is to the simulator: the shape of its row in the table, and of what the row is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_avepoint.simulator.control_schema import BACKUP, JobFields, Refused, known
from airflow_provider_avepoint.simulator.encoding import ABSENT, invalid_parameter
from airflow_provider_avepoint.simulator.jobs import Facts, Job
from airflow_provider_avepoint.simulator.paging import Paging, parameter
from airflow_provider_avepoint.simulator.quirks import PRODUCT_QUIRKS, Quirks

ANY = ABSENT
"""A filter value that asks for everything."""

_CARRIED_BY_SOME = frozenset(
    {
        "workload",
        "organization_id",
        "organization_name",
        "location",
        "data_source",
        "level",
        "label",
        "counts",
        "record_counts",
        "metadata_counts",
        "size_bytes",
        "errors",
        "duration",
    }
)
_NO_TIME = {"null": None, "empty": "", "n/a": "N/A", "absent": ABSENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The control API's words for one field of a job, and what the vendor's rows and filters have for each.

    *others* says which values besides them are taken: a number that the vendor may add, or any text. A number
    that has a word is read as the word.
    """

    shown: Mapping[str, Any] = field(default_factory=dict)
    default: str | None = None
    others: Literal["refused", "numbers", "texts"] = "refused"

    def read(self, given: str, what: str) -> str:
        """Return the word for *given*, or *given* itself.

        :raises Refused: it is neither a word nor one of the others.
        """
        if given in self.shown or self.others == "texts":
            return given
        if self.others == "numbers" and given.isdecimal():
            return next((word for word, number in self.shown.items() if number == int(given)), given)
        return known(given, self.shown, what)

    def read_or_default(self, given: str | None, what: str) -> str | None:
        """Return the word for *given*, the default for None.

        :raises Refused: see :meth:`read`.
        """
        return self.default if given is None else self.read(given, what)

    def show(self, word: str | None) -> Any:
        """Return what the vendor's row has for *word*; null for none."""
        if word is None or word in self.shown:
            return self.shown.get(word or "")
        return int(word) if self.others == "numbers" else word


NO_WORDS = Vocabulary()
"""The vocabulary of a field that a product does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One parameter, in the query or in the JSON body, that selects rows by one of their facts.

    *values* maps what may be sent, in lower case, to the fact that is wanted; None takes any text. *default*
    is what a request that leaves it out asks for.
    """

    parameter: str
    place: Literal["query", "body"] = "query"
    fact: str
    values: Mapping[str, Any] | None = None
    is_required: bool = False
    default: Any = ANY

    def read(self, text: str) -> Any:
        """Return the fact wanted, or ANY.

        :raises ValueError: the vendor lists no such value.
        """
        if self.values is None:
            return text
        if text.casefold() not in self.values:
            raise ValueError(f"The value '{text}' is not valid for {self.parameter}.")
        return self.values[text.casefold()]


def numbered(words: Mapping[str, int], *, all_is_zero: bool = False) -> dict[str, Any]:
    """Return the filter values of an enum: number as text to word."""
    return ({"0": ANY} if all_is_zero else {}) | {str(number): word for word, number in words.items()}


def codes(*numbers: int, all_is_zero: bool = False) -> dict[str, Any]:
    """Return the filter values of a status enum: number as text to number."""
    return ({"0": ANY} if all_is_zero else {}) | {str(number): number for number in numbers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A parameter whose text must stand in a job's id, or in one of the *facts*; in any part of it."""

    parameter: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Parameters for the rows' order: a column, which can only be the start time, and 0 or 1 for its sense.

    Without them the oldest row comes first.
    """

    column_parameter: str
    column: str
    sense_parameter: str

    def is_newest_first(self, query: Mapping[str, str]) -> bool:
        """Tell whether *query* asks for the newest rows first.

        :raises VendorError: there is no such column or sense.
        """
        column = parameter(query, self.column_parameter) or self.column
        if column.casefold() != self.column.casefold():
            name = self.column_parameter
            raise invalid_parameter(name, f"The value '{column}' is not valid for {name}.")
        sense = parameter(query, self.sense_parameter) or "0"
        if sense not in {"0", "1"}:
            name = self.sense_parameter
            raise invalid_parameter(name, f"The value '{sense}' is not valid for {name}.")
        return sense == "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a listing, for a product's envelope: *rows* is the list of rows, or stands for it.

    *total* and *link* are ABSENT where the quirks leave the field out; *index* and *size* are as served.
    """

    rows: Any
    total: Any
    link: Any
    index: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """An endpoint for one job; *path* has ``{job_id}`` in it, *filters* may have defaults of their own."""

    path: str
    filters: tuple[Filter, ...]
    quirks: Callable[[Quirks], Quirks]
    envelope: Callable[[dict[str, Any]], dict[str, Any]]
    payload_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseEndpoint:
    """An endpoint for licence figures; *envelope* takes them by the vendor's names.

    *payload_key* is the key that holds them, "" where they stand without an envelope.
    """

    path: str
    scope: str
    filters: tuple[Filter, ...]
    envelope: Callable[[dict[str, Any], Quirks], dict[str, Any]]
    payload_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEndpoint:
    """An endpoint that lists a partner's customers with their subscriptions; it pages as the jobs do."""

    path: str
    scope: str
    envelope: Callable[[Page, Quirks], dict[str, Any]]
    payload_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product, all of it.

    A row is ``head`` (what differs from job to job) and ``tail`` (what jobs of the same facts share: it is
    rendered once for all of them). *states* are the words the vendor has a number for, and *lists_waiting*
    tells whether a job is listed before it starts. *backups* maps a workload to the job type that "backup"
    means there (None: any other's), in products without a job type of this name. *customer_parameter* is the
    part of the path that names an organisation, of which the list then is. A product whose *read_time* is
    None has no time window. *carries* names the job fields, of those that only some products know, which this
    one's rows or filters have ("warning": the count of that name).
    """

    name: str
    method: Literal["GET", "POST"] = "GET"
    list_path: str
    customer_parameter: str | None = None
    scope: str
    filters: tuple[Filter, ...]
    search: Search | None = None
    order: Order | None = None
    read_time: Callable[[str], int | None] | None
    is_window_required: bool = False
    paging: Paging
    job_types: Vocabulary
    backups: Mapping[Any, str] = field(default_factory=dict)
    workloads: Vocabulary = NO_WORDS
    data_sources: Vocabulary = NO_WORDS
    levels: Vocabulary = NO_WORDS
    default_label: str | None = None
    default_organization: tuple[str | None, str | None] = (None, None)
    locations: tuple[str, ...] = ()
    states: Mapping[str, int]
    lists_waiting: bool = False
    spellings: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    carries: frozenset[str]
    job_id_prefix: str
    job_id_digits: int
    quirks: Quirks
    own_quirks: frozenset[str] = frozenset()
    head: Callable[[Job, Quirks], dict[str, Any]]
    tail: Callable[[Facts, Quirks], dict[str, Any]]
    envelope: Callable[[Page, Quirks], dict[str, Any]]
    payload_key: str
    details: Details | None = None
    license: LicenseEndpoint | None = None
    subscriptions: SubscriptionEndpoint | None = None

    @property
    def quirk_names(self) -> frozenset[str]:
        """The quirks that this product's server can have."""
        names = (frozenset(Quirks.model_fields) - PRODUCT_QUIRKS) | self.own_quirks
        if self.read_time is None:
            names -= {"window_filters_by"}
        return names - self.paging.unknown_quirks

    @property
    def parameter_names(self) -> frozenset[str]:
        """The vendor's names of the parameters that a request for the list can have."""
        names = {each.parameter for each in self.filters} | self.paging.parameter_names
        if self.customer_parameter is not None:
            names.add(self.customer_parameter)
        if self.read_time is not None:
            names |= {"startTime", "finishTime"}
        if self.search is not None:
            names.add(self.search.parameter)
        if self.order is not None:
            names |= {self.order.column_parameter, self.order.sense_parameter}
        return frozenset(names)

    def check_fields(self, fields: JobFields) -> None:
        """Refuse a field that neither the product's rows nor its filters know."""
        defaults = {name: JobFields.model_fields[name].default for name in _CARRIED_BY_SOME - self.carries}
        for name, default in sorted(defaults.items()):
            if getattr(fields, name) not in (None, default):
                raise Refused(f"{self.name} knows no {name}: neither its rows nor its filters have one")
        if "warning" not in self.carries and fields.counts is not None and fields.counts.warning:
            raise Refused(f"{self.name} counts no warnings")

    def check_state(self, word: str) -> str:
        """Return *word* if the vendor documents a state for it."""
        if word not in self.states:
            raise Refused(
                f"{self.name} documents no state for {word!r}, only for {', '.join(self.states)}; "
                "use raw_state to send one anyway"
            )
        return word

    def code_of_raw(self, raw_state: object) -> int | None:
        """Return the number under which a status filter finds *raw_state*, None for an undocumented text."""
        if isinstance(raw_state, int) or (isinstance(raw_state, float) and raw_state.is_integer()):
            return int(raw_state)
        if isinstance(raw_state, str) and raw_state.strip().isdecimal():
            return int(raw_state)
        spelt = (pair for table in self.spellings.values() for pair in table.items())
        return next((code for code, label in spelt if label == raw_state), None)

    def read_workload(self, fields: JobFields) -> str | None:
        """Return the job's workload, the default one if the job names none.

        :raises Refused: the product has no such workload.
        """
        if "workload" not in fields.model_fields_set:
            return self.workloads.default
        return fields.workload and self.workloads.read(fields.workload, f"{self.name} workload")

    def read_job_type(self, given: str, workload: str | None) -> str:
        """Return the job type; "backup" is the kind of backup that *workload* has.

        :raises Refused: the product has no such jobs.
        """
        if given == BACKUP and self.backups:
            return self.backups.get(workload, self.backups[None])
        return self.job_types.read(given, f"{self.name} job type")

    def read_organization(self, fields: JobFields) -> tuple[str | None, str | None]:
        """Return id and name of the job's organisation, the default one's if the job names none."""
        if "organization_id" not in fields.model_fields_set:
            return self.default_organization[0], fields.organization_name or self.default_organization[1]
        return fields.organization_id, fields.organization_name

    def read_location(self, code: str | None) -> str | None:
        """Return the Multi-Geo code as the facts hold it: the central location is None."""
        if code is None or not self.locations:
            return None
        return None if known(code, self.locations, "location") == self.locations[0] else code


def finish(job: Job, quirks: Quirks, render: Callable[[int], Any]) -> Any:
    """Return the finish time as the row shows it, or what stands there for none."""
    if job.finished is not None:
        return render(job.finished)
    return render(0) if quirks.no_finish == "year_1" else _NO_TIME[quirks.no_finish]


def start(job: Job, quirks: Quirks, render: Callable[[int], Any]) -> Any:
    """Return the start time as the row of a product with ``no_start`` shows it, or what stands for none."""
    if job.facts.state != "waiting" or quirks.no_start == "planned":
        return render(job.started)
    return render(0) if quirks.no_start == "year_1" else _NO_TIME[quirks.no_start]


def shown_state(spelling: Mapping[int, str] | None, facts: Facts) -> Any:
    """Return the state as the row shows it: a raw one as given, else its number, or the number's spelling."""
    if facts.raw_state is not ABSENT or facts.state_code is None:
        return facts.raw_state
    return spelling[facts.state_code] if spelling else facts.state_code


def duration(job: Job, computed: Callable[[int], Any], *, unfinished: Any) -> Any:
    """Return the duration as the row shows it: the override, or *computed* from the ticks it took."""
    if job.facts.duration is not ABSENT:
        return job.facts.duration
    return unfinished if job.finished is None else computed(job.finished - job.started)
