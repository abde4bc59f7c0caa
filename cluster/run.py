"""One run: the cluster, the gates, what befalls them, and all that is checked afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.accounts import Accounts
from cluster.database import HISTORY, Database
from cluster.gates import Tenant
from cluster.memory import PeakMemory
from cluster.outcomes import DAG_ID, GATE, Outcomes
from cluster.secrets import check_files, check_requests
from cluster.stack import Cluster
from cluster.strikes import ALL, Strikes
from cluster.wire import Wire
from demo.simulator import SimulatorProcess
from demo.stack import StackError

_POLL_SECONDS = 0.5
_SILENCE_SECONDS = 20.0
# Where organisations are written.
_TELLING_PLACES = (
    "airflow/components",
    "airflow/logs",
    *(
        f"evidence/{name}.txt"
        for name in (
            "log",
            "rendered_task_instance_fields",
            "task_instance_note",
            "xcom",
            f"{HISTORY}-trigger",
            f"{HISTORY}-task_instance",
        )
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large a run is.

    :param timeout: the gates', in seconds.
    :param late_seconds: how long after its gate began to wait a late backup ends, from and to.
    :param patience: seconds after which the cluster takes what is silent for dead.
    :param hold: so many gates wait on the triggerers before one is killed.
    :param pause: seconds from one strike to the next, at least.
    :param strikes: what is done to the cluster.
    :param seconds: how long the gates may take in all.
    """

    gates: int
    timeout: float
    late_seconds: tuple[float, float]
    patience: int
    hold: int
    pause: float
    strikes: tuple[str, ...]
    seconds: float


FULL = Plan(
    gates=300,
    timeout=300,
    late_seconds=(15, 150),
    patience=30,
    hold=20,
    pause=30,
    strikes=ALL,
    seconds=1800,
)
SHORT = Plan(
    gates=8, timeout=75, late_seconds=(8, 12), patience=25, hold=3, pause=5, strikes=ALL[:2], seconds=240
)


class Report:
    """Lines for whoever watches, each with the seconds since the start, and in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()
        self._said_at = self._started

    @property
    def silence(self) -> float:
        """The seconds since the last line."""
        return time.monotonic() - self._said_at

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Write a line with the time."""
        self.write(f"{self.seconds:6.1f} s  {text}")

    def write(self, text: str) -> None:
        """Write a line."""
        self._said_at = time.monotonic()
        print(text, flush=True)
        with self._path.open("a") as file:
            file.write(f"{text}\n")


