"""PostgreSQL and Redis of one's own: they start, hold what they are told, and leave nothing."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from demo import debian
from demo.postgres import Postgres, PostgresError
from demo.redis import Redis

pytestmark = pytest.mark.system


def living(processes):
    return [process for process in processes if process.is_running() and process.status() != "zombie"]


def send(redis, *words):
    """Return the answer's first line."""
    with socket.create_connection(("127.0.0.1", redis.port), timeout=5) as connection:
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.makefile("rb").readline().strip()


def test_postgres_has_databases_and_leaves_nothing():
    with Postgres() as postgres:
        members = [member for process in postgres.processes for member in process.members()]
        postgres.create_database("one")
        postgres.create_database("two")
        with closing(psycopg2.connect(postgres.url("postgresql", database="one"))) as connection:
            # A session of its own, which ends with the server.
            assert "one" == connection.info.dbname
            fields = postgres.connection(database="two")
            with closing(
                psycopg2.connect(
                    host=fields["host"], port=fields["port"], user=fields["login"], dbname=fields["schema"]
                )
            ) as other:
                assert "two" == other.info.dbname
            postgres.drop_database("two")
            with pytest.raises(psycopg2.OperationalError, match='database "two" does not exist'):
                psycopg2.connect(postgres.url("postgresql", database="two"))
            members += [member for process in postgres.processes for member in process.members()]

    # The server and its own processes, and the session's.
    assert 1 + 3 <= len(set(members))
    psutil.wait_procs(members, timeout=5)
    assert [] == living(members)


@pytest.fixture
def place():
    """Return a directory that PostgreSQL's user can enter, which those of pytest are not."""
    place = Path(tempfile.mkdtemp(prefix="avepoint-tests-"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place)


def test_postgres_says_what_it_could_not_do(place):
    with Postgres(place / "postgres") as postgres:
        postgres.create_database("one")
        with pytest.raises(PostgresError, match=r'createdb ended with 1: .*"one" already exists'):
            postgres.create_database("one")
    assert "database system is shut down" in (place / "postgres" / "postgres.log").read_text()


def test_postgres_that_does_not_start_is_reported_with_its_log(place):
    postgres = Postgres(place / "postgres")
    with (
        socket.create_server(("127.0.0.1", postgres.port)),
        pytest.raises(PostgresError, match=r"PostgreSQL did not start\.[\s\S]*Address already in use"),
    ):
        postgres.start()

    assert [] == [member for process in postgres.processes for member in process.members()]


def test_redis_knows_after_a_crash_what_it_was_told():
    with Redis() as redis:
        assert b"+OK" == send(redis, "SET", "name", "value")
        before = redis.processes[0].members()
        redis.kill()
        assert [] == living(before)
        redis.start()
        assert b"$5" == send(redis, "GET", "name")
        members = redis.processes[0].members()

    assert [] == living(members)


def test_what_cannot_be_installed_is_named(tmp_path, monkeypatch, capsys):
    """Here nothing is on the PATH, so there is no apt-get either."""
    monkeypatch.setattr(debian, "_POSTGRES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert 1 == debian.main(["postgresql", "chromium-driver"])

    message = capsys.readouterr().err
    assert "apt-get install --no-install-recommends postgresql chromium-driver" in message
    assert "put these programs on the PATH: postgres chromedriver" in message


@pytest.mark.parametrize(("user", "prefix"), [(0, []), (1000, ["sudo", "-n"])])
def test_what_is_missing_is_installed(tmp_path, monkeypatch, user, prefix):
    """By root, or by whom sudo asks for no password. No program is started: this is a machine in use."""
    commands = []

    def run(command, **_):
        commands.append(command)
        if "install" in command:
            (tmp_path / "postgres").touch(mode=0o755)
        return subprocess.CompletedProcess(command, 0)

    for program in ("apt-get", "sudo"):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setattr(debian, "_POSTGRES", tmp_path / "lib")
    monkeypatch.setattr(debian.subprocess, "run", run)
    monkeypatch.setattr(debian.os, "geteuid", lambda: user)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert 0 == debian.main(["postgresql"])

    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
    assert [
        [*apt, "update"],
        [*apt, "install", "--yes", "--no-install-recommends", "postgresql"],
    ] == commands
