"""Each kind of fault, as a caller meets it."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import JOB_SCOPE, LEGACY_LICENSE, M365_LICENSE, M365_LIST, PATIENCE, Caller, Wire


@pytest.fixture(autouse=True)
def token_in_hand(caller: Caller) -> None:
    """Let the faults hit pages, not the token request before them."""
    caller.token(JOB_SCOPE)


def test_status(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A status comes with the vendor's envelope, and the next request is well again."""
    avepoint.add_fault("status", status=503, path=wire.path)
    response = caller.ask(wire, **wire.required)

    assert (503, 503, "Service Unavailable") == (
        response.status_code,
        response.json()["statusCode"],
        response.json()["message"],
    )
    assert 200 == caller.ask(wire, **wire.required).status_code


def test_status_with_a_body(avepoint: Simulator, caller: Caller) -> None:
    """Body and headers are sent as given."""
    bodies: list[tuple[Any, str]] = [("down", "down"), ({"a": 1}, '{"a":1}'), (None, "null")]
    for body, text in bodies:
        avepoint.add_fault("status", status=520, body=body, headers={"X-Edge": "yes"})
        response = caller.get(M365_LIST)

        assert (520, text, "yes") == (response.status_code, response.text, response.headers["X-Edge"])


def test_status_without_a_name(avepoint: Simulator, caller: Caller) -> None:
    """A status that HTTP does not name has an envelope too."""
    avepoint.add_fault("status", status=599)

    assert 599 == caller.get(M365_LIST).json()["statusCode"]


def test_retry_after_in_seconds(avepoint: Simulator, caller: Caller) -> None:
    """A throttled request is told how many seconds to wait."""
    avepoint.add_fault("retry_after", seconds=7)
    response = caller.get(M365_LIST)

    assert (429, "7") == (response.status_code, response.headers["Retry-After"])


def test_retry_after_as_a_date(avepoint: Simulator, caller: Caller) -> None:
    """Or until when."""
    avepoint.add_fault("retry_after", status=503, seconds=100, form="date")
    before = int(time.time())  # a date has whole seconds
    response = caller.get(M365_LIST)

    until = parsedate_to_datetime(response.headers["Retry-After"]).timestamp()
    assert 503 == response.status_code
    assert before + 100 <= until <= time.time() + 100


def test_date_is_by_the_server_s_clock(avepoint: Simulator, caller: Caller) -> None:
    """So is the answer's own, and one can be read by the other."""
    avepoint.set_clock(ahead_seconds=3600)
    avepoint.add_fault("retry_after", seconds=100, form="date")
    before = int(time.time())
    headers = caller.get(M365_LIST).headers

    until, now = (parsedate_to_datetime(headers[name]).timestamp() for name in ("Retry-After", "Date"))
    for moment in (until - 100, now):
        assert before + 3600 <= moment <= time.time() + 3600


def test_every_answer_is_dated(avepoint: Simulator, caller: Caller) -> None:
    """Also one that drips, one that is refused, and one that a fault makes; a fault can date it otherwise."""
    avepoint.add_fault("drip", seconds=0)
    avepoint.add_fault("empty_body")
    avepoint.add_fault("status", status=503)
    for _ in range(3):
        assert parsedate_to_datetime(caller.get(M365_LIST).headers["Date"])
    assert parsedate_to_datetime(caller.http.get(M365_LIST).headers["Date"])
    avepoint.add_fault("headers", headers={"Date": "soon"})
    assert "soon" == caller.get(M365_LIST).headers["Date"]


def test_dropped_connection(avepoint: Simulator, caller: Caller) -> None:
    """The connection ends without an answer, which the journal knows."""
    avepoint.add_fault("drop")

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        caller.get(M365_LIST)
    assert {"dropped": 1} == avepoint.stats()["requests"][M365_LIST]
    assert avepoint.requests(M365_LIST)[0]["status"] is None


def test_connection_dropped_in_the_middle(avepoint: Simulator, caller: Caller) -> None:
    """The headers promise more than comes."""
    avepoint.add_job("m365")
    avepoint.add_fault("drop", where="middle")

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        caller.get(M365_LIST)
    assert 200 == caller.get(M365_LIST).status_code


