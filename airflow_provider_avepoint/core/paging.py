"""Which pages to ask for, and when a listing is complete: every row, however the server pages.

The documents leave open from which number a server counts its pages, what its total counts, how large a
page it takes, and they show five forms of a next link. So:

* The first request names no page and gets the server's own first one.
* A link is believed, but only its query: it is sent to the connection's own address. Where a link shows the
  next page's number and the first page is full, the pages after it are asked for concurrently by number.
  Where it does not, links are followed one after the other.
* Without a link, the pages numbered 1, 2, 3 … are asked for. Where the server counts from 1, the first of
  them repeats the first page. A page that repeats what has come counts for nothing, and a short page is no
  end: a server may filter its pages after it has cut them.
* A total is a promise of so many different rows; where the totals of a listing's pages differ, the largest
  one counts. A listing without a link ends as soon as its rows make this total. While they do not, an empty
  page is no end either, unless many come in a row. Without totals, an empty page is the end.
* A total that is the number of rows of its own page may be no more than that. So one page that makes its
  total is the end only where no server would cut a page so small; else the next pages have to show it. A
  server that sends all its rows whatever page is asked for shows it by sending them again.
* A page that is refused is the end where the rows before it make the total. Any other refusal is an error.
* Rows that a total promises and that do not come are asked for once more: the listing is read again, one page
  after the other. Then the rows are believed, with a warning, because a total may count what does not match.
  A link to an empty page is asked for once more as well; then it is an error.
* Rows move while a listing is read: a new one pushes the others down, one that vanishes lets them rise. Where
  the totals of all pages are the same and the rows make them, nothing has moved. Where they prove no such
  thing, the first page is read again at the end. If rows may have slipped between two pages, the listing is
  read again, one page after the other.

What one listing has seen changes nothing in another one. Whatever does not add up raises: a listing is never
silently short.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from airflow_provider_avepoint.core.errors import AvePointPayloadError, AvePointRequestError
from airflow_provider_avepoint.core.fields import parse_digits
from airflow_provider_avepoint.core.flow import Pairs
from airflow_provider_avepoint.core.next_link import read_next_link
from airflow_provider_avepoint.core.products.vocabulary import Paging

log = logging.getLogger(__name__)

#: One page to ask for: its paging parameters; None for the first page, whatever its number.
Fetch = Pairs | None

#: A listing longer than this is a server that never ends it.
MAX_PAGES = 200_000
#: Pages of rows in a row that may bring nothing new: arrivals explain a few.
MAX_BARREN = 10
#: Empty pages in a row that are asked for while the total promises more rows: what was filtered away.
MAX_EMPTY = 20
#: The same where links have shown the way, rows have come in meanwhile, or it has been in vain before.
MAX_EMPTY_AGAIN = 3
#: Empty pages in a row, each of which has a link to the next one.
MAX_EMPTY_LINKED = 100
#: How often a listing is read in all, where rows vanish each time.
MAX_READINGS = 3
#: The statuses by which a server may refuse a page beyond its last one.
REFUSALS = frozenset({204, 400, 404, 416})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One received page.

    :param keys: the identity of each row, in order.
    :param link: the next link as received.
    :param total: the total as received; None if the page has none.
    :param asked_size: the page size that was asked for; None if none was asked for.
    :param is_last: whether the rows after this page are not wanted.
    """

    keys: tuple[int, ...]
    link: object = None
    total: int | None = None
    asked_size: int | None = None
    is_last: bool = False


@dataclass(slots=True)
class Habits:
    """What one server has shown of its paging. This saves requests, and never ends a listing.

    :param page_size: the largest page size that the server accepted.
    """

    page_size: int | None = None


class Mode(Enum):
    """How the next page is found."""

    FIRST = auto()  #: nothing has come yet
    LINKS = auto()  #: by the last page's link, one after the other
    PROBE = auto()  #: by the number 1, which may be the first page again
    NUMBERS = auto()  #: by number, several at a time
    CHECK = auto()  #: by reading the first page again
    DONE = auto()


