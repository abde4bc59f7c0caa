"""A link from a task to AvePoint Online Services, where jobs and licences are managed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_avepoint.core.settings import Settings

_KEY = "avepoint_online_services"


class AvePointOnlineServicesLink(BaseOperatorLink):
    """Opens AvePoint Online Services: for the environments whose address is documented."""

    name = "AvePoint Online Services"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002  # Airflow's
        """Return the address that the task has left, or nothing: looks up no connection."""
        return XCom.get_value(key=_KEY, ti_key=ti_key) or ""


def leave_link(context: Context, settings: Settings) -> None:
    """Leave the address for the link, where there is one and a task to hold it."""
    if settings.console_url is not None and (ti := context.get("ti")) is not None:
        ti.xcom_push(_KEY, settings.console_url)
