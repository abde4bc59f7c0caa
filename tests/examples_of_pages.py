"""Runs of the DAGs on the pages; ``tests/test_pages.py`` runs this file as a user has it, beside the DAGs."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@pytest.fixture
def receiver():
    """Return the address of a server, and the list of what the server is sent: path and body."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_a_failed_backup_is_told_to_slack_and_teams(avepoint, run_dag, receiver, monkeypatch):
    address, received = receiver
    slack = {"conn_type": "slackwebhook", "host": f"http://{address}/services", "password": "T00/B00/XXXXXX"}
    teams = {"conn_type": "apprise", "extra": {"config": {"path": f"json://{address}/teams", "tag": "all"}}}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_BACKUPS", json.dumps(slack))
    monkeypatch.setenv("AIRFLOW_CONN_TEAMS_BACKUPS", json.dumps(teams))
    from alert import dag

    avepoint.add_job("dynamics365", organization_id="contoso", state="failed")

    assert run_dag(dag) == {"wait_for_backup": "failed"}
    told = {path: body.get("text") or body["message"] for path, body in received}
    assert told.keys() == {"/services/T00/B00/XXXXXX", "/teams"}
    for text in told.values():
        assert text.startswith("The gate alert / wait_for_backup is shut: ")
        assert "contoso" in text


def test_a_delete_runs_when_the_files_are_backed_up(avepoint, run_dag):
    from guard_a_delete import dag

    avepoint.add_job("m365", workload="sharepoint_online")

    assert set(run_dag(dag).values()) == {"success"}


def test_an_attack_keeps_the_delete_from_running(avepoint, run_dag):
    from guard_a_delete import dag

    avepoint.add_job("m365", workload="sharepoint_online")
    attacked = {"serviceType": 1, "potentialRansomwareAttackCount": 3, "unusualActivitiesCount": 0}
    avepoint.set_reading("m365", "unusual_activity", [attacked])

    assert run_dag(dag)["delete"] == "upstream_failed"


def test_each_tenant_has_a_gate_of_its_own(avepoint, run_dag, monkeypatch):
    """The connection of the second one is refused, and the first one loads."""
    from several_tenants import dag

    good = avepoint.connection
    monkeypatch.setenv("AIRFLOW_CONN_AVEPOINT_CONTOSO", json.dumps(good))
    monkeypatch.setenv("AIRFLOW_CONN_AVEPOINT_FABRIKAM", json.dumps(good | {"password": "wrong-secret"}))
    avepoint.add_job("dynamics365", organization_id="contoso")

    assert run_dag(dag) == {
        "guard.wait_for_backup[0]": "success",
        "guard.load[0]": "success",
        "guard.wait_for_backup[1]": "failed",
        "guard.load[1]": "upstream_failed",
    }
