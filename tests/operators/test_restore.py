"""A restore as a task, over sockets: asked for once, whatever happens, followed, and judged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import cycle
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import errors, restore, retry
from airflow_provider_avepoint.operators import restore as operators
from airflow_provider_avepoint.operators.avepoint import AvePointRestoreOperator
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.transports import limits
from tests.sensors.modes import TaskInstance, World

PATH = "/backup/m365/restore/jobs"
JOBS = "/backup/m365/cloudbackupjobs"
RESTORE_SCOPE = "microsoft365backup.restore.readwrite.all"
MODES = ["sleeping", "deferring"]


class TaskState:
    """Airflow's task state of one task, which outlives its tries."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.forgets = False

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept[key]) if key in self.kept and not self.forgets else default

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        assert retention > timedelta(days=30)
        self.kept[key] = json.dumps(value)

    @property
    def intent(self) -> dict[str, Any]:
        return self.get("avepoint_restore")


class Task:
    """A task of one DAG run: its tries share what Airflow keeps.

    :param mode: how the task waits.
    """

    def __init__(self, simulator: Simulator, mode: str = "sleeping", **arguments: Any) -> None:
        self.state = TaskState()
        self.ti = TaskInstance(World(simulator))
        self.context: dict[str, Any] = {"ti": self.ti, "task_state_store": self.state}
        self.deferrals = 0
        self._mode = mode
        self._arguments = {
            "service": "sharepoint_online",
            "site_url": "https://contoso.sharepoint.com/sites/canary",
            "library": "Documents",
            "files": ["canary/a.txt", "canary/b.txt"],
            "recovery_time": "2026-11-01T00:00:00Z",
            "poll_interval": 0.05,
        } | arguments

    def make(self) -> AvePointRestoreOperator:
        return AvePointRestoreOperator(
            task_id="restore", **{"deferrable": self._mode == "deferring"} | self._arguments
        )

    def run(self, **changes: Any) -> dict[str, Any]:
        """Run one try to its end."""
        self._arguments |= changes
        try:
            return self.make().execute(self.context)
        except TaskDeferred as e:
            deferred = e
        while True:
            self.deferrals += 1
            assert self.deferrals < 50, "the task defers for ever"
            event = run_trigger(deferred.trigger)
            kwargs = json.loads(json.dumps(deferred.kwargs))
            try:
                return self.make().execute_complete(self.context, event=event, **kwargs)
            except TaskDeferred as e:
                deferred = e


def run_trigger(trigger: Any) -> Any:
    """Hand *trigger* over as Airflow does, as JSON; return its one event, which is JSON too."""
    path, kwargs = json.loads(json.dumps(trigger.serialize()))
    module, _, name = path.rpartition(".")

    async def collect() -> list[Any]:
        rebuilt = getattr(import_module(module), name)(**kwargs)
        return [json.loads(json.dumps(event.payload)) async for event in rebuilt.run()]

    (event,) = asyncio.run(collect())
    return event


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)
    monkeypatch.setattr(operators, "BUSY_PAUSE", timedelta(seconds=0.1))


