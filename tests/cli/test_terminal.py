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
from typing import Any

import pytest
from airflow.cli import cli_parser
from rich.cells import cell_len

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


@pytest.fixture
def at_width(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that runs a command at a terminal of a width, and returns what a person reads."""

    def run(width: int, *words: str) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        shown = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", shown.stream)
            patch.setattr(sys, "stderr", terminal.stream)
            run_command(*words)
        return without_escapes(shown.read()).replace("\r", "")

    return run


NAMES = {
    "a" * 8 + "-1111-4222-8333-444455556666": "Contoso Manufacturing GmbH & Co. KG",
    "b" * 8 + "-1111-4222-8333-444455556666": "Fabrikam",
    "c" * 8 + "-1111-4222-8333-444455556666": "東京のとても長い名前の会社株式会社グループ",
    "d" * 60: "y" * 70,
}


def test_no_width_breaks_a_word(simulator: Simulator, connect: Callable[..., str], at_width: Any) -> None:
    """At each width, what fits is a table; where one does not, each row is a list of names and values."""
    connect()
    for key, name in NAMES.items():
        counts = {"total": 12345, "failed": 17, "successful": 12328}
        simulator.add_job("dynamics365", organization_id=key, organization_name=name, counts=counts)
    commands = {
        "jobs dynamics365": {"started", "DCIB", "customer_engagement", "Contoso", "y" * 70},
        "check dynamics365 --max-age 24h": {"partial", "customer_engagement", "17", "12,345", "y" * 70},
        "license": {"seats", "storage,", "47%", "purchased:"},
        "schedule": {"exchange_online", "sharepoint_online", "15:54:22"},
        "protection": {"microsoft_365_groups", "Container)", "--required."},
    }
    words = {
        command: {word for word in at_width(1000, *command.split()).split() if word.strip("=+|")}
        for command in commands
    }

    for command, known in commands.items():
        assert all(any(each in word for word in words[command]) for each in known), command
        for width in (20, 40, 57, 80, 120, 200):
            lines = at_width(width, *command.split()).splitlines()
            shown = {word for line in lines for word in line.split() if word.strip("=+|")}
            moving = {word for word in words[command] if word[:2] == "20"}  # the time of the command
            assert words[command] - moving <= shown, (command, width)
            longest = max(map(cell_len, words[command]))
            assert all(cell_len(line) <= max(width, longest + 2) for line in lines), (command, width)


def test_a_table_that_does_not_fit_is_a_list_of_records(
    simulator: Simulator, connect: Callable[..., str], at_width: Any
) -> None:
    connect()
    job = simulator.add_job("dynamics365", organization_id="a", organization_name="Contoso Manufacturing")

    wide, narrow = (at_width(width, "jobs", "dynamics365") for width in (140, 40))

    assert wide.splitlines()[0].startswith("started ")
    assert " | Contoso Manufacturing | " in wide
    assert "organization  Contoso Manufacturing\n" in narrow
    assert f"job           {job['job_id']}\n\n1 job." in narrow
    assert "|" not in narrow


def test_help_breaks_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In groups: which backup, how good, how to reach it, what to print."""
    for width in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        for command in ("jobs", "check", "license", "schedule", "protection", "probe"):
            with pytest.raises(SystemExit):
                cli_parser.get_parser().parse_args(["avepoint", command, "--help"])
            shown = capsys.readouterr().out
            assert max(map(len, shown.splitlines())) <= width, command
            assert "--organization-ids" not in shown, command
            assert "avepoint_default" in shown, command
            headings = [line for line in shown.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
            assert headings[0][:5] in ("Which", "What "), command
            assert headings[-2:] == ["Connection:", "Output:"], command


def test_what_is_logged_stands_above_the_bar(
    terminal: Terminal, simulator: Simulator, connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of a retry begins at the left edge, and breaks between words."""
    connect()
    monkeypatch.setenv("COLUMNS", "80")
    simulator.set_quirks("dynamics365", latency_ms=60)
    simulator.add_fault("status", status=503, path="/dynamicsbackup", count=3)
    simulator.add_job("dynamics365", organization_id="a", raw_state=77)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        patch.setattr(sys, "stderr", terminal.stream)
        status = run_command("check", "dynamics365", "--max-age", "24h", "--organization-id", "gone")

    lines = [line.rpartition("\r")[2] for line in without_escapes(terminal.read()).split("\r\n")]
    said = " ".join(line.strip() for line in lines if "Backups of" not in line)
    assert status == 1
    assert said.count("answered 503; trying again in 0.0 s.") == 3
    assert "shows the job state 77" in said
    assert not [line for line in lines if "Backups of" in line and "503" in line]


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
