"""Run 300 gates in a production-like Airflow while its parts are killed: ``python -m cluster``.

It ends with 0 only if every gate has one outcome, the one its backup deserves, what is behind the gates ran
exactly where it should, and no secret is anywhere in what was written.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import httpx

from cluster.run import FULL, SHORT, Run
from demo.postgres import PostgresError
from demo.processes import raise_once_on_interrupt
from demo.redis import RedisError
from demo.simulator import SimulatorError
from demo.stack import StackError


def main() -> int:
    """Do the run; return the exit status. What it wrote is kept only if something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("--short", action="store_true", help="8 gates, and two of the strikes")
    parser.add_argument("--directory", type=Path, help="where its files go, and stay; it must be empty")
    options = parser.parse_args()
    raise_once_on_interrupt()
    home: Path = options.directory or Path(tempfile.mkdtemp(prefix="avepoint-cluster-"))
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        parser.error(f"{home} is not empty")
    status = 1
    try:
        status = 1 if Run(SHORT if options.short else FULL, home).play() else 0
    except KeyboardInterrupt:
        print("Everything is stopped.", flush=True)
        status = 130
    except (PostgresError, RedisError, SimulatorError, StackError, httpx.HTTPError) as e:
        print(f"\nThe cluster failed: {e}", flush=True)
    if status == 1 or options.directory:
        print(f"The logs are in {home}.", flush=True)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
