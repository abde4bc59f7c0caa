"""``jobs``, ``check`` and ``license``: what they print, and the status they leave with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.cli import cli_parser

from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.operators.avepoint import AvePointLicenseAuditOperator
from airflow_provider_avepoint.simulator import Simulator
from tests.cli.conftest import Done, run_command

Run = Callable[..., Done]


@pytest.fixture
def three_jobs(simulator: Simulator) -> list[dict]:
    """Return a good, a bad and a running job of three organisations, newest last."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        simulator.add_job(
            "dynamics365",
            organization_id=name,
            organization_name=name.title(),
            state=state,
            started_at=now - timedelta(seconds=ago),
            counts=counts,
        )
        for name, state, ago, counts in (
            ("alpha", "success", 7200, {"successful": 1500}),
            ("bravo", "failed", 5400, {"successful": 97, "failed": 3}),
            ("charlie", "running", 3600, None),
        )
    ]


def test_jobs_prints_a_table(avepoint: Run, three_jobs: list[dict]) -> None:
    done = avepoint("jobs", "dynamics365")

    assert (done.status, done.err) == (0, "")
    header, _, *rows = [line.split(" | ") for line in done.out.splitlines() if " | " in line or "+" in line]
    assert [name.strip() for name in header] == [
        "started", "took", "state", "type", "workload", "organization", "failed", "job",
    ]  # fmt: skip
    assert [(row[2].strip(), row[5].strip(), row[6].strip()) for row in rows] == [
        ("running", "Charlie", ""),
        ("failed", "Bravo", "3 of 100"),
        ("success", "Alpha", "0 of 1,500"),
    ]
    assert done.out.endswith("3 jobs.\n")


def test_jobs_table_counts_what_it_does_not_show(avepoint: Run, simulator: Simulator) -> None:
    """A hundred rows unless told otherwise, and the rest is said, not dropped."""
    simulator.generate("dynamics365", 1234)

    default, few = avepoint("jobs", "dynamics365"), avepoint("jobs", "dynamics365", "--limit", "3")

    assert default.out.count("DCIB") == 100
    assert "1,234 jobs, 1,134 of them not shown: see --limit." in default.out
    assert few.out.count("DCIB") == 3
    assert "1,234 jobs, 1,231 of them not shown" in few.out


def test_jobs_as_json_has_them_all(avepoint: Run, simulator: Simulator) -> None:
    """A script gets every job, one a line, without the rows as received."""
    simulator.generate("dynamics365", 1234)

    done = avepoint("jobs", "dynamics365", "--output", "json")

    assert len(done.json) == 1234
    assert {"job_id", "state", "started_at", "counts"} < set(done.json[0])
    assert "raw" not in done.json[0]
    assert len(done.out.splitlines()) == 1234 + 2
    assert done.err == ""


def test_jobs_as_json_says_what_a_limit_leaves_out(avepoint: Run, simulator: Simulator) -> None:
    simulator.generate("dynamics365", 7)

    done = avepoint("jobs", "dynamics365", "--output", "json", "--limit", "2")

    assert len(done.json) == 2
    assert done.err == "7 jobs, 5 of them not shown: see --limit.\n"


def test_jobs_as_json_of_none_is_an_empty_list(avepoint: Run) -> None:
    assert avepoint("jobs", "dynamics365", "--output", "json").json == []


def test_jobs_raw_adds_the_rows(avepoint: Run, three_jobs: list[dict]) -> None:
    done = avepoint("jobs", "dynamics365", "--output", "json", "--raw")

    assert [job["raw"]["status"] for job in done.json] == [2, 4, 3]


def test_raw_rows_fit_no_table(avepoint: Run) -> None:
    done = avepoint("jobs", "dynamics365", "--raw")

    assert done.status == 2
    assert done.err == "raw: a table has no place for the rows as received; add --output json.\n"


