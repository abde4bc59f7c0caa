"""Every argument of a policy is used: by the check, by the sensor, and by its trigger."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseHook,
)

from airflow_provider_avepoint.core.verdict import Policy
from airflow_provider_avepoint.exceptions import AvePointAuthError, AvePointBackupNotVerified
from airflow_provider_avepoint.operators.avepoint import (
    AvePointBackupCheckOperator,
    AvePointJobsToSqlOperator,
    AvePointLicenseAuditOperator,
    AvePointListJobsOperator,
    AvePointProtectionAuditOperator,
    AvePointReportOperator,
    AvePointRestoreOperator,
)
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupTrigger
from tests.operators.policy_cases import CASES, DAY, Case, as_text
from tests.sensors.modes import TaskInstance, World

POLICY_ARGUMENTS = [each.name for each in dataclasses.fields(Policy)]
CLASSES = [AvePointBackupCheckOperator, AvePointBackupSensor]


def look_once(task: Any, simulator: Simulator) -> str:
    """Run a check, or a sensor that may look only once, and return the reason, or "skipped"."""
    ti = TaskInstance(World(simulator))
    try:
        return task.execute({"ti": ti})["reason"]
    except AirflowSkipException:
        return "skipped"
    except (AvePointBackupNotVerified, AirflowSensorTimeout):
        return ti.xcoms["verdict"]["reason"]


def build(cls: type, **arguments: Any) -> Any:
    if cls is AvePointBackupSensor:
        arguments = {"mode": "poke", "deferrable": False, "timeout": 0, **arguments}
    return cls(task_id="look", **arguments)


def ask_check(simulator: Simulator, arguments: dict[str, Any]) -> str:
    return look_once(build(AvePointBackupCheckOperator, **arguments), simulator)


def ask_sensor(simulator: Simulator, arguments: dict[str, Any]) -> str:
    return look_once(build(AvePointBackupSensor, **arguments), simulator)


def ask_trigger(_simulator: Simulator, arguments: dict[str, Any]) -> str:
    now = datetime.now(UTC).isoformat()
    trigger = AvePointBackupTrigger(
        avepoint_conn_id="avepoint_default",
        poll_interval=60,
        started_at=now,
        deadline=now,
        policy=Policy(**arguments).as_dict(),
    )

    async def first_event() -> dict[str, Any]:
        (event,) = [event.payload async for event in trigger.run()]
        return event

    return asyncio.run(first_event())["evidence"]["reason"]


ASKERS = {"check": ask_check, "sensor": ask_sensor, "trigger": ask_trigger}


@pytest.mark.no_cover
@pytest.mark.parametrize(("name", "case"), CASES.values(), ids=CASES)
def test_an_argument_decides(
    simulator: Simulator, connect: Callable[..., str], name: str, case: Case
) -> None:
    """The same jobs are judged otherwise with the argument than without it; as text it decides the same."""
    connect()
    case.arrange(simulator)
    arguments = case.arguments()

    for asker, ask in ASKERS.items():
        if asker == "trigger" and name == "on_failed":  # what comes of an event is the sensor's business
            continue
        outcomes = ask(simulator, arguments | {name: case.given()}), ask(simulator, arguments)
        assert outcomes == (case.with_it, case.without), asker
    for cls in CLASSES:
        task = build(cls, **(arguments | {name: "{{ params.given }}"}))
        task.render_template_fields({"params": {"given": as_text(case.given())}}, task.get_template_env())
        assert look_once(task, simulator) == case.with_it, cls


def test_every_argument_has_a_case() -> None:
    """fail_fast, which a check has no use for, has its cases among those of the sensor's modes."""
    assert {name for name, _ in CASES.values()} | {"fail_fast"} == set(POLICY_ARGUMENTS)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_argument_is_a_template_field(cls: type) -> None:
    assert set(cls.template_fields) == {"avepoint_conn_id", "ledger_conn_id", "tenant", *POLICY_ARGUMENTS}


@pytest.mark.parametrize("cls", CLASSES)
def test_defaults_are_the_policys(cls: type) -> None:
    """An argument that is left out is judged by the policy's own default."""
    own = {each.name: each.default for each in dataclasses.fields(Policy) if each.name != "product"}
    task = build(cls, product="dynamics365")

    assert {name: getattr(task, name) for name in own} == own


