"""The numbers of the vendor's tables, written down a second time."""

from __future__ import annotations

import pytest

from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.rows import RowReader

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
    assert ("customer_engagement", "unified_operations") == PRODUCTS["dynamics365"].workloads


def test_google_workspace() -> None:
    product = PRODUCTS["google_workspace"]
    assert ["backup", "restore", "export", "delete", "retention", "report"] == [
        product.read_job_type(number) for number in range(1, 7)
    ]
    apps = {1: "gmail", 2: "drive", 4: "calendar", 8: "contacts", 64: "shared_drives", 128: "classroom"}
    apps |= {256: "users", 512: "groups", 4096: "chat"}
    apps |= {8192: "vault_gmail", 16384: "vault_drive", 32768: "vault_shared_drives"}
    assert apps == product.object_type_words
    assert ("backup",) == product.backup_types


SALESFORCE_TYPES = [
    "backup",
    "on_demand_backup",
    "restore",
    "pre_restore",
    "compare",
    "archive",
    "simulation",
    "inactive_data_analysis",
    "retention",
    "discovery",
    "backup_export",
    "on_demand_export",
    "auto_export",
    "data_cleanup",
    "sandbox_seeding",
    "generate_recovery_point",
    "continuous_data_protection",
    "data_service",
    "on_demand_data_service",
    "audit_log_backup",
    "audit_log_export",
    "audit_log_auto_export",
]


def test_salesforce() -> None:
    product = PRODUCTS["salesforce"]
    assert {word: number for number, word in enumerate(SALESFORCE_TYPES, 1)} == product.job_types
    on_demand, continuous, audit_log = 2, 17, 20
    others = tuple(SALESFORCE_TYPES[number - 1] for number in (on_demand, continuous, audit_log))
    assert ("backup", *others) == product.backup_types
    assert () == product.known_workloads


IAAS_SERVICES = {
    "virtual_machine": 1,
    "entra_id": 2,
    "azure_storage": 4,
    "admin_portal": 64,
    "common": 128,
    "ec2": 256,
    "native_azure_sql": 512,
    "devops": 1024,
    "azure_sql": 2048,
    "b2c": 4096,
    "gcp": 8192,
    "aws_setting": 16384,
    "sql_server": 20000,
    "vmware": 21000,
    "gcs": 23000,
    "cosmos": 24000,
    "postgresql": 25000,
    "s3": 26000,
    "entra_external_id": 27000,
}
IAAS_BACKUPS = [
    *(1, 128, 1024, 20003, 20009, 20012, 20014, 20016, 20019, 20022),
    *(40000, 60000, 60010, 60100, 70010, 80000, 90000, 90110),
]


def test_iaas_and_paas() -> None:
    product = PRODUCTS["iaas_paas"]
    assert IAAS_SERVICES == product.object_types
    assert IAAS_BACKUPS == sorted(product.job_type_codes("backup"))
    # File level restores are restores, file level exports are exports.
    restores = [
        *(2, 256, 2048, 20006, 20010, 20013, 20015, 20017, 20018, 20020),
        *(20023, 60001, 60011, 60101, 70011, 80010, 90001, 90120),
    ]
    assert restores == sorted(product.job_type_codes("restore"))
    assert [4, 257, 4096, 20004, 20025, 70012, 90002] == sorted(product.job_type_codes("export"))
    others = {
        33: "index_generation",
        20024: "index_generation",
        64: "retention",
        30003: "data_deletion",
        40001: "aws_platform_configurations",
    }
    assert others == {number: product.read_job_type(number) for number in others}
    assert {"backup", "restore", "export", *others.values()} == set(product.job_types)
    # An older page's number of index generation: whatever it stands for now, it is no backup.
    assert "32" == product.read_job_type(32)
    assert ("backup",) == product.backup_types