@pytest.fixture
def _no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ten minutes of the search be over at once."""
    search_for(monkeypatch, timedelta(0))


def search_for(monkeypatch: pytest.MonkeyPatch, span: timedelta) -> None:
    for module in (restore, operators):
        monkeypatch.setattr(module, "SEARCH_FOR", span)


@pytest.fixture
def allowed(connect: Callable[..., str]) -> str:
    return connect(extra={"allow_restore": True, "timeout": 5})


def after_preparing(monkeypatch: pytest.MonkeyPatch, step: Callable[[], object]) -> None:
    """Take *step* when the task has looked for earlier restores and has not asked for its own."""
    prepare = operators.prepare_restore

    def prepare_and_step(*arguments: Any) -> Any:
        known = yield from prepare(*arguments)
        step()
        return known

    monkeypatch.setattr(operators, "prepare_restore", prepare_and_step)


def posts(simulator: Simulator) -> int:
    return len(simulator.requests(PATH))


@pytest.mark.parametrize("mode", MODES)
def test_a_restore_that_ends_well(simulator: Simulator, allowed: str, mode: str) -> None:
    """The drill is JSON, and says what was asked for, when, and what came of it."""
    simulator.set_restores(runs_for=0.5)
    task = Task(simulator, mode, expect_files=2)

    drill = task.run()

    (started,) = simulator.restores()
    assert json.loads(json.dumps(drill)) == drill
    assert (drill["passed"], drill["reason"], drill["was_adopted"]) == (True, "passed", False)
    assert (drill["restored_files"], drill["expect_files"]) == (2, 2)
    assert drill["job"]["job_id"] == started["job_id"]
    assert drill["request"]["files"] == ["canary/a.txt", "canary/b.txt"]
    assert abs(datetime.fromisoformat(drill["sent_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert task.ti.xcoms == {}
    assert task.deferrals <= (1 if mode == "deferring" else 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("settings", "arguments", "reason"),
    [
        ({"ends_as": "failed"}, {}, "failed"),
        ({"ends_as": "partial"}, {}, "partial"),
        ({"counts": {"successful": 2, "failed": 1}}, {}, "partial"),
        ({}, {"expect_files": 3}, "too_few_files"),
        ({"counts": {"successful": 0, "skipped": 2}}, {}, "nothing_restored"),
    ],
)
def test_a_restore_that_ends_badly(
    simulator: Simulator,
    allowed: str,
    mode: str,
    settings: dict[str, Any],
    arguments: dict[str, Any],
    reason: str,
) -> None:
    """The task fails without a retry, and the drill is kept; a cleared task restores nothing anew."""
    simulator.set_restores(runs_for=0.3, **settings)
    task = Task(simulator, mode, **arguments)

    for _ in range(2):
        with pytest.raises(exceptions.AvePointJobFailed) as caught:
            task.run()

    assert isinstance(caught.value, AirflowFailException)
    assert task.ti.xcoms["drill"]["reason"] == reason
    assert caught.value.job == task.ti.xcoms["drill"]["job"]
    assert posts(simulator) == 1


def test_a_restore_needs_the_connections_consent(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Which is off by default; nothing is sent, not even for a token."""
    connect()

    with pytest.raises(exceptions.AvePointConfigError, match="allow_restore"):
        Task(simulator).run()

    assert simulator.requests() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"files": [str(number) for number in range(21)]},
        {"files": None},
        {"recovery_time": "2999-01-01T00:00:00Z"},
        {"expect_files": 0},
        {"poll_interval": None},
        {"timeout": "soon"},
        {"avepoint_conn_id": "nowhere"},
        {"location": ""},
        {"deferrable": "perhaps"},
    ],
)
def test_bad_arguments_send_nothing(simulator: Simulator, allowed: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(exceptions.AvePointConfigError):
        Task(simulator, **arguments).run()

    assert simulator.requests() == []


def test_a_recovery_time_in_the_apis_future_is_refused(simulator: Simulator, allowed: str) -> None:
    """Where this machine's clock is ahead; before the restore is asked for."""
    simulator.set_clock(ahead_seconds=-86400)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)

    with pytest.raises(exceptions.AvePointConfigError, match="future"):
        Task(simulator, recovery_time=an_hour_ago).run()

    assert posts(simulator) == 0


def test_other_clocks_do_not_matter(simulator: Simulator, allowed: str) -> None:
    simulator.set_clock(ahead_seconds=-86400)
    simulator.set_restores(runs_for=0)

    assert Task(simulator).run()["passed"]


def test_the_permission_is_asked_for_by_a_restore_alone(simulator: Simulator, allowed: str) -> None:
    from airflow_provider_avepoint.operators.avepoint import AvePointListJobsOperator

    AvePointListJobsOperator(task_id="list", product="m365").execute({})
    assert RESTORE_SCOPE not in simulator.stats()["tokens"]
    simulator.set_restores(runs_for=0)

    Task(simulator).run()

    assert simulator.stats()["tokens"][RESTORE_SCOPE] == 1


