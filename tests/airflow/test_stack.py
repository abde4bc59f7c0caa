"""The stack that tests and demo run on starts what it says, reports what went wrong, and leaves nothing."""

from __future__ import annotations

import pytest

from demo.stack import AirflowStack, StackError
from tests.versions import AIRFLOW

pytestmark = pytest.mark.airflow


def living(processes):
    return [process for process in processes if process.is_running() and process.status() != "zombie"]


def test_nothing_lives_on_after_the_stack():
    """The components' children end too: Airflow puts tasks into process groups of their own."""
    with AirflowStack() as stack:
        members = [member for process in stack.processes for member in process.members()]
        home = stack.home
        titles = [" ".join(member.cmdline()) for member in members]

    assert len(members) >= 4 + 4 + 1, titles  # components, LocalExecutor's workers, the triggerer's runner
    assert [] == living(members)
    assert not home.exists()


def test_a_component_that_ends_at_once_is_reported_with_its_log(tmp_path):
    stack = AirflowStack(
        home=tmp_path / "airflow", environment={"AIRFLOW__CORE__EXECUTOR": "nobody.knows.ThisExecutor"}
    )

    # Airflow 3.0 names no more than the module that is missing.
    named = r"nobody\.knows\.ThisExecutor" if AIRFLOW >= (3, 1) else "No module named 'nobody'"
    with pytest.raises(StackError, match=rf"scheduler ended with 1[\s\S]*{named}"):
        stack.start()

    assert [] == [member for process in stack.processes for member in process.members()]


def test_a_database_that_cannot_be_made_is_reported_with_its_log(tmp_path):
    stack = AirflowStack(
        home=tmp_path / "airflow",
        environment={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/at/all.db"},
    )

    with pytest.raises(StackError, match=r"database could not be made[\s\S]*unable to open database file"):
        stack.start()

    assert [] == [member for process in stack.processes for member in process.members()]


def test_a_start_that_takes_too_long_is_given_up(tmp_path):
    stack = AirflowStack(home=tmp_path / "airflow", start_seconds=0.5)

    with pytest.raises(StackError, match=r"Not within 0\.5 s: the database is made"):
        stack.start()

    assert [] == [member for process in stack.processes for member in process.members()]
