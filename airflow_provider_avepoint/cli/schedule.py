"""``airflow avepoint schedule``: which services are backed up, how often a day, and when today."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from airflow_provider_avepoint.cli.command import BAD, GOOD, UNKNOWN, as_command, get_conn_id
from airflow_provider_avepoint.cli.terminal import print_json, print_line, print_table, say
from airflow_provider_avepoint.core.arguments import parse_list
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.fields import to_iso
from airflow_provider_avepoint.core.schedule import BackupSchedule, ServiceSchedule
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.hooks.avepoint import AvePointHook

_CENTRAL = "central"


@as_command
def schedule(args: Namespace) -> int:
    """Print the backups of the current UTC day, by location and service.

    :param args: the parsed arguments of ``airflow avepoint schedule``.
    :returns: the exit status, with which the process ends.
    """
    locations = list(dict.fromkeys(parse_list("location", args.location) or (None,)))
    schedules: list[BackupSchedule] = []
    problems: list[dict[str, Any]] = []
    with AvePointHook(get_conn_id(args)) as hook:
        for location in locations:
            try:
                schedules.append(hook.get_backup_schedule(location, product=args.product))
            except AvePointConfigError:  # the same for every location
                raise
            except AvePointError as e:
                if len(locations) == 1:
                    raise
                problems.append({"location": location, "error": one_line(e, 1000)})
    empty = [each for each in schedules if all(each.is_of_another_day(name) for name in each.scheduled)]
    if args.output == "json":
        print_json({"schedules": [_write(each) for each in schedules], "problems": problems})
    else:
        _print(args.product, schedules, empty)
    for problem in problems:
        say(f"{problem['location']}: {problem['error']}")
    if problems:
        return UNKNOWN
    return BAD if empty else GOOD


def _print(product: str, schedules: list[BackupSchedule], empty: list[BackupSchedule]) -> None:
    print_table([_row(each, service) for each in schedules for service in each.services])
    for each in schedules:
        place = f"{product}, {each.location or _CENTRAL} location"
        count = len(each.scheduled)
        sentence = (
            f"no backup is scheduled on {each.read_at:%Y-%m-%d} (UTC)"
            if each in empty
            else f"{count} service{'' if count == 1 else 's'} scheduled, read at {to_iso(each.read_at)}"
        )
        print_line(f"{place}: {sentence}.")


def _row(schedule: BackupSchedule, service: ServiceSchedule) -> dict[str, object]:
    past, to_come = _split(schedule, service)
    return {
        "location": schedule.location or _CENTRAL,
        "service": service.service,
        "runs a day": f"{service.runs_a_day:,}",
        "past": _write_times(schedule, past),
        "to come": _write_times(schedule, to_come),
        "note": _describe(schedule, service),
    }


def _describe(schedule: BackupSchedule, service: ServiceSchedule) -> str:
    if not service.is_scheduled:
        return "not scheduled"
    if schedule.is_of_another_day(service.service):
        return "of another day"
    listed = len(service.starts)  # the documents do not promise a start for each run
    return "" if listed == service.runs_a_day else f"{listed:,} start{'' if listed == 1 else 's'} listed"


def _split(schedule: BackupSchedule, service: ServiceSchedule) -> tuple[list[datetime], list[datetime]]:
    """Return the starts that have passed, by the API's clock, and those to come."""
    past = [start for start in service.starts if start <= schedule.read_at]
    return past, [start for start in service.starts if start > schedule.read_at]


def _write_times(schedule: BackupSchedule, starts: Iterable[datetime]) -> str:
    """Write starts as times of the day; one of another day, which is not documented, with its day."""
    today = schedule.read_at.date()
    return " ".join(f"{each:%H:%M:%S}" if each.date() == today else to_iso(each) for each in starts)


def _write(schedule: BackupSchedule) -> dict[str, Any]:
    written = schedule.as_dict()
    for service, shown in zip(schedule.services, written["services"], strict=True):
        past, to_come = _split(schedule, service)
        shown["past"] = [to_iso(each) for each in past]
        shown["to_come"] = [to_iso(each) for each in to_come]
        shown["is_scheduled"] = service.is_scheduled
    return written
