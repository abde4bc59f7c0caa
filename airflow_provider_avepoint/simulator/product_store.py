"""One product in the simulator's memory: its jobs, quirks and licences, and the pages that show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from . import restores, times
from .control_schema import JobFields, License, LicenseChange, ReadingChange, Refused, RestoreSettings, known
from .encoding import ABSENT, VendorError, encode, invalid_parameter
from .job_builder import build_job
from .jobs import Facts, Job
from .listing import JobList, Question, Selection, are_wanted, is_asked_for
from .paging import PageRequest, link_field, page_to_serve, parameter, read_page_request
from .products.base import (
    ANY,
    Details,
    Filter,
    LicenseEndpoint,
    Page,
    Product,
    Reading,
    RestoreEndpoint,
    SubscriptionEndpoint,
)
from .quirks import Quirks
from .readings import ReadingValues
from .rows import RowRenderer
from .subscriptions import Subscriptions

# A placeholder in the envelope, which the bytes of the rows replace; no other served text contains it.
_ROWS = "\0rows\0"
_ROWS_JSON = encode(_ROWS).encode()
_OF_TENANTS = {"location", "out_of_policy_time"}
_OF_SUBSCRIPTIONS = {
    "organization_id",
    "organization_name",
    "service",
    "expiration_date",
    "extra",
    "omit",
}


class Asked(NamedTuple):
    """The parameters of a request.

    :param query: the query parameters.
    :param body: the JSON body.
    :param path: the parameters in the path.
    """

    query: Mapping[str, str]
    body: Mapping[str, Any] = {}
    path: Mapping[str, str] = {}


class Served(NamedTuple):
    """An answer's body and its own headers.

    :param body: the JSON bytes.
    :param payload_key: the key of the payload in the body; "" if the whole body is the payload.
    :param headers: the headers by name, such as the one with the link to the next page.
    """

    body: bytes
    payload_key: str
    headers: Mapping[str, str] = {}


class ProductStore:
    """The simulator's data of one product. Not thread-safe: callers hold the state's lock.

    :param product: the product.
    :param clock: the server's clock.
    """

    def __init__(self, product: Product, clock: times.Clock) -> None:
        self.product = product
        self._clock = clock
        self.jobs = JobList(lists_waiting=product.lists_waiting)
        self._organizations: set[str | None] = {_folded(product.default_organization[0])}
        self._licenses: dict[str | None, License] = {None: License()}
        self._subscriptions = Subscriptions(product.default_organization)
        self._readings = {each.name: ReadingValues(each, clock) for each in product.readings}
        self._use_quirks(product.quirks)

    def add(self, job: Job) -> None:
        """Add a job.

        :param job: the job.
        :raises Refused: a job of the same id, type, workload, organisation and location exists, or the job
            omits a field that no row has.
        """
        facts = job.facts
        for name in facts.omit:
            known(name, self._renderer.all_fields(job), f"{self.product.name} row field")
        for other in self.jobs.with_id(job.job_id):
            if _identity(other.facts) == _identity(facts):
                raise Refused(f"{self.product.name} has a job {job.job_id!r} there already", status=409)
        self.jobs.add(job)
        self._organizations.add(_folded(facts.organization_id))

    def add_history(self, jobs: Iterable[Job], kinds: Iterable[Facts]) -> None:
        """Add many jobs without a life.

        :param jobs: the jobs, oldest first.
        :param kinds: the facts that the jobs share.
        """
        self.jobs.add_history(jobs)
        self._organizations.update(_folded(facts.organization_id) for facts in kinds)

    def remove(self, job: Job) -> None:
        """Remove a job.

        :param job: one of the jobs.
        """
        self.jobs.remove(job)

    def one_job(self, job_id: str) -> Job:
        """Return the only job of an id.

        :param job_id: the id.
        :raises Refused: there is none (404), or there are several, in other organisations or locations (409).
        """
        found = self.jobs.with_id(job_id)
        if len(found) == 1:
            return found[0]
        if not found:
            raise Refused(f"{self.product.name} has no job {job_id!r}", status=404)
        raise Refused(
            f"{self.product.name} has {len(found)} jobs {job_id!r}; add them with other ids", status=409
        )

    def job_id(self, started: int, number: int) -> str:
        """Return an id in the vendor's form: prefix, start time, digits.

        :param started: the job's start in ticks.
        :param number: the number whose last digits end the id.
        """
        digits = self.product.job_id_digits
        return f"{self.product.job_id_prefix}{times.to_stamp(started)}{number % 10**digits:0{digits}d}"

    def named(self, job: Job, number: int) -> Job:
        """Return a job with an id in the vendor's form.

        :param job: the job.
        :param number: the number whose last digits end the id.
        """
        return dataclasses.replace(job, job_id=self.job_id(job.started, number))

    def change_quirks(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set quirks; return all quirks of the product.

        :param changes: the quirks to set, by name.
        :raises Refused: a quirk, parameter or row field is unknown.
        """
        names = self.product.quirk_names
        for name in changes:
            known(name, names, f"{self.product.name} quirk")
        changed = self._changed_quirks(changes)
        self._check_names(changed)
        self._use_quirks(changed)
        return self.quirks.model_dump(include=set(names))

    @contextmanager
    def other_quirks(self, changes: Mapping[str, Any]) -> Iterator[None]:
        """Change quirks until the end of the ``with`` block.

        :param changes: the quirks to change, by name.
        """
        own = self.quirks
        self._use_quirks(self._changed_quirks(changes))
        try:
            yield
        finally:
            self._use_quirks(own)

    def set_license(self, change: LicenseChange) -> dict[str, Any]:
        """Set licence figures; return them.

        The figures belong to one location, or to all locations without figures of their own. In a product
        with subscriptions they belong to one subscription of one customer.

        :param change: the figures.
        :raises Refused: the product has no licence endpoint (404), or no such figure.
        """
        if self.product.license is None and self.product.subscriptions is None:
            raise Refused(f"{self.product.name} has no licence endpoint", status=404)
        unknown = _OF_TENANTS if self.product.subscriptions else _OF_SUBSCRIPTIONS
        for name in sorted(change.model_fields_set & unknown):
            raise Refused(f"{self.product.name} has no {name} in its licence figures")
        if self.product.subscriptions is not None:
            return self._subscriptions.set(change)
        if change.location is not None and not self.product.locations:
            raise Refused(f"{self.product.name} has no locations")
        place = self.product.read_location(change.location)
        given = change.model_dump(exclude_unset=True, exclude={"location"})
        old = self._licenses.get(place) or self._licenses[None]
        self._licenses[place] = License.model_validate({**old.model_dump(), **given})
        return self._licenses[place].model_dump(by_alias=True)

    def set_reading(self, name: str, change: ReadingChange) -> dict[str, Any]:
        """Set what an endpoint beside jobs and licences answers; see :meth:`State.set_reading`.

        :param name: the endpoint's name.
        :param change: the value, and what it belongs to.
        :raises Refused: the endpoint is unknown (404), or there is no such location or id.
        """
        values = self._readings[known(name, self._readings, f"{self.product.name} reading", status=404)]
        return values.set(change, self.product.read_location(change.location))

    def read_listing(self, asked: Asked, *, base_url: str, path: str, numbers: Iterator[int]) -> Served:
        """Return one page of jobs; see :meth:`State.read_listing`.

        :param asked: the request's parameters.
        :param base_url: the server's base URL, for links.
        :param path: the request's path, for links.
        :param numbers: the numbers for new job ids.
        :raises VendorError: a parameter is missing or wrong, or the customer in the path is unknown (404).
        """
        product, quirks, heeded = self.product, self.quirks, self._drop_ignored(asked)
        question = self._read_question(heeded)
        page = read_page_request(product.paging, quirks, heeded.query)
        newest_first = product.order is None or product.order.is_newest_first(heeded.query)
        self._let_jobs_arrive(question, numbers)
        now = self._clock.now()
        selection = self.jobs.select(question, now)
        total = len(selection) * quirks.repeat_rows
        if quirks.filters_after_paging:
            every = tuple(self._read_customer(heeded.path).items())
            selection = self.jobs.select(dataclasses.replace(question, wanted=every, sought=""), now)
        row_count = len(selection) * quirks.repeat_rows
        page = page_to_serve(product.paging, quirks, page, row_count)
        jobs = self._jobs_of(selection, page, newest_first=newest_first)
        if quirks.filters_after_paging:
            jobs = [job for job in jobs if is_asked_for(job, question, now)]
        rows = self._renderer.rows(jobs, now)
        link = link_field(
            product.paging, quirks, asked.query, page, base_url=base_url, path=path, row_count=row_count
        )
        envelope = product.envelope(
            Page(
                rows=_ROWS,
                total=self._shown_total(total, len(rows)),
                link=link,
                index=page.index,
                size=page.size,
            ),
            quirks,
        )
        before, _, after = encode(envelope).encode().partition(_ROWS_JSON)
        headers = {product.link_header: link} if product.link_header and isinstance(link, str) else {}
        return Served(b"".join((before, b"[", b",".join(rows), b"]", after)), product.payload_key, headers)

    def read_details(self, endpoint: Details, job_id: str, query: Mapping[str, str]) -> Served:
        """Return one job; see :meth:`State.read_details`.

        :param endpoint: the endpoint.
        :param job_id: the job's id.
        :param query: the query parameters.
        :raises VendorError: a parameter is wrong, or there is no such job (404).
        """
        now = self._clock.now()
        wanted = _read_filters(endpoint.filters, Asked(query)).items()
        for job in self.jobs.with_id(job_id):
            if self.jobs.is_listed(job, now) and are_wanted(job.facts, wanted):
                row = self._detail_renderer.fields(job.at(now))
                return Served(encode(endpoint.envelope(row)).encode(), endpoint.payload_key)
        raise VendorError(404, f"The job '{job_id}' does not exist.", code="NotFound", field="jobId")

    def read_license(self, endpoint: LicenseEndpoint, query: Mapping[str, str]) -> Served:
        """Return the licence figures; see :meth:`State.read_license`.

        :param endpoint: the endpoint.
        :param query: the query parameters.
        :raises VendorError: a parameter is wrong.
        """
        place = _read_filters(endpoint.filters, Asked(query)).get("location")
        license_ = self._licenses.get(place) or self._licenses[None]
        body = endpoint.envelope(license_.model_dump(by_alias=True), self.quirks)
        return Served(encode(body).encode(), endpoint.payload_key)

    def read_subscriptions(
        self, endpoint: SubscriptionEndpoint, asked: Asked, *, base_url: str, path: str
    ) -> Served:
        """Return one page of customers with their subscriptions; see :meth:`State.read_subscriptions`.

        :param endpoint: the endpoint.
        :param asked: the request's parameters.
        :param base_url: the server's base URL, for links.
        :param path: the request's path, for links.
        :raises VendorError: a parameter is wrong.
        """
        customers = self._subscriptions.customers(asked.body)
        page = self._cut_page(customers, asked, base_url=base_url, path=path)
        return Served(encode(endpoint.envelope(page, self.quirks)).encode(), endpoint.payload_key)

    def read_reading(self, reading: Reading, asked: Asked, *, base_url: str, path: str) -> Served:
        """Return what an endpoint beside jobs and licences answers; see :meth:`State.read_reading`.

        :param reading: the endpoint.
        :param asked: the request's parameters.
        :param base_url: the server's base URL, for links.
        :param path: the request's path, for links.
        :raises VendorError: a parameter is missing or wrong, or an id in the path is unknown (404).
        """
        heeded, values = self._drop_ignored(asked), self._readings[reading.name]
        for name in reading.window:
            if parameter(asked.query, name) is None:
                raise _missing(name)
        place = _read_filters(reading.filters, heeded).get("location")
        is_everywhere = reading.joins_locations and parameter(heeded.query, "location") is None
        value = values.find(asked.path, place, is_everywhere=is_everywhere)
        value = values.select(value, heeded.query, heeded.body)
        if reading.is_paged and isinstance(value, list):
            value = self._cut_page(value, asked, base_url=base_url, path=path)
        elif reading.is_paged:
            value = Page(rows=value, total=ABSENT, link=ABSENT, index=1, size=1)
        return Served(encode(reading.envelope(value, self.quirks)).encode(), reading.payload_key)

    def _cut_page(self, every: list[Any], asked: Asked, *, base_url: str, path: str) -> Page:
        """Return the page of a list that a request asks for."""
        product, quirks = self.product, self.quirks
        page = read_page_request(product.paging, quirks, self._drop_ignored(asked).query)
        page = page_to_serve(product.paging, quirks, page, len(every))
        rows = every[page.offset : page.offset + page.length]
        link = link_field(
            product.paging, quirks, asked.query, page, base_url=base_url, path=path, row_count=len(every)
        )
        total = self._shown_total(len(every), len(rows))
        return Page(rows=rows, total=total, link=link, index=page.index, size=page.size)

    def start_restore(
        self, endpoint: RestoreEndpoint, asked: Asked, settings: RestoreSettings, numbers: Iterator[int]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start a restore; return what is kept of it, and the data of the answer.

        :param endpoint: the endpoint.
        :param asked: the request's parameters.
        :param settings: what becomes of it.
        :param numbers: the numbers for new job ids.
        :raises VendorError: a parameter is wrong, or three jobs are running.
        """
        location = _read_filters(endpoint.filters, asked).get("location")
        wanted = restores.read_request(endpoint, asked.body)
        now = self._clock.now()
        limited = (job.at(now).facts for job in self.jobs)
        running = sum(
            each.state in ("waiting", "running") and each.job_type in restores.LIMITED_TYPES
            for each in limited
        )
        if running >= restores.MOST_RUNNING:
            raise restores.too_many_running()
        fields = restores.describe_job(wanted, settings, location)
        job = build_job(self.product, fields, restores.restore_id(now, next(numbers)), now)
        self.add(job)
        kept = {
            "job_id": job.job_id,
            "at": times.to_iso_full(now),
            "location": location,
            "body": dict(asked.body),
        }
        return kept, {"jobId": job.job_id} if settings.answers_id else {}

    def _changed_quirks(self, changes: Mapping[str, Any]) -> Quirks:
        return Quirks.model_validate({**self.quirks.model_dump(), **changes})

    def _check_names(self, quirks: Quirks) -> None:
        """Refuse a parameter or row field that the product does not have."""
        product = self.product
        parameters = {name.casefold(): name for name in product.parameter_names}
        for name in quirks.ignored_parameters:
            known(parameters.get(name.casefold(), name), parameters.values(), f"{product.name} parameter")
        any_row = RowRenderer(product, quirks).all_fields(
            build_job(product, JobFields(), "", self._clock.now())
        )
        for name in quirks.row_omit:
            known(name, any_row, f"{product.name} row field")

    def _use_quirks(self, quirks: Quirks) -> None:
        self.quirks = quirks
        self._renderer = RowRenderer(self.product, quirks)
        details = self.product.details
        self._detail_renderer = RowRenderer(self.product, details.quirks(quirks) if details else quirks)

    def _jobs_of(self, selection: Selection, page: PageRequest, *, newest_first: bool) -> list[Job]:
        times_each = self.quirks.repeat_rows
        first, skipped = divmod(page.offset, times_each)
        count = -(-(skipped + page.length) // times_each)
        jobs = selection.newest(first, count) if newest_first else selection.oldest(first, count)
        if times_each == 1:
            return jobs
        repeated = [job for job in jobs for _ in range(times_each)]
        return repeated[skipped : skipped + page.length]

    def _shown_total(self, match_count: int, row_count: int) -> Any:
        if self.quirks.total == "absent":
            return ABSENT
        return (match_count if self.quirks.total == "match" else row_count) + self.quirks.total_off_by

    def _drop_ignored(self, asked: Asked) -> Asked:
        """Return the request's parameters without those that the server ignores."""
        ignores = self.quirks.ignores
        return Asked(*({name: value for name, value in part.items() if not ignores(name)} for part in asked))

    def _read_question(self, asked: Asked) -> Question:
        product, window = self.product, self.product.window
        heeded = (each for each in product.filters if not self.quirks.ignores(each.parameter))
        wanted = self._read_customer(asked.path) | _read_filters(heeded, asked)
        search = product.search
        return Question(
            after=self._read_bound(asked, window.place, window.after, window.read_after) if window else None,
            before=self._read_bound(asked, window.place, window.before, window.read_before)
            if window
            else None,
            window_filters_by=self.quirks.window_filters_by,
            wanted=tuple(wanted.items()),
            sought=(parameter(asked.query, search.parameter) or "") if search else "",
            sought_in=search.facts if search else (),
        )

    def _read_customer(self, path: Mapping[str, str]) -> dict[str, Any]:
        """Return the organisation in the path as a wanted fact; an empty mapping where the path has none.

        :raises VendorError: the organisation never had a job (404).
        """
        name = self.product.customer_parameter
        if name is None or self.quirks.ignores(name):
            return {}
        if _folded(path[name]) not in self._organizations:
            raise VendorError(
                404, f"The customer '{path[name]}' does not exist.", code="NotFound", field=name
            )
        return {"organization_id": path[name]}

    def _read_bound(
        self, asked: Asked, place: Literal["query", "body"], name: str, read: Callable[[str], int | None]
    ) -> int | None:
        if self.quirks.ignores(name):
            return None
        bound = Filter(parameter=name, place=place, json_type=str, fact="")
        text = _text_of(asked, bound)
        if text is None:
            if self.product.is_window_required:
                raise _missing(name)
            return None
        try:
            return read(text)
        except ValueError as error:
            raise invalid_parameter(name, str(error)) from error

    def _let_jobs_arrive(self, question: Question, numbers: Iterator[int]) -> None:
        """Add jobs that match the question and start now, so that they move its rows."""
        words = {code: word for word, code in self.product.states.items()}
        wanted = dict(question.wanted)
        word = words.get(wanted.pop("state_code", None), "running")
        fields = JobFields.model_validate({**wanted, "state": word, "started_ago": 0})
        for _ in range(self.quirks.arrivals_per_page):
            job = build_job(self.product, fields, "", self._clock.now())
            self.add(self.named(job, next(numbers)))


def _identity(facts: Facts) -> tuple[str | None, ...]:
    """Return the facts that distinguish two jobs of one id."""
    return facts.organization_id, facts.location, facts.workload, facts.job_type


def _folded(organization_id: str | None) -> str | None:
    return organization_id and organization_id.casefold()


def _read_filters(filters: Iterable[Filter], asked: Asked) -> dict[str, Any]:
    """Return the facts that the request asks for, by name."""
    wanted = {}
    for each in filters:
        text = _text_of(asked, each)
        if text is None and each.is_required:
            raise _missing(each.parameter)
        try:
            value = each.default if text is None else each.read(text)
        except ValueError as error:
            raise invalid_parameter(each.parameter, str(error)) from error
        if value is not ANY:
            wanted[each.fact] = value
    return wanted


def _text_of(asked: Asked, wanted: Filter) -> str | None:
    """Return a filter's value as a text, as a query has it; None for null or a missing name.

    :raises VendorError: the value in a body is not of the filter's type.
    """
    name = wanted.parameter
    if wanted.place == "query":
        return parameter(asked.query, name)
    value = next((value for given, value in asked.body.items() if given.casefold() == name.casefold()), None)
    if value is None:
        return None
    if not isinstance(value, wanted.json_type):
        raise invalid_parameter(name, f"The value {encode(value)} is not valid for {name}.")
    return str(value)


def _missing(name: str) -> VendorError:
    return invalid_parameter(name, f"The {name} field is required.")