def test_an_empty_table_asks_what_may_be_wrong(avepoint: Run) -> None:
    done = avepoint("jobs", "dynamics365")

    assert done == (0, "0 jobs. Is the window, the job type or the state too narrow?\n", "")


def test_jobs_takes_the_hooks_arguments(avepoint: Run, simulator: Simulator, three_jobs: list[dict]) -> None:
    simulator.add_job(
        "dynamics365",
        organization_id="delta",
        job_type="restore",
        workload="unified_operations",
        started_ago=9000,
    )
    bravo = three_jobs[1]["started_at"]
    both = ["--job-type", "restore", "--job-type", "backup"]
    asked: list[tuple[list[str], list[str]]] = [
        (["--state", "failed"], ["bravo"]),
        (["--state", "failed", "--state", "running"], ["charlie", "bravo"]),
        (["--organization-id", "alpha"], ["alpha"]),
        (["--started-after", bravo], ["charlie", "bravo"]),
        (["--started-before", bravo], ["alpha"]),
        (["--job-type", "restore"], ["delta"]),
        ([*both, "--state", "success"], ["delta", "alpha"]),
        (["--job-type", "all"], ["charlie", "bravo", "alpha", "delta"]),
        (["--job-type", "all", "--object-type", "unified_operations"], ["delta"]),
    ]

    for flags, expected in asked:
        done = avepoint("jobs", "dynamics365", "-o", "json", *flags)
        assert [job["organization_id"] for job in done.json] == expected, flags


def test_jobs_takes_a_location(avepoint: Run, simulator: Simulator) -> None:
    for location in ("NAM", "EUR"):
        simulator.add_job("m365", workload="teams", location=location)

    done = avepoint("jobs", "m365", "--object-type", "teams", "--location", "EUR", "--output", "json")

    assert [job["location"] for job in done.json] == ["EUR"]


def test_another_connection_can_be_named(
    avepoint: Run, connect: Callable[..., str], simulator: Simulator
) -> None:
    simulator.set_client("other", secret="other-secret")
    connect("avepoint_other", login="other", password="other-secret")
    simulator.add_job("dynamics365")

    assert avepoint("jobs", "dynamics365", "--conn-id", "avepoint_other").status == 0
    assert {each["client_id"] for each in simulator.requests("/dynamicsbackup")} == {"other"}


def test_a_state_that_nobody_documents_is_shown_as_it_came(avepoint: Run, simulator: Simulator) -> None:
    simulator.add_job("dynamics365", raw_state=5)

    assert "unknown (5)" in avepoint("jobs", "dynamics365").out
    checked = avepoint("check", "dynamics365", "--max-age", "24h")
    assert "unknown_state" in checked.out
    assert "unknown (5)" in checked.out


def test_the_vendors_words_cannot_format_the_table(avepoint: Run, simulator: Simulator) -> None:
    """Brackets stay brackets, and what a terminal would obey is taken out."""
    simulator.add_job("dynamics365", organization_id="a", organization_name="[red]Ltd[/] \x1b[2J\nB")

    done = avepoint("jobs", "dynamics365")

    assert "[red]Ltd[/] [2J B" in done.out
    assert "\x1b" not in done.out


# check


def test_check_prints_each_scope_worst_first(avepoint: Run, three_jobs: list[dict]) -> None:
    done = avepoint("check", "dynamics365", "--max-age", "24h")

    assert (done.status, done.err) == (1, "")
    rows = [[cell.strip() for cell in line.split(" | ")] for line in done.out.splitlines() if " | " in line]
    assert rows[0] == [
        "organization", "workload", "reason", "started", "age", "state", "failed", "open", "job",
    ]  # fmt: skip
    assert [(row[0], row[2], row[4], row[6], row[7], row[8]) for row in rows[1:]] == [
        ("Bravo", "failed", "1h 30m", "3 of 100", "", three_jobs[1]["job_id"]),
        ("Charlie", "running", "1h", "", "1", three_jobs[2]["job_id"]),
        ("Alpha", "passed", "2h", "0 of 1,500", "", three_jobs[0]["job_id"]),
    ]
    assert done.out.endswith("dynamics365: failed: 1 of 3 scopes good.\n")


