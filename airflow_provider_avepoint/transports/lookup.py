"""Say in words that a host's name could not be resolved."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from airflow_provider_avepoint.core.flow import NoAnswer

# What a resolver says of a name that does not exist; of other failures it says that they may pass.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def explain_lookup(error: BaseException, url: str) -> NoAnswer | None:
    """Return what to throw into a flow where *error* says that a name was not resolved; else None.

    :param error: the error of a request.
    :param url: the URL of the server or proxy that the request was to be sent to.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            host = urlsplit(url).hostname
            if cause.errno in _NO_SUCH_NAME:
                return NoAnswer(f"there is no host of the name {host}", was_sent=False, is_no_host=True)
            return NoAnswer(f"the name of the host {host} could not be looked up", was_sent=False)
        cause = cause.__cause__ or cause.__context__
    return None
