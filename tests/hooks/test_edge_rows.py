"""Rows, filters and clocks at the edge of what AvePoint's documents allow, over sockets.

A test describes several small servers, names what is odd in each, and compares what gates on them come to.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointUnavailable
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.verdict import Reason, Verdict
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED
from tests.hooks.drivers import DRIVERS, path_of, with_one
from tests.sensors.modes import MODES, Outcome, Step, World, run

D, M, OLD_M = "dynamics365", "m365", "m365_legacy"
G, S, IAAS, SCANS, E = "google_workspace", "salesforce", "iaas_paas", "aos_scan", "elements"
ALL = tuple(PRODUCTS)
CUSTOMER = SIMULATED[E].default_organization[0]
ONE, TWO = "1a1a1a1a-aaaa-4bbb-8ccc-dddddddddddd", "2a2a2a2a-aaaa-4bbb-8ccc-dddddddddddd"
DAY, TIMEOUT = 86_400, 3600.0

#: What a gate names and where its jobs are, for products whose gates would else ask for more than one scope.
NAMED: dict[str, dict[str, Any]] = {
    name: {"object_types": [product.known_workloads[0]]}
    for name, product in PRODUCTS.items()
    if product.asks_each_object_type
} | {
    name: {"organization_ids": [SIMULATED[name].default_organization[0]]}
    for name, product in PRODUCTS.items()
    if product.needs_organization
}
PLACED: dict[str, dict[str, Any]] = {
    name: {"workload": named["object_types"][0]}
    for name, named in NAMED.items()
    if SIMULATED[name].workloads.default is None
}

Fields = dict[str, Any]


def key_of(product: str, column: str) -> str:
    """Return the key that *product*'s rows have for one of our fields."""
    keys = getattr(PRODUCTS[product].columns, column)
    return str(keys if isinstance(keys, str) else keys[0])


class Gate(NamedTuple):
    """A gate, the server that it asks, and what it comes to."""

    reason: str
    product: str
    jobs: Iterable[Fields]
    policy: Mapping[str, Any] = {}
    quirks: Mapping[str, Any] = {}

    def arrange(self, simulator: Simulator) -> None:
        """Make *simulator* the server."""
        simulator.reset()
        TOKENS.clear()  # the server knows them no more
        simulator.set_quirks(self.product, **self.quirks)
        simulator.add_jobs(
            {"product": self.product, **PLACED.get(self.product, {}), **job} for job in self.jobs
        )

    @property
    def arguments(self) -> Fields:
        """The gate's policy."""
        named = NAMED.get(self.product, {})
        return {"product": self.product, "max_age": DAY, **named, **self.policy}


def job(state: str | None = "success", *, hours: float = 2, **fields: Any) -> Fields:
    """Return a job that started *hours* ago and took ten minutes, in the simulator's words."""
    told = {} if state is None else {"state": state}
    return {"started_ago": hours * 3600, **told, **fields}


def ago(hours: float) -> str:
    """Return a moment as rows show it."""
    return f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def without_offset(hours: float) -> str:
    return ago(hours).removesuffix("Z")


def ignoring(*parameters: str) -> Fields:
    """Return the quirk of a server that does not filter by *parameters*."""
    return {"ignored_parameters": list(parameters)}


