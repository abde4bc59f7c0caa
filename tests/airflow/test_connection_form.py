"""The connection form and its Test button in a browser, from an empty form to what the button says."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from airflow_provider_avepoint.core.settings import REGIONS
from tests.airflow.gate import Gate, connection_to
from tests.versions import needs_airflow

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PATIENCE_SECONDS = 60
HALF_A_MINUTE, MOST_PRESSES = 30, 3
REDRAWN = (
    StaleElementReferenceException,
    ElementNotInteractableException,
    ElementClickInterceptedException,
)
GOOD = "good"
LISTS = ("element_region", "element_environment")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1600",
)

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"),
    needs_airflow("3.3", "has this form, and compares ports"),
]


class Page:
    """Airflow's list of connections in the browser."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self._browser = browser
        self._url = url
        # A page that draws itself anew takes elements away that were just found.
        self._wait = WebDriverWait(browser, PATIENCE_SECONDS, ignored_exceptions=REDRAWN)

    def log_in(self, username: str, password: str) -> None:
        self._browser.get(f"{self._url}/auth/login")
        self.type("username", username)
        self.type("password", password + Keys.ENTER)
        self._wait.until(lambda browser: "/login" not in browser.current_url)

    def click(self, xpath: str) -> None:
        """Click the first such element that can be seen, as soon as there is one."""
        self._act(By.XPATH, xpath, lambda element: element.click())

    def type(self, name: str, text: str) -> None:
        """Type into the field of this name, as soon as it can be seen."""
        self._act(By.NAME, name, lambda element: element.send_keys(text))

    def _act(self, by: str, value: str, act: Callable[[WebElement], object]) -> None:
        def has_acted(browser: Chrome) -> bool:
            shown = [each for each in browser.find_elements(by, value) if each.is_displayed()]
            for element in shown[:1]:
                act(element)
            return bool(shown)

        self._wait.until(has_acted, f"{value} is not to be seen")

    def add(self, conn_id: str, fields: dict[str, Any]) -> None:
        """Fill an empty form and save it: standard fields by name, the others as ``element_<name>``."""
        self.begin(conn_id, fields)
        self.click("//button[contains(., 'Save')]")
        self._wait.until(lambda browser: not browser.find_elements(By.NAME, "connection_id"))

    def begin(self, conn_id: str, fields: dict[str, Any]) -> None:
        """Fill an empty form."""
        self.open()
        self.click("//button[contains(., 'Add Connection')]")
        self.type("connection_id", conn_id)
        self._act(
            By.CSS_SELECTOR,
            "[role=dialog] input[role=combobox]",
            lambda element: element.send_keys("AvePoint"),
        )
        self.click("//*[@role='option' and normalize-space()='AvePoint']")
        standard = {name: value for name, value in fields.items() if not name.startswith("element_")}
        for name, value in standard.items():
            self.type(name, value)
        self.click("//button[normalize-space()='Extra Fields']")
        for name in fields.keys() - standard.keys():
            if name in LISTS:
                self.list(name)
                self.click(f"//*[@role='option' and normalize-space()='{fields[name]}']")
            else:
                self.type(name, fields[name])

    def list(self, name: str) -> list[str]:
        """Open the list of a field; return what the list offers."""
        self._act(
            By.CSS_SELECTOR, f"#{name} input[role=combobox]", lambda element: element.send_keys(Keys.DOWN)
        )
        return self._wait.until(
            lambda browser: [each.text for each in browser.find_elements(By.CSS_SELECTOR, "[role=option]")]
        )

    def extra_fields(self) -> list[str]:
        """Return the names of the extra fields, from top to bottom."""
        fields = self._browser.find_elements(By.CSS_SELECTOR, "[role=dialog] [id^=element_]")
        return [each.get_attribute("id") for each in fields]

    def open(self) -> None:
        """Show the list of connections."""
        self._browser.get(f"{self._url}/connections")

    def read_log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int) -> list[str]:
        """Return the lines of a mapped task's log, once the log is shown to its end."""
        self._browser.get(f"{self._url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/mapped/{map_index}")
        text = self._wait.until(
            lambda browser: (
                "Post Execute" in (text := browser.find_element(By.TAG_NAME, "body").text) and text
            )
        )
        return str(text).splitlines()

    def test(self, conn_id: str) -> str:
        """Press the connection's Test button; return GOOD, or what the page says of a test that failed."""
        button = f"//tr[.//*[normalize-space()='{conn_id}']]//button[@aria-label='Test Connection']"

        def outcome(browser: Chrome) -> str | None:
            if browser.find_elements(By.XPATH, f"{button}//*[name()='svg' and @color='green']"):
                return GOOD
            toasts = browser.find_elements(By.CSS_SELECTOR, "[data-scope=toast][data-part=root]")
            said = next((text for each in toasts if (text := each.text).startswith("Test Connection")), None)
            return GOOD if said is not None and said.startswith("Test Connection Successful") else said

        for _ in range(MOST_PRESSES):
            self.click(button)
            with suppress(TimeoutException):  # the words stay for seconds only: a busy machine may miss them
                return WebDriverWait(self._browser, HALF_A_MINUTE, ignored_exceptions=REDRAWN).until(outcome)
        raise AssertionError(f"the button said nothing, {MOST_PRESSES} times")


