"""What a DAG file is told when it is parsed: a literal that cannot be used, and never a template."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseHook, TaskGroup, task

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
from tests.operators.policy_cases import DAY
from tests.operators.test_policy_arguments import BAD_VALUES, POLICY_ARGUMENTS

LATER = "{{ params.later }}"
GATE = {"product": "dynamics365", "max_age": DAY}
JOB = {"product": "dynamics365", "job_id": "J"}
DRILL = {
    "service": "onedrive",
    "onedrive_upn": "a@example.com",
    "library": "Documents",
    "files": ["a.txt"],
    "recovery_time": LATER,
}
AUDIT = {"on_breach": ["fail"], "location": 1.5, "organization_id": ""}
LEDGER = {"tenant": "", "ledger_conn_id": ["ledger"]}
# For each class good arguments, and for some of them values that cannot be used.
TASKS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (AvePointBackupCheckOperator, GATE, LEDGER),
    (AvePointBackupSensor, GATE, LEDGER),
    (
        AvePointBackupSensor,
        {"product": LATER, "max_age": DAY},
        {
            "max_age": "24",
            "decide_by": "oldest",
            "organization_ids": [],
            "object_types": {},
            "locations": "",
            "exclude": 5,
            "job_type": [],
            "expect_scheduled": "?",
            "max_unusual": -1,
            "unusual_within": "7",
        },
    ),
    (
        AvePointJobSensor,
        JOB,
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
        AvePointListJobsOperator,
        {"product": LATER},
        {
            "started_before": "now",
            "state": "done",
            "job_type": [],
            "object_type": {},
            "organization_id": "",
            "location": ["NAM"],
            "file_format": "jsonl",
        },
    ),
    (AvePointListJobsOperator, {"product": "m365", "path": LATER}, {"file_format": "xlsx"}),
    (
        AvePointJobsToSqlOperator,
        {"product": "m365"},
        {"product": ["m356"], "object_type": "x", "reread_days": -1, "keep_schedule": "?", **LEDGER},
    ),
    (AvePointJobsToSqlOperator, {"product": "dynamics365"}, {"keep_schedule": True}),
    (
        AvePointLicenseAuditOperator,
        {},
        {"product": "dynamics365", "near_limit": 90, "forecast_days": -1, **AUDIT, **LEDGER},
    ),
    (AvePointLicenseAuditOperator, {"product": "m365"}, {"organization_id": "contoso"}),
    (AvePointLicenseAuditOperator, {"product": "elements"}, {"location": "EUR"}),
    (
        AvePointProtectionAuditOperator,
        {"required": "x.yaml"},
        {"product": "d365", "required": {"exchange_online": {"runs_pr_day": 1}}, **AUDIT, **LEDGER},
    ),
    (
        AvePointProtectionAuditOperator,
        {"required": '{"teams": {}}'},
        {"required": '{"mail": {}}', "organization_id": "contoso"},
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
            "ledger_conn_id": "",
        },
    ),
    (AvePointReportOperator, {"path": "/x/a.html"}, {"path": "/x/a.csv"}),
    (
        AvePointRestoreOperator,
        DRILL,
        {
            "service": "mail",
            "recovery_time": "now",
            "expect_files": 0,
            "expect_content_check": "?",
            "deferrable": "?",
            "poll_interval": "60",
            "timeout": None,
            **LEDGER,
        },
    ),
    (
        AvePointRestoreOperator,
        {**DRILL, "onedrive_upn": LATER, "files": LATER},
        {"service": "mail", "library": "", "folders": [], "location": 1.5},
    ),
]
# The operators that have a connection to AvePoint.
CONNECTED = [each for each in TASKS if each[0] is not AvePointReportOperator]


def tell(declare: Callable[[], object], **dag: Any) -> str:
    """Return what a DAG file is told when it is parsed; an empty text where nothing is wrong."""
    try:
        with DAG("parsed", schedule=None, **dag):
            declare()
    except AirflowFailException as e:
        return str(e)
    return ""


def parse(cls: type, *, dag: dict[str, Any] | None = None, **arguments: Any) -> str:
    return tell(lambda: cls(task_id="look", **arguments), **(dag or {}))


def parse_mapped(cls: Any, name: str, value: object, **arguments: Any) -> list[str]:
    """Return what is told of the value of a mapped task: for all tasks, for one of two, in an object."""
    others = {key: each for key, each in arguments.items() if key != name}
    free = next(
        key for key in ("avepoint_conn_id", "days", "title") if key in cls.template_fields and key != name
    )

    def map_one() -> None:
        cls.partial(task_id="look", **others).expand(**{name: [LATER, value]})

    def map_objects() -> None:
        cls.partial(task_id="look").expand_kwargs([{**others, name: LATER}, {**others, name: value}])

    return [
        tell(lambda: cls.partial(task_id="look", **others, **{name: value}).expand(**{free: [LATER]})),
        tell(map_one),
        tell(map_objects),
    ]


@pytest.fixture(autouse=True)
def _no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a connection is looked up: a DAG file is parsed again and again."""

    def fail(*_arguments: object) -> None:
        raise AssertionError("a connection was looked up")

    monkeypatch.setattr(BaseHook, "get_connection", fail)


