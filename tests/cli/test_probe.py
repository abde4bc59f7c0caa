"""Each thing that the documents leave open is found out, and nothing of the tenant is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.cli import probe as probing
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.simulator import Simulator
from tests.cli.conftest import Done
from tests.hooks.drivers import one_of_each_paging, required_by

Run = Callable[..., Done]


@pytest.fixture
def probe(avepoint: Run) -> Callable[..., dict[str, Any]]:
    """Return a function that probes one product and returns what it found."""

    def run(product: str, *flags: str) -> dict[str, Any]:
        customer = required_by(product).get("organization_id")
        named = ("--organization-id", customer) if customer else ()
        done = avepoint("probe", product, *named, *flags, "--output", "json")
        (findings,) = done.json["products"]
        assert (done.status, done.err) == (0 if findings["problem"] is None else 2, "")
        return findings

    return run


def found(findings: dict[str, Any], about: str) -> list[tuple[str, bool]]:
    """Return what was seen about something, and whether it is marked."""
    return [(each["seen"], each["differs"]) for each in findings["findings"] if each["about"] == about]


def history(simulator: Simulator, product: str, count: int = 30, **fields: Any) -> None:
    simulator.generate(product, count, every_seconds=3600, **fields)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_server_like_the_documents_is_told_without_surprises(
    probe: Callable[..., dict], simulator: Simulator, product: str
) -> None:
    """What the simulator does by default is what our product files say: nothing is marked."""
    history(simulator, product)

    findings = probe(product)

    marked = [(each["about"], each["seen"], each["ours"]) for each in findings["findings"] if each["differs"]]
    assert marked == []
    assert findings["jobs"] == 30
    assert findings["requests"] <= 40
    abouts = {each["about"] for each in findings["findings"]}
    assert {"largest page", "total", "state", "start of a job", "link, on the last page"} <= abouts
    assert abouts & {"page base", "row base"}


def test_page_base(probe: Callable[..., dict], simulator: Simulator) -> None:
    for product in one_of_each_paging():
        if PRODUCTS[product].paging.is_offset:
            continue
        history(simulator, product)
        for first in (0, 1):
            simulator.set_quirks(product, first_index=first)

            ((seen, differs),) = found(probe(product), "page base")

            assert seen.startswith(f"{first}: "), product
            assert not differs


def test_row_base(probe: Callable[..., dict], simulator: Simulator) -> None:
    history(simulator, "aos_scan")

    assert found(probe("aos_scan"), "row base") == [("0: skip=0 is the first page, skip=2 the next", False)]


def test_a_page_number_that_nobody_heeds(
    probe: Callable[..., dict], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product's file names a parameter that this server does not know."""
    history(simulator, "iaas_paas")
    product = PRODUCTS["iaas_paas"]
    renamed = replace(product, paging=replace(product.paging, index="sheet"))
    monkeypatch.setitem(PRODUCTS, "iaas_paas", renamed)

    findings = probe("iaas_paas")

    assert found(findings, "page base") == [("sheet is ignored: every page is the first", True)]


def test_too_few_jobs_tell_no_page_base(probe: Callable[..., dict], simulator: Simulator) -> None:
    simulator.add_job("dynamics365")

    findings = probe("dynamics365")

    assert found(findings, "page base") == [
        ("too few jobs to tell; an earlier --started-after may help", False)
    ]
    assert found(findings, "total") == [
        ("totalCount: too few jobs to tell; an earlier --started-after may help", False)
    ]


def test_no_jobs_are_said_to_be_none(probe: Callable[..., dict]) -> None:
    findings = probe("salesforce")

    assert findings["jobs"] == 0
    assert found(findings, "jobs") == [("none; an earlier --started-after may help", False)]


def test_started_after_widens_the_look(probe: Callable[..., dict], simulator: Simulator) -> None:
    """Thirty days unless told otherwise."""
    simulator.add_job("dynamics365", started_ago=40 * 86400)

    earlier = (datetime.now(UTC) - timedelta(days=50)).isoformat()

    assert probe("dynamics365")["jobs"] == 0
    assert probe("dynamics365", "--started-after", earlier)["jobs"] == 1


LARGEST: list[tuple[dict[str, Any], tuple[str, bool]]] = [
    ({"max_page_size": None}, ("2000 are taken", True)),
    ({"max_page_size": 500}, ("500 come where 2000 are asked for", True)),
    ({"max_page_size": 1000}, ("1000 come where 2000 are asked for", False)),
    ({"max_page_size": 500, "oversize": "refuse"}, ("500 are taken", True)),
    ({"max_page_size": 1000, "oversize": "refuse"}, ("1000 are taken", False)),
]


