"""Report the judged backups of a gate to OpenLineage as its inputs, where its provider is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage


def name_dataset(conn_id: str, parts: Iterable[str | None]) -> tuple[str, str]:
    """Return the namespace and the name of a dataset.

    :param conn_id: the id of the connection, which is the namespace.
    :param parts: product, organisation, workload and location; missing parts are None.
    """
    return f"avepoint://{conn_id}", "/".join(quote(part, safe="") for part in parts if part)


def describe_gate(conn_id: str, verdict: Mapping[str, Any] | None) -> OperatorLineage[Any, Any] | None:
    """Return the lineage of a gate: one input for each judged scope, with its reason and job.

    :param conn_id: the id of the connection.
    :param verdict: ``Verdict.as_dict()``; None where the gate reached no verdict.
    :returns: the lineage; None where OpenLineage is not installed.
    """
    try:
        from airflow.providers.common.compat.openlineage.facet import Dataset, DocumentationDatasetFacet
        from airflow.providers.openlineage.extractors import OperatorLineage
    except ImportError:
        return None
    if verdict is None:
        return OperatorLineage()
    inputs: list[Dataset] = []
    for judged in verdict["scopes"]:
        scope, job = judged["scope"], judged["job"]
        parts = (verdict["policy"]["product"], scope["organization_id"], scope["workload"], scope["location"])
        namespace, name = name_dataset(conn_id, parts)
        shown = judged["reason"]
        if job is not None:
            shown += f": job {job['job_id']}, {job['state']}, started {job['started_at']}"
        documentation = DocumentationDatasetFacet(description=shown)
        inputs.append(Dataset(namespace=namespace, name=name, facets={"documentation": documentation}))
    return OperatorLineage(inputs=inputs)
