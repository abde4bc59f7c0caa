"""Airflow metrics: the requests of this provider, and their results.

``avepoint.requests``, ``avepoint.retries`` and ``avepoint.throttled`` by product (``identity`` for tokens),
``avepoint.polls`` by product and outcome, ``avepoint.verdicts`` by product and reason.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Stats


def count(name: str, **tags: str) -> None:
    """Add one to the counter ``avepoint.<name>``.

    :param name: the counter's name without its prefix.
    :param tags: the tags of the metric, such as ``product``.
    """
    Stats.incr(f"avepoint.{name}", tags=tags)