@pytest.mark.parametrize("missing", [RESTORE_SCOPE, "microsoft365backup.jobInfo.read.all"])
def test_a_missing_permission_is_named_before_anything_is_sent(
    simulator: Simulator, allowed: str, missing: str
) -> None:
    """The one to follow the job too: a restore that nobody can follow proves nothing."""
    others = {RESTORE_SCOPE, "microsoft365backup.jobInfo.read.all"} - {missing}
    simulator.set_client(simulator.client_id, scopes=sorted(others))
    task = Task(simulator)

    with pytest.raises(exceptions.AvePointPermissionError, match=missing):
        task.run()

    assert posts(simulator) == 0
    assert task.state.kept == {}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_is_final_and_can_be_mended(simulator: Simulator, allowed: str, status: int) -> None:
    """Nothing was started: so the task that is cleared may ask anew."""
    simulator.set_restores(runs_for=0)
    simulator.add_fault("status", path=PATH, status=status)
    task = Task(simulator)

    with pytest.raises(AirflowFailException):
        task.run()
    assert posts(simulator) == 1
    assert task.state.intent["phase"] == "refused"

    assert task.run(files=["canary/c.txt"])["passed"]
    assert len(simulator.restores()) == 1


def test_a_token_that_has_expired_is_renewed_once(simulator: Simulator, allowed: str) -> None:
    simulator.set_restores(runs_for=0)
    simulator.add_fault("expire_token", path=PATH)

    assert Task(simulator).run()["passed"]

    assert [each["status"] for each in simulator.requests(PATH)] == [401, 200]
    assert len(simulator.restores()) == 1


def test_a_fresh_token_that_is_refused_too(simulator: Simulator, allowed: str) -> None:
    simulator.add_fault("status", path=PATH, status=401, count=2)

    with pytest.raises(exceptions.AvePointAuthError):
        Task(simulator).run()

    assert posts(simulator) == 2


LOST = [
    ("drop", {"where": "after"}),
    ("drop", {"where": "middle"}),
    ("hang", {"where": "after"}),
    ("broken_json", {}),
    ("missing_rows", {}),
    ("error_body", {"form": "status_code"}),
    ("error_body", {"form": "error"}),
    ("fields", {"extra": {"data": {"jobId": " "}}}),
    ("fields", {"extra": {"data": {"jobId": "R" * 1000}}}),
    ("fields", {"extra": {"data": ["RS1"]}}),
    ("fields", {"extra": {"statusCode": 500}}),
]


# The first in both modes, and the others in turn.
@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("kind", "fields", "mode"),
    [(*LOST[0], MODES[1]), *((*lost, mode) for lost, mode in zip(LOST, cycle(MODES), strict=False))],
    ids=str,
)
def test_a_lost_answer_never_restores_twice(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    fields: dict[str, Any],
    mode: str,
) -> None:
    """A restore that began is found by its start; where none began, nobody knows, and says so."""
    connect(extra={"allow_restore": True, "timeout": 2})
    search_for(monkeypatch, timedelta(seconds=0.2 if kind == "error_body" else 5))
    simulator.set_restores(runs_for=0.3)
    simulator.add_fault(kind, path=PATH, **fields)
    task = Task(simulator, mode)

    if kind == "error_body":
        for _ in range(2):
            with pytest.raises(exceptions.AvePointRestoreUncertain, match="job monitor"):
                task.run()
        assert simulator.restores() == []
    else:
        drill = task.run()
        assert (drill["passed"], drill["was_adopted"]) == (True, True)
        assert len(simulator.restores()) == 1
    assert posts(simulator) == 1