@pytest.mark.no_cover
def test_largest_page(probe: Callable[..., dict], simulator: Simulator) -> None:
    simulator.generate("dynamics365", 2500, every_seconds=60)
    for quirks, expected in LARGEST:
        simulator.set_quirks("dynamics365", **quirks)

        findings = probe("dynamics365")

        assert found(findings, "largest page") == [expected], quirks
        larger = [size for size in (2000, 1000) if size > (quirks["max_page_size"] or 0)]
        refused = [f"{size}: refused with 400" for size in larger] if "oversize" in quirks else []
        assert [seen for seen, _ in found(findings, "page size")] == refused, quirks


FORMS = {
    "none": "no such key",
    "empty": '""',
    "null": "null",
    "absolute": "an absolute URL at the connection's host",
    "relative": "a path, complete",
    "relative_without_prefix": "a path, not the whole of it",
    "query": "a query only",
    "token": "a token, percent-encoded",
}


@pytest.mark.parametrize("product", ["m365", "iaas_paas"])
def test_link_form(probe: Callable[..., dict], simulator: Simulator, product: str) -> None:
    """Of a product whose links are addresses, and of one whose links are tokens."""
    history(simulator, product)
    for link, expected in FORMS.items():
        simulator.set_quirks(product, link=link, last_link="null", token_parameter="skiptoken")

        findings = probe(product)

        assert found(findings, "link, while pages follow") == [(expected, False)]
        leads = [] if link in ("none", "empty", "null") else [("the next page", False)]
        assert found(findings, "the link leads to") == leads, link
        last = expected if link in ("none", "empty") else "null"
        assert found(findings, "link, on the last page") == [(last, False)], link


ASTRAY: list[tuple[str, dict[str, Any], str]] = [
    ("iaas_paas", {"link": "token", "token_parameter": "cursor"}, "the same page again"),
    ("dynamics365", {"repeat_link": True}, "the same page again"),
    ("aos_scan", {"link_overlap": 1}, "a page that repeats 1 of 2 rows"),
    ("m365", {"foreign_link": True}, "another host; not followed"),
]


def test_a_link_that_leads_astray(probe: Callable[..., dict], simulator: Simulator) -> None:
    for product, quirks, expected in ASTRAY:
        history(simulator, product)
        simulator.set_quirks(product, **quirks)

        assert found(probe(product), "the link leads to") == [(expected, True)], product


def test_meaning_of_the_total(probe: Callable[..., dict], simulator: Simulator) -> None:
    history(simulator, "m365")
    for total, expected in (
        ("match", "metadata.totalCount: all rows that match"),
        ("page", "metadata.totalCount: the rows of the page"),
        ("absent", "no such key"),
    ):
        simulator.set_quirks("m365", total=total)

        assert found(probe("m365"), "total") == [(expected, False)]


def test_where_the_total_stands(probe: Callable[..., dict], simulator: Simulator) -> None:
    history(simulator, "m365")
    simulator.set_quirks("m365", count_names="number")

    assert found(probe("m365"), "total") == [("metadata.totalNumber: all rows that match", False)]


@pytest.mark.parametrize(
    "product", [name for name, each in PRODUCTS.items() if each.filters.started_after is not None]
)
def test_what_the_window_filters_by(probe: Callable[..., dict], simulator: Simulator, product: str) -> None:
    history(simulator, product)
    for filters_by, expected in (
        ("start", "start"),
        ("finish", "finish"),
        ("overlap", "overlap: job and window have time in common"),
    ):
        simulator.set_quirks(product, window_filters_by=filters_by)

        assert found(probe(product), "the window filters by") == [(expected, False)]


def test_jobs_that_are_too_short_tell_nothing_of_the_window(
    probe: Callable[..., dict], simulator: Simulator
) -> None:
    now = datetime.now(UTC) - timedelta(hours=1)
    simulator.add_job("dynamics365", started_at=now, finished_at=now + timedelta(seconds=2))
    simulator.add_job("dynamics365", state="running", started_at=now)

    ((seen, _),) = found(probe("dynamics365"), "the window filters by")

    assert seen.startswith("no ended job is long enough to tell")


