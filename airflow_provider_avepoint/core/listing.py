"""A listing: which pages to fetch, and what comes of them. The one loop of every listing is here.

A listing is a :class:`~airflow_provider_avepoint.core.flow.Pipeline`: a driver fetches what the listing
begins and hands each answer back, in order. :class:`JobListing` answers one query, :class:`JobListings`
several side by side.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from airflow_provider_avepoint.core.client import Client, job_not_found
from airflow_provider_avepoint.core.errors import AvePointError, AvePointJobNotFound, AvePointRequestError
from airflow_provider_avepoint.core.flow import Flow, Pairs
from airflow_provider_avepoint.core.grading import pick_sighting
from airflow_provider_avepoint.core.key_set import KeySet
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.pages import Answer, read_page, read_rows
from airflow_provider_avepoint.core.paging import REFUSALS, Fetch, Pager, merge_parameters
from airflow_provider_avepoint.core.products.vocabulary import Paging
from airflow_provider_avepoint.core.query import SEARCH_SPAN, JobQuery, Widening, split_into_stages, widen
from airflow_provider_avepoint.core.rows import Asked, Identified, RowReader

T = TypeVar("T")

# Of listings side by side, as many jobs may have come before it is their turn. A page may exceed it.
_MOST_KEPT = 5_000


class Listing(ABC, Generic[T]):
    """One listing under way: a pipeline of pages.

    :param client: the connection.
    :param paging: how the server cuts the listing into pages.
    :param label: what is listed, for messages.
    """

    def __init__(self, client: Client, paging: Paging, label: str) -> None:
        self._client = client
        self._paging = paging
        self._pager = Pager(paging=paging, base_url=client.settings.base_url, label=label)
        self._page_size = 0

    def begin(self, in_flight: int) -> list[Flow[Any]]:
        """Return the flows of the pages to fetch now; see :class:`Pipeline`.

        Half as many again as may be on their way: the network need not wait for whoever draws the items.

        :param in_flight: how many pages are on their way.
        """
        at_a_time = self._client.settings.max_concurrency
        return self.begin_up_to(at_a_time + at_a_time // 2, in_flight)

    def begin_up_to(self, limit: int, in_flight: int) -> list[Flow[Any]]:
        """Return the flows of the pages to fetch now, so that at most *limit* are on their way.

        :param limit: how many pages may be on their way.
        :param in_flight: how many pages are on their way.
        """
        return [self._fetch(page) for page in self._pager.wanted(in_flight, limit)]

    def take(self, answer: Answer | AvePointRequestError) -> Iterator[T]:
        """Take the answer of the oldest flow; return the new items of its page.

        :param answer: a page, or the refusal of a page that may be beyond the last one.
        :raises AvePointPayloadError: the pages do not add up.
        """
        if isinstance(answer, AvePointRequestError):
            self._pager.receive_refusal(answer)
            return iter(())
        return self._receive(answer)

    @abstractmethod
    def _receive(self, answer: Answer) -> Iterator[T]:
        """Tell the pager what *answer* holds; return the items of the page."""

    @abstractmethod
    def _ask(self, paging: Pairs) -> Flow[Answer]:
        """Fetch the page that the parameters *paging* name."""

    def _fetch(self, page: Fetch) -> Flow[Any]:
        if page is None:
            return self._fetch_first()
        return _bear_refusal(self._ask(merge_parameters(page, self._sized(self._page_size))))

    def _sized(self, size: int) -> Pairs:
        return ((self._paging.size, str(size)),)

    @property
    def _sizes(self) -> list[int]:
        """The page sizes to try for the first page, largest first."""
        return list(self._paging.sizes)

    def _fetch_first(self) -> Flow[Answer]:
        """Fetch the first page in the largest size that the server takes."""
        sizes = self._sizes
        for size in sizes:
            self._page_size = size
            try:
                return (yield from self._ask(self._sized(size)))
            except AvePointRequestError as e:
                if size == sizes[-1] or not self._is_about_size(e):
                    raise
        raise AssertionError("unreachable: the last size returns or raises")

    def _is_about_size(self, error: AvePointRequestError) -> bool:
        """Tell whether a refusal may be about the page size: it names it, or names no parameter at all."""
        if error.status not in (400, 413, 414, 416, 422):
            return False
        name = self._paging.size.casefold()
        return name in str(error).casefold() or (error.field is None and error.code is None)


def _bear_refusal(answer: Flow[Any]) -> Flow[Any]:
    """Return the answer, or the refusal of a page that may be beyond the last one: the pager knows."""
    try:
        return (yield from answer)
    except AvePointRequestError as e:
        if e.status not in REFUSALS:
            raise
        return e


def read_all(listing: Listing[T], is_wanted: Callable[[T], bool] = lambda _: True) -> Flow[list[T]]:
    """Return the items of *listing* that are wanted, read one page after the other.

    :param listing: the listing.
    :param is_wanted: which items to keep; by default all.
    """
    items: list[T] = []
    while pages := listing.begin_up_to(1, 0):
        for page in pages:
            items += filter(is_wanted, listing.take((yield from page)))
    return items


class JobListing(Listing[BackupJob]):
    """The jobs that answer one query, each once.

    :param client: the connection.
    :param query: the query.
    :param now: fixes the window's end.
    :param with_changes: a job that is listed again, in another state, comes again.
    """

    def __init__(self, client: Client, query: JobQuery, now: datetime, *, with_changes: bool = False) -> None:
        product = query.product
        super().__init__(client, product.paging, f"jobs of {product.label}")
        self._query = query
        self._with_changes = with_changes
        self._product = product
        self._now = now
        self._reader = RowReader(product)
        self._seen = KeySet()

    def _receive(self, answer: Answer) -> Iterator[BackupJob]:
        """Take a page; return its jobs that were asked for and have not come before, made as they are drawn.

        So a page's rows become jobs one by one, in whichever thread wants them, and none outlives its use.
        """
        rows = list(map(self._reader.identify, read_rows(self._product, answer)))
        # 64 bits tell rows apart: among a million, two are alike with a chance of 1 in 37 million.
        keys = tuple([row.key for row in rows])
        seen = self._seen
        fresh = []
        new_rows = 0
        for key, row in zip(keys, rows, strict=True):
            if seen.add(key):
                new_rows += 1
            elif not self._with_changes:
                continue
            if not self._with_changes or seen.add(hash((key, repr(row.raw)))):
                fresh.append(row)
        page = read_page(
            self._product.envelope,
            answer,
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

    @property
    def _sizes(self) -> list[int]:
        habits = self._client.habits(self._product)
        most = habits.page_size or self._client.settings.page_size or self._paging.sizes[0]
        return [most, *(size for size in self._paging.sizes if size < most)]

    def _fetch_first(self) -> Flow[Answer]:
        answer = yield from super()._fetch_first()
        self._client.habits(self._product).page_size = self._page_size
        return answer

    def _ask(self, paging: Pairs) -> Flow[Answer]:
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


class JobListings:
    """The jobs that answer several queries, whose listings are fetched side by side: a pipeline.

    Jobs come in the order of the queries. The first listing that is not complete reads ahead as far as it
    may. Those after it fetch a page at a time, as long as few jobs are kept until it is their turn: so memory
    stays bounded. An error waits for its turn too: the first one by the order of the queries is raised.

    Where the listing of one organisation brings nothing, all organisations are listed once: the id may be
    spelled otherwise, or be a name.

    :param client: the connection.
    :param queries: the queries, of one product or of several.
    :param now: fixes the end of each window.
    :param with_changes: as for :class:`JobListing`.
    :param note_answered: told of each query when all its jobs have come.
    """

    def __init__(
        self,
        client: Client,
        queries: Iterable[JobQuery],
        now: datetime,
        *,
        with_changes: bool = False,
        note_answered: Callable[[JobQuery], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._now = now
        self._with_changes = with_changes
        self._note_answered = note_answered
        self._stages = deque(split_into_stages(queries))
        #: The listings of this stage that are not complete, in the order of their queries.
        self._members: deque[_Member] = deque()
        #: The listings whose pages are on their way, the oldest page first.
        self._order: deque[_Member] = deque()
        self._silent: list[JobQuery] = []
        self._widenings: list[Widening] | None = None

    def begin(self, in_flight: int) -> list[Flow[Any]]:
        """Return the flows of the pages to fetch now; see :class:`Pipeline`.

        :param in_flight: how many pages are on their way.
        :raises AvePointConfigError: an organisation's id is a name.
        """
        if not self._members and not self._begin_stage():
            return []
        at_a_time = self._client.settings.max_concurrency
        room = at_a_time + at_a_time // 2 - in_flight
        first, *others = self._members
        flows = self._begin_pages(first, room)
        if sum(len(other.kept) for other in others) < _MOST_KEPT:
            for other in others:
                if len(flows) < room and not other.in_flight:
                    flows += self._begin_pages(other, 1)
        return flows

    def take(self, outcome: Any) -> Iterator[BackupJob]:
        """Take the outcome of the oldest flow; return the jobs whose turn has come, made as they are drawn.

        :param outcome: a page, or why it could not be fetched.
        :raises AvePointError: a page could not be fetched.
        """
        member = self._order.popleft()
        member.in_flight -= 1
        if member is self._members[0]:
            return self._draw(outcome)
        member.keep(outcome)
        return iter(())

    def _draw(self, outcome: Any) -> Iterator[BackupJob]:
        """Yield the jobs of a page of the first listing; where the listing ends, what is kept of the next."""
        yield from self._members[0].draw(outcome)
        while self._members and self._members[0].is_complete:
            ended = self._members.popleft()
            if ended.widening is None:
                self._note_answered(ended.query)
                if ended.is_silent:
                    self._silent.append(ended.query)
            if self._members:
                yield from self._members[0].draw_kept()

    def _begin_pages(self, member: _Member, room: int) -> list[Flow[Any]]:
        pages = member.begin(room)
        self._order.extend([member] * len(pages))
        return pages

    def _begin_stage(self) -> bool:
        """Go on to the queries that may be asked now; in the end tell ids from names."""
        if self._stages:
            self._members.extend(_Member(query, self._list(query)) for query in self._stages.popleft())
        elif self._widenings is None:
            self._widenings = widen(self._silent)
            self._members.extend(
                _Member(each.query, self._list(each.query), widening=each) for each in self._widenings
            )
        else:
            for widening in self._widenings:
                widening.refuse_names()
        return bool(self._members)

    def _list(self, query: JobQuery) -> JobListing:
        return JobListing(self._client, query, self._now, with_changes=self._with_changes)


class _Member:
    """One of several listings.

    :param query: what the listing answers.
    :param widening: the queries that the listing stands in for, where it is of all organisations.
    """

    def __init__(self, query: JobQuery, listing: JobListing, *, widening: Widening | None = None) -> None:
        self.query = query
        self.widening = widening
        self.is_silent = True
        self.in_flight = 0
        #: The jobs that have come while it was another listing's turn, and the error that ended this one.
        self.kept: list[BackupJob] = []
        self._error: AvePointError | None = None
        self._listing = listing
        #: The next pages; None where the listing has not been asked for them.
        self._next_pages: list[Flow[Any]] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all jobs have come."""
        if self.in_flight or self._error is not None:
            return False
        if self._next_pages is None:
            self._next_pages = self._listing.begin_up_to(1, 0)
        return not self._next_pages

    def begin(self, room: int) -> list[Flow[Any]]:
        """Return the flows of the pages to fetch now, at most *room* of them."""
        if room < 1 or self._error is not None:
            return []
        pages = self._next_pages
        if pages is None or pages:
            pages = pages or []
            in_flight = self.in_flight + len(pages)
            if len(pages) < room:
                pages += self._listing.begin_up_to(room - len(pages) + in_flight, in_flight)
            self._next_pages = None if pages or self.in_flight else []
        self.in_flight += len(pages)
        return [_keep_error(page) for page in pages]

    def draw(self, outcome: Any) -> Iterator[BackupJob]:
        """Yield the wanted jobs of a page.

        :raises AvePointError: the page could not be fetched, or the pages do not add up.
        """
        if isinstance(outcome, _Failure):
            raise outcome.error
        for job in self._listing.take(outcome):
            self.is_silent = False
            if self.widening is None or self.widening.matches(job):
                yield job

    def keep(self, outcome: Any) -> None:
        """Keep the wanted jobs of a page, or the error in their place, until it is this listing's turn."""
        try:
            self.kept.extend(self.draw(outcome))
        except AvePointError as e:
            self._error = e  # no further page is begun then

    def draw_kept(self) -> Iterator[BackupJob]:
        """Yield the jobs that were kept.

        :raises AvePointError: what ended the listing.
        """
        kept, self.kept = self.kept, []
        yield from kept
        if self._error is not None:
            raise self._error


