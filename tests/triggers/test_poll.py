"""The poll that waits share: what it costs, when it asks, and how it ends. Times are real, but scaled.

A round is counted by the poll's own line of the log, its requests by the simulator's journal.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.batching import FEW_JOBS, FEW_ORGANIZATIONS, Answers
from airflow_provider_avepoint.core.clock import ApiClock
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import JobQuery, widen
from airflow_provider_avepoint.core.verdict import Verdict
from airflow_provider_avepoint.hooks import avepoint as hooks
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers import poll
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupTrigger, AvePointJobTrigger
from tests.triggers import server

#: How many examples ``make fuzz`` wants, which looks for new ones; a hundredth is enough for a whole poll.
FUZZ = int(os.environ.get("AVEPOINT_FUZZ_EXAMPLES", "0"))
EXAMPLES = max(20, FUZZ // 100)
LONGEST_WAIT = 300.0  # seconds: a backstop, which no wait comes near on any machine
MANY = 60
TOKEN = "/connect/token"
Trigger = AvePointBackupTrigger | AvePointJobTrigger
Connect = Callable[..., str]

#: What a round may cost: the gates of a product that must be asked per object type cost one listing each, and
#: one for all together.
BUDGET = {
    "dynamics365": 10,
    "google_workspace": 10,
    "salesforce": 10,
    "aos_scan": 10,
    "m365": 16,
    "m365_legacy": 18,
    "iaas_paas": 24,
}
PATHS = {name: get_product(name).path for name in BUDGET}


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def wait_arguments(**given_arguments: Any) -> dict[str, Any]:
    return {
        "avepoint_conn_id": "avepoint_default",
        "poll_interval": 0.1,
        "started_at": soon(0),
        **given_arguments,
    }


def job_wait(product: str = "dynamics365", job_id: str = "J0", **arguments: Any) -> AvePointJobTrigger:
    return AvePointJobTrigger(product=product, job_id=job_id, **wait_arguments(**arguments))


def gate(
    product: str = "dynamics365", policy: dict[str, Any] | None = None, **arguments: Any
) -> AvePointBackupTrigger:
    written = Policy(product=product, **({"max_age": 86400} | (policy or {}))).as_dict()
    return AvePointBackupTrigger(policy=written, **wait_arguments(**arguments))


def job_waits(product: str, count: int, **arguments: Any) -> list[Trigger]:
    return [job_wait(product, f"J{number}", **arguments) for number in range(count)]


def gates(product: str, count: int, **arguments: Any) -> list[Trigger]:
    """Return gates of as many different policies."""
    return [gate(product, {"max_age": 3600 + number}, **arguments) for number in range(count)]


def add_running(simulator: Simulator, product: str, count: int, **fields: Any) -> None:
    known = get_product(product)
    named = {"organization_id": "contoso"} if known.tells_organizations else {}
    simulator.add_jobs(
        {"product": product, "job_id": f"J{number}", "state": "running", **named, **fields}
        for number in range(count)
    )


async def run(trigger: Trigger) -> dict[str, Any]:
    """Return the trigger's one event; what it logs can be caught."""
    trigger._log = logging.getLogger("trigger")
    (event,) = [event.payload async for event in trigger.run()]
    assert event == json.loads(json.dumps(event))
    return event


async def until(condition: Callable[[], object]) -> None:
    """Wait for *condition*, on a machine however slow."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not condition():  # noqa: ASYNC110  # what is waited for is another thread's
            await asyncio.sleep(0.01)


@asynccontextmanager
async def waiting(*triggers: Trigger) -> AsyncIterator[list[asyncio.Task[dict[str, Any]]]]:
    """Run *triggers*, and cancel those that still wait at the end."""
    tasks = [asyncio.create_task(run(trigger)) for trigger in triggers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def events_of(*triggers: Trigger) -> list[dict[str, Any]]:
    async with asyncio.timeout(LONGEST_WAIT), waiting(*triggers) as tasks:
        return list(await asyncio.gather(*tasks))


@dataclass
class Rounds(logging.Handler):
    """The rounds of polls: of each its line, when it came, and how many requests there had been by then."""

    simulator: Simulator
    lines: list[logging.LogRecord] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    calls: dict[int, Callable[[], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record)
        self.marks.append(len(self.simulator.requests()))
        self.calls.pop(len(self.lines), int)()

    def at_the_end_of(self, number: int, call: Callable[[], object]) -> None:
        """Have *call* called once so many rounds have ended, before any wait has its answer."""
        self.calls[number] = call

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def requests(self) -> list[list[dict[str, Any]]]:
        """The requests of each round, those for tokens left out."""
        journal = self.simulator.requests()
        begins = [0, *self.marks]
        return [
            [entry for entry in journal[begin:end] if entry["path"] != TOKEN]
            for begin, end in zip(begins, self.marks, strict=False)
        ]

    @property
    def sizes(self) -> list[int]:
        """How many waits each round was for."""
        return [int(line.getMessage().split(" waits")[0].rsplit(" ", 1)[1]) for line in self.lines]


@pytest.fixture
def rounds(simulator: Simulator) -> Iterator[Rounds]:
    handler = Rounds(simulator)
    level = poll.log.level
    poll.log.addHandler(handler)
    poll.log.setLevel(logging.INFO)
    yield handler
    poll.log.removeHandler(handler)
    poll.log.setLevel(level)


@dataclass
class Clock:
    """The polls' clock, which the test sets: time passes between rounds alone, and from one to the next.

    :param time: whole seconds add up without a rest.
    :param due: until when a poll pauses; None while none does.
    """

    rounds: Rounds
    time: float = 0.0
    due: float | None = None

    async def pause(self, changed: asyncio.Event, seconds: float) -> None:
        """Stand in for the poll's own."""
        self.due = self.time + seconds
        try:
            while self.time < self.due and not changed.is_set():  # noqa: ASYNC110  # the test sets the time
                await asyncio.sleep(0.001)
        finally:
            self.due = None

    async def go_on(self) -> float:
        """Let time pass until one more round has come, and return when that was."""
        seen = len(self.rounds)

        def has_come() -> bool:
            if len(self.rounds) == seen and self.due not in {None, float("inf")}:
                waits = [wait for each in polls() for wait in each.waits]
                self.time = self.due if all(wait.is_waiting for wait in waits) else self.time
            return len(self.rounds) > seen

        await until(has_come)
        return self.time