@pytest.mark.parametrize(
    "fault",
    [
        ("status", {"status": 500}),
        ("status", {"status": 503}),
        ("status", {"status": 408}),
        ("status", {"status": 409}),
        ("status", {"status": 429, "body": "3 jobs are running"}),
        ("status", {"status": 429, "body": {"statusCode": 429, "message": "Rate limit is exceeded."}}),
        ("status", {"status": 429, "body": {"statusCode": 400, "requestId": "0HN:1"}}),
        ("status", {"status": 429, "body": {"statusCode": 429, "requestId": "1", "data": {"jobId": "R"}}}),
        ("status", {"status": 200, "body": {"statusCode": 429, "requestId": "0HN:1"}}),
        ("redirect", {"location": "/elsewhere"}),
        ("html", {}),
        ("empty_body", {}),
        ("drop", {}),
        ("status", {"status": 429, "body": {"message": "Too many restore jobs requested"}}),
    ],
    ids=str,
)
@pytest.mark.usefixtures("_no_search")
def test_what_may_have_begun_is_not_repeated(
    simulator: Simulator, allowed: str, fault: tuple[str, dict[str, Any]]
) -> None:
    """Not by this try, and not by the next ones."""
    kind, fields = fault
    simulator.add_fault(kind, path=PATH, **fields)
    task = Task(simulator)

    for _ in range(3):
        with pytest.raises(exceptions.AvePointRestoreUncertain) as caught:
            task.run()

    assert isinstance(caught.value, AirflowFailException)
    assert isinstance(caught.value, errors.AvePointRestoreUncertain)
    assert posts(simulator) == 1


@pytest.mark.usefixtures("_no_search")
def test_a_job_that_began_before_the_request_is_somebody_elses(simulator: Simulator, allowed: str) -> None:
    """It is listed late, after the request."""
    simulator.add_fault("status", path=PATH, status=500)
    task = Task(simulator)
    with pytest.raises(exceptions.AvePointRestoreUncertain):
        task.run()
    simulator.add_job("m365", job_type="restore", started_ago=120)
    with pytest.raises(exceptions.AvePointRestoreUncertain):
        task.run()
    simulator.add_job("m365", job_type="restore", started_ago=0)

    with pytest.raises(exceptions.AvePointJobFailed, match="the job was found by its start"):
        task.run()  # no file came back
    assert posts(simulator) == 1


