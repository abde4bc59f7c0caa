"""Airflow with CeleryExecutor, PostgreSQL and Redis: two workers, two triggerers, and one of all else."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from demo.postgres import Postgres
from demo.processes import Process
from demo.redis import Redis
from demo.stack import COMPONENTS, TRIGGERER, AirflowStack

DAGS = Path(__file__).resolve().parent / "dags"
WORKERS = ("worker-1", "worker-2")
TRIGGERERS = ("triggerer-1", "triggerer-2")
SCHEDULER = "scheduler"
_DATABASE = "airflow"
# Tasks at once: two cores have no use for more, and a killed worker has some of them.
_CONCURRENCY = 4
_PARALLELISM = 16


class Cluster(AirflowStack):
    """A production-like Airflow whose parts can be killed and come back; it logs at DEBUG.

    :param home: the directory for all of it, which the user ``postgres`` must be able to enter.
    :param patience: seconds after which what is silent counts as dead, and what was queued as lost.
    """

    def __init__(self, home: Path, *, patience: int, environment: Mapping[str, str]) -> None:
        self.postgres = Postgres(home / "postgres")
        self.redis = Redis(home / "redis")
        self.fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self._commands = {name: command for name, command in COMPONENTS.items() if name != TRIGGERER}
        self._commands |= dict.fromkeys(TRIGGERERS, COMPONENTS[TRIGGERER])
        self._commands |= {name: _worker(name, home) for name in WORKERS}
        super().__init__(
            home=home,
            dags=DAGS,
            components=self._commands,
            retry_delay=1,
            environment={**self._cluster_settings(patience), **environment},
            start_seconds=180,
        )

    @property
    def database_url(self) -> str:
        """SQLAlchemy's address of Airflow's database."""
        return self.postgres.url(database=_DATABASE)

    @property
    def processes(self) -> list[Process]:
        """Airflow's components, PostgreSQL and Redis."""
        return [*super().processes, *self.redis.processes, *self.postgres.processes]

    def start(self) -> None:
        """Start everything, and return when each component is healthy.

        :raises StackError: that did not come in time, or a component ended; everything is stopped then.
        """
        try:
            self.postgres.start()
            self.postgres.create_database(_DATABASE)
            self.redis.start()
        except BaseException:
            self.stop()
            raise
        super().start()

    def stop(self) -> None:
        """Stop everything, and return when no process of it is left."""
        try:
            super().stop()
        finally:
            self.redis.stop()
            self.postgres.stop()

    def crash(self, name: str) -> None:
        """Kill a component with all that it has started, and start it again."""
        self.kill(name)
        self.start_component(name, self._commands[name])

    def restart_redis(self) -> None:
        """Stop Redis and start it again, with what it has in its append-only file."""
        self.redis.stop()
        self.redis.start()

    def _cluster_settings(self, patience: int) -> dict[str, str]:
        settings: dict[str, dict[str, object]] = {
            "CORE": {
                "EXECUTOR": "CeleryExecutor",
                "FERNET_KEY": self.fernet_key,
                "PARALLELISM": _PARALLELISM,
            },
            "DATABASE": {"SQL_ALCHEMY_CONN": self.database_url},
            "CELERY": {
                "BROKER_URL": self.redis.url,
                "RESULT_BACKEND": f"db+{self.database_url}",
                "WORKER_CONCURRENCY": _CONCURRENCY,
            },
            # A message that a killed worker had taken goes to another after this.
            "CELERY_BROKER_TRANSPORT_OPTIONS": {"VISIBILITY_TIMEOUT": patience},
            "SCHEDULER": {
                "TASK_QUEUED_TIMEOUT": patience,
                "TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": patience // 3,
                "TASK_INSTANCE_HEARTBEAT_TIMEOUT": patience,
                "ORPHANED_TASKS_CHECK_INTERVAL": patience,
                "SCHEDULER_HEALTH_CHECK_THRESHOLD": patience,
            },
            "TRIGGERER": {"TRIGGERER_HEALTH_CHECK_THRESHOLD": patience},
            # The API server answers late while everything starts at once on few cores.
            "WORKERS": {"EXECUTION_API_TIMEOUT": 30},
            "LOGGING": {"LOGGING_LEVEL": "DEBUG", "CELERY_LOGGING_LEVEL": "DEBUG"},
        }
        return {
            f"AIRFLOW__{section}__{key}": str(value)
            for section, values in settings.items()
            for key, value in values.items()
        }


def _worker(name: str, home: Path) -> list[str]:
    command = ["celery", "worker", "--skip-serve-logs", "--pid", str(home / f"{name}.pid")]
    # Before, a worker with a name of its own may take tasks and never run them:
    # https://github.com/apache/airflow/issues/59707
    if Version(version("apache-airflow-providers-celery")) >= Version("3.20"):
        command += ["--celery-hostname", f"{name}@%h"]
    return command
