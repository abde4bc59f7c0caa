"""The weekly audit and the hourly load: which tenants, what fails the run, and who is told."""

from __future__ import annotations

import inspect
import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.requirements import RULES
from airflow_provider_avepoint.operators.avepoint import AvePointJobsToSqlOperator
from airflow_provider_avepoint.required_file import read_required
from tests.mail import MailServer

FOLDER = Path(__file__).parent.parent.parent / "dags"


def load(name: str) -> Any:
    return runpy.run_path(str(FOLDER / f"{name}.py"))["dag"]


AUDIT, LEDGER = load("avepoint_license_audit"), load("avepoint_job_ledger")


def call(dag: Any, task_id: str, *args: Any, **params: Any) -> Any:
    """Do what a task does, with its DAG's params where *params* has no other."""
    known = {name: dag.params[name] for name in dag.params}
    function = dag.get_task(task_id).python_callable
    context = {"dag": dag} if "context" in inspect.signature(function).parameters else {}
    return function(*args, params=known | params, **context)


# Tenants


@pytest.mark.parametrize(
    ("variable", "connections", "tenants"),
    [
        (None, [], ["avepoint_default"]),
        (["contoso", "fabrikam"], [], ["contoso", "fabrikam"]),
        (["contoso", "fabrikam", "contoso"], [], ["contoso", "fabrikam"]),
        (["contoso"], ["umbrella"], ["umbrella"]),
        (None, ["umbrella"], ["umbrella"]),
    ],
)
def test_the_tenants(variable: list[str] | None, connections: list[str], tenants: list[str]) -> None:
    """Those of the Variable, unless others are named for this run."""
    planned = call(LEDGER, "plan", variable, connections=connections, products=["dynamics365"])

    assert tenants == call(AUDIT, "list_tenants", variable, connections=connections)
    assert tenants == [each["avepoint_conn_id"] for each in planned]


@pytest.mark.parametrize("variable", [[], "contoso", {"contoso": 1}, ["contoso", 7], 7, ""])
def test_a_variable_that_is_no_list_of_tenants(variable: Any) -> None:
    """Nothing to audit is not all well."""
    with pytest.raises(AirflowFailException, match="avepoint_tenants"):
        call(AUDIT, "list_tenants", variable)
    with pytest.raises(AirflowFailException, match="avepoint_tenants"):
        call(LEDGER, "plan", variable)


@pytest.mark.parametrize("written", [None, '["contoso", "fabrikam"]'])
def test_the_variable_is_read_when_a_task_runs(written: str | None) -> None:
    """By a template that gives a list, or None where there is no such Variable."""
    variables = {} if written is None else {"avepoint_tenants": json.loads(written)}
    context = {"var": {"json": variables}, "params": {}}
    for dag, task_id in ((AUDIT, "list_tenants"), (LEDGER, "plan")):
        task = dag.get_task(task_id)

        (rendered, *_) = task.render_template(task.op_args, context, dag.get_template_env())

        assert (None if written is None else ["contoso", "fabrikam"]) == rendered


# The weekly audit


@pytest.mark.parametrize("ledger_conn_id", [None, "warehouse"])
def test_audits_and_report_share_a_ledger(ledger_conn_id: str | None) -> None:
    """A param that is null is no text; a breach fails no audit, so that the report is made."""
    params = {"product": "m365", "ledger_conn_id": ledger_conn_id, "report_path": "page.html"}
    dag = load("avepoint_license_audit")
    env, report = dag.get_template_env(), dag.get_task("report")
    audits = [dag.get_task(name).partial_kwargs for name in ("audit", "protection")]

    rendered = [
        [
            report.render_template(audit[name], {"params": params}, env)
            for name in ("product", "ledger_conn_id")
        ]
        for audit in audits
    ]
    report.tenants = None  # the other task's result, which no run has made
    report.render_template_fields({"params": params}, env)

    assert [["m365", ledger_conn_id]] * 2 == rendered
    assert ("page.html", ledger_conn_id) == (report.path, report.ledger_conn_id)
    assert ["warn"] * 2 == [audit["on_breach"] for audit in audits]


