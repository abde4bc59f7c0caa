"""A server as a function over the pager: every row that was there at the start comes once, or it raises."""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

import pytest

from airflow_provider_avepoint.core import paging
from airflow_provider_avepoint.core.errors import AvePointPayloadError, AvePointRequestError
from airflow_provider_avepoint.core.paging import Fetch, Mode, Page, Pager, merge_parameters
from airflow_provider_avepoint.core.products.vocabulary import Paging

from .tables import each_row

BASE_URL = "https://graph.example"
PATH = "/dynamicsbackup/jobs"
DIALECT = Paging(index="pageIndex", size="pageSize", sizes=(1000, 10))
OFFSETS = Paging(index="skip", is_offset=True, size="top", sizes=(1000, 10))
LINKS = ("none", "empty", "absolute", "relative", "relative without prefix", "bare query", "token")
SIZES = (0, 1, 9, 10, 11, 20, 25, 100)


@dataclass
class Server:
    """Rows newest first, cut into pages the way one server does.

    :param base: the number of its first page.
    :param clamp: the most rows it gives at a time.
    :param total: ``match``, ``page`` or ``absent``.
    :param arrivals: rows that come in before each page is read.
    """

    rows: list[int]
    base: int = 0
    link: str = "none"
    clamp: int | None = None
    total: str = "match"
    arrivals: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    def read(self, fetch: Fetch, asked_size: int) -> Page:
        query = {"pagesize": str(asked_size)} | {name.casefold(): value for name, value in fetch or ()}
        self.asked.append(query)
        for _ in range(self.arrivals):
            self.rows.insert(0, len(self.rows))
        size = min(int(query["pagesize"]), self.clamp or 10**9)
        if "skiptoken" in query:
            offset = int(query["skiptoken"].removeprefix("/+"))
        else:
            offset = (max(int(query.get("pageindex", self.base)), self.base) - self.base) * size
        keys = tuple(self.rows[offset : offset + size])
        total = {"match": len(self.rows), "page": len(keys), "absent": None}[self.total]
        is_last = offset + size >= len(self.rows)
        return Page(
            keys=keys,
            link=self._link(offset + size, size, is_last=is_last),
            total=total,
            asked_size=asked_size,
        )

    def _link(self, offset: int, size: int, *, is_last: bool) -> str | None:
        if self.link == "none":
            return None
        if self.link == "empty" or is_last:
            return ""
        query = f"?pageIndex={offset // size + self.base}&pageSize={size}&type=1"
        return {
            "absolute": f"{BASE_URL}{PATH}{query}",
            "relative": f"{PATH}{query}",
            "relative without prefix": f"/jobs{query}",
            "bare query": query,
            "token": quote(f"/+{offset}", safe=""),
        }[self.link]


@dataclass
class SkippingServer(Server):
    """Takes how many rows to skip and to give.

    :param overlap: how many rows a link asks for again; the vendor's sample has 1.
    """

    overlap: int = 0

    def read(self, fetch: Fetch, asked_size: int) -> Page:
        query = {"top": str(asked_size)} | dict(fetch or ())
        self.asked.append(query)
        for _ in range(self.arrivals):
            self.rows.insert(0, len(self.rows))
        size = min(int(query["top"]), self.clamp or 10**9)
        skip = int(query.get("skip", 0))
        keys = tuple(self.rows[skip : skip + size])
        total = {"match": len(self.rows), "page": len(keys), "absent": None}[self.total]
        link = (
            "" if skip + size >= len(self.rows) else self._link_to(max(0, skip + size - self.overlap), size)
        )
        return Page(keys=keys, link=link or None, total=total, asked_size=asked_size)

    def _link_to(self, skip: int, size: int) -> str:
        query = f"?orderby=StartTime&sortorder=1&top={size}&skip={skip}"
        return {
            "none": "",
            "empty": "",
            "absolute": f"{BASE_URL}{PATH}{query}",
            "relative": f"{PATH}{query}",
            "relative without prefix": f"/jobs{query}",
            "bare query": query,
            "token": quote(f"/+{skip}", safe=""),
        }[self.link]


def pager(**fields: Any) -> Pager:
    return Pager(**{"paging": DIALECT, "base_url": BASE_URL, "label": "jobs", **fields})