def test_spelling_of_each_state(probe: Callable[..., dict], simulator: Simulator) -> None:
    history(simulator, "m365", states=("success", "failed", "partial", "running"), count=8)
    for spelling, expected in (
        ("labels", ['"Failed"', '"Finished with Exception"', '"Finished"', '"In Progress"']),
        ("names", ['"Failed"', '"Finished"', '"FinishedException"', '"InProgress"']),
    ):
        simulator.set_quirks("m365", state_spelling=spelling)

        assert found(probe("m365"), "state") == [(f"{each} in 2 jobs", False) for each in expected]


def test_a_state_is_seen_even_if_no_page_of_the_sample_has_it(
    probe: Callable[..., dict], simulator: Simulator
) -> None:
    """Each documented state is asked for by itself."""
    simulator.generate("dynamics365", 2500, every_seconds=60)
    simulator.add_job("dynamics365", state="partial", started_ago=20 * 86400)

    assert ("7 in 1 job", False) in found(probe("dynamics365"), "state")


def test_a_state_that_our_file_does_not_list_is_marked(
    probe: Callable[..., dict], simulator: Simulator
) -> None:
    for product, states in {
        "dynamics365": [(5, "5 in 1 job")],
        "m365": [
            ("Paused", '"Paused" in 1 job'),
            ("Failed at jane@contoso.example", "a text of 30 characters, not shown in 1 job"),
        ],
        "elements": [(0, "0 in 1 job")],
    }.items():
        for raw, _ in states:
            simulator.add_job(product, raw_state=raw)

        assert found(probe(product), "state") == [(expected, True) for _, expected in states]


def test_how_a_job_under_way_has_no_finish(probe: Callable[..., dict], simulator: Simulator) -> None:
    simulator.add_job("dynamics365", state="success")
    simulator.add_job("dynamics365", state="running")
    for no_finish, expected in (
        ("null", "null"),
        ("empty", '""'),
        ("n/a", '"N/A"'),
        ("absent", "no such key"),
        ("year_1", "the year 1"),
    ):
        simulator.set_quirks("dynamics365", no_finish=no_finish)

        seen = found(probe("dynamics365"), "finish of a job under way")
        assert seen == [(f"{expected} in 1 job", False)], no_finish


def test_form_of_times(probe: Callable[..., dict], simulator: Simulator) -> None:
    for product, expected in (
        ("m365", "ISO 8601, whole seconds, Z"),
        ("m365_legacy", ".NET ticks"),
        ("dynamics365", "ISO 8601, 3 fraction digits, Z"),
        ("aos_scan", "ISO 8601, 7 fraction digits, +00:00"),
    ):
        simulator.add_job(product, started_at="2026-11-20T05:00:00.1234567Z", state="success")

        findings = probe(product, "--started-after", "2026-11-01T00:00:00Z")

        assert found(findings, "start of a job") == [(f"{expected} in 1 job", False)], product


def test_a_time_that_we_cannot_read_is_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    simulator.add_job("dynamics365", extra={"startTime": "2026-11-22T05:00:00"})
    simulator.add_job("dynamics365", extra={"startTime": "yesterday"})

    assert found(probe("dynamics365"), "start of a job") == [
        ("ISO 8601, whole seconds, no offset in 1 job", True),
        ("a form of its own in 1 job", True),
    ]


def test_keys_that_rows_do_not_have_are_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    """Salesforce's sample has no organisation, its table has."""
    history(simulator, "salesforce")
    simulator.set_quirks("salesforce", shows_organization=False, state_key="state")

    findings = probe("salesforce")

    keys = [
        (each["ours"], each["seen"], each["differs"])
        for each in findings["findings"]
        if each["about"] == "key"
    ]
    assert keys == [("status or state", "state", False), ("organizationId", "no row has it", True)]


def test_a_value_that_we_cannot_read_is_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    simulator.add_job("dynamics365", duration="a while", state="running")
    simulator.add_job("dynamics365", extra={"totalEntity": "some"})

    findings = probe("dynamics365")

    values = {each["ours"]: each["seen"] for each in findings["findings"] if each["about"] == "value"}
    assert values == {
        "durationHours": "not understood in 1 job",
        "totalEntity": "not understood in 1 job",
    }


def test_numbers_without_a_word_are_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    simulator.add_job("google_workspace", workload="2048")
    simulator.add_job("google_workspace", extra={"jobType": 9, "appType": "Jane's Drive"})

    findings = probe("google_workspace")

    assert found(findings, "job type") == [("9 in 1 job", True)]
    assert found(findings, "workload") == [("2048 in 1 job", True), ("a text in 1 job", True)]


