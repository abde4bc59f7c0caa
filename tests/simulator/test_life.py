"""Jobs whose life is told by the clock, and jobs that are changed by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import D365, ELEMENTS, IAAS, M365, M365_LIST, Caller, Wire, wait_until


def the_row(caller: Caller, wire: Wire) -> Any:
    rows = wire.rows_of(caller.page(wire))
    return rows[0] if rows else None


def counted(wire: Wire, **counts: int) -> dict[str, Any]:
    """Return the job field with these counts, none where rows count nothing."""
    return {"counts": counts} if wire.has_counts else {}


def test_job_is_listed_before_its_start_or_not(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """Where the product has no state for it, a job that is to come is no row."""
    job = avepoint.add_job(any_wire.product, starts_in=600)

    assert "waiting" == job["state"]
    assert any_wire.lists_waiting == (the_row(caller, any_wire) is not None)


STARTS = {"null": None, "empty": "", "n/a": "N/A", "year_1": "0001-01-01T00:00:00Z"}


@pytest.mark.parametrize("wire", [IAAS, ELEMENTS], ids=lambda wire: wire.product)
def test_job_waits_for_its_start(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Where there is a state for it, a job is listed that has not started, its start told in any form."""
    job = avepoint.add_job(wire.product, starts_in=600)
    row = the_row(caller, wire)
    expected = ("waiting", wire.states["waiting"], wire.no_finish)
    assert expected == (job["state"], row[wire.state], row[wire.finish])

    for form, shown in (STARTS | {"planned": f"{job['started_at'][:19]}Z"}).items():
        avepoint.set_quirks(wire.product, no_start=form)
        assert (form, shown) == (form, the_row(caller, wire)["startTime"])
    avepoint.set_quirks(wire.product, no_start="absent")
    assert "startTime" not in the_row(caller, wire)


def test_waiting_job_starts_and_ends(avepoint: Simulator, caller: Caller) -> None:
    """From Not Started over In Progress to Successful, the start shown from the second on."""
    avepoint.add_job("iaas_paas", starts_in=600, runs_for=600)
    seen: list[tuple[int, bool]] = []
    for ahead in (0, 600, 1200):
        avepoint.set_clock(ahead_seconds=ahead)
        row = the_row(caller, IAAS)
        seen.append((row["status"], row["startTime"] is not None))

    assert [(0, False), (1, True), (2, True)] == seen