class _Failure(NamedTuple):
    """Why a page could not be fetched."""

    error: AvePointError


def _keep_error(page: Flow[Any]) -> Flow[Any]:
    """Return the answer of a page, or the error in its place, to be raised when its turn has come."""
    try:
        return (yield from page)
    except AvePointError as e:
        return _Failure(e)


def find_job(client: Client, query: JobQuery, job_id: str, now: datetime) -> Flow[BackupJob]:
    """Return the job of *query* with this id: from the endpoint for one job, else by a search.

    Microsoft 365's endpoint knows the central location only, where its listing knows all: a job that it does
    not know is searched for, unless the location is given. A search goes back to the query's
    ``started_after``, else ``SEARCH_SPAN``, and reads the listing to its end: a job may be listed twice.

    :param client: the connection.
    :param query: the job's product, and where and since when to search.
    :param job_id: the vendor's id of the job.
    :param now: the time, which fixes the window's end.
    :raises AvePointJobNotFound: no job has this id.
    """
    product, location = query.product, query.location
    if product.job is not None:
        try:
            return (yield from client.get_job(product, job_id, location))
        except AvePointJobNotFound:
            if location is not None or not product.tells_locations:
                raise
    query = replace(query, started_after=query.started_after or now - SEARCH_SPAN)
    listing = JobListing(client, query, now, with_changes=True)
    found = pick_sighting((yield from read_all(listing, lambda job: job.job_id == job_id)))
    if found is None:
        raise job_not_found(product, job_id)
    return found
