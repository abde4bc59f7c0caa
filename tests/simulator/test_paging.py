"""Pages, and every kind of link between them."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import Caller, Wire

LINK_FORMS = ("absolute", "relative", "relative_without_prefix", "query", "token")


def add_history(avepoint: Simulator, wire: Wire, count: int) -> list[str]:
    """Add jobs an hour apart, the oldest first; return their ids, the newest first."""
    jobs = [
        {"product": wire.product, "job_id": f"J{number}", "started_ago": 3600 * (count - number + 1)}
        for number in range(count)
    ]
    return [job["job_id"] for job in reversed(avepoint.add_jobs(jobs))]


def follow(caller: Caller, wire: Wire, link: str, form: str) -> list[str]:
    """Ask for what *link* means in its form, as one who knows the product's path would."""
    if form == "token":
        return caller.ids(wire, pageSize=2, skiptoken=unquote(link))
    query = dict(parse_qsl(urlsplit(link).query))
    return wire.ids(caller.get(wire.path, **query).json())


def test_page_holds_ten_rows_newest_first(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Ten is the documented page, and the samples begin with the newest."""
    ids = add_history(avepoint, wire, 12)

    assert ids[:10] == caller.ids(wire)


def test_first_page_is_served_without_a_number(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """No number, 0, and the base's own first number all mean the first page."""
    ids = add_history(avepoint, wire, 5)

    for first_index in (0, 1):
        avepoint.set_quirks(wire.product, first_index=first_index)
        pages = [caller.ids(wire, pageSize=2, **query) for query in ({}, {"pageIndex": 0})]
        assert [ids[:2]] * 2 == pages
        assert ids[:2] == caller.ids(wire, pageSize=2, pageIndex=first_index)
        assert ids[2:4] == caller.ids(wire, pageSize=2, pageIndex=first_index + 1)
        assert ids[4:] == caller.ids(wire, pageSize=2, pageIndex=first_index + 2)
        assert [] == caller.ids(wire, pageSize=2, pageIndex=first_index + 3)


def test_base_is_the_documented_one(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The tables say 0 for Microsoft 365 and 1 for Dynamics 365."""
    ids = add_history(avepoint, wire, 3)
    first = {"m365": 0, "m365_legacy": 0, "dynamics365": 1}[wire.product]

    assert ids[2:] == caller.ids(wire, pageSize=2, pageIndex=first + 1)


@pytest.mark.parametrize("form", LINK_FORMS)
def test_links_lead_through_all_rows(avepoint: Simulator, caller: Caller, wire: Wire, form: str) -> None:
    """Whatever its form, each link leads on, and the last page has none."""
    avepoint.set_quirks(wire.product, link=form, last_link="empty")
    ids = add_history(avepoint, wire, 5)
    page = caller.page(wire, pageSize=2)
    seen = wire.ids(page)
    for _ in range(2):
        link = wire.link_of(page)
        page = caller.get(wire.path, **query_of(wire, link, form)).json()
        seen += wire.ids(page)

    assert ids == seen
    assert "" == wire.link_of(page)


def query_of(wire: Wire, link: str, form: str) -> dict[str, str]:
    if form == "token":
        return {**wire.required, "pageSize": "2", "skiptoken": unquote(link)}
    return dict(parse_qsl(urlsplit(link).query))


@pytest.mark.parametrize("form", LINK_FORMS)
def test_link_has_its_form(avepoint: Simulator, caller: Caller, wire: Wire, form: str) -> None:
    """The five forms that the products' pages show, to the letter."""
    avepoint.set_quirks(wire.product, link=form)
    add_history(avepoint, wire, 3)
    link = wire.link_of(caller.page(wire, pageSize=2))

    prefix = {
        "absolute": f"{avepoint.url}{wire.path}?",
        "relative": f"{wire.path}?",
        "relative_without_prefix": f"/{wire.path.split('/')[-1]}?",
        "query": "?",
        "token": "%2B%2F%2B%2F",
    }[form]
    assert link.startswith(prefix)
    assert ("?" in link) == (form != "token")


@pytest.mark.parametrize(("form", "field"), [("empty", ""), ("null", None)])
def test_field_without_link(
    avepoint: Simulator, caller: Caller, wire: Wire, form: str, field: str | None
) -> None:
    """A server that never links leaves the field empty or null, though pages follow."""
    avepoint.set_quirks(wire.product, link=form)
    add_history(avepoint, wire, 3)

    assert field == wire.link_of(caller.page(wire, pageSize=2))


def test_no_link_field(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A server can have no link field at all."""
    avepoint.set_quirks(wire.product, link="none")
    add_history(avepoint, wire, 3)

    with pytest.raises(KeyError):
        wire.link_of(caller.page(wire, pageSize=2))


def test_link_without_prefix_leads_nowhere(avepoint: Simulator, caller: Caller) -> None:
    """Joined to the host, the Dynamics link is another path, and no page stands there."""
    response = caller.get("/jobs?pageIndex=2")

    assert 404 == response.status_code
    assert "/jobs" == avepoint.requests("/jobs")[0]["path"]


def test_token_is_sent_back_decoded_once(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The link is percent-encoded already; encoding it again is refused, and so is what is no token."""
    avepoint.set_quirks(wire.product, link="token", token_parameter="NextLink")
    ids = add_history(avepoint, wire, 3)
    link = wire.link_of(caller.page(wire, pageSize=2))

    assert ids[2:] == caller.ids(wire, pageSize=2, nextlink=unquote(link))
    for wrong in (link, "e30=", "abc", "eyJvZmZzZXQiOjF9", unquote(link)[:-2]):
        response = caller.get(wire.path, **wire.required, pageSize=2, NextLink=wrong)
        assert (400, "NextLink") == (response.status_code, response.json()["errors"][0]["field"])


def test_token_makes_the_number_ignored(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The vendor says of its token that the page number is then ignored."""
    avepoint.set_quirks(wire.product, link="token")
    ids = add_history(avepoint, wire, 5)
    token = unquote(wire.link_of(caller.page(wire, pageSize=2)))

    assert ids[2:4] == caller.ids(wire, pageSize=2, pageIndex=9, skiptoken=token)


@pytest.mark.parametrize("form", LINK_FORMS)
def test_foreign_link_names_another_host(avepoint: Simulator, caller: Caller, wire: Wire, form: str) -> None:
    """A link can lead to where no token must go."""
    avepoint.set_quirks(wire.product, link=form, foreign_link=True)
    add_history(avepoint, wire, 3)
    link = urlsplit(wire.link_of(caller.page(wire, pageSize=2)))

    assert ("https", "graph.elsewhere.example", 8443) == (link.scheme, link.hostname, link.port)
    assert wire.path == link.path


def test_foreign_link_can_name_a_given_host(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A test may let the link lead to a listener of its own."""
    avepoint.set_quirks(wire.product, link="absolute", foreign_link="http://127.0.0.1:9/")
    add_history(avepoint, wire, 3)

    assert wire.link_of(caller.page(wire, pageSize=2)).startswith(f"http://127.0.0.1:9{wire.path}?")


@pytest.mark.parametrize("form", LINK_FORMS)
def test_repeated_link_never_moves_on(avepoint: Simulator, caller: Caller, wire: Wire, form: str) -> None:
    """A page that links to itself does so for ever, even where no rows follow."""
    avepoint.set_quirks(wire.product, link=form, repeat_link=True)
    ids = add_history(avepoint, wire, 2)
    link = wire.link_of(caller.page(wire, pageSize=2))
    page = caller.get(wire.path, **query_of(wire, link, form)).json()

    assert ids == wire.ids(page)
    assert link == wire.link_of(page)


def test_large_page_is_clamped(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A server may give fewer rows than were asked for; numbers then count its own pages."""
    avepoint.set_quirks(wire.product, max_page_size=2, oversize="clamp")
    ids = add_history(avepoint, wire, 5)
    first = avepoint.set_quirks(wire.product)["first_index"]

    assert ids[:2] == caller.ids(wire, pageSize=100)
    assert ids[2:4] == caller.ids(wire, pageSize=100, pageIndex=first + 1)


def test_large_page_is_refused(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Or it refuses, and names the parameter."""
    avepoint.set_quirks(wire.product, max_page_size=2, oversize="refuse")
    add_history(avepoint, wire, 3)
    response = caller.get(wire.path, **wire.required, pageSize=3)

    error = response.json()["errors"][0]
    assert (400, "pagesize") == (response.status_code, error["field"].lower())
    assert 2 == len(caller.ids(wire, pageSize=2))


@pytest.mark.parametrize(
    "query", [{"pageSize": "0"}, {"pageSize": "ten"}, {"pageIndex": "-1"}, {"pageIndex": "x"}]
)
def test_page_must_be_a_number(caller: Caller, wire: Wire, query: dict[str, str]) -> None:
    """What is no number, or none that makes sense, is refused by name."""
    response = caller.get(wire.path, **wire.required | query)

    assert 400 == response.status_code
    assert next(iter(query)).lower() == response.json()["errors"][0]["field"].lower()


def test_total_counts_what_matches(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The total is of all pages, of this page, or is not there."""
    add_history(avepoint, wire, 5)

    for total, expected in (("match", 5), ("page", 2)):
        avepoint.set_quirks(wire.product, total=total)
        assert expected == wire.total_of(caller.page(wire, pageSize=2))
    avepoint.set_quirks(wire.product, total="absent")
    with pytest.raises(KeyError):
        wire.total_of(caller.page(wire, pageSize=2))


def test_rows_are_repeated_across_pages(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Each row stands as often as told, and pages cut through the repetitions."""
    avepoint.set_quirks(wire.product, repeat_rows=3, first_index=0)
    newer, older = add_history(avepoint, wire, 2)
    pages = [caller.ids(wire, pageSize=4, pageIndex=index) for index in range(3)]

    assert [[newer, newer, newer, older], [older, older], []] == pages
    assert 6 == wire.total_of(caller.page(wire))


def test_arrivals_push_rows_down(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A job that starts between two pages makes the second repeat a row of the first."""
    ids = add_history(avepoint, wire, 6)
    avepoint.set_quirks(wire.product, arrivals_per_page=1, first_index=0)
    first = caller.ids(wire, pageSize=3)
    second = caller.ids(wire, pageSize=3, pageIndex=1)

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


def test_arrivals_after_the_window_change_nothing(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Who closes the window before the first page sees the same rows throughout."""
    ids = add_history(avepoint, wire, 4)
    newest = caller.page(wire)[wire.rows][0][wire.start]
    in_iso = avepoint.jobs(wire.product)[0]["started_at"]
    window = {"finishTime": newest if wire.product == "m365_legacy" else in_iso}
    avepoint.set_quirks(wire.product, arrivals_per_page=3, first_index=0)

    pages = [caller.ids(wire, pageSize=2, pageIndex=index, **window) for index in range(2)]
    assert [ids[:2], ids[2:]] == pages
