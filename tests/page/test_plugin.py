"""What Airflow learns of the page, and what that costs the processes that never show the page."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest  # noqa: TC002  # the fixtures are typed

from airflow_provider_avepoint.page.plugin import AvePointPlugin

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from airflow.providers.common.compat.sdk import AirflowPlugin
before = set(sys.modules)
import airflow_provider_avepoint.page.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["airflow.plugins"] == {
        "avepoint": f"{AvePointPlugin.__module__}:{AvePointPlugin.__name__}"
    }


def test_the_views_are_as_airflow_takes_them() -> None:
    """Airflow drops the whole plugin for a view that is not."""
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse

    plugin = AvePointPlugin()
    for view in plugin.external_views:
        ExternalViewResponse(**view)
    routes = [view["url_route"] for view in plugin.external_views]

    assert len({*routes}) == len(routes) == 3
    assert {view["destination"] for view in plugin.external_views} == {"nav", "dag_run", "task_instance"}
    assert all(view["href"].startswith("avepoint-page/") for view in plugin.external_views)  # behind a prefix


def test_the_app_is_made_once() -> None:
    plugin = AvePointPlugin()
    (app,) = plugin.fastapi_apps

    assert app["url_prefix"] == "/avepoint-page"
    assert plugin.fastapi_apps[0]["app"] is app["app"]


def test_an_app_that_cannot_be_made_leaves_the_server_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "airflow_provider_avepoint.page.app", None)

    with caplog.at_level(logging.ERROR):
        plugin = AvePointPlugin()
        assert plugin.fastapi_apps == []
        assert plugin.external_views == []  # they would show Airflow's own UI in a frame

    assert "The page of backups is missing" in caplog.text


def test_the_plugin_loads_nothing_that_only_the_page_needs() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )

    loaded = json.loads(answer.stdout.splitlines()[-1])
    assert [name for name in loaded if name.startswith("airflow_provider_avepoint.")] == [
        "airflow_provider_avepoint.page",
        "airflow_provider_avepoint.page.plugin",
    ]
    assert not {"fastapi", "sqlalchemy", "pydantic"} & {*loaded}


def test_each_vendored_file_has_its_licence_and_version() -> None:
    vendor = Path(sys.modules[AvePointPlugin.__module__].__file__ or "").with_name("vendor")
    names = [line.split()[0] for line in (vendor / "versions.txt").read_text().splitlines()]

    assert {path.stem for path in vendor.iterdir()} == {*names, "versions"}
    assert all((vendor / f"{name}.LICENSE").stat().st_size for name in names)
    assert sum(path.stat().st_size for path in vendor.parent.rglob("*.*")) < 400_000
