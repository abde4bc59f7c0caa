"""Drills and protection audits of the ledger in the report: attention, summary, changes, CSV and page."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.avepoint import AvePointReportOperator
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import (
    DAY,
    HOUR,
    NOW,
    fill,
    job,
    nights,
    save_drill,
    save_intent,
    save_protection,
)
from tests.report.test_protection import finding

M365 = "contoso, Cloud Backup for Microsoft 365"
SITE = "https://contoso.sharepoint.com/sites/canary, Documents"

CELLS = ("figure", "service", "value", "unit", "result", "detail")


def read(ledger: Ledger, **period: Any) -> Report:
    return read_report(ledger, Period(**{"now": NOW, "days": 30} | period), None)


def tell(report: Report) -> list[tuple[bool, str]]:
    return [(each.is_urgent, each.text) for each in report.list_attention()]


def write(tmp_path: Path) -> tuple[dict[str, Any], str, list[dict[str, str]]]:
    """Return the key figures, the page and the lines of the CSV file."""
    page = tmp_path / "report.html"
    found = AvePointReportOperator(
        task_id="report", path=page, ledger_conn_id="ledger", now=NOW, days=30
    ).execute({})
    text = Path(found["csv_path"]).read_bytes().decode("utf-8-sig")
    return found, page.read_text(), list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_proven_restore_is_no_alarm(ledger: Ledger, tmp_path: Path) -> None:
    """Whenever it was; what was never drilled is a fact."""
    fill(
        ledger,
        "contoso",
        [
            job(night, product="m365", workload=name, organization_id=None, organization_name=None)
            for night in nights(20)
            for name in ("teams", "sharepoint_online", "exchange_online")
        ],
    )
    save_drill(ledger, 100 * DAY)

    found, page, lines = write(tmp_path)

    assert [] == found["attention"]
    assert "; restores are proven for 1 of 1 service, last on 2026-08-14 09:30 UTC. The" in found["summary"]
    assert "Protection audits: none recorded. Restores: proven for 1 of 1 service." in page
    assert "Never drilled, and nothing demands a drill: <bdi>contoso, teams</bdi>." in page
    assert [
        ("newest_proven_restore_age", "sharepoint_online", str(100 * 86400 - 3600), "s", "proven", ""),
        (
            "restore_drill",
            "sharepoint_online",
            "3",
            "files",
            "passed",
            f"{SITE}: Restore job 7 is passed.",
        ),
        ("never_drilled", "teams", "", "", "", ""),
    ] == [tuple(line[name] for name in CELLS) for line in lines if line["service"]]


def test_what_is_not_proven_needs_attention(ledger: Ledger) -> None:
    save_drill(ledger, 40 * DAY)
    save_drill(ledger, DAY, "uncertain", restored_files=None, job=None)
    save_drill(ledger, 3 * DAY, "check_failed", service="teams", owner="https://x.example/old")
    save_drill(ledger, 2 * DAY, service="teams")

    assert [
        (
            True,
            (
                f"{M365}, sharepoint_online: the restore drill of 2026-11-21 09:30 UTC on {SITE} did not "
                "pass (uncertain); the last proven restore is 40.0 days old: Restore job 7 is uncertain."
            ),
        ),
        (
            True,
            (
                f"{M365}, teams: the restore drill of 2026-11-19 09:30 UTC on https://x.example/old, "
                "Documents did not pass (check_failed); one on another target has passed since."
            ),
        ),
    ] == tell(read(ledger))


def test_drills_that_have_stopped(ledger: Ledger) -> None:
    for month in range(2, 6):
        save_drill(ledger, (month * 31 + 1) * DAY)

    assert [(False, f"{M365}, sharepoint_online: no drill since 2026-09-20 09:30 UTC.")] == tell(read(ledger))


def test_a_restore_that_nobody_judged(ledger: Ledger) -> None:
    """A worker was killed, and no later try came; one that was not sent, or is of today, is none of these."""
    task = {"dag_id": "drill", "task_id": "restore", "map_index": -1}
    for days, intent in enumerate(
        ({"phase": "refused"}, {}, {"phase": "started"}, {"intent": "[]"}), start=2
    ):
        save_intent(ledger, days * DAY, **intent)
    save_intent(ledger, HOUR)
    save_drill(ledger, 5 * DAY, task=task | {"run_id": f"{4 * DAY}", "try_number": 1})

    assert [
        (
            True,
            (
                f"contoso: the restore of drill.restore, {days * DAY} had begun on "
                f"{NOW - days * DAY:%Y-%m-%d %H:%M} UTC, and nobody has judged it."
            ),
        )
        for days in (3, 5)
    ] == tell(read(ledger))


def test_what_an_audit_found(ledger: Ledger, tmp_path: Path) -> None:
    """In the attention, in the key figures, on the page and in the CSV file."""
    save_protection(ledger, DAY, finding("not_scheduled", text="not_scheduled: =LINK(1) <b>"))

    found, page, lines = write(tmp_path)

    assert [
        f"{M365}, exchange_online: not_scheduled: =LINK(1) <b>.",
        f"{M365}, teams: not_drilled: no restore has ever been proven; a proof within 90 days is required.",
    ] == found["attention"]
    assert (True, 1, 2, [], 1, 0) == tuple(
        found[name]
        for name in (
            "needs_attention",
            "protection_audits",
            "protection_findings",
            "protection_not_read",
            "drilled_services",
            "restores_proven",
        )
    )
    assert (
        "0 of 1 protection audit found all in order; restores are proven for 0 of 1 service"
        in (found["summary"])
    )
    assert "not_scheduled: =LINK(1) &lt;b&gt;" in page
    assert [
        ("protection_audit", "", "", "", "read", ""),
        ("protection", "exchange_online", "1", "findings", "not_scheduled", "runs_per_day: 1"),
        (
            "protection_finding",
            "exchange_online",
            "",
            "",
            "not_scheduled",
            "not_scheduled: =LINK(1) <b>",
        ),
        ("protection", "teams", "1", "findings", "not_drilled", "drilled_within: P90D"),
        (
            "protection_finding",
            "teams",
            "",
            "",
            "not_drilled",
            "not_drilled: no restore has ever been proven; a proof within 90 days is required",
        ),
        ("newest_proven_restore_age", "teams", "", "s", "never proven", ""),
    ] == [tuple(line[name] for name in CELLS) for line in lines]


def test_an_audit_that_cannot_read_or_has_gone_silent(ledger: Ledger, tmp_path: Path) -> None:
    """What was found before stands; a tenant that cannot be read is named."""
    save_protection(ledger, 8 * DAY, finding("retention_short"))
    save_protection(ledger, DAY, error="The secret is refused.", required={})
    save_protection(ledger, 9 * DAY, tenant="old", required={})

    found, page, lines = write(tmp_path)

    assert ["contoso"] == found["protection_not_read"]
    assert [
        f"{M365}: the protection could not be audited on 2026-11-21 09:30 UTC: The secret is refused.",
        "old, Cloud Backup for Microsoft 365: the protection was last audited on 2026-11-13 09:30 UTC.",
        f"{M365}, exchange_online: retention_short: it is so.",
        f"{M365}, teams: not_drilled: no restore has ever been proven; a proof within 90 days is required.",
    ] == found["attention"]
    assert "could not be audited on 2026-11-21 09:30 UTC: <bdi>The secret is refused.</bdi>" in page
    assert {("contoso", "read"), ("contoso", "not_read"), ("old", "late")} == {
        (line["tenant"], line["result"]) for line in lines if line["figure"] == "protection_audit"
    }


def test_drills_are_judged_at_the_moment_of_the_report(ledger: Ledger) -> None:
    """A proof since the audit counts; one that has grown old since the audit does not.

    Of a demand that this release does not understand, what the audit found stands.
    """
    undrilled = finding("not_drilled", "teams")
    save_protection(ledger, 2 * DAY, undrilled)
    save_protection(ledger, 5 * DAY, tenant="aged")
    save_protection(ledger, DAY, undrilled, tenant="newer", required={"teams": {"drilled_within": "soon"}})
    save_drill(ledger, DAY, service="teams")
    save_drill(ledger, 92 * DAY, service="teams", tenant="aged")

    assert [
        (
            True,
            (
                "aged, Cloud Backup for Microsoft 365, teams: not_drilled: the last proven restore is 92.0 "
                "days old; a proof within 90 days is required."
            ),
        ),
        (True, "newer, Cloud Backup for Microsoft 365, teams: not_drilled: it is so."),
    ] == tell(read(ledger))


def test_audits_of_two_scripts_do_not_mix(ledger: Ledger) -> None:
    """Outside of a task, what is required tells them apart, or else a name does."""
    script: dict[str, Any] = {"dag_id": None}
    one, other = {"teams": {"runs_per_day": 1}}, {"exchange_online": {"runs_per_day": 1}}
    save_protection(ledger, 3 * DAY, finding("not_scheduled", "teams"), required=one, **script)
    save_protection(ledger, 2 * DAY, required=other, **script)
    assert [f"{M365}, teams: not_scheduled: it is so."] == [text for _, text in tell(read(ledger))]
    save_protection(ledger, DAY, required=one, **script)
    assert [] == tell(read(ledger))

    audit = ProtectionAudit(product="m365", audited_at=NOW - HOUR, required=one)
    found = replace(audit, findings=(finding("not_scheduled", "teams"),), required=one | other)
    ledger.save_protection_audit("contoso", found, {"task_id": "mine"})
    ledger.save_protection_audit("contoso", audit, {"task_id": "yours"})
    assert [f"{M365}, teams: not_scheduled: it is so."] == [text for _, text in tell(read(ledger))]


def test_each_kind_of_finding_is_named_first(ledger: Ledger) -> None:
    """However many there are of one kind."""
    many = [finding("coverage_low", "teams", organization_id=f"c{number:03}") for number in range(100)]
    save_protection(ledger, DAY, *many, finding("scan_failed"), required={"teams": {}})
    texts = [text for _, text in tell(read(ledger))]

    assert [
        f"{M365}, c000 / teams: coverage_low: it is so.",
        f"{M365}, exchange_online: scan_failed: it is so.",
        f"{M365}, c001 / teams: coverage_low: it is so.",
    ] == texts[:3]
    assert "95 more: coverage_low." == texts[-1]


def test_what_has_changed(ledger: Ledger) -> None:
    """The state of each service that an audit or a drill is about."""
    save_protection(ledger, 8 * DAY, finding("not_scheduled"))
    save_drill(ledger, 10 * DAY)
    before = read(ledger, now=NOW - 7 * DAY)
    ledger.save_report(None, before.period.now, before.summarize(), before.states)
    save_protection(ledger, DAY)
    save_drill(ledger, DAY, "failed")
    save_drill(ledger, DAY, service="teams")

    assert {
        f"{M365}, exchange_online, protection: not_scheduled → in order.",
        f"{M365}, teams, protection: not_drilled → in order.",
        f"{M365}, sharepoint_online, restore: proven → failed.",
        f"{M365}, teams, restore: never proven → proven.",
    } == set(read(ledger).list_changes())


def test_a_ledger_with_nothing_but_an_audit_is_not_empty(ledger: Ledger) -> None:
    save_protection(ledger, HOUR, required={"teams": {"runs_per_day": 1}})
    report = read(ledger)

    assert [] == tell(report)
    assert ("contoso",) == report.tenants
    assert "the ledger holds no backup; 1 of 1 protection audit found all in order." in report.summarize()
    assert report.say_all_clear().endswith("Protection audits: 1, nothing found. Restores: none recorded.")


def test_the_figures_are_documented(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, "contoso", [job(NOW - HOUR, product="m365", workload="onedrive")])
    save_protection(ledger, DAY, finding("not_scheduled"))
    save_drill(ledger, DAY)
    save_intent(ledger, 2 * DAY)
    document = (Path(__file__).parent.parent.parent / "docs" / "files.md").read_text()
    section = document.partition("### Protection")[2].partition("## Files of jobs")[0]
    _, _, lines = write(tmp_path)

    jobs = {"outcome", "expected", "newest_good_backup_age", "longest_gap"}
    assert {line["figure"] for line in lines} - jobs == set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
