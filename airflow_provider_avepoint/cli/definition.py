"""The arguments of ``airflow avepoint …``. It imports nothing of ours: Airflow loads it at every command.

Flags have the names and meanings of the arguments of the hook and of the policy.
"""

from __future__ import annotations

import argparse
from typing import Any

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

_PACKAGE = "airflow_provider_avepoint.cli"
_COMMANDS = f"{_PACKAGE}.commands"


def _count(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, more than 0 and at most 1")
    return share


def _arg(*flags: str, **described: Any) -> Arg:
    return Arg(flags, **described)  # type: ignore[no-untyped-call]  # Airflow's has no types


def _repeated(flag: str, text: str) -> Arg:
    return _arg(flag, help=f"{text}; may be repeated", action="append")


_PRODUCT = _arg("product", help="which product, such as dynamics365; a wrong name lists those there are")
_CONN_ID = _arg("--conn-id", help="the Airflow connection (default: avepoint_default)")
_OUTPUT = _arg(
    "-o",
    "--output",
    help="a table to read, or json for scripts (default: table)",
    choices=("table", "json"),
    default="table",
)
_LOCATION = _arg("--location", help="the Multi-Geo location (default: the connection's own, else all)")
_ORGANIZATION = _arg("--organization-id", help="the organisation, or the customer of elements")
_STARTED_AFTER = _arg(
    "--started-after", help="jobs that started then or later: ISO 8601, such as 2026-11-22T05:00:00Z"
)

_JOBS = ActionCommand(
    name="jobs",
    help="List jobs",
    description="List the jobs of a product, as the API lists them: newest first, as a rule.",
    func=lazy_load_command(f"{_COMMANDS}.jobs"),
    args=(
        _PRODUCT,
        _CONN_ID,
        _STARTED_AFTER,
        _arg("--started-before", help="jobs that started before then: ISO 8601"),
        _repeated("--job-type", "backup (the default), restore, … or all"),
        _repeated("--state", "waiting, running, success, partial, failed, skipped, stopped or unknown"),
        _repeated("--object-type", "the workload, such as exchange_online"),
        _ORGANIZATION,
        _LOCATION,
        _arg(
            "--limit",
            type=_count,
            help="show so many jobs and count the rest (default: 100 in a table, all as json)",
        ),
        _arg("--raw", action="store_true", help="with json: add each row as it was received"),
        _OUTPUT,
    ),
)

_CHECK = ActionCommand(
    name="check",
    help="Judge the backup now: exit status 0 if it is good, 1 if not, 2 if nobody can tell",
    description=(
        "Judge the backup now, as AvePointBackupCheckOperator does.\n"
        "Exit status: 0 the backup is good, 1 it is not, 2 nobody can tell."
    ),
    func=lazy_load_command(f"{_COMMANDS}.check"),
    args=(
        _PRODUCT,
        _CONN_ID,
        _arg(
            "--started-after",
            help="the backup must have started then or later: ISO 8601, such as 2026-11-22T05:00:00Z",
        ),
        _arg(
            "--max-age",
            help="… and no longer ago than this: 24h, 2d, 1h30m, P1D. One of the two is required",
        ),
        _repeated("--organization-ids", "an organisation that is expected"),
        _repeated("--object-types", "a workload that is expected, such as exchange_online"),
        _repeated("--locations", "a Multi-Geo location that is expected"),
        _arg(
            "--expect-seen-within",
            help="expect whatever had a job within this time before the window (default: 7d), or none",
        ),
        _arg(
            "--exclude",
            help="JSON: scopes shown, not judged: "
            '[{"organization_id" or "workload": …, "until": "2026-12-31", "reason": …}]',
        ),
        _repeated("--job-type", "a job type that counts as a backup (default: backup)"),
        _arg("--decide-by", help="newest, any or all: which backups of a scope must be good"),
        _arg("--accept-partial", action="store_true", default=None, help="finished with exceptions passes"),
        _arg("--max-failed", help="… passes up to so many failed objects"),
        _arg("--max-failed-ratio", help="… passes up to this share of failed objects, 0 to 1"),
        _arg(
            "--expect-scheduled",
            action="store_true",
            default=None,
            help="whatever is scheduled is expected (m365)",
        ),
        _arg("--max-unusual", help="the largest count of unusual activity that passes; 0 passes none"),
        _arg("--unusual-within", help="how far back unusual activity counts (default: 7d)"),
        _OUTPUT,
    ),
)

_LICENSE = ActionCommand(
    name="license",
    help="Compare what is used with what is bought: exit status 1 if it is too much, or nearly",
    description=(
        "Compare what is used with what is bought, as AvePointLicenseAuditOperator does.\n"
        "Exit status: 0 within the licence, 1 beyond it or near its limit, 2 nobody can tell."
    ),
    func=lazy_load_command(f"{_COMMANDS}.license_"),
    args=(
        _arg("product", nargs="?", default="m365", help="m365 (the default), m365_legacy or elements"),
        _CONN_ID,
        _arg(
            "--near-limit",
            type=_share,
            default=0.9,
            help="the share of seats or storage from which it is near the limit (default: 0.9)",
        ),
        _arg("--organization-id", help="the customer of elements (default: all)"),
        _LOCATION,
        _OUTPUT,
    ),
)

_SCHEDULE = ActionCommand(
    name="schedule",
    help="Show which services are backed up, how often a day, and when today",
    description=(
        "Show the backups of the current UTC day, by location and service: runs a day, starts that have\n"
        "passed, and starts to come. The vendor tells no other day. A service that is not listed is not\n"
        "scheduled.\n"
        "Exit status: 0 every location has a scheduled backup, 1 one has none, 2 nobody can tell."
    ),
    func=lazy_load_command(f"{_PACKAGE}.schedule.schedule"),
    args=(
        _arg("product", nargs="?", default="m365", help="m365 (the default) is the only one with a schedule"),
        _CONN_ID,
        _repeated("--location", "the Multi-Geo location (default: the connection's own, else central)"),
        _OUTPUT,
    ),
)

_PROTECTION = ActionCommand(
    name="protection",
    help="Show schedule, retention, unusual activity, coverage and licence; judge them by a file",
    description=(
        "Show what a product tells beside its jobs. With --required, judge the tenant by what it must have,\n"
        "as AvePointProtectionAuditOperator does.\n"
        "Exit status without --required: 0 all was read, 2 a part was not; nothing is judged.\n"
        "Exit status with --required: 0 all is there, 1 there is a finding, 2 nobody can tell."
    ),
    func=lazy_load_command(f"{_PACKAGE}.protection.protection"),
    args=(
        _arg("product", nargs="?", default="m365", help="m365 (the default), elements, salesforce, …"),
        _CONN_ID,
        _arg("--required", help="a YAML file: service → rule → value, and tenant → rule → value"),
        _ORGANIZATION,
        _LOCATION,
        _arg("--ledger-conn-id", help="the ledger's connection, where drilled_within is required"),
        _arg("--tenant", help="the tenant's name in the ledger (default: the connection's id)"),
        _OUTPUT,
    ),
)

_PROBE = ActionCommand(
    name="probe",
    help="Find out what the documents leave open, for an issue; prints no id, name or secret",
    description=(
        "Ask a real tenant what AvePoint's documents leave open, and print it as Markdown for an issue.\n"
        "Only reads, with at most 40 requests a product (tokens and retries apart). Prints no id, name,\n"
        "host, time of a job or secret; of what rows hold, only the states."
    ),
    func=lazy_load_command(f"{_COMMANDS}.probe"),
    args=(
        _arg("product", nargs="*", help="the products to probe (default: all)"),
        _CONN_ID,
        _arg(
            "--started-after",
            help="look at jobs that started then or later: ISO 8601 (default: 30 days ago)",
        ),
        _ORGANIZATION,
        _LOCATION,
        _arg(
            "-o",
            "--output",
            help="markdown to paste, or json (default: markdown)",
            choices=("markdown", "json"),
            default="markdown",
        ),
    ),
)


def get_avepoint_cli_commands() -> list[CLICommand]:
    """Return the commands for Airflow's parser, which asks for them since Airflow 3.2."""
    return [
        GroupCommand(
            name="avepoint",
            help="Look at AvePoint backups",
            description="Look at AvePoint backups through an Airflow connection. Nothing is changed.",
            subcommands=(_JOBS, _CHECK, _LICENSE, _SCHEDULE, _PROTECTION, _PROBE),
        )
    ]