def test_scans_of_avepoint_online_services() -> None:
    """A scan is what a backup is here, of whichever cloud; a batch import is none."""
    product = PRODUCTS["aos_scan"]
    assert {"backup": (0, 10), "scan": (0, 10), "batch_import": 11} == product.job_types
    assert ("backup",) == product.backup_types
    assert ["m365", "power_platform", "active_directory", "google"] == [
        product.read_workload(number) for number in range(4)
    ]


ELEMENTS_MODULES = {
    "none": 0,
    "archiver": 8,
    "retention": 10,
    "sharepoint_online": 302,
    "exchange_online": 303,
    "microsoft_365_groups": 304,
    "onedrive": 305,
    "project_online": 306,
    "exchange_online_public_folder": 307,
    "microsoft_teams": 308,
    "teams_chat": 309,
    "power_bi": 310,
    "power_automate": 311,
    "power_apps": 312,
    "cloud_backup_for_azure": 355,
    "azure_virtual_machine": 356,
    "disk": 357,
    "microsoft_entra_id": 358,
    "storage": 359,
    "admin_portal_settings": 360,
    "amazon_ec2": 361,
    "native_azure_sql_backup_monitoring": 362,
    "dev_ops": 363,
    "microsoft_entra_id_b2c": 364,
    "azure_sql_backup": 365,
    "google_virtual_machine_instance": 366,
    "azure_vmware_solution": 367,
    "microsoft_sql_server_in_azure_vm": 368,
    "google_cloud_storage": 369,
    "cosmos_db": 370,
    "azure_postgresql": 371,
    "dynamics_365": 401,
    "viva_engage": 402,
    "gmail": 501,
    "calendar": 502,
    "contacts": 503,
    "drive": 504,
    "shared_drives": 505,
    "google_classroom": 506,
    "chat": 507,
    "google_directory": 508,
    "customer_engagement": 550,
    "unified_operations": 551,
}


def test_elements() -> None:
    """A job type is a service there; two modules are no backup, and say so only by their number."""
    product = PRODUCTS["elements"]
    assert ELEMENTS_MODULES == product.object_types
    services = {7: "backup", 11: "backup", 12: "backup", 15: "backup", 16: "backup", 0: "scan", 10: "scan"}
    assert services == product.job_type_words
    assert ("archiver", "retention") == product.housekeeping
    assert ("backup",) == product.backup_types


