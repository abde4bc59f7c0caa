"""Airflow metrics: what this provider asks of AvePoint, and what became of it.

``avepoint.requests``, ``avepoint.retries`` and ``avepoint.throttled`` by product (``identity`` for tokens),
``avepoint.polls`` by product and outcome, ``avepoint.verdicts`` by product and reason.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Stats


def count(name: str, **tags: str) -> None:
    """Count one more of ``avepoint.<name>``."""
    Stats.incr(f"avepoint.{name}", tags=tags)
