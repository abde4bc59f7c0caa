"""Any server that pages somehow: its listing is complete or raises; one that keeps its word is complete.

The servers are made up from a seed. A failure names the seed; ``check(seed)`` plays it again.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_avepoint.core.errors import AvePointPayloadError, AvePointRequestError
from airflow_provider_avepoint.core.paging import Fetch, Page, Pager
from airflow_provider_avepoint.core.products.vocabulary import Paging

from . import EXAMPLES, IS_LONG

pytestmark = pytest.mark.no_cover

NUMBERS = Paging(index="pageIndex", size="pageSize")
OFFSETS = Paging(index="skip", is_offset=True, size="top")
#: More rows than this never lie beside each other that a filter leaves out: nobody asks further than that.
LONGEST_GAP = 60


@dataclass
class Server:
    """A server that a seed has made up.

    Rows are numbers, the newest first. Those in *hidden* are filtered away after the pages have been cut.

    :param cut: ``sized``, as large as is asked for, at most *clamp*; ``uneven``, at its own *borders*;
        ``everything``, all rows whatever page is asked for.
    :param total: ``true``; ``absent``; ``page``, the page's own rows; ``raw``, the hidden rows too.
    :param beyond: what follows the last page: ``empty``, a status, or ``last`` for the last page again.
    :param lies: by how much the total of a request is wrong, by the request's number from 0 on.
    :param lost: the request whose rows are lost, *refused*: the one that is answered 404.
    :param arrivals: the chance that a row comes in before a request, *deletions*: that one vanishes.
    """

    chance: random.Random
    is_offset: bool
    base: int
    cut: str
    clamp: int
    borders: list[int]
    link: str
    total: str
    beyond: str
    arrivals: float
    deletions: float
    rows: list[int]
    hidden: set[int]
    lies: dict[int, int] = field(default_factory=dict)
    lost: int | None = None
    refused: int | None = None
    count: int = 0
    moved: Counter[str] = field(default_factory=Counter)

    @classmethod
    def make(cls, seed: int) -> Server:
        chance = random.Random(seed)  # a reproducible server
        is_offset = chance.random() < 0.2
        cut = "sized" if is_offset else chance.choice(["sized", "sized", "uneven", "everything"])
        rows = list(range(chance.choice([0, 1, 7, 9, 10, 11, 20, 25, 30, 64, 100, chance.randint(0, 200)])))
        rows.reverse()
        hidden: set[int] = set()
        if cut != "everything" and chance.random() < 0.4:
            share = chance.choice([0.1, 0.3, 0.6])
            hidden = {row for row in rows if chance.random() < share}
            begin, length = chance.randint(0, len(rows)), chance.choice([0, 0, 15, LONGEST_GAP])
            hidden |= set(rows[begin : begin + length])
        if chance.random() < 0.1:  # the vendor's own sample has one job four times
            rows = [row for row in rows for _ in range(chance.choice([1, 1, 2]))]
        is_quiet = chance.random() < 0.5
        totals = ["true", "true", "true", "absent", "raw"]
        # Where a page may be small, nobody can tell its own number of rows from a true total.
        totals += ["page"] if cut == "sized" and not hidden else []
        server = cls(
            chance=chance,
            is_offset=is_offset,
            base=chance.choice([0, 1]),
            cut=cut,
            clamp=chance.choice([10, 10, 17, 50, 1000]),
            borders=list(itertools.accumulate(chance.randint(2, 12) for _ in range(400))),
            link="none"
            if cut == "everything"
            else chance.choice(["none", "none", "none", "number", "token"]),
            total=chance.choice(totals),
            beyond=chance.choice(["empty", "empty", "empty", "204", "400", "404", "416", "last"]),
            arrivals=0 if is_quiet else chance.choice([0, 0.1, 0.5]),
            deletions=0 if is_quiet else chance.choice([0, 0, 0.1, 0.5]),
            rows=rows,
            hidden=hidden,
        )
        if not is_quiet and chance.random() < 0.3:
            server.lies = {chance.randint(0, 5): chance.choice([1, 2, 30])}
        if not is_quiet and chance.random() < 0.2:
            server.lost = chance.randint(0, 5)
        if not is_quiet and chance.random() < 0.1:
            server.refused = chance.randint(1, 5)
        return server

    @property
    def matching(self) -> set[int]:
        return set(self.rows) - self.hidden

    def read(self, fetch: Fetch, asked_size: int) -> Page | AvePointRequestError:
        self._move()
        request, self.count = self.count, self.count + 1
        if request == self.refused:
            return AvePointRequestError("not found", status=404)
        query = dict(fetch or ())
        size = min(int(query.get("pageSize", query.get("top", asked_size))), self.clamp)
        begin, end = self._find(query, size)
        if begin >= len(self.rows) and fetch is not None and self.rows and self.cut != "everything":
            if self.beyond.isdigit():
                return AvePointRequestError("beyond the last page", status=int(self.beyond))
            if self.beyond == "last":
                begin, end = max(0, len(self.rows) - size), len(self.rows)
        keys = tuple(row for row in self.rows[begin:end] if row not in self.hidden)
        total = {
            "true": len([row for row in self.rows if row not in self.hidden]),
            "absent": None,
            "page": len(keys),
            "raw": len(self.rows),
        }[self.total]
        if total is not None:
            total += self.lies.get(request, 0)
        link = self._link(query, begin, end, size) if end < len(self.rows) else ""
        if request == self.lost:
            keys = ()
            self.moved["lost without a link"] += not link
        return Page(keys=keys, link=link, total=total, asked_size=asked_size)

    def _move(self) -> None:
        if self.chance.random() < self.arrivals:
            self.rows.insert(0, 1000 + self.count)
            self.moved["in"] += 1
        elif self.matching and self.chance.random() < self.deletions:
            self.rows.remove(self.chance.choice(sorted(self.matching)))
            self.moved["out"] += 1

    def _find(self, query: dict[str, str], size: int) -> tuple[int, int]:
        if "skiptoken" in query:
            begin = int(query["skiptoken"].removeprefix("/+"))
        elif self.is_offset:
            begin = int(query.get("skip", 0))
        elif self.cut == "everything":
            return 0, len(self.rows)
        else:
            number = max(int(query.get("pageIndex", self.base)), self.base) - self.base
            if self.cut == "uneven":
                return ([0, *self.borders][number], self.borders[number])
            begin = number * size
        if self.cut == "uneven":
            return begin, next(border for border in self.borders if border > begin)
        return begin, begin + size

    def _link(self, query: dict[str, str], begin: int, end: int, size: int) -> str | None:
        if self.link == "none":
            return None
        if self.link == "token":
            return quote(f"/+{end}", safe="")
        if self.is_offset:
            return f"skip={end}&top={size}"
        number = max(int(query.get("pageIndex", self.base)), self.base)
        return f"pageIndex={number + 1}&pageSize={size}"

    @property
    def keeps_its_word(self) -> bool:
        """Whether nothing happens that a listing might have to raise for."""
        is_quiet = not (self.arrivals or self.deletions or self.lies)
        is_quiet &= self.lost is None and self.refused is None
        has_totals = self.total == "true" and len(self.rows) == len(set(self.rows))
        ends_well = self.beyond == "empty" or has_totals
        # Without a total, all rows of a server that sends a round number of them may be a page of more.
        tells = has_totals or self.cut != "everything"
        # A link that leads to nothing but hidden rows is a promise that is not kept.
        leads_on = self.link == "none" or not self.hidden
        return is_quiet and ends_well and tells and leads_on

    @property
    def hides_rows(self) -> bool:
        """Whether the server itself leaves out rows so that nobody could tell."""
        has_totals = self.total in ("true", "raw")
        # An empty page is the end where nothing else says how many rows there are.
        counts_twice = len(self.rows) > len(set(self.rows))
        is_filtered = bool(self.hidden) and self.link == "none" and (not has_totals or counts_twice)
        is_lost = self.moved["lost without a link"] and not has_totals
        # Where rows vanish, only a true total of the moment shows that others have moved.
        is_vanishing = self.moved["out"] and (self.total != "true" or self.lies)
        # One fault at a time: two in a row may hide each other.
        is_moving = bool(self.moved["in"] or self.moved["out"])
        is_doubled = self.lost is not None and (bool(self.lies) or is_moving)
        is_odd = bool(self.lies) or self.lost is not None or self.refused is not None
        is_doubled |= self.total == "page" and is_odd
        return bool(is_filtered or is_lost or is_vanishing or is_doubled)


def list_all(server: Server, asked_size: int, limit: int) -> set[int]:
    """Return the rows that a listing brings; pages in flight are read in a random order."""
    pager = Pager(
        paging=OFFSETS if server.is_offset else NUMBERS, base_url="https://graph.example", label="jobs"
    )
    pending: deque[list[Any]] = deque()
    seen: set[int] = set()
    while True:
        pending.extend([fetch, None] for fetch in pager.wanted(len(pending), limit))
        if not pending:
            return seen
        unread = [slot for slot in pending if slot[1] is None]
        server.chance.shuffle(unread)
        for slot in unread[: server.chance.randint(0, len(unread))]:
            slot[1] = server.read(slot[0], asked_size)
        if pending[0][1] is None:
            pending[0][1] = server.read(pending[0][0], asked_size)
        page = pending.popleft()[1]
        if isinstance(page, AvePointRequestError):
            pager.receive_refusal(page)
            continue
        new = set(page.keys) - seen
        seen |= new
        pager.receive(page, len(new))


def check(seed: int) -> str:
    """Play the server of *seed*; return what became of its listing."""
    server = Server.make(seed)
    keeps_its_word, at_the_start = server.keeps_its_word, server.matching
    asked_size, limit = server.chance.choice([4, 10, 1000]), server.chance.choice([1, 3, 8])
    try:
        got = list_all(server, asked_size, limit)
    except (AvePointPayloadError, AvePointRequestError) as e:
        assert not keeps_its_word, (seed, asked_size, limit, server, e)  # noqa: PT017  # which seed, matters
        return "raised"
    if server.hides_rows:
        return "hidden"
    missing = (at_the_start & server.matching) - got
    assert not missing, (seed, asked_size, limit, sorted(missing), server)
    return "complete"


def test_no_listing_is_silently_short(caplog: pytest.LogCaptureFixture) -> None:
    """Most are complete, some raise, and few servers hide what they leave out."""
    caplog.set_level("ERROR")
    begin = random.SystemRandom().randrange(10**9) if IS_LONG else 0
    count = max(1000, EXAMPLES // 10) if IS_LONG else 1000
    outcomes = Counter(check(seed) for seed in range(begin, begin + count))

    assert outcomes["complete"] > count * 0.6, outcomes
    assert outcomes["raised"] > count * 0.02, outcomes