def read_all(server: Any, *, asked_size: int = 10, limit: int = 1, seed: int = 0) -> list[int]:
    """Return the rows that a listing gives, in their order; pages in flight are read in a random order."""
    chance = random.Random(seed)  # a reproducible order
    listing = pager(paging=OFFSETS if isinstance(server, SkippingServer) else DIALECT)
    pending: deque[list[Any]] = deque()
    seen: dict[int, None] = {}
    while True:
        pending.extend([fetch, None] for fetch in listing.wanted(len(pending), limit))
        assert limit >= len(pending)
        if not pending:
            return list(seen)
        # Some of those in flight are answered, whichever; the oldest must be before it can be received.
        unread = [slot for slot in pending if slot[1] is None]
        chance.shuffle(unread)
        for slot in unread[: chance.randint(0, len(unread))]:
            slot[1] = server.read(slot[0], asked_size)
        if pending[0][1] is None:
            pending[0][1] = server.read(pending[0][0], asked_size)
        page = pending.popleft()[1]
        new = dict.fromkeys(key for key in page.keys if key not in seen)
        seen |= new
        listing.receive(page, len(new))


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find a server that never ends soon; the longest listing here has some hundred pages."""
    monkeypatch.setattr(paging, "MAX_PAGES", 1000)


def start(n: int) -> list[int]:
    return list(range(n))[::-1]


#: Total, arrivals before each page, the size that is asked for and the largest, pages at a time. Rare
#: combinations are those of ``tests/fuzz/test_paging_servers.py``.
WAYS = list(
    itertools.product(("match", "page", "absent"), (0, 1, 3), ((10, None), (1000, None), (1000, 10)), (1, 8))
)


def check_that_every_row_comes(kind: type[Server], **fields: Any) -> None:
    """List servers of all sizes in all ways; each listing has all rows that were there at its start."""
    for n, (seed, way) in itertools.product(SIZES, enumerate(WAYS)):
        total, arrivals, (asked_size, clamp), limit = way
        # Only where about as many rows arrive as a page holds, a listing cannot tell arrivals from circles.
        may_raise = arrivals and (limit > 1 or n < 10)
        server = kind(start(n), total=total, arrivals=arrivals, clamp=clamp, **fields)
        try:
            got = read_all(server, asked_size=asked_size, limit=limit, seed=seed)
        except AvePointPayloadError as e:
            assert may_raise, (n, way, e)  # noqa: PT017  # which case raised is what matters
            continue
        missing = set(range(n)) - set(got)
        assert not missing, (n, way)


@pytest.mark.no_cover
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("base", [0, 1])
def test_every_row_comes(base: int, link: str) -> None:
    """Whatever the server's total and largest page, however many rows arrive, however many pages at once."""
    check_that_every_row_comes(Server, base=base, link=link)


@pytest.mark.no_cover
@pytest.mark.parametrize("link", LINKS)
def test_every_row_comes_where_rows_are_skipped(link: str) -> None:
    """Whatever the link says: the vendor's own sample of one asks for a row again."""
    for overlap in (0, 1, 3):
        check_that_every_row_comes(SkippingServer, overlap=overlap, link=link)


@pytest.mark.parametrize("link", ["none", "absolute", "token"])
def test_which_rows_are_skipped(link: str) -> None:
    """Those that have come, with pages as large as the first one."""
    server = SkippingServer(start(95), link=link, clamp=20, overlap=1, total="page")
    assert start(95) == read_all(server, asked_size=1000)
    skips = ["20", "40", "60", "80", *(["100"] if link == "none" else [])]
    assert [None, *skips, None] == [query.get("skip") for query in server.asked]
    assert ["1000", *["20"] * len(skips), "1000"] == [query["top"] for query in server.asked]


@pytest.mark.parametrize("link", ["none", "absolute"])
def test_a_listing_of_one_page_of_rows(link: str) -> None:
    """Its total is enough where no server cuts a page so small; without one, a page more must tell."""
    for total, expected in (("match", 1), ("absent", 2)):
        for n in (0, 7):
            server = SkippingServer(start(n), link=link, total=total)
            assert start(n) == read_all(server)
            assert (expected if n else 1) == len(server.asked)


