"""``schedule``: what is due today, by location; past and to come by the API's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_avepoint.simulator import Simulator
from tests.cli.conftest import Done

Run = Callable[..., Done]
PATH = "/backup/m365/settings/backup/frequency"


def service(number: int, *starts: str, runs: int | None = None) -> dict[str, Any]:
    return {
        "serviceType": number,
        "frequency": len(starts) if runs is None else runs,
        "backupStartTime": list(starts),
    }


def today(simulator: Simulator, clock: str) -> str:
    """Put the API's clock to noon of the day after tomorrow (UTC), and return a time of that day."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=2)
    simulator.set_clock(ahead_seconds=(noon - datetime.now(UTC)).total_seconds())
    return f"{noon:%Y-%m-%d}T{clock}Z"


def rows_of(done: Done) -> list[dict[str, str]]:
    head, *rows = [
        [cell.strip() for cell in line.split("|")] for line in done.out.splitlines() if " | " in line
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_it_tells_past_and_to_come_by_the_apis_clock(avepoint: Run, simulator: Simulator) -> None:
    early, late = today(simulator, "03:54:22"), today(simulator, "21:54:22")
    simulator.set_reading(
        "m365", "schedule", [service(0, early, late), service(1, early, runs=4), service(14, runs=0)]
    )

    done, scripted = avepoint("schedule"), avepoint("schedule", "m365", "--output", "json")

    assert (done.status, done.err) == (0, "")
    assert rows_of(done) == [
        {
            "location": "central",
            "service": name,
            "runs a day": runs,
            "past": past,
            "to come": to_come,
            "note": note,
        }
        for name, runs, past, to_come, note in (
            ("exchange_online", "2", "03:54:22", "21:54:22", ""),
            ("sharepoint_online", "4", "03:54:22", "", "1 start listed"),
            ("power_apps", "0", "", "", "not scheduled"),
        )
    ]
    assert "m365, central location: 2 services scheduled, read at 20" in done.out
    (read,) = scripted.json["schedules"]
    assert (scripted.status, read["location"], scripted.json["problems"]) == (0, None, [])
    assert [(each["past"], each["to_come"], each["is_scheduled"]) for each in read["services"]] == [
        ([early], [late], True),
        ([early], [], True),
        ([], [], False),
    ]


def test_a_start_of_another_day_is_written_with_its_day(avepoint: Run, simulator: Simulator) -> None:
    simulator.set_reading("m365", "schedule", [service(0, "2026-02-27T03:54:22Z")])

    (row,) = rows_of(avepoint("schedule"))

    assert row["past"] == "2026-02-27T03:54:22Z"


def test_a_location_without_a_scheduled_backup_is_bad(avepoint: Run, simulator: Simulator) -> None:
    """No service at all, and services without a run; the good location is shown all the same."""
    for rows in ([], [service(0, runs=0)]):
        simulator.set_reading("m365", "schedule", rows, location="EUR")

        done = avepoint("schedule", "--location", "NAM", "--location", "EUR", "--location", "NAM")

        assert done.status == 1
        assert {"NAM"} <= {row["location"] for row in rows_of(done)}
        assert "m365, EUR location: no backup is scheduled on 20" in done.out
        assert done.out.count("m365, NAM location: 3 services scheduled") == 1


def test_one_location_that_cannot_be_read_hides_no_other(avepoint: Run, simulator: Simulator) -> None:
    """Nobody can tell then: status 2, whatever the other location says."""
    for flags, shown in (((), 1), (("-o", "json"), 1)):
        simulator.add_fault("status", path=PATH, status=403, count=1)

        done = avepoint("schedule", "--location", "EUR", "--location", "NAM", *flags)

        assert done.status == 2
        assert done.err.startswith("EUR: The app registration demo-client lacks the permission ")
        assert "microsoft365backup.settings.read.all" in done.err
        assert done.out.count("NAM") >= shown
        if flags:
            assert [each["location"] for each in done.json["problems"]] == ["EUR"]


def test_what_cannot_be_asked_is_said(avepoint: Run, simulator: Simulator) -> None:
    for flags, text in (
        (("dynamics365",), "m365"),
        (("--location", ""), "location"),
        (("--conn-id", "nowhere"), "nowhere"),
    ):
        done = avepoint("schedule", *flags)

        assert (done.status, done.out) == (2, ""), flags
        assert text in done.err
    assert simulator.requests(PATH) == []
    simulator.set_reading("m365", "schedule", {"not": "a list"})
    done = avepoint("schedule")
    assert (done.status, done.out) == (2, "")
    assert "schedule" in done.err
