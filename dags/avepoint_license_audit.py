"""Tell every Monday which tenants are over their backup licence, nearly so, or on their way there."""

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

from airflow_provider_avepoint.operators.avepoint import AvePointLicenseAuditOperator, AvePointReportOperator

DOC = """
### Licence audit

| task | what it does |
|---|---|
| `list_tenants` | the AvePoint connections, one a tenant |
| `audit` | for each: reads seats and storage, records them in the ledger, and compares them |
| `report` | writes what the ledger holds of all tenants as one HTML page, and as CSV beside it |
| `notify` | mails what needs attention, with the page, by Airflow's SMTP notifier |
| `verdict` | fails the run where a tenant is in breach or could not be audited, and says why |

A breach: seats over-assigned, storage over what was bought, either at 90 % or more or heading there within
30 days, or a subscription that ends or is out of policy: then AvePoint stops backing up new objects, and with
some licences stops altogether after 90 days. One tenant's bad credentials do not hide the others' figures. A
forecast takes four readings.

**Variables**, both JSON lists: `avepoint_tenants`, the connection ids (without it there is one tenant,
`avepoint_default`); `avepoint_mail_to`, who gets the mail (without it nobody does).

**Params.** `connections` and `mail_to`: these instead of the Variables'. `product`: `m365`, `m365_legacy` or,
for partners, `elements`. `ledger_conn_id`: PostgreSQL or SQLite; null is `[avepoint] ledger_conn_id` of
Airflow's configuration, or else a file under `AIRFLOW_HOME`.
`report_path`: the page, a path that each worker sees or a URL such as `s3://aws_default@bucket/report.html`.
`timezone`: of the report's days and times, such as `Europe/London`.
`smtp_conn_id`: where this connection or `apache-airflow-providers-smtp` is missing, `notify` is skipped.
"""

PAGE = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "avepoint_report.html"


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
    def verdict(tenants: list[str], audits: Any) -> None:
        """Fail where a tenant is in breach, or could not be audited."""
        results = {audit["tenant"]: audit for audit in audits}
        problems = [
            f"{tenant}: {'; '.join(result['findings'])}."
            for tenant, result in results.items()
            if not result["passed"]
        ]
        problems += [f"{tenant}: no figures; see its audit." for tenant in tenants if tenant not in results]
        if problems:
            raise AirflowFailException(" ".join(problems))

    @task(trigger_rule="all_done")
    def notify(  # what the mail is made of, and how it is sent
        variable: list[str],
        tenants: list[str] | None,
        audits: Any,
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
        known = written or {
            "attention": ["The report could not be written: see the task report."],
            "attention_count": 1,
            "licenses_not_read": [],
            "path": "not written",
        }
        told = {audit["tenant"] for audit in audits or ()} | set(known["licenses_not_read"])
        unread = [f"{tenant}: no figures; see its audit." for tenant in tenants or () if tenant not in told]
        if not tenants:
            unread = ["No tenant is known: see the task list_tenants."]
        attention, page = [*unread, *known["attention"]], known["path"]
        count = len(unread) + known["attention_count"]
        text = (*attention, f"Report: {page}")
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
    ).expand(avepoint_conn_id=tenants)
    report = AvePointReportOperator(
        task_id="report",
        path="{{ params.report_path }}",
        timezone="{{ params.timezone }}",
        ledger_conn_id="{{ params.ledger_conn_id }}",
        tenants=tenants,
        trigger_rule="all_done",
    )
    audits >> report
    notify("{{ var.json.get('avepoint_mail_to', []) }}", tenants, audits.output, report.output)
    verdict(tenants, audits.output)


if __name__ == "__main__":
    dag.test()
