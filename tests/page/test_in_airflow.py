"""The page in a real Airflow behind a path prefix, in a browser, as a user with a login sees the page."""

from __future__ import annotations

import csv
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_avepoint.ledger.store import Ledger
from demo import sample_ledger
from demo.processes import Process, stop
from demo.stack import airflow_environment, free_port
from tests.airflow.test_connection_form import CHROMIUM, DRIVER, FLAGS
from tests.page.conftest import CONN_ID
from tests.report.histories import NAMES, job

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).parents[2]
PATIENCE = 120
#: Accessibility checks; the page itself never loads them.
AXE = "axe-core@4.14.1"
USER = "vera"
PARTNERS = 150
DAG = """
from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("load_sales", schedule=None, start_date=datetime(2026, 1, 1)):
    EmptyOperator(task_id="sales_backed_up") >> EmptyOperator(task_id="load")
"""

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"),
]


@dataclass(frozen=True)
class Server:
    """An API server that asks for a login."""

    url: str
    passwords: dict[str, str]
    ledger: dict[str, str]

    def log_in(self, user: str) -> str:
        answer = httpx.post(
            f"{self.url}/auth/token",
            json={"username": user, "password": self.passwords[user]},
            timeout=PATIENCE,
        )
        return answer.json()["access_token"]

    def ask(self, method: str, path: str, **body: object) -> httpx.Response:
        return httpx.request(
            method,
            f"{self.url}/api/v2/{path}",
            json=body or None,
            headers={"Authorization": f"Bearer {self.log_in('admin')}"},
            timeout=PATIENCE,
        )

    def use(self, **connection: object) -> None:
        """Let the ledger's connection lead somewhere, as Admin > Connections does."""
        self.ask("DELETE", f"connections/{CONN_ID}")
        self.ask("POST", "connections", connection_id=CONN_ID, **connection).raise_for_status()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server with a ledger that is filled up to now, and with a run of a gate's DAG."""
    home = tmp_path_factory.mktemp("page")
    connection = {"conn_type": "sqlite", "host": str(home / "ledger.db")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
        _fill_ledger()
    (home / "dags").mkdir()
    (home / "dags" / "load_sales.py").write_text(DAG)
    port = free_port()
    passwords = {name: secrets.token_urlsafe(12) for name in ("admin", USER)}
    (home / "passwords.json").write_text(json.dumps(passwords))
    server = Server(f"http://127.0.0.1:{port}/airflow", passwords, connection)
    environment = airflow_environment(home, dags=home / "dags") | {
        "PYTHONPATH": f"{ROOT}:{_declare(home)}",
        "AIRFLOW__API__BASE_URL": server.url,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"admin:admin,{USER}:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__AVEPOINT__LEDGER_CONN_ID": CONN_ID,
        "AIRFLOW__AVEPOINT__PAGE_CACHE_SECONDS": "1",
    }

    def command(name: str, *arguments: str) -> Process:
        return Process(
            name,
            [sys.executable, "-m", "airflow", *arguments],
            env=environment,
            cwd=home,
            log=home / f"{name}.log",
        )

    first = [command("db-migrate", "db", "migrate"), command("reserialize", "dags", "reserialize")]
    api = command("api-server", "api-server", "--host", "127.0.0.1", "--port", str(port))
    end = time.monotonic() + 3 * PATIENCE
    try:
        for each in first:
            each.start()
            while each.exit_code is None and time.monotonic() < end:
                time.sleep(0.2)
            assert each.exit_code == 0, each.tail(20)
        api.start()
        while not _answers(f"{server.url}/api/v2/monitor/health"):
            assert api.exit_code is None, api.tail(20)
            assert time.monotonic() < end, api.tail(20)
            time.sleep(0.5)
        run = {"dag_run_id": sample_ledger.NEWEST_RUN, "logical_date": None}
        server.ask("POST", "dags/load_sales/dagRuns", **run).raise_for_status()
        server.use(**connection)
        yield server
    finally:
        stop([*first, api], grace=3)


def _fill_ledger() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    with Ledger(CONN_ID) as ledger:
        sample_ledger.fill(ledger, now)
        for number, name in enumerate(NAMES):
            fields = {"organization_id": f"{number}", "organization_name": name, "raw_state": name}
            jobs = [job(now - timedelta(days=back, hours=3), "failed", **fields) for back in range(3)]
            ledger.save_jobs("hostile", jobs, now)
        names = [{"organization_id": f"{each}", "organization_name": "Customer"} for each in range(PARTNERS)]
        ledger.save_jobs("partner", [job(now - timedelta(hours=3), **each) for each in names], now)


def _declare(home: Path) -> str:
    """Return a folder that declares the plugin, where the installed package is another checkout's."""
    site = home / "site"
    if not any(each.name == "avepoint" for each in entry_points(group="airflow.plugins")):
        info = site / "avepoint_page-0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: avepoint-page\nVersion: 0\n")
        plugin = "avepoint = airflow_provider_avepoint.page.plugin:AvePointPlugin"
        (info / "entry_points.txt").write_text(f"[airflow.plugins]\n{plugin}\n")
    return str(site)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