def test_a_filter_that_nobody_heeds_is_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    """The rows that come for a state, or a job type, are of others."""
    history(simulator, "dynamics365", count=4)
    simulator.add_job("dynamics365", state="failed", extra={"status": 3, "type": 2})

    findings = probe("dynamics365")

    assert found(findings, "the state filter, status") == [("brings other states too, for 4", True)]
    assert found(findings, "the job type filter, type") == [("brings other types too", True)]


def test_a_filter_that_is_refused_is_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    """The sample, three pages, the last twice, four windows: then come the states."""
    history(simulator, "dynamics365", count=4)
    plain = probe("dynamics365")
    states, types = 4, 1
    simulator.add_fault(
        "status", status=400, path="/dynamicsbackup", skip=plain["requests"] - states - types, count=None
    )

    findings = probe("dynamics365")

    assert found(findings, "the state filter, status") == [("refuses 2, 3, 4, 7", True)]
    assert found(findings, "the job type filter, type") == [("refused with 400", True)]


def test_a_refused_window_is_no_answer(probe: Callable[..., dict], simulator: Simulator) -> None:
    history(simulator, "dynamics365", count=4)
    rest = 4 + 1
    plain = probe("dynamics365")["requests"]
    simulator.add_fault("status", status=400, path="/dynamicsbackup", skip=plain - rest - 4, count=4)

    findings = probe("dynamics365")

    assert found(findings, "the window filters by") == [("not told: a window was refused", True)]


def rows_of(count: int) -> list[dict[str, Any]]:
    """Return rows as the simulator would send them, of jobs that it does not list."""
    start = datetime.now(UTC) - timedelta(hours=2)
    return [
        {
            "jobId": f"X{number}",
            "status": 3,
            "startTime": start.isoformat(),
            "finishTime": (start + timedelta(minutes=9)).isoformat(),
        }
        for number in range(count)
    ]


def test_a_server_that_always_answers_the_same(probe: Callable[..., dict], simulator: Simulator) -> None:
    """It heeds neither page nor window, its link is no address, and its total is wrong."""
    body = {"jobs": rows_of(4), "nextLink": "http://[", "totalCount": 3}
    simulator.add_fault("status", status=200, body=body, path="/dynamicsbackup", count=None)

    findings = probe("dynamics365")

    assert found(findings, "page base") == [("pageIndex is ignored: every page is the first", True)]
    assert found(findings, "the window filters by") == [("nothing: the window is ignored", True)]
    assert found(findings, "link, while pages follow") == [("a text that is no address", False)]
    assert found(findings, "the link leads to") == []
    assert found(findings, "total") == [("totalCount: neither all rows nor those of the page", False)]


def test_a_total_that_is_less_than_the_rows(probe: Callable[..., dict], simulator: Simulator) -> None:
    """It does not change with the page, but there are more rows than that."""
    history(simulator, "dynamics365")
    body = {"jobs": rows_of(4), "totalCount": 3}
    simulator.add_fault("status", status=200, body=body, path="/dynamicsbackup", count=4)

    seen = found(probe("dynamics365"), "total")

    assert seen == [("totalCount: neither all rows nor those of the page", False)]


def test_what_stands_elsewhere_is_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    """The envelope of another product has the link and the total in an object of their own."""
    body = {"jobs": rows_of(4), "metadata": {"nextLink": "/jobs?a=b", "TotalCount": 4}}
    simulator.add_fault("status", status=200, body=body, path="/dynamicsbackup", count=None)

    findings = probe("dynamics365")

    assert found(findings, "link, while pages follow") == [("stands elsewhere", True)]
    assert found(findings, "total") == [("stands elsewhere", True)]


def test_a_link_to_other_rows_is_marked(probe: Callable[..., dict], simulator: Simulator) -> None:
    """The link is followed by the seventh request."""
    history(simulator, "dynamics365")
    body = {"jobs": rows_of(2)}
    simulator.add_fault("status", status=200, body=body, path="/dynamicsbackup", skip=6)

    assert found(probe("dynamics365"), "the link leads to") == [("other rows than the next", True)]


def test_a_page_base_that_is_not_clear(probe: Callable[..., dict], simulator: Simulator) -> None:
    """Neither page 0 nor page 1 is the page that came without a number."""
    history(simulator, "dynamics365")
    body = {"jobs": rows_of(2)}
    simulator.add_fault("status", status=200, body=body, path="/dynamicsbackup", skip=1)

    ((seen, _),) = found(probe("dynamics365"), "page base")

    assert seen.startswith("not clear")


