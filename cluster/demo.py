"""Run the demo at DEBUG with planted secrets, and search what it wrote for them: ``python -m cluster.demo``.

It ends with 0 only if the demo came out as it should, and no secret is anywhere in what it wrote.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import httpx

from cluster.accounts import CERTIFICATE, Accounts
from cluster.database import Database
from cluster.secrets import check_files, check_requests
from cluster.wire import Wire
from demo.audit import REPORT, Audit
from demo.gate import LEDGER, Demo, Progress, build_stack
from demo.processes import raise_once_on_interrupt
from demo.simulator import SimulatorError, SimulatorProcess
from demo.stack import StackError

# Where the organisation of the first run is written.
_PLACES = (
    "airflow/components",
    "airflow/logs",
    "evidence/log.txt",
    "evidence/rendered_task_instance_fields.txt",
    "evidence/xcom.txt",
    "ledger/avepoint_jobs.txt",
    "ledger/avepoint_verdicts.txt",
    str(Path(REPORT).with_suffix(".csv")),
    REPORT,
)


def main() -> int:
    """Do it; return the exit status. What the demo wrote is kept only if something went wrong."""
    raise_once_on_interrupt()
    home = Path(tempfile.mkdtemp(prefix="avepoint-demo-"))
    try:
        complaints = search_demo(home)
    except KeyboardInterrupt:
        print("Everything is stopped.", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        return 130
    except (SimulatorError, StackError, httpx.HTTPError) as e:
        complaints = [f"The demo failed: {e}"]
    for complaint in complaints:
        print(f"WRONG: {complaint}")
    if complaints:
        print(f"The logs are in {home}.", flush=True)
        return 1
    shutil.rmtree(home, ignore_errors=True)
    print("No secret and no token stands in anything that the demo wrote.", flush=True)
    return 0


def search_demo(home: Path) -> list[str]:
    """Return a sentence for each thing that is not as it should be.

    :param home: an empty directory for all of it.
    :raises StackError: the demo did not run to its end.
    """
    complaints = []
    simulator, warehouse, progress = SimulatorProcess(home), home / "warehouse.db", Progress()
    with Wire() as wire, simulator.running():
        accounts = Accounts(wire.address)
        accounts.register(simulator)
        wire.open(simulator.url)
        connections = accounts.connections()
        # The one that is not used stands in the environment of every process as well.
        connections["avepoint_default"] = connections.pop(CERTIFICATE)
        stack = build_stack(home, warehouse, connections, {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"})
        progress.say("Starting Airflow at DEBUG, with secrets in its connections")
        with stack:
            demo = Demo(stack, simulator, warehouse, progress)
            gate, audit = demo.play(), Audit(stack, simulator, home / REPORT, progress).play()
            if not (gate and audit):
                complaints.append("The demo did not come out as it should.")
            fernet_key = stack.environment["AIRFLOW__CORE__FERNET_KEY"]
            for database, place in ((stack.home / "airflow.db", "evidence"), (home / LEDGER, "ledger")):
                Database(f"sqlite:///{database}", fernet_key).dump(home / place)
    tokens = {token.decode() for token in wire.tokens}
    mark = demo.runs[0].organization_id
    complaints += check_files(home, accounts.secrets, tokens, mark=mark, places=_PLACES)
    complaints += check_requests(wire.requests, accounts.secrets, tokens, used={"proxy password"})
    progress.say(f"Searched for {len(accounts.secrets)} secrets and {len(tokens)} tokens")
    return complaints


if __name__ == "__main__":
    sys.exit(main())