def test_an_editor_shows_the_arguments_of_the_policy() -> None:
    """Each class declares them in the order of the policy, and both describe them in the same words."""
    signatures, texts = [], []
    for cls in CLASSES:
        signature = inspect.signature(cls)
        own = {name: each for name, each in signature.parameters.items() if name in POLICY_ARGUMENTS}
        assert list(own) == POLICY_ARGUMENTS, cls
        assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in own.values()), cls
        shown = (*POLICY_ARGUMENTS, "ledger_conn_id", "tenant", "avepoint_conn_id")
        signatures.append([signature.parameters[name] for name in shown])
        described = next(each for each in cls.__mro__ if ":param product:" in (each.__doc__ or ""))
        text = inspect.cleandoc(described.__doc__ or "")
        texts.append({name: re.search(rf":param {name}: (?:.|\n )*", text)[0].strip() for name in shown})

    assert signatures[0] == signatures[1]
    assert texts[0] == texts[1]
    assert {"poke_interval", "deferrable"} <= set(inspect.signature(AvePointBackupSensor).parameters)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_template_within_a_value_is_rendered(
    simulator: Simulator, connect: Callable[..., str], cls: type
) -> None:
    """In a list, and in the objects of a list."""
    connect()
    simulator.add_job("dynamics365", organization_id="contoso", state="failed")
    task = build(
        cls,
        product="dynamics365",
        max_age=DAY,
        organization_ids=["{{ params.organization }}", "{{ params.absent }}"],
        exclude=[
            {
                "organization_id": "{{ params.organization }}",
                "until": "{{ params.until }}",
                "reason": "closing",
            }
        ],
    )
    names = {"organization": "contoso", "absent": "fabrikam", "until": "2999-12-31"}

    task.render_template_fields({"params": names}, task.get_template_env())

    assert look_once(task, simulator) == "missed"


@pytest.mark.parametrize("cls", CLASSES)
def test_the_connection_is_the_one_named(
    simulator: Simulator, connect: Callable[..., str], cls: type
) -> None:
    connect()
    connect("another", password="wrong")
    simulator.add_job("dynamics365", state="success")
    arguments = {"product": "dynamics365", "max_age": DAY}

    assert look_once(build(cls, **arguments), simulator) == "passed"
    with pytest.raises(AvePointAuthError):
        build(cls, **arguments, avepoint_conn_id="another").execute({})


@pytest.mark.parametrize("cls", CLASSES)
def test_default_args_reach_every_argument(cls: type) -> None:
    """A DAG says once what holds for all of its tasks."""
    names = [*POLICY_ARGUMENTS, "avepoint_conn_id"]
    defaults = {name: f"{{{{ params.{name} }}}}" for name in names}

    with DAG("defaults", schedule=None, default_args=defaults):
        task = cls(task_id="look")
        own = cls(task_id="own", product="dynamics365", max_age=7)

    assert {name: getattr(task, name) for name in defaults} == defaults
    assert (own.product, own.max_age, own.on_failed) == ("dynamics365", 7, defaults["on_failed"])


@pytest.mark.parametrize("cls", CLASSES)
def test_a_task_can_be_mapped(simulator: Simulator, connect: Callable[..., str], cls: type) -> None:
    """One task instance for each organisation, each with its own verdict."""
    connect()
    simulator.add_job("dynamics365", organization_id="contoso", state="success")
    simulator.add_job("dynamics365", organization_id="fabrikam", state="failed")
    waiting = {"mode": "poke", "deferrable": False, "timeout": 0} if cls is AvePointBackupSensor else {}
    with DAG("mapped", schedule=None, default_args={"max_age": DAY}):
        mapped = cls.partial(task_id="look", product="dynamics365", **waiting).expand(
            organization_ids=["contoso", "fabrikam", "absent"]
        )
        by_kwargs = cls.partial(task_id="others", product="dynamics365", **waiting).expand_kwargs(
            [{"organization_ids": "fabrikam", "on_failed": "skip"}]
        )

    outcomes = [
        look_once(mapped.unmap({"organization_ids": organization}), simulator)
        for organization in ("contoso", "fabrikam", "absent")
    ]
    skipped = look_once(by_kwargs.unmap({"organization_ids": "fabrikam", "on_failed": "skip"}), simulator)

    assert outcomes == ["passed", "failed", "missed"]
    assert skipped == "skipped"


