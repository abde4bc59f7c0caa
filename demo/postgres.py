"""A PostgreSQL server of one's own: loopback, a free port, no service of the system."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo.processes import Process, stop
from demo.stack import LOOPBACK, free_port

USER = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
_START_SECONDS = 30.0
_GRACE_SECONDS = 5.0
# Nothing in it outlives a crash of the machine, so nothing waits for the disk.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class PostgresError(RuntimeError):
    """PostgreSQL is not installed, or did not start; the message says why."""


class Postgres:
    """A PostgreSQL server, from ``with`` to its end: one user without a password, reached through loopback.

    It refuses to run as root, who therefore starts it as the user of Debian's package, who must be
    able to reach the directory.

    :param directory: where its files go, made anew; None takes one that is removed at the end.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.port = free_port()
        self._is_temporary = directory is None
        self._directory = (
            Path(tempfile.mkdtemp(prefix="avepoint-postgres-")) if directory is None else directory
        )
        self._data = self._directory / "data"
        self._user = USER if os.geteuid() == 0 else None
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def processes(self) -> list[Process]:
        """The server, which knows the processes of its sessions."""
        return [] if self._process is None else [self._process]

    def url(self, driver: str = "postgresql+psycopg2", *, database: str = "postgres") -> str:
        """Return SQLAlchemy's address of a database."""
        return f"{driver}://{USER}@{LOOPBACK}:{self.port}/{database}"

    def connection(self, *, database: str = "postgres") -> dict[str, Any]:
        """Return the Airflow connection to a database."""
        return {
            "conn_type": "postgres",
            "host": LOOPBACK,
            "port": self.port,
            "login": USER,
            "schema": database,
        }

    def create_database(self, name: str, *, encoding: str = "UTF8") -> None:
        """Create an empty database.

        :raises PostgresError: it exists already.
        """
        encoded = ["--template", "template0", "--encoding", encoding]
        self._run([_binary("createdb"), *self._address(), *encoded, name])

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is in it; nothing happens where there is none."""
        self._run([_binary("dropdb"), *self._address(), "--if-exists", "--force", name])

    def start(self) -> None:
        """Make the database cluster and start the server; return when it takes connections.

        :raises PostgresError: that did not come in time; everything is stopped then.
        """
        try:
            server = _binary("postgres")
            self._data.mkdir(parents=True)
            if self._user is not None:
                self._directory.chmod(0o755)
                shutil.chown(self._data, self._user, pwd.getpwnam(self._user).pw_gid)
            locale = ["--encoding", "UTF8", "--no-locale"]
            trust = ["--auth", "trust", "--username", USER, "--no-sync"]
            self._run([_binary("initdb"), "--pgdata", str(self._data), *locale, *trust])
            settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
            self._process = Process(
                "postgres",
                # Without a socket in the file system, whose path might be too long.
                [server, "-D", str(self._data), "-h", LOOPBACK, "-p", str(self.port), "-k", "", *settings],
                env=_environment(),
                cwd=self._data,
                log=self._directory / "postgres.log",
                user=self._user,
                stop_signal=signal.SIGINT,  # it ends its sessions; at SIGTERM it would wait for them
            )
            self._process.start()
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, and return when no process of it is left."""
        stop(self.processes, grace=_GRACE_SECONDS)
        if self._is_temporary:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _wait_until_ready(self, server: Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        ready = [_binary("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        while subprocess.run(ready, env=_environment(), check=False).returncode:
            if not server.is_running or time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not start.\n{server.tail()}")
            time.sleep(0.05)

    def _address(self) -> list[str]:
        return ["-h", LOOPBACK, "-p", str(self.port), "-U", USER]

    def _run(self, command: Sequence[str]) -> None:
        done = subprocess.run(
            command,
            env=_environment(),
            cwd=self._data,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgresError(
                f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()}"
            )


def _binary(name: str) -> str:
    """Return the newest of Debian's, which are not on the PATH, or the PATH's."""
    debian = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, debian), os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise PostgresError(f"There is no {name}. Install PostgreSQL, or run make system")
    return found


def _environment() -> dict[str, str]:
    """Return our environment without what it says about another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