def test_a_bad_literal_is_named_when_the_dag_is_parsed() -> None:
    """In a mapped task, too, wherever it stands."""
    for cls, given, wrong in TASKS:
        assert "" == parse(cls, **given), cls
        for name, value in wrong.items():
            told = [parse(cls, **(given | {name: value})), *parse_mapped(cls, name, value, **given)]
            assert [] == [each for each in told if name not in each], (cls, name, told)


def test_the_name_of_the_connection_is_a_text() -> None:
    for cls, given, _ in CONNECTED:
        for value in ("", " ", None, ["avepoint_default"], "None", {}):
            assert "avepoint_conn_id" in parse(cls, **given, avepoint_conn_id=value), (cls, value)
        assert "" == parse(cls, **given, avepoint_conn_id=LATER)


def test_a_bad_literal_of_a_policy_is_named() -> None:
    for cls in (AvePointBackupCheckOperator, AvePointBackupSensor):
        for name, values in BAD_VALUES.items():
            for value in values:
                assert name in parse(cls, **(GATE | {name: value})), (cls, name, value)


@pytest.mark.parametrize("cls", [AvePointBackupCheckOperator, AvePointBackupSensor])
def test_a_gate_without_a_window_is_refused(cls: Any) -> None:
    """Neither started_after nor max_age: any old backup would pass."""
    product = {"product": "m365"}
    for told in (
        parse(cls, **product),
        tell(lambda: cls.partial(task_id="look", **product).expand(tenant=["a", "b"])),
        tell(lambda: cls.partial(task_id="look").expand(product=["m365"])),
        tell(lambda: cls.partial(task_id="look").expand_kwargs([{**product, "max_age": DAY}, product])),
    ):
        assert "started_after" in told
        assert "max_age" in told
    assert "" == parse(cls, **product, started_after=LATER)
    assert "" == parse(cls, **product, max_age=LATER)
    assert "" == parse(cls, dag={"default_args": {"max_age": DAY}}, **product)


def test_a_window_without_its_limit_warns() -> None:
    """A DAG that takes both from its params may leave the limit out, so nothing is refused."""
    gate = {"product": "m365", "max_age": DAY}
    silent: list[dict[str, Any]] = [
        {},
        {"unusual_within": "P7D"},
        {"unusual_within": "36h", "max_unusual": 0},
        {"unusual_within": "36h", "max_unusual": LATER},
        {"unusual_within": LATER},
    ]
    for cls in (AvePointBackupCheckOperator, AvePointBackupSensor):
        with pytest.warns(UserWarning, match=r"^Task look: unusual_within does nothing without max_unusual"):
            assert "" == parse(cls, **gate, unusual_within="36h")
        for given in silent:
            assert "" == parse(cls, **gate, **given)  # and pytest raises a warning
    with pytest.warns(UserWarning, match=r"^Task look: unusual_within does nothing"):
        parse_mapped(AvePointBackupCheckOperator, "unusual_within", "36h", **gate)


def test_a_mapped_task_without_a_required_argument_is_refused() -> None:
    assert tell(lambda: AvePointJobSensor.partial(task_id="look").expand(job_id=["J"])).startswith(
        "product is missing"
    )


