"""Check a release as its users get it: ``python -m compat.release``.

Wheel and sdist are built, and read by twine; the wheel goes into an empty environment, where Airflow has to
know the provider and its commands; the demo of the sdist runs there, with the checkout out of reach. The
status is 0 only if all went well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from compat.environments import ROOT, build, create, find_pythons, install, run
from compat.releases import RELEASES

_PROVIDER = "airflow-provider-avepoint"
_IS_INSTALLED = "import airflow_provider_avepoint as p; assert p.__file__.startswith({!r}), p.__file__"


def main() -> int:
    """Take one step after the other; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m compat.release", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, default=ROOT / ".compat" / "release", help="where its files go"
    )
    directory = parser.parse_args().directory.resolve()
    try:
        _check(directory)
    except subprocess.CalledProcessError as e:
        print(f"The release is not fit: {e}", flush=True)
        return 1
    print("The release is fit.")
    return 0


def _check(directory: Path) -> None:
    release = RELEASES[-1]
    _say("Building wheel and sdist")
    distribution = build(directory / "dist")
    run(sys.executable, "-m", "twine", "check", "--strict", distribution.wheel, distribution.sdist)
    version, python = find_pythons(release)[-1]
    _say(f"Installing the wheel beside Airflow {release.version}, on Python {version}")
    installed = create(directory / "environment", python)
    install(installed, release, distribution, "demo")
    run(installed, "-c", _IS_INSTALLED.format(str(installed.parents[1])), cwd=directory)
    airflow = (installed, "-m", "airflow")
    home = {"AIRFLOW_HOME": str(directory / "home")}
    for command in (("providers", "get", _PROVIDER), ("avepoint", "--help")):
        _say(f"airflow {' '.join(command)}")
        run(*airflow, *command, cwd=directory, env=home)
    _say("The demo of the sdist")
    run(installed, "-m", "demo", "--directory", directory / "demo", cwd=distribution.sources)


def _say(what: str) -> None:
    print(f"\n{what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