_turn = itertools.cycle(DRIVERS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test one of the drivers, in turn: rows are read in one way, whichever driver brings them."""
    if "driver" in metafunc.fixturenames:
        mark = with_one(next(_turn))
        metafunc.parametrize(*mark.args, **mark.kwargs)


@pytest.fixture(autouse=True)
def _connected(connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    connect()


@pytest.fixture
def look(driver: Any, simulator: Simulator) -> Callable[[Gate], Verdict]:
    def judge(gate: Gate) -> Verdict:
        gate.arrange(simulator)
        verdict: Verdict = driver.judge(**gate.arguments)
        return verdict

    return judge


@pytest.fixture
def hold(look: Callable[[Gate], Verdict]) -> Callable[[Mapping[str, Gate]], None]:
    """Return a check that each of several gates comes to its reason."""

    def check(gates: Mapping[str, Gate]) -> None:
        found = {name: look(gate) for name, gate in gates.items()}
        assert {name: gate.reason for name, gate in gates.items()} == {
            name: str(verdict.reason) for name, verdict in found.items()
        }, [verdict.describe() for verdict in found.values()]

    return check


Hold = Callable[[Mapping[str, Gate]], None]
Look = Callable[[Gate], Verdict]


@pytest.fixture
def read_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return a function that returns what has been logged since its last call, wherever Airflow logs to."""

    def read() -> str:
        text = caplog.text + capsys.readouterr().out
        caplog.clear()
        return text

    return read


def reasons(verdict: Verdict) -> dict[str, str]:
    """Return the reason of each scope."""
    return {str(each.scope): str(each.reason) for each in verdict.scopes}


# Gates that must not open.

LOG_TYPE = {D: "audit_backup", S: "audit_log_backup"}
AUDITED = {product: {"job_type": ["backup", kind]} for product, kind in LOG_TYPE.items()}


def test_an_audit_log_holds_no_data(hold: Hold) -> None:
    """Job types that hold something else are a scope of their own, and an absent one is missed."""
    for product, both in AUDITED.items():
        log = job(hours=1, job_type=LOG_TYPE[product])
        hold(
            {
                "the data failed": Gate("failed", product, [job("failed"), log], both),
                "no data": Gate("missed", product, [log], both),
                "no log": Gate("missed", product, [job()], both),
                "any of them": Gate("failed", product, [job("failed"), log], {**both, "decide_by": "any"}),
                "both": Gate("passed", product, [job(), log], both),
            }
        )


def test_a_finish_never_stands_for_a_start(hold: Hold) -> None:
    """Without a start, a backup began at its finish less its duration; without that, nobody knows when."""
    long = {"hours": 33, "finished_at": ago(23)}  # it ended an hour after the cut
    short = {"hours": 2, "finished_at": ago(1)}
    since = {"max_age": None, "started_after": ago(24)}

    def gone(product: str, fields: Fields) -> list[Fields]:
        absent = "N/A" if product == E else None
        return [job(**fields, extra={key_of(product, "started_at"): absent})]

    timed = (D, M, OLD_M, IAAS, E)
    hold(
        {f"{product}, ten hours": Gate("stale", product, gone(product, long)) for product in timed}
        | {f"{product}, one hour": Gate("passed", product, gone(product, short)) for product in timed}
        | {
            "before started_after": Gate("stale", D, gone(D, long), since),
            "no duration": Gate("unknown_state", D, gone(D, {**short, "duration": None})),
        }
        | {
            f"{product} knows no duration": Gate("unknown_state", product, gone(product, short))
            for product in (S, G, SCANS)
        }
    )


@pytest.mark.no_cover
def test_one_id_twice_is_one_job(hold: Hold, look: Look) -> None:
    """Of two ends of one job the worse stands, whichever came first; one id in two modules is two jobs."""

    def twice(product: str, *states: str) -> list[Fields]:
        shown = {key_of(product, "job_id"): "J"}
        return [job(state, hours=5 - n, job_id=f"J{n}", extra=shown) for n, state in enumerate(states)]

    ends = (("success", "failed"), ("failed", "success"))
    hold(
        {
            f"{product}, {' then '.join(states)}": Gate("failed", product, twice(product, *states))
            for product in ALL
            for states in ends
        }
        | {"running, then good": Gate("passed", D, twice(D, "running", "success"))}
    )
    modules = {"customer_engagement": "success", "unified_operations": "failed"}
    two = [job(state, job_id="J", workload=module) for module, state in modules.items()]
    found = look(Gate("failed", D, two, {"object_types": list(modules)}))
    assert ["failed", "passed"] == sorted(str(scope.reason) for scope in found.scopes)


def test_a_server_that_does_not_filter(hold: Hold) -> None:
    """The same answer for all that is asked says nothing about any of it."""
    three = {"object_types": ["exchange_online", "sharepoint_online", "teams"]}
    places = {"locations": ["NAM", "EUR"]}
    ids = ["00D5g000004XyzAEAS", "00D5g000004AbcAEAS"]
    pair: Fields = {"organization_ids": ids}
    unnamed = {"shows_organization": False}
    here, there = (job(location=place, job_id=place) for place in ("NAM", "EUR"))
    hold(
        {
            "three object types": Gate("unreadable", M, [job()], three, ignoring("objectType")),
            "three, the older API": Gate("unreadable", OLD_M, [job()], three, ignoring("objectType")),
            "all object types": Gate(
                "unreadable", M, [job()], {"object_types": None}, ignoring("objectType")
            ),
            "two locations": Gate("unreadable", M, [here], places, ignoring("location")),
            "two locations, each its own": Gate("passed", M, [here, there], places),
            "two organisations": Gate(
                "unreadable", S, [job()], pair, {**unnamed, **ignoring("organizationId")}
            ),
            "two organisations, each its own": Gate(
                "passed", S, [job(organization_id=each) for each in ids], pair, unnamed
            ),
            "two customers, each its own": Gate(
                "failed",
                E,
                [job(organization_id=ONE), job("failed", organization_id=TWO)],
                {"organization_ids": [ONE, TWO]},
            ),
            "a machine for a directory": Gate(
                "unreadable", IAAS, [job()], {"object_types": ["entra_id"]}, ignoring("serviceType")
            ),
            "restores come too": Gate(
                "passed", D, [job(), job("failed", hours=1, job_type="restore")], {}, ignoring("type")
            ),
            "only restores": Gate("missed", D, [job(job_type="restore")], {}, ignoring("type")),
        }
    )


def test_a_server_that_does_not_filter_by_object_type_and_two_that_are_asked(
    hold: Hold, simulator: Simulator
) -> None:
    """Two may share a job, as a team and its group do; a third one, as a control, must not have it."""
    pair: Fields = {"object_types": ["teams", "microsoft_365_groups"]}
    shared = [job(workload=each, job_id="T") for each in pair["object_types"]]
    mail = job("failed", workload="exchange_online", job_id="X")
    hold(
        {
            "ignored": Gate("unreadable", M, [job()], pair, ignoring("objectType")),
            "shared, mail has its own": Gate("passed", M, [*shared, mail], pair),
            "shared, mail has none": Gate("passed", M, shared, pair),
            "each its own": Gate("passed", M, [{**each, "job_id": None} for each in shared], pair),
        }
    )
    asked = {request["query"].get("objectType") for request in simulator.requests(path_of(M))}
    assert {"4", "7"} == asked, "no control is asked for where the answers differ"


@pytest.mark.no_cover
def test_a_row_that_lacks_its_type(hold: Hold) -> None:
    """A row that lacks the type which its product's rows have may be of any job."""
    hold(
        {
            f"{product}, {missing!r}": Gate(
                "unreadable", product, [job(extra={key_of(product, "job_type"): missing})]
            )
            for product in ALL
            if PRODUCTS[product].columns.job_type is not None
            for missing in (None, "", "N/A")
        }
    )


def test_counts_and_states_that_are_there_are_read(hold: Hold) -> None:
    """Or the job is not understood; where a row has two values, the worse holds."""
    counts = {"totalCount": 1000, "failedCount": 400, "successfulCount": 600, "skippedCount": 0}

    def details(value: Any) -> Fields:
        return job(extra={"backupDetails": value})

    hold(
        {
            "a list of one": Gate("partial", M, [details([counts])]),
            "a text": Gate("partial", M, [details(json.dumps(counts))]),
            "a list of two": Gate("unreadable", M, [details([counts, counts])]),
            "a text that is none": Gate("unreadable", M, [details("400 of 1000")]),
            "null beside a number": Gate("partial", M, [details({**counts, "failedNumber": None})]),
            "two numbers": Gate("partial", M, [details({**counts, "failedCount": 0, "failedNumber": 400})]),
            "beside the object": Gate(
                "partial", M, [job(extra={"backupDetails": {**counts, "failedCount": 0}, "failedCount": 400})]
            ),
            "salesforce, two states": Gate("failed", S, [job(extra={"status": 2, "state": 4})]),
            "salesforce, the other way": Gate("failed", S, [job(extra={"status": 4, "state": 2})]),
            "iaas, two states": Gate("failed", IAAS, [job(extra={"status": 2, "state": 16})]),
            "dynamics, no number": Gate("unreadable", D, [job(extra={"failedEntity": "many"})]),
            "elements, no number": Gate("unreadable", E, [job(extra={"failedCount": "?"})]),
        }
    )


@pytest.mark.no_cover
def test_what_no_count_explains_has_failed(hold: Hold) -> None:
    nothing_done = {"total": 1000}
    some, most = {"total": 1000, "successful": 200}, {"total": 1000, "successful": 997, "failed": 1}
    few = {"max_failed": 5}
    counted = (D, M, OLD_M, S, IAAS, E)
    hold(
        {f"{product}, nothing": Gate("partial", product, [job(counts=nothing_done)]) for product in counted}
        | {
            f"{product}, 200 of 1000": Gate("partial", product, [job("partial", counts=some)], few)
            for product in counted
        }
        | {
            f"{product}, 997 of 1000": Gate("passed", product, [job("partial", counts=most)], few)
            for product in counted
        }
        | {
            "dynamics, no record": Gate("partial", D, [job(record_counts=nothing_done)]),
            "salesforce, no metadata": Gate("partial", S, [job(metadata_counts=nothing_done)]),
            "a ratio": Gate("partial", M, [job("partial", counts=some)], {"max_failed_ratio": 0.1}),
        }
    )


HALF = {"total": 1000, "successful": 600, "failed": 400}


def wait_for_job(mode: str, product: str, simulator: Simulator, *rows: Fields, **options: Any) -> Outcome:
    """Return how a wait for the job of *rows* ends, at its timeout if not before."""

    def appear(world: World) -> None:
        for fields in rows:
            world.simulator.add_job(product, **{"job_id": "J", **fields})

    return run(
        mode,
        lambda **modes: AvePointJobSensor(
            task_id="wait", product=product, job_id="J", timeout=TIMEOUT, **options, **modes
        ),
        World(simulator, [appear, time_is_up]),
    )


def time_is_up(world: World) -> None:
    world.passed += TIMEOUT + 1


def impossible(product: str) -> dict[str, Fields]:
    """Return jobs of *product* whose finish cannot be."""
    finish = key_of(product, "finished_at")
    return {
        "finish before start": job(extra={finish: ago(3)}),
        "finish three hours ahead": job(extra={finish: ago(-3)}),
        "start three hours ahead": job(hours=-3),
    }


@pytest.mark.parametrize("mode", MODES)
def test_a_job_is_graded_as_a_gate_grades_it(mode: str, simulator: Simulator) -> None:
    """400 of 1,000 objects that failed, times that cannot be and a second, worse row are seen here too."""
    for product in (M, D):
        simulator.reset()
        outcome = wait_for_job(mode, product, simulator, job(counts=HALF))
        assert outcome.kind is exceptions.AvePointJobFailed, outcome.error
        assert "400" in outcome.message

        simulator.reset()
        assert None is wait_for_job(mode, product, simulator, job(counts=HALF), accept_partial=True).kind

    for name, fields in impossible(D).items():
        simulator.reset()
        outcome = wait_for_job(mode, D, simulator, fields, accept_partial=True)
        assert outcome.kind in (AirflowSensorTimeout, exceptions.AvePointJobFailed), name

    simulator.reset()
    again = job("failed", job_id="again", extra={"jobId": "J"})
    assert exceptions.AvePointJobFailed is wait_for_job(mode, D, simulator, job(), again).kind


@pytest.mark.no_cover
def test_times_that_cannot_be(hold: Hold) -> None:
    """A finish before the start, or more than five minutes ahead, is never a pass."""
    lenient = {"accept_partial": True}
    ended = {"raw_state": "Partially Finished"}
    # Both moments are fixed: they come nearer while a slow machine works, and are good all the same.
    ahead = {"state": "success", "started_at": ago(-4 / 60), "finished_at": ago(-4.5 / 60)}
    hold({"four minutes ahead": Gate("passed", D, [ahead])})
    hold(
        {
            f"{product}, {name}": Gate("clock_skew", product, [each], lenient)
            for product in ALL
            for name, each in impossible(product).items()
        }
        | {
            f"partially finished in {moment[:4]}": Gate(
                "clock_skew", M, [job(None, extra={"finishTime": moment}, **ended)], lenient
            )
            for moment in ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
        }
        | {
            "partially finished": Gate("passed", M, [job(None, **ended)], lenient),
        }
    )


def test_organisations_that_differ_in_case_only(hold: Hold, look: Look) -> None:
    """They are two where their ids are no GUIDs."""
    good, bad = "00D5g000004ABCdEAO", "00D5g000004abcdEAO"
    jobs = [job(organization_id=good), job("failed", organization_id=bad, hours=3)]
    gate = Gate("failed", S, jobs, {"organization_ids": [good, bad]})
    assert {good: "passed", bad: "failed"} == reasons(look(gate))
    assert {good: "passed", bad: "failed"} == reasons(look(gate._replace(policy={})))
    guids = [job(organization_id=ONE.upper()), job("failed", organization_id=ONE, hours=3)]
    hold(
        {
            "the good one alone": gate._replace(reason="passed", policy={"organization_ids": [good]}),
            "the bad one alone": gate._replace(policy={"organization_ids": [bad]}),
            "a GUID": Gate("passed", D, guids),
        }
    )


@pytest.mark.no_cover
def test_a_200_that_says_that_it_is_none(driver: Any, simulator: Simulator) -> None:
    """An answer without success is an error, and no empty list."""
    for product, form in itertools.product(ALL, ("success", "status_code", "error")):
        gate = Gate("", product, [job()])
        gate.arrange(simulator)
        simulator.add_fault("error_body", form=form, path=path_of(product), count=None)
        with pytest.raises(AvePointUnavailable):
            driver.judge(**gate.arguments)


# Gates that must not stay shut.

JUNK: Fields = {"status": {"a": 1}, "startTime": "soon", "failedEntity": "x", "finishTime": []}


def test_a_row_that_is_not_asked_for_shuts_nothing(hold: Hold) -> None:
    """It is left out before anything else of it is read."""
    mine, theirs = job(organization_id=ONE), {"organization_id": TWO}
    only_mine = {"organization_ids": [ONE]}
    old = 24 * 900
    hold(
        {
            "another organisation's": Gate(
                "passed", D, [mine, job(**theirs, extra=JUNK)], only_mine, ignoring("organizationId")
            ),
            "another organisation's, naive": Gate(
                "passed",
                D,
                [mine, job(hours=144, **theirs, extra={"startTime": without_offset(144)})],
                only_mine,
                ignoring("organizationId"),
            ),
            "a restore": Gate("passed", D, [mine, job(job_type="restore", extra=JUNK)], {}, ignoring("type")),
            "naive, wholly outside": Gate(
                "passed",
                D,
                [mine, job("failed", hours=39, organization_id=ONE, extra={"startTime": without_offset(39)})],
            ),
        }
        | {
            f"{product} of 2023": Gate(
                "passed",
                product,
                [job(), job(hours=old, extra={"status": "?", "failedCount": [], "state": {}, **naive})],
            )
            for product in (E, SCANS)
            for naive in ({}, {"startTime": without_offset(old)})
        }
    )


def test_what_no_verdict_reads_shuts_nothing(hold: Hold) -> None:
    errors = ["disk full", {"isErrorCode": 1, "value": "x", "number": -1}, 7]
    unread: dict[str, list[Fields]] = {
        D: [{"backupSize": "1.2 GB"}, {"backupSize": -1}, {"durationHours": "-"}, {"organizationName": [1]}],
        M: [{"jobErrors": errors}, {"jobErrors": "none"}, {"duration": "soon"}],
        E: [{"jobDuration": "-"}, {"backupSize": "-1 GB"}, {"name": None}],
        S: [{"dataSize": "x"}, {"apiCalls": "many"}],
        G: [{"progress": "done"}],
        SCANS: [{"extension": 7}, {"scanProfileName": {}}],
    }
    hold(
        {
            f"{product}, {extra}": Gate("passed", product, [job(extra=extra)])
            for product, all_extra in unread.items()
            for extra in all_extra
        }
        | {
            "iaas, running": Gate(
                "passed", IAAS, [job(), job("running", hours=1, duration="-739575.05:12:33")]
            )
        }
    )


def test_an_unreadable_row_shuts_its_own_scope(hold: Hold, look: Look, driver: Any) -> None:
    """The others are judged, and a listing goes on with the row and what is wrong with it."""
    fine = job(organization_id=ONE, job_id="fine")

    def odd(**extra: Any) -> Fields:
        return job(organization_id=TWO, job_id="odd", hours=1, extra=extra)

    for extra in ({"startTime": "soon"}, {"failedEntity": "x"}, {"status": {}}, {"finishTime": [1]}):
        found = look(Gate("unreadable", D, [fine, odd(**extra)]))
        expected = {
            f"{ONE} / customer_engagement": "passed",
            f"{TWO} / customer_engagement": "unreadable",
        }
        assert (expected, "unreadable") == (reasons(found), found.reason)
        (name,) = extra
        assert name in found.describe()
        listed = {each.job_id: each for each in driver.list_jobs(D)}
        assert ((), True) == (listed["fine"].problems, name in listed["odd"].problems[0])

    hold(
        {
            "alone": Gate("unreadable", D, [odd(startTime="soon")]),
            "an older good one": Gate("unreadable", G, [job(), job(hours=1, extra={"startTime": "soon"})]),
            "naive, may be inside": Gate("unreadable", D, [odd(startTime=without_offset(2))]),
            "failed beside it": Gate("failed", D, [job("failed"), odd(startTime="soon")]),
            "it does not say its app": Gate(
                "unreadable", G, [job(), job(extra={"appType": None, "startTime": "soon"})]
            ),
        }
    )


def test_elements_rows_that_stand_for_no_job(look: Look, driver: Any) -> None:
    """A service that is not scanned, or disabled, has a row without an id."""
    for given in ("N/A", ""):
        none = [
            job(None, raw_state=state, extra={"jobId": given, "startTime": "N/A", "endTime": "N/A"})
            for state in (11, 12, "Not scanned", "12")
        ]
        assert look(Gate("passed", E, [job(job_id="J"), *none])).passed
        assert ["J"] == [each.job_id for each in driver.list_jobs(E)]
        assert "missed" == look(Gate("missed", E, none)).reason


def test_spellings_of_an_organisation(look: Look, simulator: Simulator) -> None:
    """However a GUID is written, the server is asked by the vendor's form, and once."""
    for given in (
        [ONE.upper()],
        [f"{{{ONE}}}"],
        [ONE.replace("-", "")],
        [f" {ONE}\r\n"],
        [ONE, ONE.upper()],
        f'["{ONE.upper()}"]',
    ):
        found = look(Gate("passed", D, [job(organization_id=ONE)], {"organization_ids": given}))
        assert {f"{ONE} / customer_engagement": "passed"} == reasons(found), given
        asked = {request["query"]["organizationId"] for request in simulator.requests(path_of(D))}
        assert {ONE} == asked


def test_an_organisation_that_the_server_spells_otherwise(hold: Hold, simulator: Simulator) -> None:
    """Where an id brings nothing, all organisations are listed once before it is missed."""
    braced = job(organization_id=f"{{{ONE.upper()}}}")
    wanted = {"organization_ids": [ONE]}
    hold(
        {
            "braces": Gate("passed", D, [braced], wanted),
            "braces, failed": Gate("failed", D, [{**braced, "state": "failed"}], wanted),
            "two, one of them known": Gate(
                "passed", S, [braced, job(organization_id=TWO)], {"organization_ids": [ONE, TWO]}
            ),
            "nothing of it": Gate("missed", D, [job(organization_id=TWO)], wanted),
        }
    )
    asked = [request["query"].get("organizationId") for request in simulator.requests(path_of(D))]
    assert [ONE, None] == asked


def test_states_and_modules_in_another_form(hold: Hold) -> None:
    engagement = {"object_types": ["customer_engagement"]}
    states = {3.0: "passed", "3 ": "passed", " finished ": "passed", "Finished With Exceptions": "partial"}
    hold(
        {f"status {raw!r}": Gate(reason, D, [job(None, raw_state=raw)]) for raw, reason in states.items()}
        | {
            f"module {name!r}": Gate("passed", D, [job(extra={"module": name})], engagement)
            for name in ("CustomerEngagement", "customer engagement", " CUSTOMER_ENGAGEMENT ")
        }
        | {
            "one module in two forms": Gate(
                "passed", D, [job("failed", hours=4), job(extra={"module": "CustomerEngagement"})]
            ),
            "null beside a state": Gate("passed", S, [job(extra={"status": None, "state": 2})]),
            "null beside a failure": Gate("failed", S, [job(extra={"status": None, "state": 4})]),
            "exceptions, M365": Gate("partial", M, [job(None, raw_state="Finished With Exceptions")]),
            "an unknown word": Gate("unknown_state", D, [job(None, raw_state="Finnished")]),
        }
    )


def test_a_newer_good_backup_that_may_not_decide(look: Look, connect: Callable[..., str]) -> None:
    """The message names the newer backup and the ways out, and each way opens the gate."""
    old, new = job("failed", hours=5, job_id="OLD"), job(hours=4, job_id="NEW")
    gates = [Gate("failed", product, [old, new]) for product in (M, G)]
    for gate in gates:
        shut = look(gate)
        assert (False, "failed") == (shut.passed, shut.reason)
        for part in ("job OLD", "the newer job NEW", 'decide_by="newest"', "single_tenant"):
            assert part in shut.describe()
        assert look(gate._replace(policy={"decide_by": "newest"})).passed
    machine = look(Gate("failed", IAAS, [old, new])).describe()
    assert ("the newer job NEW" in machine, "single_tenant" in machine) == (True, False)

    connect(extra={"single_tenant": True})
    for gate in gates:
        assert look(gate).passed
        assert "failed" == look(gate._replace(jobs=[job("failed", hours=3), new])).reason
    assert "failed" == look(Gate("failed", IAAS, [old, new])).reason


@pytest.mark.no_cover
def test_three_thousand_failures_make_a_short_message(look: Look) -> None:
    """It names the worst twenty and how many more; the evidence is whole."""
    names = [f"organisation-{number:04}" for number in range(3000)]
    found = look(Gate("failed", D, [job("failed", organization_id=name) for name in names]))
    text = found.describe()
    assert 20 == sum(name in text for name in names)
    assert "and 2980 more" in text
    assert len(text) < 5000
    assert 3000 == len(found.as_dict()["scopes"])


def set_clock(simulator: Simulator, hours: float) -> None:
    """Let the server's clock be ahead of this machine's."""
    simulator.reset()
    simulator.set_clock(ahead_seconds=hours * 3600)


@pytest.mark.no_cover
def test_the_apis_clock_decides(driver: Any, simulator: Simulator, read_log: Callable[[], str]) -> None:
    """A worker's clock that is three hours ahead or behind changes no verdict, and is warned of."""
    for product, (ahead, hours, reason) in itertools.product(
        (D, M, G, S, E), ((-3, 22, "passed"), (3, 26, "stale"), (3, 0.2, "passed"), (-3, -1, "clock_skew"))
    ):
        set_clock(simulator, ahead)
        simulator.add_job(product, **PLACED.get(product, {}), **job(hours=hours))
        found = driver.judge(**Gate(reason, product, []).arguments)
        assert (product, ahead, reason) == (product, ahead, found.reason)
        said = rf"clock is (2:5\d:\d\d|3:0\d:\d\d) {'behind' if ahead > 0 else 'ahead of'} the API's"
        assert re.search(said, read_log())


def test_an_id_that_is_none(look: Look, read_log: Callable[[], str]) -> None:
    """A name is refused with the id that it stands for; what nobody knows is warned of at each look."""
    known = [job(organization_id=ONE, organization_name="contoso-sales")]
    for given in ("contoso-sales", "Contoso-Sales "):
        with pytest.raises(AvePointConfigError, match=f"is the name of {ONE}; give the id"):
            look(Gate("", D, known, {"organization_ids": [given]}))
    for _ in range(2):
        assert "missed" == look(Gate("missed", D, known, {"organization_ids": [ONE, "contoso"]})).reason
        assert "no job of organisation contoso has started since" in read_log()


def test_the_message_names_the_window(look: Look, driver: Any) -> None:
    """So that a max_age that was meant otherwise is seen; a number without a unit is refused."""
    for reason, jobs in {"stale": [job(hours=5)], "missed": []}.items():
        found = look(Gate(reason, D, jobs, {"max_age": "4h", "object_types": ["customer_engagement"]}))
        since = f"no backup has started since {found.judged_at - timedelta(hours=4):%Y-%m-%d %H:%M} UTC"
        assert (reason, True) == (found.reason, since in found.describe())
    with pytest.raises(AvePointConfigError, match="max_age"):
        driver.judge(product=D, max_age="24")


def test_a_scope_that_look_back_has_let_go(look: Look, read_log: Callable[[], str]) -> None:
    """It is in the evidence as forgotten for as long again, and warned of; then it is gone."""
    last: dict[str, tuple[Fields, Fields]] = {
        D: (job(organization_id=ONE), {"organization_id": TWO}),
        S: (job(organization_id=ONE), {"organization_id": TWO}),
        G: (job(), {"workload": "drive"}),
        E: (job(), {"workload": "teams_chat"}),
    }
    for product, (good, other) in last.items():
        for days, expected in ((9, [Reason.FORGOTTEN, Reason.PASSED]), (20, [Reason.PASSED])):
            found = look(Gate("passed", product, [good, job("failed", hours=24 * days, **other)]))
            assert (True, expected) == (found.passed, sorted(scope.reason for scope in found.scopes))
            assert ("no longer expected" in read_log()) == (days == 9)


# The same gates as waits.

UNFILTERED = {"object_types": ["exchange_online", "sharepoint_online", "teams"]}
ODD = job(hours=1, job_id="odd", organization_id=ONE, extra={"startTime": "soon"})
WAITS: dict[str, tuple[Gate, type[Exception], str]] = {
    "the data failed, the log is good": (
        Gate("failed", D, [job("failed"), job(hours=1, job_type="audit_backup")], AUDITED[D]),
        exceptions.AvePointBackupFailed,
        "failed",
    ),
    "no data, the log is good": (
        Gate("missed", D, [job(job_type="audit_backup")], AUDITED[D]),
        AirflowSensorTimeout,
        "missed, no backup has started since",
    ),
    "object types are ignored": (
        Gate("unreadable", M, [job()], UNFILTERED, ignoring("objectType")),
        AirflowSensorTimeout,
        "the server does not filter by objectType",
    ),
    "two object types are ignored": (
        Gate("unreadable", M, [job()], {"object_types": ["teams", "onedrive"]}, ignoring("objectType")),
        AirflowSensorTimeout,
        "the server does not filter by objectType",
    ),
    "unreadable": (Gate("unreadable", D, [ODD]), AirflowSensorTimeout, "startTime"),
    "a newer one runs, which mends nothing": (
        Gate("failed", G, [job("failed"), job("running", hours=1)]),
        exceptions.AvePointBackupFailed,
        "failed",
    ),
}
MISNAMED = Gate("", D, [job(organization_name="contoso-sales")], {"organization_ids": ["contoso-sales"]})


def nothing_yet(world: World) -> None:
    world.simulator.reset()


def wait(mode: str, gate: Gate, simulator: Simulator, *steps: Step) -> Outcome:
    """Return how a wait on *gate* ends."""
    return run(
        mode,
        lambda **modes: AvePointBackupSensor(task_id="wait", timeout=TIMEOUT, **gate.arguments, **modes),
        World(simulator, list(steps)),
    )


@pytest.mark.parametrize("mode", MODES)
def test_waits_end_as_their_gates_say(mode: str, simulator: Simulator) -> None:
    """In every mode, at the first look and later; what waiting may mend is waited for until the timeout."""
    for name, (gate, error, says) in WAITS.items():

        def appear(world: World, gate: Gate = gate) -> None:
            gate.arrange(world.simulator)

        def appear_at_last(world: World, gate: Gate = gate, error: type[Exception] = error) -> None:
            gate.arrange(world.simulator)
            if error is AirflowSensorTimeout:
                time_is_up(world)

        for steps in ([appear, time_is_up], [nothing_yet, appear_at_last]):
            outcome = wait(mode, gate, simulator, *steps)
            assert (name, error) == (name, outcome.kind), outcome.error
            assert says in outcome.message


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_by_a_name_ends_at_its_first_look(mode: str, simulator: Simulator) -> None:
    outcome = wait(mode, MISNAMED, simulator, lambda world: MISNAMED.arrange(world.simulator))
    assert (exceptions.AvePointConfigError, 0) == (outcome.kind, outcome.pauses)
    assert "is the name of" in outcome.message


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_goes_on_until_a_row_can_be_read(mode: str, simulator: Simulator) -> None:
    gate = Gate("unreadable", D, [ODD])

    def mend(world: World) -> None:
        world.simulator.patch_job(D, "odd", extra={})

    outcome = wait(mode, gate, simulator, nothing_yet, lambda world: gate.arrange(world.simulator), mend)
    assert (None, True) == (outcome.error, outcome.value["passed"])


@pytest.mark.parametrize("mode", MODES)
def test_waits_go_by_the_apis_clock(mode: str, simulator: Simulator) -> None:
    """What has just ended there is not of the future, where the worker's clock is three hours behind."""
    for ahead, hours in ((3, 0.2), (-3, 22)):

        def appear(world: World, ahead: float = ahead, hours: float = hours) -> None:
            set_clock(world.simulator, ahead)
            world.simulator.add_job(D, job_id="J", **job(hours=hours))

        for make in (
            lambda **modes: AvePointBackupSensor(task_id="wait", product=D, max_age=DAY, **modes),
            lambda **modes: AvePointJobSensor(task_id="wait", product=D, job_id="J", **modes),
        ):
            for steps in ([appear], [nothing_yet, appear]):
                assert None is run(mode, make, World(simulator, list(steps))).error


# Organisations that the server, or the user, writes in another way.

CUSTOMERS = {"organization_ids": [ONE, TWO]}


def test_a_server_that_ignores_the_customer(look: Look) -> None:
    """One job for two customers, which rows do not name, is not understood."""
    gate = Gate("unreadable", E, [job(organization_id=ONE)], CUSTOMERS, ignoring("customerId"))
    assert "unreadable" == look(gate).reason


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_for_an_organisation_that_the_server_spells_otherwise(mode: str, simulator: Simulator) -> None:
    gate = Gate("passed", D, [job(organization_id=f"{{{ONE.upper()}}}")], {"organization_ids": [ONE]})
    outcome = wait(mode, gate, simulator, nothing_yet, lambda world: gate.arrange(world.simulator))
    assert (None, True) == (outcome.error, outcome.value["passed"])


@pytest.mark.parametrize("more", [[], [TWO]], ids=["alone", "beside an id"])
@pytest.mark.parametrize("mode", MODES)
def test_a_name_is_refused_at_a_later_look_too(mode: str, more: list[str], simulator: Simulator) -> None:
    gate = MISNAMED._replace(policy={"organization_ids": ["contoso-sales", *more]})

    def appear(world: World) -> None:
        gate.arrange(world.simulator)
        time_is_up(world)

    outcome = wait(mode, gate, simulator, nothing_yet, appear)
    assert exceptions.AvePointConfigError is outcome.kind
