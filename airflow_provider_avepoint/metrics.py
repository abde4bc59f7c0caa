"""Airflow metrics: the requests of this provider, and their results.

``avepoint.requests``, ``avepoint.retries`` and ``avepoint.throttled`` by product (``identity`` for tokens),
``avepoint.polls`` by product and outcome, ``avepoint.verdicts`` by product and reason, ``avepoint.readings``
by product, topic and outcome, ``avepoint.restore_requests`` by product, service and outcome of the request,
``avepoint.restores`` by product, service and outcome of the drill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointError,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointUnavailable,
)

# The first class that fits; any other error is a refusal.
_OUTCOMES = (
    (AvePointPermissionError, "no_permission"),
    (AvePointUnavailable, "unavailable"),
    (AvePointPayloadError, "not_understood"),
)


def count(name: str, **tags: str) -> None:
    """Add one to the counter ``avepoint.<name>``.

    :param name: the counter's name without its prefix.
    :param tags: the tags of the metric, such as ``product``.
    """
    Stats.incr(f"avepoint.{name}", tags=tags)


@contextmanager
def count_reading(topic: str, product: str) -> Iterator[None]:
    """Count what comes of a reading beside the jobs.

    The outcome is ``answered``, ``no_permission``, ``unavailable``, ``not_understood`` or ``refused``. Where
    an argument cannot be used, nothing was asked, and nothing is counted.

    :param topic: what is read, such as ``schedule``.
    :param product: the product's name.
    """
    try:
        yield
    except AvePointConfigError:
        raise
    except AvePointError as e:
        outcome = next((word for kind, word in _OUTCOMES if isinstance(e, kind)), "refused")
        count("readings", product=product, topic=topic, outcome=outcome)
        raise
    count("readings", product=product, topic=topic, outcome="answered")
