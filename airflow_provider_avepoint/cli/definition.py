"""The arguments of ``airflow avepoint …``. It imports nothing of ours: Airflow loads it at every command.

Flags have the names and meanings of the arguments of the hook and of the policy. A flag that may be repeated
has the name of one value.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

_PACKAGE = "airflow_provider_avepoint.cli"
_COMMANDS = f"{_PACKAGE}.commands"
# A terminal narrower than this shows the help of a flag below the flag.
_ROOM_FOR_TWO_COLUMNS = 60


class _HelpFormatter(argparse.HelpFormatter):
    """Breaks lines between words at any width; Airflow's formatter leaves that to the terminal."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **options)
        if self._width < _ROOM_FOR_TWO_COLUMNS:
            self._max_help_position = 6

    def _format_usage(self, *args: Any) -> str:
        usage = super()._format_usage(*args).strip()
        return f"{self._fill_text(usage, self._width, '')}\n\n"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # A description has a line for each exit status.
        return "\n".join(
            super(_HelpFormatter, self)._fill_text(line, width, indent) for line in text.split("\n")
        )


class _Groups:
    """The groups of a command's arguments in its help, in this order.

    :param by_title: the arguments of each group.
    """

    def __init__(self, by_title: Mapping[str, Sequence[Arg]]) -> None:
        self._titles = tuple(by_title)
        positional = (arg for args in by_title.values() for arg in args if not arg.flags[0].startswith("-"))
        # The flags stand below, one by one: in a narrow terminal their list would be wider than a line.
        self._usage = " ".join(("%(prog)s", "[options]", *map(_write_positional, positional)))
        self._by_parser: WeakKeyDictionary[argparse.ArgumentParser, dict[str, Any]] = WeakKeyDictionary()

    def find(self, parser: argparse.ArgumentParser, title: str) -> Any:
        """Return the group of *parser* with a title; the first call adds all groups."""
        if parser not in self._by_parser:
            parser.formatter_class = _HelpFormatter
            parser.usage = self._usage
            self._by_parser[parser] = {each: parser.add_argument_group(each) for each in self._titles}
        return self._by_parser[parser][title]


class _GroupedArg(Arg):
    """An argument that the help shows in a group.

    :param arg: the argument.
    :param title: the title of the group.
    :param groups: the groups of the command.
    """

    def __init__(self, arg: Arg, title: str, groups: _Groups) -> None:
        self.flags, self.kwargs = arg.flags, arg.kwargs
        self._title = title
        self._groups = groups

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add this argument to its group of *parser*."""
        self._groups.find(parser, self._title).add_argument(*self.flags, **self.kwargs)


def _write_positional(arg: Arg) -> str:
    name: str = arg.flags[0]
    return {"?": f"[{name}]", "*": f"[{name} ...]"}.get(arg.kwargs.get("nargs", ""), name)


def _group(**args_by_title: Sequence[Arg]) -> list[Arg]:
    """Return the arguments of a command in groups; titles are written with ``_`` for a space."""
    by_title = {name.replace("_", " "): args for name, args in args_by_title.items()}
    groups = _Groups(by_title)
    return [_GroupedArg(arg, title, groups) for title, args in by_title.items() for arg in args]


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


def _repeated(flag: str, text: str, metavar: str, **described: Any) -> Arg:
    help_text = f"{text} The flag may be repeated."
    return _arg(flag, help=help_text, action="append", metavar=metavar, **described)


def _listed(flag: str, text: str, metavar: str) -> tuple[Arg, Arg]:
    """Return the flag for a list of the policy, and the flag's old spelling, which the help does not show."""
    old = f"{flag}s"
    dest = old.lstrip("-").replace("-", "_")
    return (
        _repeated(flag, text, metavar, dest=dest),
        _arg(old, help=argparse.SUPPRESS, action="append", dest=dest),
    )


_TIME = "a time in ISO 8601, such as 2026-11-22T05:00:00Z"
_SPAN = "such as 24h, 2d, 1h30m or P1D"
_PRODUCT = _arg("product", help="The product, such as dynamics365. A wrong name lists the known products.")
_CONN_ID = _arg("--conn-id", metavar="ID", help="The Airflow connection. The default is avepoint_default.")
_OUTPUT = _arg(
    "-o",
    "--output",
    metavar="FORMAT",
    help="Print a table to read (table, the default), or JSON for scripts (json).",
    choices=("table", "json"),
    default="table",
)
_LOCATION = _arg(
    "--location",
    metavar="NAME",
    help="The Multi-Geo location. The default is the location of the connection, else all locations.",
)
_ORGANIZATION = _arg(
    "--organization-id",
    metavar="ID",
    help="Only this organisation. For elements: the customer.",
)

