"""Airflow's database as a witness: every row that it has held, and what the gates came to."""

from __future__ import annotations

import json
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet

HISTORY = "cluster_history"
# How Fernet writes what it has encrypted.
_ENCRYPTED = re.compile(r"gAAAA[\w-]+=*")
_TERMINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# Tables whose rows change or go while the DAG runs: of these, every state is kept.
_WATCHED = (
    "log",
    "rendered_task_instance_fields",
    "task_instance",
    "task_instance_note",
    "task_state_store",
    "trigger",
    "xcom",
)
_KEEP_HISTORY = """
CREATE TABLE cluster_history (
    number bigserial, at timestamptz DEFAULT clock_timestamp(), source text, row jsonb
);
CREATE FUNCTION cluster_history_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cluster_history (source, row) VALUES (TG_TABLE_NAME, to_jsonb(NEW));
    RETURN NULL;
END $$;
"""
_WATCH = """
CREATE TRIGGER cluster_history AFTER INSERT OR UPDATE ON {table}
FOR EACH ROW EXECUTE FUNCTION cluster_history_keep()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """What became of one task of the run.

    :param ends: each terminal state that it ever had, oldest first.
    :param was_deferred: it was handed to the triggerer at least once.
    """

    state: str | None
    ends: tuple[str, ...]
    tries: int
    was_deferred: bool


class Database:
    """Airflow's database.

    :param url: SQLAlchemy's address.
    :param fernet_key: what Airflow encrypts triggers' arguments with.
    """

    def __init__(self, url: str, fernet_key: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        self._fernet = Fernet(fernet_key)

    def keep_history(self) -> None:
        """Have PostgreSQL write down each row that comes into or changes in the tables that tasks leave."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql(_KEEP_HISTORY)
            known = sa.inspect(connection).get_table_names()
            for table in filter(known.__contains__, _WATCHED):
                connection.exec_driver_sql(_WATCH.format(table=table))

    def count_states(self, dag_id: str) -> dict[str, dict[str | None, list[int]]]:
        """Return the map indexes of each task by its state."""
        query = "SELECT task_id, state, map_index FROM task_instance WHERE dag_id = :dag_id"
        states: dict[str, dict[str | None, list[int]]] = {}
        for task_id, state, map_index in self._rows(query, dag_id=dag_id):
            states.setdefault(task_id, {}).setdefault(state, []).append(map_index)
        return states

    def running_pids(self, dag_id: str, task_id: str) -> set[int]:
        """Return the process ids of a mapped task's instances that run."""
        query = (
            "SELECT pid FROM task_instance"
            " WHERE dag_id = :dag_id AND task_id = :task_id AND state = 'running'"
        )
        return {pid for (pid,) in self._rows(query, dag_id=dag_id, task_id=task_id) if pid}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return ``queued``, ``running``, ``success`` or ``failed``."""
        query = "SELECT state FROM dag_run WHERE dag_id = :dag_id AND run_id = :run_id"
        ((state,),) = self._rows(query, dag_id=dag_id, run_id=run_id)
        return str(state)

    def task_ends(self, dag_id: str, task_id: str) -> dict[int, TaskEnd]:
        """Return what became of a mapped task, by map index."""
        history = self._rows(
            f"SELECT (row->>'map_index')::int, row->>'state', (row->>'try_number')::int FROM {HISTORY}"  # noqa: S608
            " WHERE source = 'task_instance' AND row->>'dag_id' = :dag_id AND row->>'task_id' = :task_id"
            " ORDER BY number",
            dag_id=dag_id,
            task_id=task_id,
        )
        states: dict[int, list[str | None]] = {}
        tries: dict[int, int] = {}
        for map_index, state, try_number in history:
            known = states.setdefault(map_index, [])
            if known[-1:] != [state]:
                known.append(state)
            tries[map_index] = try_number
        return {
            index: TaskEnd(
                state=known[-1],
                ends=tuple(state for state in known if state in _TERMINAL),
                tries=tries[index],
                was_deferred="deferred" in known,
            )
            for index, known in states.items()
            if index >= 0
        }

    def reasons(self, dag_id: str, task_id: str) -> dict[int, set[str]]:
        """Return the reasons of the verdicts that a mapped gate has left in any of its tries, by map index.

        Airflow removes a try's XComs when the next one begins, and that one may be killed before it judges.
        """
        history = self._rows(
            f"SELECT (row->>'map_index')::int, row->'value' FROM {HISTORY}"  # noqa: S608
            " WHERE source = 'xcom' AND row->>'dag_id' = :dag_id AND row->>'task_id' = :task_id"
            " AND row->>'key' IN ('return_value', 'verdict')",
            dag_id=dag_id,
            task_id=task_id,
        )
        reasons: dict[int, set[str]] = {}
        for map_index, value in history:
            evidence = json.loads(value) if isinstance(value, str) else value
            reasons.setdefault(map_index, set()).add(evidence["reason"])
        return reasons

    def dump(self, directory: Path) -> None:
        """Write every row to a file for each table; triggers' arguments are decrypted."""
        directory.mkdir(parents=True)
        with self._engine.connect() as connection:
            for table in sa.inspect(connection).get_table_names():
                rows = connection.execution_options(stream_results=True).execute(
                    sa.text(f'SELECT * FROM "{table}"')  # noqa: S608  # the database's own names
                )
                for row in rows.mappings():
                    name = f"{table}-{row['source']}" if table == HISTORY else table
                    with (directory / f"{name}.txt").open("a") as file:
                        for column, value in row.items():
                            text = _as_text(value)
                            # Only here: connections may hold secrets, as long as they are encrypted.
                            text = self._decrypt(text) if name.endswith("trigger") else text
                            file.write(f"{column}: {text}\n")

    def _decrypt(self, text: str) -> str:
        return _ENCRYPTED.sub(lambda match: self._fernet.decrypt(match[0]).decode(), text)

    def _rows(self, query: str, **parameters: Any) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(sa.text(query), parameters))


def _as_text(value: Any) -> str:
    """Return a column's value as one would look for it."""
    if isinstance(value, bytes | memoryview):
        packed = bytes(value)
        with suppress(zlib.error):
            packed = zlib.decompress(packed)
        return packed.decode(errors="replace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