def test_check_shows_the_names_of_organisations(avepoint: Run, simulator: Simulator) -> None:
    """Where two share a name, their ids tell them apart; where nobody knows a name, the id stands."""
    for key, name in (("a", "Contoso"), ("b", "Contoso"), ("c", "Fabrikam"), ("d", None), ("e", "d")):
        simulator.add_job("dynamics365", organization_id=key, organization_name=name, state="success")

    done = avepoint(
        "check",
        "dynamics365",
        "--max-age",
        "24h",
        "--organization-id",
        "zz",
        *["--organization-ids", "a"],
        *["--organization-id", "b", "--organization-id", "c", "--organization-id", "d"],
        *["--organization-id", "e"],
    )

    rows = [line.split(" | ")[0].strip() for line in done.out.splitlines() if " | " in line]
    assert sorted(rows[1:]) == ["Contoso (a)", "Contoso (b)", "Fabrikam", "d", "d (e)", "zz"]


def test_check_passes_with_status_0(avepoint: Run, simulator: Simulator) -> None:
    simulator.add_job("dynamics365", state="success")

    done = avepoint("check", "dynamics365", "--max-age", "2d")

    assert done.status == 0
    assert done.out.endswith("dynamics365: backup verified in 1 of 1 scopes.\n")


def test_check_without_any_backup_does_not_pass(avepoint: Run) -> None:
    done = avepoint("check", "dynamics365", "--max-age", "24h")

    assert done.status == 1
    assert done.out.startswith("dynamics365: missed: no backup of any scope since ")


def test_check_as_json_is_the_evidence(avepoint: Run, three_jobs: list[dict]) -> None:
    """The same document that the operator returns."""
    done = avepoint("check", "dynamics365", "--max-age", "P1D", "--output", "json")

    assert (done.status, done.err) == (1, "")
    assert (done.json["passed"], done.json["reason"]) == (False, "failed")
    assert [scope["reason"] for scope in done.json["scopes"]] == ["passed", "failed", "running"]
    assert done.json["policy"]["max_age"] == 86400


EXCLUDED = {"organization_id": "a", "until": "2099-01-01", "reason": "moved"}
POLICIES: list[tuple[list[str], dict[str, Any]]] = [
    (["--max-age", "24h"], {"max_age": 86400.0}),
    (["--max-age", "2d"], {"max_age": 172800.0}),
    (["--max-age", "1h30m"], {"max_age": 5400.0}),
    (["--max-age", "PT90S"], {"max_age": 90.0}),
    (
        ["--started-after", "2026-11-22T05:00:00Z"],
        {"max_age": None, "started_after": "2026-11-22T05:00:00+00:00"},
    ),
    (["--expect-seen-within", "3d"], {"expect_seen_within": 259200.0}),
    (["--expect-seen-within", "none"], {"expect_seen_within": None}),
    (["--organization-ids", "a", "--organization-ids", "b"], {"organization_ids": ["a", "b"]}),
    (["--organization-id", "a"], {"organization_ids": ["a"]}),
    (["--organization-id", "a", "--organization-ids", "b"], {"organization_ids": ["a", "b"]}),
    (["--object-types", "unified_operations"], {"object_types": ["unified_operations"]}),
    (["--object-type", "unified_operations"], {"object_types": ["unified_operations"]}),
    (["--job-type", "backup", "--job-type", "audit_backup"], {"job_type": ["backup", "audit_backup"]}),
    (["--decide-by", "any"], {"decide_by": "any"}),
    (["--accept-partial"], {"accept_partial": True}),
    (["--max-failed", "3"], {"max_failed": 3}),
    (["--max-failed-ratio", "0.1"], {"max_failed_ratio": 0.1}),
    (["--exclude", json.dumps([EXCLUDED])], {"exclude": [EXCLUDED | {"workload": None}]}),
]