class Run:
    """One run of the gates in a cluster of their own.

    :param home: an empty directory for all of it.
    """

    def __init__(self, plan: Plan, home: Path) -> None:
        self._plan = plan
        self._home = home
        self._gates = home / "gates.json"
        self._records = home / "records.jsonl"
        self._report = Report(home / "report.txt")
        self._complaints: list[str] = []

    def play(self) -> list[str]:
        """Do all of it; return a sentence for each thing that is not as it should be.

        :raises StackError: the cluster did not start, or a part of it ended by itself.
        """
        self._home.chmod(0o711)  # PostgreSQL's user passes through
        say = self._report.say
        with ExitStack() as stack:
            wire = stack.enter_context(Wire())
            simulator = SimulatorProcess(self._home, arguments=())
            stack.enter_context(simulator.running())
            accounts = Accounts(wire.address)
            cluster = Cluster(
                self._home / "airflow",
                patience=self._plan.patience,
                environment={
                    "CLUSTER_GATES": str(self._gates),
                    "CLUSTER_RECORDS": str(self._records),
                    "CLUSTER_TIMEOUT": str(self._plan.timeout),
                },
            )
            memory = stack.enter_context(PeakMemory(lambda: [*cluster.processes, simulator.process]))
            say("Starting PostgreSQL, Redis, and Airflow with two workers and two triggerers")
            stack.enter_context(cluster)
            say("The cluster is healthy")
            tenant = Tenant(
                simulator, wire, accounts, count=self._plan.gates, late_seconds=self._plan.late_seconds
            )
            self._use(cluster, tenant, accounts)
            say("Stopping everything")
        self._complaints += self._survivors()
        self._complaints += self._leaks(wire, accounts, tenant)
        self._conclude(memory)
        return self._complaints

    def _use(self, cluster: Cluster, tenant: Tenant, accounts: Accounts) -> None:
        database = Database(cluster.database_url, cluster.fernet_key)
        database.keep_history()
        tenant.open()
        self._gates.write_text(json.dumps(tenant.plan()))
        accounts.connect(cluster)
        cluster.unpause(DAG_ID)
        run_id = cluster.api.trigger(DAG_ID, tenant.conf())
        self._report.say(f"{self._plan.gates} gates are on their way")
        strikes = Strikes(
            cluster,
            tenant,
            database,
            self._report.say,
            names=self._plan.strikes,
            hold=self._plan.hold,
            pause=self._plan.pause,
        )
        self._watch(cluster, tenant, database, strikes, run_id)
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{GATE}/0"
        cluster.api.request("PATCH", path, json={"note": f"Looked at: {tenant.gates[0].organization}"})
        outcomes = Outcomes(tenant.gates, database, self._records)
        for line in ("", *outcomes.table(), ""):
            self._report.write(line)
        self._complaints += outcomes.complaints()
        self._complaints += [f"Nothing was hit: {strike.name}." for strike in strikes.left]
        database.dump(self._home / "evidence")

    def _watch(
        self, cluster: Cluster, tenant: Tenant, database: Database, strikes: Strikes, run_id: str
    ) -> None:
        """Follow the run to its end, and let happen meanwhile what is to happen."""
        deadline = time.monotonic() + self._plan.seconds
        while True:
            cluster.check_components()
            gates = database.count_states(DAG_ID).get(GATE, {})
            tenant.end_late(index for index in gates.get("deferred", []) if index >= 0)
            strikes.advance()
            if self._report.silence > _SILENCE_SECONDS:
                counts = ", ".join(
                    f"{len(indexes)} {state}" for state, indexes in sorted(gates.items(), key=str)
                )
                self._report.say(f"Gates: {counts}")
            if database.run_state(DAG_ID, run_id) in {"success", "failed"}:
                if not any(index >= 0 for indexes in gates.values() for index in indexes):
                    raise StackError(f"The run ended before it had a gate.\n{cluster.tails()}")
                return
            if time.monotonic() > deadline:
                raise StackError(f"The run did not end within {self._plan.seconds:g} s.\n{cluster.tails()}")
            time.sleep(_POLL_SECONDS)

    def _survivors(self) -> Iterator[str]:
        """Yield a sentence for each process that lives on: all of them know the directory."""
        own = psutil.Process()
        for process in set(psutil.process_iter()) - {own, *own.parents()}:
            with suppress(psutil.Error):
                told = [*process.cmdline(), *process.environ().values()]
                if any(str(self._home) in text for text in told):
                    yield f"Process {process.pid} lives on: {' '.join(process.cmdline())}"

    def _leaks(self, wire: Wire, accounts: Accounts, tenant: Tenant) -> Iterator[str]:
        """Yield a sentence for each secret that is where it must not be."""
        tokens = {token.decode() for token in wire.tokens}
        yield from check_files(self._home, accounts.secrets, tokens, mark=tenant.mark, places=_TELLING_PLACES)
        used = {"client secret", "proxy password"}
        yield from check_requests(wire.requests, accounts.secrets, tokens, used=used)
        self._report.say(
            f"Searched for {len(accounts.secrets)} secrets and {len(tokens)} tokens in"
            f" {_size(self._home) >> 20} MiB of files, and in {len(wire.requests)} requests"
        )

    def _conclude(self, memory: PeakMemory) -> None:
        for complaint in self._complaints:
            self._report.write(f"WRONG: {complaint}")
        if not self._complaints:
            self._report.write(
                "Every gate has one outcome, the one its backup deserves; no secret got out; nothing runs on."
            )
        self._report.write(
            f"Wall time: {self._report.seconds:.0f} s. Peak memory: {memory.bytes / (1 << 20):.0f} MiB (PSS)."
        )


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
