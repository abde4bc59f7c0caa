"""One table of what can happen to a wait; both sensors end it the same way in every mode."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import retry
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.wait_events import MAX_FAILED_POLLS
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor
from airflow_provider_avepoint.simulator import Simulator
from tests.sensors.modes import KEEPS_STATE, MODES, Outcome, Step, World, resume, run, run_trigger
from tests.versions import DEFERRAL_TIMEOUT

PRODUCT, PATH = "dynamics365", "/dynamicsbackup/jobs"
JOB, ORGANIZATION = "DCIB00000001", "contoso"
TIMEOUT = 3600.0

#: The ends that an option may turn into a skip; an outage it may not.
BAD, TIMED_OUT = "bad", "timed out"
#: Errors that no retry can mend.
FINAL = (
    exceptions.AvePointAuthError,
    exceptions.AvePointPermissionError,
    exceptions.AvePointRequestError,
    exceptions.AvePointConfigError,
)


@dataclass(frozen=True)
class Kind:
    """One of the two sensors, and what differs between them."""

    make: Callable[..., Any]
    bad: type[Exception]
    xcom: str

    def accepts(self, option: str) -> bool:
        return option not in ("on_failed", "retry") or self.make is make_backup_sensor


def make_backup_sensor(**options: Any) -> AvePointBackupSensor:
    policy = {"product": PRODUCT, "organization_ids": [ORGANIZATION], "max_age": 86400}
    return AvePointBackupSensor(task_id="wait", timeout=TIMEOUT, **(policy | options))


def make_job_sensor(**options: Any) -> AvePointJobSensor:
    job = {"product": PRODUCT, "job_id": JOB}
    return AvePointJobSensor(task_id="wait", timeout=TIMEOUT, **(job | options))


KINDS = {
    "backup": Kind(make_backup_sensor, exceptions.AvePointBackupFailed, "verdict"),
    "job": Kind(make_job_sensor, exceptions.AvePointJobFailed, "job"),
}
BOTH, BACKUP_ONLY, JOB_ONLY = ("backup", "job"), ("backup",), ("job",)


# Steps: what happens before a look.


def is_now(state: str | None = None, **fields: Any) -> Step:
    """Let the job be in *state*, adding it where there is none."""
    changes = fields if state is None else {"state": state, **fields}

    def step(world: World) -> None:
        if any(job["job_id"] == JOB for job in world.simulator.jobs(PRODUCT)):
            world.simulator.patch_job(PRODUCT, JOB, **changes)
        else:
            world.simulator.add_job(
                PRODUCT, job_id=JOB, organization_id=ORGANIZATION, started_ago=600, **changes
            )

    return step


def newer(state: str) -> Step:
    """Let a newer job of the same scope be in *state*."""

    def step(world: World) -> None:
        world.simulator.add_job(PRODUCT, organization_id=ORGANIZATION, started_ago=60, state=state)

    return step


def nothing(_world: World) -> None:
    """Let things be."""


def time_is_up(world: World) -> None:
    world.passed += TIMEOUT + 1


def api_is_away(world: World) -> None:
    world.simulator.add_fault("status", path=PATH, status=503, count=None)


def api_answers_html(world: World) -> None:
    world.simulator.add_fault("html", path=PATH, count=None)


def api_is_back(world: World) -> None:
    world.simulator.clear_faults()


def secret_is_changed(world: World) -> None:
    world.simulator.set_client(world.simulator.client_id, secret="another")
    world.simulator.expire_tokens()


def permission_is_taken(world: World) -> None:
    world.simulator.set_client(world.simulator.client_id, scopes=["microsoft365backup.jobInfo.read.all"])
    world.simulator.expire_tokens()


def parameter_is_refused(world: World) -> None:
    world.simulator.add_fault(
        "status",
        path=PATH,
        status=400,
        count=None,
        body={
            "statusCode": 400,
            "requestId": "00-cafe",
            "errors": [{"code": "InvalidParameter", "field": "startTime", "message": "Not a time."}],
        },
    )


def both(*steps: Step) -> Step:
    def step(world: World) -> None:
        for each in steps:
            each(world)

    return step


@dataclass(frozen=True)
class Case:
    """What happens, and how the wait ends.

    :param steps: what happens before each look.
    :param ends: None for success, BAD, TIMED_OUT, or the class raised.
    :param says: what the message holds.
    :param keeps: whether what was seen last is kept in an XCom; None where it may or may not be.
    :param remembers: whether a look has to know what the looks before it have seen.
    """

    steps: tuple[Step, ...]
    ends: str | type[Exception] | None = None
    says: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = BOTH
    keeps: bool | None = False
    remembers: bool = False

    def expected(self, kind: Kind) -> type[Exception] | None:
        if self.ends == BAD:
            return kind.bad
        if self.ends == TIMED_OUT:
            return AirflowSensorTimeout
        assert not isinstance(self.ends, str)
        return self.ends


LENIENT = {"fail_fast": False}
CASES = {
    "good": Case((is_now("success"),)),
    "good after a while": Case((is_now("running"), nothing, nothing, is_now("success"))),
    "not there yet": Case((nothing, nothing, is_now("success"))),
    "partial is accepted": Case((is_now("partial"),), options={"accept_partial": True}),
    "partial is not accepted": Case((is_now("partial"),), BAD, ("7",), keeps=True),
    "failed": Case((is_now("failed"),), BAD, ("failed", JOB), keeps=True),
    "failed, a newer one runs": Case(
        (both(is_now("failed"), newer("running")), newer("success")), kinds=BACKUP_ONLY
    ),
    "failed, then a better one, no fail_fast": Case(
        (is_now("failed"), nothing, newer("success")), options=LENIENT, kinds=BACKUP_ONLY
    ),
    "failed until the timeout, no fail_fast": Case(
        (is_now("running"), both(is_now("failed"), time_is_up)),
        TIMED_OUT,
        ("Gave up after 360", "failed", JOB),
        options=LENIENT,
        kinds=BACKUP_ONLY,
        keeps=True,
    ),
    "timeout": Case(
        (nothing, both(is_now("running"), time_is_up)),
        TIMED_OUT,
        ("Gave up after 360", "running", JOB),
        keeps=True,
    ),
    "timeout, nothing listed": Case(
        (nothing, time_is_up),
        TIMED_OUT,
        ("missed",),
        kinds=BACKUP_ONLY,
        keeps=True,
    ),
    "timeout, not listed": Case((nothing, time_is_up), TIMED_OUT, ("not listed yet",), kinds=JOB_ONLY),
    "timeout while the API is away": Case(
        (is_now("running"), both(api_is_away, time_is_up)),
        AirflowSensorTimeout,
        ("Gave up after 360", "nothing is known since", "UTC: the last look failed", "503", "running", JOB),
        remembers=True,
    ),
    "timeout while the API has been away from the first look on": Case(
        (api_is_away, time_is_up),
        AirflowSensorTimeout,
        ("the last 2 looks failed", "503", "No look before had reached the API"),
        remembers=True,
    ),
    "timeout after the API was away": Case(
        (api_is_away, both(api_is_back, is_now("running"), time_is_up)),
        TIMED_OUT,
        ("running", JOB),
        keeps=True,
    ),
    "good at the last look": Case((is_now("running"), both(is_now("success"), time_is_up))),
    "wrong credentials": Case(
        (secret_is_changed,), exceptions.AvePointAuthError, ("invalid_client", "demo-client")
    ),
    "missing permission": Case(
        (permission_is_taken,), exceptions.AvePointPermissionError, ("dynamics.readwrite.all",)
    ),
    "refused parameter": Case(
        (parameter_is_refused,),
        exceptions.AvePointRequestError,
        ("InvalidParameter", "startTime", "00-cafe"),
    ),
    "unusable argument": Case(
        (nothing,), exceptions.AvePointConfigError, ("product", "nonsense"), options={"product": "nonsense"}
    ),
    "unknown connection": Case(
        (nothing,),
        exceptions.AvePointConfigError,
        ("avepoint_conn_id", "elsewhere"),
        options={"avepoint_conn_id": "elsewhere"},
    ),
    "API is away for good": Case(
        (api_is_away,), exceptions.AvePointUnavailable, ("10 polls in a row failed", "503"), remembers=True
    ),
    "API is not understood for good": Case(
        (api_answers_html,), exceptions.AvePointPayloadError, ("10 polls in a row failed",), remembers=True
    ),
    "API is away for a while": Case((api_is_away, nothing, both(api_is_back, is_now("success")))),
    "API is away nine polls, twice": Case(
        (
            api_is_away,
            *[nothing] * 8,
            both(api_is_back, is_now("running")),
            api_is_away,
            *[nothing] * 8,
            both(api_is_back, is_now("success")),
        )
    ),
    "unknown state": Case((is_now(raw_state=99), nothing, is_now("success"))),
    "unknown state until the timeout": Case(
        (is_now(raw_state=99), time_is_up),
        TIMED_OUT,
        ("unknown", "99"),
        keeps=True,
    ),
}

# What each option makes of an end that is not good.
VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "soft_fail": {"soft_fail": True},
    "never_fail": {"never_fail": True},
    "on_failed": {"on_failed": "skip"},
    "retry": {"on_failed": "retry"},
}


def is_skipped(case: Case, variant: str) -> bool:
    if variant == "never_fail":
        return case.ends is not None
    return variant not in ("", "retry") and case.ends in (BAD, TIMED_OUT)


#: One case for each way to end, which every option is tried with.
WAYS_TO_END = [
    "good",
    "failed",
    "timeout",
    "timeout while the API is away",
    "wrong credentials",
    "API is away for good",
]
#: Ends of the first look, which the second look brings as well.
AT_ONCE = ["good", "failed", "wrong credentials", "API is away for good"]


# Both sensors, each with every option that it takes.
PAIRS = [
    pytest.param(kind, variant, id=f"{kind} - {variant}" if variant else kind)
    for kind in KINDS
    for variant in VARIANTS
    if KINDS[kind].accepts(variant)
]


def remembers(mode: str) -> bool:
    """Tell whether what a look has seen is known to the next, which is a process of its own in one mode."""
    return KEEPS_STATE or mode != "reschedule"


MEMORIES = [mode for mode in MODES if remembers(mode)]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("name", "kind_name"), [(name, kind) for name, case in CASES.items() for kind in case.kinds]
)
def test_every_mode_ends_the_same_way(
    simulator: Simulator, connect: Callable[..., str], name: str, kind_name: str
) -> None:
    connect()

    outcomes = [end(simulator, name, kind_name, mode) for mode in MODES if can_end(name, mode)]

    assert len({outcome.kind for outcome in outcomes}) == 1


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("kind_name", "variant"),
    [(kind, variant) for kind in KINDS for variant in VARIANTS if variant and KINDS[kind].accepts(variant)],
)
def test_an_option_says_which_ends_are_a_skip(
    simulator: Simulator, connect: Callable[..., str], kind_name: str, variant: str
) -> None:
    connect()

    for name in WAYS_TO_END:
        for mode in MODES:
            if can_end(name, mode):
                end(simulator, name, kind_name, mode, variant=variant)


@pytest.mark.no_cover
@pytest.mark.parametrize("kind_name", KINDS)
@pytest.mark.parametrize("name", AT_ONCE)
def test_the_second_look_ends_a_wait_as_the_first_does(
    simulator: Simulator, connect: Callable[..., str], name: str, kind_name: str
) -> None:
    connect()

    for mode in MODES:
        if can_end(name, mode):
            end(simulator, name, kind_name, mode, first=[is_now("running")])


def can_end(name: str, mode: str) -> bool:
    return remembers(mode) or not CASES[name].remembers


def end(
    simulator: Simulator,
    name: str,
    kind_name: str,
    mode: str,
    *,
    variant: str = "",
    first: Sequence[Step] = (),
) -> Outcome:
    """Run a case in *mode* against a simulator as it is at its start, and check how the case ends."""
    case, kind = CASES[name], KINDS[kind_name]
    simulator.reset()
    TOKENS.clear()  # of the case before, whose secret may have been changed
    world = World(simulator, [*first, *case.steps])
    options = case.options | VARIANTS[variant]

    outcome = run(mode, lambda **modes: kind.make(**options, **modes), world)

    told = (mode, variant, outcome.error)
    expected = AirflowSkipException if is_skipped(case, variant) else case.expected(kind)
    if variant == "retry" and case.ends == BAD:
        expected = exceptions.AvePointBackupNotVerified  # and by that retried
    assert outcome.kind is expected, told
    assert world.steps == [], ("the wait ended before its time", told)
    if expected is None:
        assert json.loads(json.dumps(outcome.value)) == outcome.value
        assert stable(outcome.value) == stable(seen_now(kind_name, options)), told
        assert outcome.xcoms == {}, told
    else:
        assert [part for part in case.says if part not in outcome.message] == [], told
        if case.keeps is not None:
            assert set(outcome.xcoms) == ({kind.xcom} if case.keeps else set()), told
    if expected in FINAL:
        assert isinstance(outcome.error, AirflowFailException), ("no retry can mend it", told)
    if expected is kind.bad:
        assert isinstance(outcome.error, AirflowFailException), ("no retry can mend it", told)
        evidence = outcome.error.verdict if kind_name == "backup" else outcome.error.job  # type: ignore[union-attr]
        assert evidence == outcome.xcoms[kind.xcom], told
    return outcome


def seen_now(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the evidence as the hook gives it now."""
    with AvePointHook() as hook:
        if kind == "backup":
            return hook.judge(make_backup_sensor(**options).build_policy()).as_dict()
        job = hook.get_job(PRODUCT, JOB).as_dict()
    del job["raw"]
    return job