def test_check_takes_the_policys_arguments(avepoint: Run, simulator: Simulator) -> None:
    for organization in ("a", "b"):  # no warning of unknown ones: a test's log is on standard output
        for job_type in ("backup", "audit_backup"):
            simulator.add_job("dynamics365", organization_id=organization, job_type=job_type)
    default = Policy(product="dynamics365", max_age=86400).as_dict()

    for flags, expected in POLICIES:
        window = [] if "--max-age" in flags or "--started-after" in flags else ["--max-age", "24h"]
        policy = avepoint("check", "dynamics365", "-o", "json", *window, *flags).json["policy"]
        assert policy == default | expected, flags


def test_what_a_job_holds_and_what_is_forgotten_is_shown(avepoint: Run, simulator: Simulator) -> None:
    simulator.add_job("dynamics365", organization_id="a", job_type="audit_backup", state="success")
    simulator.add_job("dynamics365", organization_id="a", state="success")
    simulator.add_job("dynamics365", organization_id="gone", state="success", started_ago=10 * 86400)

    done = avepoint(
        *("check", "dynamics365", "--max-age", "24h"),
        *("--job-type", "backup", "--job-type", "audit_backup"),
    )

    rows = [[cell.strip() for cell in line.split(" | ")] for line in done.out.splitlines() if " | " in line]
    named = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert [(row["organization"], row["content"], row["reason"]) for row in named] == [
        ("a", "", "passed"),
        ("a", "audit_log", "passed"),
        ("gone", "", "forgotten"),
    ]
    assert "backup verified in 2 of 2 scopes" in done.out


def test_what_is_forgotten_is_not_counted(avepoint: Run, simulator: Simulator) -> None:
    simulator.add_job("dynamics365", organization_id="a", state="failed")
    simulator.add_job("dynamics365", organization_id="gone", started_ago=10 * 86400)

    done = avepoint("check", "dynamics365", "--max-age", "24h")

    assert done.out.endswith("dynamics365: failed: 0 of 1 scopes good.\n")


def test_what_cannot_be_read_is_said_in_words(avepoint: Run, simulator: Simulator) -> None:
    """By both commands, as a table and as JSON."""
    simulator.add_job("dynamics365", organization_id="a", state="success", extra={"failedEntity": "many"})

    listed, checked = avepoint("jobs", "dynamics365"), avepoint("check", "dynamics365", "--max-age", "24h")
    (job,) = avepoint("jobs", "dynamics365", "--output", "json").json

    assert (listed.status, checked.status) == (0, 1)
    assert "unreadable" in checked.out
    for shown in (listed.out, checked.out, str(job["problems"])):
        assert "failedEntity: " in shown
        assert "many" in shown


def test_check_takes_locations(avepoint: Run, simulator: Simulator) -> None:
    flags = ["--object-types", "teams", "--locations", "EUR", "--locations", "NAM"]
    for location in ("EUR", "NAM"):
        simulator.add_job("m365", workload="teams", location=location)

    done = avepoint("check", "m365", "--max-age", "24h", *flags)

    assert done.status == 0
    assert "backup verified in 2 of 2 scopes" in done.out


def test_check_has_a_flag_for_every_argument_of_the_policy() -> None:
    """But for the two that say what a task does with the verdict."""
    args = cli_parser.get_parser().parse_args(["avepoint", "check", "m365"])

    assert {each.name for each in fields(Policy)} - set(vars(args)) == {"on_failed", "fail_fast"}


