"""The console script ``avepoint-simulator``."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from . import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, Simulator

_LAST_PORT = 65535


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
    except OSError as error:
        fault = (error.strerror or str(error)).partition(" (")[0].lower()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            advice = "name an address of this machine with --host"
        else:
            advice = "name another port with --port, or leave --port out for a free one"
        return _fail(f"cannot listen at port {options.port} of {options.host}: {fault}; {advice}.")
    except (ModuleNotFoundError, RuntimeError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    """Say in a line why the server cannot run; return the exit status."""
    print(f"avepoint-simulator: {message}", file=sys.stderr)  # noqa: T201 - a script's way to fail
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="avepoint-simulator", description="Serve a stand-in for the AvePoint Graph API."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=_parse_port, default=0, help="port to listen at (default: a free one)")
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


def _parse_port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to {_LAST_PORT}.")
    return port


if __name__ == "__main__":
    sys.exit(main())