def test_rows_that_come_twice_are_told(probe: Callable[..., dict], simulator: Simulator) -> None:
    history(simulator, "dynamics365")
    simulator.set_quirks("dynamics365", repeat_rows=3)

    assert found(probe("dynamics365"), "rows") == [("some are listed more than once in a page", False)]


def test_arrivals_are_told(probe: Callable[..., dict], simulator: Simulator) -> None:
    """What is said of pages may be wrong then."""
    history(simulator, "dynamics365")
    simulator.set_quirks("dynamics365", arrivals_per_page=1)

    assert len(found(probe("dynamics365"), "caution")) == 1


def test_form_of_the_licences_day(probe: Callable[..., dict], simulator: Simulator) -> None:
    for figure, expected in (
        (0, ("0", False)),
        (638645575921780695, (".NET ticks", False)),
        (1732252800000, ("milliseconds", False)),
        (-5, ("a negative number", True)),
    ):
        simulator.set_license("m365", out_of_policy_time=figure)

        assert found(probe("m365"), "licence, outOfPolicyTime") == [expected]


def test_a_licence_that_cannot_be_read(probe: Callable[..., dict], simulator: Simulator) -> None:
    path = "/backup/m365/cloudbackuplicenseconsumption"
    simulator.add_fault("status", status=404, path=path)
    refused = found(probe("m365"), "licence")
    simulator.add_fault("status", status=200, body={"data": []}, path=path)
    elsewhere = found(probe("m365"), "licence")

    assert refused == [("refused with 404", True)]
    assert elsewhere == [("the figures are not where the file has them", True)]


def test_missing_permissions_are_named(avepoint: Run, simulator: Simulator) -> None:
    """One product is no reason to keep silent about the others."""
    simulator.set_client(
        simulator.client_id, scopes=["dynamics.readwrite.all", "microsoft365backup.jobInfo.read.all"]
    )

    done = avepoint("probe")

    assert done.status == 0
    assert "Not readable: the app lacks the permission salesforce.public.read.all." in done.out
    lacks = "not readable: the app lacks the permission microsoft365backup.subscriptionInfo.read.all"
    assert f"| licence | {lacks} |" in done.out
    assert "Lists one customer at a time: name one by --organization-id." in done.out
    assert len(re.findall(r"^## ", done.out, re.MULTILINE)) == len(PRODUCTS)


def test_a_listing_that_cannot_be_read(probe: Callable[..., dict], simulator: Simulator) -> None:
    faults: list[tuple[dict[str, Any], str]] = [
        ({"kind": "status", "status": 404}, "not readable: refused with 404"),
        ({"kind": "html"}, "not readable: answered with what is no JSON"),
        ({"kind": "missing_rows"}, "not readable: the list is not where the file has it"),
        ({"kind": "status", "status": 503}, "not readable: answered with 503"),
    ]
    history(simulator, "dynamics365")
    for fault, expected in faults:
        simulator.clear_faults()
        simulator.add_fault(**fault, path="/dynamicsbackup", count=None)

        assert probe("dynamics365")["problem"] == expected


def test_nobody_there_is_an_error(avepoint: Run, connect: Callable[..., str]) -> None:
    connect(host="http://127.0.0.1:9")

    done = avepoint("probe", "m365")

    assert (done.status, done.out) == (2, "")
    assert "gave no answer" in done.err.splitlines()[-1]


def test_a_product_that_falls_silent_leaves_the_others(avepoint: Run, simulator: Simulator) -> None:
    history(simulator, "dynamics365")
    simulator.add_fault("drop", path="/backup/sfbapi", count=None)

    done = avepoint("probe", "dynamics365", "salesforce")

    assert done.status == 0
    assert "## salesforce\n\nNot readable: no answer." in done.out


