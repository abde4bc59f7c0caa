"""Tell every Monday which tenants are not protected as they must be, and which are over their licence."""

from __future__ import annotations

import html
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
    BaseHook,
    Param,
    task,
)

from airflow_provider_avepoint.operators.avepoint import (
    AvePointLicenseAuditOperator,
    AvePointProtectionAuditOperator,
    AvePointReportOperator,
)

DOC = """
### Weekly audit

| task | what it does |
|---|---|
| `list_tenants` | the AvePoint connections, one a tenant |
| `audit` | for each: reads seats and storage, records them in the ledger, and compares them |
| `list_required` | the file that says what each tenant must have |
| `protection` | for each: reads what is scheduled, kept, covered, attacked and drilled, and compares it |
| `report` | writes what the ledger holds of all tenants as one HTML page, and as CSV beside it |
| `notify` | mails what needs attention, with the page, by Airflow's SMTP notifier |
| `verdict` | fails the run where a tenant is in breach or could not be audited, and says why |

A breach: seats over-assigned, storage over what was bought, either at 90 % or more or heading there within
30 days, or a subscription that ends or is out of policy: then AvePoint stops backing up new objects, and with
some licences stops altogether after 90 days. Or one of the services is not scheduled, not often enough or not
kept as long as the file of requirements asks, and so on. One tenant's bad credentials do not hide the others'
figures, and no task that fails hides what the others found. A forecast takes four readings.

**What a tenant must have** is in a YAML file beside this DAG: `avepoint_required_m365.yaml` for the product
`m365`, `avepoint_required_elements.yaml` for `elements`, where each customer with a subscription is audited.
Both come with this DAG, and say in their comments what can be asked for: change them to what you must have.
The Variable `avepoint_required` or the Param `required` names another file, as a path from this DAG's folder
or from `/`. Where none is named and the product has no such file here, nothing is required: `protection` is
skipped, and the report says that no such audit is recorded. A file that is named and missing fails
`protection`, and the mail says so.

**Variables**: `avepoint_tenants`, a JSON list of the connection ids (without it there is one tenant,
`avepoint_default`); `avepoint_mail_to`, a JSON list of who gets the mail (without it nobody does);
`avepoint_required`, a path.

**Params.** `connections`, `mail_to` and `required`: these instead of the Variables'. `product`: `m365`,
`m365_legacy` or, for partners, `elements`. `ledger_conn_id`: PostgreSQL or SQLite; null is
`[avepoint] ledger_conn_id` of Airflow's configuration, or else a file under `AIRFLOW_HOME`.
`report_path`: the page, a path that each worker sees or a URL such as `s3://aws_default@bucket/report.html`.
`timezone`: of the report's days and times, such as `Europe/London`.
`smtp_conn_id`: where this connection or `apache-airflow-providers-smtp` is missing, `notify` is skipped.
"""

FOLDER = Path(__file__).parent
PAGE = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "avepoint_report.html"
# What is known where there is no report.
NOTHING: dict[str, Any] = {
    "attention": ["The report could not be written: see the task report."],
    "attention_count": 1,
    "licenses_not_read": [],
    "protection_not_read": [],
    "path": "not written",
}


def _name(value: str | None) -> Param:
    return Param(value, type=["null", "string"])


