"""Link a task to AvePoint Online Services, the web pages where jobs and licences are managed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_avepoint.core.settings import Settings

_KEY = "avepoint_online_services"


class AvePointOnlineServicesLink(BaseOperatorLink):
    """A link to AvePoint Online Services, for the environments whose address is documented."""

    name = "AvePoint Online Services"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address that the task has stored in an XCom, or an empty text.

        This method looks up no connection. The worker that runs the task knows the address, and asks for no
        XCom: Airflow logs an XCom that is not there as an error.

        :param operator: the task's operator.
        :param ti_key: the key of the task instance.
        """
        key = _KEY
        if isinstance(operator, LinkedOperator):
            if operator.console_url is not None:
                return operator.console_url
            key = self.xcom_key  # Airflow itself has stored the link of a task that was deferred
        return XCom.get_value(key=key, ti_key=ti_key) or ""


class LinkedOperator(BaseOperator):
    """An operator with a link to AvePoint Online Services."""

    operator_extra_links = (AvePointOnlineServicesLink(),)
    #: The address of the link as this process knows it: empty where there is none; None where the process
    #: that deferred the task knows it.
    console_url: str | None = ""

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume the task after a deferral; see Airflow's operator.

        :param next_method: the method to continue with.
        :param next_kwargs: the arguments of the method.
        :param context: Airflow's context of the task.
        """
        self.console_url = None
        return super().resume_execution(next_method, next_kwargs, context)

    def leave_link(self, context: Context, settings: Settings) -> None:
        """Store the address for the link in an XCom, where there are an address and a task instance.

        :param context: Airflow's context of the task.
        :param settings: the settings of the connection.
        """
        self.console_url = settings.console_url or ""
        leave_link(context, settings)


def leave_link(context: Context, settings: Settings) -> None:
    """Store the address for the link in an XCom, where there are an address and a task instance.

    :param context: Airflow's context of the task.
    :param settings: the settings of the connection.
    """
    if settings.console_url is not None and (ti := context.get("ti")) is not None:
        ti.xcom_push(_KEY, settings.console_url)
