"""A reader of the ledger changes nothing, and the database does not work for it longer than it may."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import func, literal, select, text

from airflow_provider_avepoint.core.errors import AvePointLedgerError
from airflow_provider_avepoint.ledger.database import reading, writing
from airflow_provider_avepoint.ledger.reader import LedgerReader, NoLedgerError, SlowLedgerError
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.ledger.tables import JOBS
from tests.ledger.databases import CONN_ID, Database, make_job
from tests.ledger.databases import NOON as READ_AT

PATIENCE = 60


def make_endless_query() -> object:
    numbers = select(literal(1).label("number")).cte(recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1))
    return select(func.count()).select_from(numbers)


def test_a_query_is_ended_by_the_database(database: Database) -> None:
    with Ledger(CONN_ID):
        pass
    begin = time.monotonic()

    with LedgerReader(CONN_ID, seconds=2) as ledger, pytest.raises(SlowLedgerError):
        list(ledger.iter_rows(make_endless_query()))

    assert time.monotonic() - begin < PATIENCE


def test_the_time_of_the_caller_does_not_count(database: Database) -> None:
    """A machine under load that judges a large ledger has no slow database."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("contoso", [make_job(f"J{number}") for number in range(3)], READ_AT)
    seconds = 3.0
    with LedgerReader(CONN_ID, seconds=seconds) as ledger:
        for index, _ in enumerate(ledger.iter_rows(select(JOBS.c.job_id))):
            if index == 0:
                time.sleep(seconds + 0.1)
        assert len(list(ledger.iter_rows(select(JOBS)))) == 3


def test_a_reader_changes_nothing(database: Database) -> None:
    with pytest.raises(NoLedgerError):
        LedgerReader(CONN_ID, seconds=PATIENCE)
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("contoso", [make_job()], READ_AT)
    with LedgerReader(CONN_ID, seconds=PATIENCE) as ledger:
        for begin in (reading, writing):
            with pytest.raises(AvePointLedgerError), begin(ledger._engine) as connection:
                connection.execute(text("DELETE FROM avepoint_jobs"))
        assert len(list(ledger.iter_rows(select(JOBS.c.job_id)))) == 1


@pytest.mark.system
def test_a_reader_sees_the_ledger_of_one_moment(postgres_database: Database) -> None:
    """Else a job that ends between two queries could be in neither."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("contoso", [make_job()], READ_AT)
        with LedgerReader(CONN_ID, seconds=PATIENCE) as reader:
            ledger.save_jobs("contoso", [make_job("later")], READ_AT)

            assert len(list(reader.iter_rows(select(JOBS.c.job_id)))) == 1
            assert len(list(ledger.iter_rows(select(JOBS.c.job_id)))) == 2


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = {"conn_type": "postgres", "host": "127.0.0.1", "port": server.getsockname()[1]}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection | {"login": "reader"}))
        begin = time.monotonic()

        with pytest.raises(SlowLedgerError):
            LedgerReader(CONN_ID, seconds=2)

    assert time.monotonic() - begin < PATIENCE


@contextmanager
def freezable_proxy(port: int) -> Iterator[tuple[int, threading.Event]]:
    """Pass bytes to a port until the event is set; then keep the connections open and pass nothing."""
    frozen, ended = threading.Event(), threading.Event()

    def carry(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if frozen.is_set():
                    ended.wait()
                    return
                target.sendall(data)

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while not ended.is_set():
                client, _ = server.accept()
                upstream = socket.create_connection(("127.0.0.1", port))
                sockets.extend((client, upstream))
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    sockets: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        try:
            yield server.getsockname()[1], frozen
        finally:
            ended.set()
            for each in sockets:
                each.close()


@pytest.mark.system
def test_a_connection_that_is_lost_in_the_middle_of_a_query(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server never hears the timeout; the connection's own limits do not count where ours are shorter."""
    with Ledger(CONN_ID) as ledger:
        ledger.save_jobs("contoso", [make_job()], READ_AT)
    known = postgres_database.connection
    with freezable_proxy(known["port"]) as (port, frozen):
        extra = {"connect_timeout": 600, "tcp_user_timeout": "0"}
        through = known | {"port": port, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(through))
        with LedgerReader(CONN_ID, seconds=2) as ledger:
            assert len(list(ledger.iter_rows(select(JOBS.c.job_id)))) == 1
            frozen.set()
            begin = time.monotonic()

            with pytest.raises(SlowLedgerError, match="did not answer within 2 seconds"):
                list(ledger.iter_rows(select(JOBS)))

    assert time.monotonic() - begin < PATIENCE
