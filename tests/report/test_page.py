"""The page in a browser: Debian's Chromium, headless, at a desk's and a phone's width, and in print."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.avepoint import AvePointReportOperator
from tests.report import histories

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WIDTHS = {"desk": 1280, "phone": 390}
# What is in the ledger, and for how many days.
HISTORIES = {
    "ordinary": (histories.fill_ordinary, 60),
    "wall": (histories.fill_wall, 90),
    "hostile": (histories.fill_hostile, 90),
    "year": (histories.fill_ordinary, 366),
}
# What needs attention in the ordinary history.
ATTENTION = [
    (
        "Now contoso, Cloud Backup for Dynamics 365, Contoso / project_operations: failed; the newest good "
        "backup is 2.3 days old."
    ),
    "Now contoso, Cloud Backup for Microsoft 365: near_limit: seats at 98% of what is purchased.",
    (
        "Now contoso, Cloud Backup for Microsoft 365: forecast: seats will reach the 1000 seats purchased "
        "about 2026-11-29 (95 %: 2026-11-26 to 2026-12-01)."
    ),
    (
        "Now contoso, Cloud Backup for Dynamics 365: the gate load.gate was shut on 2026-11-22 07:00 UTC, "
        "and has not opened since: failed."
    ),
    "Watch 1 scope had days without a good backup, and is good again.",
    (
        "Watch 3 of 8 verdicts did not pass; the newest: contoso, Cloud Backup for Dynamics 365, failed, "
        "2026-11-22 07:00 UTC."
    ),
]
# A scope and day.
CELLS = ".days:not(.overview) td[class]"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"),
    pytest.mark.xdist_group("chromium"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    browser = Chrome(options=options, service=Service(str(DRIVER)))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns the page of a history, written when it is first asked for."""
    written: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in written:
            fill, days = HISTORIES[name]
            directory = tmp_path_factory.mktemp(name)
            file = {"conn_type": "sqlite", "host": str(directory / "ledger.db")}
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(file))
                with Ledger("ledger") as ledger:
                    fill(ledger)
                operator = AvePointReportOperator(
                    task_id="report",
                    path=directory / "report.html",
                    ledger_conn_id="ledger",
                    days=days,
                    now=histories.NOW,
                )
                operator.execute({})
            written[name] = directory / "report.html"
        return written[name]

    return write


