"""Report backups to OpenLineage as the inputs of gates and restores, where its provider is installed.

Only what OpenLineage's own specification has is reported: the documentation and the version of a dataset, and
the assertions that data quality views read. A restored site is no output: the specification has no name for
a site of SharePoint, and the address of a OneDrive names a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import InputDataset
    from airflow.providers.openlineage.extractors import OperatorLineage

#: The assertion of a gate about a backup, and of a drill about a restore.
VERIFIED, RESTORED = "backup_verified", "backup_restored"
# Scopes with these reasons are shown, and not judged.
_NOT_JUDGED = ("excluded", "forgotten")


def name_dataset(conn_id: str, parts: Iterable[str | None]) -> tuple[str, str]:
    """Return the namespace and the name of a dataset.

    :param conn_id: the id of the connection, which is the namespace.
    :param parts: product, organisation, workload and location; missing parts are None.
    """
    return f"avepoint://{conn_id}", "/".join(quote(part, safe="") for part in parts if part)


def describe_gate(conn_id: str, verdict: Mapping[str, Any] | None) -> OperatorLineage[Any, Any] | None:
    """Return the lineage of a gate: one input for each scope, with its reason and job.

    A scope that is judged has the assertion ``backup_verified``; the version of its backup is the job's id.

    :param conn_id: the id of the connection.
    :param verdict: ``Verdict.as_dict()``; None where the gate reached no verdict.
    :returns: the lineage; None where OpenLineage is not installed.
    """
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage
    except ImportError:
        return None
    if verdict is None:
        return OperatorLineage()
    inputs: list[InputDataset] = []
    for judged in verdict["scopes"]:
        scope, job, reason = judged["scope"], judged["job"], judged["reason"]
        parts = (verdict["policy"]["product"], scope["organization_id"], scope["workload"], scope["location"])
        shown = reason if job is None else f"{reason}: {_describe_job(job)}"
        asserted = {} if reason in _NOT_JUDGED else {VERIFIED: reason == "passed"}
        version = None if job is None else job["job_id"]
        inputs.append(_build_input(name_dataset(conn_id, parts), shown, asserted, version))
    return OperatorLineage(inputs=inputs)


def describe_drill(conn_id: str, drill: Mapping[str, Any] | None) -> OperatorLineage[Any, Any] | None:
    """Return the lineage of a restore: the backup, under the name that it has as the input of a gate.

    The version of the backup is not told: the API takes the latest one before an instant.

    :param conn_id: the id of the connection.
    :param drill: ``Drill.as_dict()``; None where nothing is known of the restore.
    :returns: the lineage; None where OpenLineage is not installed.
    """
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage
    except ImportError:
        return None
    if drill is None:
        return OperatorLineage()
    request = drill["request"]
    named = name_dataset(conn_id, (request["product"], request["service"], request["location"]))
    shown = f"{drill['reason']}: restored as of {request['recovery_time']}: {_describe_job(drill['job'])}"
    return OperatorLineage(inputs=[_build_input(named, shown, {RESTORED: drill["passed"]}, None)])


def _describe_job(job: Mapping[str, Any]) -> str:
    return f"job {job['job_id']}, {job['state']}, started {job['started_at']}"


def _build_input(
    named: tuple[str, str], shown: str, asserted: Mapping[str, bool], version: str | None
) -> InputDataset:
    from airflow.providers.common.compat.openlineage.facet import (
        DatasetFacet,
        DocumentationDatasetFacet,
        InputDataset,
    )

    facets: dict[str, DatasetFacet] = {"documentation": DocumentationDatasetFacet(description=shown)}
    namespace, name = named
    try:  # the client comes with Airflow's OpenLineage provider; an older one lacks these facets
        from openlineage.client.generated.data_quality_assertions_dataset import (
            Assertion,
            DataQualityAssertionsDatasetFacet,
        )
        from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
    except ImportError:
        return InputDataset(namespace=namespace, name=name, facets=facets)
    if version is not None:
        facets["version"] = DatasetVersionDatasetFacet(datasetVersion=version)
    described = InputDataset(namespace=namespace, name=name, facets=facets)
    if asserted:
        results = [Assertion(assertion=test, success=success) for test, success in asserted.items()]
        described.inputFacets = {"dataQualityAssertions": DataQualityAssertionsDatasetFacet(results)}
    return described