def test_what_waits_for_what() -> None:
    """The report comes whatever became of an audit; the run's end is the mail and the verdict."""
    upstream = {task.task_id: task.upstream_task_ids for task in AUDIT.tasks}

    assert {
        "list_tenants": set(),
        "audit": {"list_tenants"},
        "list_required": {"list_tenants", "audit"},
        "protection": {"list_required"},
        "report": {"list_tenants", "audit", "protection"},
        "notify": {"list_tenants", "audit", "list_required", "protection", "report"},
        "verdict": {"list_tenants", "audit", "list_required", "protection"},
    } == upstream
    assert {"list_required", "report", "verdict", "notify"} == {
        task.task_id for task in AUDIT.tasks if task.trigger_rule.value == "all_done"
    }


def result(tenant: str, *findings: str) -> dict[str, Any]:
    named = {"tenant": tenant, "organization_id": None, "passed": not findings}
    return named | {"findings": list(findings)}


def verdict(
    tenants: list[str] | None,
    audits: list[dict[str, Any]] | None,
    required: list[dict[str, str]] | None = (),
    protection: list[dict[str, Any]] | None = None,
) -> None:
    AUDIT.get_task("verdict").python_callable(tenants, audits, required, protection)


def ask(*tenants: str) -> list[dict[str, str]]:
    return [{"avepoint_conn_id": tenant, "required": "required.yaml"} for tenant in tenants]


def test_a_good_verdict() -> None:
    """Also where nothing is required; a task that is skipped has no result."""
    verdict(["a", "b"], [result("a"), result("b")])
    verdict(["a", "b"], [result("a"), result("b")], ask("a", "b"), [result("b"), result("a")])


UNKNOWN = "not known whether it is protected; see its task protection."
BAD_VERDICTS: list[tuple[tuple[Any, ...], str]] = [
    (
        ([result("a", "m365: over_assigned: …", "m365: expired: …"), result("b")], []),
        "a: m365: over_assigned: …; m365: expired: ….",
    ),
    (([result("a")], []), "b: no figures; see its audit."),
    (
        ([result("b", "m365: near_limit: …")], []),
        "b: m365: near_limit: …. a: no figures; see its audit.",
    ),
    ((None, []), "a: no figures; see its audit. b: no figures; see its audit."),
    (
        ([result("a"), result("b")], ask("a", "b"), [result("a"), result("b", "teams: not_scheduled: …")]),
        "b: teams: not_scheduled: ….",
    ),
    (([result("a"), result("b")], ask("a", "b"), [result("a")]), f"b: {UNKNOWN}"),
    (([result("a"), result("b")], ask("a", "b"), None), f"a: {UNKNOWN} b: {UNKNOWN}"),
    (
        ([result("a"), result("b")], None, None),
        "What the tenants must have is not known: see the task list_required.",
    ),
]


def test_a_bad_verdict() -> None:
    """A breach, and a tenant whose audit failed; each names itself beside the others."""
    for given, message in BAD_VERDICTS:
        with pytest.raises(AirflowFailException) as caught:
            verdict(["a", "b"], *given)
        assert message == str(caught.value)

    with pytest.raises(AirflowFailException, match=r"No tenant is known: see the task list_tenants\."):
        verdict(None, None, None, None)