def stable(value: Any) -> Any:
    """Return *value* without what the clock alone changes."""
    if isinstance(value, dict):
        moving = ("judged_at", "age_seconds", "window_start")
        return {k: stable(v) for k, v in value.items() if k not in moving}
    return [stable(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("mode", MEMORIES)
@pytest.mark.parametrize("kind", KINDS)
def test_ten_failed_polls_in_a_row_and_not_one_more(
    simulator: Simulator, connect: Callable[..., str], mode: str, kind: str
) -> None:
    """Each poll has its own retries; those on the worker and those on the triggerer count together."""
    connect()

    outcome = run(mode, KINDS[kind].make, World(simulator, [api_is_away]))

    assert outcome.kind is exceptions.AvePointUnavailable
    assert not isinstance(outcome.error, AirflowFailException), "a retry may help"
    assert outcome.error.status == 503  # type: ignore[union-attr]
    assert len(simulator.requests(PATH)) == MAX_FAILED_POLLS * retry.MAX_ATTEMPTS


@pytest.mark.no_cover
@pytest.mark.parametrize("mode", MEMORIES)
@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ([api_is_away], exceptions.AvePointUnavailable),
        ([api_is_away, time_is_up], AirflowSensorTimeout),
    ],
    ids=["retried", "cleared after a timeout"],
)
def test_another_try_counts_its_failed_polls_from_zero(
    simulator: Simulator, connect: Callable[..., str], mode: str, steps: list[Step], ends: type[Exception]
) -> None:
    """Airflow keeps a task's stored state across its tries; ten polls of this try must fail nevertheless."""
    connect()
    world = World(simulator, list(steps))
    first = run(mode, make_backup_sensor, world)
    asked = len(simulator.requests(PATH))
    again = World(simulator, store=world.store)

    second = run(mode, make_backup_sensor, again)

    assert (first.kind, second.kind) == (ends, exceptions.AvePointUnavailable)
    assert len(simulator.requests(PATH)) - asked == MAX_FAILED_POLLS * retry.MAX_ATTEMPTS


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_executing_the_same_object_twice_starts_anew(
    simulator: Simulator, connect: Callable[..., str], mode: str
) -> None:
    """A notebook runs one sensor object again; what the run before has seen is not this one's."""
    connect()
    sensor = make_backup_sensor(mode="poke", deferrable=mode == "deferrable")
    run(mode, lambda **_modes: sensor, World(simulator, [api_is_away]))
    asked = len(simulator.requests(PATH))

    run(mode, lambda **_modes: sensor, World(simulator))

    assert len(simulator.requests(PATH)) - asked == MAX_FAILED_POLLS * retry.MAX_ATTEMPTS