class Browser(Chrome):
    """Chromium, and what these tests do with the browser again and again."""

    downloads: Path

    def wait_for(self, check: str, *arguments: object) -> object:
        return WebDriverWait(self, PATIENCE).until(
            lambda each: each.execute_script(f"return {check}", *arguments)
        )

    def click(self, xpath: str) -> None:
        self.find(xpath).click()

    def find(self, xpath: str) -> WebElement:
        found = WebDriverWait(self, PATIENCE).until(
            lambda each: [e for e in each.find_elements(By.XPATH, xpath) if e.is_displayed()]
        )
        return found[0]

    def enter_frame(self, check: str = "document.querySelectorAll('#rows tr').length > 0") -> None:
        self.switch_to.default_content()
        self.find("//iframe")
        self.switch_to.frame(self.find_element(By.TAG_NAME, "iframe"))
        self.wait_for(check)

    def log_in(self, server: Server, user: str = USER) -> None:
        self.get(f"{server.url}/auth/login")
        self.add_cookie({"name": "_token", "value": server.log_in(user), "path": "/airflow"})

    def read_severe(self) -> list[str]:
        return [each["message"] for each in self.get_log("browser") if each["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def browser(airflow: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    browser = Browser(options=options, service=Service(str(DRIVER)))
    browser.downloads = tmp_path_factory.mktemp("downloads")
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(browser.downloads)}
    )
    browser.set_script_timeout(PATIENCE)
    browser.log_in(airflow)
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the accessibility checks as a script."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which fetches axe-core")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run([npm, "pack", "--silent", AXE], cwd=folder, check=True, timeout=PATIENCE)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        script = package.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def find_faults(browser: Browser, axe: str) -> list[object]:
    """Return what is serious for users of screen readers, of the keyboard, or with weak sight."""
    browser.execute_script(axe)
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {resultTypes: ['violations']}).then((all) => done(all.violations"
        ".filter((each) => ['serious', 'critical'].includes(each.impact))"
        ".map((each) => [each.id, each.nodes.map((node) => node.html.slice(0, 200))])))"
    )
    return list(found)


def test_the_menu_leads_to_the_page_and_the_address_keeps_the_filters(
    browser: Browser, airflow: Server
) -> None:
    browser.get(f"{airflow.url}/")
    browser.click("//button[contains(., 'Browse')] | //a[contains(., 'Browse')]")
    browser.click("//a[contains(@href, 'plugin/avepoint-page')]")
    browser.enter_frame()
    everything = browser.find_element(By.ID, "shown").text.partition(",")[0]
    tiles = [each.text.split("\n")[:2] for each in browser.find_elements(By.CSS_SELECTOR, ".tile")]
    assert {label for _, label in tiles} >= {
        *("Good", "Late", "Failing", "Excluded", "Licences to look at"),
        *("Last proven restore", "Unusual activity"),
    }

    browser.find_element(By.CSS_SELECTOR, "th[data-sort=name] button").click()
    browser.find_element(By.ID, "q").send_keys("contoso sales")
    browser.wait_for("document.getElementById('shown').textContent.startsWith('2 of ')")
    browser.find_element(By.CSS_SELECTOR, "#tiles button[value=failing]").click()
    browser.wait_for("document.getElementById('shown').textContent.startsWith('1 of ')")
    # The tiles count what the other filters leave.
    assert browser.find_element(By.CSS_SELECTOR, "#tiles button[value=good] b").text == "1"
    browser.switch_to.default_content()
    asked = parse_qs(urlsplit(browser.current_url).query)
    assert asked == {"sort": ["name"], "q": ["contoso sales"], "state": ["failing"]}
    browser.refresh()
    browser.enter_frame()

    assert browser.find_element(By.ID, "shown").text.startswith("1 of ")
    browser.find_element(By.ID, "clear").click()
    browser.wait_for("document.getElementById('shown').textContent === arguments[0]", everything)
    for mangled in ("sort=__proto__", "sort=constructor.desc", "state=good&tenant=%00", "scope=nothing"):
        browser.get(f"{airflow.url}/avepoint-page/?{mangled}")
        browser.wait_for("/scope/.test(document.getElementById('shown').textContent)")
    browser.wait_for("/knows no such scope/.test(document.getElementById('drawer-body').textContent)")
    assert browser.execute_script("return document.title") == "Backups"  # no vendor's text ran
    # The last address asks for a scope that does not exist.
    assert [each for each in browser.read_severe() if "/scopes/nothing" not in each] == []


def test_a_drawer_is_closed_by_escape_and_by_back(browser: Browser, airflow: Server) -> None:
    browser.get(f"{airflow.url}/plugin/avepoint-page?q=contoso+sales&state=failing")
    browser.enter_frame()
    is_open = "document.querySelector('#drawer[open] .calendar') !== null"
    is_closed = "document.querySelector('#drawer:not([open])') !== null"

    for leave in (
        lambda: browser.switch_to.active_element.send_keys(Keys.ESCAPE),
        browser.back,
        lambda: browser.find_element(By.ID, "close").click(),
    ):
        browser.find_element(By.CSS_SELECTOR, "#rows button.open").send_keys(Keys.ENTER)
        browser.wait_for(is_open)
        assert "The entity cannot be read" in browser.find_element(By.ID, "drawer-body").text
        browser.wait_for("/scope=/.test(parent.location.search)")
        address = browser.execute_script("return parent.location.href")
        leave()
        browser.enter_frame(is_closed)  # the driver leaves the frame when the driver goes back
        browser.wait_for("document.activeElement.matches('#rows button.open')")
        browser.wait_for("!/scope=/.test(parent.location.search) && /q=contoso/.test(parent.location.search)")
    # The address of an open drawer opens that drawer again.
    browser.get(address)
    browser.enter_frame()
    browser.wait_for(is_open)
    assert browser.read_severe() == []


def test_the_tabs_of_a_run_and_of_a_task(browser: Browser, airflow: Server, axe: str) -> None:
    run = f"{airflow.url}/dags/load_sales/runs/{sample_ledger.NEWEST_RUN}"
    for place, of in ((run, "run"), (f"{run}/tasks/sales_backed_up", "task")):
        browser.get(place)
        browser.click("//a[normalize-space() = 'Backup']")
        browser.enter_frame("document.querySelector('.verdict') !== null")
        told = browser.find_element(By.TAG_NAME, "main").text
        assert f"1 verdict of this {of}: did not pass." in told
        assert "load_sales.sales_backed_up" in told
        assert "1 of 2 scopes good" in told
        assert find_faults(browser, axe) == []
    for query, shown in (
        # Airflow 3.1 does not encode the plus.
        (f"dag_id=load_sales&run_id={sample_ledger.NEWEST_RUN}", "1 verdict of this run: did not pass."),
        ("dag_id=load&run_id=never", "The ledger holds no verdict of this run"),
        ("dag_id=%7BDAG_ID%7D", "Open this page as the tab Backup of a run"),
    ):
        browser.get(f"{airflow.url}/avepoint-page/run.html?{query}")
        browser.wait_for("document.getElementById('asof').textContent.startsWith(arguments[0])", shown)
    assert browser.read_severe() == []
    browser.get(f"{airflow.url}/avepoint-page/run.html?dag_id=a&run_id=b&map_index=abc")
    browser.wait_for(
        "document.getElementById('problem').textContent === arguments[0]",
        "The address asks for something that cannot be: map_index.",
    )
    browser.read_severe()


def test_the_page_is_fit_for_all_in_both_themes_and_on_a_phone(
    browser: Browser, airflow: Server, axe: str
) -> None:
    browser.get(f"{airflow.url}/plugin/avepoint-page")
    browser.enter_frame()
    for theme, other in (("dark", "light"), ("light", "dark")):
        browser.execute_script(
            "const own = parent.document.documentElement.classList;"
            "own.remove(arguments[1]); own.add(arguments[0])",
            theme,
            other,
        )
        browser.wait_for("document.documentElement.dataset.theme === arguments[0]", theme)
        style = (
            "const style = getComputedStyle(document.body); return [style.colorScheme, style.backgroundColor]"
        )
        # The frame stands on Airflow's own ground.
        assert browser.execute_script(style) == [theme, "rgba(0, 0, 0, 0)"]
    # In a window of its own the page follows the system, and has a ground to compare inks with.
    for theme in ("dark", "light"):
        scheme = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
        browser.get(f"{airflow.url}/avepoint-page/")
        browser.wait_for("document.querySelectorAll('#license-cards article').length > 0")
        assert browser.execute_script("return document.documentElement.dataset.theme") == theme
        assert find_faults(browser, axe) == []
        browser.find_element(By.CSS_SELECTOR, "#rows button.open").send_keys(Keys.ENTER)
        browser.wait_for("document.querySelector('#drawer[open] .calendar') !== null")
        assert find_faults(browser, axe) == []
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.get(f"{airflow.url}/avepoint-page/")
        browser.wait_for("document.querySelectorAll('#rows tr').length > 0")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        assert find_faults(browser, axe) == []
        browser.find_element(By.CSS_SELECTOR, "#rows button.open").send_keys(Keys.ENTER)
        browser.wait_for("document.querySelector('#drawer[open] .calendar') !== null")
        assert browser.execute_script("return document.getElementById('drawer').scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert browser.read_severe() == []


def test_rows_come_as_they_come_into_view(browser: Browser, airflow: Server) -> None:
    count = "document.querySelectorAll('#rows tr').length"
    browser.get(f"{airflow.url}/plugin/avepoint-page?tenant=partner")
    browser.enter_frame()
    assert browser.find_element(By.ID, "shown").text.startswith(f"{PARTNERS} of ")
    assert browser.execute_script(f"return {count}") < PARTNERS
    WebDriverWait(browser, PATIENCE).until(
        lambda each: each.execute_script(f"scrollTo(0, 1e6); return {count}") == PARTNERS
    )
    metrics = {"width": 1440, "height": 20_000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.get(f"{airflow.url}/avepoint-page/?tenant=partner")
        browser.wait_for(f"{count} === arguments[0]", PARTNERS)  # all are in view, and nobody scrolls
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert browser.read_severe() == []


def test_what_is_shown_is_exported(browser: Browser, airflow: Server) -> None:
    browser.get(f"{airflow.url}/plugin/avepoint-page?tenant=hostile")
    browser.enter_frame()
    browser.find_element(By.ID, "csv").click()
    WebDriverWait(browser, PATIENCE).until(lambda _: list(browser.downloads.glob("*.csv")))

    (file,) = browser.downloads.glob("backups-*.csv")
    rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == len(NAMES)
    assert {row["tenant"] for row in rows} == {"hostile"}
    assert any(row["scope"].startswith("'=1+1") for row in rows)  # no formula


def test_without_a_session_the_page_says_so_and_leads_back(browser: Browser, airflow: Server) -> None:
    browser.get(f"{airflow.url}/avepoint-page/")
    browser.wait_for("document.querySelectorAll('#rows tr').length > 0")
    try:
        browser.delete_all_cookies()
        browser.find_element(By.ID, "reload").click()
        browser.wait_for("/session has ended/.test(document.getElementById('problem').textContent)")
        # What was read stays, with its age.
        assert browser.find_element(By.ID, "asof").text.startswith("Still as of")
        assert browser.find_elements(By.CSS_SELECTOR, "#rows tr")
        browser.get(f"{airflow.url}/avepoint-page/?state=late")
        browser.wait_for("/session has ended/.test(document.body.textContent)")
        assert browser.execute_script("return getComputedStyle(document.body).fontFamily").startswith(
            "system-ui"
        )
        browser.find_element(By.TAG_NAME, "a").click()
        browser.find("//input[@name='username']").send_keys(USER)
        browser.find("//input[@name='password']").send_keys(airflow.passwords[USER], Keys.ENTER)
        browser.wait_for("document.querySelectorAll('#rows tr').length > 0")
        assert urlsplit(browser.current_url).path == "/airflow/avepoint-page/"
    finally:
        browser.log_in(airflow)
        browser.read_severe()


def test_a_ledger_that_is_missing_or_hangs_gives_a_sentence(
    browser: Browser, airflow: Server, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for connection, told in (
            ({"conn_type": "sqlite", "host": str(tmp_path / "nowhere.db")}, "no file nowhere.db"),
            (
                {"conn_type": "postgres", "host": "127.0.0.1", "port": silent.getsockname()[1], "login": "a"},
                "The page asks again in ten seconds.",
            ),
        ):
            airflow.use(**connection)
            browser.get(f"{airflow.url}/plugin/avepoint-page")
            browser.enter_frame("document.getElementById('problem').textContent !== ''")
            sentence = browser.find_element(By.ID, "problem").text
            assert told in sentence
            assert "null" not in sentence
            assert not browser.find_element(By.ID, "content").is_displayed()
    assert _answers(f"{airflow.url}/api/v2/monitor/health")
    browser.read_severe()
