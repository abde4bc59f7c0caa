"""Airflow's REST API, as far as the demo and the tests need it."""

from __future__ import annotations

import time
from typing import Any

import httpx

_SECONDS = 30.0
# On SQLite, Airflow answers 500 where its database is locked for too long.
_READINGS, _PAUSE = 3, 1.0
# More task instances than any run here has.
_LIMIT = 200


class AirflowApi:
    """A thin client: JSON in, JSON out.

    :param url: where Airflow serves.
    :param username: who signs in, at the first call.
    :raises httpx.HTTPStatusError: an answer is not a success; raised by every method.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        self._login = {"username": username, "password": password}
        # What the environment says about proxies is not meant for loopback.
        self._client = httpx.Client(base_url=url, timeout=_SECONDS, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def health(self) -> dict[str, str | None]:
        """Return each component's status, such as ``healthy``."""
        return {name: part["status"] for name, part in self._send("GET", "/api/v2/monitor/health").items()}

    def serves_tasks(self) -> bool:
        """Tell whether tasks can report.

        The first call builds that part of Airflow, which takes about as long as a task would wait for it.
        """
        return bool(self._send("GET", "/execution/health")["status"] == "healthy")

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        """Return the answer's JSON, None where it has no body. *path* follows the host: ``/api/v2/…``."""
        if "Authorization" not in self._client.headers:
            token = self._send("POST", "/auth/token", json=self._login)["access_token"]
            self._client.headers["Authorization"] = f"Bearer {token}"
        return self._send(method, path, **kwargs)

    def has_dag(self, dag_id: str) -> bool:
        """Tell whether Airflow has parsed the DAG."""
        dags = self.request("GET", "/api/v2/dags", params={"dag_id_pattern": dag_id, "limit": _LIMIT})
        return dag_id in [dag["dag_id"] for dag in dags["dags"]]

    def import_errors(self) -> list[str]:
        """Return the traceback of each DAG file that cannot be imported."""
        errors = self.request("GET", "/api/v2/importErrors")["import_errors"]
        return [error["stack_trace"] for error in errors]

    def unpause(self, dag_id: str) -> None:
        """Let the DAG's runs run."""
        self.request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Start no further run of the DAG."""
        self.request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": True})

    def dag_ids(self) -> list[str]:
        """Return the ids of all DAGs."""
        dags = self.request("GET", "/api/v2/dags", params={"limit": _LIMIT})["dags"]
        return [dag["dag_id"] for dag in dags]

    def run_ids(self, dag_id: str) -> list[str]:
        """Return the ids of the DAG's runs."""
        runs = self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"limit": _LIMIT})["dag_runs"]
        return [run["dag_run_id"] for run in runs]

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, *, run_id: str | None = None) -> str:
        """Start a run; return its id."""
        body = {"logical_date": None, "conf": conf or {}} | ({"dag_run_id": run_id} if run_id else {})
        run_id = self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        assert isinstance(run_id, str)  # noqa: S101  # Airflow's schema says so
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the run's task instances by name; a mapped one is called ``task_id[map_index]``."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self.request("GET", path, params={"limit": _LIMIT})["task_instances"]
        return {_name(instance): instance for instance in found}

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of each task instance by name, None before it is scheduled."""
        return {name: ti["state"] for name, ti in self.task_instances(dag_id, run_id).items()}

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """Return what a task has left under *key*; None if it has left nothing."""
        path = f"{_path(dag_id, run_id, task_id)}/xcomEntries/{key}"
        try:
            return self.request("GET", path, params={"map_index": map_index})["value"]
        except httpx.HTTPStatusError as e:
            if e.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise

    def logs(
        self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, try_number: int = 1
    ) -> list[str]:
        """Return the lines of a task's log, the triggerer's among them."""
        path = f"{_path(dag_id, run_id, task_id)}/logs/{try_number}"
        events = self.request("GET", path, params={"map_index": map_index})["content"]
        return [event if isinstance(event, str) else event["event"] for event in events]

    def links(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> dict[str, str | None]:
        """Return the task's extra links: name to address."""
        path = f"{_path(dag_id, run_id, task_id)}/links"
        links: dict[str, str | None] = self.request("GET", path, params={"map_index": map_index})[
            "extra_links"
        ]
        return links

    def _send(self, method: str, path: str, **kwargs: Any) -> Any:
        answer = self._client.request(method, path, **kwargs)
        for _ in range(_READINGS - 1):
            if method != "GET" or answer.status_code != httpx.codes.INTERNAL_SERVER_ERROR:
                break
            time.sleep(_PAUSE)
            answer = self._client.request(method, path, **kwargs)
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {answer.status_code} {answer.text}",
                request=answer.request,
                response=answer,
            )
        return answer.json() if answer.content else None


def _path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"


def _name(instance: dict[str, Any]) -> str:
    index = instance["map_index"]
    return f"{instance['task_id']}[{index}]" if index >= 0 else str(instance["task_id"])
