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
        host = urlsplit(url).hostname
        if _is_no_name(cause):
            return NoAnswer(f"there is no host of the name {host}", was_sent=False, is_no_host=True)
        if isinstance(cause, socket.gaierror):
            return NoAnswer(f"the name of the host {host} could not be looked up", was_sent=False)
        cause = cause.__cause__ or cause.__context__
    return None


def _is_no_name(error: BaseException) -> bool:
    """Tell whether *error* says that a host's name does not exist, or cannot be one, such as a long one."""
    if isinstance(error, socket.gaierror):
        return error.errno in _NO_SUCH_NAME
    # The codec of names raises one of these, by the version of Python; other codecs raise other errors.
    return type(error) is UnicodeError or getattr(error, "encoding", None) == "idna"