def test_what_a_tenant_must_have() -> None:
    """The file that a run or the Variable names, else the one beside the DAG, if the product has one.

    Elements is asked for each customer that the licence audit has found.
    """
    beside = str(FOLDER / "avepoint_required_m365.yaml")
    for variable, params, expected in (
        ("", {}, beside),
        ("", {"product": "m365_legacy"}, None),
        ("ours.yaml", {}, "ours.yaml"),
        ("ours.yaml", {"product": "m365_legacy"}, "ours.yaml"),
        ("ours.yaml", {"required": "/etc/theirs.yaml"}, "/etc/theirs.yaml"),
    ):
        found = call(AUDIT, "list_required", variable, ["a", "b"], None, **params)
        assert [{"avepoint_conn_id": each, "required": expected} for each in "ab" if expected] == found

    listed = [{"organization_id": each} for each in ("c2", "c1", "c2", None)]
    audits = [{"tenant": "a", "consumptions": listed}, {"tenant": "b", "consumptions": []}]
    found = call(AUDIT, "list_required", "", ["a", "b", "c"], audits, product="elements")
    assert [("a", "c2"), ("a", "c1")] == [
        (each["avepoint_conn_id"], each["organization_id"]) for each in found
    ]
    assert {str(FOLDER / "avepoint_required_elements.yaml")} == {each["required"] for each in found}
    assert [] == call(AUDIT, "list_required", "", None, None, product="elements")
    assert [] == call(AUDIT, "list_required", "", None, None)


@pytest.mark.parametrize("product", ["m365", "elements"])
def test_the_files_beside_the_dag_can_be_used(product: str) -> None:
    """Each rule that its comment shows is a rule, and each rule of the product is shown."""
    path = FOLDER / f"avepoint_required_{product}.yaml"
    required = read_required(str(path), FOLDER, get_product(product))
    shown = set(re.findall(r"^#   (\w+):", path.read_text(), re.MULTILINE))

    assert required.demands
    rules = {each.name for each in RULES.values() if each.topic.is_told_by(get_product(product))}
    assert rules == shown - {"unusual_within"}


# Mail


@pytest.fixture
def mail_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Return a mail server that the connection smtp_default is for."""
    with MailServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(server.connection))
        yield server


TENANTS, AUDITS = ["acme"], [{"tenant": "acme"}]
# What is found of the tenants: the figures, what is required, and what holds of it.
FOUND = (AUDITS, [], None)
READ: dict[str, Any] = {"licenses_not_read": [], "protection_not_read": []}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Any]:
    page = tmp_path / "report.html"
    page.write_text("<h1>Report</h1>")
    attention = ["acme: {{ ti }} <b>over_assigned</b>"]
    return {"path": str(page), "attention": attention, "attention_count": 1} | READ


def test_a_mail_says_what_needs_attention(mail_server: MailServer, written: dict[str, Any]) -> None:
    """As text: a customer's name is neither a template nor HTML. The page comes with it."""
    call(AUDIT, "notify", ["owner@contoso.example"], TENANTS, *FOUND, written)

    (mail,) = mail_server.mails
    body, attached = mail.iter_parts()
    first = "acme: {{ ti }} <b>over_assigned</b>"
    assert f"AvePoint backups and licences: 1 to look at, first: {first}" == mail["Subject"]
    assert "owner@contoso.example" == mail["To"]
    assert "<p>acme: {{ ti }} &lt;b&gt;over_assigned&lt;/b&gt;</p>" in body.get_content()
    assert ("report.html", b"<h1>Report</h1>") == (attached.get_filename(), attached.get_payload(decode=True))


def test_a_mail_says_that_all_is_well(mail_server: MailServer, written: dict[str, Any]) -> None:
    """And where the page is, if it is no file here."""
    good = written | {"path": "s3://bucket/report.html", "attention": [], "attention_count": 0}
    call(AUDIT, "notify", [], TENANTS, *FOUND, good, mail_to=["owner@x.example"])

    (mail,) = mail_server.mails
    assert "AvePoint backups and licences: all clear" == mail["Subject"]
    assert ["text/html"] == [part.get_content_type() for part in mail.iter_parts()]
    assert "s3://bucket/report.html" in mail.get_body().get_content()