@dataclass(slots=True)
class Reading:
    """The state of one reading of a listing, from its first page on.

    :param first: the first page.
    :param page_rows: the number of rows per page that is asked for by number.
    :param keys: the identities of the rows of this reading; None in the first reading, whose rows are those
        of the listing.
    :param next_number: the number of the next page to ask for.
    :param received: the number of received pages.
    :param rows: the number of different rows.
    :param offset: the number of rows before the next page, as far as the pages have shown it.
    :param is_uneven: whether a page came after a page that was shorter than the first one.
    :param sent: as *rows*, but a row that stands twice in one page counts twice.
    :param useful: the number of pages with new rows.
    :param last_useful: the position of the last page with new rows, counted from 1.
    :param barren: the number of pages in a row with rows and without new rows.
    :param empty: the number of empty pages in a row.
    :param lowest: the lowest total of a page with rows.
    :param highest: the highest total of any page.
    :param last_total: the total of the last page with rows and a total.
    :param has_every_total: whether each page with rows had a total.
    :param has_own_counts: whether each total was the number of rows of its own page.
    :param has_fallen: whether a page had a lower total than the page before.
    :param is_linked: whether the first page had a link.
    :param is_promised: whether the last page had a link.
    :param has_hole: whether an empty page had a link to the next page.
    :param is_broken: whether a link led to an empty page without a link.
    :param is_stuck: whether the server seems to send all its rows, whatever page is asked for.
    :param is_over: whether the last page by number looked like the end.
    :param is_cut: whether the rows after a page were not wanted.
    :param was_concurrent: whether several pages were asked for at the same time.
    :param links: the links that have come.
    """

    first: Page
    page_rows: int
    keys: set[int] | None
    next_number: int = 1
    received: int = 0
    rows: int = 0
    offset: int = 0
    is_uneven: bool = False
    sent: int = 0
    useful: int = 0
    last_useful: int = 0
    barren: int = 0
    empty: int = 0
    lowest: int | None = None
    highest: int | None = None
    last_total: int | None = None
    has_every_total: bool = True
    has_own_counts: bool = True
    has_fallen: bool = False
    is_linked: bool = False
    is_promised: bool = False
    has_hole: bool = False
    is_broken: bool = False
    is_stuck: bool = False
    is_over: bool = False
    is_cut: bool = False
    was_concurrent: bool = False
    links: set[Pairs] = field(default_factory=set)

    def take(self, page: Page, new_rows: int) -> int:
        """Count a page in.

        :param page: the page.
        :param new_rows: the number of its rows that are new in the listing.
        :returns: the number of its rows that are new in this reading.
        """
        self.received += 1
        new_rows = self.count_rows(page, new_rows)
        self.is_uneven |= new_rows > 0 and self.offset % max(1, self.page_rows) != 0
        self.offset += len(page.keys) if new_rows else self.page_rows
        if page.total is not None:
            self.highest = max(self.highest or 0, page.total)
        if page.keys:
            self._compare_total(page.total, len(page.keys))
        self.empty = 0 if page.keys else self.empty + 1
        if new_rows:
            self.sent += new_rows + len(page.keys) - len(set(page.keys))
            self.useful += 1
            self.last_useful = self.received
            self.barren = 0
        elif page.keys:
            self.barren += 1
        return new_rows

    def count_rows(self, page: Page, new_rows: int) -> int:
        """Count the rows of a page that are new in this reading, and return their number.

        :param page: the page.
        :param new_rows: the number of its rows that are new in the listing.
        """
        if self.keys is not None:
            new_rows = len(set(page.keys) - self.keys)
            self.keys.update(page.keys)
        self.rows += new_rows
        return new_rows

    def _compare_total(self, total: int | None, rows: int) -> None:
        self.has_own_counts &= total == rows
        if total is None:
            self.has_every_total = False
            return
        self.has_fallen |= self.last_total is not None and total < self.last_total
        self.last_total = total
        self.lowest = total if self.lowest is None else min(self.lowest, total)

    @property
    def has_totals(self) -> bool:
        """Whether the totals can be totals of the listing, and not the numbers of rows of single pages."""
        if not self.has_own_counts:
            return self.highest is not None
        return self.lowest == self.highest and self.rows <= (self.highest or 0)

    @property
    def lacks_rows(self) -> bool:
        """Whether fewer rows have come than a total promises."""
        return self.highest is not None and self.rows < self.highest

    @property
    def makes_total(self) -> bool:
        """Whether each page with rows had a total, and as many rows have come as the highest total says."""
        return self.has_every_total and self.rows == self.highest

    @property
    def proves_itself(self) -> bool:
        """Whether the totals show that all rows have come and that no row moved meanwhile."""
        is_steady = self.makes_total and self.lowest in (None, self.highest)
        return is_steady and not self.is_broken and not self.is_stuck

    @property
    def has_risen(self) -> bool:
        """Whether rows have vanished, so that others may have moved to a page that had come already."""
        return self.has_fallen and self.has_totals


