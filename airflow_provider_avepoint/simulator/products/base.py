"""The description of a product for the simulator: the fields of a product, and the types of these fields."""

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
"""The filter value for all rows."""

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
    """The control API's words for one field of a job, with the vendor's values in rows and filters.

    A number that has a word is read as the word.

    :param shown: the vendor's value of each word.
    :param default: the word for a job that names none.
    :param others: which values without a word are accepted: none, numbers that the vendor may add, or any
        text.
    """

    shown: Mapping[str, Any] = field(default_factory=dict)
    default: str | None = None
    others: Literal["refused", "numbers", "texts"] = "refused"

    def read(self, given: str, what: str) -> str:
        """Return the word for a value, or the value itself.

        :param given: the value from the control API.
        :param what: the kind of value, for the error's message.
        :raises Refused: the value is neither a word nor one of the others.
        """
        if given in self.shown or self.others == "texts":
            return given
        if self.others == "numbers" and given.isdecimal():
            return next((word for word, number in self.shown.items() if number == int(given)), given)
        return known(given, self.shown, what)

    def read_or_default(self, given: str | None, what: str) -> str | None:
        """Return the word for a value, or the default for None.

        :param given: the value from the control API, or None.
        :param what: the kind of value, for the error's message.
        :raises Refused: see :meth:`read`.
        """
        return self.default if given is None else self.read(given, what)

    def show(self, word: str | None) -> Any:
        """Return the value in the vendor's row.

        :param word: the word; None gives null.
        """
        if word is None or word in self.shown:
            return self.shown.get(word or "")
        return int(word) if self.others == "numbers" else word


NO_WORDS = Vocabulary()
"""The vocabulary for a field that a product does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One parameter, in the query or in the JSON body, that selects rows by one of their facts.

    :param parameter: the parameter's name.
    :param place: where the parameter is sent.
    :param json_type: the type of the value in a body.
    :param fact: the name of the fact.
    :param values: the wanted fact of each accepted value, which is in lower case; None accepts any text.
    :param is_required: whether a request without the parameter is refused.
    :param default: the wanted fact of a request without the parameter.
    """

    parameter: str
    place: Literal["query", "body"] = "query"
    json_type: type[int | str] = int
    fact: str
    values: Mapping[str, Any] | None = None
    is_required: bool = False
    default: Any = ANY

    def read(self, text: str) -> Any:
        """Return the wanted fact, or ANY.

        :param text: the parameter's value.
        :raises ValueError: the vendor lists no such value.
        """
        if self.values is None:
            return text
        if text.casefold() not in self.values:
            raise ValueError(f"The value '{text}' is not valid for {self.parameter}.")
        return self.values[text.casefold()]


def numbered(words: Mapping[str, int | str], *, all_is_zero: bool = False) -> dict[str, Any]:
    """Return the filter values of an enum: the vendor's value as text → word.

    :param words: the vendor's number or text of each word.
    :param all_is_zero: whether 0 asks for all rows.
    """
    return ({"0": ANY} if all_is_zero else {}) | {
        str(value).casefold(): word for word, value in words.items()
    }