@pytest.mark.parametrize("mode", ["reschedule", "deferrable"])
def test_the_duration_is_that_of_the_whole_wait(
    simulator: Simulator, connect: Callable[..., str], mode: str
) -> None:
    """Also where the last look came long after the timeout: no worker, or no triggerer, was free."""
    connect()

    def much_later(world: World) -> None:
        world.passed += 2 * TIMEOUT

    outcome = run(mode, make_backup_sensor, World(simulator, [is_now("running"), much_later]))

    assert outcome.kind is AirflowSensorTimeout
    assert isinstance(outcome.error, exceptions.AvePointWaitTimeout)  # which has no stack
    assert "Gave up after 72" in outcome.message


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_never_fail_skips_what_nobody_foresaw(
    simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch, mode: str, kind: str
) -> None:
    """An error that is none of ours, such as Airflow's own API being away, is a failure too."""
    connect()

    def fail(*_arguments: object) -> None:
        raise RuntimeError("the secrets backend is away")

    monkeypatch.setattr(AvePointHook, "get_connection", fail)

    outcome = run(mode, lambda **modes: KINDS[kind].make(never_fail=True, **modes), World(simulator))

    assert outcome.kind is AirflowSkipException


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize("kind", KINDS)
def test_looks_that_fail_silently_are_no_verdict(
    simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch, mode: str, kind: str
) -> None:
    """With silent_fail Airflow waits on whatever a look raises; at the end nothing is known all the same."""
    connect()

    def fail(*_arguments: object) -> None:
        raise RuntimeError("the secrets backend is away")

    def backend_is_away(_world: World) -> None:
        monkeypatch.setattr(AvePointHook, "get_connection", fail)

    skips = {"on_failed": "skip"} if kind == "backup" else {"soft_fail": True}

    outcome = run(
        mode,
        lambda **modes: KINDS[kind].make(silent_fail=True, **skips, **modes),
        World(simulator, [is_now("running"), both(backend_is_away, time_is_up)]),
    )

    assert outcome.kind is AirflowSensorTimeout
    assert "RuntimeError: the secrets backend is away" in outcome.message


