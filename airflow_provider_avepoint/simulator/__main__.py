"""The console script ``avepoint-simulator``."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import signal
import sys
import threading
from collections.abc import Sequence

from . import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, Simulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; print the URL as one line when the server answers requests.

    Unless told to be quiet, print a second line: the shell command that sets Airflow's connection.

    :param arguments: the command line's arguments; None takes those of the process.
    :returns: the exit status, 1 where the server cannot run; one line on stderr then says why.
    """
    options = _parser().parse_args(arguments)
    if not options.quiet:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        simulator = Simulator(
            host=options.host,
            port=options.port,
            client_id=options.client_id,
            client_secret=options.client_secret,
        )
        if options.seed_demo:
            simulator.seed_demo()
        with simulator:
            print(simulator.url, flush=True)  # noqa: T201 - what the script is asked for
            if not options.quiet:
                fields = shlex.quote(json.dumps(simulator.connection))
                print(f"export AIRFLOW_CONN_AVEPOINT_DEFAULT={fields}", flush=True)  # noqa: T201 - the same
            stopped.wait()
    except (ModuleNotFoundError, OSError) as error:
        print(f"avepoint-simulator: {error}", file=sys.stderr)  # noqa: T201 - a script's way to fail
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="avepoint-simulator", description="Serve a stand-in for the AvePoint Graph API."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen at (default: a free one)")
    parser.add_argument(
        "--client-id", default=DEMO_CLIENT_ID, help="registered client (default: %(default)s)"
    )
    parser.add_argument(
        "--client-secret", default=DEMO_CLIENT_SECRET, help="its secret (default: %(default)s)"
    )
    parser.add_argument("--seed-demo", action="store_true", help="start with 60 days of plausible history")
    parser.add_argument(
        "--quiet", action="store_true", help="print the URL alone, and no line for each request"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