class Shown:
    """A page in the browser."""

    def __init__(self, browser: Chrome) -> None:
        self._browser = browser

    def run(self, script: str) -> Any:
        """Return what a script in the page returns."""
        return self._browser.execute_script(f"return {script}")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that can be seen, as they are seen."""
        seen = f"[...document.querySelectorAll({selector!r})].filter(e => e.checkVisibility())"
        return self.run(f"{seen}.map(e => e.innerText)")

    def contents(self, selector: str) -> list[str]:
        """Return the texts of the elements, folded ones too."""
        return self.run(f"[...document.querySelectorAll({selector!r})].map(e => e.textContent.trim())")

    def count(self, selector: str) -> int:
        return self.run(f"document.querySelectorAll({selector!r}).length")

    def complaints(self) -> list[dict[str, Any]]:
        """Return what the browser logged since it was last asked: refused loads, errors."""
        return self._browser.get_log("browser")

    def emulate(self, command: str, **parameters: Any) -> None:
        self._browser.execute_cdp_cmd(f"Emulation.{command}", parameters)


@pytest.fixture
def show(browser: Chrome, pages: Callable[[str], Path]) -> Iterator[Callable[..., Shown]]:
    """Return a function that opens the page of a history."""
    shown = Shown(browser)

    def open_page(name: str, width: int = WIDTHS["desk"]) -> Shown:
        shown.emulate(
            "setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )
        browser.get(pages(name).as_uri())
        return shown

    yield open_page
    shown.emulate("setEmulatedMedia", media="", features=[])


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.parametrize("name", HISTORIES)
def test_the_page_stands_alone_and_fits(show: Callable[..., Shown], name: str, width: int) -> None:
    """It loads nothing, runs nothing, and never scrolls sideways, whatever the vendor sent."""
    page = show(name, width)

    assert page.run("performance.getEntriesByType('resource')") == []
    assert page.complaints() == []
    assert page.count("script, link, img, iframe, object, [onerror], [onload], [onclick]") == 0
    assert page.run("document.scrollingElement.scrollWidth") <= width
    assert page.run("document.title").startswith("Backups and licences, 202")


def test_its_policy_refuses_whatever_might_get_in(show: Callable[..., Shown]) -> None:
    """Were a text not escaped, the browser would still neither run nor load what it says."""
    page = show("ordinary")

    page.run(
        """document.body.insertAdjacentHTML("beforeend", '<img src="http://127.0.0.1:9/x" ' +
        'onerror="document.title=1"><a id=x onclick="document.title=1">x</a>')"""
    )
    page.run("document.getElementById('x').click()")

    assert page.run("document.title") != "1"
    refused = [each["message"] for each in page.complaints()]
    assert [bool(re.search("Content Security Policy", message)) for message in refused] == [True] * len(
        refused
    )
    assert len(refused) >= 2


def test_what_needs_attention_comes_first(show: Callable[..., Shown]) -> None:
    page = show("ordinary")

    assert page.texts("h1, h2") == [
        "Backups and licences",
        "What needs attention",
        "What has changed since the last report",
        "Backups by scope and day",
        "Newest good backup and longest gap",
        "What must hold",
        "Proven restores",
        "Seats and storage",
        "What failed",
        "Verdicts",
        "How to read this",
    ]
    assert page.texts(".attention li") == ATTENTION
    assert page.texts(".tiles li") == [
        "3 of 4\nscopes good now (75 %)",
        "3\nfailed days",
        "3\nmissed days",
        "3\npartial days",
        "5 of 8\nverdicts passed (62 %)",
        "1 of 2\nlicences to look at",
    ]
    assert page.run(
        "[...document.querySelectorAll('.attention a, nav a')].every(a => document.querySelector(a.hash))"
    )


def test_the_heat_map(show: Callable[..., Shown]) -> None:
    """A letter a scope and day, worst first, good ones folded; a table whose every cell has its headers."""
    page = show("ordinary")

    assert {"G": 231, "P": 3, "F": 3, "M": 3} == Counter(page.contents(CELLS))
    assert [text.splitlines()[0] for text in page.texts("figcaption b")][:3] == [
        "All scopes",
        "Contoso / project_operations",
        "Contoso / dynamics_sales",
    ]
    assert page.texts("details.fold:not(.verdict) > summary") == [
        "2 scopes with a good backup on every expected day"
    ]
    assert page.texts(".days td.m[title]") == ["M", "M", "M"]
    assert page.run("[...document.querySelectorAll('.days td.m')].map(e => e.title)") == [
        "2026-10-14: missed",
        "2026-10-15: missed",
        "2026-11-07: missed",
    ]
    weekdays = page.texts(".days tbody th[scope=row]")
    assert weekdays == ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"] * (len(weekdays) // 7)
    assert page.count("table:not(:has(thead th[scope=col])), tbody tr:not(:has(th[scope=row]))") == 0


#: The text, the role and the contrast of each element that a selector finds; 21 to 1 is black on white.
CONTRASTS = """(selector => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = text => parts(text).slice(0, 3).map(c => c / 255)
        .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
    const paper = e => {
        const color = getComputedStyle(e).backgroundColor;
        return parts(color)[3] === 0 ? paper(e.parentElement) : color;
    };
    return [...document.querySelectorAll(selector)].map(e => {
        const style = getComputedStyle(e), ink = e.closest('svg') ? style.fill : style.color;
        const [a, b] = [light(ink), light(paper(e))].sort((x, y) => y - x);
        return [e.textContent.trim(), (a + .05) / (b + .05)];
    })})"""


def set_scheme(page: Shown, scheme: str, media: str = "") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.emulate("setEmulatedMedia", media=media, features=features)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_outcomes_differ_without_colour(show: Callable[..., Shown], scheme: str) -> None:
    """Each has a letter of its own, which is dark on light or light on dark: 4.5 to 1 at least."""
    page = show("wall")
    set_scheme(page, scheme)

    shown = page.run(f"{CONTRASTS}('.legend b')")

    assert [letter for letter, _ in shown] == ["G", "P", "F", "M", "S"]
    assert [letter for letter, contrast in shown if contrast < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_charts_can_be_read(show: Callable[..., Shown], scheme: str) -> None:
    """On the reader's light or dark screen; what is printed is dark on white."""
    page = show("ordinary")
    set_scheme(page, scheme)
    texts = page.run(f"{CONTRASTS}('p, b, bdi, a, th, td, dd, small, .mark, .bad, .fine, svg text')")
    paper = page.run("getComputedStyle(document.body).backgroundColor")
    set_scheme(page, scheme, media="print")

    assert [text for text, contrast in texts if contrast < 4.5] == []
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run("getComputedStyle(document.querySelector('svg text')).fill") == "rgb(86, 97, 107)"


def test_charts_speak(show: Callable[..., Shown]) -> None:
    """A chart has a title and a description, text that is text, and ids of its own."""
    page = show("ordinary", WIDTHS["phone"])

    assert page.run(
        "[...document.querySelectorAll('svg')].map(e => [e.getAttribute('role'), e.clientWidth > 330])"
    ) == [
        ["img", True],
        ["img", True],
    ]
    assert page.contents("svg > title") == [
        "Cloud Backup for Microsoft 365: seats over time",
        "Cloud Backup for Microsoft 365: storage over time",
    ]
    assert re.fullmatch(
        r"80\d seats used on 2026-09-24, 978 on 2026-11-22; 1,000 bought\. "
        r"Forecast for 2026-12-22: 1,0\d\d, 95 % band 1,0\d\d to 1,0\d\d\.",
        page.contents("svg > desc")[0],
    )
    assert {"seats", "used", "bought", "forecast, 95 % band"} <= set(page.contents("svg text"))
    assert (
        page.run(
            "(ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(e => e.id))"
        )
        == 0
    )