def test_all_clear_takes_every_tenant_and_the_report(
    mail_server: MailServer, written: dict[str, Any]
) -> None:
    """A task that failed leaves None, or no result among those of its mapped siblings."""
    good = written | {"attention": [], "attention_count": 0}
    both, judged = ["acme", "bad"], [result("acme")]
    for tenants, found, report, subject in (
        (both, (AUDITS, [], None), good, "1 to look at, first: bad: no figures; see its audit."),
        # The report's own sentence says so.
        (both, (AUDITS, [], None), good | {"licenses_not_read": ["bad"]}, "all clear"),
        (TENANTS, (None, [], None), good, "1 to look at, first: acme: no figures; see its audit."),
        (None, (None, None, None), good, "1 to look at, first: No tenant is known: see the task list_ten"),
        (TENANTS, FOUND, None, "1 to look at, first: The report could not be written: see the task"),
        (TENANTS, (AUDITS, ask("acme"), judged), good, "all clear"),
        (TENANTS, (AUDITS, ask("acme", "bad"), judged), good, f"1 to look at, first: bad: {UNKNOWN}"),
        (
            TENANTS,
            (AUDITS, ask("acme", "bad"), judged),
            good | {"protection_not_read": ["bad"]},
            "all clear",
        ),
        (TENANTS, (AUDITS, ask("acme"), None), good, f"1 to look at, first: acme: {UNKNOWN}"),
        (TENANTS, (AUDITS, None, None), good, "1 to look at, first: What the tenants must have is not known"),
        (both, (None, None, None), None, "4 to look at, first: acme: no figures; see its audit."),
        # A customer of a partner that was not judged beside one that was.
        (
            TENANTS,
            (AUDITS, [each | {"organization_id": name} for name in "12" for each in ask("acme")], judged),
            good,
            f"1 to look at, first: acme: {UNKNOWN}",
        ),
    ):
        call(AUDIT, "notify", ["owner@x.example"], tenants, *found, report)
        assert mail_server.mails[-1]["Subject"].startswith(f"AvePoint backups and licences: {subject}")


def test_a_mail_says_how_much_it_leaves_out(mail_server: MailServer, written: dict[str, Any]) -> None:
    call(AUDIT, "notify", ["owner@x.example"], TENANTS, *FOUND, written | {"attention_count": 40})

    assert "<p>And 39 more: see the report.</p>" in mail_server.mails[-1].get_body().get_content()


def test_nobody_is_told_who_did_not_ask(mail_server: MailServer, written: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException, match="avepoint_mail_to"):
        call(AUDIT, "notify", [], TENANTS, *FOUND, written)

    assert [] == mail_server.mails


def test_no_mail_without_a_connection(written: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException, match="smtp_nowhere"):
        call(
            AUDIT, "notify", ["owner@contoso.example"], TENANTS, *FOUND, written, smtp_conn_id="smtp_nowhere"
        )


def test_no_mail_without_the_provider(
    mail_server: MailServer, written: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "airflow.providers.smtp.notifications.smtp", None)

    with pytest.raises(AirflowSkipException, match="smtp"):
        call(AUDIT, "notify", ["owner@contoso.example"], TENANTS, *FOUND, written)

    assert [] == mail_server.mails


# The hourly load


def test_a_load_is_of_one_tenant_and_product() -> None:
    """Microsoft 365 is asked for each service, and for its schedule; the others have none."""
    named = {"products": ["m365", "dynamics365", "m365"], "services": ["teams"], "keep_schedule": True}
    planned = call(LEDGER, "plan", ["a", "b"], **named)

    assert [
        {
            "avepoint_conn_id": tenant,
            "product": product,
            "object_type": services,
            "keep_schedule": product == "m365",
        }
        for tenant in ("a", "b")
        for product, services in (("m365", ["teams"]), ("dynamics365", None))
    ] == planned
    parameters = AvePointJobsToSqlOperator(task_id="load", **planned[0])
    assert ("a", "m365", ["teams"]) == (
        parameters.avepoint_conn_id,
        parameters.product,
        parameters.object_type,
    )


def test_a_load_runs_alone() -> None:
    assert 1 == LEDGER.max_active_runs


@pytest.mark.parametrize("value", [None, "2026-11-01T00:00:00Z"])
def test_params_of_a_load(value: str | None) -> None:
    load = LEDGER.get_task("load")
    params = {"params": {"started_after": value, "ledger_conn_id": value}}

    assert [value, value] == [
        load.render_template(load.partial_kwargs[name], params, LEDGER.get_template_env())
        for name in ("started_after", "ledger_conn_id")
    ]
