"""The gates: how each one's backup ends, when, and what the gate has to make of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

from cluster.accounts import Accounts
from cluster.wire import Wire
from demo.simulator import PRODUCT, SimulatorProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """How a backup ends, and what that makes of its gate.

    :param job: what the simulator is told of the backup; None: there is none.
    :param is_late: it ends after its gate has begun to wait.
    :param reason: the verdict's, in the end.
    """

    name: str
    job: dict[str, Any] | None
    is_late: bool = False
    passes: bool = False
    reason: str


_TAKES = timedelta(seconds=30)
_FOREVER = {"runs_for": 86_400.0}
WELL = Fate(name="well", job={"state": "success"}, passes=True, reason="passed")
LATE = Fate(
    name="late, well", job={**_FOREVER, "ends_as": "success"}, is_late=True, passes=True, reason="passed"
)
BAD = Fate(name="badly", job={"state": "failed"}, reason="failed")
PARTIAL = Fate(name="with exceptions", job={"state": "partial"}, reason="partial")
LATE_BAD = Fate(name="late, badly", job={**_FOREVER, "ends_as": "failed"}, is_late=True, reason="failed")
RUNNING = Fate(name="never (runs on)", job=_FOREVER, reason="running")
ABSENT = Fate(name="never (no job)", job=None, reason="missed")
FATES = (WELL, LATE, BAD, PARTIAL, LATE_BAD, RUNNING, ABSENT)
# Late ones are most of what the triggerer holds when it is killed.
_MIX = (WELL, LATE, RUNNING, LATE_BAD, LATE, BAD, LATE, ABSENT, WELL, PARTIAL)


@dataclass(slots=True, kw_only=True)
class Gate:
    """One organisation, its backup, and when that ends where it is late."""

    organization: str
    conn_id: str
    fate: Fate
    started_at: datetime
    ends_at: datetime | None = None

    def job(self) -> dict[str, Any] | None:
        """Return the backup as the control API takes it: the same whenever it is told."""
        if self.fate.job is None:
            return None
        job = {
            "product": PRODUCT,
            "job_id": f"DCIB{self.organization}",
            "organization_id": self.organization,
            "started_at": self.started_at.isoformat(),
            **self.fate.job,
        }
        if "state" in job:
            job["finished_at"] = (self.started_at + _TAKES).isoformat()
        if self.ends_at is not None:
            job["runs_for"] = (self.ends_at - self.started_at).total_seconds()
        return job


class Tenant:
    """What AvePoint holds: the accounts, and a backup for each gate. It outlives the simulator's process.

    :param late_seconds: from and to: how long after its gate was seen to wait a late backup ends.
    """

    def __init__(
        self,
        simulator: SimulatorProcess,
        wire: Wire,
        accounts: Accounts,
        *,
        count: int,
        late_seconds: tuple[float, float],
    ) -> None:
        self._simulator = simulator
        self._wire = wire
        self._accounts = accounts
        #: Part of each organisation's id, so that it can be found wherever one is written.
        self.mark = secrets.token_hex(8)
        self.started_after = datetime.now(UTC) - timedelta(minutes=2)
        self._began_at = datetime.now(UTC) - timedelta(minutes=1)
        self.gates = list(self._make(count))
        first, last = late_seconds
        late = [gate for gate in self.gates if gate.fate.is_late]
        self._delays = {
            gate.organization: first + (last - first) * number / max(1, len(late) - 1)
            for number, gate in enumerate(late)
        }

    def open(self) -> None:
        """Tell the simulator everything, and only then let the providers' requests reach it."""
        self._accounts.register(self._simulator)
        jobs = [job for gate in self.gates if (job := gate.job()) is not None]
        self._simulator.send("POST", "jobs", json=jobs)
        self._wire.open(self._simulator.url)

    def crash(self, *, seconds: float) -> None:
        """Kill the simulator, and bring it back after so many seconds with all that it was told."""
        self._simulator.process.kill()
        self._wire.close()
        time.sleep(seconds)
        self._simulator.start()
        self.open()

    def end_late(self, waiting: Iterable[int]) -> None:
        """Set when the late backups end whose gates are among those that wait, by their number."""
        for number in waiting:
            gate = self.gates[number]
            if gate.fate.is_late and gate.ends_at is None:
                delay = timedelta(seconds=self._delays[gate.organization])
                gate.ends_at = datetime.now(UTC) + delay
                job = gate.job() or {}
                self._simulator.send(
                    "PATCH", f"jobs/{PRODUCT}/{job['job_id']}", json={"runs_for": job["runs_for"]}
                )

    def conf(self) -> dict[str, str]:
        """Return the conf of the DAG run."""
        return {"started_after": self.started_after.isoformat(), "mark": self.mark}

    def plan(self) -> list[dict[str, str]]:
        """Return what the DAG is expanded over: connection and organisation of each gate."""
        return [
            {"avepoint_conn_id": gate.conn_id, "organization_id": gate.organization} for gate in self.gates
        ]

    def _make(self, count: int) -> Iterator[Gate]:
        for number, (fate, conn_id) in enumerate(
            islice(zip(cycle(_MIX), cycle(self._accounts.conn_ids)), count)
        ):
            yield Gate(
                organization=f"{self.mark}-{number:04}",
                conn_id=conn_id,
                fate=fate,
                started_at=self._began_at,
            )
