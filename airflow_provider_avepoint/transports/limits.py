"""Limit the duration and the size of an answer, so that no server can hold a worker for ever."""

from __future__ import annotations

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.flow import Request
from airflow_provider_avepoint.core.settings import Settings

#: The largest body in bytes, uncompressed: about a hundred times the largest page.
MAX_BODY = 256 << 20
_TIMEOUTS = 10


def find_longest(settings: Settings) -> float:
    """Return the seconds that a whole answer may take: ten times the timeout.

    :param settings: the connection.
    """
    return settings.timeout * _TIMEOUTS


def check_size(request: Request, size: int) -> None:
    """Refuse a body that is too large to come from the API.

    :param request: the request, for the message.
    :param size: the bytes received so far, uncompressed.
    :raises AvePointPayloadError: the body is larger than ``MAX_BODY``.
    """
    if size > MAX_BODY:
        raise AvePointPayloadError(
            f"{request} answered with more than {MAX_BODY >> 20} MiB; check the connection's "
            f"{request.addressed_by}, and ask for smaller pages with its page_size."
        )
