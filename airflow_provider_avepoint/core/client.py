"""The API's calls as flows: what is sent, in which order, and what the answers mean. Drivers run them."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow_provider_avepoint.core.auth import Credential, Token, TokenSource
from airflow_provider_avepoint.core.clock import ApiClock
from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointConfigError,
    AvePointJobNotFound,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
)
from airflow_provider_avepoint.core.fields import get_key, get_path, is_absent, parse_integer
from airflow_provider_avepoint.core.flow import Flow, Request
from airflow_provider_avepoint.core.grading import pick_sighting
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
from airflow_provider_avepoint.core.paging import (
    REFUSALS,
    Fetch,
    Habits,
    Page,
    Pager,
    Pairs,
    merge_parameters,
)
from airflow_provider_avepoint.core.products.vocabulary import Envelope, Product, SubscriptionEndpoint
from airflow_provider_avepoint.core.query import SEARCH_SPAN, JobQuery
from airflow_provider_avepoint.core.responses import parse_answer, send_with_retries
from airflow_provider_avepoint.core.rows import (
    Asked,
    Identified,
    RowReader,
    read_customer_id,
    read_license,
    read_subscriptions,
)
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.core.text import one_line


@dataclass(slots=True)
class Client:
    """One connection's view of the API, without I/O."""

    settings: Settings
    tokens: TokenSource
    clock: ApiClock = field(default_factory=ApiClock)
    _habits: defaultdict[str, Habits] = field(default_factory=lambda: defaultdict(Habits))

    @classmethod
    def build(cls, settings: Settings, credential: Credential) -> Client:
        """Return a client that proves itself with *credential*."""
        return cls(
            settings,
            TokenSource(
                token_url=settings.identity_endpoint,
                client_id=settings.client_id,
                credential=credential,
            ),
        )

    def call(
        self, path: str, query: Iterable[tuple[str, str]], permission: str, subject: str = ""
    ) -> Flow[Any]:
        """Return the JSON that *path* answers, renewing the token once where it is refused.

        :param subject: the product, for metrics.
        :raises AvePointAuthError: a fresh token is refused too.
        :raises AvePointPermissionError: the app registration lacks *permission*.
        """
        return self._send(
            Request(
                method="GET",
                url=self.settings.base_url + path,
                query=tuple(query),
                subject=subject,
            ),
            permission,
        )

    def ask(self, query: JobQuery, now: datetime, paging: Pairs) -> Flow[Any]:
        """Return the JSON of one page of the answer to *query*."""
        product = query.product
        path = product.path.format(organization_id=quote(query.organization_id or "", safe=""))
        filters = query.parameters(now)
        if product.method == "GET":
            parameters = [(name, str(value)) for name, value in filters.items()]
            return self.call(path, merge_parameters(parameters, paging), product.permission, product.name)
        request = Request(
            method=product.method,
            url=self.settings.base_url + path,
            query=paging,
            json=filters,
            subject=product.name,
        )
        return self._send(request, product.permission)

    def _send(self, request: Request, permission: str) -> Flow[Any]:
        token = yield from self.tokens.get(permission)
        try:
            return (yield from self._send_with(token, request))
        except AvePointRequestError as e:
            if e.status != 401:
                raise self._explain(e, permission) from None
        self.tokens.discard(permission, token)
        token = yield from self.tokens.get(permission)
        try:
            return (yield from self._send_with(token, request))
        except AvePointRequestError as e:
            raise self._explain(e, permission) from None

    def _send_with(self, token: Token, request: Request) -> Flow[Any]:
        headers = {"Authorization": f"Bearer {token.value}", "Accept": "application/json"}
        signed = replace(request, headers=headers)
        sent_at = datetime.now(UTC)
        request, response = yield from send_with_retries(lambda: signed)
        self.clock.note(response.headers, sent_at, datetime.now(UTC))
        return parse_answer(request, response)

    def _explain(self, error: AvePointRequestError, permission: str) -> Exception:
        if error.status == 401:
            return AvePointAuthError(
                f"{self.settings.base_url} refuses a fresh token for {permission}; check that the "
                "connection's host and environment belong to the tenant of the app registration. "
                f"({error})"
            )
        if error.status == 403:
            return AvePointPermissionError(
                f"The app registration {self.settings.client_id} lacks the permission {permission}; "
                f"add it in AvePoint Online Services > App registrations. ({error})",
                permission=permission,
            )
        return error

    def list_jobs(self, query: JobQuery, now: datetime, *, with_changes: bool = False) -> Listing:
        """Return the listing that answers *query*; its window's end is fixed to *now*.

        :param with_changes: a job that is listed again, and otherwise, comes again.
        """
        return Listing(self, query, now, with_changes=with_changes)

    def check_access(self, product: Product, now: datetime) -> Flow[None]:
        """Make one small authorised call to *product*: a page of one job of the last day.

        Where a list is of one customer, none is known here: then it is only asked for a token.
        """
        if product.needs_organization:
            yield from self.tokens.get(product.permission)
            return
        query = JobQuery(product=product, started_after=now - timedelta(days=1))
        document = yield from self.ask(query, now, ((product.paging.size, "1"),))
        read_rows(product, document)

    def get_job(self, product: Product, job_id: str, location: str | None) -> Flow[BackupJob]:
        """Return one job from the product's endpoint for one job.

        :raises AvePointJobNotFound: it knows none of this id.
        """
        endpoint = product.job
        if endpoint is None:
            raise AvePointConfigError(f"{product.label} has no endpoint for a single job.")
        path = endpoint.path.format(job_id=quote(job_id, safe=""))
        name = product.filters.location
        query = [(name, location)] if name and location else []
        try:
            document = yield from self.call(path, query, product.permission, product.name)
        except AvePointRequestError as e:
            if e.status != 404:
                raise
            raise job_not_found(product, job_id) from None
        row = get_path(document, endpoint.row)
        if row is None:
            raise job_not_found(product, job_id)
        job = RowReader(product).read(row, location=location)
        if job.job_id != job_id:
            raise AvePointPayloadError(
                f"{product.label} was asked for job {job_id} and answered with {one_line(job.job_id, 100)}."
            )
        return job

    def find_job(self, query: JobQuery, job_id: str, now: datetime) -> Flow[BackupJob]:
        """Return the job of *query* with this id: from the endpoint for one job, else by a search.

        Microsoft 365's endpoint knows the central location only, where its listing knows all: a job that it
        does not know is searched for, unless the location is given. A search goes back to the query's
        ``started_after``, else ``SEARCH_SPAN``, and reads the listing to its end: a job may be listed twice.

        :raises AvePointJobNotFound: no job has this id.
        """
        product, location = query.product, query.location
        if product.job is not None:
            try:
                return (yield from self.get_job(product, job_id, location))
            except AvePointJobNotFound:
                if location is not None or not product.tells_locations:
                    raise
        query = replace(query, started_after=query.started_after or now - SEARCH_SPAN)
        listing = self.list_jobs(query, now, with_changes=True)
        sightings: list[BackupJob] = []
        while wanted := listing.wanted(0, limit=1):
            document = yield from listing.fetch(wanted[0])
            sightings += [job for job in listing.receive(document) if job.job_id == job_id]
        found = pick_sighting(sightings)
        if found is None:
            raise job_not_found(product, job_id)
        return found

    def get_license(self, product: Product, location: str | None, now: datetime) -> Flow[LicenseConsumption]:
        """Return what is purchased and used.

        :raises AvePointConfigError: the product has no such endpoint, or one that lists many subscriptions.
        """
        endpoint = product.license
        if product.subscriptions is not None:
            raise AvePointConfigError(
                f"product: {product.label} has the licences of many customers; use get_license_consumptions."
            )
        if endpoint is None:
            raise AvePointConfigError(f"product: {product.label} has no API for licence consumption.")
        if location and not endpoint.location:
            raise AvePointConfigError(f"location: {product.label} has one licence for all locations.")
        query = [(endpoint.location, location)] if endpoint.location and location else []
        document = yield from self.call(endpoint.path, query, endpoint.permission, product.name)
        figures = read_license(product, document)
        since = figures["out_of_policy_at"]
        return LicenseConsumption(
            **figures, location=location, is_out_of_policy=since is not None and since <= now
        )

    def get_licenses(
        self, product: Product, organization_id: str | None, location: str | None, now: datetime
    ) -> Flow[list[LicenseConsumption]]:
        """Return what is purchased and used: a tenant's licence, or a partner's customers' subscriptions.

        :raises AvePointConfigError: the product has no such endpoint, or cannot tell customers or locations.
        :raises AvePointRequestError: there is no subscription (of this customer): that is no good licence.
        """
        endpoint = product.subscriptions
        if endpoint is None:
            if organization_id is not None:
                raise AvePointConfigError(f"organization_id: {product.label} has one licence for the tenant.")
            return [(yield from self.get_license(product, location, now))]
        if organization_id is not None and not organization_id.strip():
            raise AvePointConfigError("organization_id is empty; leave it out for all customers.")
        if location is not None:
            raise AvePointConfigError(f"location: {product.label} has one licence for all locations.")
        found = []
        for customer in (yield from self._list_customers(product, endpoint, organization_id)):
            found += [LicenseConsumption(**each) for each in read_subscriptions(product, endpoint, customer)]
        if not found:
            whose = "customer" if organization_id is None else f"customer {one_line(organization_id, 100)}"
            raise AvePointRequestError(f"{product.label} lists no subscription of any {whose}.", status=404)
        return found

    def _list_customers(
        self, product: Product, endpoint: SubscriptionEndpoint, organization_id: str | None
    ) -> Flow[list[Mapping[str, Any]]]:
        """Return the customer of this id, or all, each once, with their subscriptions."""
        wanted_id = normalize_id(organization_id)
        size = endpoint.paging.sizes[0]
        pager = Pager(
            paging=endpoint.paging,
            base_url=self.settings.base_url,
            label=f"customers of {product.label}",
        )
        found: dict[str | None, Mapping[str, Any]] = {}
        while wanted := pager.wanted(0, limit=1):
            request = Request(
                method="POST",
                url=self.settings.base_url + endpoint.path,
                query=merge_parameters(wanted[0] or (), ((endpoint.paging.size, str(size)),)),
                json={} if organization_id is None else {endpoint.wanted: [organization_id]},
                subject=product.name,
            )
            document = yield from _bear_refusal(self._send(request, endpoint.permission), wanted[0])
            if isinstance(document, AvePointRequestError):
                pager.receive_refusal(document)
                continue
            rows = _find_rows(product, endpoint.envelope, document)
            ids = [normalize_id(read_customer_id(product, endpoint, row)) for row in rows]
            new = {each: row for each, row in zip(ids, rows, strict=True) if each not in found}
            found |= new
            if wanted_id in new:
                return [new[wanted_id]]
            pager.receive(
                _read_page(endpoint.envelope, document, tuple(map(hash, ids)), asked_size=size), len(new)
            )
        return list(found.values()) if organization_id is None else []

    def habits(self, product: Product) -> Habits:
        """Return what *product*'s server has shown of its paging."""
        return self._habits[product.name]


