"""Write ``llms.txt``, and each page as plain Markdown, beside the built pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from docs.generated import expand, include

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:)([^)#\s]+)\.md(#[^)]*)?\)")
_HEAD = """\
# {title}

> An Apache Airflow provider on the AvePoint Graph API: gates that open on a good backup only, audits of
> licences and protection, a ledger and a report.
"""


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the files after the build of the pages.

    :param app: Sphinx.
    :param error: what ended the build; None after a good one.
    """
    if error is not None or app.builder.format != "html":
        return
    sources, target = Path(app.srcdir), Path(app.outdir)
    lines = [_HEAD.format(title=app.config.html_title)]
    for heading, names in list_pages((sources / "index.md").read_text()):
        lines += [f"## {heading}", ""]
        for name in names:
            source = sources / f"{name}.md"
            text = include(expand(source.read_text()), source.parent)
            text = _PICTURE.sub(r"(Picture: \1)", text)
            text = _LINK.sub(partial(_write_link, app, source), text)
            address = f"_sources/{name}.md.txt"
            (target / address).write_text(text)
            # What Sphinx writes from docstrings stands in the built page alone.
            address = f"{name}.html" if "{eval-rst}" in text else address
            lines.append(f"- [{app.env.titles[name].astext()}]({address}): {_summarise(text)}")
        lines.append("")
    (target / "llms.txt").write_text("\n".join(lines))


def _write_link(app: Sphinx, page: Path, found: re.Match[str]) -> str:
    """Return a link to another page as a link between the plain pages, with a text."""
    text, path, anchor = found.groups()
    name = (page.parent / path).resolve().relative_to(app.srcdir).as_posix()
    return f"[{text or app.env.titles[name].astext()}]({path}.md.txt{anchor or ''})"


def list_pages(index: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the caption of each toctree of the first page, with its pages.

    :param index: the source of the first page.
    """
    for body in re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.DOTALL | re.MULTILINE):
        caption = re.findall(r"^:caption: (.*)$", body, re.MULTILINE)[0]
        names = [line for line in body.splitlines() if line and not line.startswith(":")]
        yield caption, ["index", *names] if caption == "Start" else names


def _summarise(text: str) -> str:
    """Return the first sentence below the title of a page."""
    first = next(" ".join(each.split()) for each in text.split("\n\n")[1:] if re.match(r"[A-Z*`\[]", each))
    first = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", first).replace("**Task.** ", "").replace("*", "")
    return re.split(r"(?<=\.)\s", first)[0]
