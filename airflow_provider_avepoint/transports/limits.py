"""How long and how large an answer may be: no server holds a worker for ever, byte by byte."""

from __future__ import annotations

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.flow import Request
from airflow_provider_avepoint.core.settings import Settings

#: Bytes of a body, uncompressed: some hundred times what the largest page has.
MAX_BODY = 256 << 20
_TIMEOUTS = 10


def find_longest(settings: Settings) -> float:
    """Return the seconds that a whole answer may take: ten times as long as one of its bytes."""
    return settings.timeout * _TIMEOUTS


def check_size(request: Request, size: int) -> None:
    """Refuse a body of *size* bytes that is too large to be one of the API's.

    :raises AvePointPayloadError: it is.
    """
    if size > MAX_BODY:
        raise AvePointPayloadError(
            f"{request} answered with more than {MAX_BODY >> 20} MiB; check the connection's "
            f"{request.addressed_by}, and ask for smaller pages with its page_size."
        )