def codes(*values: int | str, all_is_zero: bool = False) -> dict[str, Any]:
    """Return the filter values of a status enum: the vendor's value as text → value.

    :param values: the numbers or texts of the states.
    :param all_is_zero: whether 0 asks for all rows.
    """
    return ({"0": ANY} if all_is_zero else {}) | {str(value).casefold(): value for value in values}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The two parameters that select rows by time.

    :param after: the name of the parameter for the begin.
    :param before: the name of the parameter for the end.
    :param place: where the parameters are sent.
    :param read_after: returns the ticks of the begin, or None for no bound.
    :param read_before: returns the ticks of the end, which is part of the window, or None for no bound.
    """

    after: str = "startTime"
    before: str = "finishTime"
    place: Literal["query", "body"] = "query"
    read_after: Callable[[str], int | None]
    read_before: Callable[[str], int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A parameter for a text that must occur in a job's id or in one of its facts.

    :param parameter: the parameter's name.
    :param facts: the names of the facts that are searched.
    """

    parameter: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The parameters for the rows' order. Without them the oldest row comes first.

    :param column_parameter: the name of the parameter for the column.
    :param column: the only column: the start time.
    :param sense_parameter: the name of the parameter for the direction: 0 is oldest first, 1 newest first.
    """

    column_parameter: str
    column: str
    sense_parameter: str

    def is_newest_first(self, query: Mapping[str, str]) -> bool:
        """Tell whether a query asks for the newest rows first.

        :param query: the query parameters.
        :raises VendorError: there is no such column or direction.
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
    """One page of a listing, for a product's envelope.

    :param rows: the list of rows, or a placeholder for them.
    :param total: the total; ABSENT where the quirks leave it out.
    :param link: the link; ABSENT where the quirks leave it out.
    :param index: the index of the page that is sent.
    :param size: the page size.
    """

    rows: Any
    total: Any
    link: Any
    index: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """An endpoint for one job.

    :param path: the path, with ``{job_id}`` in it.
    :param filters: the endpoint's parameters.
    :param quirks: returns the quirks of this endpoint, from the product's.
    :param envelope: returns the body for a row.
    :param payload_key: the key of the row in the body.
    """

    path: str
    filters: tuple[Filter, ...]
    quirks: Callable[[Quirks], Quirks]
    envelope: Callable[[dict[str, Any]], dict[str, Any]]
    payload_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseEndpoint:
    """An endpoint for licence figures.

    :param path: the path.
    :param scope: the scope that a token needs.
    :param filters: the endpoint's parameters.
    :param envelope: returns the body for figures by the vendor's names.
    :param payload_key: the key of the figures in the body; "" if the body is the figures.
    """

    path: str
    scope: str
    filters: tuple[Filter, ...]
    envelope: Callable[[dict[str, Any], Quirks], dict[str, Any]]
    payload_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEndpoint:
    """An endpoint that lists a partner's customers with their subscriptions, in pages like those of jobs.

    :param path: the path.
    :param scope: the scope that a token needs.
    :param envelope: returns the body for a page.
    :param payload_key: the key of the customers in the body.
    """

    path: str
    scope: str
    envelope: Callable[[Page, Quirks], dict[str, Any]]
    payload_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An endpoint that answers with a value which the control API sets as a whole.

    :param name: the name in the control API.
    :param path: the path.
    :param method: the HTTP method.
    :param scope: the scope that a token needs.
    :param filters: the parameters that select a location.
    :param joins_locations: whether a request without a location gets the rows of every location.
    :param window: the names of the parameters for the window's begin and end, both required; empty for none.
    :param time_key: the key in a row that must lie in the window; None where a window selects nothing.
    :param row_filters: parameter → the key in a row that must be equal to it.
    :param wanted: the name in the body for a list of ids, and the key in a row that must be one of them.
    :param defaults: path parameter → its value for a value that is set for no other.
    :param is_paged: whether the value is a list of rows that is cut into pages.
    :param envelope: returns the body for a value, or for a page.
    :param payload_key: the key of the value in the body; "" if the body is the value.
    :param initial: returns the value that is served at first, from the clock's time in ticks.
    """

    name: str
    path: str
    method: Literal["GET", "POST"] = "GET"
    scope: str
    filters: tuple[Filter, ...] = ()
    joins_locations: bool = False
    window: tuple[str, ...] = ()
    time_key: str | None = None
    row_filters: Mapping[str, str] = field(default_factory=dict)
    wanted: tuple[str, str] | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    is_paged: bool = False
    envelope: Callable[[Any, Quirks], Any]
    payload_key: str
    initial: Callable[[int], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreEndpoint:
    """An endpoint that starts a restore of files and folders.

    :param path: the path.
    :param scope: the scope that a token needs.
    :param filters: the endpoint's query parameters.
    :param services: by the vendor's number: the workload's word, the key of the scope in the body, the
        scope's label in refusals, and the key of the site or user in the scope.
    :param envelope: returns the body for the data of an answer.
    :param payload_key: the key of the data in the body.
    """

    path: str
    scope: str
    filters: tuple[Filter, ...]
    services: Mapping[Any, tuple[str, str, str, str]]
    envelope: Callable[[dict[str, Any]], dict[str, Any]]
    payload_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The complete description of one product.

    A row has two parts. ``head`` holds the fields that differ from job to job. ``tail`` holds the fields that
    jobs with the same facts share; it is rendered once for all of them.

    :param name: the product's name.
    :param method: the HTTP method of the list.
    :param list_path: the path of the list.
    :param customer_parameter: the part of the path that names the organisation of the list; None for none.
    :param scope: the scope that a token needs.
    :param filters: the list's filters.
    :param search: the list's text search; None for none.
    :param order: the parameters for the list's order; None where the newest row always comes first.
    :param window: the parameters for the time window; None where there is no window.
    :param is_window_required: whether a request without a window is refused.
    :param paging: the dialect for pages.
    :param job_types: the words for job types.
    :param backups: the job type that "backup" means for each workload (None: for the others); empty where a
        job type has the name "backup".
    :param workloads: the words for workloads.
    :param data_sources: the words for data sources.
    :param levels: the words for levels.
    :param default_label: the free text of a job that names none.
    :param default_organization: id and name of the organisation of a job that names none.
    :param locations: the Multi-Geo codes, the central location first; empty for none.
    :param states: the number or text of each state word that the vendor documents.
    :param lists_waiting: whether a job is listed before it starts.
    :param spellings: by name of a spelling, the label of each state's number; empty where rows show the
        number.
    :param carries: the names of those job fields that only some products have, and that this product's rows
        or filters have; "warning" is the count of this name.
    :param job_id_prefix: the beginning of a job's id.
    :param job_id_digits: how many digits end a job's id.
    :param quirks: the default quirks.
    :param own_quirks: the quirks of ``PRODUCT_QUIRKS`` that this product has.
    :param head: returns the row's fields that differ from job to job.
    :param tail: returns the row's fields that jobs with the same facts share.
    :param envelope: returns the body for a page.
    :param link_header: the header that holds the link; None where the envelope holds it.
    :param payload_key: the key of the rows in the body.
    :param details: the endpoint for one job; None for none.
    :param license: the endpoint for licence figures; None for none.
    :param subscriptions: the endpoint for subscriptions; None for none.
    :param readings: the endpoints whose values the control API sets as a whole.
    :param restore: the endpoint that starts a restore; None for none.
    """

    name: str
    method: Literal["GET", "POST"] = "GET"
    list_path: str
    customer_parameter: str | None = None
    scope: str
    filters: tuple[Filter, ...]
    search: Search | None = None
    order: Order | None = None
    window: Window | None
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
    states: Mapping[str, int | str]
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
    link_header: str | None = None
    payload_key: str
    details: Details | None = None
    license: LicenseEndpoint | None = None
    subscriptions: SubscriptionEndpoint | None = None
    readings: tuple[Reading, ...] = ()
    restore: RestoreEndpoint | None = None

    @property
    def quirk_names(self) -> frozenset[str]:
        """The names of the quirks that this product's server can have."""
        names = (frozenset(Quirks.model_fields) - PRODUCT_QUIRKS) | self.own_quirks
        if self.window is None:
            names -= {"window_filters_by"}
        return names - self.paging.unknown_quirks

    @property
    def parameter_names(self) -> frozenset[str]:
        """The vendor's names of the parameters that a request for a list or a reading can have."""
        names = {each.parameter for each in self.filters} | self.paging.parameter_names
        if self.customer_parameter is not None:
            names.add(self.customer_parameter)
        if self.window is not None:
            names |= {self.window.after, self.window.before}
        if self.search is not None:
            names.add(self.search.parameter)
        if self.order is not None:
            names |= {self.order.column_parameter, self.order.sense_parameter}
        for reading in self.readings:
            names |= {*reading.window, *reading.row_filters, *(each.parameter for each in reading.filters)}
            names |= set() if reading.wanted is None else {reading.wanted[0]}
        return frozenset(names)

    def check_fields(self, fields: JobFields) -> None:
        """Refuse fields that neither the product's rows nor its filters have.

        :param fields: the description of a job.
        :raises Refused: a field is not one of the product's.
        """
        defaults = {name: JobFields.model_fields[name].default for name in _CARRIED_BY_SOME - self.carries}
        for name, default in sorted(defaults.items()):
            if getattr(fields, name) not in (None, default):
                raise Refused(f"{self.name} knows no {name}: neither its rows nor its filters have one")
        if "warning" not in self.carries and fields.counts is not None and fields.counts.warning:
            raise Refused(f"{self.name} counts no warnings")

    def check_state(self, word: str) -> str:
        """Return a state's word if the vendor documents the state.

        :param word: the word.
        :raises Refused: the vendor documents no such state.
        """
        if word not in self.states:
            raise Refused(
                f"{self.name} documents no state for {word!r}, only for {', '.join(self.states)}; "
                "use raw_state to send one anyway"
            )
        return word

    def code_of_raw(self, raw_state: object) -> int | str | None:
        """Return the value by which a status filter finds a raw state; None for an undocumented text.

        :param raw_state: the state as sent.
        """
        if isinstance(raw_state, int) or (isinstance(raw_state, float) and raw_state.is_integer()):
            return int(raw_state)
        if isinstance(raw_state, str) and raw_state.strip().isdecimal():
            return int(raw_state)
        if isinstance(raw_state, str) and raw_state in self.states.values():
            return raw_state
        spelt = (pair for table in self.spellings.values() for pair in table.items())
        return next((code for code, label in spelt if label == raw_state), None)

    def read_workload(self, fields: JobFields) -> str | None:
        """Return the job's workload; the default one if the job names none.

        :param fields: the description of the job.
        :raises Refused: the product has no such workload.
        """
        if "workload" not in fields.model_fields_set:
            return self.workloads.default
        return fields.workload and self.workloads.read(fields.workload, f"{self.name} workload")

    def read_job_type(self, given: str, workload: str | None) -> str:
        """Return the job type; "backup" becomes the workload's own kind of backup.

        :param given: the job type from the control API.
        :param workload: the job's workload.
        :raises Refused: the product has no such job type.
        """
        if given == BACKUP and self.backups:
            return self.backups.get(workload, self.backups[None])
        return self.job_types.read(given, f"{self.name} job type")

    def read_organization(self, fields: JobFields) -> tuple[str | None, str | None]:
        """Return id and name of the job's organisation; the default organisation if the job names none.

        :param fields: the description of the job.
        """
        if "organization_id" not in fields.model_fields_set:
            return self.default_organization[0], fields.organization_name or self.default_organization[1]
        return fields.organization_id, fields.organization_name

    def read_location(self, code: str | None) -> str | None:
        """Return the Multi-Geo code for the facts, which have None for the central location.

        :param code: the code from the control API, or None.
        :raises Refused: the product has no such location.
        """
        if code is None or not self.locations:
            return None
        return None if known(code, self.locations, "location") == self.locations[0] else code


