"""Run the suite on each supported Airflow: ``python -m compat [3.1 …] [-- what pytest takes]``.

The wheel is built, and installed into an environment for each release: with Python 3.11, and with the newest
of this machine that the release allows. The tests come from the sdist, so that nothing of the checkout is
imported. The status is 0 only if nothing has failed anywhere.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from compat.environments import ROOT, Distribution, build, create, find_pythons, install, run
from compat.releases import RELEASES, Release

_PYTEST = (
    *("--numprocesses", "4", "--dist", "loadgroup"),
    *("-m", ""),  # what "make test" and "make test-system" run
    # What is about the checkout and not about an Airflow.
    *(
        f"--ignore=tests/test_{name}.py"
        for name in ("layers", "architecture", "github", "compose", "benchmarks", "compat")
    ),
)
_ROW = "{:8} {:8} {:>7} {:>8} {:>7} {:>8}"
_HEADING = _ROW.format("Airflow", "Python", "passed", "skipped", "failed", "seconds")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What one run of the suite came to."""

    passed: int
    skipped: int
    failed: int
    seconds: float

    @classmethod
    def read(cls, report: Path) -> Counts:
        """Read pytest's own report."""
        (suite,) = ET.parse(report).getroot()  # noqa: S314  # written by pytest
        total, skipped, failures, errors = (
            int(suite.attrib[name]) for name in ("tests", "skipped", "failures", "errors")
        )
        failed = failures + errors
        return cls(
            passed=total - skipped - failed,
            skipped=skipped,
            failed=failed,
            seconds=float(suite.attrib["time"]),
        )

    def describe(self, airflow: str, python: str) -> str:
        """Return the row of the table."""
        figures = (self.passed, self.skipped, self.failed, round(self.seconds))
        return _ROW.format(airflow, python, *(f"{figure:,}" for figure in figures))


def main() -> int:
    """Run them in turn, print a line for each, and return the exit status."""
    directory, runs, for_pytest = _parse(sys.argv[1:])
    distribution = build(directory / "dist")
    rows, failed = [], 0
    for release, version, python in runs:
        environment = directory / f"{release.version}-{version}"
        counts = _run_suite(environment, release, python, distribution, for_pytest)
        rows.append(counts.describe(release.version, version))
        failed += counts.failed
        print(f"{_HEADING}\n{rows[-1]}", flush=True)
    print("", _HEADING, *rows, sep="\n")
    return min(failed, 1)


def _parse(given: list[str]) -> tuple[Path, list[tuple[Release, str, Path]], list[str]]:
    """Return where the files go, what is to be run on what, and what is for pytest."""
    at = given.index("--") if "--" in given else len(given)
    minors = [release.minor for release in RELEASES]
    parser = argparse.ArgumentParser(prog="python -m compat", description=__doc__)
    parser.add_argument("releases", nargs="*", metavar="release", help=f"{', '.join(minors)}; all by default")
    parser.add_argument(
        "--python", metavar="VERSION", help="with this one of their Pythons only, such as 3.11"
    )
    parser.add_argument("--directory", type=Path, default=ROOT / ".compat", help="where its files go")
    arguments = parser.parse_args(given[:at])
    if unknown := set(arguments.releases) - set(minors):
        parser.error(f"{', '.join(sorted(unknown))} is not among {', '.join(minors)}")
    runs = [
        (release, version, python)
        for release in RELEASES
        if release.minor in (arguments.releases or minors)
        for version, python in find_pythons(release)
        if arguments.python in {None, version}
    ]
    if not runs:
        parser.error(f"Python {arguments.python} is not among what these releases run on here")
    return arguments.directory.resolve(), runs, given[at + 1 :]


def _run_suite(
    directory: Path, release: Release, python: Path, distribution: Distribution, for_pytest: list[str]
) -> Counts:
    """Run the suite in an environment of its own; what it prints is kept beside that."""
    log, report = Path(f"{directory}.log"), Path(f"{directory}.xml")
    report.unlink(missing_ok=True)
    print(f"Airflow {release.version}: {log}", flush=True)
    installed = create(directory, python)
    install(installed, release, distribution, "test")
    with log.open("w") as output:
        run(
            *(installed, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"),
            *(*_PYTEST, *for_pytest),
            cwd=distribution.sources,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return Counts.read(report)


if __name__ == "__main__":
    sys.exit(main())
