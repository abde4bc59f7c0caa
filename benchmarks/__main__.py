"""``python -m benchmarks [subject …]`` measures; ``--write`` writes the tables of docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import describe_machine, put_into, tabulate_figures
from benchmarks.subjects import SUBJECTS

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_WIDTH = 114


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the subjects that are named, or all, and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="subject", help=", ".join(SUBJECTS))
    parser.add_argument("--write", action="store_true", help="measure nothing, write the tables of the page")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.subjects if name not in SUBJECTS]:
        parser.error(f"there is no subject {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    if options.write:
        PAGE.write_text(put_into(PAGE.read_text(), write_tables(json.loads(RESULTS.read_text()))))
        return 0
    for name in options.subjects or SUBJECTS:
        _measure(name)
    return 0


def write_tables(results: Mapping[str, Any]) -> str:
    """Return the page's block: each subject's tables, and what they were measured on."""
    parts = []
    for name, result in results.items():
        subject, machine = SUBJECTS[name], result["machine"]
        parts += [tabulate(result).as_markdown() for tabulate in subject.tabulate]
        text = (
            f"{subject.footnote(result)} {machine['cores']} cores, Python {machine['python']}, "
            f"Airflow {machine['airflow']}, {machine['measured_at'][:10]}."
        )
        parts.append(textwrap.fill(text, _WIDTH, break_on_hyphens=False))
    return "\n\n".join(parts)


def _measure(name: str) -> None:
    subject, begin = SUBJECTS[name], time.monotonic()

    def say(what: str) -> None:
        print(f"{name} {time.monotonic() - begin:4.0f} s  {what}", flush=True)

    result = {"machine": describe_machine(), **subject.measure(say)}
    say("done")
    figures = subject.judge(result)
    result["figures"] = [figure.as_dict() for figure in figures]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    ordered = {each: (results | {name: result})[each] for each in SUBJECTS if each in {name, *results}}
    RESULTS.write_text(json.dumps(ordered, indent=2) + "\n")
    for table in (*(tabulate(result) for tabulate in subject.tabulate), tabulate_figures(figures)):
        print(f"\n{table.as_text()}")
    print(f"\n{subject.footnote(result)}\n")


if __name__ == "__main__":
    sys.exit(main())
