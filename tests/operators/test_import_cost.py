"""A DAG file that imports the operators and sensors pays for Airflow, and for nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.versions import AIRFLOW

ROOT = Path(__file__).parents[2]
HEAVY = [
    "requests",
    "aiohttp",
    "jwt",
    "airflow.providers.http.hooks.http",
    "cryptography.x509",
    "asgiref.sync",
    "matplotlib",
    "alembic",
]
SCRIPT = f"""
import json, sys
from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator
before = set(sys.modules)
import airflow_provider_avepoint.operators.avepoint, airflow_provider_avepoint.sensors.avepoint
loaded = set(sys.modules) - before
print(json.dumps({{
    "heavy": [name for name in {HEAVY!r} if name in loaded],
    "present": [name for name in {HEAVY!r} if name in sys.modules],
    "ours": sorted(name for name in loaded if name.startswith("airflow_provider_avepoint.")),
}}))
"""


def test_a_dag_file_loads_no_client() -> None:
    """Neither HTTP client nor JWT: they come with the hook, when a task runs."""
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )

    loaded = json.loads(answer.stdout.splitlines()[-1])
    assert loaded["heavy"] == []
    if AIRFLOW >= (3, 3):  # an older one loads some of them itself
        assert loaded["present"] == []
    assert "airflow_provider_avepoint.operators.avepoint" in loaded["ours"]
    parts = {name.split(".")[1] for name in loaded["ours"]}
    assert not parts & {"hooks", "transports", "credentials", "ledger", "report", "triggers", "simulator"}
