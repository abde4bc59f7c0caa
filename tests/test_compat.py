"""What ``make compat`` counts and covers."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from compat.__main__ import Counts
from compat.environments import ROOT, find_pythons
from compat.releases import OLDEST_PYTHON, RELEASES

SUITE = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError

def test_passes(): pass
def test_passes_too(): pass
def test_fails(): assert False
def test_errs(broken): pass
@pytest.mark.skip(reason="lacking")
def test_skipped(): pass
"""


@pytest.mark.parametrize(
    ("suite", "counts"),
    [
        (SUITE, (2, 1, 2)),
        ("import pytest\npytest.skip('lacking', allow_module_level=True)", (0, 1, 0)),
        ("import nothing_of_this_name", (0, 0, 1)),
    ],
    ids=["tests", "a file that is skipped", "a file that cannot be imported"],
)
def test_what_a_run_comes_to(tmp_path: Path, suite: str, counts: tuple[int, int, int]) -> None:
    (tmp_path / "test_it.py").write_text(suite)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", "test_it.py"]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)

    read = Counts.read(report)

    assert counts == (read.passed, read.skipped, read.failed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1.10"], "1.10 is not among 2.11, 3.0,"),
        (["2.11", "--python", "2.7"], "Python 2.7 is not among what these releases run on here"),
    ],
)
def test_what_is_not_supported_is_refused(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compat", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert 2 == done.returncode
    assert message in done.stderr


def test_the_metadata_admit_what_is_covered() -> None:
    """The oldest Airflow and Python are the metadata's own; none that is covered is shut out."""
    own = metadata.metadata("airflow-provider-avepoint")
    (airflow,) = (
        requirement.specifier
        for requirement in map(Requirement, own.get_all("Requires-Dist"))
        if requirement.name == "apache-airflow"
    )
    pythons = SpecifierSet(own["Requires-Python"])

    assert f">={RELEASES[0].minor}" == str(airflow)
    assert all(Version(release.version) in airflow for release in RELEASES)
    assert f">={OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}" == str(pythons)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
def test_a_release_runs_on_a_python_that_it_allows(release: object) -> None:
    """The oldest of ours that there is, and the newest, where that is another."""
    found = find_pythons(release)

    assert 1 <= len(found) <= 2
    versions = [Version(version) for version, _ in found]
    assert versions == sorted(set(versions))
    assert Version(".".join(map(str, OLDEST_PYTHON))) <= versions[0]
    assert versions[-1] <= Version(".".join(map(str, release.newest_python)))
    for version, python in found:
        shown = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
        assert shown.startswith(f"Python {version}.")
