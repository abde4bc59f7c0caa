"""Wait for a restore on the triggerer's event loop, without changing anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_avepoint.core.errors import AvePointError, AvePointPayloadError, AvePointUnavailable
from airflow_provider_avepoint.core.restore import Intent, RestoreRequest, look_for_news
from airflow_provider_avepoint.core.wait_events import MAX_FAILED_POLLS

if TYPE_CHECKING:
    from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook

__all__ = ["AvePointRestoreTrigger"]


class AvePointRestoreTrigger(BaseTrigger):
    """Wake the task of a restore when there is something to see, or when its time is over.

    The trigger only reads: two triggerers may run one trigger, and a restore must be asked for once. So the
    event decides nothing. The task looks for itself, and a lost or strange event does no harm.

    The arguments are JSON values and hold the connection's id, never a secret. Times are absolute, so that a
    restarted triggerer continues the same wait.

    :param avepoint_conn_id: the id of the connection.
    :param request: ``RestoreRequest.as_dict()``.
    :param intent: ``Intent.as_dict()``; None where nothing is asked for before *wake_at*.
    :param poll_interval: seconds between two looks.
    :param wake_at: when the task is to be woken whatever there is to see, in ISO 8601.
    :param first_poll_at: the earliest time of a look, and so of an event, in ISO 8601.
    """

    def __init__(
        self,
        *,
        avepoint_conn_id: str,
        request: dict[str, Any],
        intent: dict[str, Any] | None,
        poll_interval: float,
        wake_at: str,
        first_poll_at: str,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.avepoint_conn_id = avepoint_conn_id
        self.request = request
        self.intent = intent
        self.poll_interval = poll_interval
        self.wake_at = wake_at
        self.first_poll_at = first_poll_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of this class, and the arguments that rebuild this trigger."""
        return (
            "airflow_provider_avepoint.triggers.avepoint.AvePointRestoreTrigger",
            {
                "avepoint_conn_id": self.avepoint_conn_id,
                "request": self.request,
                "intent": self.intent,
                "poll_interval": self.poll_interval,
                "wake_at": self.wake_at,
                "first_poll_at": self.first_poll_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event that wakes the task."""
        message, has_failed = await self._wait()
        event = {"message": message, "has_failed": has_failed}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's

    async def _wait(self) -> tuple[str, bool]:
        """Look until there is something to see; return what, and whether the looks have failed."""
        wake_at = datetime.fromisoformat(self.wake_at)
        await _sleep_until(min(datetime.fromisoformat(self.first_poll_at), wake_at))
        if self.intent is None:
            await _sleep_until(wake_at)
            return "It is time to ask again.", False
        from airflow_provider_avepoint.hooks.avepoint import AvePointAsyncHook

        failed = 0
        async with AvePointAsyncHook(self.avepoint_conn_id) as hook:
            while True:
                try:
                    news = await self._look(hook)
                except (AvePointUnavailable, AvePointPayloadError) as e:
                    failed += 1
                    self.log.warning("The look failed (%s in a row so far): %s", failed, e)
                    if failed >= MAX_FAILED_POLLS:
                        return f"{failed} looks in a row failed; the last: {e}", True
                except AvePointError as e:
                    return str(e), True
                else:
                    failed = 0
                    if news is not None:
                        return news, False
                left = (wake_at - datetime.now(UTC)).total_seconds()
                if left <= 0:
                    return "The time of this wait is over.", False
                await asyncio.sleep(min(self.poll_interval, left))

    async def _look(self, hook: AvePointAsyncHook) -> str | None:
        request = RestoreRequest.read(self.request)
        news = await hook.aperform(look_for_news(await hook.aget_client(), request, Intent.read(self.intent)))
        self.log.info("%s", news.text)
        return news.text if news.is_final else None


async def _sleep_until(moment: datetime) -> None:
    await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
