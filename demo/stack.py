"""A real Airflow 3 on loopback, from ``with`` to its end: four components, SQLite, nothing left behind."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from demo.processes import Process, stop
from demo.rest import AirflowApi

DAGS = Path(__file__).resolve().parent.parent / "dags"
LOOPBACK = "127.0.0.1"
TRIGGERER = "triggerer"

_TRIGGERER_COMMAND = ["triggerer", "--skip-serve-logs"]
#: What a stack with one of each runs: Airflow's command by the name of the component.
COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    TRIGGERER: _TRIGGERER_COMMAND,
}
_POLL_SECONDS = 0.25
# What a component may take to stop; its database is thrown away, so nothing is lost when it is killed.
_GRACE_SECONDS = 3.0
# A triggerer that is to give up its waits in order.
_TRIGGERER_GRACE_SECONDS = 30.0

# https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/cluster-policies.html
_RETRY_POLICY = """\
from datetime import timedelta


def task_policy(task):
    task.retry_delay = timedelta(seconds={seconds})
"""

T = TypeVar("T")


class StackError(RuntimeError):
    """Airflow did not do in time what it should; the message ends with the log that says why."""


class AirflowStack:
    """Airflow's API server, scheduler, DAG processor and triggerer, each a process of its own.

    :param home: the directory for all of it, made anew; None takes one that is removed at the end.
    :param dags: the folder of DAG files.
    :param components: Airflow's command for each component, by its name.
    :param connections: Airflow connections, as the JSON form of ``AIRFLOW_CONN_…`` has them, by id.
    :param retry_delay: seconds before a failed task is tried again, whatever its DAG says; None: as it says.
    :param environment: more environment variables, which win over the stack's own.
    :param start_seconds: how long it may take until every component reports that it is healthy.
    """

    username = "admin"

    def __init__(
        self,
        *,
        home: Path | None = None,
        dags: Path = DAGS,
        components: Mapping[str, Sequence[str]] = COMPONENTS,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        retry_delay: float | None = None,
        environment: Mapping[str, str] | None = None,
        start_seconds: float = 120,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="airflow-stack-")) if home is None else home
        self.password = secrets.token_urlsafe(15)
        self.url = f"http://{LOOPBACK}:{free_port()}"
        self.api = AirflowApi(self.url, self.username, self.password)
        self._is_temporary = home is None
        self._retry_delay = retry_delay
        self._start_seconds = start_seconds
        self.environment = {
            **airflow_environment(self.home, dags=dags, connections=connections),
            **self._settings(),
            **(environment or {}),
        }
        self._components = {name: self._process(name, command) for name, command in components.items()}
        self._migration = self._process("db-migrate", ["db", "migrate"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def logs(self) -> Path:
        """The directory with a log for each component."""
        return self.home / "components"

    @property
    def processes(self) -> list[Process]:
        """The components, and what made the database; each knows its members."""
        return [self._migration, *self._components.values()]

    def start(self) -> None:
        """Start everything, and return when each component is healthy.

        :raises StackError: that did not come in time, or a component ended; everything is stopped then.
        """
        try:
            self._prepare_home()
            self._make_database()
            for component in self._components.values():
                component.start()
            self.wait_until(self._is_healthy, seconds=self._start_seconds, what="Airflow is healthy")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, and return when no process of it is left."""
        stop(self.processes, grace=_GRACE_SECONDS)
        self.api.close()
        if self._is_temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def component(self, name: str = TRIGGERER) -> Process:
        """Return the process of a component, by the name of its log."""
        return self._components[name]

    def kill(self, name: str) -> None:
        """Kill a component as a crash would, with all that it has started."""
        self._components.pop(name).kill()

    def start_component(self, name: str, command: Sequence[str]) -> None:
        """Start a component: in place of the one that has ended, or by another *name* beside it."""
        self._components[name] = self._process(name, command)
        self._components[name].start()

    def kill_triggerer(self, name: str = TRIGGERER) -> None:
        """Kill a triggerer; its waits stay in the database."""
        self.kill(name)

    def stop_triggerer(self, name: str = TRIGGERER) -> None:
        """Ask a triggerer to end, and return when it has: it gives up its waits at once.

        :raises StackError: it did not in time; it is killed then.
        """
        process = self._components.pop(name)
        try:
            process.terminate()
            self.wait_until(
                lambda: process.exit_code, seconds=_TRIGGERER_GRACE_SECONDS, what=f"{name} has ended"
            )
        finally:
            process.kill()

    def start_triggerer(self, name: str = TRIGGERER) -> None:
        """Start a triggerer: in place of the one that has ended, or by another *name* beside it."""
        self.start_component(name, _TRIGGERER_COMMAND)

    def unpause(self, dag_id: str, *, seconds: float = 60) -> None:
        """Wait until the DAG is parsed, and let its runs run.

        :raises StackError: it does not appear, or DAG files cannot be imported.
        """
        try:
            self.wait_until(
                lambda: self.api.has_dag(dag_id) or None, seconds=seconds, what=f"DAG {dag_id} is parsed"
            )
        except StackError as e:
            raise StackError("\n".join([str(e), *self.api.import_errors()])) from e
        self.api.unpause(dag_id)

    def wait_for_run(self, dag_id: str, run_id: str, *, seconds: float = 120) -> str:
        """Return ``success`` or ``failed`` when the run has ended."""

        def end() -> str | None:
            state = self.api.run_state(dag_id, run_id)
            return state if state in {"success", "failed"} else None

        return self.wait_until(end, seconds=seconds, what=f"run {run_id} of {dag_id} has ended")

    def wait_for_task(
        self, dag_id: str, run_id: str, name: str, state: str, *, seconds: float = 60
    ) -> dict[str, Any]:
        """Return the task instance when it is in *state*; *name* is as in :meth:`AirflowApi.task_states`."""

        def instance() -> dict[str, Any] | None:
            found = self.api.task_instances(dag_id, run_id).get(name)
            return found if found is not None and found["state"] == state else None

        return self.wait_until(instance, seconds=seconds, what=f"task {name} of run {run_id} is {state}")

    def wait_until(self, check: Callable[[], T | None], *, seconds: float, what: str) -> T:
        """Ask *check* until it returns something, and return that.

        :param what: what is waited for, as a clause.
        :raises StackError: it did not within *seconds*, or a component has ended meanwhile.
        """
        deadline = time.monotonic() + seconds
        while (answer := check()) is None:
            self.check_components()
            if time.monotonic() > deadline:
                raise StackError(f"Not within {seconds:g} s: {what}.\n{self.tails()}")
            time.sleep(_POLL_SECONDS)
        return answer

    def check_components(self) -> None:
        """Do nothing while all components run.

        :raises StackError: one has ended.
        """
        for process in self._components.values():
            if (code := process.exit_code) is not None:
                raise StackError(f"Airflow's {process.name} ended with {code}.\n{_describe_tail(process)}")

    def tails(self, lines: int = 8) -> str:
        """Return the last lines of each log."""
        return "\n".join(_describe_tail(process, lines) for process in self.processes)

    def _is_healthy(self) -> bool | None:
        try:
            return (set(self.api.health().values()) == {"healthy"} and self.api.serves_tasks()) or None
        except httpx.TransportError:  # it does not listen yet, or is busy
            return None

    def _make_database(self) -> None:
        self._migration.start()
        code = self.wait_until(
            lambda: self._migration.exit_code, seconds=self._start_seconds, what="the database is made"
        )
        if code:
            raise StackError(f"The database could not be made.\n{_describe_tail(self._migration)}")

    def _prepare_home(self) -> None:
        self.logs.mkdir(parents=True)
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({self.username: self.password}))
        if self._retry_delay is not None:
            (self.home / "config").mkdir()
            policy = _RETRY_POLICY.format(seconds=self._retry_delay)
            (self.home / "config" / "airflow_local_settings.py").write_text(policy)

    def _process(self, name: str, command: Sequence[str]) -> Process:
        return Process(
            name,
            [sys.executable, "-m", "airflow", *command],
            env=self.environment,
            cwd=self.home,
            log=self.logs / f"{name}.log",
        )

    def _settings(self) -> dict[str, str]:
        sections = {
            "CORE": {
                "EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
                "FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "PARALLELISM": "4",
                "SIMPLE_AUTH_MANAGER_USERS": f"{self.username}:admin",
                "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            },
            "API": {
                "HOST": LOOPBACK,
                "PORT": self.url.rpartition(":")[2],
                "BASE_URL": self.url,
                "SECRET_KEY": secrets.token_urlsafe(32),
            },
            "API_AUTH": {"JWT_SECRET": secrets.token_urlsafe(64)},
            "DAG_PROCESSOR": {"REFRESH_INTERVAL": "5"},
            # Runs come from the demo and the tests alone, not from a DAG's schedule.
            "SCHEDULER": {"USE_JOB_SCHEDULE": "False"},
            # Airflow 3.3.2 can fail a deferred task whose trigger fires before its worker is seen to end.
            "WORKERS": {"MIN_HEARTBEAT_INTERVAL": "1"},
        }
        return {
            f"AIRFLOW__{section}__{key}": value
            for section, settings in sections.items()
            for key, value in settings.items()
        }


def airflow_environment(
    home: Path, *, dags: Path = DAGS, connections: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, str]:
    """Return the environment of an Airflow with a home of its own, for any of its commands.

    Nothing of an Airflow that is set up around us is in it, nor a proxy for loopback.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    no_proxy = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), LOOPBACK)))
    return {
        **inherited,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default asks DNS
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # On a busy machine, a component waits longer than five seconds for another one's write.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=60",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        **{
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in (connections or {}).items()
        },
    }


def free_port() -> int:
    """Return a loopback port that nobody listens at."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _describe_tail(process: Process, lines: int = 15) -> str:
    return f"--- The last lines of {process.log}:\n{process.tail(lines)}"
