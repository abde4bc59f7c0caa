"""Link a task to AvePoint Online Services, the web pages where jobs and licences are managed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_avepoint.core.settings import Settings

_KEY = "avepoint_online_services"


class AvePointOnlineServicesLink(BaseOperatorLink):
    """A link to AvePoint Online Services, for the environments whose address is documented."""

    name = "AvePoint Online Services"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002  # Airflow's
        """Return the address that the task has stored in an XCom, or an empty text.

        This method looks up no connection.

        :param operator: the task's operator.
        :param ti_key: the key of the task instance.
        """
        return XCom.get_value(key=_KEY, ti_key=ti_key) or ""


def leave_link(context: Context, settings: Settings) -> None:
    """Store the address for the link in an XCom, where there are an address and a task instance.

    :param context: Airflow's context of the task.
    :param settings: the settings of the connection.
    """
    if settings.console_url is not None and (ti := context.get("ti")) is not None:
        ti.xcom_push(_KEY, settings.console_url)