@pytest.mark.usefixtures("_no_search")
def test_an_answer_that_does_not_end_is_not_asked_for_again(
    simulator: Simulator, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BODY", 100_000)
    simulator.add_fault("endless_body", path=PATH)

    drill = Task(simulator).run()

    assert drill["was_adopted"]
    assert posts(simulator) == 1


def test_a_job_of_another_tenant_is_not_adopted(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Somebody has edited the connection between two tries."""
    connect(extra={"allow_restore": True, "timeout": 2})
    simulator.add_fault("hang", path=PATH, where="after")
    task = Task(simulator)
    simulator.set_client("other", secret="other")
    simulator.set_restores(runs_for=3600)
    with pytest.raises(AirflowException, match="Gave up"):
        task.run(timeout=0.1)
    connect(extra={"allow_restore": True}, login="other", password="other")

    with pytest.raises(exceptions.AvePointRestoreUncertain, match="connection"):
        task.run()

    assert posts(simulator) == 1


@pytest.mark.parametrize("ahead", [-86400, 86400])
def test_a_restore_is_found_whatever_this_machines_clock(
    simulator: Simulator, allowed: str, ahead: float
) -> None:
    simulator.set_clock(ahead_seconds=ahead)
    simulator.set_restores(runs_for=0)
    simulator.add_fault("drop", path=PATH, where="after")

    assert Task(simulator).run()["was_adopted"]


def test_a_task_that_is_resumed_twice_restores_once(simulator: Simulator, allowed: str) -> None:
    """The scheduler may run the resumed task again: what is kept with the task wins over the deferral's."""
    running = [simulator.add_job("m365", job_type="export", state="running")["job_id"] for _ in range(3)]
    simulator.set_restores(runs_for=0)
    task = Task(simulator, "deferring")
    with pytest.raises(TaskDeferred) as caught:
        task.make().execute(task.context)
    simulator.patch_job("m365", running[0], state="success")

    drills = [task.make().execute_complete(task.context, event=None, **caught.value.kwargs) for _ in range(2)]

    assert drills[0]["job"] == drills[1]["job"]
    assert len(simulator.restores()) == 1


def test_without_a_connection_nothing_was_sent(
    simulator: Simulator, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a retry may send."""
    simulator.set_restores(runs_for=0)
    task = Task(simulator)
    start = operators.start_restore

    def start_elsewhere(client: Any, *arguments: Any) -> Any:
        client.settings = restore.replace(client.settings, base_url="http://127.0.0.1:9")
        return start(client, *arguments)

    monkeypatch.setattr(operators, "start_restore", start_elsewhere)
    with pytest.raises(exceptions.AvePointUnavailable, match="not sent"):
        task.run()
    monkeypatch.setattr(operators, "start_restore", start)

    assert task.run()["passed"]
    assert len(simulator.restores()) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_restore_that_is_accepted_late_is_found(
    simulator: Simulator, connect: Callable[..., str], mode: str
) -> None:
    connect(extra={"allow_restore": True, "timeout": 1})
    simulator.set_restores(runs_for=0)
    simulator.add_fault("slow", path=PATH, seconds=2)

    drill = Task(simulator, mode).run()

    assert drill["was_adopted"]
    assert len(simulator.restores()) == posts(simulator) == 1


def test_another_restore_is_not_taken_for_ones_own(
    simulator: Simulator, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that began before; one of an answer that names an old job; and where there are two, neither."""
    search_for(monkeypatch, timedelta(seconds=2))
    old = simulator.add_job("m365", job_type="restore", started_ago=30, runs_for=1)["job_id"]
    simulator.add_job("m365", job_type="restore", started_ago=3600, state="running")
    simulator.add_fault("fields", path=PATH, extra={"data": {"jobId": old}})
    simulator.set_restores(starts_in=3600)

    with pytest.raises(exceptions.AvePointRestoreUncertain, match="no restore job"):
        Task(simulator).run()

    simulator.add_fault("drop", path=PATH)
    task = Task(simulator)
    with pytest.raises(exceptions.AvePointRestoreUncertain, match="no restore job"):
        task.run()
    for name in ("RS-A", "RS-B"):
        simulator.add_job("m365", job_id=name, job_type="restore", started_ago=0, runs_for=0)
    with pytest.raises(exceptions.AvePointRestoreUncertain, match="RS-A, RS-B") as caught:
        task.run()
    assert caught.value.job_ids == ("RS-A", "RS-B")


@pytest.mark.parametrize("mode", MODES)
def test_a_second_candidate_that_is_listed_late_unsettles_an_adoption(
    simulator: Simulator, allowed: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that was found first may be somebody else's."""
    simulator.add_fault("drop", path=PATH)
    task = Task(simulator, mode, timeout=0.2)
    other = {"job_id": "RS-A", "job_type": "restore", "starts_in": 0, "runs_for": 3600}
    after_preparing(monkeypatch, lambda: simulator.add_job("m365", **other))
    with pytest.raises(AirflowException, match="Gave up waiting"):
        task.run()
    assert task.state.intent["was_adopted"]
    simulator.add_job("m365", job_id="RS-B", job_type="restore", started_ago=0, runs_for=0)
    simulator.patch_job("m365", "RS-A", state="success")

    with pytest.raises(exceptions.AvePointRestoreUncertain, match="RS-B"):
        task.run(timeout=60)

    assert posts(simulator) == 1


def test_a_server_that_does_not_heed_the_job_type_passes_no_backup_off_as_a_restore(
    simulator: Simulator, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator.set_quirks("m365", ignored_parameters=["jobType"])
    simulator.add_fault("drop", path=PATH)
    after_preparing(monkeypatch, lambda: simulator.add_job("m365", job_id="FB1", started_ago=0))
    task = Task(simulator)

    with pytest.raises(exceptions.AvePointPayloadError, match="jobType"):
        task.run()

    assert task.state.intent["job_id"] is None


@pytest.mark.parametrize("mode", MODES)
def test_a_full_house_is_waited_for(
    simulator: Simulator, allowed: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three jobs run: nothing was started, and asking again is safe."""
    running = [simulator.add_job("m365", job_type="export", state="running")["job_id"] for _ in range(3)]
    simulator.set_restores(runs_for=0)
    start = operators.start_restore

    def start_and_make_room(*arguments: Any) -> Any:
        reply = yield from start(*arguments)
        if reply.kind is restore.ReplyKind.BUSY and posts(simulator) == 2:
            simulator.patch_job("m365", running[0], state="success")
        return reply

    monkeypatch.setattr(operators, "start_restore", start_and_make_room)

    drill = Task(simulator, mode).run()

    assert drill["passed"]
    assert drill["job"]["job_id"] not in running
    assert [each["status"] for each in simulator.requests(PATH)] == [429, 429, 200]
    assert len(simulator.restores()) == 1


@pytest.mark.parametrize(
    "fault",
    [("status", {"status": 429}), ("retry_after", {"seconds": 1})],
    ids=str,
)
def test_a_full_house_in_other_words_is_waited_for(
    simulator: Simulator, allowed: str, fault: tuple[str, dict[str, Any]]
) -> None:
    """The API's own 429 is documented, whatever its language: nothing was started."""
    kind, fields = fault
    simulator.set_restores(runs_for=0)
    simulator.add_fault(kind, path=PATH, **fields)

    drill = Task(simulator).run()

    assert (drill["passed"], drill["was_adopted"]) == (True, False)
    assert [each["status"] for each in simulator.requests(PATH)] == [429, 200]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, {"message": "Es laufen schon drei Wiederherstellungen."}),
        (409, "Es laufen schon drei Wiederherstellungen."),
        (429, "Es laufen schon drei Wiederherstellungen."),
    ],
    ids=str,
)
@pytest.mark.usefixtures("_no_search")
def test_the_words_of_a_refusal_that_may_be_none_are_told(
    simulator: Simulator, allowed: str, status: int, body: object
) -> None:
    simulator.add_fault("status", path=PATH, status=status, body=body)

    with pytest.raises(exceptions.AvePointRestoreUncertain, match=f"{status}: Es laufen schon drei Wied"):
        Task(simulator).run()


@pytest.mark.parametrize("mode", MODES)
def test_a_full_house_is_not_waited_for_without_end(simulator: Simulator, allowed: str, mode: str) -> None:
    for _ in range(3):
        simulator.add_job("m365", job_type="restore", state="running")
    task = Task(simulator, mode, timeout=0.3)

    with pytest.raises(exceptions.AvePointUnavailable, match="Nothing was restored") as caught:
        task.run()

    assert not isinstance(caught.value, AirflowFailException), "a retry may help, and does no harm"
    assert simulator.restores() == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("given", ["timeout", "execution_timeout"])
def test_the_search_ends_with_the_tasks_time_and_a_retry_goes_on(
    simulator: Simulator, allowed: str, mode: str, given: str
) -> None:
    """The ten minutes of the search are longer than the task may take."""
    simulator.add_fault("status", path=PATH, status=409)
    task = Task(simulator, mode, **{given: timedelta(seconds=0.3)})

    for _ in range(2):
        with pytest.raises(AirflowException, match="Nobody knows whether the restore began") as caught:
            task.run()
        assert not isinstance(caught.value, AirflowFailException)
    counts = {"successful": 2}
    simulator.add_job("m365", job_id="RS-A", job_type="restore", started_ago=0, runs_for=0, counts=counts)

    drill = task.run(timeout=60, execution_timeout=None)

    assert (drill["was_adopted"], drill["job"]["job_id"]) == (True, "RS-A")
    assert posts(simulator) == 1


def test_an_end_without_its_time_proves_nothing(simulator: Simulator, allowed: str) -> None:
    simulator.set_restores(runs_for=0, extra={"finishTime": None})
    task = Task(simulator, timeout=0.2)

    with pytest.raises(AirflowException, match="the time of its end is missing; it counts as unreadable"):
        task.run()

    (started,) = simulator.restores()
    simulator.patch_job("m365", started["job_id"], extra={})
    assert task.run(timeout=60)["passed"]


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_follows_the_same_job(simulator: Simulator, allowed: str, mode: str) -> None:
    simulator.set_restores(runs_for=3600)
    task = Task(simulator, mode, timeout=0.2)
    with pytest.raises(AirflowException, match="Gave up waiting"):
        task.run()
    (started,) = simulator.restores()
    simulator.patch_job("m365", started["job_id"], state="success", counts={"successful": 2})

    drill = task.run(timeout=60)

    assert drill["job"]["job_id"] == started["job_id"]
    assert posts(simulator) == 1


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_restore_is_followed_by_the_list_where_one_job_cannot_be_asked_for(
    simulator: Simulator, allowed: str, status: int
) -> None:
    """No document says that the endpoint for one job knows restores."""
    simulator.set_restores(runs_for=0)
    simulator.add_fault("status", path=f"{JOBS}/", status=status, count=None)

    drill = Task(simulator, location="NAM").run()

    assert drill["passed"]
    listed = [each for each in simulator.requests(JOBS) if each["path"] == JOBS]
    assert {(each["query"]["jobType"], each["query"]["location"]) for each in listed} == {("2", "NAM")}
    asked = [each["query"]["location"] for each in simulator.requests(f"{JOBS}/")]
    assert set(asked) == {"NAM"}
    assert simulator.requests(PATH)[0]["query"] == {"location": "NAM"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [404, 500])
def test_a_job_that_is_listed_late_is_waited_for(
    simulator: Simulator, allowed: str, mode: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    simulator.set_restores(starts_in=1, runs_for=0)
    simulator.add_fault("status", path=f"{JOBS}/", status=status, count=None)

    assert Task(simulator, mode).run()["passed"]


def test_the_connections_location_is_where_the_restore_is(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    connect(extra={"allow_restore": True, "location": "EUR"})
    simulator.set_restores(runs_for=0)

    drill = Task(simulator).run()

    assert simulator.restores()[0]["location"] == drill["request"]["location"] == "EUR"


def test_a_job_of_before_is_not_followed(simulator: Simulator, allowed: str) -> None:
    """An answer that names a job of yesterday is not understood."""
    old = simulator.add_job("m365", job_type="restore", started_ago=86400)["job_id"]
    simulator.add_fault("fields", path=PATH, extra={"data": {"jobId": old}})

    with pytest.raises(exceptions.AvePointPayloadError, match="another job"):
        Task(simulator).run()


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_while_the_job_runs_is_waited_out(
    simulator: Simulator, allowed: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    simulator.set_restores(runs_for=0.2)
    simulator.add_fault("status", path=f"{JOBS}/", status=503, count=4)
    simulator.add_fault("status", path=JOBS, skip=1, status=503, count=4)

    assert Task(simulator, mode).run()["passed"]
    assert posts(simulator) == 1


def test_a_network_that_is_away_is_told_as_such(
    connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of restores is not asked for then."""
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    with Simulator() as passing:
        connect(host=passing.url, extra={"allow_restore": True, "identity_endpoint": passing.token_url})
        passing.set_restores(runs_for=3600)
        task = Task(passing, timeout=0.1)
        with pytest.raises(AirflowException, match="Gave up"):
            task.run()

    with pytest.raises(exceptions.AvePointUnavailable, match="RS"):
        task.run()


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_without_end_ends_the_try_and_not_the_restore(
    simulator: Simulator, allowed: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    simulator.set_restores(runs_for=0)
    simulator.add_fault("status", path=f"{JOBS}/", status=503, count=None)
    simulator.add_fault("status", path=JOBS, skip=1, status=503, count=None)
    task = Task(simulator, mode)

    with pytest.raises(exceptions.AvePointUnavailable) as caught:
        task.run()
    assert not isinstance(caught.value, AirflowFailException)
    simulator.clear_faults()

    assert task.run()["passed"]
    assert posts(simulator) == 1


def test_a_refusal_while_deferred_wakes_the_task(simulator: Simulator, allowed: str) -> None:
    simulator.set_restores(runs_for=3600)
    task = Task(simulator, "deferring")
    with pytest.raises(TaskDeferred) as caught:
        task.make().execute(task.context)
    simulator.set_client(simulator.client_id, secret="another")  # the simulator's
    simulator.expire_tokens()

    event = run_trigger(caught.value.trigger)

    assert event["has_failed"]
    with pytest.raises(exceptions.AvePointAuthError):
        task.make().execute_complete(task.context, event=event, **caught.value.kwargs)


@pytest.mark.parametrize("event", [None, {}, {"status": "passed"}, "passed", {"message": "It is done."}])
def test_an_event_decides_nothing(simulator: Simulator, allowed: str, event: Any) -> None:
    """Lost, alien or lying: the task looks for itself."""
    simulator.set_restores(runs_for=3600, ends_as="failed")
    task = Task(simulator, "deferring")
    with pytest.raises(TaskDeferred) as deferred:
        task.make().execute(task.context)
    (started,) = simulator.restores()

    with pytest.raises(TaskDeferred):
        task.make().execute_complete(task.context, event=event, **deferred.value.kwargs)
    simulator.patch_job("m365", started["job_id"], state="failed")
    with pytest.raises(exceptions.AvePointJobFailed):
        task.make().execute_complete(task.context, event=event)


def test_a_deferral_holds_no_secret_and_comes_no_sooner_than_ten_seconds(
    simulator: Simulator, allowed: str
) -> None:
    simulator.set_restores(runs_for=3600)
    task = Task(simulator, "deferring", poll_interval=60)
    before = datetime.now(UTC)

    with pytest.raises(TaskDeferred) as caught:
        task.make().execute(task.context)

    path, kwargs = caught.value.trigger.serialize()
    assert path == "airflow_provider_avepoint.triggers.avepoint.AvePointRestoreTrigger"
    assert simulator.client_secret not in json.dumps([kwargs, caught.value.kwargs])
    assert datetime.fromisoformat(kwargs["first_poll_at"]) >= before + timedelta(seconds=10)
    assert caught.value.timeout > timedelta(hours=6)


def test_other_arguments_in_the_next_try_send_nothing(simulator: Simulator, allowed: str) -> None:
    """A template that renders the time of the try must not restore twice."""
    simulator.set_restores(runs_for=0)
    task = Task(simulator)
    task.run()

    with pytest.raises(exceptions.AvePointRestoreUncertain, match="another restore"):
        task.run(recovery_time="2026-11-02T00:00:00Z")

    assert posts(simulator) == 1


def test_without_a_place_for_the_intent_nothing_is_sent(simulator: Simulator, allowed: str) -> None:
    """A task instance of an Airflow that keeps no state of tasks; or a try that Airflow has given up."""
    task = Task(simulator)
    with pytest.raises(exceptions.AvePointConfigError, match="task state"):
        task.make().execute({"ti": task.ti})
    task.state.forgets = True
    with pytest.raises(exceptions.AvePointUnavailable, match="not kept"):
        task.run()

    assert posts(simulator) == 0


def test_an_intent_that_is_not_understood_sends_nothing(simulator: Simulator, allowed: str) -> None:
    task = Task(simulator)
    task.state.kept["avepoint_restore"] = json.dumps({"phase": "done"})

    with pytest.raises(exceptions.AvePointRestoreUncertain, match="not understood"):
        task.run()

    assert simulator.requests() == []


@pytest.mark.parametrize("mode", MODES)
def test_outside_of_a_task_the_process_remembers(simulator: Simulator, allowed: str, mode: str) -> None:
    simulator.set_restores(runs_for=0.3, ends_as="failed")
    task = Task(simulator, mode)
    task.context = {}

    with pytest.raises(exceptions.AvePointJobFailed):
        task.run()

    assert posts(simulator) == 1