@pytest.fixture
def clock(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(rounds)
    monkeypatch.setattr(poll, "pause", made.pause)
    monkeypatch.setattr(poll.Poll, "now", lambda _poll: made.time)
    return made


@pytest.fixture(autouse=True)
def _scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits poll faster than once a second, and retries come at once."""
    monkeypatch.setattr(poll, "LEAST_INTERVAL", 0.05)
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


def polls() -> list[poll.Poll]:
    return [each for of_loop in poll._POLLS.values() for each in of_loop.values()]


def polls_alive() -> int:
    gc.collect()
    return len(polls())


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Whatever happened: no poll is registered once its loop has closed."""
    yield
    assert polls_alive() == 0


def what_is_left() -> list[object]:
    """Return what a poll that has ended must not leave behind on this loop."""
    gc.collect()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    sessions = [
        each for each in gc.get_objects() if issubclass(type(each), aiohttp.ClientSession) and not each.closed
    ]
    return [*tasks, *sessions, *poll._POLLS.get(asyncio.get_running_loop(), {}).values()]


# What it costs


async def cost_of_a_round(
    simulator: Simulator, rounds: Rounds, triggers: Iterable[Trigger]
) -> tuple[list[Counter[str]], int]:
    """Return what the second and third round of *triggers* asked, and how much the dearest of three was.

    The waits end with the third round: requests of a fourth, given up, would be taken for the next poll's.
    """
    begun = len(rounds)
    ended = asyncio.Event()
    async with waiting(*triggers) as tasks:
        rounds.at_the_end_of(begun + 3, lambda: (ended.set(), *(task.cancel() for task in tasks)))
        await until(lambda: ended.is_set() or any(task.done() for task in tasks))
        assert ended.is_set()
    asked = rounds.requests[begun : begun + 3]
    return [Counter(entry["path"] for entry in each) for each in asked[1:]], max(map(len, asked))


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("product", "kinds"),
    [
        ("m365", "both"),
        ("iaas_paas", "both"),
        ("salesforce", "both"),
        ("dynamics365", "gates"),
        ("m365", "jobs"),
    ],
)
async def test_a_round_costs_the_same_for_however_many(
    simulator: Simulator, connect: Connect, rounds: Rounds, product: str, kinds: str
) -> None:
    connect()
    add_running(simulator, product, MANY)

    def triggers(count: int) -> list[Trigger]:
        made: list[Trigger] = []
        if kinds != "gates":
            made += job_waits(product, count)
        if kinds != "jobs":
            made += gates(product, count)
        return made

    few, dearest_of_few = await cost_of_a_round(simulator, rounds, triggers(FEW_JOBS + 1))
    many, dearest = await cost_of_a_round(simulator, rounds, triggers(MANY // 2))

    assert few == many
    assert max(dearest, dearest_of_few) <= (10 if kinds == "jobs" else BUDGET[product])


@pytest.mark.no_cover
@pytest.mark.parametrize("product", ["dynamics365", "m365"])
async def test_hundreds_of_waits_on_as_many_jobs(
    simulator: Simulator, connect: Connect, rounds: Rounds, product: str
) -> None:
    connect()
    add_running(simulator, product, 300)

    _, dearest = await cost_of_a_round(simulator, rounds, job_waits(product, 300, poll_interval=0.1))

    assert dearest <= 10


async def test_few_jobs_beside_gates_stay_within_the_budget(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """Single jobs that are not listed yet cost two requests each: beside listings, one is for all."""
    connect()

    _, dearest = await cost_of_a_round(
        simulator, rounds, [*gates("m365", 3), *job_waits("m365", FEW_JOBS, started_at=soon(-5))]
    )

    assert dearest <= BUDGET["m365"]


async def test_what_is_one_poll(simulator: Simulator, connect: Connect, rounds: Rounds) -> None:
    """Different policies, organisations, job ids and both kinds of trigger; one line of the log a round."""
    connect()
    add_running(simulator, "dynamics365", 3)

    async with waiting(
        *job_waits("dynamics365", 3),
        job_wait(job_id="J1", organization_id="contoso"),
        job_wait(job_id="nobody's", organization_id="fabrikam"),
        *gates("dynamics365", 3),
        gate(policy={"organization_ids": ["contoso"]}),
        gate(policy={"organization_ids": ["contoso", "fabrikam"], "decide_by": "all"}),
        gate(policy={"started_after": soon(-7200), "max_age": None}),
    ):
        await until(lambda: len(rounds) >= 2)

    assert {"Poll of dynamics365 over avepoint_default"} == {
        line.getMessage().split(":")[0] for line in rounds.lines
    }
    for asked in rounds.requests:
        assert {("1",), ("0",)} == {(entry["query"]["type"],) for entry in asked}
        assert all("organizationId" not in entry["query"] for entry in asked)


async def test_another_connection_or_product_polls_apart(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    connect()
    connect("elsewhere")
    for product in ("dynamics365", "salesforce"):
        add_running(simulator, product, 1)

    async with waiting(
        job_wait(), job_wait(avepoint_conn_id="elsewhere"), job_wait("salesforce", poll_interval=20)
    ):
        await until(lambda: len({line.getMessage().split(":")[0] for line in rounds.lines}) == 3)

    assert {
        "Poll of dynamics365 over avepoint_default",
        "Poll of dynamics365 over elsewhere",
        "Poll of salesforce over avepoint_default",
    } == {line.getMessage().split(":")[0] for line in rounds.lines}


async def test_another_location_is_another_listing(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """A good backup in one must not open the gate of the other; the connection's own location is one more."""
    connect(extra={"location": "APC"})
    for location, state in (("EUR", "success"), ("NAM", "failed"), ("APC", "success")):
        simulator.add_job(
            "m365", job_id=f"FB-{location}", workload="teams", location=location, state=state, started_ago=600
        )
    teams = {"object_types": ["teams"]}

    good, bad, own, job = await events_of(
        gate("m365", {**teams, "locations": ["EUR"]}),
        gate("m365", {**teams, "locations": ["NAM"]}),
        gate("m365", teams),
        job_wait("m365", "FB-NAM", location="NAM"),
    )

    assert ["passed", "failed", "passed", "failed"] == [each["status"] for each in (good, bad, own, job)]
    for event, location in ((good, "EUR"), (bad, "NAM"), (own, "APC")):
        assert [(location, f"FB-{location}")] == [
            (scope["scope"]["location"], scope["job"]["job_id"]) for scope in event["evidence"]["scopes"]
        ]
    assert {"EUR", "NAM", "APC"} == {entry["query"]["location"] for entry in rounds.requests[0]}


# Whose rows are whose


class StoppedClock(ApiClock):
    """A clock at which it is always the same time."""

    def now(self) -> datetime:
        """Return the time of the vendor that is a function."""
        return server.NOW


class FakeHook(hooks.AvePointAsyncHook):
    """A hook before a vendor that is a function, with rows that may leave out what a real one may."""

    rows: list[server.Row]

    async def aget_client(self) -> Any:
        """Return what a hook and a poll read of a client."""
        return SimpleNamespace(
            clock=StoppedClock(),
            settings=SimpleNamespace(location=None, single_tenant=False, max_concurrency=8),
            tokens=SimpleNamespace(credential=SimpleNamespace(fingerprint="the same")),
        )

    async def alist_query(
        self, query: JobQuery, now: datetime, *, with_changes: bool = False
    ) -> AsyncGenerator[BackupJob]:
        """Yield all that answers *query*."""
        assert (server.NOW, True) == (now, with_changes)
        for job in server.list_jobs(self.rows, query):
            yield job

    async def aquery(
        self, queries: list[JobQuery], *, with_changes: bool = False
    ) -> AsyncGenerator[BackupJob]:
        """Yield all that answers *queries*, and what a listing of all organisations has for silent ones."""
        silent = []
        for query in queries:
            jobs = server.list_jobs(self.rows, query)
            silent += [] if jobs else [query]
            for job in jobs:
                yield job
        for widening in widen(silent):
            for job in filter(widening.matches, server.list_jobs(self.rows, widening.query)):
                yield job
            widening.refuse_names()


async def judge_together(policies: list[Policy]) -> list[Verdict]:
    """Return the verdicts that one round gives on all *policies*."""

    async def look(policy: Policy) -> Verdict:
        def ask(now: datetime, location: str | None) -> list[JobQuery]:
            return policy.queries(now, location=location)

        def ask_more(answers: Answers, queries: list[JobQuery]) -> list[JobQuery]:
            return policy.control_queries(queries, answers.jobs(queries))

        async with poll.join("avepoint_default", policy.product, ask, 60, ask_more) as wait:
            answers = await wait.look()
            assert isinstance(answers, Answers)
            return answers.judge(policy, wait.queries)

    return await asyncio.gather(*map(look, policies))


@pytest.mark.no_cover
@pytest.mark.parametrize("product", server.products(), ids=lambda product: product.name)
@settings(max_examples=EXAMPLES, derandomize=not FUZZ, deadline=None, database=None)
@given(data=st.data())
def test_a_shared_poll_never_opens_a_gate(product: Product, data: st.DataObject) -> None:
    """Nor shuts one: each verdict is that of a poll by oneself, also where rows leave out whose they are."""
    rows = data.draw(server.rows_of(product), label="rows")
    policies = data.draw(st.lists(server.policies_of(product), min_size=2, max_size=7), label="policies")

    with pytest.MonkeyPatch.context() as patch:
        hook = type("Hook", (FakeHook,), {"rows": rows})
        patch.setattr(hooks, "AvePointAsyncHook", hook)
        verdicts = asyncio.run(judge_together(policies))

        for policy, verdict in zip(policies, verdicts, strict=True):
            own = asyncio.run(hook().ajudge(policy))
            assert server.describe(own) == server.describe(verdict)


async def test_every_wait_is_judged_by_the_clock_of_the_api(simulator: Simulator, connect: Connect) -> None:
    """By ours, which is three hours behind, both backups are young enough, and the job is yet to come."""
    connect()
    simulator.set_clock(ahead_seconds=3 * 3600)
    for ago, organization in ((23, "contoso"), (25, "fabrikam")):
        simulator.add_job(
            "dynamics365", job_id=organization, organization_id=organization, started_ago=ago * 3600
        )
    simulator.add_job("dynamics365", job_id="J0", organization_id="contoso", started_ago=600)
    policies: list[dict[str, Any]] = [{"organization_ids": [name]} for name in ("contoso", "fabrikam")]

    young, old, job = await events_of(*(gate(policy=each, deadline=soon(2)) for each in policies), job_wait())

    assert ["passed", "timeout", "passed"] == [event["status"] for event in (young, old, job)]
    assert "fabrikam / customer_engagement: stale" in old["message"]


@pytest.mark.parametrize("product", ["dynamics365", "salesforce"])
async def test_rows_without_their_organisation(
    simulator: Simulator, connect: Connect, rounds: Rounds, product: str
) -> None:
    """Once one is seen, each organisation is asked for by itself: that the newest of one has failed shows."""
    connect()
    count = FEW_ORGANIZATIONS + 1
    simulator.add_jobs(
        {
            "product": product,
            "job_id": f"J-{number}-{state}",
            "organization_id": f"org{number}",
            "state": state,
            "started_ago": started_ago,
            "omit": ["organizationId"] if state == "failed" else [],
        }
        for number in range(count)
        for state, started_ago in (("success", 7200), *([("failed", 600)] if number < 2 else []))
    )
    triggers = [
        gate(product, {"organization_ids": [f"org{number}"], "fail_fast": False}) for number in range(count)
    ]

    async with waiting(*triggers) as tasks:
        await until(lambda: len(rounds) >= 3)
        statuses = [task.result()["status"] if task.done() else "waits" for task in tasks]

    assert ["waits", "waits", *["passed"] * (count - 2)] == statuses
    first, second, *_ = rounds.requests
    organizations = [entry["query"].get("organizationId") for entry in first]
    assert organizations[0] is None
    assert {None, *(f"org{number}" for number in range(count))} == set(organizations)
    assert {"org0", "org1"} == {entry["query"].get("organizationId") for entry in second}


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("count", "shows_organization", "listings"),
    [
        (FEW_ORGANIZATIONS, True, FEW_ORGANIZATIONS),
        (FEW_ORGANIZATIONS + 1, True, 1),
        (60, True, 1),
        (8, False, 8),
    ],
)
async def test_organisations_of_salesforce(
    simulator: Simulator,
    connect: Connect,
    rounds: Rounds,
    count: int,
    shows_organization: bool,  # noqa: FBT001  # a column of the table
    listings: int,
) -> None:
    """One listing where rows name their organisation, one each where they do not, and that is remembered."""
    connect()
    simulator.set_quirks("salesforce", shows_organization=shows_organization)
    simulator.add_jobs(
        {
            "product": "salesforce",
            "job_id": f"J{number}",
            "organization_id": f"org{number}",
            "state": "running" if number else "failed",
        }
        for number in range(count)
    )
    triggers = [
        gate("salesforce", {"organization_ids": [f"org{number}"], "fail_fast": False})
        for number in range(count)
    ]

    async with waiting(*triggers) as tasks:
        await until(lambda: len(rounds) >= 3)
        assert [task for task in tasks if task.done()] == []

    for asked in rounds.requests[1:]:
        assert listings == len({entry["query"].get("organizationId") for entry in asked})


# Its life


@pytest.mark.no_cover
@pytest.mark.parametrize("together", [2, 30])
async def test_it_begins_with_the_first_and_ends_with_the_last(
    simulator: Simulator, connect: Connect, rounds: Rounds, together: int
) -> None:
    """Leaving nothing, and leaving alone who still waits, whoever leaves first."""
    connect()
    add_running(simulator, "dynamics365", together)
    assert what_is_left() == []

    async with waiting(*job_waits("dynamics365", together)) as tasks:
        await until(lambda: len(rounds) >= 1)
        # With the poll's task, its session and the poll; a request may have tasks of its own.
        await until(lambda: len(what_is_left()) == together + 3)
        for task in tasks[:-1]:
            task.cancel()
        seen = len(rounds)
        await until(lambda: len(rounds) >= seen + 2)
        assert not tasks[-1].done()
        simulator.patch_job("dynamics365", f"J{together - 1}", state="success")
        assert "passed" == (await tasks[-1])["status"]

    assert what_is_left() == []


async def test_cancelled_in_the_middle_of_a_round(simulator: Simulator, connect: Connect) -> None:
    """The last to leave ends the requests under way; who comes at that moment begins anew."""
    connect(extra={"timeout": 2 * LONGEST_WAIT})
    add_running(simulator, "dynamics365", 1)
    simulator.add_fault("hang", path=PATHS["dynamics365"], count=1)
    first = asyncio.create_task(run(job_wait()))
    await until(lambda: simulator.requests(PATHS["dynamics365"]))

    first.cancel()
    await asyncio.sleep(0)  # now it stops its poll
    async with waiting(job_wait()) as (second,):
        await asyncio.wait([first], timeout=LONGEST_WAIT)
        assert first.cancelled()
        simulator.patch_job("dynamics365", "J0", state="success")
        assert "passed" == (await asyncio.wait_for(second, LONGEST_WAIT))["status"]

    assert what_is_left() == []


async def test_cancelled_twice(simulator: Simulator, connect: Connect) -> None:
    """Whoever is in a hurry while the last wait closes its poll: it is closed all the same."""
    connect(extra={"timeout": 2 * LONGEST_WAIT})
    add_running(simulator, "dynamics365", 1)
    simulator.add_fault("hang", path=PATHS["dynamics365"], count=1)
    task = asyncio.create_task(run(job_wait()))
    await until(lambda: simulator.requests(PATHS["dynamics365"]))

    task.cancel()
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: what_is_left() == [])


async def test_who_leaves_without_a_look_leaves_nothing(simulator: Simulator, connect: Connect) -> None:
    connect()

    async with poll.join("avepoint_default", "dynamics365", lambda *_: [], 1):
        assert polls_alive() == 1

    assert (what_is_left(), simulator.requests()) == ([], [])


async def test_an_answer_that_comes_too_late_is_for_the_next_look(
    simulator: Simulator, connect: Connect, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that has been given up is not answered; the next one is, once, and by one round."""
    monkeypatch.setattr(poll, "_GRACE", 0.1)
    connect()
    add_running(simulator, "dynamics365", 1)
    simulator.add_fault("slow", path=PATHS["dynamics365"], seconds=0.8, count=1)
    query = JobQuery(
        product=get_product("dynamics365"), job_id="J0", started_after=datetime.now(UTC) - timedelta(days=1)
    )

    async with poll.join("avepoint_default", "dynamics365", lambda *_: [query], 60) as wait:
        assert await wait.look(datetime.now(UTC)) is None
        answers = await asyncio.wait_for(wait.look(), LONGEST_WAIT)

    assert isinstance(answers, Answers)
    assert answers.find(query) is not None
    assert 1 == len(rounds)


async def test_one_leaves_in_the_middle_of_a_round(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    connect()
    add_running(simulator, "dynamics365", 2, state="success")
    simulator.add_fault("slow", path=PATHS["dynamics365"], seconds=1, count=1)

    async with waiting(*job_waits("dynamics365", 2)) as (first, second):
        await until(lambda: simulator.requests(PATHS["dynamics365"]))
        first.cancel()
        assert "passed" == (await second)["status"]
        assert first.cancelled()

    assert 1 == len(rounds)


def test_a_second_loop_starts_clean(simulator: Simulator, connect: Connect, rounds: Rounds) -> None:
    """Nothing that belongs to one loop is found by the next; a loop that was cut short counts too."""
    connect()
    add_running(simulator, "dynamics365", 1)

    async def cut_short() -> None:
        task = asyncio.create_task(run(job_wait()))
        seen = len(rounds)
        await until(lambda: len(rounds) > seen)
        assert not task.done()

    for _ in range(2):
        asyncio.run(cut_short())
        assert (len(poll._POLLS), polls_alive()) == (0, 0)

    simulator.patch_job("dynamics365", "J0", state="success")
    assert "passed" == asyncio.run(run(job_wait()))["status"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_loop_that_is_thrown_away_is_not_kept(simulator: Simulator, connect: Connect) -> None:
    """Closed with waits in it, which no runner should do: what is left of it can still be collected."""
    connect()
    add_running(simulator, "dynamics365", 1)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _problem: None)
    tasks = [loop.create_task(run(job_wait(poll_interval=60)))]
    loop.run_until_complete(until(lambda: simulator.requests(PATHS["dynamics365"])))
    assert polls_alive() == 1

    tasks.clear()
    loop.close()
    del loop

    assert polls_alive() == 0


def test_two_loops_at_a_time_poll_apart(simulator: Simulator, connect: Connect, rounds: Rounds) -> None:
    connect()
    add_running(simulator, "dynamics365", 1, state="success")
    events: list[dict[str, Any]] = []
    gathered = threading.Barrier(2)

    def work() -> None:
        gathered.wait()
        events.append(asyncio.run(run(job_wait())))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["passed", "passed"] == [event["status"] for event in events]
    assert 2 == len(rounds)


# When it asks


async def test_it_asks_at_the_shortest_interval(
    simulator: Simulator, connect: Connect, rounds: Rounds, clock: Clock
) -> None:
    """And no oftener; who is due soon is taken along, who is not is left alone."""
    connect()
    add_running(simulator, "dynamics365", 3)

    async with waiting(
        *job_waits("dynamics365", 1, poll_interval=4),
        job_wait(job_id="J1", poll_interval=6),
        job_wait(job_id="J2", poll_interval=600),
    ):
        moments = [await clock.go_on() for _ in range(6)]

    assert [0, 4, 8, 12, 16, 20] == moments
    # At 0 all, then every 4 s the first, and the second where at most half of its interval is left.
    assert [3, 2, 2, 2, 2, 2] == rounds.sizes[:6]


async def test_the_poll_follows_who_is_left(simulator: Simulator, connect: Connect, clock: Clock) -> None:
    """The one in a hurry leaves: from then on the others' interval holds."""
    connect()
    add_running(simulator, "dynamics365", 2)

    async with waiting(job_wait(poll_interval=2), job_wait(job_id="J1", poll_interval=15)) as (hasty, _):
        moments = [await clock.go_on() for _ in range(3)]
        hasty.cancel()
        moments += [await clock.go_on() for _ in range(2)]

    assert [0, 2, 4, 15, 30] == moments


async def test_a_late_joiner_waits_for_the_next_round(
    simulator: Simulator, connect: Connect, rounds: Rounds, clock: Clock
) -> None:
    """However many come, one after the other: they cost no round of their own."""
    connect()
    add_running(simulator, "dynamics365", 20)

    async with waiting(job_wait(poll_interval=40)):
        await clock.go_on()
        async with waiting() as late:
            for number in range(1, 20):
                clock.time += 1
                late.append(asyncio.create_task(run(job_wait(job_id=f"J{number}", poll_interval=40))))
                await until(lambda number=number: len(polls()[0].waits) == number + 1)
            assert 40 == await clock.go_on()

    assert [1, 20] == rounds.sizes[:2]


async def test_a_late_joiner_in_a_hurry(simulator: Simulator, connect: Connect, clock: Clock) -> None:
    """Its own interval holds: the last round was not for it, but not long ago either."""
    connect()
    add_running(simulator, "dynamics365", 2)

    async with waiting(job_wait(poll_interval=600)):
        await clock.go_on()
        clock.time += 1
        async with waiting(job_wait(job_id="J1", poll_interval=3)):
            await until(lambda: len(polls()[0].waits) == 2)
            assert [3, 6] == [await clock.go_on() for _ in range(2)]


async def test_deadlines_one_after_the_other_do_not_run_hot(
    simulator: Simulator, connect: Connect, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wants a last look: no two rounds are closer than the spacing, and each gets its look."""
    monkeypatch.setattr(poll, "_LEAST_SPACING", 0.5)
    monkeypatch.setattr(poll, "_GRACE", LONGEST_WAIT)
    connect()
    add_running(simulator, "dynamics365", 30)
    began = time.monotonic()

    events = await events_of(
        *(
            job_wait(job_id=f"J{number}", poll_interval=60, deadline=soon(0.1 + number / 20))
            for number in range(30)
        )
    )

    assert {"timeout"} == {event["status"] for event in events}
    assert all("is running" in event["message"] for event in events)
    assert len(rounds) <= (time.monotonic() - began) / 0.5 + 1  # the slower the machine, the more may come


# When the API is away

#: A minute, where a request's first pause is 0.03 s instead of 1 s.
SCALE = 0.03
MINUTE = 60 * SCALE


def minutes_since(moment: float) -> int:
    """Return the scaled minutes since *moment*, the begun one too: one, unless the machine is slow."""
    return int((time.monotonic() - moment - MINUTE / 2) / MINUTE) + 1


ERROR, DROP, HTML = {"kind": "status", "status": 503}, {"kind": "drop"}, {"kind": "html"}


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("fault", "product", "count"),
    [
        (ERROR, "dynamics365", 1),
        (HTML, "m365", MANY),
        (DROP, "iaas_paas", MANY),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
async def test_a_minute_without_the_api(
    simulator: Simulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    product: str,
    count: int,
) -> None:
    """At most ten requests in it, and an answer soon after."""
    connect()
    monkeypatch.setattr(retry, "BASE_DELAY", SCALE)
    monkeypatch.setattr(poll, "_LEAST_SPACING", 10 * SCALE)
    add_running(simulator, product, MANY, state="success", started_ago=60)
    path = PATHS[product]
    simulator.add_fault(path=path, count=None, **fault)
    jobs = max(1, count // 2)
    triggers = [
        *job_waits(product, jobs, poll_interval=30 * SCALE),
        *gates(product, count - jobs, poll_interval=30 * SCALE),
    ]

    began = time.monotonic()
    async with waiting(*triggers) as tasks:
        await until(lambda: simulator.requests(path))
        await asyncio.sleep(MINUTE)
        assert 1 <= len(simulator.requests(path)) <= 10 * minutes_since(began)
        assert [task for task in tasks if task.done()] == []

        simulator.clear_faults()
        await until(lambda: all(task.done() for task in tasks[:jobs]))
        assert {"passed"} == {task.result()["status"] for task in tasks[:jobs]}


async def test_a_minute_without_the_identity_service(
    simulator: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    monkeypatch.setattr(retry, "BASE_DELAY", SCALE)
    simulator.add_fault("status", path=TOKEN, status=502, count=None)

    began = time.monotonic()
    async with waiting(*job_waits("m365", 50), *gates("m365", 50)) as tasks:
        await until(simulator.requests)
        await asyncio.sleep(MINUTE)
        assert 1 <= len(simulator.requests()) <= 10 * minutes_since(began)
        assert [task for task in tasks if task.done()] == []


async def test_who_joins_while_the_api_is_away_changes_nothing(
    simulator: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    monkeypatch.setattr(retry, "BASE_DELAY", SCALE)
    simulator.add_fault("status", status=503, path=PATHS["dynamics365"], count=None)

    began = time.monotonic()
    async with waiting(job_wait()) as tasks:
        while time.monotonic() < began + MINUTE or not simulator.requests(PATHS["dynamics365"]):
            tasks.append(asyncio.create_task(run(job_wait(job_id=f"J{len(tasks)}"))))
            await asyncio.sleep(0.05)
        assert len(simulator.requests(PATHS["dynamics365"])) <= 10 * minutes_since(began)


async def test_pauses_grow_and_differ(
    simulator: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each about twice the one before, up to a longest, and no two polls alike."""
    connect()
    simulator.add_fault("status", path=PATHS["dynamics365"], status=503, count=None)
    pauses: list[float] = []

    async def pause(changed: asyncio.Event, seconds: float) -> None:
        if seconds == float("inf"):
            await changed.wait()
            return
        pauses.append(seconds)

    monkeypatch.setattr(poll, "pause", pause)
    monkeypatch.setattr(poll.Poll, "now", lambda _poll: sum(pauses))
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(retry, "BASE_DELAY", 1.0)

    (event,) = await events_of(job_wait(poll_interval=1))

    assert "error" == event["status"]
    means = [30, 60, 120, 240, *[300] * 5]
    assert len(means) == len(pauses)
    for mean, seconds in zip(means, pauses, strict=True):
        assert 0.75 * mean <= seconds + 1e-6 <= 1.25 * mean + 2e-6
    shares = [seconds / mean for mean, seconds in zip(means, pauses, strict=True)]
    assert max(shares) - min(shares) > 0.02  # what rounding makes is far less


async def test_ten_failed_rounds_end_each_wait(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """Each counts its own: who came later, or had failures before, ends at another round."""
    connect()
    simulator.add_fault("status", path=PATHS["dynamics365"], status=503, count=None)

    async with waiting(
        *(job_wait(job_id=f"J{number}", poll_interval=0.1) for number in range(20)),
        *gates("dynamics365", 20, poll_interval=0.1),
        job_wait(poll_interval=0.1, failed_polls=6),
    ) as tasks:
        await asyncio.wait(tasks, timeout=LONGEST_WAIT, return_when=asyncio.FIRST_COMPLETED)
        assert [tasks[-1]] == [task for task in tasks if task.done()]
        assert 4 == len(rounds)
        await until(lambda: all(task.done() for task in tasks))

    assert 10 == len(rounds)
    events = [task.result() for task in tasks]
    assert {("error", "AvePointUnavailable")} == {(event["status"], event["error"]) for event in events}
    assert all(event["facts"] == {"status": 503} for event in events)
    assert all(re.match(r"10 polls in a row failed; the last: .*503", event["message"]) for event in events)


async def test_a_good_round_between_ends_the_count(
    simulator: Simulator, connect: Connect, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    connect()
    add_running(simulator, "dynamics365", 1)

    def nines() -> int:
        return sum("(9 in a row)" in line.getMessage() for line in rounds.lines)

    async with waiting(job_wait(poll_interval=0.1)) as (task,):
        for count in (1, 2):
            simulator.add_fault("status", path=PATHS["dynamics365"], status=503, count=9)
            await until(lambda count=count: nines() == count)
            await until(lambda: "1 jobs for 1 waits" in rounds.lines[-1].getMessage())
        assert not task.done()


@pytest.mark.parametrize(
    ("refuse", "error"),
    [
        (lambda simulator: simulator.set_client(simulator.client_id, secret="another"), "AvePointAuthError"),
        (
            lambda simulator: simulator.set_client(
                simulator.client_id, secret=simulator.client_secret, scopes=["gsuite.graph.read.all"]
            ),
            "AvePointPermissionError",
        ),
    ],
    ids=["secret", "permission"],
)
async def test_what_waiting_cannot_mend_ends_all_at_once(
    simulator: Simulator,
    connect: Connect,
    rounds: Rounds,
    refuse: Callable[[Simulator], None],
    error: str,
) -> None:
    connect()
    refuse(simulator)

    events = await events_of(*job_waits("m365", 30), *gates("m365", 30))

    assert {("error", error)} == {(event["status"], event["error"]) for event in events}
    assert 1 == len(rounds)
    assert 1 == len(simulator.requests())


async def test_a_connection_that_has_changed_is_read_anew(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """A poll may live for months: a secret that was renewed in time must end nobody's wait."""
    connect()
    add_running(simulator, "dynamics365", 1)

    async with waiting(job_wait(poll_interval=0.1)) as (task,):
        await until(lambda: len(rounds) >= 1)
        simulator.set_client(simulator.client_id, secret="renewed")
        connect(password="renewed")
        simulator.expire_tokens()
        await until(lambda: len(rounds) >= 3)
        simulator.patch_job("dynamics365", "J0", state="success")
        assert "passed" == (await task)["status"]

    assert not any("failed" in line.getMessage() for line in rounds.lines)


@pytest.fixture
def other_tenant() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


def lead_to(connect: Connect, tenant: Simulator) -> None:
    """Edit the default connection, so that it leads to *tenant*."""
    connect(
        host=tenant.url,
        login=tenant.client_id,
        password=tenant.client_secret,
        extra={"identity_endpoint": tenant.token_url},
    )


async def test_who_joins_is_judged_by_the_connection_as_it_is_then(
    simulator: Simulator, other_tenant: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """And who had joined before goes over to it: nobody's wait ends by what another tenant has."""
    connect()
    add_running(simulator, "dynamics365", 1)
    simulator.add_job("dynamics365", job_id="OURS", organization_id="contoso", state="success")
    add_running(other_tenant, "dynamics365", 1, started_ago=5 * 86400)

    async with waiting(job_wait(poll_interval=0.1)) as tasks:
        await until(lambda: len(rounds) >= 2)
        lead_to(connect, other_tenant)
        tasks.append(asyncio.create_task(run(gate(poll_interval=0.1))))
        await until(lambda: other_tenant.requests(PATHS["dynamics365"]))
        asked, seen = len(simulator.requests()), len(rounds)
        await until(lambda: len(rounds) >= seen + 2)
        assert [task for task in tasks if task.done()] == []
        other_tenant.add_job("dynamics365", job_id="THEIRS", organization_id="contoso", state="success")
        other_tenant.patch_job("dynamics365", "J0", state="success")
        await until(lambda: all(task.done() for task in tasks))
        job, verdict = (task.result() for task in tasks)

    assert asked == len(simulator.requests())
    begun = datetime.fromisoformat(job["evidence"]["started_at"])
    assert ("passed", 5) == (job["status"], (datetime.now(UTC) - begun).days)
    assert ("passed", "THEIRS") == (verdict["status"], verdict["evidence"]["scopes"][0]["job"]["job_id"])


async def test_a_connection_is_read_again_while_nobody_joins(
    simulator: Simulator,
    other_tenant: Simulator,
    connect: Connect,
    rounds: Rounds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 180 == poll._TRUSTED_FOR
    monkeypatch.setattr(poll, "_TRUSTED_FOR", 0.5)
    connect()
    add_running(simulator, "dynamics365", 1)
    add_running(other_tenant, "dynamics365", 1)

    async with waiting(job_wait(poll_interval=0.1)) as (task,):
        await until(lambda: len(rounds) >= 1)
        lead_to(connect, other_tenant)
        await until(lambda: other_tenant.requests(PATHS["dynamics365"]))
        simulator.patch_job("dynamics365", "J0", state="failed")
        seen = len(rounds)
        await until(lambda: len(rounds) >= seen + 2)
        assert not task.done()

    assert 1 == sum("which has changed" in line.getMessage() for line in rounds.lines)


async def test_a_connection_is_read_once_for_however_many(
    simulator: Simulator, connect: Connect, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits that join together, however slow the reading is, and the rounds after."""
    connect()
    add_running(simulator, "dynamics365", MANY)
    read = []
    find = hooks.afind_connection

    async def look_up(conn_id: str) -> Any:
        read.append(conn_id)
        await asyncio.sleep(0.2)
        return await find(conn_id)

    monkeypatch.setattr(hooks, "afind_connection", look_up)

    async with waiting(*job_waits("dynamics365", MANY)) as tasks:
        await until(lambda: len(rounds) >= 3)
        assert ["avepoint_default"] == read
        tasks += [asyncio.create_task(run(each)) for each in gates("dynamics365", MANY)]
        await until(lambda: f"{2 * MANY} waits" in rounds.lines[-1].getMessage())

    # Those that joined in the middle of a round are there in the next.
    assert 2 <= len(read) <= 3


async def test_a_connection_that_cannot_be_read_for_a_while(
    simulator: Simulator, connect: Connect, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found before: the poll fails as where the API is away, also for who joins, and is repeated."""
    connect()
    add_running(simulator, "dynamics365", 2)

    async with waiting(job_wait(poll_interval=0.1)) as tasks:
        await until(lambda: len(rounds) >= 1)
        monkeypatch.delenv("AIRFLOW_CONN_AVEPOINT_DEFAULT")
        tasks.append(asyncio.create_task(run(job_wait(job_id="J1", poll_interval=0.1))))
        await until(lambda: any("was found before" in line.getMessage() for line in rounds.lines))
        connect()
        for number in range(2):
            simulator.patch_job("dynamics365", f"J{number}", state="success")
        await until(lambda: all(task.done() for task in tasks))
        assert ["passed", "passed"] == [task.result()["status"] for task in tasks]


async def test_a_secret_that_is_refused_later_ends_all(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """Where reading the connection again shows the same secret."""
    connect()
    add_running(simulator, "dynamics365", 5)

    async with waiting(*job_waits("dynamics365", 5)) as tasks:
        await until(lambda: len(rounds) >= 1)
        simulator.set_client(simulator.client_id, secret="another")
        simulator.expire_tokens()
        await until(lambda: all(task.done() for task in tasks))

    assert {"AvePointAuthError"} == {task.result()["error"] for task in tasks}


async def test_one_bad_query_ends_nobody_elses_wait(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """A customer that the vendor does not know is its asker's fault."""
    connect()
    add_running(simulator, "elements", 1)
    path = get_product("elements").path

    def elements(organization_id: str) -> AvePointJobTrigger:
        return job_wait("elements", organization_id=organization_id, poll_interval=0.1)

    simulator.add_fault("status", path=path.format(organization_id="nobody"), status=404, count=None)
    async with waiting(elements("contoso"), elements("nobody"), elements("contoso")) as (good, bad, other):
        event = await bad
        assert ("error", "AvePointRequestError") == (event["status"], event["error"])
        seen = len(rounds)
        await until(lambda: len(rounds) >= seen + 2)
        simulator.patch_job("elements", "J0", state="success")
        assert ["passed", "passed"] == [(await task)["status"] for task in (good, other)]


async def test_one_listing_that_cannot_be_read_is_its_askers_trouble(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """And for as long as ten of its polls; the others' are answered."""
    connect()
    add_running(simulator, "elements", 1)
    path = get_product("elements").path
    for broken in ("a", "b"):
        simulator.add_fault("html", path=path.format(organization_id=broken), count=None)

    async with waiting(
        *(job_wait("elements", organization_id=each, poll_interval=0.1) for each in ("a", "b", "contoso"))
    ) as (*bad, good):
        events = await asyncio.gather(*bad)
        assert not good.done()
        simulator.patch_job("elements", "J0", state="success")
        assert "passed" == (await good)["status"]

    assert {"AvePointPayloadError"} == {event["error"] for event in events}
    assert all(event["message"].startswith("10 polls in a row failed") for event in events)


# Single jobs


async def test_few_jobs_are_asked_for_one_by_one(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    connect()
    add_running(simulator, "m365", FEW_JOBS + 1)
    path = PATHS["m365"]

    async with waiting(*job_waits("m365", FEW_JOBS), job_wait("m365", "J0")):
        await until(lambda: len(rounds) >= 2)
        async with waiting(job_wait("m365", f"J{FEW_JOBS}")):
            seen = len(rounds)
            await until(lambda: len(rounds) >= seen + 2)
            together = rounds.requests[-1]

    assert [f"{path}/J{number}" for number in range(FEW_JOBS)] == sorted(
        entry["path"] for entry in rounds.requests[1]
    )
    assert {path} == {entry["path"] for entry in together}


@pytest.mark.parametrize("count", [1, FEW_JOBS + 1])
async def test_a_job_that_is_not_listed_yet(
    simulator: Simulator, connect: Connect, rounds: Rounds, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    """By the endpoint for one job or by a listing: it is waited for."""
    caplog.set_level(logging.INFO)
    connect()

    async with waiting(*job_waits("m365", count)) as tasks:
        await until(lambda: len(rounds) >= 2)
        assert [task for task in tasks if task.done()] == []
        add_running(simulator, "m365", count, state="success", started_ago=1)
        assert {"passed"} == {(await task)["status"] for task in tasks}

    assert "m365 job J0 is not listed yet." in caplog.text


async def test_windows_narrow_after_the_first_look(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    """To the oldest of the jobs that run, or to a little before one was first waited for."""
    connect()
    add_running(simulator, "dynamics365", 3, started_ago=5 * 86400)
    add_running_too = {
        "job_id": "young",
        "organization_id": "contoso",
        "state": "running",
        "started_ago": 3600,
    }
    simulator.add_job("dynamics365", **add_running_too)

    def ages(asked: list[dict[str, Any]]) -> set[float]:
        starts = [datetime.fromisoformat(entry["query"]["startTime"]) for entry in asked]
        return {round((datetime.now(UTC) - start) / timedelta(days=1), 2) for start in starts}

    async with waiting(job_wait(job_id="young"), job_wait(job_id="unknown")):
        async with waiting(*job_waits("dynamics365", 3)):
            await until(lambda: len(rounds) >= 2)
        seen = len(rounds)
        await until(lambda: len(rounds) >= seen + 2)

    assert {30.0} == ages(rounds.requests[0])
    assert {5.0} == ages(rounds.requests[1])
    assert {1.0} == ages(rounds.requests[-1])


# Deadlines


@pytest.mark.parametrize("make", [job_wait, gate], ids=["job", "gate"])
async def test_a_last_look_at_the_deadline(
    simulator: Simulator,
    connect: Connect,
    rounds: Rounds,
    clock: Clock,
    make: Callable[..., Trigger],
) -> None:
    """It shows what came since the round before, for whoever's deadline it is; the others wait on."""
    connect()
    add_running(simulator, "dynamics365", 1, started_ago=60)

    async with waiting(
        make(poll_interval=5000, deadline=soon(3600)), job_wait(job_id="other", poll_interval=20_000)
    ) as (task, other):
        await clock.go_on()
        simulator.patch_job("dynamics365", "J0", state="success")
        assert 0 < await clock.go_on() <= 3600
        assert "passed" == (await task)["status"]
        assert not other.done()

    assert [2, 1] == rounds.sizes


@pytest.mark.parametrize(
    ("deadlines", "status"),
    [
        ({"deadline": 0.4}, "outage"),
        ({"execution_deadline": 0.4}, "overdue"),
        ({"deadline": 0.4, "execution_deadline": 3600}, "outage"),
    ],
)
async def test_no_answer_by_the_deadline_ends_the_wait_all_the_same(
    simulator: Simulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    deadlines: dict[str, float],
    status: str,
) -> None:
    """Within the grace; what was seen before is told, and that it is no longer known to be so."""
    monkeypatch.setattr(poll, "_GRACE", 0.5)
    connect(extra={"timeout": 2 * LONGEST_WAIT})
    simulator.add_fault("hang", path=PATHS["dynamics365"], count=None)
    began = time.monotonic()

    (event,) = await events_of(
        job_wait(news="it was running", **{name: soon(seconds) for name, seconds in deadlines.items()})
    )

    assert status == event["status"]
    assert "No answer has come" in event["message"]
    assert "it was running" in event["message"]
    assert event["evidence"] is None
    assert 0.8 <= time.monotonic() - began


async def test_a_deadline_while_the_api_is_away(
    simulator: Simulator, connect: Connect, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause after a failed round is no reason to wait longer."""
    monkeypatch.setattr(poll, "_GRACE", 0.3)
    monkeypatch.setattr(poll, "_LONGEST_BACKOFF", 4 * LONGEST_WAIT)
    monkeypatch.setattr(retry, "BASE_DELAY", LONGEST_WAIT)
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    connect()
    simulator.add_fault("status", path=PATHS["dynamics365"], status=503, count=None)

    async with waiting(job_wait()) as (other,):
        await until(lambda: len(rounds) >= 1)
        (event,) = await events_of(job_wait(deadline=soon(0.5)))
        assert not other.done()

    assert "outage" == event["status"]
    assert "503" in event["message"]
    assert 1 == len(simulator.requests(PATHS["dynamics365"]))


# Defects, and what must not be reached


@pytest.mark.parametrize("where", ["alist_query", "aget_client", "close"])
async def test_a_defect_ends_every_wait_and_spoils_no_later_one(
    simulator: Simulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    """Wherever in a round it is; the log has its traceback."""
    connect()
    add_running(simulator, "dynamics365", 10, state="success", started_ago=60)
    close = hooks.AvePointAsyncHook.close

    async def fail(hook: hooks.AvePointAsyncHook) -> None:
        await close(hook)
        raise TypeError("a defect of ours")

    def fail_at_once(*_args: object, **_options: object) -> None:
        raise TypeError("a defect of ours")

    if where == "close":  # which is called where a round fails
        simulator.add_fault("html", path=PATHS["dynamics365"], count=None)
    with monkeypatch.context() as patch:
        patch.setattr(hooks.AvePointAsyncHook, where, fail_at_once if where == "alist_query" else fail)
        async with waiting(*job_waits("dynamics365", 5), *gates("dynamics365", 5)) as tasks:
            await until(lambda: all(task.done() for task in tasks))
            assert all(isinstance(task.exception(), RuntimeError) for task in tasks)
    record = next(record for record in caplog.records if record.exc_info)
    assert (poll.log.name, TypeError) == (record.name, record.exc_info[0])

    simulator.clear_faults()
    assert {"passed"} == {event["status"] for event in await events_of(*job_waits("dynamics365", 5))}
    assert what_is_left() == []


class Worst(BaseException):
    """What ``except Exception`` lets through, as Airflow's DeadlockImminentError."""


@pytest.mark.parametrize("defect", [TypeError, Worst])
async def test_a_wait_that_outlives_a_defect_goes_on(
    simulator: Simulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    defect: type[BaseException],
) -> None:
    """Who was not waiting for an answer just then asks the poll again, and it answers."""
    connect()
    add_running(simulator, "dynamics365", 1)
    queries = [
        JobQuery(
            product=get_product("dynamics365"),
            job_id="J0",
            started_after=datetime.now(UTC) - timedelta(days=1),
        )
    ]

    def ask(_now: datetime, _location: str | None) -> list[JobQuery]:
        return queries

    async def fail(*_args: object) -> None:
        raise defect

    async with poll.join("avepoint_default", "dynamics365", ask, 0.1) as patient:
        with monkeypatch.context() as patch:
            patch.setattr(hooks.AvePointAsyncHook, "aget_client", fail)
            async with poll.join("avepoint_default", "dynamics365", ask, 0.1) as wait:
                with pytest.raises(RuntimeError, match="ended with a defect"):
                    await wait.look()
        answers = await asyncio.wait_for(patient.look(), LONGEST_WAIT)
        assert isinstance(answers, Answers)
        assert answers.find(queries[0]) is not None


async def test_not_even_the_worst_leaves_anybody_waiting(
    simulator: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    add_running(simulator, "dynamics365", 1, state="success", started_ago=60)

    async def fail(*_args: object) -> None:
        raise Worst

    with monkeypatch.context() as patch:
        patch.setattr(hooks.AvePointAsyncHook, "aget_client", fail)
        async with waiting(*job_waits("dynamics365", 3)) as tasks:
            await until(lambda: all(task.done() for task in tasks))
            assert all(isinstance(task.exception(), RuntimeError) for task in tasks)

    assert "passed" == (await events_of(job_wait()))[0]["status"]


_SEEN: ContextVar[str] = ContextVar("_SEEN", default="nobody's")


async def test_the_poll_is_nobodys_own(
    simulator: Simulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs outside the context of the wait that happens to be first, and finds the connection there."""
    connect()
    add_running(simulator, "dynamics365", 1, state="success", started_ago=60)
    seen = []
    find = hooks.afind_connection

    async def look_up(conn_id: str) -> Any:
        seen.append(_SEEN.get())
        return await find(conn_id)

    monkeypatch.setattr(hooks, "afind_connection", look_up)
    _SEEN.set("the first wait's")

    (event,) = await events_of(job_wait())

    assert "passed" == event["status"]
    assert ["nobody's"] == seen


class CountedLoop(asyncio.SelectorEventLoop):
    """An event loop that counts the most calls it makes without a pause: work, told without a clock."""

    most: int | None = None  # None until it is to count

    def _run_once(self) -> None:
        if self.most is None:
            super()._run_once()  # type: ignore[misc]  # asyncio's own
            return
        calls = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in {"call", "c_call"}

        sys.setprofile(count)
        try:
            super()._run_once()  # type: ignore[misc]  # asyncio's own
        finally:
            sys.setprofile(None)
        self.most = max(self.most, calls)


@pytest.mark.no_cover
def test_nothing_holds_up_the_loop(
    simulator: Simulator, connect: Connect, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No blocking call is made on its thread, and no work is done in one piece that takes long.

    Work is counted in calls, so that the speed of the machine and its other work make no difference.
    """
    connect()
    add_running(simulator, "dynamics365", 600)
    here = threading.get_ident()
    blocked: list[str] = []

    def guard(owner: object, name: str) -> None:
        known = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == here:
                blocked.append(name)
            return known(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    import requests
    from airflow.providers.common.compat.sdk import BaseHook

    guard(time, "sleep")
    guard(requests.Session, "send")
    guard(hooks, "open_client")
    guard(BaseHook, "get_connection")

    most: list[int] = []

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountedLoop)
        async with waiting(*job_waits("dynamics365", 20), *gates("dynamics365", 60)) as tasks:
            await until(lambda: len(rounds) >= 2)
            loop.most = 0  # that so many began at once was ours
            await until(lambda: len(rounds) >= 3)
            most.append(loop.most)
            assert [task for task in tasks if task.done()] == []

    with asyncio.Runner(loop_factory=CountedLoop) as runner:
        runner.run(wait())

    assert [] == blocked
    assert most[0] < 200_000  # a quarter of this, today


async def test_what_is_logged(
    simulator: Simulator, connect: Connect, rounds: Rounds, caplog: pytest.LogCaptureFixture
) -> None:
    """A line a round from the poll, and from each wait its own changes, with when the next look comes."""
    caplog.set_level(logging.INFO)
    connect()
    add_running(simulator, "dynamics365", 2)

    async with waiting(*job_waits("dynamics365", 2, poll_interval=0.1)) as tasks:
        await until(lambda: len(rounds) >= 4)
        simulator.patch_job("dynamics365", "J0", state="success")
        await tasks[0]

    own = [record.getMessage() for record in caplog.records if record.name == "trigger"]
    assert 3 == len(own)
    for number, line in enumerate(sorted(own[:2])):
        assert re.fullmatch(
            rf"dynamics365 job J{number} is running \(.*\)\. "
            r"Waiting since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d; next look about \d\d:\d\d:\d\d UTC\.",
            line,
        )
    assert "J0 is success" in own[2]
    assert all(
        re.fullmatch(
            r"Poll of dynamics365 over avepoint_default: 2 jobs for 2 waits, in \d+\.\d s\.",
            line.getMessage(),
        )
        for line in rounds.lines[:4]
    )


def test_airflow_is_told_of_no_secret_by_a_poll(
    simulator: Simulator, connect: Connect, rounds: Rounds
) -> None:
    connect()
    add_running(simulator, "dynamics365", 1, state="success", started_ago=60)
    asyncio.run(run(job_wait()))

    (token,) = TOKENS._tokens.values()
    said = " ".join(line.getMessage() for line in rounds.lines)
    assert [secret for secret in (simulator.client_secret, token.value) if secret in said] == []
