"""Rows as they should not be: what a job, or every row of a product, is made to show."""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import Simulator

from .caller import D365, ELEMENTS, M365, Caller, Wire


def test_one_id_comes_twice(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A second job whose row shows the first one's id: good once, then failed."""
    for job_id, state, age in (("J", "success", 60), ("again", "failed", 30)):
        avepoint.add_job(wire.product, job_id=job_id, started_ago=age, state=state, extra={wire.row_id: "J"})

    seen = [(row[wire.row_id], row[wire.state]) for row in wire.rows_of(caller.page(wire))]
    assert [("J", wire.states["failed"]), ("J", wire.states["success"])] == seen


def test_one_id_in_two_modules(avepoint: Simulator, caller: Caller) -> None:
    """Two jobs of one id, told apart by their module or their type, need no disguise."""
    for fields in ({}, {"workload": "unified_operations"}, {"job_type": "audit_backup"}):
        avepoint.add_job("dynamics365", job_id="J", **fields)

    assert ["J"] * 3 == caller.ids(D365)


ODD_ROWS: dict[str, tuple[Wire, dict[str, Any], dict[str, Any]]] = {
    "null": (D365, {"extra": {"type": None, "startTime": None}}, {"type": None, "startTime": None}),
    "naive time": (
        D365,
        {"extra": {"startTime": "2024-01-01T00:00:00"}},
        {"startTime": "2024-01-01T00:00:00"},
    ),
    "float": (D365, {"raw_state": 3.0}, {"status": 3.0}),
    "two spellings": (D365, {"state": "success", "extra": {"state": 4}}, {"status": 3, "state": 4}),
    "text for an object": (M365, {"extra": {"backupDetails": "{}"}}, {"backupDetails": "{}"}),
    "label": (
        M365,
        {"state": "partial", "extra": {"state": "Finished With Exceptions"}},
        {"state": "Finished With Exceptions"},
    ),
    "no job": (ELEMENTS, {"raw_state": 11, "extra": {"jobId": "N/A"}}, {"status": 11, "jobId": "N/A"}),
}


def test_job_shows_what_it_is_told_to(avepoint: Simulator, caller: Caller) -> None:
    """A job's raw state and extra fields are sent as given, and to whom asks for what the job is."""
    for name, (wire, job, expected) in ODD_ROWS.items():
        added = avepoint.add_job(wire.product, **job)

        (row,) = wire.rows_of(caller.page(wire))
        assert (name, expected) == (name, {key: row[key] for key in expected})
        avepoint.delete_job(wire.product, added["job_id"])


def test_state_filter_knows_the_job_s_own_state(avepoint: Simulator, caller: Caller) -> None:
    """An extra field changes what a row shows, not what the server knows; a number is one in any form."""
    avepoint.add_job("m365", job_id="label", state="partial", extra={"state": "Finished With Exceptions"})
    for raw_state in (3.5, 3.0, " 3 "):
        avepoint.add_job("dynamics365", job_id=str(raw_state), raw_state=raw_state)

    assert ["label"] == caller.ids(M365, jobState=4)
    assert {"3.0", " 3 "} == set(caller.ids(D365, status=3))


def test_every_row_is_changed(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Fields are merged into each row of a product or left out, of jobs that were generated as of others."""
    avepoint.set_quirks(
        wire.product, row_extra={wire.start: None, "size": "1.2 GB"}, row_omit=[wire.finish, wire.state]
    )
    avepoint.generate(wire.product, 1)
    avepoint.add_job(wire.product, started_ago=7200)
    avepoint.add_job(wire.product, started_ago=10_800, extra={"size": -1, wire.state: 9})
    rows = wire.rows_of(caller.page(wire))

    assert [None] * 3 == [row[wire.start] for row in rows]
    assert ["1.2 GB", "1.2 GB", -1] == [row["size"] for row in rows]
    assert [False, False, True] == [wire.state in row for row in rows]
    assert not any(wire.finish in row for row in rows)


def test_page_s_rows_are_changed(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """A fault changes the rows of one page."""
    avepoint.add_job(wire.product)
    avepoint.add_fault("quirks", path=wire.path, quirks={"row_omit": [wire.row_id]})

    assert [False, True] == [wire.row_id in wire.rows_of(caller.page(wire))[0] for _ in range(2)]