@pytest.mark.parametrize("where", ["before", "middle"])
def test_hanging_answer(avepoint: Simulator, caller: Caller, where: str) -> None:
    """Nothing comes, or half of the body and no more; the journal knows no status."""
    avepoint.add_job("m365")
    avepoint.add_fault("hang", path=M365_LIST, where=where)
    caller.give_up(M365_LIST)

    assert avepoint.requests(M365_LIST)[0]["status"] is None
    assert 200 == caller.get(M365_LIST).status_code


def test_dripping_answer(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The answer is the same, in pieces with pauses before each."""
    avepoint.add_job(wire.product)
    whole = caller.page(wire)
    avepoint.add_fault("drip", path=wire.path, pieces=5, seconds=0.02)
    started = time.monotonic()

    assert wire.ids(whole) == caller.ids(wire)
    assert time.monotonic() - started >= 0.1


def test_dripping_ends_when_the_caller_goes(avepoint: Simulator, caller: Caller) -> None:
    """Who does not wait for the next piece gets none, and holds up nobody."""
    avepoint.add_fault("drip", path=M365_LIST, pieces=2, seconds=2 * PATIENCE)
    caller.give_up(M365_LIST)

    assert 200 == caller.get(M365_LIST).status_code


def test_endless_body(avepoint: Simulator, caller: Caller) -> None:
    """It goes on for as long as the caller reads, and no longer."""
    avepoint.add_fault("endless_body")
    headers = {"Authorization": f"Bearer {caller.token(JOB_SCOPE)}"}
    with caller.http.stream("GET", M365_LIST, headers=headers) as response:
        pieces = response.iter_bytes(1 << 20)
        assert b"{" == next(pieces)[:1]
        assert b" " * (1 << 20) == next(pieces)

    assert 200 == caller.get(M365_LIST).status_code


def test_broken_json(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Half a body with the length of half a body."""
    avepoint.add_fault("broken_json", path=wire.path)
    response = caller.ask(wire, **wire.required)

    assert 200 == response.status_code
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_html(avepoint: Simulator, caller: Caller) -> None:
    """A sign-in page with status 200."""
    avepoint.add_fault("html")
    response = caller.get(M365_LIST)

    assert (200, "text/html; charset=utf-8") == (response.status_code, response.headers["Content-Type"])


def test_error_body(avepoint: Simulator, caller: Caller) -> None:
    """A 200 whose body is an error, in the old form and in the new."""
    avepoint.add_fault("error_body", message="boom")
    avepoint.add_fault("error_body", form="status_code")
    old, new = caller.get(M365_LIST), caller.get(M365_LIST)

    assert (200, {"error", "traceId"}, "boom") == (old.status_code, old.json().keys(), old.json()["error"])
    assert (200, 500) == (new.status_code, new.json()["statusCode"])


def test_unsuccessful_body_for_one_question(avepoint: Simulator, caller: Caller) -> None:
    """A fault can be for one query alone, whatever the case of its names: here for one object type."""
    avepoint.add_fault("error_body", form="success", path=M365_LIST, query={"objectType": 2}, count=None)
    one, two, none = (
        caller.get(M365_LIST, **query).json() for query in ({"ObjectType": 1}, {"ObjectType": 2}, {})
    )

    assert (200, False, None) == (two["statusCode"], two["success"], two["data"])
    assert [[], []] == [one["data"], none["data"]]


def test_empty_page(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """One page of several comes empty, once or always; its link and total stay."""
    avepoint.set_quirks(wire.product, link="absolute", total="match")
    avepoint.generate(wire.product, 6)
    avepoint.add_fault("missing_rows", path=wire.path, query=wire.nth(1, 2), instead=[])
    once, again = (caller.page(wire, **wire.nth(1, 2)) for _ in range(2))

    assert ([], 2) == (wire.rows_of(once), len(wire.rows_of(again)))
    assert (6, True) == (wire.total_of(once), bool(wire.link_of(once)))


def test_missing_rows(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """The page comes without the key that holds its rows."""
    whole = caller.page(any_wire)
    avepoint.add_fault("missing_rows", path=any_wire.path)
    bare = caller.page(any_wire)
    *above, rows = any_wire.rows
    assert whole.keys() - ({rows} if not above else set()) == bare.keys()
    for key in above:
        whole, bare = whole[key], bare[key]

    assert whole.keys() - {rows} == bare.keys()


def test_something_else_than_rows(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The key that holds the rows has what the fault says."""
    avepoint.add_job(wire.product)
    instead: list[Any] = [None, [], [1], {"a": 1}, "text"]
    for each in instead:
        avepoint.add_fault("missing_rows", path=wire.path, instead=each)

    assert instead == [wire.rows_of(caller.page(wire)) for _ in instead]


def test_something_else_than_figures(avepoint: Simulator, caller: Caller) -> None:
    """Where the figures stand without an envelope, it is all that comes."""
    avepoint.add_fault("missing_rows", path=LEGACY_LICENSE, instead=[])

    assert [] == caller.get(LEGACY_LICENSE).json()


def test_rows_twice(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Each row stands there twice; the page is as large as it was, otherwise."""
    avepoint.generate(wire.product, 3)
    ids = caller.ids(wire)
    avepoint.add_fault("rows", path=wire.path, form="twice")

    assert [job_id for job_id in ids for _ in range(2)] == caller.ids(wire)


def test_rows_in_no_order(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The same rows, in another order."""
    avepoint.generate(wire.product, 4)
    ids = caller.ids(wire)
    avepoint.add_fault("rows", path=wire.path, form="shuffled")

    shuffled = caller.ids(wire)
    assert ids != shuffled
    assert sorted(ids) == sorted(shuffled)


def test_rows_that_are_none_stay(avepoint: Simulator, caller: Caller) -> None:
    """A licence has no rows to be repeated."""
    figures = caller.get(LEGACY_LICENSE).json()
    avepoint.add_fault("rows", path=LEGACY_LICENSE, form="twice")

    assert figures == caller.get(LEGACY_LICENSE).json()


def test_fields(avepoint: Simulator, caller: Caller) -> None:
    """An answer has other fields, and lacks some."""
    avepoint.add_fault("fields", path="/connect", extra={"expires_in": "soon"}, omit=["token_type"])
    answer = caller.grant_by_secret(JOB_SCOPE).json()

    assert ("soon", False, True) == (
        answer["expires_in"],
        "token_type" in answer,
        bool(answer["access_token"]),
    )


def test_headers(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A good answer says that it is something else."""
    avepoint.add_job(wire.product)
    ids = caller.ids(wire)
    avepoint.add_fault("headers", path=wire.path, headers={"Content-Type": "text/html"})
    response = caller.ask(wire, **wire.required)

    assert ("text/html", ids) == (response.headers["Content-Type"], wire.ids(response.json()))


def test_page_with_quirks_of_its_own(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """One page is served otherwise than those before and after it."""
    avepoint.set_quirks(wire.product, link="absolute")
    avepoint.generate(wire.product, 2)
    own = {"foreign_link": "https://elsewhere.example"}
    avepoint.add_fault("quirks", path=wire.path, quirks=own)

    pages = [caller.page(wire, **{wire.size: "1"}) for _ in range(2)]
    hosts = [httpx.URL(wire.link_of(page)).host for page in pages]
    assert ["elsewhere.example", httpx.URL(avepoint.url).host] == hosts


def test_quirks_that_nobody_knows_are_refused(avepoint: Simulator) -> None:
    """When the fault is armed, not when it is played."""
    with pytest.raises(ValueError, match="first_link"):
        avepoint.add_fault("quirks", quirks={"first_link": 1})


def test_missing_figures(avepoint: Simulator, caller: Caller) -> None:
    """A licence comes without its figures."""
    for path in (M365_LICENSE, LEGACY_LICENSE):
        avepoint.add_fault("missing_rows", path=path)

        assert not {"data", "PurchasedUserSeats"} & caller.get(path).json().keys()


def test_missing_rows_spare_a_refusal(avepoint: Simulator, caller: Caller) -> None:
    """A refusal holds nothing that could be missing."""
    avepoint.add_fault("missing_rows", path=M365_LIST)

    assert 401 == caller.http.get(M365_LIST).json()["statusCode"]


def test_expired_token(avepoint: Simulator, caller: Caller) -> None:
    """The token is refused then, and stays refused; a new one is good."""
    token = caller.token(JOB_SCOPE)
    avepoint.add_fault("expire_token", skip=1)

    statuses = [caller.get(M365_LIST, token=token).status_code for _ in range(3)]
    assert [200, 401, 401] == statuses
    assert (
        200
        == caller.get(M365_LIST, token=caller.grant_by_secret(JOB_SCOPE).json()["access_token"]).status_code
    )


def test_redirect(avepoint: Simulator, caller: Caller) -> None:
    """A redirect leads where it was told to."""
    avepoint.add_fault("redirect", location="https://elsewhere.example/")
    response = caller.get(M365_LIST)

    assert (302, "https://elsewhere.example/") == (response.status_code, response.headers["Location"])


def test_slow(avepoint: Simulator, caller: Caller) -> None:
    """The answer is late but good."""
    avepoint.add_fault("slow", seconds=0.2)
    started = time.monotonic()

    assert 200 == caller.get(M365_LIST).status_code
    assert time.monotonic() - started >= 0.2


def test_slow_answer_holds_up_nobody_else(avepoint: Simulator, caller: Caller) -> None:
    """While one request waits, others are answered."""
    avepoint.add_fault("slow", path=M365_LIST, seconds=2 * PATIENCE)
    caller.give_up(M365_LIST)

    assert 200 == caller.get(M365_LIST).status_code


def test_empty_body(avepoint: Simulator, caller: Caller) -> None:
    """A 200 with nothing in it."""
    avepoint.add_fault("empty_body")
    response = caller.get(M365_LIST)

    assert (200, b"") == (response.status_code, response.content)


def test_token_endpoint_has_faults_too(avepoint: Simulator, caller: Caller) -> None:
    """Identity is a server like another."""
    avepoint.add_fault("status", path="/connect", status=500)

    assert [500, 200] == [caller.grant_by_secret(JOB_SCOPE).status_code for _ in range(2)]


def test_faults_are_spent_in_order(avepoint: Simulator, caller: Caller) -> None:
    """Skip lets requests pass, count hits several, the next fault waits for the one before it."""
    avepoint.add_fault("status", status=500, skip=1, count=2)
    avepoint.add_fault("status", status=503, skip=1)

    assert [200, 500, 500, 200, 503, 200] == [caller.get(M365_LIST).status_code for _ in range(6)]


def test_fault_fits_its_path_only(avepoint: Simulator, caller: Caller) -> None:
    """A fault for one path leaves the others alone."""
    avepoint.add_fault("status", status=500, path=M365_LICENSE)

    assert (200, 500) == (caller.get(M365_LIST).status_code, caller.get(M365_LICENSE).status_code)


def test_endless_fault_is_cleared(avepoint: Simulator, caller: Caller) -> None:
    """A fault without a count stays until it is cleared; the list says what is left."""
    avepoint.add_fault("status", status=500, count=None)
    avepoint.add_fault("html", skip=2, count=3)

    assert [500] * 4 == [caller.get(M365_LIST).status_code for _ in range(4)]
    assert [("status", 0, None), ("html", 2, 3)] == [
        (fault["kind"], fault["skip"], fault["count"]) for fault in avepoint.faults()
    ]
    avepoint.clear_faults()
    assert ([], 200) == (avepoint.faults(), caller.get(M365_LIST).status_code)


def test_journal_tells_the_fault(avepoint: Simulator, caller: Caller) -> None:
    """A journal entry says which fault was played."""
    avepoint.add_fault("empty_body")
    caller.get(M365_LIST)

    assert "fault: empty_body" == avepoint.requests(M365_LIST)[0]["note"]


def test_latency(avepoint: Simulator, caller: Caller) -> None:
    """A product's latency and the server's add up; other products have the server's alone."""
    avepoint.set_quirks("m365", latency_ms=100)
    avepoint.set_quirks("all", latency_ms=50)

    def seconds(path: str) -> float:
        started = time.monotonic()
        caller.get(path)
        return time.monotonic() - started

    assert seconds(M365_LIST) >= 0.15
    assert seconds("/cloudbackup/jobs") >= 0.05


def test_request_that_gave_up_is_in_the_journal(avepoint: Simulator, caller: Caller) -> None:
    """A request is written down when it comes, not when it is answered."""
    avepoint.set_quirks("m365", latency_ms=2000 * PATIENCE)
    caller.give_up(M365_LIST)

    assert avepoint.requests(M365_LIST)[0]["status"] is None
