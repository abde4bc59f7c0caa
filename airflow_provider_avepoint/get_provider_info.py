"""The provider's metadata for Airflow. This module imports nothing else: Airflow loads it at every start."""

from __future__ import annotations

from typing import Any

_ROOT = "airflow_provider_avepoint"
_NAME = "AvePoint"
_PAGES = "https://airflow-provider-avepoint.readthedocs.io/en/latest"
_GUIDES = (
    "guard-a-load",
    "guard-a-delete",
    "several-tenants",
    "microsoft-365",
    "start-when-a-backup-ends",
    "audit-licences-and-mail",
    "report-to-an-auditor",
    "drill-a-restore",
    "alert-slack-or-teams",
    "test-your-dag",
    "celery-and-kubernetes",
    "upgrade",
)
# Those of core.settings; a test compares the two.
# fmt: off
_REGIONS = [
    "au", "sg", "ca", "ne", "we", "fr", "de", "jp", "kr", "ch", "uk", "us", "uae", "za", "qa",
    "gov", "aos2",
    "gcp-au", "gcp-jp", "gcp-us", "gcp-we", "gcp-kr",
]
# fmt: on


def _field(label: str, description: str, kind: str = "string", **schema: Any) -> dict[str, Any]:
    """Describe one field of the connection form; the form may leave each of these fields empty."""
    return {
        "label": label,
        "description": description,
        "schema": {"type": [kind, "null"], **schema},
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as ``provider_info.schema.json`` of Airflow describes it."""

    def modules(kind: str) -> list[dict[str, Any]]:
        return [{"integration-name": _NAME, "python-modules": [f"{_ROOT}.{kind}.avepoint"]}]

    uris = [
        {
            "schemes": ["avepoint"],
            "handler": f"{_ROOT}.assets.sanitize_uri",
            "factory": f"{_ROOT}.assets.create_asset",
            "to_openlineage_converter": f"{_ROOT}.assets.convert_asset_to_openlineage",
        }
    ]
    return {
        "package-name": "airflow-provider-avepoint",
        "name": _NAME,
        "description": "Verify AvePoint cloud backups before data tasks run, and audit backup licences.",
        "config": {
            "avepoint": {
                "description": "Options of the AvePoint provider.",
                "options": {
                    "ledger_conn_id": {
                        "description": (
                            "The Airflow connection of the ledger, PostgreSQL or SQLite, for tasks that read "
                            "or fill the ledger and name no connection of their own. Without this option the "
                            "ledger is a SQLite file under ``AIRFLOW_HOME``, which no other machine sees. "
                            "Gates record their verdicts only where their own ``ledger_conn_id`` says so."
                        ),
                        "version_added": "0.2.0",
                        "type": "string",
                        "example": "avepoint_ledger",
                        "default": None,
                    },
                    "page_tenants": {
                        "description": (
                            "The tenants that the page *Browse > Backups* shows, by name, "
                            "separated by commas. Without this option the page shows every tenant."
                        ),
                        "version_added": "0.2.0",
                        "type": "string",
                        "example": "contoso, fabrikam",
                        "default": None,
                    },
                    "page_cache_seconds": {
                        "description": (
                            "How many seconds the page *Browse > Backups* shows the same figures before the "
                            "page reads the ledger again, 1 to 3600."
                        ),
                        "version_added": "0.2.0",
                        "type": "integer",
                        "example": "30",
                        "default": "30",
                    },
                },
            }
        },
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://learn.avepoint.com/",
                "how-to-guide": [f"{_PAGES}/guides/{name}.html" for name in _GUIDES],
                "logo": f"{_PAGES}/_static/icon.svg",
                "tags": ["service"],
            }
        ],
        "hooks": modules("hooks"),
        "operators": modules("operators"),
        "sensors": modules("sensors"),
        "triggers": modules("triggers"),
        "cli": [f"{_ROOT}.cli.definition.get_avepoint_cli_commands"],
        "extra-links": [f"{_ROOT}.links.AvePointOnlineServicesLink"],
        "asset-uris": uris,
        "dataset-uris": uris,  # the key of Airflow 2
        "connection-types": [
            {
                "connection-type": "avepoint",
                "hook-class-name": f"{_ROOT}.hooks.avepoint.AvePointHook",
                "hook-name": _NAME,
                "ui-field-behaviour": {
                    # The port is shown for Airflow's Test button alone: for a port that is not stored, the UI
                    # of Airflow 3.3 sends 0, and Airflow refuses to test another port than the stored one.
                    "hidden-fields": ["schema"],
                    "relabeling": {
                        "host": "API address",
                        "login": "Client ID",
                        "password": "Client secret",
                    },
                    "placeholders": {
                        "host": "empty with a region below; else https://graph.example.com, without a path",
                        "login": "client id of the app registration",
                        "password": "client secret; with a .pfx file or an encrypted key, its passphrase",
                        "port": "443; without it, Airflow's Test button answers Bad Request",
                    },
                },
                "conn-fields": {
                    "region": _field(
                        "Region",
                        "The data centre of your tenant; with it, leave the API address empty.",
                        enum=_REGIONS,
                    ),
                    "environment": _field(
                        "Environment",
                        "Which AvePoint cloud: decides where tokens come from.",
                        default="commercial",
                        enum=["commercial", "us_government", "aos2", "fedramp"],
                    ),
                    "identity_endpoint": _field(
                        "Identity endpoint",
                        "The full token URL, where it is not the environment's own.",
                        format="url",
                    ),
                    "certificate": _field(
                        "Certificate",
                        "PEM text of the certificate registered for the app, instead of a client secret.",
                        format="multiline",
                    ),
                    "private_key": _field(
                        "Private key", "PEM text of the certificate's private key.", format="password"
                    ),
                    "pfx_path": _field(
                        "PFX file",
                        "Path of a .pfx file on every worker and triggerer; its passphrase is the password.",
                    ),
                    "location": _field(
                        "Location", "Multi-Geo location for Microsoft 365, such as NAM; empty means all."
                    ),
                    "single_tenant": _field(
                        "Single tenant",
                        "This app registration reaches one tenant and one location of Microsoft 365 or "
                        "Google Workspace: then the newest backup of a service decides, not all of them.",
                        "boolean",
                        default=False,
                    ),
                    "allow_restore": _field(
                        "Allow restore",
                        "Lets a task with this connection start a restore, in place, in Microsoft 365. All "
                        "other tasks only read.",
                        "boolean",
                        default=False,
                    ),
                    "page_size": _field(
                        "Page size",
                        "Rows a page to start with; fewer are tried where the server refuses. Empty: 1000.",
                        "integer",
                        minimum=1,
                        maximum=10000,
                    ),
                    "max_concurrency": _field(
                        "Concurrency",
                        "Pages of one listing fetched at a time. Empty means 8.",
                        "integer",
                        minimum=1,
                        maximum=32,
                    ),
                    "timeout": _field(
                        "Timeout",
                        "Seconds to connect, and seconds without a byte of an answer. Empty means 60.",
                        "number",
                    ),
                    "verify": _field(
                        "Verify TLS", "true, false, or the path of a CA bundle. Empty means true."
                    ),
                    "proxies": _field(
                        "Proxies",
                        'A proxy URL, or an object such as {"https": "http://proxy.example:3128"}.',
                    ),
                    "trust_env": _field(
                        "Trust environment",
                        "Take proxies and CA bundles from environment variables.",
                        "boolean",
                        default=True,
                    ),
                    "insecure_http": _field(
                        "Allow plain http",
                        "For test servers only: lets credentials travel unencrypted to another machine.",
                        "boolean",
                        default=False,
                    ),
                },
            }
        ],
    }