def test_rows_that_move_before_the_end_of_the_window_are_read_once_more() -> None:
    """Its end is the end of the second reading too."""
    listing = pager(paging=OFFSETS)
    listing.wanted(0, 8)
    listing.receive(Page(keys=TEN, total=95, asked_size=10), 10)
    assert 8 == len(listing.wanted(0, 8))
    for number in range(1, 9):
        keys = tuple(range(number * 10, number * 10 + 10))
        listing.receive(Page(keys=keys, total=95, asked_size=10, is_last=True), 10)
    assert [None] == listing.wanted(0, 8)
    listing.receive(Page(keys=(99, *TEN[:9]), total=96, asked_size=10), 1)
    assert 1 == len(listing.wanted(0, 8))
    listing.receive(Page(keys=tuple(range(9, 19)), total=96, asked_size=10, is_last=True), 0)
    assert ([], Mode.DONE) == (listing.wanted(0, 8), listing.mode)


@each_row("limit", [1, 8])
@each_row("link", ["", "?skip=10&top=10", "token"])
def test_after_the_last_page_that_matters_nothing_is_asked_for(link: str, limit: int) -> None:
    """By whichever way the next one would be found."""
    pages = [{"keys": TEN, "link": link, "is_last": True}]
    for paging_dialect in (OFFSETS, DIALECT):
        listing = pager(paging=paging_dialect)
        listing.wanted(0, limit)
        listing.receive(Page(**pages[0], total=1000, asked_size=10), 10)
        assert ([], Mode.DONE) == (listing.wanted(0, limit), listing.mode)


def test_the_last_page_that_matters_ends_links_too() -> None:
    script = Script([{"keys": (1,), "link": "a"}, {"keys": (2,), "link": "b", "is_last": True}])
    assert [1, 2] == read_all(script)
    assert 2 == script.count


def test_a_page_on_its_way_beyond_the_last_that_matters_may_say_otherwise() -> None:
    """Rows came out of order: what looked like the end was none, so the reading goes on."""
    listing = pager(paging=OFFSETS)
    listing.wanted(0, 3)
    listing.receive(Page(keys=TEN, link="?skip=10", total=95, asked_size=10), 10)
    assert 3 == len(listing.wanted(0, 3))
    listing.receive(Page(keys=tuple(range(10, 20)), link="?skip=20", asked_size=10, is_last=True), 10)
    assert [] == listing.wanted(2, 3)
    listing.receive(Page(keys=tuple(range(20, 30)), link="?skip=30", asked_size=10), 10)
    assert [(("skip", "40"), ("top", "10"))] == listing.wanted(1, 2)


@each_row("link", LINKS)
@each_row("base", [0, 1])
def test_rows_come_in_the_servers_order(base: int, link: str) -> None:
    for limit in (1, 8):
        assert start(95) == read_all(Server(start(95), base=base, link=link), limit=limit, seed=7)


def check_that_it_is_never_short(kind: type[Server], **fields: Any) -> None:
    """List servers where fewer, as many and more rows arrive than a page holds: complete, or it raises."""
    ways = itertools.product((1, 2, 3), (1, 2, 3), ("match", "absent"), (1, 8), (2, 7))
    for way in ways:
        size, arrivals, total, limit, n = way
        server = kind(start(n), total=total, arrivals=arrivals, **fields)
        try:
            got = read_all(server, asked_size=size, limit=limit)
        except AvePointPayloadError:
            continue
        missing = set(range(n)) - set(got)
        assert not missing, (fields, way)