def test_help_tells_the_defaults_that_hold(capsys: pytest.CaptureFixture[str]) -> None:
    import inspect

    for command in ("jobs", "check", "license", "schedule", "protection", "probe"):
        with pytest.raises(SystemExit):
            cli_parser.get_parser().parse_args(["avepoint", command, "--help"])
        assert DEFAULT_CONN_ID in capsys.readouterr().out
    args = cli_parser.get_parser().parse_args(["avepoint", "license"])
    parameters = inspect.signature(AvePointLicenseAuditOperator).parameters
    assert (args.product, args.near_limit) == (
        parameters["product"].default,
        parameters["near_limit"].default,
    )


# license


def test_license_prints_the_figures(avepoint: Run, simulator: Simulator) -> None:
    simulator.set_license("m365", purchased_user_seats=200, assigned_user_seats=100)

    done = avepoint("license")

    assert done.status == 0
    assert "m365    | seats       | 100  | 200    | 50%" in done.out
    assert "m365: storage: 0 GB used, none purchased: another licence model, without a limit.\n" in done.out
    assert done.out.endswith("m365: within the licence.\n")


def test_license_leaves_with_1_where_too_much_is_used(avepoint: Run, simulator: Simulator) -> None:
    simulator.set_license("m365_legacy", purchased_user_seats=100, assigned_user_seats=124)

    done = avepoint("license", "m365_legacy")

    assert done.status == 1
    assert "over_assigned: 124 seats assigned, 100 purchased.\n" in done.out


def test_license_of_a_partners_customers(avepoint: Run, simulator: Simulator) -> None:
    """Each subscription, of all customers or of one."""
    for name, seats in (("acme", 47), ("umbrella", 124)):
        simulator.set_license(
            "elements",
            organization_id=name,
            organization_name=name.title(),
            service="Backup",
            assigned_user_seats=seats,
            purchased_storage_size=None,
            protected_size=None,
            expiration_date="2020-01-01",
        )

    done = avepoint("license", "elements")
    one = avepoint("license", "elements", "--organization-id", "acme", "--output", "json")

    assert (done.status, one.status) == (1, 1)
    assert "elements, Umbrella, Backup | seats | 124  | 100    | 124%" in done.out
    assert "elements, Umbrella, Backup: over_assigned: 124 seats assigned, 100 purchased.\n" in done.out
    assert "elements, Acme, Backup: expired: the subscription ended on 2020-01-01.\n" in done.out
    assert one.json["reasons"] == ["expired"]
    assert one.json["findings"] == ["elements, Acme, Backup: expired: the subscription ended on 2020-01-01"]
    assert [one.json["consumption"]] == one.json["consumptions"]


def test_license_near_limit(avepoint: Run) -> None:
    """The simulator's licence has 47 of 100 seats assigned."""
    for share, status in (("0.5", 0), ("0.4", 1)):
        done = avepoint("license", "m365", "--near-limit", share, "--output", "json")

        assert done.status == status
        assert done.json["near_limit"] == float(share)
        assert done.json["reasons"] == (["near_limit"] if status else [])
        assert done.json["passed"] is not bool(status)
        assert done.json["consumption"]["assigned_user_seats"] == 47


def test_license_takes_a_location(avepoint: Run, simulator: Simulator) -> None:
    simulator.set_license("m365", location="EUR", purchased_user_seats=10, assigned_user_seats=5)

    figures = avepoint("license", "--location", "EUR", "--output", "json").json["consumption"]

    assert (figures["purchased_user_seats"], figures["assigned_user_seats"]) == (10, 5)


