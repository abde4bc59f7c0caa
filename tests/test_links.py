"""The link to AvePoint Online Services: for whom there is one, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_avepoint import links
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.links import AvePointOnlineServicesLink, leave_link
from airflow_provider_avepoint.operators.avepoint import (
    AvePointBackupCheckOperator,
    AvePointLicenseAuditOperator,
)
from airflow_provider_avepoint.sensors.avepoint import AvePointBackupSensor, AvePointJobSensor
from airflow_provider_avepoint.simulator import Simulator

COMMERCIAL = "https://www.avepointonlineservices.com"


class TaskInstance:
    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


def settings(**extra: str) -> Settings:
    return Settings.from_fields(conn_id="c", login="id", password="secret", extra=extra)


@pytest.mark.parametrize(
    ("extra", "address"),
    [
        ({"region": "us"}, COMMERCIAL),
        ({"region": "gcp-jp", "environment": "commercial"}, COMMERCIAL),
        ({"environment": "us_government"}, "https://usgov.avepointonlineservices.com"),
        ({"region": "gov"}, "https://usgov.avepointonlineservices.com"),
        ({"environment": "aos2"}, None),
        ({"environment": "fedramp"}, None),
        ({"region": "us", "identity_endpoint": "https://identity.example/connect/token"}, None),
    ],
    ids=str,
)
def test_only_documented_addresses(extra: dict[str, str], address: str | None) -> None:
    ti = TaskInstance()

    leave_link({"ti": ti}, settings(**extra))

    assert ([address] if address else []) == list(ti.xcoms.values())


def test_without_a_task_nothing_is_left() -> None:
    leave_link({}, settings(region="us"))


def test_the_link_reads_what_the_task_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else: no connection is looked up where links are shown."""
    ti, key = TaskInstance(), object()
    leave_link({"ti": ti}, settings(region="us"))

    class XCom:
        @staticmethod
        def get_value(*, key: str, ti_key: object) -> str | None:
            return ti.xcoms.get(key) if ti_key is task else None

    task = key
    monkeypatch.setattr(links, "XCom", XCom)
    link = AvePointOnlineServicesLink()

    assert COMMERCIAL == link.get_link(None, ti_key=task)
    assert "" == link.get_link(None, ti_key=object())


def test_the_worker_asks_for_no_link_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow logs an XCom that is not there as an error."""
    asked: list[str] = []

    class XCom:
        @staticmethod
        def get_value(*, key: str, ti_key: object) -> str | None:
            asked.append(key)
            return COMMERCIAL

    monkeypatch.setattr(links, "XCom", XCom)
    link = AvePointOnlineServicesLink()
    sensor = AvePointBackupSensor(task_id="wait", product="dynamics365", max_age="24h")
    job = AvePointJobSensor(task_id="job", product="dynamics365", job_id="J")

    assert ("", "") == (link.get_link(sensor, ti_key=object()), link.get_link(job, ti_key=object()))
    sensor.leave_link({}, settings(region="us"))
    assert COMMERCIAL == link.get_link(sensor, ti_key=object())
    assert [] == asked

    # Another process has deferred the task; Airflow has stored the link itself then.
    with pytest.raises(Exception, match="The trigger of this wait failed"):
        job.resume_execution("__fail__", {"error": "x"}, {})
    audit = AvePointLicenseAuditOperator(task_id="audit")
    monkeypatch.setattr(audit, "execute", lambda context: context, raising=False)
    assert {} == audit.resume_execution("execute", {}, {})
    assert [COMMERCIAL] * 2 == [link.get_link(each, ti_key=object()) for each in (job, audit)]
    assert [link.xcom_key] * 2 == asked


@pytest.mark.parametrize(
    "cls",
    [AvePointBackupCheckOperator, AvePointBackupSensor, AvePointJobSensor, AvePointLicenseAuditOperator],
)
def test_who_has_the_link(cls: type) -> None:
    assert ["AvePoint Online Services"] == [link.name for link in cls.operator_extra_links]


def test_it_is_left_before_the_first_look_ends(
    simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deferred task shows it too: what is pushed later would come after the wait."""
    connect()
    read = AvePointHook.settings.func  # the simulator's own address has no such site
    monkeypatch.setattr(
        AvePointHook, "settings", property(lambda hook: replace(read(hook), console_url=COMMERCIAL))
    )
    simulator.add_job("dynamics365", job_id="DCIB1", state="running")
    ti = TaskInstance()

    class DeferredError(Exception):
        pass

    def defer(*_args: Any, **_kwargs: Any) -> None:
        raise DeferredError

    sensor = AvePointJobSensor(task_id="wait", product="dynamics365", job_id="DCIB1")
    monkeypatch.setattr(type(sensor), "defer", defer)
    with pytest.raises(DeferredError):
        sensor.execute({"ti": ti})

    assert COMMERCIAL in ti.xcoms.values()
