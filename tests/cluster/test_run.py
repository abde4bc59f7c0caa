"""The shortest useful run of the cluster: the same code with eight gates, a worker and a triggerer killed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from cluster.run import SHORT, Run
from cluster.strikes import ALL

pytestmark = pytest.mark.airflow


@pytest.fixture
def home():
    """Return a directory that PostgreSQL's user can enter, which those of pytest are not."""
    home = Path(tempfile.mkdtemp(prefix="avepoint-cluster-"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


def test_every_gate_gets_what_its_backup_deserves_while_a_worker_and_a_triggerer_are_killed(home, capsys):
    """No secret or token is in a log, a row, a template, a note or a header; no process lives on."""
    assert [] == Run(SHORT, home).play()

    report = capsys.readouterr().out
    assert all(f"STRIKE: {name}, w" in report for name in ALL[:2]), report
    assert (
        "Every gate has one outcome, the one its backup deserves; no secret got out; nothing runs on."
        in report
    )
    assert "Wall time: " in report