def test_a_verdict_opens_to_its_evidence(show: Callable[..., Shown]) -> None:
    page = show("ordinary")
    page.run("document.querySelector('details.verdict').open = true")

    assert page.texts("details.verdict[open] dd") == [
        "load.gate, scheduled__2026-11-22, try 1",
        "max_age: 24.0 h; expect_seen_within: 7.0 days; job_type: backup; on_failed: fail; fail_fast: True",
        "version 2",
    ]
    assert page.texts("details.verdict[open] tbody tr:first-child td")[0] == "failed"
    assert len(page.texts("details.verdict > summary")) == 8


def test_links_go_to_the_vendor_without_a_trace(show: Callable[..., Shown]) -> None:
    links = "[...document.querySelectorAll('a:not([href^=\"#\"])')].map(a => [a.href, a.rel])"

    assert show("ordinary").run(links) == [
        ["https://learn.avepoint.com/errors/DYN-0403", "noreferrer noopener"]
    ]
    hostile = show("hostile").run(links)
    assert {rel for _, rel in hostile} == {"noreferrer noopener"}
    assert {href.partition("?")[0] for href, _ in hostile} == {"https://ok.example/"}


def test_hostile_names_are_shown_as_text(show: Callable[..., Shown]) -> None:
    """As they are, but for what cannot be seen; none is longer than a line or two."""
    page = show("hostile", WIDTHS["phone"])
    names = "\n".join(page.texts("bdi"))

    assert histories.SCRIPT in names
    assert "{{ 7 * 7 }} $x^2$ & <b>\"'" in names
    assert "Ünïcode 株式会社" in names
    assert "\u202e" not in page.run("document.body.innerText")
    assert max(len(each) for each in page.texts("bdi")) <= 501  # the last tells of a cut


def test_many_scopes_do_not_become_a_wall(show: Callable[..., Shown], pages: Callable[[str], Path]) -> None:
    """Two hundred over ninety days: all in the page, the worst of them open, in a file that mail takes."""
    page = show("wall")

    assert page.count(CELLS) > 200 * 88
    assert len(page.texts(".days")) == 17  # that of all scopes, and sixteen
    assert page.texts("details.fold:not(.verdict) > summary") == [
        "24 more scopes with days that were not good",
        "160 scopes with a good backup on every expected day",
        "188 more scopes; all of them are in report.csv",
        "14 more charts",
        "8 more of what is bought; all of it is in report.csv",
        "27 more kinds of failure",
    ]
    assert len(page.texts(".attention li")) <= 15
    assert page.run("document.scrollingElement.scrollHeight") < 9 * 800
    assert pages("wall").stat().st_size < 1_000_000


@pytest.mark.parametrize("name", ["ordinary", "year"])
def test_print_shows_the_evidence_and_cuts_nothing(show: Callable[..., Shown], name: str) -> None:
    """Of what did not pass; what did stays summed up. The width is that of A4 between its margins."""
    page = show(name, 703)
    assert page.texts("details.verdict tbody th") == []

    page.emulate("setEmulatedMedia", media="print")

    assert page.run("document.scrollingElement.scrollWidth") <= 703
    assert len(page.texts("details.verdict tbody th")) == 3 * 3
    assert page.texts("nav") == []
    cut = "[...document.querySelectorAll('.wide, .days, figure')].filter(e => e.scrollWidth > e.clientWidth)"
    assert page.run(f"{cut}.length") == 0


def test_charts_fill_their_row(show: Callable[..., Shown], pages: Callable[[str], Path]) -> None:
    """Up to three at a desk, and one on a phone; a chart that is left over has its figures beside it."""
    gap = "(e => e.parentElement.clientWidth - e.clientWidth)(document.querySelector('.charts svg'))"
    beyond = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    page = show("ordinary")
    widths = "[...document.querySelectorAll('.charts:first-of-type figure')].map(e => e.offsetWidth)"
    row = page.run("document.querySelector('.charts').offsetWidth")

    assert page.run(gap) == 0
    assert row - sum(page.run(widths)) < 30
    for copies in (5, 4):  # a row of three and a row of two; a row of three and one that is left over
        page.run(
            f"(e => {{while (e.children.length < {copies}) e.append(e.children[0].cloneNode(true));"
            f"while (e.children.length > {copies}) e.lastChild.remove()}})(document.querySelector('.charts'))"
        )
        shown = page.run(widths)
        assert row - sum(shown[:3]) < 60
        assert row - sum(shown[3:]) < 30
    assert page.texts(".charts figure:last-child .said")[0].startswith("80")
    page = show("ordinary", WIDTHS["phone"])
    page.run("document.querySelector('.charts figure').remove()")
    assert (page.run(gap), page.run(beyond)) == (0, 0)
