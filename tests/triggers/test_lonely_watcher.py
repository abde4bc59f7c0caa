"""A watcher as Airflow 3.0 to 3.2 run it: by itself, with nothing that keeps its state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.triggers.avepoint import AvePointBackupEventTrigger
from tests.versions import needs_airflow

PATH = "/dynamicsbackup/jobs"


@needs_airflow("3.0", "asset watchers")
async def test_what_ends_while_it_runs_is_announced(
    simulator: Simulator, connect: Callable[..., str]
) -> None:
    connect()
    for job_id, state in (("ENDED", "success"), ("ENDS", "running"), ("RUNS", "running")):
        simulator.add_job("dynamics365", job_id=job_id, started_ago=600, state=state)
    events = AvePointBackupEventTrigger(asset="backups", product="dynamics365", poll_interval=0.05).run()
    announced = asyncio.ensure_future(anext(events))

    async with asyncio.timeout(300):
        while len(simulator.requests(PATH)) < 2:  # noqa: ASYNC110  # the simulator has threads of its own
            await asyncio.sleep(0.01)
        simulator.patch_job("dynamics365", "ENDS", state="success")
        event = await announced
    await events.aclose()

    assert ("ENDS", True) == (event.payload["job_id"], event.payload["passed"])
