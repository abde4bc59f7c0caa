"""What the gates are about: backups that end as they are meant to, and outlive the simulator's process."""

from __future__ import annotations

import json
from operator import itemgetter

import pytest

from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from cluster.accounts import CERTIFICATE, SECRET, Accounts
from cluster.gates import FATES, Tenant
from cluster.wire import Wire
from demo.simulator import SimulatorProcess

pytestmark = pytest.mark.system


@pytest.fixture
def simulator(tmp_path):
    simulator = SimulatorProcess(tmp_path, arguments=())
    with simulator.running():
        yield simulator


@pytest.fixture
def tenant(simulator, monkeypatch):
    """Return what AvePoint holds for ten gates, with the connections to it; late backups end at once."""
    with Wire() as wire:
        accounts = Accounts(wire.address)
        for conn_id, fields in accounts.connections().items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        tenant = Tenant(simulator, wire, accounts, count=10, late_seconds=(0, 0))
        tenant.open()
        yield tenant


def judge(tenant, gate):
    with AvePointHook(gate.conn_id) as hook:
        return hook.judge(
            Policy(
                product="dynamics365",
                organization_ids=gate.organization,
                started_after=tenant.started_after,
            )
        )


def known_jobs(simulator):
    return sorted(simulator.jobs(), key=itemgetter("job_id"))


def reasons(tenant):
    return [judge(tenant, gate).reason for gate in tenant.gates]


def test_every_fate_and_both_connections_are_among_the_gates(tenant):
    assert {fate.name for fate in FATES} == {gate.fate.name for gate in tenant.gates}
    assert {CERTIFICATE, SECRET} == {gate.conn_id for gate in tenant.gates}


def test_a_late_backup_runs_until_its_gate_waits(tenant):
    expected = ["running" if gate.fate.is_late else gate.fate.reason for gate in tenant.gates]
    assert expected == reasons(tenant)

    tenant.end_late(range(5))

    expected[:5] = [gate.fate.reason for gate in tenant.gates[:5]]
    assert expected == reasons(tenant)
    assert [gate.fate.passes for gate in tenant.gates[:5]] == [
        judge(tenant, gate).passed for gate in tenant.gates[:5]
    ]


def test_a_late_backup_ends_when_it_was_said_to(tenant):
    tenant.end_late(range(10))
    known = [gate.ends_at for gate in tenant.gates]

    tenant.end_late(range(10))

    assert known == [gate.ends_at for gate in tenant.gates]
    assert [gate.fate.is_late for gate in tenant.gates] == [moment is not None for moment in known]


def test_a_simulator_that_was_killed_comes_back_with_all_that_it_was_told(tenant, simulator):
    """The jobs are the same to the last field, those that ended meanwhile too, and clients may sign in."""
    tenant.end_late(range(10))
    jobs, pid = known_jobs(simulator), simulator.process.members()[0].pid

    tenant.crash(seconds=0)

    assert pid != simulator.process.members()[0].pid
    assert jobs == known_jobs(simulator)
    assert [judge(tenant, gate).reason for gate in tenant.gates[:2]] == [
        gate.fate.reason for gate in tenant.gates[:2]
    ]
