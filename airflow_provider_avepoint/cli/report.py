"""A probe's findings as Markdown to paste, or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from airflow import __version__ as airflow_version

from airflow_provider_avepoint import __version__
from airflow_provider_avepoint.cli.portrait import Finding, Portrait
from airflow_provider_avepoint.cli.terminal import print_json

#: Marks what a product's file has differently.
MARK = "≠"


def print_report(portraits: Sequence[Portrait], output: str) -> None:
    """Print what was found."""
    if output == "json":
        print_json(
            {
                "provider": __version__,
                "airflow": airflow_version,
                "products": [portrait.as_dict() for portrait in portraits],
            }
        )
    else:
        print(write_report(portraits))  # noqa: T201  # this is what it is for


def write_report(portraits: Sequence[Portrait]) -> str:
    """Write what was found as Markdown."""
    introduction = (
        f"airflow-provider-avepoint {__version__}, Airflow {airflow_version}. {MARK} marks what the "
        "provider's product file has differently. No id, name, host, time of a job or secret is in here; of "
        "what rows hold, only the states."
    )
    return "\n\n".join(("# What AvePoint's API shows", introduction, *map(_write_portrait, portraits)))


def _write_portrait(portrait: Portrait) -> str:
    title = f"## {portrait.product.name}"
    if not portrait.is_readable:
        return f"{title}\n\n{portrait.problem.capitalize()}."
    lines = [
        f"{portrait.jobs:,} jobs seen, {portrait.requests} requests.",
        "",
        "|   | about | seen | product file |",
        "|---|---|---|---|",
        *map(_write_finding, portrait.findings),
    ]
    return "\n".join([title, "", *lines])


def _write_finding(finding: Finding) -> str:
    mark = MARK if finding.differs else " "
    cells = (mark, finding.about, finding.seen, finding.ours)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
