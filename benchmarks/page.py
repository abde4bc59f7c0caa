"""The page of backups in a real API server: how long its answers take, beside Airflow's own list of DAGs."""

from __future__ import annotations

import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.readings import BenchmarkError, Contender, quiet_airflow
from benchmarks.report import Figure, Table
from benchmarks.seeding import Order, fill
from demo.postgres import Postgres
from demo.processes import Process, stop
from demo.stack import airflow_environment, free_port

_MILLISECONDS_AT_MOST = {"PostgreSQL": 300, "SQLite": 600}
_HEALTH_SECONDS_AT_MOST = 2
# The shortest time that the page may be told to keep an answer.
_KEPT_SECONDS = 1
_PATIENCE = 180
_LEDGER = "bench_ledger"
_PATH = "/avepoint-page/api/v1/posture"
_POSTURE, _DAGS = "posture, not kept", "GET /ui/dags"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    :param scopes: half as many organisations, with two scopes each.
    :param days: each scope has a backup a day.
    :param gates_days: on so many days a gate of each organisation has judged, in a ledger of its own.
    """

    scopes: int = 500
    days: int = 90
    gates_days: int = 14
    rounds: int = 9
    readers: int = 50


PLAN = Plan()


def measure(say: Callable[[str], None], plan: Plan = PLAN) -> dict[str, Any]:
    """Ask the page of each ledger, and in turns with it for the list of DAGs; return all, ready for JSON."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="avepoint-bench-")))
        postgres = stack.enter_context(Postgres())
        postgres.create_database("bench")
        ledgers = {
            "SQLite": ({"conn_type": "sqlite", "host": str(home / "bench.db")}, 0),
            "PostgreSQL": (postgres.connection(database="bench"), 0),
            "SQLite, with gates": ({"conn_type": "sqlite", "host": str(home / "gates.db")}, plan.gates_days),
        }
        filler = stack.enter_context(Contender(fill, quiet_airflow(str(home))))
        for name, (connection, gates_days) in ledgers.items():
            say(f"{name}: filling {plan.scopes * plan.days:,} jobs")
            order = Order(connection=connection, scopes=plan.scopes, days=plan.days, gates_days=gates_days)
            filler.run(order)
        with _serve(home) as server:
            measured = {}
            for name, (connection, _) in ledgers.items():
                say(f"{name}: {plan.rounds} rounds")
                server.use(connection)
                measured[name] = _take_turns(server, plan)
            say(f"{plan.readers} readers at once")
            measured["health"] = _ask_at_once(server, plan.readers)
    return {
        **{name: getattr(plan, name) for name in ("scopes", "days", "gates_days", "readers")},
        "ledgers": measured,
    }


class _Server:
    def __init__(self, url: str, password: str) -> None:
        self.url = url
        token = httpx.post(f"{url}/auth/token", json={"username": "admin", "password": password}, timeout=60)
        headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
        self.client = httpx.Client(base_url=url, headers=headers, timeout=_PATIENCE)

    def use(self, connection: Mapping[str, Any]) -> None:
        """Let the ledger's connection lead to a database."""
        self.client.delete(f"/api/v2/connections/{_LEDGER}")
        body = {"connection_id": _LEDGER, **connection}
        self.client.post("/api/v2/connections", json=body).raise_for_status()

    def time(self, path: str) -> float:
        """Return the seconds of an answer in JSON; Airflow answers an unknown path with its own page."""
        begin = time.perf_counter()
        answer = self.client.get(path).raise_for_status()
        seconds = time.perf_counter() - begin
        answer.json()
        return seconds

    def count_scopes(self) -> int:
        answer = self.client.get(_PATH).raise_for_status().json()
        return len(answer["scopes"])


