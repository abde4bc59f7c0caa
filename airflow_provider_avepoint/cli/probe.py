"""Ask a real tenant what the documents leave open, and compare the answers with our product tables.

A probe is a few small experiments on one listing: the number of the first page, the largest page size, the
form of the next link, the meaning of the total, and the times that the window filters by. The report holds
only the result of each experiment, in our own words; the contents of rows are compared and then dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from airflow_provider_avepoint.cli.probe_findings import (
    ProbeFindings,
    Row,
    as_number,
    find_state,
    get_value,
    is_none,
    is_readable,
    read_code,
)
from airflow_provider_avepoint.cli.probe_readings import ReadingProbe
from airflow_provider_avepoint.cli.terminal import Bar
from airflow_provider_avepoint.cli.wire_forms import MISSING, describe_link, describe_time
from airflow_provider_avepoint.core.errors import (
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.fields import get_key, get_path, parse_time
from airflow_provider_avepoint.core.flow import Flow, Pairs
from airflow_provider_avepoint.core.pages import Answer, read_rows
from airflow_provider_avepoint.core.paging import merge_parameters
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.products.vocabulary import Envelope, LicenseEndpoint, Path
from airflow_provider_avepoint.core.query import JobQuery, build_queries
from airflow_provider_avepoint.hooks.avepoint import AvePointHook

#: The most requests to one product; requests for tokens and retries do not count.
MAX_REQUESTS = 40
_LOOK_BACK = timedelta(days=30)
_LONG_AGO = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 2, tzinfo=UTC))
# The shortest duration of a job whose start and finish two windows can tell apart.
_SHORTEST_JOB = timedelta(seconds=4)
# The page size of a query that tests a filter.
_SAMPLE = 50
_TOO_FEW = "too few jobs to tell; an earlier --started-after may help"
_ELSEWHERE = "stands elsewhere"


def probe_products(
    hook: AvePointHook,
    names: Sequence[str],
    *,
    started_after: str | None,
    organization_id: str | None,
    location: str | None,
    bar: Bar,
) -> list[ProbeFindings]:
    """Probe the named products, or all products.

    :param hook: the hook of the connection.
    :param names: the names of products; empty for all.
    :param started_after: the earliest start of the jobs to look at, in ISO 8601; None: 30 days ago.
    :param organization_id: the organisation; left out for products without organisations.
    :param location: the Multi-Geo location; left out for products without locations.
    :param bar: the progress bar.
    :returns: the findings, in the order of the products.
    :raises AvePointConfigError: an argument cannot be used; nothing was sent.
    :raises AvePointAuthError: the credentials are refused.
    :raises AvePointUnavailable: the first product's server does not answer.
    """
    now = datetime.now(UTC)
    by_product = [ProbeFindings(product=get_product(name)) for name in names or PRODUCTS]
    planned: list[_Probe] = []
    for findings in by_product:
        product = findings.product
        if product.needs_organization and organization_id is None:
            findings.problem = "lists one customer at a time: name one by --organization-id"
            continue
        (query,) = build_queries(
            product.name,
            started_after=started_after or (now - _LOOK_BACK).isoformat(),
            job_type="all",
            # A dimension that the product does not have is left out, so that one flag serves all products.
            organization_id=organization_id if product.tells_organizations else None,
            location=(location or hook.settings.location) if product.tells_locations else None,
        )
        planned.append(_Probe(hook, query, now, findings, bar))
    bar.expect(len(planned))
    for number, probe in enumerate(planned):
        try:
            probe.run()
        except AvePointUnavailable:
            if number == 0:
                raise
            probe.findings.problem = "not readable: no answer"
        bar.finish_step()
    return by_product


class _SpentError(Exception):
    """The number of requests has reached its limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One page: its rows and their identities; *refusal* says why there are no rows."""

    rows: tuple[Row, ...] = ()
    keys: tuple[int, ...] = ()
    document: Any = None
    link: object = MISSING
    total: int | None = None
    refusal: str = ""


class _Probe:
    """The experiments on one product's listing."""

    def __init__(
        self, hook: AvePointHook, query: JobQuery, now: datetime, findings: ProbeFindings, bar: Bar
    ) -> None:
        self.findings = findings
        self._hook = hook
        self._query = query
        self._product = query.product
        self._now = now
        self._bar = bar
        self._note = findings.note
        self._rows: dict[int, Row] = {}
        self._size = 0
        self._has_answered = False
        self._readings = ReadingProbe(
            hook.client,
            self._run,
            findings,
            organization_id=query.organization_id,
            location=query.location,
            now=now,
        )

    def run(self) -> None:
        """Make all experiments that the limit of requests allows.

        What is told beside jobs has permissions of its own, and is asked for in any case.
        """
        try:
            self._probe_jobs()
            self._read_license()
            self._readings.run()
        except _SpentError:
            self._note("requests", f"{MAX_REQUESTS} were not enough for everything")
        if self.findings.is_readable:
            self.findings.add_rows(self._rows.values())

    def _probe_jobs(self) -> None:
        try:
            sample = self._take_sample()
            if sample is None:
                return
            self._compare_pages(sample)
            self._find_window_meaning()
            self._try_state_filter()
            self._try_job_type_filter()
        except AvePointPermissionError as e:
            self.findings.problem = f"not readable: the app lacks the permission {e.permission}"

    # Requests

    def _ask(self, paging: Pairs = (), **changed: str) -> _Answer:
        """Return one page; *changed* holds parameters that differ from the query's own."""
        client, product = self._hook.client, self._product
        if product.method == "GET":
            filters = {name: str(value) for name, value in self._query.parameters(self._now).items()}
            sent = merge_parameters((filters | changed).items(), paging)
            flow = client.get(product.path, sent, product.permission)
        else:
            flow = client.ask(self._query, self._now, paging)
        answer, refusal = self._run(flow)
        if answer is None:
            return _Answer(refusal=refusal)
        document = answer.document
        try:
            listed = read_rows(product, answer)
        except AvePointPayloadError:
            return _Answer(document=document, refusal="the list is not where the file has it")
        rows = tuple(row for row in listed if isinstance(row, Mapping))
        keys = tuple(map(self._identify, rows))
        self._rows |= zip(keys, rows, strict=True)
        totals = (as_number(_find(document, path)) for path in product.envelope.total)
        return _Answer(
            rows=rows,
            keys=keys,
            document=document,
            link=_find_link(product.envelope, answer),
            total=next((total for total in totals if total is not None), None),
        )

    def _run(self, flow: Flow[Answer]) -> tuple[Answer | None, str]:
        """Return the answer; or None, and why there is no answer."""
        if self.findings.requests >= MAX_REQUESTS:
            flow.close()
            raise _SpentError
        self.findings.requests += 1
        self._bar.count()
        try:
            answer = self._hook.transport.run(flow)
        except AvePointRequestError as e:
            return None, f"refused with {e.status}"
        except AvePointPayloadError:
            return None, "answered with what is no JSON"
        except AvePointUnavailable as e:
            if e.status is None and not self._has_answered:
                raise
            return None, f"answered with {'an error' if e.status in {None, 200} else e.status}"
        self._has_answered = True
        return answer, ""

    def _identify(self, row: Row) -> int:
        columns = self._product.columns
        return hash((str(get_value(row, columns.organization_id)), str(get_value(row, columns.job_id))))

    def _page(self, index: str, number: int, size: int) -> _Answer:
        """Return the page of a number; *index* is the parameter for it, which not every product has."""
        return self._ask(((index, str(number)), *self._of_size(size)))

    def _of_size(self, size: int) -> Pairs:
        return ((self._product.paging.size, str(size)),)

    # Pages

    def _take_sample(self) -> _Answer | None:
        """Return a page of the largest size that the server accepts; None where it accepts none."""
        sizes = self._product.paging.sizes
        for size in (2 * sizes[0], *sizes):
            answer = self._ask(self._of_size(size))
            if not answer.refusal:
                self._size = size
                return answer
            if answer.document is not None:
                break
            ours = f"starts at {sizes[0]}"
            self._note("page size", f"{size}: {answer.refusal}", ours, differs=size <= sizes[0])
        self.findings.problem = f"not readable: {answer.refusal}"
        return None

    def _compare_pages(self, sample: _Answer) -> None:
        distinct = len(set(sample.keys))
        size = 2 if distinct >= 4 else 1
        first = self._ask(self._of_size(size)) if distinct > 1 else _Answer()
        has_more: bool | None = None
        if first.rows:
            has_more = self._has_more(sample, self._find_base(first, size))
        else:
            self._note("page base", f"a page of {size}: {first.refusal}" if first.refusal else _TOO_FEW)
        self._describe_size(sample, has_more=has_more)
        self._describe_links(sample, first, has_more=has_more)
        self._describe_total(sample, first, has_more=has_more)
        if first.rows and self._ask(self._of_size(size)).keys != first.keys:
            self._note("caution", "jobs arrived meanwhile; what is said of pages may be wrong, run it again")
        if len(sample.keys) != distinct:
            self._note("rows", "some are listed more than once in a page")

    def _find_base(self, first: _Answer, size: int) -> int | None:
        """Return the number of the first page (or row); None where the pages do not show it."""
        paging = self._product.paging
        if paging.index is None:
            return None
        name, step = paging.index, size if paging.is_offset else 1
        about = "row base" if paging.is_offset else "page base"
        zeroth, following = self._page(name, 0, size), self._page(name, step, size)
        if following.keys == first.keys:
            if self._page(name, 2 * step, size).keys == first.keys:
                self._note(about, f"{name} is ignored: every page is the first", name, differs=True)
                return None
            lower = zeroth.refusal or ("that page too" if zeroth.keys == first.keys else "another page")
            self._note(about, f"1: {name}={step} is the first page, {name}=0 {lower}", name)
            return 1
        if zeroth.keys == first.keys:
            told = following.refusal or "the next"
            self._note(about, f"0: {name}=0 is the first page, {name}={step} {told}", name)
            return 0
        self._note(about, "not clear: neither 0 nor 1 is the page that comes without a number", name)
        return None

    def _has_more(self, sample: _Answer, base: int | None) -> bool | None:
        """Tell whether there are rows after the sample; None where that is unknown."""
        index = self._product.paging.index
        if base is None or index is None:
            return None if is_none(sample.link) else True
        length = len(sample.keys)
        number = length if self._product.paging.is_offset else base + 1
        following = self._page(index, number, min(length, self._size))
        return None if following.refusal else bool(set(following.keys) - set(sample.keys))

    def _describe_size(self, sample: _Answer, *, has_more: bool | None) -> None:
        got, asked, ours = len(sample.rows), self._size, self._product.paging.sizes[0]
        about, starts = "largest page", f"starts at {ours}"
        if got >= asked:
            self._note(about, f"{asked} are taken", starts, differs=asked != ours)
        elif has_more:
            self._note(about, f"{got} come where {asked} are asked for", starts, differs=got != ours)
        else:
            self._note(about, f"{asked} are not refused; there are fewer jobs than that", starts)

    def _describe_links(self, sample: _Answer, first: _Answer, *, has_more: bool | None) -> None:
        product, base_url = self._product, self._hook.settings.base_url
        path = product.path.format(organization_id=quote(self._query.organization_id or "", safe=""))
        place = product.envelope.link_header or ".".join(product.envelope.link)
        if first.rows:
            is_elsewhere = first.link is MISSING and _holds(first.document, "nextlink")
            form = describe_link(first.link, base_url=base_url, path=path)
            seen = _ELSEWHERE if is_elsewhere else form
            self._note("link, while pages follow", seen, place, differs=is_elsewhere)
            if isinstance(first.link, str) and not is_none(first.link):
                self._follow(first.link, first, sample)
        if has_more is False:
            self._note(
                "link, on the last page", describe_link(sample.link, base_url=base_url, path=path), place
            )

    def _follow(self, link: str, first: _Answer, sample: _Answer) -> None:
        """Request the page that *link* leads to, but only at the connection's own address."""
        about, ours, size = "the link leads to", "the next page", len(first.rows)
        parts = _split(link)
        if parts is None:
            return
        if parts.netloc not in ("", urlsplit(self._hook.settings.base_url).netloc):
            self._note(about, "another host; not followed", ours, differs=True)
            return
        pairs: Pairs = tuple(parse_qsl(parts.query, keep_blank_values=True))
        if not parts.netloc and "?" not in link and not link.startswith("/"):
            token = self._product.paging.token
            pairs, ours = ((token, unquote(link)),), f"the next page, by {token}"
        answer = self._ask(merge_parameters(pairs, self._of_size(size)))
        repeated = len(set(answer.keys) & set(first.keys))
        seen = answer.refusal or "other rows than the next"
        if answer.keys == sample.keys[size : 2 * size]:
            seen = "the next page"
        elif answer.keys == first.keys:
            seen = "the same page again"
        elif repeated:
            seen = f"a page that repeats {repeated} of {size} rows"
        self._note(about, seen, ours, differs=seen != "the next page")

    def _describe_total(self, sample: _Answer, first: _Answer, *, has_more: bool | None) -> None:
        paths = self._product.envelope.total
        ours = " or ".join(".".join(path) for path in paths)
        if sample.total is None:
            is_elsewhere = _holds(sample.document, "totalcount", "totalnumber")
            seen = _ELSEWHERE if is_elsewhere else "no such key"
            self._note("total", seen, ours, differs=is_elsewhere)
            return
        place = next(".".join(path) for path in paths if as_number(_find(sample.document, path)) is not None)
        length = len(sample.rows)
        is_whole = sample.total == length if has_more is False else sample.total > length
        meaning = "neither all rows nor those of the page"
        if not first.rows:
            meaning = _TOO_FEW
        elif first.total == sample.total and is_whole:
            meaning = "all rows that match"
        elif (first.total, sample.total) == (len(first.rows), length):
            meaning = "the rows of the page"
        self._note("total", f"{place}: {meaning}", ours)

    # Filters

    def _find_window_meaning(self) -> None:
        names = self._product.filters
        if names.started_after is None or names.started_before is None:
            return
        about, ours = "the window filters by", f"{names.started_after}, {names.started_before}"
        job = self._pick_job()
        if job is None:
            self._note(
                about, "no ended job is long enough to tell; an earlier --started-after may help", ours
            )
            return
        key, start, finish = job
        margin = timedelta(seconds=min(60, int((finish - start).total_seconds() / 4)))
        pages = [
            self._ask_window(*window)
            for window in (
                (start - margin, start + margin),
                (finish - margin, finish + margin),
                (start + margin, finish - margin),
                (start - margin, finish + margin),
            )
        ]
        seen = tuple(key in page.keys for page in pages)
        if any(page.refusal for page in pages):
            self._note(about, "not told: a window was refused", ours, differs=True)
        elif all(seen) and self._ask_window(*_LONG_AGO).rows:
            self._note(about, "nothing: the window is ignored", ours, differs=True)
        else:
            self._note(about, _WINDOWS.get(seen, "not clear"), ours)

    def _ask_window(self, after: datetime, before: datetime) -> _Answer:
        names = self._product.filters
        window = {
            str(names.started_after): str(names.write_time(after)),
            str(names.started_before): str(names.write_time(before)),
        }
        return self._ask(self._of_size(self._size), **window)

    def _pick_job(self) -> tuple[int, datetime, datetime] | None:
        """Return the shortest ended job whose start and finish two windows can tell apart."""
        columns = self._product.columns
        found: list[tuple[timedelta, int, datetime, datetime]] = []
        for key, row in self._rows.items():
            start, finish = (
                parse_time(value)
                if not is_none(value := get_value(row, column)) and is_readable(parse_time, value)
                else None
                for column in (columns.started_at, columns.finished_at)
            )
            if start is not None and finish is not None and finish - start >= _SHORTEST_JOB:
                found.append((finish - start, key, start, finish))
        return min(found)[1:] if found else None

    def _try_state_filter(self) -> None:
        """Ask for each documented state by itself, so that the report sees each state that has a job."""
        name, column = self._product.filters.state, self._product.columns.state
        if name is None:
            return
        refused: list[str] = []
        strays: list[str] = []
        has_rows = False
        for line in self._product.states:
            answer = self._ask(self._of_size(_SAMPLE), **{name: str(line.code)})
            has_rows |= bool(answer.rows)
            shown = [find_state(self._product, get_value(row, column)) for row in answer.rows]
            if answer.refusal:
                refused.append(str(line.code))
            elif any(each is not None and each is not line for each in shown):
                strays.append(str(line.code))
        about, ours = f"the state filter, {name}", "brings that state"
        if strays:
            self._note(about, f"brings other states too, for {', '.join(strays)}", ours, differs=True)
        elif has_rows:
            self._note(about, ours, ours)
        if refused:
            self._note(about, f"refuses {', '.join(refused)}", ours, differs=True)

    def _try_job_type_filter(self) -> None:
        product = self._product
        name, column = product.filters.job_type, product.columns.job_type
        codes = product.job_type_codes("backup")
        if name is None or column is None or product.method != "GET" or len(codes) != 1:
            return
        answer = self._ask(self._of_size(_SAMPLE), **{name: str(codes[0])})
        is_mixed = any(read_code(get_value(row, column)) != read_code(codes[0]) for row in answer.rows)
        ours = "brings that type"
        seen = answer.refusal or ("brings other types too" if is_mixed else ours)
        if answer.refusal or answer.rows:
            self._note(f"the job type filter, {name}", seen, ours, differs=seen != ours)

    # The licence

    def _read_license(self) -> None:
        endpoint, location = self._product.license, self._query.location
        if endpoint is None:
            return
        query = [(endpoint.location, location)] if endpoint.location and location else []
        try:
            answer, refusal = self._run(self._hook.client.get(endpoint.path, query, endpoint.permission))
        except AvePointPermissionError as e:
            self._note("licence", f"not readable: the app lacks the permission {e.permission}")
            return
        if answer is None:
            self._note("licence", refusal, differs=True)
        else:
            self._describe_license(get_path(answer.document, endpoint.figures), endpoint)

    def _describe_license(self, figures: object, endpoint: LicenseEndpoint) -> None:
        if not isinstance(figures, Mapping):
            place = ".".join(endpoint.figures)
            self._note("licence", "the figures are not where the file has them", place, differs=True)
            return
        value = get_key(figures, "outOfPolicyTime", MISSING)
        is_read = is_readable(parse_time, value)
        ours = "read" if is_read else "not read"
        self._note("licence, outOfPolicyTime", describe_time(value), ours, differs=not is_read)


# Key: whether a job is listed by a window around its start, around its finish, between both, around both.
_WINDOWS: dict[tuple[bool, ...], str] = {
    (True, False, False, True): "start",
    (False, True, False, True): "finish",
    (True, True, True, True): "overlap: job and window have time in common",
    (True, True, False, True): "start or finish",
    (False, False, False, True): "both: the whole job is in the window",
}


def _find(document: Any, path: Path) -> object:
    *where, key = path
    holder = get_path(document, tuple(where))
    return get_key(holder, key, MISSING) if isinstance(holder, Mapping) else MISSING


def _find_link(envelope: Envelope, answer: Answer) -> object:
    if envelope.link_header is None:
        return _find(answer.document, envelope.link)
    return answer.headers.get(envelope.link_header.lower(), MISSING)


def _holds(document: Any, *names: str) -> bool:
    """Tell whether an object of the envelope has one of the keys *names*, which are in lower case."""
    if not isinstance(document, Mapping):
        return False
    return any(key.casefold() in names or _holds(value, *names) for key, value in document.items())


def _split(link: str) -> SplitResult | None:
    try:
        return urlsplit(link)
    except ValueError:
        return None