@dataclass(slots=True)
class Pager:
    """The state of one listing: :meth:`wanted` says what to fetch, :meth:`receive` takes pages in order.

    :param paging: the parameters for paging of the product.
    :param base_url: the connection's address; a link to another address raises.
    :param label: what is listed, for messages.
    :param mode: how the next page is found.
    """

    paging: Paging
    base_url: str
    label: str
    mode: Mode = Mode.FIRST
    _reading: Reading | None = None
    #: The readings before this one; of the last one, its last page with new rows, and the empty ones after.
    _readings: int = 0
    _farthest: int = 0
    _in_vain: int = 0
    #: Pages and different rows, of all readings.
    _received: int = 0
    _rows: int = 0
    #: The next page by link.
    _next_link: Pairs = ()

    def wanted(self, in_flight: int, limit: int) -> list[Fetch]:
        """Return the pages to ask for now.

        :param in_flight: the number of pages that are on their way.
        :param limit: the largest number of pages that may be on their way.
        :returns: the pages. If there are none and no page is on its way, the listing is complete.
        """
        match self.mode:
            case Mode.FIRST | Mode.CHECK if not in_flight:
                return [None]
            case Mode.LINKS if not in_flight:
                return [self._next_link]
            case Mode.PROBE if not in_flight:
                return [self._take_number(self._now)]
            case Mode.NUMBERS if not self._now.is_over:
                room = min(limit, self._read_ahead(self._now)) - in_flight
                fetches: list[Fetch] = [self._take_number(self._now) for _ in range(room)]
                self._now.was_concurrent |= in_flight + len(fetches) > 1
                return fetches
            case Mode.NUMBERS if not in_flight:
                self._conclude(self._now)
                return self.wanted(0, limit)
        return []

    def receive(self, page: Page, new_rows: int) -> None:
        """Take the next page.

        :param page: the page.
        :param new_rows: the number of its rows that are new in the listing.
        :raises AvePointPayloadError: the pages do not add up.
        """
        self._count_page()
        self._rows += new_rows
        if self._reading is None:
            self._begin(page, new_rows)
        elif self.mode is Mode.CHECK:
            self._receive_check(self._reading, page, new_rows)
        else:
            self._receive_next(self._reading, page, new_rows)

    def receive_refusal(self, error: AvePointRequestError) -> None:
        """Take the refusal of the next page: the end of the listing, if the rows before it make the total.

        :param error: the refusal.
        :raises AvePointRequestError: the rows do not make the total, or a link has led to the page.
        """
        reading = self._reading
        is_by_number = self.mode in (Mode.PROBE, Mode.NUMBERS)
        if reading is None or not is_by_number or not self._may_end(reading):
            raise error
        self._count_page()
        reading.received += 1
        self.mode = Mode.NUMBERS
        reading.is_over = True

    def _may_end(self, reading: Reading) -> bool:
        """Tell whether all rows have come that were there when the reading began."""
        if reading.is_promised and not self.paging.is_offset:
            return False
        has_come = reading.lowest is None or reading.lowest <= reading.rows
        return reading.has_every_total and reading.has_totals and has_come

    @property
    def _now(self) -> Reading:
        assert self._reading is not None  # noqa: S101  # for mypy: there is one in every mode after FIRST
        return self._reading

    def _count_page(self) -> None:
        self._received += 1
        if self._received > MAX_PAGES:
            raise self._error(f"did not end within {MAX_PAGES} pages")

    def _begin(self, page: Page, new_rows: int) -> None:
        # A server that sends more than was asked for may do so once only.
        page_rows = min(len(page.keys), page.asked_size or len(page.keys))
        keys: set[int] | None = set() if self._readings else None
        reading = self._reading = Reading(first=page, page_rows=page_rows, keys=keys)
        reading.take(page, new_rows)
        link = self._read_link(reading, page.link)
        if page.is_last:
            reading.is_cut = True
            self._conclude(reading)
            return
        if link is None:
            self._go_on_without_link(reading, page)
            return
        reading.is_linked = reading.is_promised = True
        reading.has_hole = not page.keys
        if self.paging.is_offset and page.keys:
            # The vendor's own sample link is off by one; where the next page begins needs no link.
            self.mode = Mode.NUMBERS
            return
        number = _find_number(link, self.paging.index)
        is_full = len(page.keys) in (page.asked_size, _find_number(link, self.paging.size))
        if number is None or not is_full:
            self._follow(link)
            return
        reading.next_number = number
        self.mode = Mode.NUMBERS

    def _go_on_without_link(self, reading: Reading, first: Page) -> None:
        # No server cuts its pages smaller than this: a shorter one has been filtered.
        least = min(*self.paging.sizes, first.asked_size or min(self.paging.sizes))
        if not reading.page_rows or not self.paging.is_offset:
            reading.page_rows = max(reading.page_rows, least)
        if self.paging.index is None or self._is_over(reading, first, new_rows=reading.rows):
            self._conclude(reading)  # without numbers, no link means no further page
        else:
            self.mode = Mode.NUMBERS if self.paging.is_offset else Mode.PROBE

    def _receive_next(self, reading: Reading, page: Page, new_rows: int) -> None:
        if self.mode is Mode.PROBE:
            # Where this is the first page again, the server counts from 1: number 2 follows either way.
            self.mode = Mode.NUMBERS
        new_rows = reading.take(page, new_rows)
        reading.is_cut |= page.is_last
        link = self._read_link(reading, page.link)
        self._check_progress(reading, link)
        was_promised, reading.is_promised = reading.is_promised, link is not None
        if not page.keys and link is not None:
            reading.has_hole = True
        elif not page.keys and was_promised and not (self.paging.is_offset and reading.makes_total):
            reading.is_broken = True
        if self.mode is Mode.NUMBERS:
            reading.is_over = self._is_over(reading, page, new_rows)
        elif link is None or page.is_last:
            self._conclude(reading)
        else:
            self._follow(link)

    def _is_over(self, reading: Reading, page: Page, new_rows: int) -> bool:
        """Tell whether *page*, found by number, looks like the last one, given how many rows it brought."""
        if page.is_last:
            return True
        if reading.is_promised:
            # Where rows are asked for by number, a total that they make is more than a link behind them.
            return not page.keys and reading.makes_total and not self._may_be_cut(reading)
        if not page.keys:
            # Rows that stand twice make a total too: then the empty page is the end that it seems to be.
            is_filtered = reading.lacks_rows and reading.sent < (reading.highest or 0)
            return not is_filtered or reading.is_broken or reading.empty >= self._bear_empty(reading)
        if reading.makes_total and not self._may_be_cut(reading):
            return True
        if new_rows:
            # Who has sent links and sends none has no more, unless its total says so.
            return reading.is_linked and len(page.keys) < reading.page_rows and not reading.lacks_rows
        if reading.received < (2 if self.paging.is_offset or reading.is_linked else 3):
            return False  # the first page again, by its number 1
        reading.is_stuck = reading.makes_total or self._sends_everything(reading, page)
        return reading.is_stuck

    def _bear_empty(self, reading: Reading) -> int:
        """Return how many empty pages in a row are the end, although the total promises more rows."""
        if not self._readings and reading.lowest is not None and reading.lowest <= reading.rows:
            return MAX_EMPTY_AGAIN  # what lacks has come in meanwhile, and stands before the first page
        least = min(*self.paging.sizes, reading.first.asked_size or reading.page_rows)
        most = MAX_EMPTY_AGAIN if reading.is_linked else MAX_EMPTY * -(-least // reading.page_rows)
        if self._in_vain < most:
            return most
        return max(MAX_EMPTY_AGAIN, self._farthest - reading.last_useful)

    def _may_be_cut(self, reading: Reading) -> bool:
        """Tell whether all rows stand in the first page, and its total may say no more than their number."""
        rows = len(reading.first.keys)
        is_only_page = reading.useful <= 1 and rows == reading.highest
        return is_only_page and rows >= min(*self.paging.sizes, reading.first.asked_size or rows)

    def _sends_everything(self, reading: Reading, page: Page) -> bool:
        """Tell whether the server, which has no totals, sends all its rows whatever page is asked for.

        Then the page has all rows that have come, again. It is believed, with a warning, where it is shorter
        than what was asked for, and not of a size at which servers cut their pages. If not, the rows after it
        may be those that nobody can ask for, and the listing raises in the end.
        """
        rows, asked_size = len(page.keys), reading.first.asked_size
        is_whole = asked_size is not None and rows < asked_size and rows not in self.paging.sizes
        return is_whole and reading.highest is None and len(set(page.keys)) == reading.rows

    def _conclude(self, reading: Reading) -> None:
        """End the listing, unless a row may have slipped through: then look at the first page again."""
        if reading.proves_itself:
            self.mode = Mode.DONE
        elif not self._readings:
            self.mode = Mode.CHECK if self._is_in_doubt(reading) else Mode.DONE
        elif reading.is_cut:
            self.mode = Mode.DONE
        elif reading.is_broken or (reading.has_hole and not reading.makes_total):
            raise self._error("sent a link to a page without rows, also when it was asked for once more")
        elif reading.has_risen:
            if self._readings + 1 >= MAX_READINGS:
                raise self._error(f"lost rows while they were listed, {MAX_READINGS} times in a row")
            self.mode = Mode.CHECK
        else:
            self.mode = Mode.DONE
        if self.mode is Mode.DONE:
            self._believe(reading)

    def _believe(self, reading: Reading) -> None:
        """Warn where the rows are taken for all there are, though nothing proves it."""
        if reading.is_stuck and reading.highest is None:
            log.warning(
                "Listing %s: the server sends the same %d rows whatever page is asked for, and no total. "
                "The rows are believed.",
                self.label,
                reading.rows,
            )
        if reading.lacks_rows and not reading.is_cut and self._rows < (reading.highest or 0):
            log.warning(
                "Listing %s: the server promised more rows than the %d that it sent, twice, by a total of "
                "%s. The rows are believed.",
                self.label,
                reading.rows,
                reading.highest,
            )

    def _is_in_doubt(self, reading: Reading) -> bool:
        """Tell whether a row may have slipped through the first reading."""
        if reading.was_concurrent or reading.is_cut:
            return reading.was_concurrent
        is_unproven = self.mode is Mode.NUMBERS and reading.useful > 1 and not reading.makes_total
        is_odd = reading.is_broken or reading.has_hole or reading.is_stuck or self._has_gaps(reading)
        return is_unproven or is_odd or reading.lacks_rows or reading.has_risen

    def _has_gaps(self, reading: Reading) -> bool:
        """Tell whether pages by offset were of different lengths, so that rows stand between them."""
        return self.paging.is_offset and reading.is_uneven and not reading.makes_total

    def _receive_check(self, reading: Reading, page: Page, new_rows: int) -> None:
        """Compare the first page with what it was: unless rows have slipped between pages, all have come."""
        first = reading.first
        reading.count_rows(page, new_rows)
        if page.total is not None:
            reading.highest = max(reading.highest or 0, page.total)
            reading.has_fallen |= reading.last_total is not None and page.total < reading.last_total
        is_unchanged = page.keys == first.keys and page.total == first.total
        is_pushed_down = not (reading.was_concurrent or reading.is_stuck) and _has_only_arrivals(
            first.keys, page.keys
        )
        is_whole = reading.is_cut or not (
            reading.is_broken
            or reading.has_hole
            or reading.has_risen
            or reading.lacks_rows
            or self._has_gaps(reading)
        )
        if is_whole and (is_unchanged or is_pushed_down):
            self.mode = Mode.DONE
            self._believe(reading)
            return
        self._readings += 1
        self._farthest, self._in_vain = reading.last_useful, reading.empty
        self._begin(page, new_rows)

    def _check_progress(self, reading: Reading, link: Pairs | None) -> None:
        """Raise where the server repeats itself instead of going on.

        A page that has come before may be one that arrivals have pushed there; ten in a row are not. Nor is
        a row of links that lead from one empty page to the next ones.
        """
        if reading.barren > MAX_BARREN:
            raise self._error(f"sent {reading.barren} pages in a row without a new row")
        if link is not None and reading.empty > MAX_EMPTY_LINKED:
            raise self._error(f"sent {reading.empty} pages in a row without a row")

    def _follow(self, link: Pairs) -> None:
        self._next_link = link
        self.mode = Mode.LINKS

    def _take_number(self, reading: Reading) -> Pairs:
        number, reading.next_number = reading.next_number, reading.next_number + 1
        if self.paging.is_offset:
            # Pages may be of any length. Read one by one, the next page begins where the last one ended.
            number = reading.offset if self._readings else number * reading.page_rows
        index = self.paging.index
        assert index is not None  # noqa: S101  # for mypy: without one, no page is asked for by number
        # As many rows as the server gave the first time: so a limit of its own shifts no page.
        return ((index, str(number)), (self.paging.size, str(reading.page_rows)))

    def _read_ahead(self, reading: Reading) -> int:
        """Return how many pages may be on their way: as the total promises, else fewer than have come."""
        if self._readings:
            return 1
        if reading.lacks_rows and not reading.empty:
            lacking = (reading.highest or 0) - reading.rows
            return -(-lacking // reading.page_rows)
        return max(1, reading.useful - 1)

    def _read_link(self, reading: Reading, link: object) -> Pairs | None:
        """Return the query of a next link, in whichever form it comes; None where there is none."""
        if link is None or link == "":
            return None
        try:
            pairs = read_next_link(link, self.base_url, self.paging)
        except ValueError as e:
            raise self._error(str(e)) from None
        return self._note_link(reading, pairs)

    def _note_link(self, reading: Reading, pairs: Pairs) -> Pairs:
        # Where rows are counted, links are not followed, and overlap in the vendor's own sample.
        if pairs in reading.links and not self.paging.is_offset:
            raise self._error("sent the same next link twice")
        reading.links.add(pairs)
        return pairs

    def _error(self, problem: str) -> AvePointPayloadError:
        return AvePointPayloadError(
            f"Listing {self.label}: the server {problem}. The listing is given up rather than cut short; try "
            "again, and if it stays so, ask AvePoint's support."
        )


def merge_parameters(own: Iterable[tuple[str, str]], paging: Pairs) -> Pairs:
    """Add the parameters of a page to those of the query. The query's own win over those of a link.

    :param own: the names and values of the query's parameters.
    :param paging: the names and values of the page's parameters.
    """
    kept = tuple(own)
    names = {name.casefold() for name, _ in kept}
    return (*kept, *((name, value) for name, value in paging if name.casefold() not in names))


def _has_only_arrivals(before: tuple[int, ...], now: tuple[int, ...]) -> bool:
    """Tell whether a first page is as it was *before*, but for new rows at its top."""
    if not before:
        return True
    arrived = now.index(before[0]) if before[0] in now else len(now)
    return arrived < len(now) and now[arrived:] == before[: len(now) - arrived]


def _find_number(pairs: Pairs, name: str | None) -> int | None:
    if name is None:
        return None
    folded = name.casefold()
    for key, value in pairs:
        if key.casefold() == folded and (number := parse_digits(value)) is not None:
            return number
    return None
