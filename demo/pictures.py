"""Make the pictures of the documentation: ``python -m demo.pictures`` writes ``docs/pictures``.

A real Airflow shows the ledger of :mod:`demo.sample_ledger`, the log of a gate that is shut and the form of a
connection; the report is on the same ledger. Chromium takes the pictures.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from PIL import Image  # comes with matplotlib
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.avepoint import AvePointReportOperator
from airflow_provider_avepoint.simulator import Simulator
from demo import sample_ledger
from demo.stack import AirflowStack

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
#: A README is read over slow lines, too.
MOST_BYTES = 150_000
_CONN_ID = "ledger"
_GATE = "avepoint_quickstart"
_WIDTH, _HEIGHT = 1440, 1140
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    f"--window-size={_WIDTH},{_HEIGHT}",
)
_PATIENCE = 120


def main() -> None:
    """Fill a ledger, start Airflow, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, Simulator() as simulator:
        ledger_connection = {"conn_type": "sqlite", "host": str(Path(folder, "ledger.db"))}
        os.environ[f"AIRFLOW_CONN_{_CONN_ID.upper()}"] = f"sqlite:///{ledger_connection['host']}"
        with Ledger(_CONN_ID) as ledger:
            sample_ledger.fill(ledger, datetime.now(UTC).replace(microsecond=0))
        simulator.seed_demo()
        report = Path(folder, "report.html")
        AvePointReportOperator(task_id="report", path=report, ledger_conn_id=_CONN_ID).execute({})
        stack = AirflowStack(
            connections={_CONN_ID: ledger_connection, DEFAULT_CONN_ID: simulator.connection},
            environment={"AIRFLOW__AVEPOINT__LEDGER_CONN_ID": _CONN_ID, "AIRFLOW__API__DEFAULT_WRAP": "True"},
        )
        with stack:
            browser = _start_browser()
            try:
                _log_in(browser, stack)
                _keep("page", _show_page(browser, stack))
                _keep("gate", _show_gate(browser, stack))
                browser.set_window_size(_WIDTH, _HEIGHT)
                _keep("form", _show_form(browser, stack))
                browser.get(report.as_uri())
                _keep("report", browser.get_screenshot_as_png())
            finally:
                browser.quit()


def _keep(name: str, picture: bytes) -> None:
    picture = _shrink(picture)
    if len(picture) > MOST_BYTES:
        sys.exit(f"The picture {name} has {len(picture):,} bytes; {MOST_BYTES:,} are allowed.")
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    path.write_bytes(picture)
    print(f"{path}: {len(picture):,} bytes")


def _show_page(browser: Chrome, stack: AirflowStack) -> bytes:
    browser.get(f"{stack.url}/plugin/avepoint-page")
    wait = WebDriverWait(browser, _PATIENCE)
    frame = wait.until(lambda each: each.find_elements(By.TAG_NAME, "iframe"))[0]
    browser.switch_to.frame(frame)
    # The licences come last, with their charts.
    wait.until(lambda each: each.find_elements(By.CSS_SELECTOR, "#license-cards canvas"))
    browser.switch_to.default_content()
    return browser.get_screenshot_as_png()


def _show_gate(browser: Chrome, stack: AirflowStack) -> bytes:
    """Let the gate of the README meet the simulator's failed backup, and show the log of the gate."""
    browser.set_window_size(_WIDTH, _HEIGHT * 2 // 3)
    stack.unpause(_GATE)
    run_id = stack.api.trigger(_GATE)
    stack.wait_for_run(_GATE, run_id, seconds=_PATIENCE)
    browser.get(f"{stack.url}/dags/{_GATE}/runs/{run_id}/tasks/backup")
    WebDriverWait(browser, _PATIENCE).until(
        lambda each: "What to do" in each.find_element(By.TAG_NAME, "body").text
    )
    return browser.get_screenshot_as_png()


def _show_form(browser: Chrome, stack: AirflowStack) -> bytes:
    browser.get(f"{stack.url}/connections")
    wait = WebDriverWait(browser, _PATIENCE)

    def find(path: str) -> WebElement:
        element: WebElement = wait.until(expected_conditions.element_to_be_clickable((By.XPATH, path)))
        return element

    find("//button[contains(., 'Add Connection')]").click()
    find("//*[@role='dialog']//input[@role='combobox']").send_keys("AvePoint")
    find("//*[@role='option' and normalize-space()='AvePoint']").click()
    find("//input[@name='connection_id']").send_keys(DEFAULT_CONN_ID)
    find("//button[normalize-space()='Extra Fields']").click()
    find("//*[@id='element_region']")
    return browser.get_screenshot_as_png()


def _shrink(picture: bytes) -> bytes:
    """Return the picture with a palette: half the bytes, and no difference that a reader sees."""
    shrunk = BytesIO()
    Image.open(BytesIO(picture)).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
        shrunk, "PNG", optimize=True
    )
    return shrunk.getvalue()


def _start_browser() -> Chrome:
    options = Options()
    options.binary_location = shutil.which("chromium") or sys.exit("The picture needs chromium: make system.")
    for flag in _FLAGS:
        options.add_argument(flag)
    return Chrome(options=options, service=Service(shutil.which("chromedriver")))


def _log_in(browser: Chrome, stack: AirflowStack) -> None:
    user = {"username": stack.username, "password": stack.password}
    answer = httpx.post(f"{stack.url}/auth/token", json=user, timeout=_PATIENCE, trust_env=False)
    browser.get(f"{stack.url}/auth/login")
    token = str(answer.raise_for_status().json()["access_token"])
    browser.add_cookie({"name": "_token", "value": token, "path": "/"})
    browser.execute_script("localStorage.setItem('theme', 'light')")


if __name__ == "__main__":
    main()
