"""Beyond the backup's state: two gates of Microsoft 365 that stay shut on good backups, and a restore drill.

One gate stays shut because files of the source look attacked, one because nobody has scheduled the backup
that it waits for. The drill restores a canary folder, and compares a file of it with what it must be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo.gate import LEDGER_CONN_ID, M365_TIMEOUT, Progress
from demo.simulator import SimulatorProcess
from demo.stack import AirflowStack

GATE_DAG, DRILL_DAG = "avepoint_m365_gate", "avepoint_restore_drill"
WAIT = "wait_for_backup"
ATTACKED, UNSCHEDULED, DRILL = "source-looks-attacked", "not-scheduled", "restore-drill"
#: The connection of the drill, the only one that allows a restore.
DRILL_CONN_ID = "avepoint_drill"
#: The folder that stands in for the site's library ``Documents``.
SITE = "canary-site"

_PRODUCT = "m365"
_FOLDER = "canary"
_FILES = {
    "read-me.txt": "If this file comes back, the backup can be restored.\n",
    "orders.csv": "order,amount\n1,100\n2,250\n",
    "contacts.csv": "name,city\nAda,London\n",
}
_CANARY = "read-me.txt"
# serviceType 1 is SharePoint Online, 2 is OneDrive.
_ACTIVITY = [
    {
        "tenantOwner": "admin@contoso.example",
        "tenantId": "contoso",
        "serviceType": service,
        "potentialRansomwareAttackCount": ransomware,
        "unusualActivitiesCount": unusual,
    }
    for service, ransomware, unusual in ((1, 1_240, 1_975), (2, 0, 31))
]
_SHUT_STATES = {"list_services": "success", f"{WAIT}[0]": "failed"}
_SHUT_STATES |= dict.fromkeys(["refresh.summarize", "refresh.report"], "upstream_failed")
_DRILL_STATES = dict.fromkeys([WAIT, "choose_time", "restore", "check_content"], "success")
_SHUT_SECONDS = M365_TIMEOUT + 90
# A restore is looked at every minute.
_DRILL_SECONDS = 240.0


class Protection:
    """The two gates and the drill, on a simulator and an Airflow that are up.

    :param site: the folder that stands in for the site's library.
    """

    def __init__(
        self, stack: AirflowStack, simulator: SimulatorProcess, site: Path, progress: Progress
    ) -> None:
        self._stack = stack
        self._simulator = simulator
        self._folder = site / _FOLDER
        self._say = progress.say

    def start(self) -> None:
        """Trigger all three runs. The restore runs until :meth:`show_gates` ends it."""
        self._simulator.send("PUT", f"readings/{_PRODUCT}/unusual_activity", json={"value": _ACTIVITY})
        counts = {"total": len(_FILES), "successful": len(_FILES)}
        self._simulator.send("PUT", "restores", json={"runs_for": 3600, "counts": counts})
        self._say("AvePoint: files of SharePoint Online and OneDrive look attacked")
        self._say("AvePoint: nobody has scheduled a backup of Project Online")
        self._say("The site's canary folder is gone; the drill must bring it back")
        for dag_id in (GATE_DAG, DRILL_DAG):
            self._stack.unpause(dag_id)
        recorded = {"ledger_conn_id": LEDGER_CONN_ID}
        self._trigger(GATE_DAG, ATTACKED, {"services": ["sharepoint_online"], "max_unusual": 0, **recorded})
        unscheduled = {"services": ["project_online"], "expect_scheduled": True, **recorded}
        self._trigger(GATE_DAG, UNSCHEDULED, unscheduled)
        self._trigger(
            DRILL_DAG,
            DRILL,
            {
                "avepoint_conn_id": DRILL_CONN_ID,
                "ledger_conn_id": LEDGER_CONN_ID,
                "folder": _FOLDER,
                "expect_files": len(_FILES),
                "canary_url": str(self._folder / _CANARY),
                "canary_sha256": hashlib.sha256(_FILES[_CANARY].encode()).hexdigest(),
            },
        )

    def show_gates(self) -> bool:
        """Show why both gates are shut, let the restore end, and tell whether all is as it should be."""
        for run_id in (ATTACKED, UNSCHEDULED):
            self._stack.wait_for_run(GATE_DAG, run_id, seconds=_SHUT_SECONDS)
        restore = self._stack.wait_until(
            self._find_restore, seconds=_SHUT_SECONDS, what="a restore has begun"
        )
        # The simulator has no files: this is what AvePoint does to the site.
        self._folder.mkdir(parents=True)
        for name, text in _FILES.items():
            (self._folder / name).write_bytes(text.encode())
        self._simulator.send("PATCH", f"jobs/{_PRODUCT}/{restore['job_id']}", json={"runs_for": 1})
        self._say(f"AvePoint: restore job {restore['job_id']} has put the canary folder back")
        print()
        self._show_attack()
        self._show_schedule()
        print(flush=True)
        attacked = self._check_gate(ATTACKED, "unusual_activity", ["sharepoint_online"])
        return _report([*attacked, *self._check_gate(UNSCHEDULED, "not_scheduled", ["project_online"])])

    def show_drill(self) -> bool:
        """Wait for the end of the drill, show what came back, and tell whether all is as it should be."""
        self._say("Waiting for the restore drill: it looks once a minute")
        self._stack.wait_for_run(DRILL_DAG, DRILL, seconds=_DRILL_SECONDS)
        self._say(f"{DRILL}: {self._stack.api.run_state(DRILL_DAG, DRILL)}")
        drill = self._stack.api.xcom(DRILL_DAG, DRILL, "restore") or {}
        checked = self._stack.api.xcom(DRILL_DAG, DRILL, "check_content") or {}
        complaints = list(self._check_drill(drill, checked))
        if not complaints:
            request = drill["request"]
            print(f"\n{DRILL}: the backup can be restored.")
            print(f"  asked for     folder {_FOLDER} of {request['owner']}, library {request['library']}")
            print(f"  restored from the newest backup before {request['recovery_time']}")
            print(f"  came back     {drill['restored_files']} of {drill['expect_files']} files")
            print(
                f"  content       {_CANARY} is what it was (SHA-256 {checked['digest'][:12]}…)\n", flush=True
            )
        return _report(complaints)

    def _trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        self._stack.api.trigger(dag_id, conf, run_id=run_id)
        self._say(f"{run_id}: {dag_id} is triggered")

    def _find_restore(self) -> dict[str, Any] | None:
        return next(iter(self._simulator.send("GET", "restores")), None)

    def _verdict(self, run_id: str) -> dict[str, Any]:
        return self._stack.api.xcom(GATE_DAG, run_id, WAIT, key="verdict", map_index=0) or {}

    def _show_attack(self) -> None:
        verdict = self._verdict(ATTACKED)
        for scope in verdict.get("scopes", ()):
            service, job = scope["scope"]["workload"], scope["job"] or {}
            print(f"{ATTACKED}: the gate stays shut by {verdict['reason']}.")
            print(f"  backup        {service}: {job.get('state')}; alone it would open the gate")
            for counts in scope.get("unusual_activity", ()):
                found = (
                    f"{counts['ransomware']} may be under attack, {counts['unusual']} with unusual activity"
                )
                print(f"  objects       {counts['service']}: {found}")
            print("  limit         max_unusual=0")
            print(f"  waited        {M365_TIMEOUT:.0f} s, its timeout, in case this ends")

    def _show_schedule(self) -> None:
        verdict = self._verdict(UNSCHEDULED)
        for scope in verdict.get("scopes", ()):
            due = scope["scope"]["workload"]
            print(f"{UNSCHEDULED}: the gate stays shut by {verdict['reason']}.")
            print(f"  due           {due}: no backup, and none is scheduled, so it does not wait for one")
            for schedule in verdict["schedules"]:
                runs = ", ".join(f"{each['service']} {each['runs_a_day']}" for each in schedule["services"])
                print(f"  scheduled     {runs} (backups a day)")

    def _check_gate(self, run_id: str, reason: str, services: list[str]) -> Iterator[str]:
        """Yield what is not as it should be."""
        if (states := self._stack.api.task_states(GATE_DAG, run_id)) != _SHUT_STATES:
            yield f"{run_id}: the tasks are {states}, not {_SHUT_STATES}."
        if (found := self._verdict(run_id).get("reason")) != reason:
            yield f"{run_id}: the verdict is {found}, not {reason}."
        judged = [scope["scope"]["workload"] for scope in self._verdict(run_id).get("scopes", ())]
        if judged != services:
            yield f"{run_id}: the verdict is about {judged}, not {services}."

    def _check_drill(self, drill: dict[str, Any], checked: dict[str, Any]) -> Iterator[str]:
        """Yield what is not as it should be."""
        if (states := self._stack.api.task_states(DRILL_DAG, DRILL)) != _DRILL_STATES:
            yield f"{DRILL}: the tasks are {states}, not {_DRILL_STATES}."
        if drill.get("restored_files") != len(_FILES):
            yield f"{DRILL}: {drill.get('restored_files')} files came back, not {len(_FILES)}."
        if not checked:
            yield f"{DRILL}: the content was not checked."
        if (sent := len(self._simulator.send("GET", "restores"))) != 1:
            yield f"{DRILL}: {sent} restores were sent, not 1."


def _report(complaints: list[str]) -> bool:
    for complaint in complaints:
        print(f"WRONG: {complaint}", flush=True)
    return not complaints
