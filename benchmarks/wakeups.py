"""From a job's end in the simulator to the start of the task behind the wait, in a real Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.readings import BenchmarkError
from benchmarks.report import Figure, Table
from benchmarks.server import Server, serve
from demo.stack import AirflowStack

DAGS = Path(__file__).with_name("dags")
DAG_ID = "benchmark_wakeups"

#: The DAG's sensors by their task ids, and the product whose job each waits for.
SENSORS = {
    "job": ("AvePointJobSensor", "dynamics365"),
    "verdict": ("AvePointBackupSensor", "m365"),
    "http": ("HttpSensor(deferrable=True)", "m365"),
}
_HTTP = "http"
_OURS = tuple(name for name in SENSORS if name != _HTTP)
# Beyond HttpSensor's time: an interval, and so many seconds.
_SECONDS_AT_MOST = 2
# Airflow 3.3.2 can fail a task whose trigger fires within seconds of the deferral.
_AFTER_DEFERRAL = 8.0
# So far apart that no task starts while another does.
_APART = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    :param interval: seconds between two looks of each sensor.
    :param rounds: runs of the DAG; in each, the jobs end at another moment of the interval.
    """

    interval: float = 5
    rounds: int = 3


PLAN = Plan()


def measure(say: Callable[[str], None], plan: Plan = PLAN) -> dict[str, Any]:
    """Run the DAG over and over, and have the three jobs end one after the other, in turns."""
    say("starting Airflow")
    with (
        serve() as server,
        AirflowStack(
            dags=DAGS,
            connections={"avepoint_bench": server.connection(), "http_bench": server.http_connection()},
            retry_delay=1,
            environment={"BENCHMARK_POKE_INTERVAL": str(plan.interval)},
        ) as stack,
    ):
        stack.unpause(DAG_ID)
        seconds: dict[str, list[float]] = {name: [] for name, _ in SENSORS.values()}
        for number in range(plan.rounds):
            say(f"round {number + 1} of {plan.rounds}")
            for task_id, taken in _run(stack, server, plan, number).items():
                seconds[SENSORS[task_id][0]].append(round(taken, 2))
    if not all(seconds.values()):
        raise BenchmarkError("A sensor had to be tried again in every round.")
    return {"interval": plan.interval, "seconds": seconds}


def _run(stack: AirflowStack, server: Server, plan: Plan, number: int) -> dict[str, float]:
    """Return the seconds that each took; one that Airflow had to try again is left out."""
    jobs = {task_id: f"BENCH{task_id}{number:04}" for task_id in SENSORS}
    begun_at = datetime.now(UTC).replace(microsecond=0)
    for task_id in _OURS:
        server.add_jobs(
            [
                {
                    "product": SENSORS[task_id][1],
                    "job_id": jobs[task_id],
                    "workload": {"verdict": "exchange_online"}.get(task_id),
                    "started_at": begun_at.isoformat(),
                    "runs_for": 3600,
                }
            ]
        )
    run_id = stack.api.trigger(
        DAG_ID, {"job": jobs["job"], "http_job": jobs[_HTTP], "started_after": begun_at.isoformat()}
    )
    for task_id in SENSORS:
        stack.wait_for_task(DAG_ID, run_id, task_id, "deferred")
    names = list(SENSORS)
    shift = number % len(names)
    phase = plan.interval * number / plan.rounds
    for turn, task_id in enumerate(names[shift:] + names[:shift]):
        _end_in(server, task_id, jobs[task_id], begun_at, _AFTER_DEFERRAL + _APART * turn + phase)
    if stack.wait_for_run(DAG_ID, run_id) != "success":
        raise BenchmarkError(f"Run {run_id} failed.\n{stack.tails()}")
    instances = stack.api.task_instances(DAG_ID, run_id)
    return {
        task_id: time_wakeup(server.jobs(SENSORS[task_id][1])[jobs[task_id]], instances[f"after_{task_id}"])
        for task_id in SENSORS
        if instances[task_id]["try_number"] == 1
    }


def _end_in(server: Server, task_id: str, job_id: str, begun_at: datetime, seconds: float) -> None:
    """Let the job end in so many seconds; HttpSensor's is not there until then."""
    if task_id == _HTTP:
        server.add_jobs(
            [
                {
                    "product": SENSORS[task_id][1],
                    "job_id": job_id,
                    "job_type": "restore",  # no backup, which a verdict would be about
                    "starts_in": seconds,
                    "runs_for": 0,
                }
            ]
        )
    else:
        age = (datetime.now(UTC) - begun_at) / timedelta(seconds=1)
        server.patch_job(SENSORS[task_id][1], job_id, runs_for=age + seconds)


def time_wakeup(job: Mapping[str, Any], behind: Mapping[str, Any]) -> float:
    """Return the seconds from the job's end to the start of the task *behind* its wait."""
    ended, started = (datetime.fromisoformat(each) for each in (job["finished_at"], behind["start_date"]))
    return (started - ended).total_seconds()


def judge(result: Mapping[str, Any]) -> list[Figure]:
    """Return the figures to reach, for both of our sensors."""
    seconds = result["seconds"]
    theirs = median(seconds[SENSORS[_HTTP][0]])
    return [
        Figure(
            what=f"{name}: seconds from job end to the next task, beyond HttpSensor's",
            value=median(seconds[name]) - theirs,
            bound=result["interval"] + _SECONDS_AT_MOST,
        )
        for name in (SENSORS[task_id][0] for task_id in _OURS)
    ]


def tabulate(result: Mapping[str, Any]) -> Table:
    """Return the median and the longest of each."""
    rows = [
        (name, f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
        for name, seconds in result["seconds"].items()
    ]
    return Table(("from a job's end to the next task's start", "median", "longest"), rows)


def footnote(result: Mapping[str, Any]) -> str:
    """Return the sentences that make the table honest."""
    runs = max(map(len, result["seconds"].values()))
    return (
        f"A real Airflow on SQLite, each sensor looking every {result['interval']:g} s, {runs} runs; the end "
        "falls on another moment of the interval each time. HttpSensor's job is not there before its end."
    )
