"""What a person at a terminal sees, and what a pipe gets."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_avepoint.cli.terminal import write_span
from airflow_provider_avepoint.simulator import Simulator
from tests.cli.conftest import run_command


class Terminal:
    """A pseudo-terminal: *stream* writes to it, *read* gives all that it was sent."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream = open(slave, "w")  # noqa: PTH123, SIM115  # a descriptor, closed by read()
        self._seen = io.BytesIO()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self._seen.write(data)
        except OSError:  # the other end is closed
            pass

    def read(self) -> str:
        self.stream.close()
        self._reader.join()
        os.close(self._master)
        return self._seen.getvalue().decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name, value in {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_shows_a_bar_and_then_the_table(
    terminal: Terminal, simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar counts while pages come, is taken away, and the table stands in colour."""
    connect()
    simulator.generate("dynamics365", 5000, states=("success", "failed"))
    simulator.set_quirks("dynamics365", max_page_size=500, latency_ms=60)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal.stream)
        patch.setattr(sys, "stderr", terminal.stream)
        status = run_command("jobs", "dynamics365", "--limit", "2")

    seen = terminal.read()
    bar, table = seen.split("\x1b[?25h", 1)  # the cursor is shown again when the bar ends
    assert status == 0
    assert "Jobs of dynamics365" in bar
    counts = [int(count.replace(",", "")) for count in re.findall(r"([\d,]+) jobs", without_escapes(bar))]
    assert counts == sorted(counts)
    assert any(0 < count < 5000 for count in counts)
    assert "Jobs of dynamics365" not in table
    assert "\x1b[32msuccess" in table
    assert "\x1b[31mfailed" in table
    assert "5,000 jobs, 4,998 of them not shown" in table


def test_a_bar_beside_a_pipe_leaves_the_pipe_alone(
    terminal: Terminal, simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``airflow avepoint jobs … -o json | jq``: the bar is on the terminal, the JSON in the pipe."""
    connect()
    simulator.generate("dynamics365", 20)
    piped = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", piped)
        patch.setattr(sys, "stderr", terminal.stream)
        run_command("jobs", "dynamics365", "--output", "json")

    assert len(json.loads(piped.getvalue())) == 20
    assert "Jobs of dynamics365" in terminal.read()


def test_json_on_a_terminal_has_no_bar_in_it(
    terminal: Terminal, simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    simulator.generate("dynamics365", 20)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal.stream)
        patch.setattr(sys, "stderr", terminal.stream)
        run_command("jobs", "dynamics365", "--output", "json")

    assert len(json.loads(terminal.read())) == 20


def test_a_check_shows_how_many_questions_are_answered(
    terminal: Terminal, simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Microsoft 365 check asks thirteen times; the bar fills meanwhile."""
    connect()
    simulator.set_quirks("m365", latency_ms=30)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        patch.setattr(sys, "stderr", terminal.stream)
        run_command("check", "m365", "--max-age", "24h")

    steps = [int(done) for done in re.findall(r"(\d+) of 13, 0 jobs", without_escapes(terminal.read()))]
    assert steps == sorted(steps)
    assert any(0 < done < 13 for done in steps)


def test_a_narrow_terminal_folds_and_loses_nothing(
    terminal: Terminal, simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    monkeypatch.setenv("COLUMNS", "60")
    job = simulator.add_job("dynamics365", organization_id="x" * 40, organization_name="y" * 40)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal.stream)
        patch.setattr(sys, "stderr", io.StringIO())
        run_command("jobs", "dynamics365")

    lines = without_escapes(terminal.read()).splitlines()
    assert max(map(len, lines)) <= 60
    columns = zip(*(line.split("|") for line in lines if "|" in line and "+" not in line), strict=True)
    assert any(job["job_id"] in "".join(cell.strip() for cell in column) for column in columns)


def test_a_pipe_gets_lines_that_are_not_folded(
    simulator: Simulator, connect: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    connect()
    simulator.add_job("dynamics365", organization_id="a", organization_name="y" * 290)

    run_command("jobs", "dynamics365")

    assert "y" * 290 in capfd.readouterr().out


def test_spans_are_short() -> None:
    spans = {-5: "0s", 0: "0s", 45.9: "45s", 60: "1m", 61: "1m 1s", 3600: "1h", 3603: "1h"}
    spans |= {11520: "3h 12m", 86400: "1d", 97200: "1d 3h", 864000: "10d"}
    assert spans == {seconds: write_span(seconds) for seconds in spans}