def test_what_a_template_may_yet_mend_is_left_to_the_task() -> None:
    for name in POLICY_ARGUMENTS:
        assert "" == parse(AvePointBackupCheckOperator, **(GATE | {name: LATER})), name
    for given in (
        {"product": LATER, "object_types": ["nonsense"], "max_age": DAY},
        {"product": LATER, "max_unusual": 0, "unusual_within": "30d", "max_age": DAY},
        {"product": "elements", "organization_ids": LATER, "max_age": DAY},
        {
            "product": "dynamics365",
            "max_age": DAY,
            "exclude": [{"organization_id": LATER, "until": LATER, "reason": "x"}],
        },
        {"product": "dynamics365", "organization_ids": ["a", "{% if x %}b{% endif %}"], "max_age": "{# #}"},
        {"product": "dynamics365", "max_age": DAY, "exclude": object()},
    ):
        assert "" == parse(AvePointBackupCheckOperator, **given), given
    assert "" == parse(AvePointListJobsOperator, product="elements", organization_id=LATER)
    assert "" == parse(AvePointJobSensor, product="elements", job_id=LATER, organization_id=LATER)
    assert "organization_ids" in parse(AvePointBackupCheckOperator, product="elements", max_age=DAY)
    own = {"jinja_environment_kwargs": {"variable_start_string": "<<"}}
    assert "" == parse(AvePointBackupCheckOperator, dag=own, product="<< params.product >>")


@task
def find() -> list[Any]:
    return []


def test_what_a_mapped_task_gets_later_is_left_to_the_task() -> None:
    gate = AvePointBackupCheckOperator
    for given, dag in (
        ({"product": "elements", "max_age": DAY}, {}),
        ({"product": LATER, "max_age": "{{ params.age }}h"}, {}),
        ({}, {"default_args": {"product": "dynamics365", "max_age": DAY}}),
        ({"product": "d365"}, {"jinja_environment_kwargs": {"variable_start_string": "<<"}}),
    ):
        common = {"task_id": "look", **given}
        assert "" == tell(lambda common=common: gate.partial(**common).expand(organization_ids=find()), **dag)
    assert "" == tell(lambda: gate.partial(task_id="look").expand_kwargs(find()))
    assert "" == tell(lambda: gate.partial(task_id="look").expand_kwargs([find(), find()]))
    assert "" == tell(lambda: gate.partial(task_id="look", product="m").expand_kwargs([GATE], strict=False))
    assert "product" in tell(lambda: gate.partial(task_id="look", product="m356").expand_kwargs(find()))
    gate.partial(task_id="look", product="m356").expand(max_age=[DAY])  # without a DAG

    def in_a_group() -> None:
        with TaskGroup("group", default_args={"max_age": DAY}):
            gate.partial(task_id="look", product="m365").expand(tenant=["a"])

    assert "" == tell(in_a_group)


class OwnGate(AvePointBackupCheckOperator):
    """A user's own: its constructor gives the arguments of ours."""

    def __init__(self, *, customer: str, **kwargs: Any) -> None:
        super().__init__(product="dynamics365", organization_ids=[customer], **kwargs)
        self.max_age = "24h"


class LateGate(AvePointBackupCheckOperator):
    """A user's own: it sets an argument when it runs."""

    def execute(self, context: Any) -> Any:
        self.max_age = "24h"
        return super().execute(context)


def test_a_class_of_the_users_may_give_arguments_itself() -> None:
    assert "" == parse(LateGate, product="dynamics365")
    assert "" == tell(lambda: LateGate.partial(task_id="look").expand(product=["dynamics365"]))
    assert "product" in tell(lambda: LateGate.partial(task_id="look").expand(product=["d365"]))
    assert "" == parse(OwnGate, customer="contoso")
    assert "" == tell(lambda: OwnGate.partial(task_id="look").expand(customer=["contoso"]))
    assert "organization_ids" in parse(OwnGate, customer="")


def test_a_mapped_task_is_still_airflows() -> None:
    """Nothing of Airflow's own object is lost, nor its own complaints."""
    with DAG("mapped", schedule=None) as dag:
        partial = copy(AvePointBackupCheckOperator.partial(task_id="look", **GATE))
        assert partial.kwargs["max_age"] == DAY
        mapped = partial.expand(organization_ids=[["a"], ["b"]])
        with pytest.raises(TypeError, match="max_ago"):
            AvePointBackupCheckOperator.partial(task_id="other", max_ago=1)
    assert dag.get_task("look") is mapped
    assert mapped.unmap({"organization_ids": ["a"]}).organization_ids == ["a"]
    assert json.dumps(mapped.partial_kwargs["product"]) == '"dynamics365"'
