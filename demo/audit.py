"""The licence audit: sixty days of jobs and readings in the ledger, what is found in them, and the report."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.gate import LEDGER_CONN_ID, Progress
from demo.simulator import SimulatorProcess
from demo.stack import AirflowStack, StackError

LEDGER_DAG, AUDIT_DAG = "avepoint_job_ledger", "avepoint_license_audit"
RUN = "demo"
#: The page's name; the same figures are beside it, as CSV.
REPORT = "report.html"
PRODUCTS = ["m365", "dynamics365"]
_HISTORY = timedelta(days=60)
_RUN_SECONDS = 150.0
_SEED_SECONDS = 60.0
# Seats and storage are nearly used up, and storage will be soon: the audit fails, and says so.
_EXPECTED = {
    LEDGER_DAG: {"plan": "success", "load[0]": "success", "load[1]": "success"},
    AUDIT_DAG: {
        "list_tenants": "success",
        "audit[0]": "success",
        "list_required": "success",
        "protection[0]": "success",
        "report": "success",
        "notify": "skipped",
        "verdict": "failed",
    },
}
_EXPECTED_REASONS = ["near_limit", "forecast"]


class Audit:
    """Both DAGs, on a simulator and an Airflow that are up.

    :param report: where the page goes.
    """

    def __init__(
        self, stack: AirflowStack, simulator: SimulatorProcess, report: Path, progress: Progress
    ) -> None:
        self._stack = stack
        self._simulator = simulator
        self._report = report
        self._say = progress.say

    def play(self) -> bool:
        """Load the ledger, audit, report, show what was found, and tell whether all is as it should be."""
        self._record_past_readings()
        since = datetime.now(UTC) - _HISTORY
        ledger = {"ledger_conn_id": LEDGER_CONN_ID}
        self._run(LEDGER_DAG, {"products": PRODUCTS, "started_after": since.isoformat(), **ledger})
        self._run(AUDIT_DAG, {"report_path": str(self._report), **ledger})
        complaints = list(self._check())
        self._show()
        for complaint in complaints:
            print(f"WRONG: {complaint}")
        return not complaints

    def _record_past_readings(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "demo.history", self._simulator.url],
            env={**self._stack.environment, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            check=False,
            capture_output=True,
            text=True,
            timeout=_SEED_SECONDS,
        )
        if done.returncode:
            raise StackError(f"The past readings could not be recorded.\n{done.stderr}")
        self._say("The ledger has a licence reading of each of the last ten weeks")

    def _run(self, dag_id: str, conf: dict[str, Any]) -> None:
        self._stack.unpause(dag_id)
        self._stack.api.trigger(dag_id, conf, run_id=RUN)
        state = self._stack.wait_for_run(dag_id, RUN, seconds=_RUN_SECONDS)
        self._say(f"{dag_id}: {state}")

    def _check(self) -> Iterator[str]:
        """Yield what is not as it should be."""
        for dag_id, expected in _EXPECTED.items():
            found = self._stack.api.task_states(dag_id, RUN)
            if found != expected:
                yield f"{dag_id}: the tasks are {found}, not {expected}."
        if (reasons := self._audited().get("reasons")) != _EXPECTED_REASONS:
            yield f"The audit finds {reasons}, not {_EXPECTED_REASONS}."
        inserted = sum(self._loaded(index).get("inserted", 0) for index in range(len(PRODUCTS)))
        if not inserted:
            yield "No job was loaded into the ledger."
        for path in (self._report, self._report.with_suffix(".csv")):
            if not path.exists():
                yield f"There is no {path}."

    def _audited(self) -> dict[str, Any]:
        return self._stack.api.xcom(AUDIT_DAG, RUN, "audit", key="return_value", map_index=0) or {}

    def _loaded(self, index: int) -> dict[str, Any]:
        return self._stack.api.xcom(LEDGER_DAG, RUN, "load", key="return_value", map_index=index) or {}

    def _show(self) -> None:
        print()
        for index in range(len(PRODUCTS)):
            for product, changes in self._loaded(index).get("products", {}).items():
                print(f"{product}: {changes['inserted']} jobs of 60 days are in the ledger.")
        for sentence in self._audited().get("findings", ()):
            print(f"{sentence}.")
        if self._audited().get("findings"):
            print(f"The audit worked: {AUDIT_DAG} fails by its task 'verdict', because there are findings.")
        print(flush=True)