# Errors


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("jobs", "nope"), "product: 'nope' is not known; known are m365, "),
    (("jobs", "m365", "--state", "good"), "state: 'good' is not a job state; known are waiting, "),
    (("jobs", "m365", "--started-after", "today"), "started_after: 'today' is not an ISO 8601 time"),
    (("jobs", "m365", "--conn-id", "nowhere"), "avepoint_conn_id: there is no connection 'nowhere'"),
    (("check", "m365"), "Give started_after "),
    (
        ("check", "m365", "--max-age", "24x"),
        "max_age: '24x' is not a time span; give a text with its unit, such as ",
    ),
    (
        ("check", "m365", "--max-age", "24"),
        'max_age: \'24\' has no unit; give a text with its unit, such as "24h", "1.5d" or "P1D".',
    ),
    (("check", "m365", "--max-age", "0h"), "max_age: '0h' is not more than zero"),
    (("license", "dynamics365"), "product: Cloud Backup for Dynamics 365 has no API for licence"),
    (("probe", "nope"), "product: 'nope' is not known"),
]


def test_a_wrong_argument_is_a_line_and_status_2(avepoint: Run) -> None:
    for words, message in WRONG:
        done = avepoint(*words)

        assert (done.status, done.out) == (2, ""), words
        assert done.err.startswith(message), words
        assert len(done.err.splitlines()) == 1, words


def test_a_limit_is_a_count_and_a_near_limit_a_share(avepoint: Run) -> None:
    for words in (
        *(("jobs", "m365", "--limit", limit) for limit in ("-1", "many")),
        *(("license", "--near-limit", share) for share in ("0", "1.5", "most")),
    ):
        with pytest.raises(SystemExit) as caught:
            avepoint(*words)

        assert caught.value.code == 2, words


def test_refused_credentials_are_a_line_and_status_2(avepoint: Run, connect: Callable[..., str]) -> None:
    connect(password="wrong-secret")

    done = avepoint("check", "dynamics365", "--max-age", "24h")

    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert "wrong-secret" not in done.err


def test_a_host_that_does_not_exist_is_said_in_words(avepoint: Run, connect: Callable[..., str]) -> None:
    connect(host="https://graph.invalid", extra={"identity_endpoint": "https://identity.invalid/token"})

    done = avepoint("check", "dynamics365", "--max-age", "24h")

    assert (done.status, done.out) == (2, "")
    assert "the host" in done.err or "no host of the name" in done.err
    assert "identity.invalid" in done.err


def test_a_listing_that_breaks_off_is_no_json(avepoint: Run, simulator: Simulator) -> None:
    """Nobody can take the part for the whole."""
    simulator.generate("dynamics365", 2500)
    simulator.add_fault("status", status=400, path="/dynamicsbackup", skip=2, count=None)

    done = avepoint("jobs", "dynamics365", "--output", "json")

    assert done.status == 2
    assert "was refused with 400" in done.err
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.out)


def test_what_nobody_foresaw_is_no_verdict(avepoint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would leave with 1, which says that the backup is bad."""
    monkeypatch.setattr(AvePointHook, "judge", lambda *_: 1 / 0)

    done = avepoint("check", "dynamics365", "--max-age", "24h")

    assert done.status == 2
    assert done.err.startswith("Traceback")


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (BrokenPipeError, 141)])
def test_an_end_from_outside_is_quiet(
    avepoint: Run, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], status: int
) -> None:
    left: list[int] = []

    class Interrupted:
        def write(self, _text: str) -> int:
            raise error

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(os, "_exit", left.append)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Interrupted())
        run_command("jobs", "dynamics365", "--output", "json")

    assert left == [status]


def test_definition_loads_nothing_of_ours(tmp_path: Path) -> None:
    """Airflow loads it at every command."""
    import subprocess

    code = (
        "import sys; from airflow_provider_avepoint.cli.definition import get_avepoint_cli_commands as get;"
        "before = set(sys.modules); get();"
        "ours = {n for n in sys.modules if n.startswith('airflow_provider_avepoint')};"
        "print(sorted(ours - {'airflow_provider_avepoint.get_provider_info'}), set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
    )

    assert done.stdout.strip().splitlines()[-1] == (
        "['airflow_provider_avepoint', 'airflow_provider_avepoint.cli', "
        "'airflow_provider_avepoint.cli.definition'] set()"
    )