@pytest.fixture(scope="module")
def page(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    browser = Chrome(options=options, service=Service(str(DRIVER)))
    try:
        page = Page(browser, gate.stack.url)
        page.log_in(gate.stack.username, gate.stack.password)
        yield page
    finally:
        browser.quit()


@pytest.fixture
def try_form(gate: Gate, page: Page) -> Callable[..., str]:
    """Return a function that fills the form, saves it, presses the Test button, and returns what it says."""

    def fill(**fields: str) -> str:
        known = connection_to(gate.simulator)
        standard = {name: known[name] for name in ("host", "login", "password")}
        endpoint = {"element_identity_endpoint": known["extra"]["identity_endpoint"]}
        conn_id = f"avepoint_{uuid.uuid4().hex}"
        page.add(conn_id, {**standard, "port": "443", **endpoint, **fields})
        return page.test(conn_id)

    return fill


def test_a_right_secret_is_good(try_form: Callable[..., str]) -> None:
    assert GOOD == try_form()


def test_one_product_that_can_be_read_is_good(gate: Gate, try_form: Callable[..., str]) -> None:
    """What is missing for the others, the UI says for some seconds; the green sign stays."""
    gate.simulator.set_client("reader", secret="reader-secret", scopes=["dynamics.readwrite.all"])

    assert GOOD == try_form(login="reader", password="reader-secret")


def test_a_wrong_secret_is_named_and_not_shown(try_form: Callable[..., str]) -> None:
    said = try_form(password="not-the-clients-secret")

    assert "refused the credentials of client demo-client" in said
    assert "not-the-clients-secret" not in said


def test_the_regions_are_a_list_at_the_top(page: Page, try_form: Callable[..., str]) -> None:
    """A region beside an address is warned of in the log."""
    page.begin(f"avepoint_{uuid.uuid4().hex}", {})

    assert page.extra_fields()[0] == "element_region"
    assert page.list("element_region") == [*REGIONS]
    assert GOOD == try_form(element_region="us")


def test_a_wrong_region_is_named_with_those_there_are(gate: Gate, page: Page) -> None:
    """A connection that the form has not made may have one."""
    fields = connection_to(gate.simulator, host="", port=443)
    extra = json.dumps(fields["extra"] | {"region": "atlantis"})
    conn_id = f"avepoint_{uuid.uuid4().hex}"
    added = {"connection_id": conn_id, **fields, "extra": extra}
    gate.stack.api.request("POST", "/api/v2/connections", json=added)
    page.open()

    said = page.test(conn_id)

    assert "atlantis" in said
    assert "us" in said


def test_a_missing_permission_is_named(gate: Gate, try_form: Callable[..., str]) -> None:
    gate.simulator.set_client("nobody", secret="nobody-secret", scopes=[])

    said = try_form(login="nobody", password="nobody-secret")

    assert "dynamics365 lacks dynamics.readwrite.all" in said


def test_without_a_port_the_button_cannot_work(try_form: Callable[..., str]) -> None:
    """Airflow's own: once this fails, its UI has been mended, and the form needs no port any more."""
    assert "Bad Request" in try_form(port="")
