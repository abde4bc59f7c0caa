"""Make the picture of the page: ``python -m demo.pictures`` writes ``docs/pictures/page.png``.

A real Airflow shows the ledger of :mod:`demo.sample_ledger`, and chromium takes the picture of it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image  # comes with matplotlib
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_avepoint.ledger.store import Ledger
from demo import sample_ledger
from demo.stack import AirflowStack

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "page.png"
#: A README is read over slow lines, too.
MOST_BYTES = 150_000
_CONN_ID = "ledger"
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
    """Fill a ledger, start Airflow, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        connection = {"conn_type": "sqlite", "host": str(Path(folder, "ledger.db"))}
        os.environ[f"AIRFLOW_CONN_{_CONN_ID.upper()}"] = f"sqlite:///{connection['host']}"
        with Ledger(_CONN_ID) as ledger:
            sample_ledger.fill(ledger, datetime.now(UTC).replace(microsecond=0))
        stack = AirflowStack(
            connections={_CONN_ID: connection}, environment={"AIRFLOW__AVEPOINT__LEDGER_CONN_ID": _CONN_ID}
        )
        with stack:
            picture = _shrink(_take_picture(stack))
    if len(picture) > MOST_BYTES:
        sys.exit(f"The picture has {len(picture):,} bytes; {MOST_BYTES:,} are allowed.")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(picture)
    print(f"{PICTURE}: {len(picture):,} bytes")


def _take_picture(stack: AirflowStack) -> bytes:
    browser = _start_browser()
    try:
        browser.get(f"{stack.url}/auth/login")
        browser.add_cookie({"name": "_token", "value": _log_in(stack), "path": "/"})
        browser.execute_script("localStorage.setItem('theme', 'light')")
        browser.get(f"{stack.url}/plugin/avepoint-page")
        wait = WebDriverWait(browser, _PATIENCE)
        frame = wait.until(lambda each: each.find_elements(By.TAG_NAME, "iframe"))[0]
        browser.switch_to.frame(frame)
        # The licences come last, with their charts.
        wait.until(lambda each: each.find_elements(By.CSS_SELECTOR, "#license-cards canvas"))
        browser.switch_to.default_content()
        return browser.get_screenshot_as_png()
    finally:
        browser.quit()


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


def _log_in(stack: AirflowStack) -> str:
    user = {"username": stack.username, "password": stack.password}
    answer = httpx.post(f"{stack.url}/auth/token", json=user, timeout=_PATIENCE, trust_env=False)
    return str(answer.raise_for_status().json()["access_token"])


if __name__ == "__main__":
    main()