with DAG(
    dag_id="avepoint_license_audit",
    description=__doc__,
    doc_md=DOC,
    schedule="0 6 * * 1",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    # A null param stays null.
    render_template_as_native_obj=True,
    params={
        "connections": Param([], type="array", items={"type": "string"}),
        "product": Param("m365", type="string"),
        "required": _name(None),
        "ledger_conn_id": _name(None),
        "report_path": Param(str(PAGE), type="string"),
        "timezone": Param("UTC", type="string"),
        "mail_to": Param([], type="array", items={"type": "string"}),
        "smtp_conn_id": Param("smtp_default", type="string"),
    },
    tags=["avepoint", "example"],
) as dag:

    @task
    def list_tenants(variable: list[str] | None, params: dict[str, Any]) -> list[str]:
        """Return the tenants' connections."""
        tenants = params["connections"] or (["avepoint_default"] if variable is None else variable)
        if not (tenants and isinstance(tenants, list) and all(isinstance(each, str) for each in tenants)):
            raise AirflowFailException(
                f"The Variable avepoint_tenants is {tenants!r}, not a JSON list of connection ids."
            )
        return list(dict.fromkeys(tenants))

    @task(trigger_rule="all_done")
    def list_required(
        variable: str, tenants: list[str] | None, audits: Any, params: dict[str, Any]
    ) -> list[dict[str, str]]:
        """Return whom to audit, with the file of what they must have; nothing where there is no such file.

        Elements tells about one customer at a time: the licence audit has found the customers.
        """
        named = params["required"] or variable
        known = FOLDER / f"avepoint_required_{params['product']}.yaml"
        if not named and not known.is_file():
            return []
        required = {"required": named or str(known)}
        if params["product"] != "elements":
            return [{"avepoint_conn_id": tenant, **required} for tenant in tenants or ()]
        customers = {
            (audit["tenant"], each["organization_id"]): None
            for audit in audits or ()
            for each in audit["consumptions"]
            if each["organization_id"]
        }
        return [
            {"avepoint_conn_id": tenant, "organization_id": customer, **required}
            for tenant, customer in customers
        ]

    def list_missing(
        tenants: list[str] | None,
        audits: Any,
        required: list[dict[str, str]] | None,
        protection: Any,
        report: dict[str, Any],
    ) -> list[str]:
        """Return what is not known, a sentence each, without what the report itself says."""
        if not tenants:
            return ["No tenant is known: see the task list_tenants."]
        read = {each["tenant"] for each in audits or ()}.union(report["licenses_not_read"])
        missing = [f"{tenant}: no figures; see its audit." for tenant in tenants if tenant not in read]
        if required is None:
            return [*missing, "What the tenants must have is not known: see the task list_required."]
        judged = {(each["tenant"], each["organization_id"]) for each in protection or ()}
        unknown = [
            each["avepoint_conn_id"]
            for each in required
            if (each["avepoint_conn_id"], each.get("organization_id")) not in judged
        ]
        return missing + [
            f"{tenant}: not known whether it is protected; see its task protection."
            for tenant in dict.fromkeys(unknown)
            if tenant not in report["protection_not_read"]
        ]

    @task(trigger_rule="all_done")
    def verdict(
        tenants: list[str] | None, audits: Any, required: list[dict[str, str]] | None, protection: Any
    ) -> None:
        """Fail where a tenant is in breach, is not protected as it must be, or could not be audited."""
        problems = [
            f"{result['tenant']}: {'; '.join(result['findings'])}."
            for result in (*(audits or ()), *(protection or ()))
            if not result["passed"]
        ]
        problems += list_missing(tenants, audits, required, protection, NOTHING)
        if problems:
            raise AirflowFailException(" ".join(problems))

    @task(trigger_rule="all_done")
    def notify(  # noqa: PLR0917  # what the mail is made of, and how it is sent
        variable: list[str],
        tenants: list[str] | None,
        audits: Any,
        required: list[dict[str, str]] | None,
        protection: Any,
        written: dict[str, Any] | None,
        params: dict[str, Any],
        **context: Any,
    ) -> None:
        """Mail what needs attention; skip where nobody is to be told, or nothing is there to tell them."""
        recipients = params["mail_to"] or variable
        if not recipients:
            raise AirflowSkipException("Nobody is to be told: the Variable avepoint_mail_to names nobody.")
        try:
            from airflow.providers.smtp.notifications.smtp import SmtpNotifier

            BaseHook.get_connection(params["smtp_conn_id"])
        except (ImportError, AirflowNotFoundException) as e:
            raise AirflowSkipException(f"No mail: {e}") from None
        known = written or NOTHING
        unread = list_missing(tenants, audits, required, protection, known)
        attention, page = [*unread, *known["attention"]], known["path"]
        count = len(unread) + known["attention_count"]
        rest = count - len(attention)
        text = (*attention, *([f"And {rest} more: see the report."] if rest else []), f"Report: {page}")
        # Told as it is: what the vendor wrote in these sentences is no template.
        SmtpNotifier(
            smtp_conn_id=params["smtp_conn_id"],
            to=recipients,
            subject="AvePoint backups and licences: "
            + (f"{count} to look at, first: {attention[0][:100]}" if count else "all clear"),
            html_content="".join(f"<p>{html.escape(sentence)}</p>" for sentence in text),
            files=[page] if Path(page).is_file() else None,
        ).notify(context)

    tenants = list_tenants("{{ var.json.get('avepoint_tenants', none) }}")
    audits = AvePointLicenseAuditOperator.partial(
        task_id="audit",
        product="{{ params.product }}",
        ledger_conn_id="{{ params.ledger_conn_id }}",
        on_breach="warn",
        map_index_template="Tenant {{ task.avepoint_conn_id }}",
    ).expand(avepoint_conn_id=tenants)
    required = list_required("{{ var.value.get('avepoint_required', '') }}", tenants, audits.output)
    protection = AvePointProtectionAuditOperator.partial(
        task_id="protection",
        product="{{ params.product }}",
        ledger_conn_id="{{ params.ledger_conn_id }}",
        on_breach="warn",
        map_index_template="Tenant {{ task.avepoint_conn_id }}",
    ).expand_kwargs(required)
    report = AvePointReportOperator(
        task_id="report",
        path="{{ params.report_path }}",
        timezone="{{ params.timezone }}",
        ledger_conn_id="{{ params.ledger_conn_id }}",
        tenants=tenants,
        trigger_rule="all_done",
    )
    [audits, protection] >> report
    found = (audits.output, required, protection.output)
    notify("{{ var.json.get('avepoint_mail_to', []) }}", tenants, *found, report.output)
    verdict(tenants, *found)


if __name__ == "__main__":
    dag.test()