_JOBS = ActionCommand(
    name="jobs",
    help="List jobs",
    description="List the jobs of a product. The order is the order of the API: as a rule, newest first.",
    func=lazy_load_command(f"{_COMMANDS}.jobs"),
    args=_group(
        Which_jobs=(
            _PRODUCT,
            _arg(
                "--started-after",
                metavar="TIME",
                help=f"Only jobs that started at this time or later: {_TIME}.",
            ),
            _arg(
                "--started-before", metavar="TIME", help="Only jobs that started before this time (ISO 8601)."
            ),
            _repeated(
                "--job-type",
                "Only jobs of this type: backup (the default), restore and others, or all.",
                "WORD",
            ),
            _repeated(
                "--state",
                "Only jobs in this state: waiting, running, success, partial, failed, skipped, stopped or "
                "unknown.",
                "WORD",
            ),
            _repeated("--object-type", "Only jobs of this workload, such as exchange_online.", "WORD"),
            _ORGANIZATION,
            _LOCATION,
        ),
        Connection=(_CONN_ID,),
        Output=(
            _arg(
                "--limit",
                type=_count,
                metavar="NUMBER",
                help="Show this number of jobs, and count the others. The default is 100 in a table, and all "
                "jobs as JSON.",
            ),
            _arg("--raw", action="store_true", help="With JSON: add each row as it was received."),
            _OUTPUT,
        ),
    ),
)

