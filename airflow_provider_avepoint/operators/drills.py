"""Keep restore drills in the ledger, and what a restore is about to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_avepoint.core.arguments import parse_text
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.exceptions import for_airflow

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.restore import IntentStore

__all__ = ["DrillLedger", "LedgerIntents", "record_content_check"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillLedger:
    """The place of a task's drills in a ledger.

    :param conn_id: an Airflow connection to the ledger's database.
    :param tenant: the name of the tenant in the ledger.
    :param task: which try of which task this is, as the ledger keeps it; None outside of a task.
    """

    conn_id: str
    tenant: str
    task: dict[str, Any] | None

    def check(self) -> None:
        """Open the ledger, so that a ledger that cannot be used is told before anything is restored.

        :raises AvePointConfigError: the connection does not exist, or is no such database.
        :raises AvePointLedgerError: the database fails.
        """
        from airflow_provider_avepoint.ledger.store import Ledger

        Ledger(self.conn_id).close()

    def save(self, drill: Mapping[str, Any], *, awaits_check: bool = False) -> dict[str, str]:
        """Write a drill; return its name in the ledger: ``tenant`` and ``drill_id``.

        :param drill: as :meth:`.Drill.as_dict` writes it.
        :param awaits_check: the drill passes only when a check of its content is recorded.
        :raises AvePointLedgerError: the database fails.
        """
        from airflow_provider_avepoint.ledger.store import Ledger

        with Ledger(self.conn_id) as ledger:
            drill_id = ledger.save_drill(self.tenant, drill, self.task, awaits_check=awaits_check)
        return {"tenant": self.tenant, "drill_id": drill_id}

    def find_intent(self) -> dict[str, Any] | None:
        """Return what the ledger has kept of the task's restore; None where nothing was."""
        from airflow_provider_avepoint.ledger.store import Ledger

        with Ledger(self.conn_id) as ledger:
            kept: dict[str, Any] | None = None if self.task is None else ledger.find_intent(self.task)
        return kept

    def save_intent(self, kept: dict[str, Any], *, previous: object) -> None:
        """Keep what the task's restore is about to do.

        :param kept: the intent, ready for JSON.
        :param previous: what was kept before.
        :raises AvePointUnavailable: something else than *previous* was kept.
        """
        from airflow_provider_avepoint.ledger.store import Ledger

        assert self.task is not None  # noqa: S101  # open_intents makes sure
        with Ledger(self.conn_id) as ledger:
            ledger.save_intent(self.tenant, self.task, kept, previous=previous)

    def open_intents(self, handed_over: dict[str, Any] | None) -> IntentStore | None:
        """Return where the ledger keeps the intent of the task; None outside of a task.

        :param handed_over: the intent as it was when the task deferred.
        """
        return None if self.task is None else LedgerIntents(self, handed_over)


class LedgerIntents:
    """Keeps the intent of a task in the ledger, which outlives the process, the try and a clearing.

    A write goes on from what this process has read: of two tries at once, one cannot write and sends nothing.

    :param ledger: the task's place in the ledger; it has a task.
    :param handed_over: the intent as it was when the task deferred.
    """

    def __init__(self, ledger: DrillLedger, handed_over: dict[str, Any] | None) -> None:
        self._ledger = ledger
        self._handed_over = handed_over
        self._seen: object = None

    def load(self) -> object:
        """Return what was kept last; what was handed over where the ledger has nothing."""
        self._seen = self._ledger.find_intent()
        return self._handed_over if self._seen is None else self._seen

    def save(self, kept: dict[str, Any]) -> None:
        """Keep a JSON object in place of the one that was seen last.

        :param kept: the object.
        :raises AvePointUnavailable: another try of the task has kept something meanwhile.
        """
        self._ledger.save_intent(kept, previous=self._seen)
        self._seen = kept


@contextmanager
def record_content_check(drill: Mapping[str, Any], *, ledger_conn_id: str | None) -> Iterator[None]:
    """Record in the ledger what the check of a drill's content comes to: put your check into this block.

    If the block ends well, the drill has passed; with ``expect_content_check`` not before. If the block
    raises, the drill has not passed (``check_failed``). A check that is skipped records nothing.

    :param drill: what ``AvePointRestoreOperator`` has returned.
    :param ledger_conn_id: the same as the operator's; None records nothing.
    :raises AvePointConfigError: the ledger does not have the drill.
    :raises AvePointLedgerError: the check has ended well, and the ledger fails.
    """
    named = drill.get("ledger")
    with for_airflow():
        conn_id = parse_text("ledger_conn_id", ledger_conn_id)
        if conn_id is not None and not isinstance(named, Mapping):
            raise AvePointConfigError(
                "record_content_check: the drill is in no ledger; give AvePointRestoreOperator the same "
                "ledger_conn_id."
            )
    try:
        yield
    except AirflowSkipException:
        raise
    except Exception as e:
        if conn_id is not None:
            try:
                _record(conn_id, named, _describe(e))
            except AvePointError as failure:
                log.error("The failed check could not be recorded: %s", failure)  # noqa: TRY400  # no bug
        raise
    if conn_id is not None:
        with for_airflow():
            _record(conn_id, named, None)


def _describe(error: Exception) -> str:
    """Return an error of the user's check in one line; secrets that Airflow knows are masked, as in logs."""
    from airflow.providers.common.compat.sdk import redact

    return f"{type(error).__name__}: {one_line(redact(str(error)))}"


def _record(conn_id: str, named: Any, problem: str | None) -> None:
    from airflow_provider_avepoint.ledger.store import Ledger

    with Ledger(conn_id) as ledger:
        is_there = ledger.save_content_check(
            str(named.get("tenant")), str(named.get("drill_id")), datetime.now(UTC), problem
        )
    if not is_there:
        raise AvePointConfigError(
            f"record_content_check: the ledger {conn_id!r} does not have the drill, or its restore has not "
            "passed."
        )
