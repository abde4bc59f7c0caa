"""What the cluster's run complains about: each way in which a gate, or what is behind it, can go wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from cluster.database import TaskEnd
from cluster.gates import ABSENT, BAD, LATE, WELL, Gate
from cluster.outcomes import GATE, RECORD, Outcomes

NAMES = ("well", "late", "bad", "absent")
pytestmark = pytest.mark.system

GATES = [
    Gate(organization=name, conn_id="some", fate=fate, started_at=datetime(2026, 1, 1, tzinfo=UTC))
    for name, fate in zip(NAMES, (WELL, LATE, BAD, ABSENT), strict=True)
]


def end(*ends, tries=1, was_deferred=False):
    return TaskEnd(state=ends[-1] if ends else None, ends=ends, tries=tries, was_deferred=was_deferred)


class Witness:
    """What Airflow's database says after a run in which all is well, until a test changes it."""

    def __init__(self):
        self.ends = {
            GATE: {
                0: end("success"),
                1: end("success", was_deferred=True),
                2: end("failed"),
                3: end("failed", was_deferred=True),
            },
            RECORD: {
                0: end("success"),
                1: end("success"),
                2: end("upstream_failed"),
                3: end("upstream_failed"),
            },
        }
        self.verdicts = {0: {"passed"}, 1: {"passed"}, 2: {"failed"}, 3: {"missed"}}
        self.records = [("well", 1), ("late", 1)]

    def task_ends(self, dag_id, task_id):
        return self.ends[task_id]

    def reasons(self, dag_id, task_id):
        return self.verdicts


@pytest.fixture
def witness():
    return Witness()


def judge(witness, tmp_path):
    records = tmp_path / "records.jsonl"
    lines = [{"organization_id": name, "try_number": number} for name, number in witness.records]
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Outcomes(GATES, witness, records)


def test_nothing_is_wrong_where_every_gate_ended_as_it_should(witness, tmp_path):
    outcomes = judge(witness, tmp_path)

    assert [] == list(outcomes.complaints())
    header, _, *rows = (line.split() for line in outcomes.table())
    assert [
        "backup",
        "ends",
        "gates",
        "passed",
        "failed",
        "deferred",
        "retried",
        "ran",
        "behind",
        "re-run",
    ] == header
    assert ["well", "1", "1", "0", "0", "0", "1", "0"] == rows[0]
    assert ["late,", "well", "1", "1", "0", "1", "0", "1", "0"] == rows[1]
    assert ["badly", "1", "0", "1", "0", "0", "0", "0"] == rows[2]


def test_a_task_that_was_killed_may_run_again_in_its_next_try(witness, tmp_path):
    """A task that had done its work when it was killed does it again: once a try, and that is counted."""
    witness.records.append(("late", 2))
    witness.ends[RECORD][1] = end("success", tries=2)

    outcomes = judge(witness, tmp_path)

    assert [] == list(outcomes.complaints())
    assert outcomes.table()[3].split()[-2:] == ["1", "1"]


ENDS = [
    (GATE, 0, None, "Gate 0 (well) was never there."),
    (GATE, 0, end(), "Gate 0 (well) ended as None, not as success once."),
    (GATE, 2, end("success"), "Gate 2 (badly) ended as success, not as failed once."),
    (GATE, 2, end("skipped"), "Gate 2 (badly) ended as skipped, not as failed once."),
    (
        GATE,
        0,
        end("failed", "success"),
        "Gate 0 (well) ended as failed, then success, not as success once.",
    ),
    (GATE, 1, end("success"), "Gate 1 (late, well) has never waited on a triggerer."),
    (
        RECORD,
        2,
        end("success"),
        "Gate 2 (badly): the task behind it ended as success, not as upstream_failed once.",
    ),
    (RECORD, 0, None, "Gate 0 (well): the task behind it ended as nothing, not as success once."),
    (
        RECORD,
        0,
        end("upstream_failed"),
        "Gate 0 (well): the task behind it ended as upstream_failed, not as success once.",
    ),
]


def test_a_task_that_ended_otherwise_is_named(tmp_path):
    for task, number, change, complaint in ENDS:
        witness = Witness()
        if change is None:
            del witness.ends[task][number]
        else:
            witness.ends[task][number] = change
        assert [complaint] == list(judge(witness, tmp_path).complaints())


def test_a_gate_is_judged_for_its_own_reason_in_every_try(witness, tmp_path):
    """A gate whose retries were used up has failed too, but not by its backup: it has no verdict."""
    for reasons, named in (
        (set(), "[]"),
        ({"failed"}, "['failed']"),
        ({"missed", "passed"}, "['missed', 'passed']"),
    ):
        witness.verdicts[3] = reasons
        complaint = f"Gate 3 (never (no job)) was judged {named} in its tries, not missed alone."
        assert [complaint] == list(judge(witness, tmp_path).complaints())


RECORDS = [
    ([("well", 1)], ["Gate 1 (late, well): the task behind it ran 0 times."]),
    ([("well", 1), ("late", 1), ("bad", 1)], ["Gate 2 (badly): the task behind it ran 1 times."]),
    ([("well", 1), ("late", 1), ("nobody", 1)], ["A task ran for nobody, which no gate is about."]),
    (
        [("well", 1), ("well", 1), ("late", 1)],
        [
            "Gate 0 (well): the task behind it ran 2 times in 1 tries.",
            "The task behind well ran 2 times in its try 1.",
        ],
    ),
]


def test_what_is_behind_a_gate_runs_once_and_only_where_it_passed(witness, tmp_path):
    for records, complaints in RECORDS:
        witness.records = records
        assert complaints == list(judge(witness, tmp_path).complaints())
