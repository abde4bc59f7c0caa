"""The plugin that puts the page into Airflow 3.1 and later; earlier releases ignore it.

Schedulers, triggerers and tasks import this module too, so it loads nothing before a server asks for the app.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin

_log = logging.getLogger(__name__)
_PREFIX = "avepoint-page"
_RUN = "run.html?dag_id={DAG_ID}&run_id={RUN_ID}"


def _view(name: str, destination: str, route: str, page: str = "", **more: str) -> dict[str, str]:
    # Without a slash at the beginning, Airflow resolves the address behind its own path prefix, too.
    return {
        "name": name,
        "href": f"{_PREFIX}/{page}",
        "destination": destination,
        "url_route": route,
        "icon": f"{_PREFIX}/icon.svg",
        "icon_dark_mode": f"{_PREFIX}/icon-dark.svg",
        **more,
    }


class AvePointPlugin(AirflowPlugin):
    """The menu entry *Browse > Backups*, and the tab *Backup* of DAG runs and task instances."""

    name = "avepoint"

    @cached_property
    def external_views(self) -> list[dict[str, str]]:  # type: ignore[override]  # made where asked for alone
        """The menu entry and the tabs; none without the app, which they would show."""
        if not self.fastapi_apps:
            return []
        task = _RUN + "&task_id={TASK_ID}&map_index={MAP_INDEX}"
        return [
            _view("Backups", "nav", _PREFIX, category="browse"),
            _view("Backup", "dag_run", "avepoint-run", _RUN),
            _view("Backup", "task_instance", "avepoint-task", task),
        ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # made where asked for alone
        """The app behind the views; none where the app cannot be made, so that Airflow's server starts."""
        try:
            from airflow_provider_avepoint.page.app import create_app

            return [{"name": "AvePoint", "app": create_app(), "url_prefix": f"/{_PREFIX}"}]
        except Exception:  # noqa: BLE001  # whatever it is, it must not stop Airflow's server
            _log.exception("The page of backups is missing: its app cannot be made")
            return []