NO_VERDICTS: list[dict[str, Any] | None] = [
    None,
    {},
    {"event": None},
    {"event": {}},
    {"event": "passed"},
    {"event": ["passed"]},
    {"event": {"status": "done", "message": "?"}},
    {"event": {"status": None}},
    {"event": {"status": ["passed"]}},
    {"event": {"status": "passed"}},
    {"event": {"status": "passed", "evidence": None}},
    {"event": {"status": "error", "message": "?"}},
    {"event": {"status": "error", "message": "?", "error": "to_airflow"}},
    {"event": {"status": "error", "message": "?", "error": "AvePointAuthError", "facts": {"new": 1}}},
]


@pytest.mark.parametrize(("kind", "variant"), PAIRS)
def test_a_lost_or_alien_event_is_a_failure(simulator: Simulator, kind: str, variant: str) -> None:
    """It never reads as success, nor as a verdict."""
    for next_kwargs in NO_VERDICTS:
        expect_no_verdict(kind, variant, World(simulator), next_kwargs)


def expect_no_verdict(kind: str, variant: str, world: World, next_kwargs: dict[str, Any] | None) -> Outcome:
    outcome = resume(
        lambda **modes: KINDS[kind].make(**VARIANTS[variant], **modes), world, "execute_complete", next_kwargs
    )
    told = (next_kwargs, variant, outcome.error)
    assert isinstance(outcome.error, AirflowException), told
    assert isinstance(outcome.error, AirflowSkipException) == (variant == "never_fail"), told
    assert not isinstance(outcome.error, (exceptions.AvePointBackupNotVerified, KINDS[kind].bad)), told
    assert not isinstance(outcome.error, AirflowSensorTimeout), told
    assert outcome.xcoms == {}, told
    return outcome


