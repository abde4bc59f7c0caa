"""Print a probe's findings, as Markdown to paste or as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from airflow import __version__ as airflow_version

from airflow_provider_avepoint import __version__
from airflow_provider_avepoint.cli.probe_findings import Finding, ProbeFindings
from airflow_provider_avepoint.cli.terminal import print_json

#: Marks a finding that differs from the product file.
MARK = "≠"


def print_report(findings: Sequence[ProbeFindings], output: str) -> None:
    """Print the findings.

    :param findings: the findings of each product.
    :param output: ``json``; any other value prints Markdown.
    """
    if output == "json":
        print_json(
            {
                "provider": __version__,
                "airflow": airflow_version,
                "products": [findings.as_dict() for findings in findings],
            }
        )
    else:
        print(write_report(findings))  # noqa: T201  # printing is the purpose


def write_report(findings: Sequence[ProbeFindings]) -> str:
    """Return the findings as Markdown.

    :param findings: the findings of each product.
    """
    introduction = (
        f"airflow-provider-avepoint {__version__}, Airflow {airflow_version}. {MARK} marks what the "
        "provider's product file has differently. No id, name, host, time of a job or secret is in here; of "
        "what rows hold, only the states and the names of fields."
    )
    return "\n\n".join(("# What AvePoint's API shows", introduction, *map(_write_product, findings)))


def _write_product(findings: ProbeFindings) -> str:
    title = f"## {findings.product.name}"
    problem = "" if findings.is_readable else f"{findings.problem.capitalize()}."
    if not findings.findings:
        return f"{title}\n\n{problem}"
    lines = [
        problem or f"{findings.jobs:,} jobs seen, {findings.requests} requests.",
        "",
        "|   | about | seen | product file |",
        "|---|---|---|---|",
        *map(_write_finding, findings.findings),
    ]
    return "\n".join([title, "", *lines])


def _write_finding(finding: Finding) -> str:
    mark = MARK if finding.differs else " "
    cells = (mark, finding.about, finding.seen, finding.ours)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
