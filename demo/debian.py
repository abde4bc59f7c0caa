"""Install what is missing from Debian's packages: ``python -m demo.debian postgresql chromium``.

Standard library only. Where everything is there, nothing is asked of the network. Debian may start a
package's service when it installs it; the tests here start servers of their own and need none of those.
``RUNLEVEL=1`` asks Debian not to, which systemd does not heed; ``systemctl disable --now postgresql
redis-server`` stops them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# The program that tells whether a package is there.
PROGRAMS = {
    "postgresql": "postgres",
    "redis-server": "redis-server",
    "chromium": "chromium",
    "chromium-driver": "chromedriver",
}
_POSTGRES = Path("/usr/lib/postgresql")


def main(packages: list[str]) -> int:
    """Install what is missing of *packages*; return the exit status: 0 only if all of them are there."""
    if unknown := [package for package in packages if package not in PROGRAMS]:
        print(f"Not known here: {' '.join(unknown)}. Known: {' '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    if missing := find_missing(packages):
        _install(missing)
        missing = find_missing(packages)
    if missing:
        names = " ".join(missing)
        print(
            f"Missing: {names}. On Debian or Ubuntu: sudo apt-get install --no-install-recommends {names}\n"
            f"Elsewhere, put these programs on the PATH: {' '.join(PROGRAMS[name] for name in missing)}",
            file=sys.stderr,
        )
    return 1 if missing else 0


def find_missing(packages: Iterable[str]) -> list[str]:
    """Return those of *packages* whose program is nowhere."""
    return [package for package in packages if not _is_there(PROGRAMS[package])]


def _is_there(program: str) -> bool:
    # Debian keeps PostgreSQL's programs off the PATH, a directory for each release.
    return shutil.which(program) is not None or any(_POSTGRES.glob(f"*/bin/{program}"))


def _install(packages: list[str]) -> None:
    """Let apt install *packages*, if there is one and we may; say so if it fails."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") is None or (root and shutil.which("sudo") is None):
        return
    print(f"Installing from Debian's packages: {' '.join(packages)}", flush=True)
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run([*apt, *command], stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            print(f"apt-get {command[0]} ended with {done.returncode}.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
