"""What a server could send: the documented answers, near-misses of them, other JSON, and what is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from airflow_provider_avepoint.core.fields import to_iso, to_ticks
from airflow_provider_avepoint.core.flow import NoAnswer, Response
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.transports.body import loads
from tests.core.test_rows import KEYS, SAMPLES

from . import HOUR

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
BASE_URL, TOKEN_URL = "https://graph.example", "https://identity.example/connect/token"
TOKEN, SECRET = "t0k3n-of-the-test", "s3cr3t-of-the-test"

#: What makes the vendor's samples backups that have ended well, in its own numbers.
GOOD: dict[str, dict[str, Any]] = {
    "m365": {},
    "m365_legacy": {},
    "dynamics365": {"status": 3},
    "google_workspace": {"jobType": 1},
    "salesforce": {"type": 1, "organizationId": "o1"},
    "iaas_paas": {},
    "aos_scan": {},
    "elements": {"status": 2},
}
_ENVELOPE = {"statusCode": 200, "message": "Success", "requestId": "0HN:1", "traceId": "00-a-b-00"}
_FIGURES = {
    "outOfPolicyTime": 0,
    "purchasedUserSeats": 100,
    "assignedUserSeats": 80,
    "purchasedStorageSize": 500,
    "protectedSize": 120,
}
_SUBSCRIPTION = {
    "service": "Cloud Backup for Microsoft 365",
    "package": "Standard",
    "purchasedUserSeats": 100,
    "microsoftLicenseAssigned": 80,
    "purchasedCapacity": "0/1 GB",
    "protectedCapacity": "0.5 GB",
    "expirationDate": "2027-03-01T00:00:00Z",
}
_CUSTOMER = {"customerId": "c1", "organization": "Contoso", "products": [_SUBSCRIPTION, dict(_SUBSCRIPTION)]}
#: The documented answers about licences.
LICENSES: dict[str, Any] = {
    "m365": {**_ENVELOPE, "data": _FIGURES},
    "m365_legacy": _FIGURES,
    "elements": {"data": [_CUSTOMER], "metadata": {"pageIndex": 1, "pageSize": 100, "totalCount": 1}},
}


@dataclass(frozen=True)
class Raw:
    """JSON as it stands, such as a number of more digits than Python writes."""

    text: str


@dataclass(frozen=True)
class Twice:
    """Two values of the same key."""

    first: Any
    second: Any


def write(value: Any) -> str:
    """Return *value* as JSON, or what looks like it."""
    if isinstance(value, dict):
        return "{" + ",".join(_write_pair(name, each) for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    if isinstance(value, Twice):  # in a list, or moved there
        return write(value.second)
    return value.text if isinstance(value, Raw) else json.dumps(value, default=str)


def _write_pair(name: str, value: Any) -> str:
    if isinstance(value, Twice):
        return f"{_write_pair(name, value.first)},{_write_pair(name, value.second)}"
    return f"{json.dumps(name)}:{write(value)}"


# Single values: what the documents show, at the wrong place, and what they never do.

_any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
_words = st.sampled_from(
    [
        *("", "N/A", "null", "Finished", "finished ", "Failed", "In Progress", "Partially Finished"),
        *(
            "Finished with Exception",
            "Successful",
            "success",
            "2",
            "3",
            "٣",
            "02",
            "-1",
            "1e3",
            "1_000",
            "0x2",
        ),
        *("9" * 41, "9" * 5000, "1." + "9" * 400, "NaN", "Infinity", "5 GB", "17m39s", "1.16:00:44"),
        *("99999999.00:00:00", "99999999d", "1" * 20 + " PB", "a\nb\x00c\x1b[2J", "\ud800", "x" * 3000),
    ]
)
_times = st.sampled_from(
    [
        *("2026-11-22T04:00:00Z", "2026-11-22T04:00:00", "2026-11-22", "2026-11-22T04:00:00.1234567+00:00"),
        *(
            "2026-11-22T13:00:00+09:00",
            "2026-11-22T07:00:00Z",
            "2026-11-22T05:04:59-01:00",
            "2026-W47-7T04:00Z",
        ),
        *(
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "0002-01-01T00:00:00+23:59",
            "2026-11-22T24:00:00Z",
        ),
        *(
            "9999-12-31T23:59:59.9999999Z",
            "9999-12-31T23:59:59-14:00",
            "2026-02-30T00:00:00Z",
            "2016-12-31T23:59:60Z",
        ),
        *(to_ticks(NOW - HOUR), str(to_ticks(NOW)), 10**17, 9 * 10**18, 10**11, 1795320000, 1795320000000),
    ]
)
_numbers = st.one_of(
    st.integers(-2, 20),
    st.integers(),
    st.sampled_from([2**31, 2**63, 10**40, 10**400, -(10**400), 128, 1024, 65536]),
    st.floats(),
    st.sampled_from([Raw("1e400"), Raw("-0"), Raw("-0.0"), Raw("2.0"), Raw("9" * 4300), Raw("9" * 4301)]),
)
_scalars = st.one_of(st.none(), st.booleans(), _numbers, _words, _times, _any_text)
_deep = st.builds(
    lambda depth, open_, close: Raw(open_ * depth + "0" + close * depth),
    st.sampled_from([5, 100, 500, 800, 900, *range(920, 1000, 5), 3000]),
    *(
        st.shared(st.sampled_from([("[", "]"), ('{"a":', "}")]), key="deep").map(lambda two, i=i: two[i])
        for i in (0, 1)
    ),
)
anything = st.one_of(
    _scalars,
    st.recursive(
        _scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_any_text, inner, max_size=4),
        max_leaves=8,
    ),
    _deep,
)


# Near-misses: a documented answer with a few things changed.


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, each in inner for place in _places(each, (*path, name)))]


def _look_up(document: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        document = document[name]
    return document


def _to_pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


_spellings: st.SearchStrategy[Callable[[str], str]] = st.sampled_from(
    [str.upper, str.lower, _to_pascal, "_".join, lambda name: name + " ", lambda name: name[:-1]]
)


@st.composite
def near(draw: st.DrawFn, document: Any, changes: int = 3) -> Any:
    """Return *document* with up to *changes* changes."""
    document = deepcopy(document)
    for _ in range(draw(st.integers(0, changes))):
        places = [path for path in _places(document) if path]
        if not places:
            return draw(anything)
        path = draw(st.sampled_from(places))
        holder, name = _look_up(document, path[:-1]), path[-1]
        if isinstance(holder, dict) and draw(st.booleans()):
            _change_key(draw, holder, name)
        else:
            _change_value(draw, holder, name)
    return document


def _change_value(draw: st.DrawFn, holder: Any, name: Any) -> None:
    value = holder[name]
    match draw(st.sampled_from(["replace", "replace", "drop", "wrap", "write", "swap"])):
        case "replace":
            holder[name] = draw(anything)
        case "drop":
            del holder[name]
        case "wrap":
            holder[name] = [value]
        case "write":
            holder[name] = write(value)
        case "swap":
            other = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
            holder[name], holder[other] = holder[other], value


def _change_key(draw: st.DrawFn, holder: dict[str, Any], name: str) -> None:
    """Let a key be spelled otherwise, stand there twice, or in two spellings."""
    value = holder[name]
    match draw(st.sampled_from(["rename", "twice", "both"])):
        case "rename":
            holder[draw(_spellings)(name)] = holder.pop(name)
        case "twice":
            holder[name] = Twice(*draw(st.permutations([value, draw(anything)])))
        case "both":
            holder[draw(_spellings)(name)] = draw(anything)


@st.composite
def near_row(draw: st.DrawFn, product: Product, row: dict[str, Any]) -> Any:
    """Return *row* with other values where it says what it is and how it ended, and a few more changes."""
    telling = [*KEYS[product.name], *GOOD[product.name], *(name for name in row if name.startswith("failed"))]
    values = st.one_of(st.integers(-1, 17), _words, _times, anything)
    changed = draw(st.dictionaries(st.sampled_from(telling), values, max_size=2))
    return draw(near({**row, **changed}, 2))


def good_row(product: Product, job_id: str, hours: float = 2) -> dict[str, Any]:
    """Return the vendor's sample as a backup that has ended well, begun so many hours ago."""
    key, _, start, finish = KEYS[product.name]
    put = to_ticks if product.name == "m365_legacy" else to_iso
    times = {start: put(NOW - hours * HOUR), finish: put(NOW - hours * HOUR + HOUR / 2)}
    return {**deepcopy(SAMPLES[product.name]), **GOOD[product.name], **times, key: job_id}