def end_of(kind: str, state: str, simulator: Simulator) -> dict[str, Any]:
    """Return the event that ends a wait on a job in *state*."""
    world = World(simulator, [is_now("running"), is_now(state)])
    world.begin()
    with pytest.raises(TaskDeferred) as caught:
        KINDS[kind].make(deferrable=True).execute(world.context)
    world.pause()
    event: dict[str, Any] = run_trigger(caught.value.trigger, world)
    return event


def edit(event: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return *event* with *value* at the dotted *path* of its evidence; without what is there, for None."""
    edited: dict[str, Any] = json.loads(json.dumps(event))
    *parents, name = path.split(".")
    place: Any = edited["evidence"]
    for each in parents:
        place = place[int(each) if each.isdigit() else each]
    if value is None:
        del place[name]
    else:
        place[name] = value
    return edited


#: What an event's evidence is made to say, by the sensor and the job's state, and what the message names.
EDITS: dict[tuple[str, str], list[tuple[str, Any, str]]] = {
    ("backup", "success"): [
        ("passed", False, "passed: False"),
        ("passed", "true", "passed: 'true'"),
        ("passed", 1, "passed: 1"),
        ("passed", None, "passed: None"),
        ("reason", "missed", "reason: 'missed'"),
        ("reason", None, "holds no verdict"),
        ("policy.product", "salesforce", "'salesforce'"),
        ("policy", None, "waits for 'dynamics365'"),
        ("scopes", [], "scopes"),
        ("scopes", "all", "scopes"),
        ("scopes", [{"passed": False, "reason": "excluded"}], "scopes"),
        ("scopes.0.passed", False, "scopes"),
        ("scopes.0.reason", "failed", "scopes"),
    ],
    ("backup", "failed"): [
        ("passed", True, "passed: True"),
        ("policy.product", "m365", "'m365'"),
    ],
    ("job", "success"): [
        ("product", "salesforce", "'salesforce'"),
        ("job_id", "another", "'another'"),
        ("job_id", None, "waits for 'DCIB00000001'"),
        ("state", "failed", "'failed'"),
        ("state", "partial", "'partial'"),
        ("state", None, "state None"),
    ],
    ("job", "failed"): [
        ("job_id", "another", "'another'"),
    ],
}


@pytest.mark.parametrize(("kind", "state"), EDITS)
def test_an_event_is_believed_only_with_its_evidence(
    simulator: Simulator, connect: Callable[..., str], kind: str, state: str
) -> None:
    """The evidence is what an auditor keeps: where it says something else, nothing is decided."""
    connect()
    event = end_of(kind, state, simulator)

    for path, value, says in EDITS[kind, state]:
        for variant in ("", "soft_fail", "never_fail"):
            edited = edit(event, path, value)
            outcome = expect_no_verdict(kind, variant, World(simulator), {"event": edited})
            assert says in outcome.message, (path, value, variant)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_without_the_evidence_of_its_verdict(simulator: Simulator, kind: str) -> None:
    """A bad verdict that nothing shows is no reason to skip."""
    options = {"on_failed": "skip"} if kind == "backup" else {"soft_fail": True}

    outcome = resume(
        lambda **modes: KINDS[kind].make(**options, **modes),
        World(simulator),
        "execute_complete",
        {"event": {"status": "failed", "message": "?"}},
    )

    assert outcome.kind is AirflowException
    assert "holds no" in outcome.message


def test_an_excluded_scope_is_no_reason_to_doubt(simulator: Simulator, connect: Callable[..., str]) -> None:
    connect()
    event = end_of("backup", "success", simulator)
    event["evidence"]["scopes"].append({"passed": False, "reason": "excluded"})

    outcome = resume(make_backup_sensor, World(simulator), "execute_complete", {"event": event})

    assert (outcome.error, outcome.value) == (None, event["evidence"])


def test_a_partial_job_is_believed_where_it_is_accepted(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    connect()
    event = edit(end_of("job", "success", simulator), "state", "partial")

    outcome = resume(
        lambda **modes: make_job_sensor(accept_partial="true", job_id=f" {JOB}\n", **modes),
        World(simulator),
        "execute_complete",
        {"event": event},
    )

    assert (outcome.error, outcome.value) == (None, event["evidence"])


@pytest.mark.parametrize(("kind", "variant"), PAIRS)
def test_a_crashed_trigger_is_a_failure(simulator: Simulator, kind: str, variant: str) -> None:
    """Nothing is known about the backup, so soft_fail and on_failed do not apply; a retry may help."""
    outcome = resume(
        lambda **modes: KINDS[kind].make(**VARIANTS[variant], **modes),
        World(simulator),
        "__fail__",
        {"error": "Trigger failure", "traceback": ["Traceback …", "KeyError: 'x'"]},
    )

    expected = AirflowSkipException if variant == "never_fail" else AirflowException
    assert outcome.kind is expected
    assert "Trigger failure" in outcome.message


@pytest.mark.parametrize(("kind", "variant"), PAIRS)
def test_a_wait_that_no_triggerer_took(simulator: Simulator, kind: str, variant: str) -> None:
    """Airflow's own timeout stands behind the trigger's. Nothing is known, so it is a failure, not a skip."""
    world = World(simulator)
    world.ti.start_date = datetime.now(UTC) - timedelta(seconds=400)  # type: ignore[attr-defined]

    outcome = resume(
        lambda **modes: KINDS[kind].make(**VARIANTS[variant], **modes),
        world,
        "__fail__",
        {"error": DEFERRAL_TIMEOUT},
    )

    assert outcome.kind is (AirflowSkipException if variant == "never_fail" else AirflowSensorTimeout)
    assert re.search(r"No triggerer ran this wait to its end in the 4\d\d s since the task", outcome.message)
    assert "Check that a triggerer is running" in outcome.message


@pytest.mark.parametrize("kind", KINDS)
def test_no_wrong_duration_is_named(simulator: Simulator, kind: str) -> None:
    """Where it is not known when the task began."""
    outcome = resume(KINDS[kind].make, World(simulator), "__fail__", {"error": DEFERRAL_TIMEOUT})

    assert outcome.kind is AirflowSensorTimeout
    assert "No triggerer ran this wait to its end, and" in outcome.message
    assert re.search(r"\d", outcome.message) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("never_fail", [False, True])
def test_execution_timeout_ends_a_deferred_wait(
    simulator: Simulator, connect: Callable[..., str], kind: str, *, never_fail: bool
) -> None:
    """While a task is deferred Airflow does not watch its execution_timeout; the trigger does."""
    connect()

    def much_later(world: World) -> None:
        world.passed += 61

    outcome = run(
        "deferrable",
        lambda **modes: KINDS[kind].make(
            execution_timeout=timedelta(seconds=60), never_fail=never_fail, **modes
        ),
        World(simulator, [is_now("running"), much_later]),
    )

    assert outcome.kind is (AirflowSkipException if never_fail else AirflowTaskTimeout)
    assert "execution_timeout" in outcome.message
    assert JOB in outcome.message
    assert set(outcome.xcoms) == {KINDS[kind].xcom}
