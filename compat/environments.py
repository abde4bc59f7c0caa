"""The distribution as its users get it: built, and installed where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compat.releases import OLDEST_PYTHON, Release

ROOT = Path(__file__).resolve().parent.parent
_EXTRAS = "parquet,report,simulator"
_PROVIDERS, _EXECUTOR = "apache-airflow-providers-", "apache-airflow-providers-celery"
# Where the checkout, another Airflow or another environment would be found; and without byte code, Airflow's
# processes start in twice the time.
_LEFT_OUT = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What is released: the wheel, and the sources, unpacked without the package."""

    wheel: Path
    sdist: Path
    sources: Path


def run(
    *command: str | Path, env: dict[str, str] | None = None, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run *command* with *env*, and nothing of ours, in its environment."""
    known = {k: v for k, v in os.environ.items() if k not in _LEFT_OUT and not k.startswith("AIRFLOW")}
    return subprocess.run([*map(str, command)], text=True, check=check, env=known | (env or {}), **options)


def uv(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run uv, of this Python's environment."""
    return run(sys.executable, "-m", "uv", *arguments, "--quiet", "--no-python-downloads", **options)


def build(directory: Path) -> Distribution:
    """Build wheel and sdist in *directory*, which is made anew."""
    shutil.rmtree(directory, ignore_errors=True)
    uv("build", ROOT, "--out-dir", directory)
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    sources = directory / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(sources / "airflow_provider_avepoint")
    return Distribution(wheel=wheel, sdist=sdist, sources=sources)


def find_pythons(release: Release) -> list[tuple[str, Path]]:
    """Return the oldest Python that we support, and the newest of this machine that *release* allows."""
    found = [
        (version, path)
        for minor in range(OLDEST_PYTHON[1], release.newest_python[1] + 1)
        if (path := _find_python(version := f"3.{minor}")) is not None
    ]
    return found[:1] + found[1:][-1:]


def _find_python(version: str) -> Path | None:
    """Return the interpreter of a Python such as ``3.12``: one of the path, or of pyenv."""
    try:
        prefix = run("pyenv", "prefix", version, capture_output=True).stdout.strip()
        return Path(prefix, "bin", "python")
    except (OSError, subprocess.CalledProcessError):
        pass
    try:
        command = (f"python{version}", "-c", "import sys; print(sys.executable)")
        return Path(run(*command, capture_output=True).stdout.strip())
    except (OSError, subprocess.CalledProcessError):
        return None


def create(directory: Path, python: Path) -> Path:
    """Make an empty environment in *directory*, and return its Python."""
    uv("venv", "--clear", "--python", python, directory)
    return directory / "bin" / "python"


def install(python: Path, release: Release, distribution: Distribution, *groups: str) -> None:
    """Install *release*, and beside it the wheel with its extras and the sources' dependency *groups*."""
    constraints = python.parents[1] / "constraints.txt"
    constraints.write_text(_constrain(release, python))
    project = distribution.sources / "pyproject.toml"
    uv(
        *("pip", "install", "--python", python, "--compile-bytecode", "--constraint", constraints),
        f"apache-airflow=={release.version}",
        f"airflow-provider-avepoint[{_EXTRAS}] @ {distribution.wheel.as_uri()}",
        *(argument for group in groups for argument in ("--group", f"{project}:{group}")),
    )


def _constrain(release: Release, python: Path) -> str:
    """Return what *release* stood on when it was published.

    Its Celery executor as well, as a newer one need not fit; no other provider, as ours needs newer ones.
    """
    resolved = uv(
        *("pip", "compile", "-", "--python", python, "--no-header", "--no-annotate"),
        *("--exclude-newer", release.published.isoformat()),
        input=f"apache-airflow[celery]=={release.version}\n",
        stdout=subprocess.PIPE,
    )
    pins = resolved.stdout.splitlines(keepends=True)
    return "".join(pin for pin in pins if not pin.startswith(_PROVIDERS) or pin.startswith(_EXECUTOR))