@pytest.mark.no_cover
@pytest.mark.parametrize("link", LINKS)
def test_never_short_where_as_many_rows_arrive_as_a_page_holds(
    link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a listing may not end; it raises, but is never silently short."""
    monkeypatch.setattr(paging, "MAX_PAGES", 100)
    for base in (0, 1):
        check_that_it_is_never_short(Server, base=base, link=link)


@pytest.mark.parametrize("link", ["none", "absolute", "token"])
def test_never_short_where_as_many_rows_arrive_as_are_skipped(
    link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 100)
    for overlap in (0, 1):
        check_that_it_is_never_short(SkippingServer, overlap=overlap, link=link)


def test_rows_that_slip_between_pages_read_beside_each_other() -> None:
    """The last page is read first, then rows arrive: what moved from one to the other is found again."""
    listing = pager()
    rows = start(40)
    seen: set[int] = set()

    def take(fetch: Fetch, *, shift: int) -> None:
        number = int(dict(fetch or ()).get("pageIndex", 0))
        shifted = list(range(40, 40 + shift))[::-1] + rows
        keys = tuple(shifted[number * 10 : number * 10 + 10])
        listing.receive(Page(keys=keys, total=40 + shift, asked_size=10), len(set(keys) - seen))
        seen.update(keys)

    take(*listing.wanted(0, 8), shift=0)
    take(*listing.wanted(0, 8), shift=0)
    second, third = listing.wanted(0, 8)[:2]
    take(second, shift=3)
    take(third, shift=0)
    assert not {12, 11, 10} & seen
    while (fetches := listing.wanted(0, 8)) != [None]:
        take(fetches[0], shift=3)
    take(None, shift=3)
    while fetches := listing.wanted(0, 8):
        assert 1 == len(fetches)
        take(fetches[0], shift=3)
    assert set(range(43)) == seen


def test_nothing_is_read_again_where_nothing_has_changed() -> None:
    server = Server(start(45), total="match")
    read_all(server, limit=8)
    asked = [query.get("pageindex") for query in server.asked]
    assert [None, "1"] == asked[:2]
    assert ["2", "3", "4"] == sorted(asked[2:])


def test_one_by_one_nothing_is_read_twice() -> None:
    server = Server(start(45), total="match")
    read_all(server, limit=1)
    assert [None, "1", "2", "3", "4"] == [query.get("pageindex") for query in server.asked]


@each_row(
    ("n", "base", "link", "total", "expected"),
    [
        (0, 0, "none", "match", [None]),
        (0, 1, "empty", "absent", [None]),
        (7, 0, "none", "match", [None]),
        (7, 0, "none", "absent", [None, "1"]),
        (7, 1, "none", "absent", [None, "1", "2"]),
        (10, 0, "none", "match", [None, "1"]),
        (10, 1, "none", "match", [None, "1", "2"]),
        (20, 0, "none", "match", [None, "1"]),
        (20, 1, "none", "match", [None, "1", "2"]),
        (20, 0, "none", "absent", [None, "1", "2", None]),
        (20, 1, "none", "absent", [None, "1", "2", "3", None]),
        (20, 1, "relative", "absent", [None, "2", "3", None]),
        (20, 1, "relative", "match", [None, "2"]),
        (25, 1, "relative", "absent", [None, "2", "3", None]),
        (25, 0, "bare query", "match", [None, "1", "2"]),
    ],
)
def test_which_pages_are_asked_for(
    n: int, base: int, link: str, total: str, expected: list[str | None]
) -> None:
    """The first request names no page; a page after the last row is asked for only where no total tells."""
    server = Server(start(n), base=base, link=link, total=total)
    assert start(n) == read_all(server)
    assert expected == [query.get("pageindex") for query in server.asked]


def test_a_smaller_page_than_asked_for_shifts_nothing() -> None:
    """From the second page on, as many rows are asked for as came the first time."""
    server = Server(start(95), clamp=20, total="absent")
    assert start(95) == read_all(server, asked_size=1000)
    assert ["1000", *["20"] * 5, "1000"] == [query["pagesize"] for query in server.asked]


def test_pages_beside_each_other_never_exceed_the_limit_nor_the_total() -> None:
    listing = pager()
    assert [None] == listing.wanted(0, 8)
    assert [] == listing.wanted(1, 8)
    listing.receive(Page(keys=tuple(range(10)), link="?pageIndex=2&pageSize=10", total=45, asked_size=10), 10)
    numbers = [dict(fetch or ())["pageIndex"] for fetch in listing.wanted(0, 8)]
    assert ["2", "3", "4", "5"] == numbers
    assert [] == listing.wanted(4, 8)
    assert [] == listing.wanted(8, 8)


def test_without_a_total_few_pages_are_read_ahead() -> None:
    listing = pager()
    listing.wanted(0, 8)
    ahead = []
    for number in range(7):
        listing.receive(
            Page(
                keys=tuple(range(number * 10, number * 10 + 10)),
                link=f"?pageIndex={number + 1}",
                asked_size=10,
            ),
            10,
        )
        ahead.append(len(listing.wanted(0, 8)))
    assert [1, 1, 2, 3, 4, 5, 6] == ahead


@each_row("total", [12, 60, 999])
@each_row("base", [0, 1])
def test_a_wrong_total_neither_cuts_short_nor_repeats(total: int, base: int) -> None:
    """It is a hint; it may be another page's, or count what does not match."""

    class Wrong(Server):
        def read(self, fetch: Fetch, asked_size: int) -> Page:
            page = super().read(fetch, asked_size)
            return Page(keys=page.keys, link=page.link, total=total, asked_size=asked_size)

    for limit in (1, 8):
        assert start(45) == read_all(Wrong(start(45), base=base), limit=limit)


def test_a_total_that_promises_too_much_is_not_read_to_its_end() -> None:
    """Rows are asked for until many pages are empty; a total may count every job there ever was."""

    class Boasting(Server):
        def read(self, fetch: Fetch, asked_size: int) -> Page:
            page = super().read(fetch, asked_size)
            return Page(keys=page.keys, total=1_000_000, asked_size=asked_size)

    server = Boasting(start(45))
    assert start(45) == read_all(server, limit=8)
    assert 50 > len(server.asked)


# What is read once more


@dataclass
class Forgetful(Server):
    """Gives one of its pages without its rows, once: whichever is asked for as number *gap*, from 0 on."""

    gap: int = 0

    def read(self, fetch: Fetch, asked_size: int) -> Page:
        page = super().read(fetch, asked_size)
        return replace(page, keys=()) if len(self.asked) == self.gap + 1 else page


@each_row(
    ("link", "total"),
    [*((link, "match") for link in LINKS), ("token", "absent"), ("token", "page")],
)
@each_row("gap", range(5))
def test_a_page_that_comes_empty_once_costs_no_row(link: str, total: str, gap: int) -> None:
    """The total says that rows are missing, or the link that led to the page, or its own."""
    for limit, base in itertools.product((1, 8), (0, 1)):
        server = Forgetful(start(45), link=link, total=total, gap=gap, base=base)
        assert start(45) == sorted(read_all(server, limit=limit), reverse=True)


@pytest.mark.parametrize("link", ["none", "bare query", "token"])
def test_a_total_that_promises_too_much_is_doubted_once(link: str, caplog: pytest.LogCaptureFixture) -> None:
    """The rows are read twice, then believed, with a warning."""

    class Boasting(Server):
        def read(self, fetch: Fetch, asked_size: int) -> Page:
            return replace(super().read(fetch, asked_size), total=60)

    server = Boasting(start(45), link=link)
    assert start(45) == read_all(server)
    assert "promised more rows than the 45 that it sent, twice, by a total of 60" in caplog.text
    assert 2 == sum("pageindex" not in query and "skiptoken" not in query for query in server.asked)


def test_what_a_window_leaves_out_is_not_missing() -> None:
    """The total counts it, but nobody has asked for it."""
    listing = pager(paging=OFFSETS)
    listing.wanted(0, 1)
    listing.receive(Page(keys=TEN, total=95, asked_size=10, is_last=True), 10)
    assert [] == listing.wanted(0, 1)


@pytest.mark.parametrize("dialect", [DIALECT, OFFSETS], ids=["numbers", "offsets"])
def test_more_rows_than_were_asked_for_shift_no_page(dialect: Paging) -> None:
    """A server that lists each row twice begins its next page where it would have begun anyway."""
    listing = pager(paging=dialect)
    listing.wanted(0, 1)
    listing.receive(Page(keys=TEN + TEN, total=40, asked_size=10), 10)
    assert {("skip", "10"), ("pageIndex", "1")} & set(listing.wanted(0, 1)[0] or ())
    assert {("top", "10"), ("pageSize", "10")} & set(listing.wanted(0, 1)[0] or ())


# What a page that brings nothing new says


def listed(pages: list[dict[str, Any]], **fields: Any) -> tuple[list[int], int]:
    script = Script(pages)
    return read_all(script, **fields), script.count


def test_the_end_is_where_the_rows_make_the_largest_total() -> None:
    """Not a short page, nor one that came before; a row that comes twice is one row."""
    pages = [
        {"keys": (1, 2, 3, 4), "total": 9},
        {"keys": (1, 2, 3, 4), "total": 9},
        {"keys": (4, 5), "total": 10},
        {"keys": (), "total": 10},
        {"keys": (6, 7, 8, 9, 10), "total": 10},
    ]
    got, count = listed([*pages, pages[0]])
    assert list(range(1, 11)) == got
    assert len(pages) == count


@pytest.mark.parametrize(("rows", "asked_size"), [(37, 1000), (4, 10)])
def test_a_server_without_totals_that_ignores_the_number_is_believed(
    rows: int, asked_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no page is cut so: it is shorter than what was asked for, and of no size that servers cut at."""
    got, _ = listed([{"keys": tuple(range(rows))}], asked_size=asked_size)
    assert list(range(rows)) == got
    assert "sends the same" in caplog.text


@pytest.mark.parametrize(("rows", "asked_size"), [(1000, 1000), (10, 1000), (4, 4)])
def test_a_server_without_totals_that_may_have_cut_its_rows_is_not(rows: int, asked_size: int) -> None:
    with pytest.raises(AvePointPayloadError, match="11 pages in a row without a new row"):
        listed([{"keys": tuple(range(rows))}], asked_size=asked_size)


@each_row("limit", [1, 8])
@each_row("total", ["match", "absent"])
@each_row("request", [1, 2])
def test_rows_that_vanish_let_others_rise(limit: int, total: str, request: int) -> None:
    """Where a row of the first page vanishes, one of each later page rises to the page before it.

    A total falls then. Without totals, the first page shows it, looked at once more.
    """

    class Vanishing(Server):
        def read(self, fetch: Fetch, asked_size: int) -> Page:
            if len(self.asked) == request:
                self.rows.remove(20)
            return super().read(fetch, asked_size)

    got = read_all(Vanishing(start(25), total=total), limit=limit)
    assert set(range(25)) == set(got)


def test_rows_that_vanish_each_time_raise() -> None:
    totals = iter(range(1000, 0, -1))

    class Vanishing(Server):
        def read(self, fetch: Fetch, asked_size: int) -> Page:
            return replace(super().read(fetch, asked_size), total=next(totals))

    with pytest.raises(AvePointPayloadError, match="lost rows while they were listed, 3 times in a row"):
        read_all(Vanishing(start(25)))


def test_links_from_one_empty_page_to_the_next_end() -> None:
    pages = [{"keys": (1,), "link": "a"}, *({"keys": (), "link": f"token{n}"} for n in range(200))]
    with pytest.raises(AvePointPayloadError, match="101 pages in a row without a row"):
        listed(pages)


def test_an_empty_page_behind_a_link_is_asked_for_once_more() -> None:
    """By number too: the last page of rows had a link."""
    for link in ("a", "?pageIndex=1&pageSize=10"):
        full, empty, rest = {"keys": TEN, "link": link}, {"keys": ()}, {"keys": (10,)}
        assert list(range(11)) == listed([full, empty, full, rest])[0]
        with pytest.raises(AvePointPayloadError, match="a link to a page without rows, also when"):
            listed([full, empty, full, empty])


def test_a_refusal_behind_a_link_is_an_error() -> None:
    refusal = AvePointRequestError("No such page.", status=404)
    for link in ("a", "?pageIndex=1&pageSize=10"):
        listing = pager()
        listing.wanted(0, 1)
        listing.receive(Page(keys=TEN, link=link, total=10, asked_size=10), 10)
        listing.wanted(0, 1)
        with pytest.raises(AvePointRequestError):
            listing.receive_refusal(refusal)


# What raises


@dataclass
class Script:
    """Pages given one after the other, the last one for ever."""

    pages: list[dict[str, Any]]
    count: int = 0

    def read(self, _fetch: Fetch, asked_size: int) -> Page:
        page = self.pages[min(self.count, len(self.pages) - 1)]
        self.count += 1
        return Page(**{"asked_size": asked_size, **page})


TEN = tuple(range(10))


@each_row(
    ("pages", "problem"),
    [
        pytest.param(
            [{"keys": TEN}], "sent 11 pages in a row without a new row", id="one page whatever its number"
        ),
        pytest.param(
            [{"keys": TEN, "link": "?pageIndex=1"}], "sent the same next link twice", id="a link to itself"
        ),
        pytest.param(
            [{"keys": TEN, "link": "token"}, {"keys": (10, 11), "link": "token"}],
            "sent the same next link twice",
            id="the same token for ever",
        ),
        pytest.param(
            [
                {"keys": (1, 2), "link": "?skiptoken=a"},
                {"keys": (3, 4), "link": "?skiptoken=b"},
                {"keys": (5,), "link": "?skiptoken=a"},
            ],
            "sent the same next link twice",
            id="links in a circle",
        ),
        pytest.param(
            [{"keys": TEN, "link": "a"}, {"keys": TEN, "link": "b"}],
            "sent the same next link twice",
            id="links go on, rows do not",
        ),
        pytest.param(
            [{"keys": (1,), "link": "a"}, {"keys": (2,), "link": "b"}, {"keys": (1,), "link": "c"}],
            "sent the same next link twice",
            id="pages in a circle",
        ),
    ],
)
@each_row("limit", [1, 8])
def test_a_server_that_goes_round_in_circles(pages: list[dict[str, Any]], problem: str, limit: int) -> None:
    with pytest.raises(AvePointPayloadError) as caught:
        read_all(Script(pages), limit=limit)
    assert (
        f"Listing jobs: the server {problem}. The listing is given up rather than cut short; try again, and "
        "if it stays so, ask AvePoint's support."
    ) == str(caught.value)


def test_pages_without_a_new_row() -> None:
    """Repeated rows in ever other orders: arrivals explain a few such pages, not a dozen."""
    orders = itertools.permutations(range(5))
    pages = [{"keys": keys, "link": f"token{i}"} for i, keys in zip(range(50), orders, strict=False)]
    script = Script(pages)
    with pytest.raises(AvePointPayloadError, match="sent 11 pages in a row without a new row"):
        read_all(script)
    assert 12 == script.count


def test_a_few_pages_without_a_new_row_are_borne() -> None:
    orders = itertools.permutations(range(5))
    pages = [{"keys": keys, "link": f"token{i}"} for i, keys in zip(range(11), orders, strict=False)]
    assert [0, 1, 2, 3, 4, 5] == read_all(Script([*pages, {"keys": (5,)}]))


def test_a_listing_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 50)
    with pytest.raises(AvePointPayloadError, match="did not end within 50 pages"):
        read_all(Script([{"keys": (i,), "link": f"token{i}"} for i in range(100)]))


@each_row(
    "link",
    [
        "https://elsewhere.example/jobs?pageIndex=2",
        "https://graph.example.evil.example/jobs?pageIndex=2",
        "https://graph.example@evil.example/jobs?pageIndex=2",
        "http://graph.example/jobs?pageIndex=2",
        "https://graph.example:8443/jobs?pageIndex=2",
        "https://graph.example:80/jobs?pageIndex=2",
        "//elsewhere.example/jobs?pageIndex=2",
        "ftp://graph.example/jobs?pageIndex=2",
        "file:///jobs?pageIndex=2",
        "javascript://%0aalert(1)?pageIndex=2",
    ],
)
def test_a_link_elsewhere(link: str) -> None:
    with pytest.raises(AvePointPayloadError, match="to another address than the connection's"):
        read_all(Script([{"keys": TEN, "link": link}]))


@each_row(
    ("link", "problem"),
    [
        ("/jobs", "without a query"),
        ("https://graph.example/jobs", "without a query"),
        ("/jobs?", "without a query"),
        ("https://[::1", "cannot be read"),
        ("https://graph.example:port/jobs?x=1", "cannot be read"),
        (5, "that is a int"),
        (True, "that is a bool"),
        ({"href": "x"}, "that is a dict"),
        (["x"], "that is a list"),
    ],
)
def test_a_link_that_leads_nowhere(link: object, problem: str) -> None:
    with pytest.raises(AvePointPayloadError, match=problem):
        read_all(Script([{"keys": TEN, "link": link}]))


@pytest.mark.parametrize(
    "link",
    [
        "https://" + "x" * 5000 + ".example/?a=1",
        "https://ev\x1b[2Kil.example/?a=1",
        "https://e\u2028vil.example/?a=1",
        "https://graph.example:" + "9" * 5000 + "/?a=1",
    ],
    ids=["long", "escape", "line separator", "port"],
)
def test_a_message_about_a_link_is_one_bounded_line(link: str) -> None:
    with pytest.raises(AvePointPayloadError) as caught:
        read_all(Script([{"keys": TEN, "link": link}]))
    assert 1500 > len(str(caught.value))
    assert str(caught.value).isprintable()


@each_row(
    ("base_url", "link"),
    [
        ("https://graph.example", "https://graph.example:443/jobs?pageIndex=1"),
        ("https://graph.example:443", "https://graph.example/jobs?pageIndex=1"),
        ("https://graph.example", "HTTPS://GRAPH.example/jobs?pageIndex=1"),
        ("https://Graph.example/prefix", "https://graph.example/other?pageIndex=1"),
        ("http://127.0.0.1:80", "http://127.0.0.1/jobs?pageIndex=1"),
        ("http://[::1]:8080", "http://[::1]:8080/jobs?pageIndex=1"),
        ("https://graph.example", "//graph.example/jobs?pageIndex=1"),
    ],
)
def test_the_same_address_in_another_spelling(base_url: str, link: str) -> None:
    listing = pager(base_url=base_url)
    listing.wanted(0, 1)
    listing.receive(Page(keys=(1,), link=link, asked_size=10), 1)
    assert [(("pageIndex", "1"),)] == listing.wanted(0, 1)


@each_row(
    ("link", "expected"),
    [
        ("abc%2Fd%2Bef%3D", (("skiptoken", "abc/d+ef="),)),
        ("plain-token", (("skiptoken", "plain-token"),)),
        ("?skiptoken=abc%2Fd%2Bef", (("skiptoken", "abc/d+ef"),)),
        ("?a=1&b=&a=2", (("a", "1"), ("b", ""), ("a", "2"))),
        ("PageIndex=2&pageSize=100", (("PageIndex", "2"), ("pageSize", "100"))),
        ("type=1&skiptoken=a%2Fb%3D", (("type", "1"), ("skiptoken", "a/b="))),
        ("cGFnZQ==", (("skiptoken", "cGFnZQ=="),)),
        ("a/b=c&pageIndex=2", (("skiptoken", "a/b=c&pageIndex=2"),)),
        ("/jobs?after=x%20y", (("after", "x y"),)),
    ],
)
def test_the_query_of_a_link_is_decoded_once(link: str, expected: tuple[tuple[str, str], ...]) -> None:
    """The driver encodes it again: encoded twice, a token is another one."""
    listing = pager()
    listing.wanted(0, 1)
    listing.receive(Page(keys=(1,), link=link, asked_size=10), 1)
    assert [expected] == listing.wanted(0, 1)
    assert unquote(quote(expected[0][1], safe="")) == expected[0][1]


def test_a_link_without_a_number_is_followed_one_by_one() -> None:
    """A total tempts to read ahead, but only links know the way."""
    server = Server(start(95), link="token", total="match")
    assert start(95) == read_all(server, limit=8)
    assert ["10", "20", "30"] == [query["skiptoken"].removeprefix("/+") for query in server.asked[1:4]]


def test_a_short_page_with_a_link_is_not_the_end() -> None:
    """A server may filter after it has cut: the link says that more follows."""
    pages = [
        {"keys": (1, 2), "link": "?pageIndex=1&pageSize=10"},
        {"keys": (3,), "link": "?pageIndex=2&pageSize=10"},
        {"keys": (), "link": "?pageIndex=3&pageSize=10"},
        {"keys": (4, 5), "link": ""},
    ]
    assert [1, 2, 3, 4, 5] == read_all(Script(pages))


def test_wanted_is_empty_once_all_has_come() -> None:
    listing = pager()
    listing.wanted(0, 8)
    listing.receive(Page(keys=(), asked_size=10), 0)
    assert Mode.DONE is listing.mode
    assert [] == listing.wanted(0, 8)


@pytest.mark.parametrize(
    ("own", "pages", "expected"),
    [
        ([("type", "1")], (("pageIndex", "2"),), (("type", "1"), ("pageIndex", "2"))),
        ([("type", "1")], (("Type", "2"), ("pageIndex", "2")), (("type", "1"), ("pageIndex", "2"))),
        ([], (), ()),
    ],
)
def test_a_link_does_not_change_the_query(
    own: list[tuple[str, str]], pages: paging.Pairs, expected: paging.Pairs
) -> None:
    assert expected == merge_parameters(own, pages)