class Listing:
    """One listing under way: say what to fetch, fetch it, receive it, in this order.

    Jobs come out once; with *with_changes*, one that is listed again in another state comes again.

    The loop of both drivers is: fetch all that :meth:`wanted` names, :meth:`receive` the results in the
    same order, until nothing is wanted and nothing is on its way.
    """

    def __init__(self, client: Client, query: JobQuery, now: datetime, *, with_changes: bool = False) -> None:
        self._client = client
        self._query = query
        self._with_changes = with_changes
        self._product = query.product
        self._now = now
        self._reader = RowReader(query.product)
        self._seen: set[int] = set()
        self._pager = Pager(
            paging=query.product.paging,
            base_url=client.settings.base_url,
            label=f"jobs of {query.product.label}",
        )
        self._page_size = 0

    def wanted(self, in_flight: int, limit: int | None = None) -> list[Fetch]:
        """Return the pages to fetch now, given how many are fetched or on their way but not received yet.

        :param limit: how many may be; by default half as many again as may be on their way, so that the
            network need not wait for whoever draws the jobs.
        """
        at_a_time = self._client.settings.max_concurrency
        return self._pager.wanted(in_flight, limit or at_a_time + at_a_time // 2)

    def fetch(self, page: Fetch) -> Flow[Any]:
        """Fetch one page: the JSON of the answer, or the refusal of one that may be beyond the last."""
        if page is None:
            return self._fetch_first()
        paging = merge_parameters(page, ((self._product.paging.size, str(self._page_size)),))
        return _bear_refusal(self._ask(paging), page)

    def receive(self, document: Any) -> Iterator[BackupJob]:
        """Take a page; return its jobs that were asked for and have not come before, made as they are drawn.

        So a page's rows become jobs one by one, in whichever thread wants them, and none outlives its use.
        """
        if isinstance(document, AvePointRequestError):
            self._pager.receive_refusal(document)
            return iter(())
        rows = list(map(self._reader.identify, read_rows(self._product, document)))
        # 64 bits tell rows apart: among a million, two are alike with a chance of 1 in 37 million.
        keys = tuple([row.key for row in rows])
        seen = self._seen
        fresh = []
        new_rows = 0
        for key, row in zip(keys, rows, strict=True):
            if key not in seen:
                seen.add(key)
                new_rows += 1
            elif not self._with_changes:
                continue
            if self._with_changes:
                content = hash((key, repr(row.raw)))
                if content in seen:
                    continue
                seen.add(content)
            fresh.append(row)
        page = _read_page(
            self._product.envelope,
            document,
            keys,
            asked_size=self._page_size,
            is_last=self._reaches_window_start(rows),
        )
        self._pager.receive(page, new_rows)
        return self._make_jobs(fresh)

    def _make_jobs(self, rows: list[Identified]) -> Iterator[BackupJob]:
        query, reader, matches = self._query, self._reader, self._query.matches
        build = reader.build
        workload = query.object_type if self._product.filters.object_type else None
        asked = Asked(query.job_type, workload, query.organization_id, query.location)
        for row in rows:
            if row.job_id is None and reader.is_no_job(row):
                continue
            job = build(row, asked)
            if matches(job):
                if row.job_id is None:
                    raise reader.lacks_id()
                yield job

    def _fetch_first(self) -> Flow[Any]:
        """Fetch the first page in the largest size that the server takes."""
        habits, paging = self._client.habits(self._product), self._product.paging
        most = habits.page_size or self._client.settings.page_size or paging.sizes[0]
        sizes = [most, *(size for size in paging.sizes if size < most)]
        for size in sizes:
            self._page_size = size
            try:
                document = yield from self._ask(((paging.size, str(size)),))
            except AvePointRequestError as e:
                if size == sizes[-1] or not self._is_about_size(e):
                    raise
            else:
                habits.page_size = size
                return document
        raise AssertionError("unreachable: the last size returns or raises")

    def _is_about_size(self, error: AvePointRequestError) -> bool:
        """Tell whether a refusal may be about the page size: it names it, or names no parameter at all."""
        if error.status not in (400, 413, 414, 416, 422):
            return False
        name = self._product.paging.size.casefold()
        return name in str(error).casefold() or (error.field is None and error.code is None)

    def _ask(self, paging: Pairs) -> Flow[Any]:
        return self._client.ask(self._query, self._now, paging)

    def _reaches_window_start(self, rows: list[Identified]) -> bool:
        """Tell whether nothing after these *rows* can be in the window: newest first, and past its start."""
        begin = self._query.started_after
        if begin is None or not self._product.paging.newest_first:
            return False
        starts = [start for start in map(self._reader.start_of, rows) if start is not None]
        # A page of one moment shows no order at all.
        is_newest_first = bool(starts) and starts[0] > starts[-1]
        is_sorted = is_newest_first and all(one >= other for one, other in itertools.pairwise(starts))
        return is_sorted and starts[-1] < begin


def _bear_refusal(answer: Flow[Any], page: Fetch) -> Flow[Any]:
    """Return the answer, or the refusal of a *page* that may be beyond the last one: the pager knows."""
    try:
        return (yield from answer)
    except AvePointRequestError as e:
        if page is None or e.status not in REFUSALS:
            raise
        return e


def read_rows(product: Product, document: Any) -> list[Any]:
    """Return the jobs of an answer.

    :raises AvePointPayloadError: it has none where they should be: that is not an empty list.
    """
    return _find_rows(product, product.envelope, document)


def _find_rows(product: Product, envelope: Envelope, document: Any) -> list[Any]:
    for *where, key in envelope.rows:
        holder = get_path(document, tuple(where))
        rows = get_key(holder, key, ...) if isinstance(holder, Mapping) else ...
        if rows is None:  # the vendor's own description marks its lists as nullable
            return []
        if isinstance(rows, list):
            return rows
    raise AvePointPayloadError(
        f"{product.label} answered without the list {'.'.join(envelope.rows[0])}; {product.undocumented}."
    )


def _read_page(
    envelope: Envelope, document: Any, keys: tuple[int, ...], *, asked_size: int, is_last: bool = False
) -> Page:
    totals: list[int] = []
    for path in envelope.total:
        with contextlib.suppress(ValueError):  # a total that cannot be read is none
            total = parse_integer(get_path(document, path))
            totals += [] if total is None else [total]
    link = get_path(document, envelope.link)
    return Page(
        keys=keys,
        link=None if is_absent(link) else link,
        total=max(totals, default=None),
        asked_size=asked_size,
        is_last=is_last,
    )


def job_not_found(product: Product, job_id: str) -> AvePointJobNotFound:
    """Return the error for an id that no job has."""
    return AvePointJobNotFound(
        f"{product.label} knows no job {job_id}; check the id, the location, and how far back to look "
        "(started_after).",
        status=404,
    )