def test_job_starts_by_the_clock(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """When its time has come the job is listed as running."""
    avepoint.add_job(wire.product, starts_in=0.2, runs_for=600)
    wait_until(lambda: (the_row(caller, wire) or {}).get(wire.state) == wire.states["running"])
    row = the_row(caller, wire)

    assert (wire.states["running"], wire.no_finish) == (row[wire.state], row[wire.finish])
    assert "running" == avepoint.jobs(wire.product)[0]["state"]


def test_job_ends_by_the_clock(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """When it has run its time the job has ended as told, with the counts that it was given."""
    avepoint.add_job(wire.product, runs_for=0.2, ends_as="failed", **counted(wire, failed=3))
    wait_until(lambda: the_row(caller, wire)[wire.state] == wire.states["failed"])
    job = avepoint.jobs(wire.product)[0]

    assert wire.no_finish != the_row(caller, wire)[wire.finish]
    assert ("failed", 3 if wire.has_counts else 0) == (job["state"], job["counts"]["total"])


def test_state_filter_follows_the_clock(avepoint: Simulator, caller: Caller) -> None:
    """A job leaves one filter's answer and enters another's as it ends."""
    job_id = avepoint.add_job("m365", runs_for=600)["job_id"]
    assert (1, 0) == (len(caller.ids(M365, jobState=1)), len(caller.ids(M365, jobState=2)))
    avepoint.patch_job(
        "m365", job_id, runs_for=(datetime.now(UTC) - start_of(avepoint)).total_seconds() + 0.2
    )
    caller.ids(M365, jobState=2)

    wait_until(lambda: len(caller.ids(M365, jobState=2)) == 1)
    assert [] == caller.ids(M365, jobState=1)


def start_of(avepoint: Simulator) -> datetime:
    """Return when the newest m365 job started."""
    text = avepoint.jobs("m365")[0]["started_at"]
    return datetime.fromisoformat(f"{text[:26]}+00:00")


def test_details_follow_the_clock(avepoint: Simulator, caller: Caller) -> None:
    """A job that has not started is not found; later its details tell its state."""
    job_id = avepoint.add_job("m365", starts_in=600)["job_id"]
    assert 404 == caller.get(f"{M365_LIST}/{job_id}").status_code
    avepoint.patch_job("m365", job_id, starts_in=0.1, runs_for=0)
    wait_until(lambda: caller.get(f"{M365_LIST}/{job_id}").status_code == 200)

    assert "Finished" == caller.get(f"{M365_LIST}/{job_id}").json()["data"]["state"]


def test_running_job_has_no_results_yet(avepoint: Simulator, caller: Caller) -> None:
    """Counts, size and duration come with the end."""
    avepoint.add_job(
        "dynamics365", runs_for=600, counts={"successful": 5}, record_counts={"successful": 9}, size_bytes=77
    )

    row = the_row(caller, D365)
    assert (0, 0, 0, 0) == tuple(
        row[key] for key in ("totalEntity", "totalRecord", "backupSize", "durationHours")
    )


FINISHES = {"null": None, "empty": "", "n/a": "N/A"}


def test_no_finish(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """How a row says that its job runs is undocumented, so each form can be had; 0 ticks are the year 1."""
    avepoint.add_job(any_wire.product, state="running")

    for form, shown in FINISHES.items():
        avepoint.set_quirks(any_wire.product, no_finish=form)
        assert (form, shown) == (form, the_row(caller, any_wire)[any_wire.finish])
    avepoint.set_quirks(any_wire.product, no_finish="year_1")
    found = the_row(caller, any_wire)[any_wire.finish]
    assert found == 0 or found.startswith("0001-01-01T00:00:00")
    avepoint.set_quirks(any_wire.product, no_finish="absent")
    assert any_wire.finish not in the_row(caller, any_wire)


def test_patch_ends_a_job_now(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """A running job that is made a success has finished, and its row says so at once."""
    job_id = avepoint.add_job(any_wire.product, state="running")["job_id"]
    assert any_wire.no_finish == the_row(caller, any_wire)[any_wire.finish]
    changed = avepoint.patch_job(any_wire.product, job_id, state="success", **counted(any_wire, successful=4))

    assert ("success", 4 if any_wire.has_counts else 0) == (changed["state"], changed["counts"]["total"])
    row = the_row(caller, any_wire)
    assert any_wire.states["success"] == row[any_wire.state]
    assert any_wire.no_finish != row[any_wire.finish]


def test_patch_reopens_a_job(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A job that is made to run again has no finish."""
    job_id = avepoint.add_job(wire.product, state="failed")["job_id"]
    avepoint.patch_job(wire.product, job_id, state="running")

    assert wire.no_finish == the_row(caller, wire)[wire.finish]


def test_patch_ends_a_living_job(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A hand is stronger than the clock."""
    job_id = avepoint.add_job(wire.product, runs_for=600)["job_id"]
    avepoint.patch_job(wire.product, job_id, state="failed")

    assert wire.states["failed"] == the_row(caller, wire)[wire.state]


def test_patch_keeps_a_job_alive(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A change of something else lets the clock run on."""
    job_id = avepoint.add_job(wire.product, runs_for=600, ends_as="failed")["job_id"]
    avepoint.patch_job(wire.product, job_id, **counted(wire, failed=2))
    assert wire.states["running"] == the_row(caller, wire)[wire.state]
    avepoint.patch_job(wire.product, job_id, runs_for=0)

    assert wire.states["failed"] == the_row(caller, wire)[wire.state]
    assert (2 if wire.has_counts else 0) == avepoint.jobs(wire.product)[0]["counts"]["total"]


def test_patch_gives_history_a_life(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A finished job can be sent through its life again."""
    job_id = avepoint.add_job(wire.product)["job_id"]
    avepoint.patch_job(wire.product, job_id, starts_in=600)

    assert "waiting" == avepoint.jobs(wire.product)[0]["state"]
    assert wire.lists_waiting == (the_row(caller, wire) is not None)


def test_patch_replaces_a_raw_state(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A state word takes a raw state's place, and the other way round."""
    job_id = avepoint.add_job(wire.product, raw_state="???")["job_id"]
    avepoint.patch_job(wire.product, job_id, state="success")
    assert wire.states["success"] == the_row(caller, wire)[wire.state]
    avepoint.patch_job(wire.product, job_id, raw_state=99)

    assert 99 == the_row(caller, wire)[wire.state]


def test_patch_moves_a_job_in_time(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A job with a new start stands where that start belongs."""
    for name, ago in (("old", 300), ("new", 100)):
        avepoint.add_job(wire.product, job_id=name, started_ago=ago)
    avepoint.patch_job(wire.product, "old", started_ago=10)

    assert ["old", "new"] == caller.ids(wire)


def test_row_can_be_bent(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Fields can be added, replaced and left out, and a duration of one's own stands as given."""
    own_duration = {"duration": "1.5"} if wire.has_duration else {}
    avepoint.add_job(
        wire.product, extra={wire.start: None, "surprise": [1]}, omit=[wire.row_id], **own_duration
    )
    row = the_row(caller, wire)

    assert (None, [1]) == (row[wire.start], row["surprise"])
    assert wire.row_id not in row
    assert wire.has_duration == ("1.5" in row.values())


def test_null_counts_are_sent_as_null(avepoint: Simulator, caller: Caller) -> None:
    """Counts can be missing as a whole, or one by one."""
    avepoint.add_job("m365", job_id="whole", counts=None)
    avepoint.add_job("m365", job_id="one", counts={"total": None, "failed": 1}, started_ago=1)
    avepoint.add_job("dynamics365", counts=None)

    one, whole = caller.page(M365)["data"]
    assert whole["backupDetails"] is None
    assert (None, 1) == (one["backupDetails"]["totalCount"], one["backupDetails"]["failedCount"])
    assert the_row(caller, D365)["totalEntity"] is None


def test_deleted_job_is_gone(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Retention deletes: the row leaves the list."""
    for name in ("kept", "deleted"):
        avepoint.add_job(wire.product, job_id=name)
    assert 2 == len(caller.ids(wire))
    avepoint.delete_job(wire.product, "deleted")

    assert ["kept"] == caller.ids(wire)
