"""The log of a gate that stays shut, as a person reads it in Airflow's UI."""

from __future__ import annotations

import uuid

from tests.airflow.gate import DAG_ID, WAIT, Gate
from tests.airflow.test_connection_form import Page, page, pytestmark

__all__ = ["page", "pytestmark"]


def test_the_log_says_once_and_line_by_line_why_the_gate_is_shut(gate: Gate, page: Page) -> None:
    """No frame of a stack is between the reader and the message."""
    organization = str(uuid.uuid4())
    job = gate.add_backup(
        organization, organization_name="Contoso\nLtd", state="failed", counts={"failed": 3, "successful": 1}
    )
    run_id = gate.trigger(organization)
    assert gate.wait_for_end(run_id)[0] == "failed"

    said = page.read_log(DAG_ID, run_id, WAIT, map_index=0)

    start = said.index(next(line for line in said if "AvePointBackupFailed: " in line))
    shown = said[start : start + 5]
    assert shown[0].endswith("AvePointBackupFailed: dynamics365: failed: 0 of 1 scopes good.")
    scope = f"- Contoso Ltd ({organization}) / customer_engagement"
    assert shown[1].startswith(f"{scope}: failed (job {job['job_id']}, 4 (Failed), started ")
    assert shown[1].endswith(", 3 of 4 objects failed)")
    assert [each.split(":")[0] for each in shown[2:]] == ["Window", "Rule", "What to do (failed)"]
    assert [1, 0] == [sum(words in line for line in said) for words in ("scopes good", "task_runner.py")]
