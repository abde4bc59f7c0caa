"""Ask what a gate asks beside the jobs."""

from __future__ import annotations

from datetime import timedelta

from airflow_provider_avepoint.core.activity import get_activity
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.questions import Question, Reading, Topic
from airflow_provider_avepoint.core.schedule import get_schedule


def ask(client: Client, question: Question) -> Flow[Reading]:
    """Return the answer to a question.

    :param client: the connection.
    :param question: the question.
    :raises AvePointPermissionError: the app registration lacks the permission, which the message names.
    :raises AvePointPayloadError: the answer is not understood.
    """
    if question.topic is Topic.SCHEDULE:
        return (yield from get_schedule(client, question.product, question.location))
    endpoint = get_product(question.product).activity
    since = None
    if endpoint is not None and endpoint.detected_after is not None:
        since = shift(client.clock.now(), -(question.within or timedelta()))
    return (
        yield from get_activity(
            client,
            question.product,
            detected_after=since,
            organization_id=question.organization_id,
            location=question.location,
        )
    )