_CHECK = ActionCommand(
    name="check",
    help="Judge the backup now: exit status 0 if it is good, 1 if not, 2 if nobody can tell",
    description=(
        "Judge the backup now, as AvePointBackupCheckOperator does.\n"
        "One of --started-after and --max-age is required; with both, both hold.\n"
        "Exit status: 0 the backup is good, 1 it is not, 2 nobody can tell."
    ),
    func=lazy_load_command(f"{_COMMANDS}.check"),
    args=_group(
        Which_backup=(
            _PRODUCT,
            _arg(
                "--started-after",
                metavar="TIME",
                help=f"The backup must have started at this time or later: {_TIME}.",
            ),
            _arg(
                "--max-age",
                metavar="SPAN",
                help=f"The backup must have started no longer ago than this, {_SPAN}.",
            ),
            *_listed("--organization-id", "This organisation is expected.", "ID"),
            *_listed("--object-type", "This workload is expected, such as exchange_online.", "WORD"),
            *_listed("--location", "This Multi-Geo location is expected.", "NAME"),
            _arg(
                "--expect-seen-within",
                metavar="SPAN",
                help="Expect each scope that had a job within this time before the window. The default is "
                "7d, and none switches this off.",
            ),
            _arg(
                "--expect-scheduled",
                action="store_true",
                default=None,
                help="Expect each service that is scheduled (m365).",
            ),
            _arg(
                "--exclude",
                metavar="JSON",
                help="Show these scopes, and do not judge them: "
                '[{"organization_id" or "workload": "…", "until": "2026-12-31", "reason": "…"}].',
            ),
            _repeated("--job-type", "This job type counts as a backup. The default is backup.", "WORD"),
        ),
        How_good=(
            _arg(
                "--decide-by",
                metavar="RULE",
                help="Which backups of a scope must be good: newest, any or all.",
            ),
            _arg(
                "--accept-partial",
                action="store_true",
                default=None,
                help="A backup that finished with exceptions passes.",
            ),
            _arg(
                "--max-failed",
                metavar="NUMBER",
                help="A backup that finished with exceptions passes up to this number of failed objects.",
            ),
            _arg(
                "--max-failed-ratio",
                metavar="SHARE",
                help="A backup that finished with exceptions passes up to this share of failed objects, 0 to "
                "1.",
            ),
            _arg(
                "--max-unusual",
                metavar="NUMBER",
                help="The largest count of unusual activity that passes. With 0, none passes.",
            ),
            _arg(
                "--unusual-within",
                metavar="SPAN",
                help="Unusual activity counts as far back as this. The default is 7d.",
            ),
        ),
        Connection=(_CONN_ID,),
        Output=(_OUTPUT,),
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
    args=_group(
        Which_licence=(
            _arg(
                "product",
                nargs="?",
                default="m365",
                help="The product: m365 (the default), m365_legacy or elements.",
            ),
            _arg(
                "--organization-id",
                metavar="ID",
                help="The customer of elements. The default is all customers.",
            ),
            _LOCATION,
        ),
        How_good=(
            _arg(
                "--near-limit",
                type=_share,
                default=0.9,
                metavar="SHARE",
                help="The share of seats or storage from which the licence is near its limit. The default is "
                "0.9.",
            ),
        ),
        Connection=(_CONN_ID,),
        Output=(_OUTPUT,),
    ),
)

_SCHEDULE = ActionCommand(
    name="schedule",
    help="Show which services are backed up, how often a day, and when today",
    description=(
        "Show the backups of the current UTC day, by location and service: runs a day, starts that have "
        "passed, and starts to come. The vendor tells no other day. A service that is not listed is not "
        "scheduled.\n"
        "Exit status: 0 every location has a scheduled backup, 1 one has none, 2 nobody can tell."
    ),
    func=lazy_load_command(f"{_PACKAGE}.schedule.schedule"),
    args=_group(
        Which_schedule=(
            _arg(
                "product",
                nargs="?",
                default="m365",
                help="The product. m365 (the default) is the only product with a schedule.",
            ),
            _repeated(
                "--location",
                "The Multi-Geo location. The default is the location of the connection, else central.",
                "NAME",
            ),
        ),
        Connection=(_CONN_ID,),
        Output=(_OUTPUT,),
    ),
)

_PROTECTION = ActionCommand(
    name="protection",
    help="Show schedule, retention, unusual activity, coverage and licence; judge them by a file",
    description=(
        "Show what a product tells beside its jobs. With --required, judge the tenant by what it must have, "
        "as AvePointProtectionAuditOperator does.\n"
        "Exit status without --required: 0 all was read, 2 a part was not; nothing is judged.\n"
        "Exit status with --required: 0 all is there, 1 there is a finding, 2 nobody can tell."
    ),
    func=lazy_load_command(f"{_PACKAGE}.protection.protection"),
    args=_group(
        Which_tenant=(
            _arg(
                "product",
                nargs="?",
                default="m365",
                help="The product: m365 (the default), elements, salesforce and others.",
            ),
            _ORGANIZATION,
            _LOCATION,
        ),
        How_good=(
            _arg(
                "--required",
                metavar="FILE",
                help="A YAML file of what the tenant must have: service → rule → value, and tenant → rule → "
                "value.",
            ),
            _arg(
                "--ledger-conn-id",
                metavar="ID",
                help="The connection of the ledger. The rule drilled_within needs the ledger.",
            ),
            _arg(
                "--tenant",
                metavar="NAME",
                help="The name of the tenant in the ledger. The default is the connection's id.",
            ),
        ),
        Connection=(_CONN_ID,),
        Output=(_OUTPUT,),
    ),
)

_PROBE = ActionCommand(
    name="probe",
    help="Find out what the documents leave open, for an issue; prints no id, name or secret",
    description=(
        "Ask a real tenant what AvePoint's documents leave open, and print it as Markdown for an issue. The "
        "command only reads, with at most 40 requests a product (tokens and retries apart). It prints no id, "
        "name, host, time of a job or secret; of what rows hold, only the states."
    ),
    func=lazy_load_command(f"{_COMMANDS}.probe"),
    args=_group(
        What_to_probe=(
            _arg("product", nargs="*", help="The products. The default is all products."),
            _arg(
                "--started-after",
                metavar="TIME",
                help="Look at jobs that started at this time or later (ISO 8601). The default is 30 days "
                "ago.",
            ),
            _ORGANIZATION,
            _LOCATION,
        ),
        Connection=(_CONN_ID,),
        Output=(
            _arg(
                "-o",
                "--output",
                metavar="FORMAT",
                help="Print Markdown to paste (markdown, the default), or JSON (json).",
                choices=("markdown", "json"),
                default="markdown",
            ),
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