NO_REASON = {"organization_id": "contoso", "until": "2999-12-31"}
WITH_REASON = {**NO_REASON, "reason": "it is being closed"}
BAD_VALUES: dict[str, list[Any]] = {
    "product": ["nonsense", "Dynamics365", "", None, ["dynamics365"]],
    "started_after": ["yesterday", "", "2026-11-22", "2026-11-22T00:00:00", datetime(2026, 11, 22), 5],  # noqa: DTZ001
    "max_age": [0, -1, "24", "soon", "", "nan", "inf", True, 1e12, [3600]],
    "organization_ids": [
        [],
        "[]",
        "",
        " ",
        "None",
        ["None"],
        "['contoso']",
        [1.5],
        [""],
        [None],
        "[1",
        {"a": 1},
        True,
        [["contoso"]],
        [{"id": "a"}],
    ],
    "object_types": ["mailbox", [], ["customer_engagement", "mailbox"], 1, [["customer_engagement"]]],
    "locations": ["EUR", ["EUR"]],
    "expect_seen_within": [0, "a week", -5, True],
    "exclude": [
        "contoso",
        "{",
        5,
        ["contoso"],
        [{}],
        [NO_REASON],
        [{**WITH_REASON, "reason": " "}],
        [{**WITH_REASON, "until": None}],
        [{**WITH_REASON, "until": "next week"}],
        [{**WITH_REASON, "organisation_id": "contoso"}],
        [{"until": "2999-12-31", "reason": "everything"}],
        [{**WITH_REASON, "organization_id": 5.5}],
        [{**WITH_REASON, "organization_id": ["contoso", "fabrikam"]}],
        [{"workload": ["teams", "onedrive"], "until": "2999-12-31", "reason": "closing"}],
    ],
    "job_type": ["all", ["all"], ["backup", "all"], "nonsense", [], None, 1, [["backup"]]],
    "decide_by": ["oldest", "", True, ["newest"]],
    "accept_partial": ["yes", "", 1, 0, None],
    "max_failed": [-1, 1.5, "many", "", True, "1.5", [1]],
    "max_failed_ratio": [1.01, -0.1, "2%", "", True, "nan", [0.1]],
    "on_failed": ["warn", "", None, True, ["skip"]],
    "fail_fast": ["no", "", 1, None],
    "expect_scheduled": ["yes", "", 1, None, True],  # Dynamics 365 has no schedule
    "max_unusual": [-1, 1.5, "few", "", True, 0],  # and knows no unusual activity
    "unusual_within": [0, "a week", -5, True, None, ""],
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_named_and_nothing_is_sent(
    simulator: Simulator, connect: Callable[..., str], name: str
) -> None:
    """A retry cannot help; a typing error must not turn into a verdict."""
    connect()
    simulator.add_job("dynamics365", organization_id="contoso", state="success")

    for cls in CLASSES:
        for value in BAD_VALUES[name]:
            task = build(cls, **({"product": "dynamics365", "max_age": DAY} | {name: value}))
            with pytest.raises(AirflowFailException, match=name):
                pytest.fail(f"{cls.__name__} takes {value!r}: {task.execute({})}")

    assert simulator.requests() == []


def parse(cls: type, *, dag: dict[str, Any] | None = None, **arguments: Any) -> str:
    """Return what a DAG file with one task says when it is parsed; an empty text where it says nothing."""
    try:
        with DAG("parsed", schedule=None, **(dag or {})):
            cls(task_id="look", **arguments)
    except AirflowFailException as e:
        return str(e)
    return ""


def test_a_window_without_its_limit_warns_when_the_dag_is_parsed() -> None:
    """A DAG that takes both from its params may leave the limit out, so nothing is refused."""
    gate = {"product": "m365", "max_age": DAY}
    for cls in CLASSES:
        with pytest.warns(UserWarning, match=r"^Task look: unusual_within does nothing without max_unusual"):
            assert parse(cls, **gate, unusual_within="36h") == ""
        for given in (
            {},
            {"unusual_within": "P7D"},
            {"unusual_within": "36h", "max_unusual": 0},
            {"unusual_within": "36h", "max_unusual": "{{ params.limit }}"},
            {"unusual_within": "{{ params.within }}"},
        ):
            assert parse(cls, **gate, **given) == ""  # and pytest raises a warning


def test_a_bad_literal_is_named_when_the_dag_is_parsed() -> None:
    """Nothing is sent, and a value that a template may yet mend says nothing."""
    gate = {"product": "dynamics365", "max_age": DAY}
    for cls in CLASSES:
        for name, values in BAD_VALUES.items():
            for value in values:
                if not (name in ("max_age", "started_after") and value is None):
                    assert name in parse(cls, **(gate | {name: value})), (cls, name, value)
    job = {"product": "dynamics365", "job_id": "J"}
    for task, given, wrong in [
        (
            AvePointJobSensor,
            job,
            {"product": "d365", "job_id": " ", "accept_partial": "perhaps", "location": "EUR"},
        ),
        (
            AvePointListJobsOperator,
            {"product": ["dynamics365", "m365"]},
            {
                "product": None,
                "job_type": "bakcup",
                "started_after": "now",
                "state": "done",
                "max_rows": -1,
                "path": "x.xlsx",
            },
        ),
        (
            AvePointJobsToSqlOperator,
            {"product": "m365"},
            {"product": ["m356"], "object_type": "x", "reread_days": -1, "keep_schedule": "?"},
        ),
        (AvePointListJobsOperator, {"product": "{{ x }}"}, {"started_before": "now", "state": "done"}),
        (
            AvePointLicenseAuditOperator,
            {},
            {"product": "d365", "on_breach": "f", "near_limit": 90, "forecast_days": -1},
        ),
        (
            AvePointProtectionAuditOperator,
            {"required": "x.yaml"},
            {"product": "d365", "on_breach": ["fail"], "required": {"exchange_online": {"runs_pr_day": 1}}},
        ),
        (
            AvePointReportOperator,
            {"path": "/x/{{ ds }}.html"},
            {
                "path": "None",
                "days": 0,
                "timezone": "Mars/Port",
                "tenants": [],
                "now": "now",
                "title": " ",
                "company": ["x"],
                "author": "",
            },
        ),
        (
            AvePointRestoreOperator,
            {
                "service": "onedrive",
                "onedrive_upn": "a@example.com",
                "library": "Documents",
                "files": ["a.txt"],
                "recovery_time": "{{ x }}",
            },
            {"service": "mail", "recovery_time": "now", "expect_files": 0, "expect_content_check": "?"},
        ),
        (AvePointBackupCheckOperator, {"product": "{{ x }}"}, {"max_age": "24", "decide_by": "oldest"}),
    ]:
        assert "" == parse(task, **given)
        for name, value in wrong.items():
            assert name in parse(task, **(given | {name: value})), (task, name)


def test_what_a_template_may_yet_mend_is_left_to_the_task() -> None:
    later = "{{ params.later }}"
    gate = {"product": "dynamics365", "max_age": DAY}
    for name in POLICY_ARGUMENTS:
        assert "" == parse(AvePointBackupCheckOperator, **(gate | {name: later})), name
    for given in (
        {"product": "m365"},
        {"product": later, "object_types": ["nonsense"]},
        {"product": "elements", "organization_ids": later, "max_age": DAY},
        {"product": "dynamics365", "exclude": [{"organization_id": later, "until": later, "reason": "x"}]},
        {"product": "dynamics365", "organization_ids": ["a", "{% if x %}b{% endif %}"], "max_age": "{# #}"},
        {"product": "dynamics365", "exclude": object()},
    ):
        assert "" == parse(AvePointBackupCheckOperator, **given), given
    assert "" == parse(AvePointListJobsOperator, product="elements", organization_id=later)
    assert "" == parse(AvePointJobSensor, product="elements", job_id=later, organization_id=later)
    assert "organization_ids" in parse(AvePointBackupCheckOperator, product="elements", max_age=DAY)
    own = {"jinja_environment_kwargs": {"variable_start_string": "<<"}}
    assert "" == parse(AvePointBackupCheckOperator, dag=own, product="<< params.product >>")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, ("started_after", "max_age")),
        ({"max_age": DAY, "accept_partial": True, "max_failed": 1}, ("accept_partial", "max_failed")),
        (
            {"max_age": DAY, "accept_partial": "true", "max_failed_ratio": 0},
            ("accept_partial", "max_failed_ratio"),
        ),
        ({"max_age": DAY, "product": "m365", "organization_ids": ["contoso"]}, ("organization_ids",)),
        ({"max_age": DAY, "product": "m365_legacy", "locations": ["EUR"]}, ("locations",)),
        ({"max_age": DAY, "avepoint_conn_id": "elsewhere"}, ("avepoint_conn_id", "elsewhere")),
    ],
    ids=str,
)
def test_arguments_that_do_not_go_together(
    simulator: Simulator,
    connect: Callable[..., str],
    arguments: dict[str, Any],
    named: tuple[str, ...],
) -> None:
    connect()

    for cls in CLASSES:
        with pytest.raises(AirflowFailException) as caught:
            build(cls, **({"product": "dynamics365"} | arguments)).execute({})
        assert [name for name in named if name not in str(caught.value)] == []
    assert simulator.requests() == []


@pytest.mark.parametrize("cls", CLASSES)
def test_constructing_reads_nothing(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, cls: type) -> None:
    """A DAG file is parsed again and again: no connection lookup, no request, no judgement of values."""

    def fail(*_arguments: object) -> None:
        raise AssertionError("a connection was looked up")

    monkeypatch.setattr(BaseHook, "get_connection", fail)

    build(
        cls,
        product="{{ params.product }}",
        max_age="{{ params.hours }}h",
        exclude="{{ params.exclude }}",
    )

    assert simulator.requests() == []


@pytest.mark.parametrize("cls", CLASSES)
def test_arguments_are_named(cls: type) -> None:
    """Every argument of the policy is one of the constructor's, and none may be given by position."""
    parameters = {
        name: each
        for base in cls.__mro__
        if "__init__" in vars(base)
        for name, each in inspect.signature(base).parameters.items()
    }

    assert set(POLICY_ARGUMENTS) <= set(parameters)
    assert {parameters[name].kind for name in POLICY_ARGUMENTS} == {inspect.Parameter.KEYWORD_ONLY}
