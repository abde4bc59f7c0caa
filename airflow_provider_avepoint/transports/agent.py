"""Say in each request who asks, for the vendor's support and for the log of a proxy."""

from __future__ import annotations

from airflow_provider_avepoint import __version__


def name_agent(library: str) -> str:
    """Return the header ``User-Agent``: this release, and the library that sends the request.

    :param library: how the library names itself, such as ``python-requests/2.32.5``.
    """
    return f"airflow-provider-avepoint/{__version__} {library}"
