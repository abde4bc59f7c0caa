"""Pages, and every kind of link between them."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import AOS, ELEMENTS, M365, Caller, Wire

TOKEN_FORMS = ("token", "raw_token")
LINK_FORMS = ("absolute", "relative", "relative_without_prefix", "query", "bare_query", *TOKEN_FORMS)


def add_history(avepoint: Simulator, wire: Wire, count: int) -> list[str]:
    """Add jobs an hour apart, the oldest first; return their ids, the newest first."""
    jobs = [
        {"product": wire.product, "job_id": f"J{number}", "started_ago": 3600 * (count - number + 1)}
        for number in range(count)
    ]
    return [job["job_id"] for job in reversed(avepoint.add_jobs(jobs))]


def test_page_has_its_documented_size(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """Without a size the page has the usual one; the samples begin with the newest."""
    ids = add_history(avepoint, any_wire, any_wire.default_size + 2)

    assert ids[: any_wire.default_size] == caller.ids(any_wire)
    if any_wire.index is not None:
        assert ids[2:4] == caller.ids(any_wire, **any_wire.nth(1, 2))


@pytest.mark.parametrize("wire", [M365, ELEMENTS], ids=lambda wire: wire.product)
def test_first_page_is_served_without_a_number(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """No number, 0, and the base's own first number all mean the first page."""
    ids = add_history(avepoint, wire, 5)

    for first_index in (0, 1):
        avepoint.set_quirks(wire.product, first_index=first_index)
        pages = [caller.ids(wire, pageSize=2, **query) for query in ({}, {wire.index: 0})]
        assert [ids[:2]] * 2 == pages
        for page, expected in enumerate((ids[:2], ids[2:4], ids[4:], [])):
            assert expected == caller.ids(wire, **wire.nth(page, 2, first_index=first_index))


