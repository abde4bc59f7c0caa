"""What the commands share: exit statuses, and how a command ends.

Status 0: the result is good; 1: the result is not good; 2: the answer is unknown, for instance after an
error.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_avepoint.cli.terminal import SayHandler, say
from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.text import one_line

GOOD, BAD, UNKNOWN = 0, 1, 2
_LOGGER = logging.getLogger("airflow_provider_avepoint")
# The exit statuses that a shell uses for SIGINT and SIGPIPE: 128 plus the signal's number.
_INTERRUPTED, _PIPE_CLOSED = 130, 141


def as_command(run: Callable[[Namespace], int]) -> Callable[[Namespace], None]:
    """Turn a function that returns an exit status into a command as Airflow calls it.

    :param run: the function; it gets the parsed arguments.
    """

    @functools.wraps(run)
    def command(args: Namespace) -> None:
        # This opens connections in Airflow's database; `airflow connections test` does the same.
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
        status = UNKNOWN
        try:
            with _saying_what_is_logged():
                status = run(args)
            sys.stdout.flush()
        except KeyboardInterrupt:
            _leave(_INTERRUPTED)
        except BrokenPipeError:  # such as `… | head`
            _leave(_PIPE_CLOSED)
        except (AvePointError, AirflowException) as e:
            say(one_line(e, 1000))
        except Exception:  # noqa: BLE001  # Python's own exit status is 1, which means a bad backup here
            traceback.print_exc()
        if status:
            sys.exit(status)

    return command


@contextmanager
def _saying_what_is_logged() -> Iterator[None]:
    """Print what this provider logs as sentences above a progress bar, if there is a terminal for one."""
    if not sys.stderr.isatty():
        yield
        return
    handler = SayHandler()
    _LOGGER.addHandler(handler)
    before, _LOGGER.propagate = _LOGGER.propagate, False
    try:
        yield
    finally:
        _LOGGER.propagate = before
        _LOGGER.removeHandler(handler)


def _leave(status: int) -> None:
    """End the process without waiting for its threads: they may still wait for pages."""
    os._exit(status)


def get_conn_id(args: Namespace) -> str:
    """Return the connection that a command is about.

    :param args: the parsed arguments.
    """
    return args.conn_id or DEFAULT_CONN_ID
