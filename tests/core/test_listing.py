"""Several listings side by side, driven by hand: what comes, in which order, and how much is asked ahead."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_avepoint.core.auth import TokenCache, TokenSource
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError, AvePointRequestError
from airflow_provider_avepoint.core.flow import Flow, Pipeline, Request
from airflow_provider_avepoint.core.listing import JobListing, JobListings
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.query import JobQuery, build_queries
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.core.verdict import leave_out_claimed

from .flows import Answer, Driver, answer, token

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
M365 = PRODUCTS["m365"]
PAGE_SIZE = 5

Row = dict[str, Any]


class Credential:
    fingerprint = "f"

    def form_fields(self, _: str) -> dict[str, str]:
        return {}


def build_client(**fields: Any) -> Client:
    settings = Settings(
        base_url="https://graph.example",
        identity_endpoint="https://id.example/token",
        client_id="c",
        **fields,
    )
    url = settings.identity_endpoint
    return Client(
        settings, TokenSource(token_url=url, client_id="c", credential=Credential(), cache=TokenCache())
    )


def row(job_id: str, **fields: Any) -> Row:
    return {"id": job_id, "state": "Finished", "startTime": "2026-11-22T04:00:00Z", **fields}


class Server:
    """Microsoft 365's jobs, by object type; it may refuse some of the pages.

    :param refused: object types and page numbers.
    :param tokens: object types whose links hold a token: such pages come one after the other.
    """

    def __init__(
        self,
        jobs: dict[str, list[Row]],
        page_size: int = PAGE_SIZE,
        refused: Collection[tuple[str, int]] = (),
        tokens: Collection[str] = (),
    ) -> None:
        self.jobs = jobs
        self.page_size = page_size
        self.refused = refused
        self.tokens = tokens
        self.asked: list[tuple[str, int]] = []

    def __call__(self, request: Request) -> Answer:
        if request.subject == "identity":
            return token()
        query = dict(request.query)
        kind, number = (
            query.get("objectType", "all"),
            int(query.get("skiptoken") or query.get("pageIndex", 0)),
        )
        self.asked.append((kind, number))
        if (kind, number) in self.refused:
            return answer({"message": f"{kind} {number}"}, status=409)
        rows = self.find(kind)
        end = (number + 1) * self.page_size
        metadata: dict[str, object] = {"totalNumber": len(rows)}
        if end < len(rows):
            name = "skiptoken" if kind in self.tokens else "pageIndex"
            metadata["nextLink"] = f"?{name}={number + 1}&pageSize={self.page_size}"
        return answer({"data": rows[number * self.page_size : end], "metadata": metadata})

    def find(self, kind: str) -> list[Row]:
        return self.jobs.get(kind, [])


class SideBySide:
    """A driver whose flows end in any order; it hands their outcomes on in the order of the flows."""

    def __init__(self, serve: Callable[[Request], Answer], chance: random.Random) -> None:
        self._driver = Driver(serve)
        self._chance = chance
        self.most_in_flight = 0

    def draw(self, pipeline: Pipeline[BackupJob], jobs: list[BackupJob]) -> None:
        """Add what comes to *jobs*, which has it too where an error is raised."""
        pending: deque[_Task] = deque()
        while True:
            pending.extend(map(_Task, pipeline.begin(len(pending))))
            self.most_in_flight = max(self.most_in_flight, len(pending))
            if not pending:
                return
            waiting = [task for task in pending if not task.is_done]
            for task in self._chance.sample(waiting, len(waiting)):
                task.run(self._driver)
            jobs.extend(pipeline.take(pending.popleft().result()))


class _Task:
    """A flow, and what has come of it."""

    def __init__(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self._outcome: Any = None
        self._error: AvePointError | None = None
        self.is_done = False

    def run(self, driver: Driver) -> None:
        self.is_done = True
        try:
            self._outcome = driver.run(self._flow)
        except AvePointError as e:
            self._error = e

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._outcome


def queries_of(*kinds: str) -> list[JobQuery]:
    return build_queries("m365", object_type=list(kinds))


def read_in_turn(
    client: Client, queries: list[JobQuery], server: Server
) -> tuple[list[str], AvePointError | None]:
    """Return the ids that come of one query after the other, and the error that ends it."""
    jobs: list[BackupJob] = []
    chance = random.Random(0)
    try:
        for query in queries:
            SideBySide(server, chance).draw(JobListing(client, query, NOW), jobs)
    except AvePointError as e:
        return [job.job_id for job in jobs], e
    return [job.job_id for job in jobs], None


@pytest.mark.parametrize("at_a_time", [1, 2, 8])
def test_what_comes_side_by_side_is_what_comes_in_turn(at_a_time: int) -> None:
    """The same jobs in the same order, up to the same error, however the answers overtake one another."""
    kinds = list(M365.object_types)
    for seed in range(40):
        chance = random.Random(f"{at_a_time}-{seed}")
        asked = chance.sample(kinds, chance.randint(1, len(kinds)))
        numbers = {kind: str(M365.object_types[kind]) for kind in asked}
        jobs = {
            number: [row(f"{kind}-{each}") for each in range(chance.choice([0, 1, PAGE_SIZE, 12, 70]))]
            for kind, number in numbers.items()
        }
        refused = {(chance.choice(list(jobs)), chance.randint(0, 3)) for _ in range(chance.randint(0, 2))}
        server, queries = Server(jobs, refused=refused), queries_of(*asked)
        fields = {"max_concurrency": at_a_time, "page_size": PAGE_SIZE}
        expected, problem = read_in_turn(build_client(**fields), queries, server)

        driver, found, raised = SideBySide(server, chance), list[BackupJob](), None
        try:
            driver.draw(JobListings(build_client(**fields), queries, NOW), found)
        except AvePointRequestError as e:
            raised = e

        assert expected == [job.job_id for job in found], seed
        assert str(problem) == str(raised), seed
        assert driver.most_in_flight <= at_a_time + at_a_time // 2


def test_few_jobs_are_kept_until_it_is_their_turn() -> None:
    """Memory is bounded: of many long listings, some 5,000 jobs have come and are not drawn yet, not more."""
    kinds, size, at_a_time = list(M365.object_types), 500, 4
    numbers = {kind: str(M365.object_types[kind]) for kind in kinds}
    pages = dict.fromkeys(kinds, 3) | {kinds[0]: 40}  # the others wait long for the first
    rows = {numbers[kind]: [row(f"{kind}-{each}") for each in range(pages[kind] * size)] for kind in kinds}
    server = Server(rows, size, tokens=[numbers[kinds[0]]])
    made = build_client(max_concurrency=at_a_time, page_size=size)
    listings, driver, drawn, most_ahead = JobListings(made, queries_of(*kinds), NOW), Driver(server), 0, 0
    pending: deque[Any] = deque()
    while True:
        pending.extend(map(driver.run, listings.begin(len(pending))))
        if not pending:
            break
        most_ahead = max(most_ahead, len(server.asked) * size - drawn)
        drawn += sum(1 for _ in listings.take(pending.popleft()))

    assert sum(pages.values()) * size == drawn
    assert 5_000 <= most_ahead <= 5_000 + 2 * at_a_time * size


def test_all_types_are_asked_for_before_each_of_them() -> None:
    """A job that begins during a look is claimed by its type, whichever request the server takes first."""

    class Growing(Server):
        def find(self, kind: str) -> list[Row]:
            new = [row(f"J{number}") for number in range(len(self.asked))]
            return new if kind in ("all", "1") else []

    for seed in range(20):
        server = Growing({})
        made = build_client(page_size=100)
        queries = Policy(product="m365", max_age="1d").queries(NOW)
        jobs: list[BackupJob] = []
        SideBySide(server, random.Random(seed)).draw(JobListings(made, queries, NOW), jobs)

        assert len(queries) == len({kind for kind, _ in server.asked})
        assert {"exchange_online"} == {job.workload for job in leave_out_claimed(jobs)}


def test_queries_are_noted_as_they_are_answered() -> None:
    server = Server({"1": [row("A")], "2": [], "7": [row("B")]})
    queries, noted = queries_of("exchange_online", "sharepoint_online", "teams"), list[JobQuery]()
    listings = JobListings(build_client(), queries, NOW, note_answered=noted.append)
    jobs: list[BackupJob] = []
    SideBySide(server, random.Random(1)).draw(listings, jobs)

    assert ["A", "B"] == [job.job_id for job in jobs]
    assert queries == noted


def test_silent_organisations_are_looked_for_among_all() -> None:
    """An id in another spelling finds its jobs; a name raises, and the message has the id."""
    rows = [
        {**row(f"D{n}"), "jobId": f"D{n}", "status": 3, "type": 1, "organizationId": f"Org{n}"}
        | {"organizationName": f"Name {n}"}
        for n in range(3)
    ]

    def serve(request: Request) -> Answer:
        if request.subject == "identity":
            return token()
        wanted = dict(request.query).get("organizationId")
        found = [each for each in rows if wanted in (None, each["organizationId"])]
        return answer({"jobs": found, "totalCount": len(found)})

    def find(*organizations: str) -> list[str]:
        queries = [
            each for name in organizations for each in build_queries("dynamics365", organization_id=name)
        ]
        jobs: list[BackupJob] = []
        SideBySide(serve, random.Random(2)).draw(JobListings(build_client(), queries, NOW), jobs)
        return [job.job_id for job in jobs]

    assert ["D1", "D2"] == find("Org1", "Org2")
    assert ["D1"] == find("Org7", "Org1")
    with pytest.raises(AvePointConfigError, match="'name 2' is the name of Org2"):
        find("Org1", "name 2")