def finish(job: Job, quirks: Quirks, render: Callable[[int], Any]) -> Any:
    """Return the finish time in the row, or the product's value for no finish.

    :param job: the job.
    :param quirks: the quirks, which decide the value for no finish.
    :param render: writes ticks in the product's form.
    """
    if job.finished is not None:
        return render(job.finished)
    return render(0) if quirks.no_finish == "year_1" else _NO_TIME[quirks.no_finish]


def start(job: Job, quirks: Quirks, render: Callable[[int], Any]) -> Any:
    """Return the start time in the row of a product with ``no_start``, or the value for no start.

    :param job: the job.
    :param quirks: the quirks, which decide the value for no start.
    :param render: writes ticks in the product's form.
    """
    if job.facts.state != "waiting" or quirks.no_start == "planned":
        return render(job.started)
    return render(0) if quirks.no_start == "year_1" else _NO_TIME[quirks.no_start]


def shown_state(spelling: Mapping[int, str] | None, facts: Facts) -> Any:
    """Return the state in the row: a raw state as given, or the state's number, text or label.

    :param spelling: the label of each number; None shows numbers.
    :param facts: the job's facts.
    """
    if facts.raw_state is not ABSENT or facts.state_code is None:
        return facts.raw_state
    if spelling and isinstance(facts.state_code, int):
        return spelling[facts.state_code]
    return facts.state_code


def duration(job: Job, computed: Callable[[int], Any], *, unfinished: Any) -> Any:
    """Return the duration in the row: the job's own one, or one from its times.

    :param job: the job.
    :param computed: writes a duration in ticks in the product's form.
    :param unfinished: the value for a job without a finish.
    """
    if job.facts.duration is not ABSENT:
        return job.facts.duration
    return unfinished if job.finished is None else computed(job.finished - job.started)