def envelope(product: Product, rows: list[Any], link: Any = None, total: Any = None) -> dict[str, Any]:
    """Return the documented answer that holds *rows*."""
    shape = product.envelope
    document: dict[str, Any] = dict(_ENVELOPE) if shape.rows[0][0] == "data" else {}
    for path, value in (
        (shape.rows[0], rows),
        (shape.link, link),
        *((path, total) for path in shape.total[:1]),
    ):
        holder = document
        for name in path[:-1]:
            holder = holder.setdefault(name, {})
        holder[path[-1]] = value
    return document


def _good_rows(product: Product) -> st.SearchStrategy[Any]:
    """Return backups of a few ids that have ended well, most of them in the window."""
    ids, hours = st.sampled_from(["J1", "J2", "J3"]), st.sampled_from([0.1, 2, 20, 30, 300])
    return st.builds(good_row, st.just(product), ids, hours)


def rows_of(product: Product) -> st.SearchStrategy[Any]:
    """Return rows: good ones, near-misses of them, and others."""
    good = _good_rows(product)
    return st.one_of(good, good.flatmap(near), good.flatmap(lambda row: near(row, 8)), anything)


def _links(product: Product) -> st.SearchStrategy[Any]:
    index = product.paging.index
    numbers = st.sampled_from(["1", "2", "3", "0", "-1", "", "9" * 18, "9" * 5000, "٣", "\ud800"])
    prefixes = st.sampled_from(
        [
            "/jobs?",
            "?",
            f"{BASE_URL}{product.path}?",
            "https://elsewhere.example/jobs?",
            "http://graph.example/?",
            "//?",
        ]
    )
    numbered = st.builds(lambda prefix, number: f"{prefix}{index}={number}", prefixes, numbers)
    odd = st.sampled_from(
        ["opaque%2Ftoken", "https://[", "https://graph.example:99999/?a=1", "\ud800", "?", "/"]
    )
    return st.one_of(st.sampled_from([None, ""]), numbered, odd, anything)