def test_links_lead_through_all_rows(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Whatever its form, each link leads on, and the last page has none."""
    ids = add_history(avepoint, wire, 5)
    for form in LINK_FORMS:
        avepoint.set_quirks(wire.product, link=form, last_link="empty", token_parameter="skiptoken")
        page = caller.page(wire, **{wire.size: 2})
        seen = wire.ids(page)
        for _ in range(2):
            link = wire.link_of(page)
            page = caller.ask(wire, **query_of(wire, link, form)).json()
            seen += wire.ids(page)

        assert (form, ids, "") == (form, seen, wire.link_of(page))


def query_of(wire: Wire, link: str, form: str) -> dict[str, str]:
    if form in TOKEN_FORMS:
        return {**wire.required, wire.size: "2", "skiptoken": unquote(link)}
    if form == "bare_query":
        return wire.required | dict(parse_qsl(link))
    return dict(parse_qsl(urlsplit(link).query))


def test_link_has_its_form(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The forms that the products' pages show, to the letter, and two that are easily taken for others."""
    add_history(avepoint, wire, 3)
    prefixes = {
        "absolute": f"{avepoint.url}{wire.path}?",
        "relative": f"{wire.path}?",
        "relative_without_prefix": f"/{wire.path.split('/')[-1]}?",
        "query": "?",
        "bare_query": {"skip": "Top=2&skip=2"}.get(wire.index, f"P{wire.index[1:]}="),
        "token": "%2B%2F%2B%2F",
        "raw_token": "+/+/",
    }
    assert set(LINK_FORMS) == prefixes.keys()
    for form, prefix in prefixes.items():
        avepoint.set_quirks(wire.product, link=form)
        link = wire.link_of(caller.page(wire, **{wire.size: 2}))
        assert link.startswith(prefix), form
        assert ("?" in link) == (form not in {"bare_query", *TOKEN_FORMS}), form


def test_raw_token_looks_like_a_query(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """It is base64 as it is, and "=" is in it."""
    avepoint.set_quirks(wire.product, link="raw_token")
    avepoint.generate(wire.product, 101)
    links = [wire.link_of(caller.page(wire, **{wire.size: size})) for size in (1, 10, 100)]

    assert [b'{"offset":1}', b'{"offset":10}', b'{"offset":100}'] == [
        base64.b64decode(link, validate=True)[3:].rstrip() for link in links
    ]
    assert all(link.endswith("==") for link in links)


def test_field_without_link(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A server that never links leaves the field empty or null, though pages follow, or has no such field."""
    add_history(avepoint, wire, 3)

    for form, field in (("empty", ""), ("null", None)):
        avepoint.set_quirks(wire.product, link=form)
        assert field == wire.link_of(caller.page(wire, **{wire.size: 2}))
    avepoint.set_quirks(wire.product, link="none")
    with pytest.raises(KeyError):
        wire.link_of(caller.page(wire, **{wire.size: 2}))


def test_link_without_prefix_leads_nowhere(avepoint: Simulator, caller: Caller) -> None:
    """Joined to the host, the Dynamics link is another path, and no page stands there."""
    response = caller.get("/jobs?pageIndex=2")

    assert 404 == response.status_code
    assert "/jobs" == avepoint.requests("/jobs")[0]["path"]


def test_token_is_sent_back_decoded_once(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The link is percent-encoded already; encoding it again is refused, and so is what is no token."""
    avepoint.set_quirks(wire.product, link="token", token_parameter="NextLink")
    ids = add_history(avepoint, wire, 3)
    link = wire.link_of(caller.page(wire, **{wire.size: 2}))

    assert ids[2:] == caller.ids(wire, **{wire.size: 2, "nextlink": unquote(link)})
    for wrong in (link, "e30=", "abc", "eyJvZmZzZXQiOjF9", unquote(link)[:-2]):
        response = caller.ask(wire, **wire.required | {wire.size: "2", "NextLink": wrong})
        assert (400, "NextLink") == (response.status_code, response.json()["errors"][0]["field"])


def test_token_makes_the_number_ignored(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The vendor says of its token that the page number is then ignored."""
    avepoint.set_quirks(wire.product, link="token", token_parameter="skiptoken")
    ids = add_history(avepoint, wire, 5)
    token = unquote(wire.link_of(caller.page(wire, **{wire.size: 2})))

    assert ids[2:4] == caller.ids(wire, skiptoken=token, **wire.nth(9, 2))


def test_foreign_link_names_another_host(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A link can lead to where no token must go, or to a listener that a test names."""
    add_history(avepoint, wire, 3)
    for form in LINK_FORMS:
        avepoint.set_quirks(wire.product, link=form, foreign_link=True)
        link = urlsplit(wire.link_of(caller.page(wire, **{wire.size: 2})))
        host = (link.scheme, link.hostname, link.port, link.path)
        assert ("https", "graph.elsewhere.example", 8443, wire.path) == host, form
    avepoint.set_quirks(wire.product, link="absolute", foreign_link="http://127.0.0.1:9/")
    assert wire.link_of(caller.page(wire, **{wire.size: 2})).startswith(f"http://127.0.0.1:9{wire.path}?")


def test_repeated_link_never_moves_on(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A page that links to itself does so for ever, even where no rows follow."""
    ids = add_history(avepoint, wire, 2)
    for form in LINK_FORMS:
        avepoint.set_quirks(wire.product, link=form, repeat_link=True, token_parameter="skiptoken")
        link = wire.link_of(caller.page(wire, **{wire.size: 2}))
        page = caller.ask(wire, **query_of(wire, link, form)).json()
        assert (form, ids, link) == (form, wire.ids(page), wire.link_of(page))


def test_page_lengths_repeat(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Pages have the lengths that were told, whatever size is asked for, by number as by link."""
    avepoint.set_quirks(wire.product, page_lengths=[3, 1], link="token", token_parameter="skiptoken")
    ids = add_history(avepoint, wire, 9)
    pages = [ids[:3], ids[3:4], ids[4:7], ids[7:8], ids[8:]]
    starts = [0, 3, 4, 7, 8] if wire.first_index is None else range(wire.first_index, 99)
    linked = [caller.page(wire)]
    for _ in pages[1:]:
        linked.append(caller.page(wire, skiptoken=unquote(wire.link_of(linked[-1]))))

    assert pages == [
        caller.ids(wire, **{wire.index: start, wire.size: 2}) for start, _ in zip(starts, pages, strict=False)
    ]
    assert pages == [wire.ids(page) for page in linked]
    assert not wire.link_of(linked[-1])


def test_everything_comes_whatever_page_is_asked_for(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """All rows stand in every page, and none links on."""
    avepoint.set_quirks(wire.product, sends_everything=True, link="absolute", last_link="null", total="match")
    ids = add_history(avepoint, wire, 5)

    for number in (0, 1, 7):
        page = caller.page(wire, **wire.nth(number, 2))
        assert (ids, 5, None) == (wire.ids(page), wire.total_of(page), wire.link_of(page))


def test_status_beyond_the_end(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A page behind the last gets a status; the last, and the first of nothing, are served."""
    avepoint.set_quirks(wire.product, beyond_end=404)
    assert 200 == caller.ask(wire, **wire.required | wire.nth(0, 2)).status_code
    add_history(avepoint, wire, 4)
    for status in (204, 400, 404, 416):
        avepoint.set_quirks(wire.product, beyond_end=status)
        answers = [caller.ask(wire, **wire.required | wire.nth(page, 2)) for page in (1, 2, 3)]

        assert [200, status, status] == [answer.status_code for answer in answers]
        assert (status == 204) == (answers[-1].content == b"")


def test_last_page_repeats(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A page behind the last is the last one again, of even pages and of uneven ones."""
    ids = add_history(avepoint, wire, 5)

    for lengths, last in (([], ids[4:]), ([4], ids[4:]), ([2, 3], ids[2:])):
        avepoint.set_quirks(wire.product, beyond_end="last_page", page_lengths=lengths)
        assert last == caller.ids(wire, **wire.nth(9, 2))


def test_link_beyond_the_end(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The last page links to one more, which is empty and links nowhere."""
    avepoint.set_quirks(wire.product, link="absolute", links_beyond_end=True, last_link="null")
    ids = add_history(avepoint, wire, 2)
    last = caller.page(wire, **{wire.size: 2})
    beyond = caller.ask(wire, **query_of(wire, wire.link_of(last), "absolute")).json()

    assert (ids, [], None) == (wire.ids(last), wire.ids(beyond), wire.link_of(beyond))


def test_ignored_page_number_repeats_the_first_page(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Always, or for the one page that a fault is for; an ignored size is the usual one."""
    ids = add_history(avepoint, wire, 5)
    avepoint.add_fault(
        "quirks", path=wire.path, query=wire.nth(1, 2), quirks={"ignored_parameters": [wire.index]}
    )
    pages = [caller.ids(wire, **wire.nth(page, 2)) for page in (0, 1, 2, 1)]
    avepoint.set_quirks(wire.product, ignored_parameters=[wire.index, wire.size])

    assert [ids[:2], ids[:2], ids[4:], ids[2:4]] == pages
    assert ids == caller.ids(wire, **wire.nth(1, 2))


def test_large_page_is_clamped(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A server may give fewer rows than were asked for; numbers then count its own pages."""
    avepoint.set_quirks(wire.product, max_page_size=2, oversize="clamp")
    ids = add_history(avepoint, wire, 5)

    assert ids[:2] == caller.ids(wire, **{wire.size: 100})
    assert ids[2:4] == caller.ids(wire, **wire.nth(1, 2) | {wire.size: "100"})


def test_large_page_is_refused(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Or it refuses, and names the parameter."""
    avepoint.set_quirks(wire.product, max_page_size=2, oversize="refuse")
    add_history(avepoint, wire, 3)
    response = caller.ask(wire, **wire.required | {wire.size: "3"})

    error = response.json()["errors"][0]
    assert (400, wire.size.lower()) == (response.status_code, error["field"].lower())
    assert 2 == len(caller.ids(wire, **{wire.size: 2}))


def test_documented_limit_is_kept(caller: Caller) -> None:
    """Two pages say how large a page may be."""
    for wire, most in ((AOS, 1000), (ELEMENTS, 100)):
        sizes = (most, most + 1)
        answers = [caller.ask(wire, **wire.required | {wire.size: str(size)}).status_code for size in sizes]

        assert [200, 400] == answers, wire.product


def test_page_must_be_a_number(caller: Caller, wire: Wire) -> None:
    """What is no number, or none that makes sense, is refused by name."""
    for name, text in ((wire.size, "0"), (wire.size, "ten"), (wire.index, "-1"), (wire.index, "x")):
        response = caller.ask(wire, **wire.required | {name: text})
        refused = (response.status_code, response.json()["errors"][0]["field"].lower())
        assert (400, name.lower()) == refused, text


def test_total_counts_what_matches(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """The total is of all pages, of this page, or is not there."""
    if not any_wire.totals:
        return
    add_history(avepoint, any_wire, 5)

    for total, expected in (("match", 5), ("page", 2)):
        avepoint.set_quirks(any_wire.product, total=total)
        assert expected == any_wire.total_of(caller.page(any_wire, **{any_wire.size: 2}))
    avepoint.set_quirks(any_wire.product, total="absent")
    with pytest.raises(KeyError):
        any_wire.total_of(caller.page(any_wire, **{any_wire.size: 2}))


def test_total_is_wrong(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """It is too high or too low by a number, always or for one page."""
    add_history(avepoint, wire, 5)
    avepoint.set_quirks(wire.product, total="match")
    avepoint.add_fault("quirks", path=wire.path, quirks={"total_off_by": 1})

    assert [6, 5] == [wire.total_of(caller.page(wire)) for _ in range(2)]
    avepoint.set_quirks(wire.product, total="page", total_off_by=-2)
    assert 0 == wire.total_of(caller.page(wire, **{wire.size: 2}))


def test_rows_are_repeated_across_pages(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Each row stands as often as told, and pages cut through the repetitions."""
    avepoint.set_quirks(wire.product, repeat_rows=3, total="match")
    newer, older = add_history(avepoint, wire, 2)
    pages = [caller.ids(wire, **wire.nth(page, 4)) for page in range(3)]

    assert [[newer, newer, newer, older], [older, older], []] == pages
    assert 6 == wire.total_of(caller.page(wire))


def test_arrivals_push_rows_down(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A job that starts between two pages makes the second repeat a row of the first."""
    ids = add_history(avepoint, wire, 6)
    avepoint.set_quirks(wire.product, arrivals_per_page=1)
    first = caller.ids(wire, **wire.nth(0, 3))
    second = caller.ids(wire, **wire.nth(1, 3))

    assert ids[:2] == first[1:]
    assert ids[1:4] == second
    assert {"running"} == {job["state"] for job in avepoint.jobs(wire.product, limit=2)}


def test_arrivals_are_such_as_are_asked_for(avepoint: Simulator, caller: Caller) -> None:
    """The new jobs match the question, so that they move its rows."""
    avepoint.set_quirks("m365", arrivals_per_page=2)
    rows = caller.get(
        "/backup/m365/cloudbackupjobs", jobType=2, objectType=7, jobState=3, location="NAM"
    ).json()

    assert ["Failed", "Failed"] == [row["state"] for row in rows["data"]]
    arrived = avepoint.jobs("m365")[0]
    assert ("restore", "teams", "NAM") == tuple(arrived[key] for key in ("job_type", "workload", "location"))


def test_arrivals_after_the_window_change_nothing(
    avepoint: Simulator, caller: Caller, windowed: Wire
) -> None:
    """Who closes the window before the first page sees the same rows throughout."""
    ids = add_history(avepoint, windowed, 4)
    newest = windowed.rows_of(caller.page(windowed))[0][windowed.start]
    in_iso = avepoint.jobs(windowed.product)[0]["started_at"]
    window = {"finishTime": newest if windowed.product == "m365_legacy" else in_iso}
    avepoint.set_quirks(windowed.product, arrivals_per_page=3)

    pages = [caller.ids(windowed, **windowed.nth(page, 2), **window) for page in range(2)]
    assert [ids[:2], ids[2:]] == pages
