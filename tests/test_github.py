"""What GitHub runs and asks: the workflows, the forms of issues, and the hooks before a commit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from compat.releases import OLDEST_PYTHON, RELEASES

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.dependabot": [ROOT / ".github" / "dependabot.yml"],
    "vendor.github-issue-forms": sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")),
    "vendor.github-issue-config": [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"],
}


def load(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # texts only: "on" stays "on"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_files_are_as_github_reads_them(schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *SCHEMAS[schema]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_rights_are_few(path: Path) -> None:
    """A tag can be moved to another commit, a commit cannot; no job has a right that it does not name."""
    for used in re.findall(r"uses: (.+)", path.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    workflow = load(path)
    assert {} == yaml.safe_load(path.read_text())["permissions"]
    for name, job in workflow["jobs"].items():
        rights = {"id-token": "write"} if name == "publish" else {"contents": "read"}
        assert rights == job["permissions"], name
        assert "uses" in job or int(job["timeout-minutes"]) <= 90
        for step in job.get("steps", ()):
            if "actions/checkout@" in step.get("uses", ""):
                assert "false" == step["with"]["persist-credentials"]


def test_ci_runs_what_make_has() -> None:
    wanted = {
        target
        for path in WORKFLOWS
        for line in re.findall(r"run: make (.+)", path.read_text())
        for target in line.split()
    }

    assert {"check", "test", "test-system"} <= wanted
    assert wanted - {".venv/.installed"} <= set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))


def test_the_wheel_is_tested_on_each_release_of_airflow() -> None:
    """With the oldest Python and with the newest that the release allows, as ``make compat`` does."""
    matrix = load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["wheel"]["strategy"]["matrix"]
    runs = {(airflow, python) for airflow in matrix["airflow"] for python in matrix["python"]}
    runs |= {(extra["airflow"], extra["python"]) for extra in matrix["include"]}

    assert runs == {
        (release.minor, f"{python[0]}.{python[1]}")
        for release in RELEASES
        for python in (OLDEST_PYTHON, release.newest_python)
    }


def test_only_a_tag_that_ci_has_passed_is_published() -> None:
    release = load(ROOT / ".github" / "workflows" / "release.yml")

    assert {"push": {"tags": ["v*"]}} == release["on"]
    assert "./.github/workflows/ci.yml" == release["jobs"]["ci"]["uses"]
    assert ("ci", "build") == tuple(release["jobs"][name]["needs"] for name in ("build", "publish"))


def test_a_commit_is_checked_as_make_check_does() -> None:
    (local,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    check = MAKEFILE.split("\ncheck:")[1].split("\n\n")[0].splitlines()[1:]

    assert [line.strip().replace("$(BIN)", ".venv/bin") for line in check] == [
        hook["entry"] for hook in local["hooks"]
    ]
