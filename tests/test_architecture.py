"""docs/architecture.md shows the layers of the code, and names files and functions that exist."""

from __future__ import annotations

import ast
import re

from tests.test_layers import APART, LAYERS, ONLY_CORE, ROOT

PAGE = (ROOT.parent / "docs" / "architecture.md").read_text()
LAYERED, ALONE = (
    re.findall(r"│ (.+?) +│ .+ │", each)
    for each in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0].split("\n\n")
)
WALK = PAGE.split("## The way of one row")[1]


def defined(path: str) -> set[str]:
    """Return what a file of ours defines: its classes and functions, and the methods of its classes."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (
                each for each in node.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
            )
            found |= {f"{node.name}.{each.name}" for each in methods}
    return found


def test_the_picture_shows_the_layers() -> None:
    """From top to bottom, and what stands apart."""
    assert [set(layer) for layer in LAYERS] == [set(row.split(", ")) for row in LAYERED]
    assert APART - {"__init__"} == {name for row in ALONE for name in row.split(", ")}


def test_the_page_names_what_imports_the_core_only() -> None:
    sentence = re.search(r"each other\. (.+?) import `core` only", PAGE, re.DOTALL)

    assert sentence is not None
    assert ONLY_CORE == set(re.findall(r"`(\w+)`", sentence[1]))


def test_the_walk_names_what_exists() -> None:
    """A function or class stands after the file that defines it."""
    paths = re.findall(r"`([\w/]+\.py)`", PAGE)
    here, missing = "", []
    for name in re.findall(r"`([\w/.()]+)`", WALK):
        if name.endswith(".py"):
            here = name
        elif name.endswith("()") or name[0].isupper():
            missing += [] if name.removesuffix("()") in defined(here) else [(here, name)]

    assert not [path for path in paths if not (ROOT / path).is_file() and not (ROOT.parent / path).is_file()]
    assert not missing
