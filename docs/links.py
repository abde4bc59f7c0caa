"""Check the built pages: every link leads somewhere, and nothing is loaded from elsewhere.

``python -m docs.links docs/_build/html`` prints each dead link, and ends with 1 if there is one. So does an
address in the README, in the package's metadata or in the provider's. Addresses of the published pages and of
this repository are looked up here; no network is needed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from airflow_provider_avepoint.get_provider_info import get_provider_info

ROOT = Path(__file__).parent.parent
URLS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
_LOADS = {"audio", "embed", "iframe", "img", "link", "script", "source", "track", "video"}
_PLAIN_LINK = re.compile(r"\]\(([^)#\s`][^)\s]*)\)")
_STYLE_LOADS = re.compile(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')\s]+)")
#: ``rel`` of a <link> that loads nothing.
_TELLS = {"index", "search", "next", "prev", "canonical", "top", "up", "author"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.anchors = {""}
        self.links: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {values[name] or "" for name in ("id", "name") if name in values}
        tells = tag == "link" and set((values.get("rel") or "").split()) & _TELLS
        # Of several pictures, each is before a space and its size.
        pictures = [each.split()[0] for each in (values.get("srcset") or "").split(",") if each.strip()]
        for link in (values.get("href"), values.get("src"), *pictures):
            if link:
                self.links.append((link, tag in _LOADS and not tells))


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text())
    return page


def find_dead_links(html: Path) -> Iterator[str]:
    """Yield a sentence for each link of the built pages that is dead.

    :param html: the folder of the built pages.
    """
    for path in sorted(html.rglob("*.html")):
        for link, is_loaded in _read(path).links:
            if problem := _check(link, path, html, is_loaded=is_loaded):
                yield f"{path.relative_to(html)}: {link}: {problem}"
    for path in sorted((*html.rglob("*.html"), *html.rglob("*.css"))):
        for link in _STYLE_LOADS.findall(path.read_text()):
            yield f"{path.relative_to(html)}: {link}: loaded from elsewhere"


def find_dead_plain_links(html: Path) -> Iterator[str]:
    """Yield a sentence for each link of ``llms.txt``, and of the plain pages that it leads to, that is dead.

    :param html: the folder of the built pages.
    """
    for path in (html / "llms.txt", *sorted(html.rglob("_sources/**/*.md.txt"))):
        for link in _PLAIN_LINK.findall(path.read_text()):
            if not urlsplit(link).scheme and not (path.parent / link.partition("#")[0]).exists():
                yield f"{path.relative_to(html)}: {link}: no such file"


def list_addresses() -> list[str]:
    """Return the addresses of pages that stand outside of the pages: PyPI and Airflow show them."""
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', readme)
    (integration,) = get_provider_info()["integrations"]
    told = [*integration["how-to-guide"], integration["logo"]]
    return [*(one or other for one, other in shown), *told, *URLS.values()]


def find_dead_addresses(addresses: Iterable[str], html: Path) -> Iterator[str]:
    """Yield a sentence for each address that leads nowhere where PyPI or Airflow shows the address.

    :param addresses: the addresses.
    :param html: the folder of the built pages.
    """
    for address in addresses:
        if not urlsplit(address).scheme:
            yield f"{address}: not absolute"
        elif problem := _check(address, html / "index.html", html, is_loaded=False):
            yield f"{address}: {problem}"


def _check(link: str, path: Path, html: Path, *, is_loaded: bool) -> str | None:
    parts = urlsplit(link)
    if link.startswith(URLS["Documentation"]):
        target = html / (unquote(parts.path)[len(urlsplit(URLS["Documentation"]).path) :] or "index.html")
    elif parts.scheme in ("http", "https") or parts.netloc:
        if is_loaded:
            return "loaded from elsewhere"
        return _check_repository(link)
    elif parts.scheme:
        return "a path of one machine" if parts.scheme == "file" else None
    else:
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "no such file"
    if target.suffix == ".html" and unquote(parts.fragment) not in _read(target).anchors:
        return "no such anchor"
    return None


def _check_repository(link: str) -> str | None:
    for kind in ("blob", "tree", "raw"):
        start = f"{URLS['Source']}/{kind}/main/"
        if link.startswith(start) and not (ROOT / link[len(start) :].partition("#")[0]).exists():
            return "no such file in the repository"
    return None


if __name__ == "__main__":
    built = Path(sys.argv[1])
    dead = [
        *find_dead_links(built),
        *find_dead_plain_links(built),
        *find_dead_addresses(list_addresses(), built),
    ]
    print("\n".join(dead) or "Every link leads somewhere.")
    sys.exit(bool(dead))