def pages(product: Product) -> st.SearchStrategy[Any]:
    """Return the documents of pages: good ones, near-misses of them, and others."""

    def listed(rows: st.SearchStrategy[Any], links: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        totals = st.one_of(st.none(), st.integers(0, 9), anything)
        return st.builds(envelope, st.just(product), st.lists(rows, max_size=3), links, totals)

    good = listed(_good_rows(product), st.none())
    odd = listed(rows_of(product), _links(product))
    return st.one_of(
        good,
        listed(_good_rows(product), _links(product)),
        listed(rows_of(product), st.none()),
        good.flatmap(near),
        odd.flatmap(lambda document: near(document, 8)),
        anything,
    )


def _errors(said: str) -> st.SearchStrategy[Any]:
    """Return the vendor's error envelopes, nearly; they repeat what the server was sent."""
    shown = {
        **_ENVELOPE,
        "statusCode": 400,
        "error": "invalid_request",
        "errors": [{"code": "E1", "field": "pageSize", "message": f"no {said}"}],
        "errorModel": {"message": "m", "code": 7},
    }
    return st.one_of(near(shown), near(shown, 8))


# The way there: what a body may be instead of the JSON that was meant, statuses and headers.


@st.composite
def bodies(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> bytes:
    """Return bodies: mostly JSON in UTF-8."""
    text = write(draw(documents))
    kind = draw(st.integers(0, 30))
    if kind == 0:
        return draw(st.binary(max_size=40))
    if kind == 1:
        return text.encode(draw(st.sampled_from(["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-7"])))
    if kind == 2:  # characters as they are, some of which UTF-8 cannot hold
        codecs = [("utf-8", "surrogatepass"), ("latin-1", "replace"), ("cp1252", "replace")]
        return text.encode().decode("unicode_escape", "replace").encode(*draw(st.sampled_from(codecs)))
    if kind == 3:
        return text.encode()[: draw(st.integers(0, len(text)))]
    if kind == 4:
        at = draw(st.integers(0, len(text)))
        return text[:at].encode() + draw(st.binary(max_size=3)) + text[at:].encode()
    if kind == 5:
        return draw(
            st.sampled_from(
                [b"<html>no</html>", b"", b" ", text.encode() * 2, b"// \n" + text.encode(), b"[" * 9999]
            )
        )
    return text.encode()


_header_values = st.sampled_from(
    [
        *(
            "",
            "0",
            "7",
            "61",
            "9" * 40,
            "-3",
            "NaN",
            "Wed, 21 Oct 99999 07:28:00 GMT",
            "Sun, 22 Nov 2026 06:00:09 GMT",
        ),
        *(
            "Sun, 22 Nov 2026 06:00:09 +9999",
            "Mon, 0",
            ",",
            " ",
            "0 0 0 0 0",
            "text/html;charset",
            "\x00\r\nX: y",
        ),
    ]
) | st.text(max_size=20)
_headers = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type"]), _header_values, max_size=3
)
_statuses = st.sampled_from([200] * 24 + [204, 301, 400, 401, 403, 404, 413, 418, 429, 500, 503, 999])


def answers(documents: st.SearchStrategy[Any], said: str = TOKEN) -> st.SearchStrategy[Response | NoAnswer]:
    """Return answers, mostly a 200 with one of *documents*.

    :param said: the secret that the server has been sent.
    """
    responses = st.builds(
        Response,
        status=_statuses,
        headers=st.one_of(st.just({"content-type": "application/json"}), _headers),
        body=st.one_of(*[bodies(documents)] * 7, bodies(_errors(said))),
        loads=st.sampled_from([loads, loads, json.loads]),
    )
    return st.one_of(*[responses] * 15, st.just(NoAnswer("cut off")))
