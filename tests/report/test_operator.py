"""The operator: both files or neither, and the key figures."""

from __future__ import annotations

import csv
import gc
import io
import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from pyarrow import csv as arrow_csv

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.core.model import Counts
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.core.verdict import RULES_VERSION
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.avepoint import AvePointReportOperator
from airflow_provider_avepoint.report.table import COLUMNS
from tests.operators.stores import Copying, Uploading, attach_store, disk_full
from tests.report.histories import DAY, HOUR, NOW, consumption, fill, fill_hostile, fill_ordinary, job, nights


def report(path: object, **arguments: Any) -> dict[str, Any]:
    named = {"task_id": "report", "ledger_conn_id": "ledger", "now": NOW, "days": 7} | arguments
    return AvePointReportOperator(path=path, **named).execute({})


def read_csv(path: object) -> list[dict[str, str]]:
    text = Path(str(path)).read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def attach(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that makes a store known to Airflow, for this test."""
    return partial(attach_store, monkeypatch)


def test_key_figures(ledger: Ledger, tmp_path: Path) -> None:
    """What a notification needs, ready for JSON."""
    starts = [night for index, night in enumerate(nights(7)) if index != 3]
    jobs = [job(night, workload="ops") for night in starts]
    jobs.append(job(starts[-1] + HOUR, "failed", workload="ops"))
    fill(ledger, "us", jobs)
    ledger.save_licenses("us", [consumption(11, 10)], NOW)

    found = report(tmp_path / "new" / "report.html")

    assert json.loads(json.dumps(found)) == {
        "path": str(tmp_path / "new" / "report.html"),
        "csv_path": str(tmp_path / "new" / "report.csv"),
        "generated_at": "2026-11-22T09:30:00+00:00",
        "days": 7,
        "timezone": "UTC",
        "summary": (
            "From 2026-11-16 to 2026-11-22 (UTC), 5 of 7 days on which a backup ran or was due ended with a "
            "good backup (71 %), counted over 1 scope; 0 of 1 are good now; 0 of 0 verdicts passed. The "
            "ledger was loaded until 2026-11-22 09:30 UTC; the rules of judgement have version "
            f"{RULES_VERSION}."
        ),
        "tenants": ["us"],
        "scopes": 1,
        "scopes_not_good": 1,
        "scopes_never_good": 0,
        "days_by_outcome": {
            "good": 5,
            "partial": 0,
            "failed": 1,
            "missed": 1,
            "running": 0,
            "skipped": 0,
            "unknown": 0,
            "excluded": 0,
            "not loaded": 0,
        },
        "oldest_newest_good_seconds": 8.5 * 3600,
        "longest_gap_seconds": 48 * 3600,
        "failure_kinds": 1,
        "verdicts": 0,
        "verdicts_not_passed": 0,
        "gates_shut": 0,
        "licenses": 1,
        "licenses_needing_attention": 1,
        "licenses_not_read": [],
        "protection_audits": 0,
        "protection_findings": 0,
        "protection_not_read": [],
        "drilled_services": 0,
        "restores_proven": 0,
        "needs_attention": True,
        "attention_count": 2,
        "attention": [
            "us, Cloud Backup for Dynamics 365, Contoso / ops: failed; the newest good backup is 8.5 h old.",
            "us, Cloud Backup for Microsoft 365: over_assigned: 11 seats assigned, 10 purchased.",
        ],
        "previous_report_at": None,
        "changes_count": 0,
        "changes": [],
    }


def test_what_has_changed_since_the_last_report(ledger: Ledger, tmp_path: Path) -> None:
    """Each report is kept: the next one on the same tenants compares itself with it."""
    week = nights(7, until=NOW - 7 * DAY)
    fill(ledger, "us", [job(night, workload=name) for night in week for name in ("sales", "ops")])
    fill(ledger, "us", [job(NOW - 186 * DAY, workload="going")])
    page = tmp_path / "report.html"
    first = report(page, now=NOW - 7 * DAY, days=14)
    assert "knows no earlier report" in page.read_text()

    fill(ledger, "us", [job(night, workload="sales") for night in nights(7)])
    fill(ledger, "us", [job(night, "failed", workload="ops") for night in nights(7)])
    fill(ledger, "us", [job(NOW - HOUR, workload="new")])
    ledger.save_licenses("us", [consumption(11, 10)], NOW)
    second = report(page, timezone="Europe/London")
    report(tmp_path / "other.html", tenants=["us"], now=NOW + HOUR)
    third = report(page, now=NOW + HOUR)

    product = "us, Cloud Backup for Dynamics 365, Contoso"
    assert (first["changes"], second["previous_report_at"]) == ([], "2026-11-15T09:30:00+00:00")
    assert second["changes"] == [
        f"{product} / ops: good → failed.",
        f"{product} / new: new, good.",
        "us, Cloud Backup for Microsoft 365, licence: new, over_assigned.",
        "us, dynamics365, contoso / going: no longer reported; was missed.",
    ]
    assert (third["previous_report_at"], third["changes_count"]) == (NOW.isoformat(), 0)
    assert "Nothing, since the report of 2026-11-22 09:30 UTC." in page.read_text()


def test_a_retry_keeps_one_report(ledger: Ledger, tmp_path: Path) -> None:
    """The same moment again compares with the report before it."""
    for _ in range(2):
        assert report(tmp_path / "report.html")["previous_report_at"] is None


def test_an_empty_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """Nothing recorded is said, and is not taken for nothing wrong."""
    found = report(tmp_path / "report.html")

    said = ["The ledger holds no backup, no licence reading and no verdict of these tenants."]
    assert (0, said, True) == (found["scopes"], found["attention"], found["needs_attention"])
    assert said[0] in (tmp_path / "report.html").read_text()
    assert read_csv(found["csv_path"]) == []


def test_the_same_figures_as_csv(ledger: Ledger, tmp_path: Path) -> None:
    """A line a figure, with its unit."""
    fill(
        ledger, "contoso", [job(nights(2)[0]), job(nights(1)[0], "failed", counts=Counts(total=4, failed=4))]
    )
    ledger.save_licenses("contoso", [consumption(11, 10, protected=2.5)], NOW)

    lines = read_csv(report(tmp_path / "report.html")["csv_path"])

    assert [
        (
            line["figure"],
            line["organization"],
            line["workload"],
            line["at"],
            line["value"],
            line["unit"],
            line["result"],
            line["detail"],
        )
        for line in lines
    ] == [
        ("outcome", "Contoso", "dynamics_sales", "2026-11-21T00:00:00+00:00", "1", "backups", "good", ""),
        ("outcome", "Contoso", "dynamics_sales", "2026-11-22T00:00:00+00:00", "1", "backups", "failed", ""),
        ("expected", "Contoso", "dynamics_sales", "", "", "", "every day", ""),
        (
            "newest_good_backup_age",
            "Contoso",
            "dynamics_sales",
            "2026-11-21T01:00:00+00:00",
            "117000",
            "s",
            "",
            "",
        ),
        (
            "longest_gap",
            "Contoso",
            "dynamics_sales",
            "2026-11-21T01:00:00+00:00",
            "117000",
            "s",
            "",
            "until 2026-11-22T09:30:00+00:00",
        ),
        ("seats_used", "", "", "2026-11-22T09:30:00+00:00", "11", "seats", "", ""),
        ("seats_bought", "", "", "2026-11-22T09:30:00+00:00", "10", "seats", "", ""),
        ("storage_used", "", "", "2026-11-22T09:30:00+00:00", "2560", "MB", "", ""),
        ("storage_bought", "", "", "2026-11-22T09:30:00+00:00", "1024000", "MB", "", ""),
        (
            "license_finding",
            "",
            "",
            "2026-11-22T09:30:00+00:00",
            "",
            "",
            "over_assigned",
            "over_assigned: 11 seats assigned, 10 purchased",
        ),
        ("failures", "Contoso", "dynamics_sales", "2026-11-22T01:00:00+00:00", "4", "objects", "", ""),
        (
            "backups_with_failures",
            "Contoso",
            "dynamics_sales",
            "2026-11-22T01:00:00+00:00",
            "1",
            "backups",
            "",
            "",
        ),
    ]
    assert [line["day"] for line in lines] == [line["at"][:10] for line in lines]
    assert {(line["tenant"], line["product"]) for line in lines} == {
        ("contoso", "dynamics365"),
        ("contoso", "m365"),
    }


def test_csv_holds_the_forecast_and_every_verdict(ledger: Ledger, tmp_path: Path) -> None:
    fill_ordinary(ledger)
    lines = read_csv(report(tmp_path / "report.html", days=60)["csv_path"])
    figures = {line["figure"]: line for line in lines if line["product"] == "m365"}

    assert {"seats_forecast", "seats_forecast_low", "seats_forecast_high"} <= set(figures)
    assert figures["seats_limit_reached_expected"]["at"].startswith("2026-11-29")
    assert [line["result"] for line in lines if line["figure"] == "verdict"] == [
        "failed",
        "partial",
        "passed",
        "passed",
        "passed",
        "partial",
        "passed",
        "passed",
    ]


def test_no_cell_is_a_formula_or_breaks_its_line(ledger: Ledger, tmp_path: Path) -> None:
    """What a spreadsheet would run begins with an apostrophe; no text is longer than a cell may be."""
    fill_hostile(ledger)
    path = report(tmp_path / "report.html")["csv_path"]
    cells = [cell for line in read_csv(path) for cell in line.values()]

    assert "'=1+1" in cells
    assert not [cell for cell in cells if re.match(r"[=+@\t\r-]", cell) and not re.fullmatch(r"-?\d+", cell)]
    assert max(map(len, cells)) <= 1001
    assert all(cell.isprintable() for cell in cells)


# What begins a formula, in all its widths and heights, or looks like it.
SIGNS = (
    *"=+-@",
    *map(chr, range(0xFE62, 0xFE64)),  # small
    *("\ufe66", "\ufe6b", "\uff0b", "\uff0d", "\uff1d", "\uff20"),  # and full-width
    *("\u207a", "\u207b", "\u207c", "\u208a", "\u208b", "\u208c"),  # raised and lowered
    *("\u2212", "\u2010", "\u2013", "\u2014", "\ufe58"),  # the minus of typography, and dashes
)
BEFORE = ("", "\t", "\r\n", " \u3000", "\u200b\ufeff", "\u200c\u200d", "\ufe0f", '"')
FORMULAS = (*(f"{sign}1" for sign in SIGNS), *(f"{before}=1" for before in BEFORE))
TEXTS = (
    "München; Köln",
    "株式会社",
    'a "quoted", name',
    "a=1 - 2",
    "می\u200cرود",
    "👨\u200d👩\u200d👧",
    "'=1",
    "'",
    "#1",
    "1/2",
)


def test_formulas_and_texts(ledger: Ledger, tmp_path: Path) -> None:
    """A formula gets an apostrophe, also after a semicolon, where a German spreadsheet begins a cell."""
    expected = {name: name for name in TEXTS}
    expected |= {name: f"'{one_line(name)}" for name in FORMULAS}
    expected |= {f"Ltd;{name}": f"Ltd;'{one_line(f'|{name}')[1:]}" for name in FORMULAS}
    for number, name in enumerate(expected):
        fill(ledger, "contoso", [job(NOW - HOUR, organization_id=str(number), organization_name=name)])

    path = Path(report(tmp_path / "report.html")["csv_path"])

    found = {line["organization_id"]: line["organization"] for line in read_csv(path)}
    assert found == {str(number): text for number, text in enumerate(expected.values())}
    assert '"München; Köln"' in path.read_text("utf-8-sig")


def test_every_column_has_one_type(ledger: Ledger, tmp_path: Path) -> None:
    """Excel needs the byte order mark; a German spreadsheet takes a decimal point for a separator."""
    fill_ordinary(ledger)
    fill_hostile(ledger)
    odd = NOW.replace(microsecond=250_000) - HOUR
    fill(ledger, "contoso", [job(odd, "failed", organization_name="2026")])

    path = report(tmp_path / "report.html")["csv_path"]

    assert Path(path).read_bytes().startswith(b"\xef\xbb\xbffigure,tenant,")
    lines = read_csv(path)
    assert {tuple(line) for line in lines} == {COLUMNS}
    moments, days, values = ({line[name] for line in lines} - {""} for name in ("at", "day", "value"))
    assert not [each for each in moments if not re.fullmatch(r"[\d-]{10}T[\d:]{8}\+00:00", each)]
    assert not [each for each in days if not re.fullmatch(r"\d{4}-\d\d-\d\d", each)]
    assert not [each for each in values if not re.fullmatch(r"-?\d+", each)]
    types = arrow_csv.read_csv(path).schema
    assert (pa.types.is_timestamp(types.field("at").type), types.field("day").type) == (True, pa.date32())
    assert types.field("value").type == pa.int64()
    texts = set(COLUMNS) - {"at", "day", "value", "content"}  # there is no audit log here
    assert {types.field(name).type for name in texts} == {pa.string()}


def test_the_columns_are_documented() -> None:
    document = (Path(__file__).parent.parent.parent / "docs" / "files.md").read_text()
    cells = re.findall(r"^\| (`.*?) \|", document.partition("### Protection")[0], re.MULTILINE)

    assert tuple(re.findall(r"`(\w+)`", " ".join(cells))) == COLUMNS


def test_csv_tells_what_was_not_read_and_what_is_left_out(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.report.evidence._MOST_FAILURES", 1)
    fill(ledger, "contoso", [job(night, "failed", organization_id=str(night)) for night in nights(3)])
    fill(ledger, "old", [job(NOW - 300 * DAY)])
    refused = Audit(product="m365", audited_at=NOW, location="EUR", error="The secret is refused.")
    ledger.save_audit("bad", refused)

    lines = read_csv(report(tmp_path / "report.html")["csv_path"])

    (audit,) = (line for line in lines if line["figure"] == "license_audit")
    assert ("bad", "m365", "EUR", "", "not_read", "The secret is refused.") == tuple(
        audit[name] for name in ("tenant", "product", "location", "value", "result", "detail")
    )
    failures = [
        (line["figure"], line["value"], line["unit"]) for line in lines if "failures" in line["figure"]
    ]
    assert failures == [
        ("failures", "", "failures"),  # the vendor counts nothing: that is no 0
        ("backups_with_failures", "1", "backups"),
        ("failures_left_out", "2", "failures"),
    ]


@pytest.mark.parametrize("kind", [Copying, Uploading])
def test_any_store(ledger: Ledger, attach: Callable[..., Any], kind: Any) -> None:
    """The CSV file goes through the same connection as the page."""
    fill(ledger, "contoso", [job(NOW - HOUR)])
    store = attach(kind())

    found = report(store.url("report.html"))

    assert store.names() == ["report.csv", "report.html"]
    assert (found["path"], found["csv_path"]) == tuple(
        str(ObjectStoragePath(store.url(name))) for name in ("report.html", "report.csv")
    )
    assert store.read("report.html").startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("kind", [Copying, Uploading])
def test_a_full_disk_leaves_what_was_there(ledger: Ledger, attach: Callable[..., Any], kind: Any) -> None:
    fill(ledger, "contoso", [job(NOW - HOUR)])
    store = attach(kind())
    for name in ("report.html", "report.csv"):
        store.write(name, b"before")
    store.fails["write"] = disk_full()

    with pytest.raises(OSError, match="No space left"):
        report(store.url("report.html"))

    gc.collect()
    assert {name: store.read(name) for name in store.names()} == {
        "report.html": b"before",
        "report.csv": b"before",
    }


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"days": 0}, "days: 0 is not a whole number from 1 to 366"),
    ({"days": 367}, "days: 367 is not"),
    ({"days": "a week"}, "days: 'a week' is not"),
    ({"now": "2026-11-22T09:30:00"}, "now: .* has no time zone"),
    ({"tenants": []}, "tenants is an empty list"),
    ({"tenants": "[1.5]"}, "tenants: 1.5 is not a text"),
    ({"path": "/tmp/report.csv"}, "is where the CSV file goes"),
    ({"path": 5}, "path: 5 is not the URL of a file"),
    ({"ledger_conn_id": "nobody"}, "ledger_conn_id: there is no connection 'nobody'"),
]


def test_arguments_that_cannot_be_used(ledger: Ledger, tmp_path: Path) -> None:
    """They fail the task for good, and nothing is written."""
    for arguments, message in UNUSABLE:
        with pytest.raises(AvePointConfigError, match=message) as caught:
            report(**{"path": tmp_path / "report.html"} | arguments)
        assert isinstance(caught.value, AirflowFailException)

    assert not (tmp_path / "report.html").exists()


def test_a_directory_in_the_place_of_the_csv_file(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "report.csv").mkdir()

    with pytest.raises(AvePointConfigError, match=r"report\.csv is a directory"):
        report(tmp_path / "report.html")

    assert not (tmp_path / "report.html").exists()


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is read: the ledger's connection is not even looked for."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(AvePointConfigError, match=r"pip install 'airflow-provider-avepoint\[report\]'"):
        report(tmp_path / "report.html", ledger_conn_id="nobody")


def test_every_argument_is_a_template(ledger: Ledger, tmp_path: Path) -> None:
    """Rendered, all of them are texts."""
    fill(ledger, "contoso", [job(night) for night in nights(3)])
    fill(ledger, "fabrikam", [job(night) for night in nights(3)])

    found = report(str(tmp_path / "report.html"), now=NOW.isoformat(), days="2", tenants='["contoso"]')

    assert (
        "path",
        "ledger_conn_id",
        "days",
        "timezone",
        "tenants",
        "now",
        "title",
        "company",
        "author",
    ) == AvePointReportOperator.template_fields
    assert (2, ["contoso"], 2) == (found["days"], found["tenants"], found["days_by_outcome"]["good"])


@pytest.mark.parametrize("timezone", ["Europe/Londinium", "", "+25:00", ["UTC"]])
def test_a_time_zone_that_is_none(ledger: Ledger, tmp_path: Path, timezone: Any) -> None:
    with pytest.raises(AvePointConfigError, match="timezone: "):
        report(tmp_path / "report.html", timezone=timezone)


@pytest.mark.parametrize("now", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:00Z"])
def test_a_moment_at_the_end_of_the_calendar(ledger: Ledger, tmp_path: Path, now: str) -> None:
    with pytest.raises(AvePointConfigError, match="now: "):
        report(tmp_path / "report.html", now=now)


def test_times_on_the_page_are_in_its_time_zone(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, "us", [job(NOW - HOUR)])
    report(tmp_path / "report.html", timezone="Asia/Tokyo")
    page = (tmp_path / "report.html").read_text()

    assert "All times and days are in Asia/Tokyo." in page
    assert "2026-11-22 17:30" in page
    assert "as the ledger stood on 2026-11-22 18:30 JST" in page


def test_now_is_the_current_time(ledger: Ledger, tmp_path: Path) -> None:
    """Unless it is given, the report is of the days up to today."""
    before = datetime.now(UTC)

    generated = datetime.fromisoformat(report(tmp_path / "report.html", now=None)["generated_at"])

    assert before <= generated <= datetime.now(UTC)
