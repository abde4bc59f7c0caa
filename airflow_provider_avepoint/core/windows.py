"""The window of a reading: checked, and asked for by the API's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from airflow_provider_avepoint.core.arguments import parse_moment
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.clock import TOLERANCE
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.refusals import refuse

T = TypeVar("T")


def parse_window(word: str, after: object, before: object) -> tuple[datetime | None, datetime | None]:
    """Parse the two ends of a window.

    :param word: what the arguments' names begin with, such as ``detected``.
    :param after: an aware datetime, or an ISO 8601 text with an offset; None for the default.
    :param before: likewise.
    :raises AvePointConfigError: an end cannot be used, or the window is empty.
    """
    begin, end = parse_moment(f"{word}_after", after), parse_moment(f"{word}_before", before)
    if begin is not None and end is not None and begin >= end:
        raise refuse(f"{word}_after", begin.isoformat(), f"is not before {word}_before, {end.isoformat()}.")
    return begin, end


def begin_of(begin: datetime | None, end: datetime | None, span: timedelta, now: datetime) -> datetime:
    """Return the begin of a window that may have none: *span* before its end.

    :param begin: the begin that was given.
    :param end: the end that was given; None for now.
    :param span: the default length.
    :param now: the time by the API's clock.
    """
    return shift(end or now, -span) if begin is None else begin


def ask_by_clock(client: Client, ask: Callable[[datetime], Flow[T]]) -> Flow[T]:
    """Return an answer that was asked for by the API's clock.

    The first answer of a connection shows the API's clock. Where it is another one than this machine's, the
    window was another one than was meant, and is asked for again: an empty answer would look good.

    :param client: the connection.
    :param ask: returns the flow of the question, given the time.
    """
    ahead = client.clock.ahead
    answer = yield from ask(client.clock.now())
    if abs(client.clock.ahead - ahead) > TOLERANCE:
        answer = yield from ask(client.clock.now())
    return answer
