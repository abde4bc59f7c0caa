"""Write the file of the running release."""

from __future__ import annotations

import json

from tests.upgrades import CURRENT, SUMS, describe_release, digest, fixtures


def main() -> None:
    """Write it, and its line among the digests; those of other releases stay as they are."""
    CURRENT.write_text(json.dumps(describe_release(), indent=2) + "\n")
    known = dict(reversed(line.split()) for line in SUMS.read_text().splitlines()) if SUMS.exists() else {}
    known[CURRENT.name] = digest(CURRENT)
    names = [path.name for path in fixtures().values()]
    SUMS.write_text("".join(f"{known[name]}  {name}\n" for name in names))


if __name__ == "__main__":
    main()