@contextmanager
def _serve(home: Path) -> Iterator[_Server]:
    """Start an API server; it reads the ledger of a connection in its own database."""
    port, password = free_port(), secrets.token_urlsafe(16)
    passwords = home / "passwords.json"
    passwords.write_text(f'{{"admin": "{password}"}}')
    (home / "dags").mkdir()
    environment = airflow_environment(home, dags=home / "dags") | {
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__AVEPOINT__LEDGER_CONN_ID": _LEDGER,
        "AIRFLOW__AVEPOINT__PAGE_CACHE_SECONDS": str(_KEPT_SECONDS),
    }

    def command(name: str, *arguments: str) -> Process:
        words = [sys.executable, "-m", "airflow", *arguments]
        return Process(name, words, env=environment, cwd=home, log=home / f"{name}.log")

    migrate = command("db-migrate", "db", "migrate")
    api = command("api-server", "api-server", "--host", "127.0.0.1", "--port", str(port))
    try:
        migrate.start()
        _wait_until(lambda: migrate.exit_code is not None, api)
        api.start()
        _wait_until(lambda: _is_healthy(f"http://127.0.0.1:{port}"), api)
        yield _Server(f"http://127.0.0.1:{port}", password)
    finally:
        stop([migrate, api], grace=3)


def _wait_until(check: Callable[[], bool], api: Process) -> None:
    end = time.monotonic() + _PATIENCE
    while not check():
        if time.monotonic() > end:
            raise BenchmarkError(f"Airflow's API server does not start: {api.tail(10)}")
        time.sleep(0.3)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/monitor/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def _take_turns(server: _Server, plan: Plan) -> dict[str, Any]:
    """Return the seconds of each answer; the first of each, which warms up, does not count."""
    if server.count_scopes() != plan.scopes:
        raise BenchmarkError(f"The page does not show {plan.scopes} scopes.")
    seconds: dict[str, list[float]] = {_POSTURE: [], _DAGS: []}
    for _ in range(plan.rounds + 1):
        time.sleep(_KEPT_SECONDS + 0.1)  # until the last answer is no longer given again
        seconds[_POSTURE].append(server.time(_PATH))
        seconds[_DAGS].append(server.time("/ui/dags"))
    return {
        name: {
            "median_seconds": round(median(each[1:]), 4),
            "seconds": [round(second, 4) for second in each[1:]],
        }
        for name, each in seconds.items()
    }


def _ask_at_once(server: _Server, readers: int) -> dict[str, Any]:
    """Return the longest answer of Airflow's health check while the readers ask for the page."""
    healthy = []
    threads = [threading.Thread(target=server.client.get, args=(_PATH,)) for _ in range(readers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        healthy.append(server.time("/api/v2/monitor/health"))
    return {"seconds": [round(second, 4) for second in healthy], "longest_seconds": round(max(healthy), 4)}


def judge(result: Mapping[str, Any]) -> list[Figure]:
    """Return the figures to reach."""
    ledgers = result["ledgers"]
    return [
        *(
            Figure(
                what=f"posture, {name}: milliseconds",
                value=ledgers[name][_POSTURE]["median_seconds"] * 1000,
                bound=bound,
            )
            for name, bound in _MILLISECONDS_AT_MOST.items()
        ),
        Figure(
            what=f"health check with {result['readers']} readers: seconds",
            value=ledgers["health"]["longest_seconds"],
            bound=_HEALTH_SECONDS_AT_MOST,
        ),
    ]


def tabulate(result: Mapping[str, Any]) -> Table:
    """Return the seconds of each answer."""
    ledgers = {name: each for name, each in result["ledgers"].items() if _POSTURE in each}
    head = [f"the page: {result['scopes']} scopes, {result['days']} days", *ledgers]
    rows = [
        [name, *(f"{each[name]['median_seconds'] * 1000:,.0f} ms" for each in ledgers.values())]
        for name in (_POSTURE, _DAGS)
    ]
    return Table(head, rows)


def footnote(result: Mapping[str, Any]) -> str:
    """Return the sentences that make the table honest."""
    return (
        "Medians, measured in turns in one run, from an API server with one worker. Every 29th backup is "
        f"partial. With gates: a gate for each organisation has judged on {result['gates_days']} days. With "
        f"{result['readers']} readers at once, Airflow's health check took "
        f"{result['ledgers']['health']['longest_seconds']:.2f} s at most. PostgreSQL runs without fsync."
    )
