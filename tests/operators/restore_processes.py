"""A restore in a process of its own, which is killed at a chosen point; what is kept is a file."""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_avepoint.core import restore, retry
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators import restore as operators
from airflow_provider_avepoint.operators.avepoint import AvePointRestoreOperator

#: How long a restore is looked for here; ten minutes elsewhere.
SEARCH_SECONDS = 2.0


class FileState:
    """Airflow's task state as a file, which is there whole or not at all.

    :param path: the file.
    :param dies_at: die before the write of this number, the first being 1; None: do not.
    """

    def __init__(self, path: str, dies_at: int | None) -> None:
        self._path = Path(path)
        self._left = dies_at

    def get(self, _key: str, default: Any = None) -> Any:
        return json.loads(self._path.read_text()) if self._path.exists() else default

    def set(self, _key: str, value: Any, **_retention: Any) -> None:
        if self._left is not None:
            self._left -= 1
            if not self._left:
                die()
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(value))
        draft.replace(self._path)


def keep_in_ledger(path: str, dies_at: int | None) -> None:
    """Let the ledger be an SQLite file.

    :param path: the file.
    :param dies_at: as in :class:`FileState`.
    """
    os.environ["AIRFLOW_CONN_LEDGER"] = json.dumps({"conn_type": "sqlite", "host": path})
    save, left = Ledger.save_intent, dies_at

    def save_or_die(*arguments: Any, **named: Any) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if not left:
                die()
        save(*arguments, **named)

    Ledger.save_intent = save_or_die  # type: ignore[method-assign]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def restore_once(path: str, dies_at: int | None = None, *, dies_before_sending: bool = False) -> str:
    """Run one try of the task; return how the try ended, in a word or two.

    :param path: where the intent is kept: a ledger where the name ends so, and else Airflow's task state.
    :param dies_at: as in :class:`FileState`.
    :param dies_before_sending: die when the intent is kept.
    """
    for module in (restore, operators):
        module.SEARCH_FOR = timedelta(seconds=SEARCH_SECONDS)
    retry.BASE_DELAY = 0.05
    if dies_before_sending:
        operators.start_restore = lambda *_arguments: die()
    task = AvePointRestoreOperator(
        task_id="restore",
        service="sharepoint_online",
        site_url="https://contoso.sharepoint.com/sites/canary",
        library="Documents",
        folders="canary",
        recovery_time="2026-11-01T00:00:00Z",
        poll_interval=0.1,
        timeout=60,
        deferrable=False,
    )
    ti = SimpleNamespace(
        dag_id="drill",
        run_id="once",
        task_id="restore",
        map_index=-1,
        try_number=1,
        xcom_push=lambda *_arguments: None,
    )
    context: dict[str, Any] = {"ti": ti}
    if path.endswith(".db"):
        keep_in_ledger(path, dies_at)
        task.ledger_conn_id = "ledger"
    else:
        context["task_state_store"] = FileState(path, dies_at)
    try:
        drill = task.execute(context)
    except AirflowException as e:
        return type(e).__name__
    return f"passed, {'found by its start' if drill['was_adopted'] else 'known by its id'}"
