"""The numbers of the vendor's tables, written down a second time."""

from __future__ import annotations

import pytest

from airflow_provider_avepoint.products import PRODUCTS

OBJECT_TYPES = [
    "exchange_online",
    "sharepoint_online",
    "onedrive",
    "microsoft_365_groups",
    "project_online",
    "public_folder",
    "teams",
    "viva_engage",
    "teams_chat",
    "power_bi",
    "power_automate",
    "power_apps",
]


@pytest.mark.parametrize("product", ["m365", "m365_legacy"])
def test_microsoft_365(product: str) -> None:
    """The filter's objectType; the serviceType of other endpoints counts differently."""
    assert {word: number for number, word in enumerate(OBJECT_TYPES, 1)} == PRODUCTS[product].object_types
    types = {"backup": 1, "restore": 2, "export": 3, "delete": 4, "deletion": 4, "retention": 5}
    assert types == PRODUCTS[product].job_types
    assert ("backup",) == PRODUCTS[product].backup_types


def test_dynamics_365() -> None:
    types = {"backup": 1, "restore": 2, "dryrun": 4, "retention": 8, "audit_backup": 16, "export": 32}
    assert types == PRODUCTS["dynamics365"].job_types
    # Backups of the audit log may stand for a backup, for who asks for them by name.
    assert ("backup", "audit_backup") == PRODUCTS["dynamics365"].backup_types


@pytest.mark.parametrize(
    ("product", "path", "permission"),
    [
        ("m365", "/backup/m365/cloudbackupjobs", "microsoft365backup.jobInfo.read.all"),
        ("m365_legacy", "/cloudbackup/jobs", "microsoft365backup.jobInfo.read.all"),
        ("dynamics365", "/dynamicsbackup/jobs", "dynamics.readwrite.all"),
    ],
)
def test_paths_and_permissions(product: str, path: str, permission: str) -> None:
    assert (path, permission) == (PRODUCTS[product].path, PRODUCTS[product].permission)


@pytest.mark.parametrize(
    ("product", "path"),
    [
        ("m365", "/backup/m365/cloudbackuplicenseconsumption"),
        ("m365_legacy", "/cloudbackup/licenseconsumption"),
    ],
)
def test_licence_endpoints(product: str, path: str) -> None:
    endpoint = PRODUCTS[product].license
    assert endpoint is not None
    assert (path, "microsoft365backup.subscriptionInfo.read.all") == (endpoint.path, endpoint.permission)
