"""OpenLineage: the backups that a gate has judged are its inputs. Only where that provider is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage


def name_dataset(conn_id: str, parts: Iterable[str | None]) -> tuple[str, str]:
    """Return namespace and name of a dataset: the connection, and product, organisation and workload."""
    return f"avepoint://{conn_id}", "/".join(quote(part, safe="") for part in parts if part)


def describe_gate(conn_id: str, verdict: Mapping[str, Any] | None) -> OperatorLineage[Any, Any] | None:
    """Return the lineage of a gate: each scope that it judged, with its reason and job.

    :param verdict: ``Verdict.as_dict()``; None where none was reached.
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