def test_requests_are_bounded(
    probe: Callable[..., dict], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(simulator, "dynamics365")
    monkeypatch.setattr(probing, "MAX_REQUESTS", 5)

    findings = probe("dynamics365")

    assert findings["requests"] == 5
    assert len(simulator.requests("/dynamicsbackup")) == 5
    assert found(findings, "requests") == [("5 were not enough for everything", False)]
    assert found(findings, "state") != []


def test_probing_only_reads_and_asks_no_more_than_it_says(
    probe: Callable[..., dict], simulator: Simulator
) -> None:
    """On the worst of days, too: every page size refused but the last, every experiment made."""
    for name, product in PRODUCTS.items():
        history(simulator, name, count=60)
        simulator.set_quirks(name, max_page_size=10, oversize="refuse")
        before = len(simulator.requests())

        findings = probe(name)

        asked = [each for each in simulator.requests()[before:] if each["path"] != "/connect/token"]
        assert findings["requests"] == len(asked) <= 40, name
        posted = [each["path"] for each in asked if each["method"] == "POST"]
        assert bool(posted) is (product.method == "POST"), name
        assert all(path.endswith("/batch") for path in posted), name  # a question whose filters are a body


PLANTED = {
    "organization_id": "11112222-aaaa-bbbb-cccc-333344445555",
    "organization_name": "Northwind Traders",
    "label": "Quarterly payroll of Jane Doe",
    "errors": [{"message": "Mailbox jane.doe@northwind.example", "url": "https://northwind.example/err"}],
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_nothing_of_the_tenant_is_told(avepoint: Run, simulator: Simulator, product: str) -> None:
    """Ids, names, times, hosts and secrets, wherever they stand in rows, links and errors."""
    known = json.loads(json.dumps(PLANTED))
    jobs = []
    for number, state in enumerate((None, "success", "failed", "running", "success", "success")):
        fields: dict[str, Any] = {
            "job_id": f"SECRETJOB{number}",
            "started_at": f"2026-11-20T05:1{number}:17Z",
            "extra": {"tenantOwner": "jane.doe@northwind.example", "comments": known["label"]},
        }
        if state is None:
            fields["raw_state"] = "Stopped by Northwind Traders"
        else:
            fields["state"] = state
        if number == 1:
            fields["extra"]["startTime"] = "Northwind time"
        for name, value in known.items():
            try:
                simulator.add_job(product, **fields, **{name: value})
            except ValueError:
                continue
            simulator.delete_job(product, fields["job_id"])
            fields[name] = value
        jobs.append(simulator.add_job(product, **fields))
    needed = PRODUCTS[product].needs_organization
    named = ("--organization-id", PLANTED["organization_id"]) if needed else ()
    assert len(jobs) == 6
    secrets = (
        *("SECRETJOB", "northwind", "Northwind", "11112222", "jane", "Jane", "payroll", "05:1", "2026-11-20"),
        *(simulator.client_id, simulator.client_secret, "127.0.0.1", simulator.url.rpartition(":")[2]),
    )
    for output in ("markdown", "json"):
        since = ("--started-after", "2026-11-01T00:00:00Z")
        done = avepoint("probe", product, *named, *since, "--output", output)

        assert done.status == 0
        assert [secret for secret in secrets if secret in done.out + done.err] == []
        assert "6" in done.out


def test_the_report_is_a_table_that_can_be_pasted(avepoint: Run, simulator: Simulator) -> None:
    simulator.add_job("dynamics365", raw_state=5)

    done = avepoint("probe", "dynamics365")

    assert done.err == ""
    assert done.out.startswith("# What AvePoint's API shows\n\nairflow-provider-avepoint ")
    assert "| ≠ | state | 5 in 1 job | not listed |\n" in done.out
    rows = [line for line in done.out.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}


def test_every_state_word_reads_as_documented(probe: Callable[..., dict], simulator: Simulator) -> None:
    """What our file makes of a state stands beside it."""
    for state in ("success", "failed", "partial", "skipped", "stopped", "waiting", "running"):
        simulator.add_job("salesforce", state=state)

    states = [each for each in probe("salesforce")["findings"] if each["about"] == "state"]

    assert {each["ours"] for each in states} == set(JobState) - {"unknown"}


# What is told beside jobs

CUSTOMER = required_by("elements")["organization_id"]
ACTIVITY = {"potentialRansomwareAttackCount": 0, "unusualActivitiesCount": 0, "tenantId": "t"}


def test_each_reading_like_the_documents_is_told_without_surprises(
    probe: Callable[..., dict], simulator: Simulator
) -> None:
    simulator.set_reading("m365", "unusual_activity", [{**ACTIVITY, "serviceType": 1, "tenantOwner": "Jane"}])
    then = "2026-11-20T05:00:00Z"
    alert = {"organizationId": "o", "objectType": "email", "operation": 2, "recordNumber": 1}
    simulator.set_reading("salesforce", "monitor_alerts", [{**alert, "collectTime": then}])
    for product, abouts in {
        "m365": ("schedule", "retention", "unusual activity"),
        "salesforce": ("unusual activity",),
        "elements": (
            *("coverage of services", "scan profiles", "coverage changes", "tenants"),
            *("coverage of users", "unusual activity"),
        ),
    }.items():
        findings = probe(product)

        assert [each for each in findings["findings"] if each["differs"]] == []
        for about in abouts:
            ((seen, _),) = found(findings, about)
            assert seen.startswith("readable"), (about, seen)
        if product != "elements":
            assert found(findings, f"{abouts[0]}, the whole") == [("understood", False)]
    assert found(probe("m365"), "restore") == [("not tried: a probe only reads", False)]
    assert found(probe("dynamics365"), "restore") == []
    assert not [each for each in simulator.requests() if "restore" in each["path"]]


def test_what_of_a_customer_cannot_be_tried_is_said(
    probe: Callable[..., dict], simulator: Simulator, avepoint: Run
) -> None:
    """No customer: nothing is asked. No tenant, or none with an id: only the customer's own is asked."""
    assert avepoint("probe", "elements").status == 2
    assert simulator.requests() == []
    for tenants in ([], [{"id": True}], [{"id": ["x"]}], [{"name": "x"}]):
        simulator.set_reading("elements", "customers", [{"id": CUSTOMER, "tenants": tenants}])

        findings = probe("elements")

        assert found(findings, "coverage of users") == [("not tried: no tenant is listed", False)]
        assert found(findings, "coverage of services")[0][0].startswith("readable")


FORMS_OF_READINGS: list[tuple[str, str, Any, str, str, bool]] = [
    ("m365", "schedule", [], "schedule", "readable: 0 rows at data", False),
    ("m365", "schedule", [7, None], "schedule", "readable: 2 rows at data, 2 of them no object", True),
    (
        *("m365", "schedule", {"not": "a list"}, "schedule"),
        "readable; the rows are not where the file has them: no list there",
        True,
    ),
    (
        *("m365", "schedule", [{"serviceType": 0, "frequency": 2, "backupStartTime": ["yesterday"]}]),
        *("schedule, a start", "a form of its own, 1 times", False),
    ),
    (
        *("m365", "schedule", [{"serviceType": 99, "frequency": 1, "backupStartTime": None}]),
        *("schedule, service", "not listed in 1 row", True),
    ),
    (
        *("m365", "schedule", [{"serviceType": 0, "frequency": 1, "backupStartTime": None}]),
        *("schedule, the whole", "not understood by this provider", True),
    ),
    (
        *("m365", "schedule", [{"serviceType": 0, "frequency": 4, "backupStartTime": [], "nextRunTime": 1}]),
        *("schedule, other fields", "nextRunTime", False),
    ),
    (
        *("m365", "schedule", [{"janeDoe": 1, "ServiceType": 0, "a@b.example": 2, "x" * 99: 3}]),
        *("schedule, other fields", "3 whose names are not shown", False),
    ),
    (
        *("m365", "schedule", [{"serviceType": 0}]),
        *("schedule, fields", "missing in some of 1 row: frequency, backupStartTime", True),
    ),
    (
        *("m365", "schedule", [{"serviceType": 0, "frequency": 4, "backupStartTime": []}]),
        *("schedule, starts", "as many as frequency in 0 of 1 row", False),
    ),
    (
        *("m365", "retention", [], "retention"),
        "readable; the policy is not where the file has it",
        True,
    ),
    (
        *("m365", "retention", {"retentionPeriod": "a while"}),
        *("retention, a period", "another form, 1 times", True),
    ),
    (
        *("m365", "retention", {"retentionPeriod": 7}),
        *("retention, a period", "another form, 1 times", True),
    ),
    (
        *("m365", "retention", {"retentionPeriod": "1 years"}),
        *("retention, a period", "a number of years, 1 times", False),
    ),
    (
        *("m365", "retention", {"retentionPeriod": "Unlimited", "servicePolicies": [{"serviceType": 77}]}),
        *("retention, service", "not listed in 1 row", True),
    ),
    (
        *("salesforce", "monitor_alerts", [{"objectType": 3, "operation": "2"}]),
        *("monitor alerts, objectType", "a number in 1 of 1 row", False),
    ),
    (
        *("salesforce", "monitor_alerts", [{"objectType": "email", "operation": "2"}]),
        *("monitor alerts, operation", "a text of digits in 1 of 1 row", False),
    ),
    (
        *("salesforce", "monitor_alerts", [{"objectType": None}]),
        *("monitor alerts, operation", "no such key in 1 of 1 row", False),
    ),
    (
        *("salesforce", "monitor_alerts", [{"objectType": ["x"], "operation": "removed"}]),
        *("monitor alerts, objectType", "another form in 1 of 1 row", False),
    ),
]


def test_the_form_of_a_reading(probe: Callable[..., dict], simulator: Simulator) -> None:
    """Each contradiction and surprise in our own words."""
    for product, name, value, about, seen, differs in FORMS_OF_READINGS:
        simulator.set_reading(product, name, value)

        findings = probe(product)

        assert (seen, differs) in found(findings, about), (value, findings["findings"])


def test_which_of_the_documents_two_forms_unusual_activity_has(
    probe: Callable[..., dict], simulator: Simulator
) -> None:
    for form, place in (("nested", "data.data"), ("flat", "data")):
        simulator.set_quirks("m365", activity_form=form)

        assert found(probe("m365"), "unusual activity") == [(f"readable: 0 rows at {place}", False)]


def test_a_missing_permission_hides_no_other_reading(
    probe: Callable[..., dict], simulator: Simulator, avepoint: Run
) -> None:
    """Neither the one for jobs nor one for a reading; a 401, a 503 and no JSON are told too."""
    settings, jobs = "microsoft365backup.settings.read.all", PRODUCTS["m365"].permission
    lacks = "not readable: the app lacks the permission"
    simulator.set_client("demo-client", scopes=[settings])
    findings = probe("m365")
    assert findings["problem"] == f"{lacks} {jobs}"
    assert found(findings, "schedule")[0][0].startswith("readable")
    assert found(findings, "unusual activity") == [
        (f"{lacks} microsoft365backup.unusualActivity.read.all", False)
    ]
    shown = avepoint("probe", "m365").out
    assert f"Not readable: the app lacks the permission {jobs}.".casefold() in shown.casefold()
    assert "| schedule | readable" in shown

    simulator.set_client("demo-client", scopes=None)
    for fault, fields, seen in (
        ("status", {"status": 401, "count": None}, "not readable: a fresh token is refused"),
        ("status", {"status": 501, "count": 1}, "not readable: answered with 501"),
        ("broken_json", {"count": 1}, "not readable: answered with what is no JSON"),
    ):
        simulator.add_fault(fault, path="/backup/m365/settings/backup/frequency", **fields)
        findings = probe("m365")
        assert found(findings, "schedule") == [(seen, True)]
        assert found(findings, "retention") == [("readable", False)]
        simulator.clear_faults()


def test_a_customers_answers_that_are_no_objects(probe: Callable[..., dict], simulator: Simulator) -> None:
    """The outer bracket of a sample is that of a list."""
    for name, about in (("unusual_activity", "unusual activity"), ("scan_changes", "coverage changes")):
        simulator.set_reading("elements", name, [])
        assert found(probe("elements"), about) == [("readable; the body is no object", True)]
        simulator.set_reading("elements", name, {})
        assert found(probe("elements"), f"{about}, fields")[0][1]
    simulator.set_client("demo-client", scopes=["elements.jobs.read.all", "elements.customers.read.all"])
    TOKENS.clear()
    lacking = found(probe("elements"), "unusual activity")
    assert lacking == [("not readable: the app lacks the permission elements.wm.read.all", False)]
    simulator.set_client("demo-client", scopes=None)
    simulator.add_fault(
        "status", path="/partner/external/v3/general", query={"pageSize": "50"}, status=200, body=[]
    )
    ((seen, differs),) = found(probe("elements"), "coverage of services")
    assert (seen, differs) == ("readable; the rows are not where the file has them: a list", True)


def test_a_location_and_an_organisation_are_asked_for_where_there_are_some(
    probe: Callable[..., dict], simulator: Simulator
) -> None:
    probe("m365", "--location", "EUR")
    probe("salesforce", "--organization-id", "org")

    asked = {each["path"].rpartition("/")[2]: each["query"] for each in simulator.requests()}
    for name in ("frequency", "retention-policy", "cloudbackupunusualactivitydata"):
        assert asked[name]["location"] == "EUR"
    for name in ("unusual-activities", "monitor-alerts"):
        assert asked[name]["organizationId"] == "org"


def test_a_product_without_page_numbers_is_asked_for_none(
    probe: Callable[..., dict], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has links only, in a header or in the body: whether they lead on is told, and no base."""
    product = PRODUCTS["iaas_paas"]
    history(simulator, "iaas_paas")
    for changed in ({}, {"envelope": replace(product.envelope, link_header="X-Next")}):
        numberless = replace(product, paging=replace(product.paging, index=None), **changed)
        monkeypatch.setitem(PRODUCTS, "iaas_paas", numberless)

        findings = probe("iaas_paas")

        assert found(findings, "page base") == []
        assert findings["jobs"] == 30
    assert not [name for each in simulator.requests() for name in each["query"] if name == "None"]
