"""The server as a process and as a thread: start, stop, address, speed."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import httpx
import pytest

from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.__main__ import main
from airflow_provider_avepoint.simulator.demo import DAYS, demo_jobs

from .caller import JOB_SCOPE, M365, M365_LIST, PATIENCE, WIRES, Caller, Wire, wait_until

MODULE = "airflow_provider_avepoint.simulator"


@contextmanager
def console_script(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the console script; give the process and the first line that it prints."""
    command = [sys.executable, "-m", MODULE, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_console_script(number: signal.Signals) -> None:
    """It prints its URL as one line, serves the demo to the client it was given, and stops on a signal."""
    arguments = ("--client-id", "me", "--client-secret", "mine", "--seed-demo", "--quiet")
    with console_script(*arguments) as (process, url):
        form = {
            "client_id": "me",
            "client_secret": "mine",
            "grant_type": "client_credentials",
            "scope": JOB_SCOPE,
        }
        token = httpx.post(f"{url}/connect/token", data=form, timeout=PATIENCE).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        page = httpx.get(f"{url}{M365_LIST}", headers=headers, timeout=PATIENCE).json()
        assert 10 == len(page["data"])
        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE)

    assert (0, "", "") == (process.returncode, rest, errors)


@pytest.mark.parametrize(("host", "name"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")])
def test_the_connection_leads_to_this_machine(host: str, name: str) -> None:
    """Also where the server listens at every address: Airflow refuses plain http to another machine."""
    with Simulator(host=host) as simulator:
        address = simulator.connection["host"]
        assert f"http://{name}:{simulator.url.rpartition(':')[2]}" == address
        assert 404 == httpx.get(address, timeout=PATIENCE, trust_env=False).status_code


def test_console_script_logs_requests() -> None:
    """Unless it is told to be quiet: the command that sets the connection; each vendor request, on stderr."""
    with console_script("--host", "localhost", "--client-secret", "it's") as (process, url):
        assert url.startswith("http://localhost:")
        assert process.stdout is not None
        line = process.stdout.readline()
        httpx.get(f"{url}{M365_LIST}", timeout=PATIENCE)
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)

    command, assignment = shlex.split(line)
    name, _, fields = assignment.partition("=")
    assert ("export", "AIRFLOW_CONN_AVEPOINT_DEFAULT") == (command, name)
    assert {
        "conn_type": "avepoint",
        "host": url,
        "login": "demo-client",
        "password": "it's",
        "extra": {"identity_endpoint": f"{url}/connect/token", "trust_env": False},
    } == json.loads(fields)
    assert [f"GET {M365_LIST} 401"] == [line.strip() for line in errors.splitlines()]


def test_taken_port_is_one_line(capsys: pytest.CaptureFixture[str], running_simulator: Simulator) -> None:
    """A port that is taken ends the script with a line and status 1; one that cannot be, with the usage."""
    port = running_simulator.url.rpartition(":")[2]

    assert 1 == main(["--port", port])
    assert capsys.readouterr().err == (
        f"avepoint-simulator: cannot listen at port {port} of 127.0.0.1: address already in use; name "
        "another port with --port, or leave --port out for a free one.\n"
    )
    assert 1 == main(["--host", "192.0.2.1"])  # an address for documents (RFC 5737), so of no machine
    assert capsys.readouterr().err.endswith("; name an address of this machine with --host.\n")
    for no_port in ("70000", "-1", "http"):
        with pytest.raises(SystemExit) as caught:
            main([f"--port={no_port}"])
        assert caught.value.code == 2
        assert f"{no_port!r} is no port" in capsys.readouterr().err


def test_missing_dependency_is_one_line() -> None:
    """Without FastAPI the script says what to install, and no traceback."""
    code = (
        f"import sys; sys.modules['fastapi'] = None\nfrom {MODULE}.__main__ import main\nsys.exit(main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert 1 == len(done.stderr.strip().splitlines())
    assert "pip install 'airflow-provider-avepoint[simulator]'" in done.stderr


def test_import_is_cheap() -> None:
    """Importing the package loads neither FastAPI nor what it brings."""
    code = (
        f"import sys, {MODULE}; print({{'fastapi', 'starlette', 'uvicorn', 'pydantic'}} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()" == done.stdout.strip()


def try_to_get(client: httpx.Client, url: str) -> None:
    """GET what may never be answered."""
    with suppress(httpx.HTTPError):
        client.get(url)


def test_stop_is_prompt() -> None:
    """Idle connections and answers in progress do not keep the server, and the port is free again."""
    simulator = Simulator()
    simulator.start()
    url = simulator.url
    simulator.add_fault("slow", path="/slow", seconds=3 * PATIENCE)
    with httpx.Client(timeout=PATIENCE) as idle, httpx.Client(timeout=2 * PATIENCE) as waiting:
        idle.get(f"{url}/health")
        thread = threading.Thread(target=try_to_get, args=(waiting, f"{url}/slow"), daemon=True)
        thread.start()
        wait_until(lambda: bool(simulator.requests("/slow")))
        simulator.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    host, _, port = url.removeprefix("http://").partition(":")

    with socket.create_server((host, int(port))):
        pass


def test_simulator_starts_again_with_its_jobs() -> None:
    """What was added before the start, and before a stop, is served."""
    simulator = Simulator()
    simulator.add_job("m365", job_id="early")
    for _ in range(2):
        with simulator:
            caller = Caller(simulator)
            with caller.http:
                assert ["early"] == caller.ids(M365)


def test_stopped_simulator_has_no_url() -> None:
    """A URL is known while the server runs, and only one server at a time."""
    simulator = Simulator()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.token_url
    with simulator, pytest.raises(RuntimeError, match="already"):
        simulator.start()
    simulator.stop()  # once more does no harm


def test_ipv6_address() -> None:
    """An IPv6 address stands in brackets."""
    try:
        simulator = Simulator(host="::1")
        simulator.start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert simulator.url.startswith("http://[::1]:")
        assert 200 == httpx.get(f"{simulator.url}/health", timeout=PATIENCE).status_code
    finally:
        simulator.stop()


def test_many_threads(avepoint: Simulator, caller: Caller) -> None:
    """Jobs added from several threads while pages are read are all there in the end."""

    def add() -> None:
        for _ in range(25):
            avepoint.add_job("m365")
            caller.page(M365)

    caller.page(M365)
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(add) for _ in range(4)]:
            future.result(PATIENCE)

    assert 100 == caller.page(M365)["metadata"]["totalCount"]


@pytest.mark.no_cover
def test_deep_page_of_bulk_history(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A hundred thousand jobs come in one call, and any page of a thousand of them in one request."""
    avepoint.set_quirks(wire.product, max_page_size=None, total="match")
    avepoint.generate(wire.product, 100_000, every_seconds=10)
    pages = [caller.page(wire, **wire.nth(page, 1000)) for page in (0, 70, 99, 100)]

    assert [1000, 1000, 1000, 0] == [len(set(wire.ids(page))) for page in pages]
    assert {100_000} == {wire.total_of(page) for page in pages}


def test_demo_is_plausible() -> None:
    """The demo has good nights and bad ones, of eight products, and nothing from the future."""
    simulator = Simulator()
    count = simulator.seed_demo()
    now = datetime.now(UTC).isoformat()

    jobs = [job for product in WIRES for job in simulator.jobs(product)]
    assert count == len(jobs) > DAYS * 10
    assert all(job["started_at"] < job["finished_at"] <= now for job in jobs)
    assert {"success", "partial", "failed"} == {job["state"] for job in jobs}
    assert 3 == len({job["organization_id"] for job in simulator.jobs("dynamics365")})
    assert 6 == len({job["workload"] for job in simulator.jobs("m365")} - {None})
    assert 8 <= sum(bool(simulator.jobs(product)) for product in WIRES)


def test_demo_tells_the_same_each_time() -> None:
    """Two seeds of one moment are equal."""
    now = datetime(2026, 3, 29, 12, tzinfo=UTC)

    assert list(demo_jobs(now)) == list(demo_jobs(now))
