"""The page in a real Airflow behind a path prefix, in a browser."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
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
from demo.processes import Process, stop
from demo.stack import airflow_environment, free_port
from tests.airflow.test_connection_form import CHROMIUM, DRIVER, FLAGS
from tests.page.conftest import CONN_ID
from tests.report import histories

ROOT = Path(__file__).parents[2]
PATIENCE = 120

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"),
]


def wait_for(browser: Chrome, check: str, *arguments: object) -> object:
    return WebDriverWait(browser, PATIENCE).until(
        lambda each: each.execute_script(f"return {check}", *arguments)
    )


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an API server that lets everybody in, with a ledger."""
    home = tmp_path_factory.mktemp("page")
    connection = {"conn_type": "sqlite", "host": str(home / "ledger.db")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
        with Ledger(CONN_ID) as ledger:
            histories.fill_ordinary(ledger)
            histories.fill_hostile(ledger)
    port = free_port()
    url = f"http://127.0.0.1:{port}/airflow"
    environment = airflow_environment(home, connections={CONN_ID: connection}) | {
        "PYTHONPATH": f"{ROOT}:{_declare(home)}",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__AVEPOINT__LEDGER_CONN_ID": CONN_ID,
    }

    def command(name: str, *arguments: str) -> Process:
        return Process(
            name,
            [sys.executable, "-m", "airflow", *arguments],
            env=environment,
            cwd=home,
            log=home / f"{name}.log",
        )

    migration = command("db-migrate", "db", "migrate")
    server = command("api-server", "api-server", "--host", "127.0.0.1", "--port", str(port))
    end = time.monotonic() + 2 * PATIENCE
    try:
        migration.start()
        while migration.exit_code is None and time.monotonic() < end:
            time.sleep(0.2)
        server.start()
        while not _answers(f"{url}/avepoint-page/"):
            assert server.exit_code is None, server.tail(20)
            assert time.monotonic() < end, server.tail(20)
            time.sleep(0.5)
        yield url
    finally:
        stop([migration, server], grace=3)


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


@pytest.fixture(scope="module")
def browser(airflow: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    browser = Chrome(options=options, service=Service(str(DRIVER)))
    browser.get(f"{airflow}/")
    yield browser
    browser.quit()


def enter_frame(browser: Chrome) -> None:
    browser.switch_to.default_content()
    WebDriverWait(browser, PATIENCE).until(lambda each: each.find_elements(By.TAG_NAME, "iframe"))
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    wait_for(browser, "document.querySelectorAll('#rows tr').length > 0")


def read_severe(browser: Chrome) -> list[str]:
    return [each["message"] for each in browser.get_log("browser") if each["level"] == "SEVERE"]


def test_the_menu_leads_to_the_page_and_the_address_keeps_the_filters(browser: Chrome, airflow: str) -> None:
    browser.get(f"{airflow}/")
    menu = "//button[contains(., 'Browse')] | //a[contains(., 'Browse')]"
    WebDriverWait(browser, PATIENCE).until(lambda each: each.find_elements(By.XPATH, menu))[0].click()
    entry = "//a[contains(@href, 'plugin/avepoint-page')]"
    WebDriverWait(browser, PATIENCE).until(lambda each: each.find_elements(By.XPATH, entry))[0].click()
    enter_frame(browser)
    everything = browser.find_element(By.ID, "shown").text.partition(",")[0]

    browser.find_element(By.CSS_SELECTOR, "th[data-sort=name] button").click()
    browser.find_element(By.ID, "q").send_keys("project")
    wait_for(browser, "document.getElementById('shown').textContent.startsWith('1 of ')")
    browser.switch_to.default_content()
    asked = parse_qs(urlsplit(browser.current_url).query)
    assert asked == {"sort": ["name"], "q": ["project"]}
    browser.refresh()
    enter_frame(browser)

    assert browser.find_element(By.ID, "shown").text.startswith("1 of ")
    browser.find_element(By.ID, "clear").click()
    wait_for(browser, "document.getElementById('shown').textContent === arguments[0]", everything)
    assert browser.execute_script("return document.title") == "Backups"  # no vendor's text ran
    assert read_severe(browser) == []


def test_the_page_follows_airflows_theme_and_the_keyboard(browser: Chrome, airflow: str) -> None:
    browser.get(f"{airflow}/plugin/avepoint-page")
    enter_frame(browser)
    for theme, other in (("dark", "light"), ("light", "dark")):
        browser.execute_script(
            "const own = parent.document.documentElement.classList;"
            "own.remove(arguments[1]); own.add(arguments[0])",
            theme,
            other,
        )
        wait_for(browser, "document.documentElement.dataset.theme === arguments[0]", theme)
    opener = browser.find_elements(By.CSS_SELECTOR, "#rows button.open")[0]
    opener.send_keys(Keys.ENTER)
    wait_for(browser, "document.querySelector('#drawer[open] .calendar') !== null")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait_for(browser, "document.querySelector('#drawer[open]') === null")
    assert read_severe(browser) == []


def test_a_phone_scrolls_one_way(browser: Chrome, airflow: str) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.get(f"{airflow}/avepoint-page/")
        wait_for(browser, "document.querySelectorAll('#rows tr').length > 0")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_tab_shows_the_verdicts_of_the_run(browser: Chrome, airflow: str) -> None:
    run = f"scheduled__{histories.NOW:%Y-%m-%d}"
    for query, shown in (
        (f"dag_id=load&run_id={run}&task_id=gate&map_index=%7BMAP_INDEX%7D", "1 verdict of this task"),
        (f"dag_id=load&run_id={run}", "1 verdict of this run"),
        ("dag_id=load&run_id=never", "The ledger holds no verdict of this run"),
        ("dag_id=%7BDAG_ID%7D", "Open this page as the tab Backup of a run"),
    ):
        browser.get(f"{airflow}/avepoint-page/run.html?{query}")
        wait_for(browser, "document.getElementById('asof').textContent.startsWith(arguments[0])", shown)
    assert read_severe(browser) == []