# What the numbers in a vendor's rows mean; Microsoft 365 has them in its filter.
STATES = {
    "m365": {"running": [1], "success": [2], "failed": [3], "partial": [4, 5]},
    "dynamics365": {"running": [2], "success": [3], "failed": [4], "partial": [7]},
    "google_workspace": {"running": [0], "success": [2], "failed": [3], "partial": [7]},
    "salesforce": {
        "running": [1],
        "success": [2],
        "partial": [3],
        "failed": [4],
        "waiting": [5],
        "stopped": [6],
        "skipped": [7],
    },
    "iaas_paas": {
        "waiting": [0, 32],
        "running": [1],
        "success": [2],
        "skipped": [4],
        "partial": [8],
        "failed": [16],
        "stopped": [64],
    },
    "aos_scan": {
        "running": [1],
        "success": [2],
        "failed": [3],
        "partial": [4],
        "skipped": [5],
        "stopped": [10],
    },
    "elements": {
        "running": [1],
        "success": [2],
        "failed": [3, 7, 9],
        "partial": [4],
        "skipped": [5, 11, 12],
        "waiting": [6, 13, 14],
        "stopped": [8, 10],
    },
}
STATES["m365_legacy"] = STATES["m365"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_states(product: str) -> None:
    """The same number means different things from product to product; one that is not listed is unknown."""
    columns = PRODUCTS[product].columns
    state_key = columns.state if isinstance(columns.state, str) else columns.state[0]
    reader = RowReader(PRODUCTS[product])
    expected = dict.fromkeys(range(-1, 70), "unknown")
    expected |= {number: word for word, numbers in STATES[product].items() for number in numbers}
    found = {
        number: reader.read(
            {columns.job_id: "1", state_key: number, columns.finished_at: 1_733_126_400}
        ).state
        for number in expected
    }
    assert expected == found


@pytest.mark.parametrize(
    ("product", "path", "permission"),
    [
        ("m365", "/backup/m365/cloudbackupjobs", "microsoft365backup.jobInfo.read.all"),
        ("m365_legacy", "/cloudbackup/jobs", "microsoft365backup.jobInfo.read.all"),
        ("dynamics365", "/dynamicsbackup/jobs", "dynamics.readwrite.all"),
        ("google_workspace", "/backup/google/admin/jobs", "gsuite.graph.read.all"),
        ("salesforce", "/backup/sfbapi/jobs", "salesforce.public.read.all"),
        ("iaas_paas", "/backup/vm/jobs", "platformbackup.readwrite.all"),
        ("aos_scan", "/aos/jobs", "autodiscovery.readwrite.all"),
        (
            "elements",
            "/partner/external/v3/general/customers/{organization_id}/avpt-products/jobs/batch",
            "elements.jobs.read.all",
        ),
    ],
)
def test_paths_and_permissions(product: str, path: str, permission: str) -> None:
    assert (path, permission) == (PRODUCTS[product].path, PRODUCTS[product].permission)
    assert ("POST" if product == "elements" else "GET") == PRODUCTS[product].method


# Index or offset, size, token; None where the documents show none.
PAGING = {
    "m365": ("pageIndex", "pageSize", None),
    "m365_legacy": ("PageIndex", "PageSize", None),
    "dynamics365": ("pageIndex", "pageSize", None),
    "google_workspace": ("pageIndex", "pageSize", "NextLink"),
    "salesforce": ("pageIndex", "pageSize", None),
    "iaas_paas": ("pageNumber", "pageSize", "skiptoken"),
    "aos_scan": ("skip", "top", None),
    "elements": ("pageIndex", "pageSize", None),
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_paging(product: str) -> None:
    index, size, token = PAGING[product]
    paging = PRODUCTS[product].paging
    assert (index, size) == (paging.index, paging.size)
    assert token in (None, paging.token)
    assert ((product == "aos_scan"),) * 2 == (paging.is_offset, paging.newest_first)


# Where an answer holds its rows and its next link, and a row its id and its end.
SHAPES = {
    "m365": ("data", "metadata.nextLink", "id", "finishTime"),
    "m365_legacy": ("Jobs", "NextLink", "Id", "FinishTime"),
    "dynamics365": ("jobs", "nextLink", "jobId", "finishTime"),
    "google_workspace": ("jobs", "nextLink", "jobId", "finishTime"),
    "salesforce": ("data.jobs", "data.nextLink", "jobId", "finishTime"),
    "iaas_paas": ("jobs", "nextLink", "jobId", "finishTime"),
    "aos_scan": ("jobs", "nextLink", "id", "finishTime"),
    # The page shows no link.
    "elements": ("data", "metadata.nextLink", "jobId", "endTime"),
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_shapes(product: str) -> None:
    envelope, columns = PRODUCTS[product].envelope, PRODUCTS[product].columns
    found = (".".join(envelope.rows[0]), ".".join(envelope.link), columns.job_id, columns.finished_at)
    assert SHAPES[product] == found


def test_the_largest_pages_that_are_documented() -> None:
    assert (1000, 100) == (PRODUCTS["aos_scan"].paging.sizes[0], PRODUCTS["elements"].paging.sizes[0])


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


def test_the_endpoint_of_subscriptions() -> None:
    endpoint = PRODUCTS["elements"].subscriptions
    assert endpoint is not None
    assert "/partner/external/v3/general/customers/services/batch" == endpoint.path
    assert "elements.license.read.all" == endpoint.permission
    assert ("pageIndex", "pageSize", 100) == (
        endpoint.paging.index,
        endpoint.paging.size,
        *endpoint.paging.sizes,
    )
