"""Whatever a server answers: jobs or an AvePointError, soon, and no verdict passes that should not."""

from __future__ import annotations

import itertools
import json
import logging
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from airflow_provider_avepoint.core import tolerant_rows
from airflow_provider_avepoint.core.auth import TokenCache, TokenSource
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.flow import Request, Response
from airflow_provider_avepoint.core.license import audit
from airflow_provider_avepoint.core.license_calls import get_licenses
from airflow_provider_avepoint.core.listing import JobListing, find_job
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.core.verdict import Verdict, judge
from airflow_provider_avepoint.core.wait_events import Status, Watch
from airflow_provider_avepoint.core.watermark import Watermark, key_of
from airflow_provider_avepoint.transports.body import loads
from tests.core.flows import Answer, Driver, token
from tests.core.test_rows import KEYS, SAMPLES

from . import HOUR, fuzz
from .encoding import (
    BASE_URL,
    LICENSES,
    NOW,
    SECRET,
    TOKEN,
    TOKEN_URL,
    answers,
    envelope,
    good_row,
    near,
    near_row,
    pages,
    rows_of,
    write,
)

pytestmark = pytest.mark.no_cover

#: More requests than a few pages, read twice, can need: each tried for each size and with a second token.
MOST_REQUESTS = 500
MAX_AGE = 24 * HOUR

each_product = pytest.mark.parametrize("name", PRODUCTS)
per_product = fuzz(len(PRODUCTS))


class Credential:
    fingerprint = "f"

    def form_fields(self, _token_url: str) -> dict[str, str]:
        return {"client_id": "c", "client_secret": SECRET}


TOKENS = TokenCache()
SETTINGS = Settings(base_url=BASE_URL, identity_endpoint=TOKEN_URL, client_id="c")


def is_one_line(text: str) -> bool:
    """Tell whether *text* can be shown: ZWNJ and ZWJ belong to words and emoji."""
    return text.translate({0x200C: None, 0x200D: None}).isprintable()


class LineByLine(logging.Handler):
    """Formats every message, as a log file would, and keeps none."""

    def emit(self, record: logging.LogRecord) -> None:
        assert is_one_line(record.getMessage())


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep what is said once a process to this test, and the log of a hundred thousand answers nowhere."""
    monkeypatch.setattr(tolerant_rows, "_UNDOCUMENTED", set())
    log, handler = logging.getLogger("airflow_provider_avepoint"), LineByLine()
    monkeypatch.setattr(log, "propagate", False)
    log.addHandler(handler)
    yield
    log.removeHandler(handler)


def build_client() -> Client:
    TOKENS.clear()
    source = TokenSource(token_url=TOKEN_URL, client_id="c", credential=Credential(), cache=TOKENS)
    return Client(SETTINGS, source)


def serve(given_answers: list[Answer], tokens: Iterable[Answer] | None = None) -> Driver:
    """Return a driver whose server gives these answers over and over, and sees that it alone is asked."""
    turns, grants = itertools.cycle(given_answers), itertools.cycle(tokens or [token(TOKEN)])

    def reply(request: Request) -> Answer:
        assert len(driver.sent) <= MOST_REQUESTS
        urlencode(request.query)  # what no driver can send is not to be asked for
        if request.url == TOKEN_URL:
            assert "Authorization" not in request.headers
            return next(grants)
        assert request.url.startswith(f"{BASE_URL}/")
        return next(turns)

    driver = Driver(reply)
    return driver


def list_of(page: bytes, product: Product) -> list[Answer]:
    """Return the answers of a server that has but one page."""
    bodies = [page, write(envelope(product, [])).encode()]
    return [Response(status=200, headers={}, body=body, loads=loads) for body in bodies]


def attempt(call: Callable[[], Any]) -> Any:
    """Return what *call* does; None where it ends with an error of ours, whose message can be shown."""
    try:
        return call()
    except AvePointError as e:
        event(type(e).__name__)
        message = str(e)
        assert is_one_line(message)
        assert len(message) < 3000
        assert SECRET not in message
        assert TOKEN not in message
        return None


def list_jobs(client: Client, driver: Driver, query: JobQuery, limit: int) -> list[BackupJob]:
    """Read a whole listing, *limit* pages at a time."""
    listing, pending, jobs = JobListing(client, query, NOW), deque[Any](), list[BackupJob]()
    while True:
        pending.extend(listing.begin_up_to(limit, len(pending)))
        if not pending:
            return jobs
        jobs += listing.take(driver.run(pending.popleft()))


def policy_for(product: Product) -> Policy:
    """Return a policy whose jobs one listing holds."""
    scope: dict[str, Any] = {}
    if product.asks_each_object_type:
        scope["object_types"] = next(iter(product.object_types))
    if product.needs_organization:
        scope["organization_ids"] = "c1"
    return Policy(product=product.name, max_age=MAX_AGE, **scope)


def use(jobs: list[BackupJob], policy: Policy) -> Verdict:
    """Do with *jobs* what gates, watchers and auditors do; return the verdict."""
    assert {policy.product} >= {job.product for job in jobs}
    Watermark.begin(jobs, NOW).advance(jobs, NOW, asked_since=NOW - HOUR)
    for job in jobs:
        store([key_of(job), {name: value for name, value in job.as_dict().items() if name != "raw"}])
    verdict = judge(jobs, policy, NOW)
    store(verdict.as_dict())
    assert is_one_line(verdict.summary)
    assert all(map(is_one_line, verdict.describe().split("\n")))
    return verdict


def store(value: Any) -> None:
    """See to it that any database can keep *value*: no NUL, nothing that is not Unicode, no NaN."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text


# The second opinion: what a row says on its face, by the vendor's tables alone.

SUCCESS = {
    "m365": (2, "finished"),
    "m365_legacy": (2, "finished"),
    "dynamics365": (3, "finished"),
    "google_workspace": (2, "finished"),
    "salesforce": (2, "finished"),
    "iaas_paas": (2, "successful"),
    "aos_scan": (2, "finished"),
    "elements": (2, "finished", "successful"),
}
ALSO_STATE = {"salesforce": "status", "iaas_paas": "state"}


def spelled(row: Mapping[str, Any], name: str) -> list[Any]:
    return [value for key, value in row.items() if key.casefold() == name.casefold()]


def is_success(product: Product, value: object) -> bool:
    if isinstance(value, str):
        whole, _, fraction = value.strip().partition(".")
        is_number = whole.isascii() and whole.isdigit() and len(whole) < 40 and not fraction.strip("0")
        value = int(whole) if is_number else re.sub(r"[\s_-]", "", value).casefold()
    return not isinstance(value, bool) and value in SUCCESS[product.name]


def read_moment(value: object) -> datetime | None:
    """Return an instant in any of the forms that the documents show, None where there is none."""
    try:
        if isinstance(value, str) and not value.isdigit():
            moment = datetime.fromisoformat(value)
        else:
            number = int(value)  # type: ignore[call-overload]  # TypeError
            unit = 10**7 if number >= 10**17 else 10**3 if number >= 10**11 else 1
            since = datetime(1, 1, 1, tzinfo=UTC) if unit == 10**7 else datetime(1970, 1, 1, tzinfo=UTC)
            moment = since + timedelta(seconds=number / unit)
        return None if moment.year == 1 else moment - timedelta()
    except (TypeError, ValueError, OverflowError):
        return None


def looks_good(product: Product, row: Mapping[str, Any]) -> bool:
    """Tell whether *row* can be a backup that began in the window and ended well."""
    _, state, start, finish = KEYS[product.name]
    states = [*spelled(row, state), *spelled(row, ALSO_STATE.get(product.name, state))]
    begun = [read_moment(value) for value in spelled(row, start)]
    ended = [read_moment(value) for value in spelled(row, finish)]
    times = [moment for moment in (*begun, *ended) if moment is not None and moment.tzinfo is not None]
    details = row.get("backupDetails")
    counts = {**row, **details} if isinstance(details, dict) else row
    sample = SAMPLES[product.name]
    failed = [
        counts.get(name)
        for name in {**sample, **sample.get("backupDetails", {})}
        if name.startswith("failed")
    ]
    return (
        any(is_success(product, value) for value in states)
        and any(NOW - MAX_AGE - HOUR / 60 <= moment <= NOW + HOUR / 12 for moment in times)
        and all(value in (None, "", "N/A", 0, "0", "-0", "00") for value in failed)
    )


def objects_in(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in *document*, however deep."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            left += value.values()
        elif isinstance(value, list):
            left += value


def documents_in(given_answers: list[Answer]) -> Iterator[Any]:
    for each in given_answers:
        if isinstance(each, Response) and each.status == 200:
            try:
                yield each.loads(each.body)
            except (ValueError, RecursionError):
                continue


# What may come.


@each_product
@per_product
@given(data=st.data())
def test_any_pages_give_jobs_or_an_error(name: str, data: st.DataObject) -> None:
    """Within a bound of requests; the gate opens only where a row of them was, on its face, a good backup."""
    product = PRODUCTS[name]
    given_answers = data.draw(st.lists(answers(pages(product)), min_size=1, max_size=4), label="answers")
    policy, driver = policy_for(product), serve(given_answers)
    (query,) = policy.queries(NOW)
    limit = data.draw(st.integers(1, 4), label="pages at a time")

    jobs = attempt(lambda: list_jobs(build_client(), driver, query, limit))

    if jobs is None:
        return
    verdict = use(jobs, policy)
    event(f"verdict {verdict.reason}")
    if verdict.passed:
        rows_sent = itertools.chain.from_iterable(map(objects_in, documents_in(given_answers)))
        assert any(looks_good(product, row) for row in rows_sent)


@each_product
@per_product
@given(data=st.data())
def test_a_row_passes_only_if_it_is_a_good_backup(name: str, data: st.DataObject) -> None:
    """A row that is nearly the vendor's sample; the sample itself, ended well and in the window, passes."""
    product = PRODUCTS[name]
    policy = policy_for(product)
    (query,) = policy.queries(NOW)
    for hours in (0.5, 2, 20, 30):
        good = good_row(product, "J1", hours)
        row = data.draw(near_row(product, good), label="row")
        body = write(envelope(product, [row])).encode()
        driver = serve(list_of(body, product))

        jobs = attempt(lambda driver=driver: list_jobs(build_client(), driver, query, 1))

        passed = jobs is not None and use(jobs, policy).passed
        event(f"passed: {passed}")
        if write(row) == write(good):
            assert (hours < 24) is passed
        elif passed:
            assert any(looks_good(product, each) for each in objects_in(loads(body)))


@each_product
@per_product
@given(data=st.data())
def test_any_answer_gives_the_one_job_or_an_error(name: str, data: st.DataObject) -> None:
    """A wait for one job ends well only where that job has."""
    product = PRODUCTS[name]
    one = st.fixed_dictionaries({"data": rows_of(product)}) if product.job else pages(product)
    documents = st.one_of(one, one.flatmap(near), pages(product))
    given_answers = data.draw(st.lists(answers(documents), min_size=1, max_size=3), label="answers")
    driver = serve(given_answers)
    query = JobQuery(
        product=product, job_id="J1", organization_id="c1" if product.needs_organization else None
    )

    job = attempt(lambda: driver.run(find_job(build_client(), query, "J1", NOW)))

    if job is not None:
        assert "J1" == job.job_id
        ended = Watch().note_job(job, accept_partial=False)
        store(ended)
        if ended is not None and ended["status"] == Status.PASSED:
            _, state, *_ = KEYS[product.name]
            states = [*spelled(job.raw, state), *spelled(job.raw, ALSO_STATE.get(product.name, state))]
            assert any(is_success(product, value) for value in states)


@pytest.mark.parametrize("name", LICENSES)
@fuzz(2 * len(LICENSES))
@given(data=st.data())
def test_any_licence_answer_gives_figures_or_an_error(name: str, data: st.DataObject) -> None:
    """Figures that were sent, each of them: what is missing must not be taken for nothing used."""
    product, sample = PRODUCTS[name], LICENSES[name]
    document = near(sample) | near(sample, 1)
    given_answers = data.draw(st.lists(answers(document), min_size=1, max_size=3), label="answers")
    no_more = Response(status=200, headers={}, body=b'{"data": []}')
    driver = serve([*given_answers, no_more])

    found = attempt(lambda: driver.run(get_licenses(build_client(), product, None, None, NOW)))

    if found is not None:
        assert found
        event("figures")
        for each in found:
            figures = [each.purchased_user_seats, each.assigned_user_seats]
            figures += [each.purchased_storage_gb, each.protected_gb]
            # A partner's subscription may have no figure of a kind, and says so.
            known = [figure for figure in figures if figure is not None or product.subscriptions is None]
            assert all(figure is not None and 0 <= figure < math.inf for figure in known)
            store([each.as_dict(), audit(each, 0.9, now=NOW, within=HOUR)])


@fuzz(2)
@given(data=st.data())
def test_any_token_answer_gives_a_token_or_an_error(data: st.DataObject) -> None:
    """A token that a header can hold, and that is hidden from logs; or nothing is asked."""
    good = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600}
    refusal = {"error": "invalid_scope", "error_description": f"no {SECRET}\nfor you"}
    tokens = data.draw(
        st.lists(answers(near(good) | near(refusal), said=SECRET), min_size=1, max_size=3), label="answers"
    )
    product = PRODUCTS["dynamics365"]
    page = write(envelope(product, [good_row(product, "J1")])).encode()
    driver = serve(list_of(page, product), tokens)
    client = build_client()
    (query,) = policy_for(product).queries(NOW)

    jobs = attempt(lambda: list_jobs(client, driver, query, 1))

    asked = [request for request in driver.sent if request.url != TOKEN_URL]
    assert (jobs is not None) is bool(asked)
    for request in asked:
        word, _, value = request.headers["Authorization"].partition(" ")
        assert "Bearer" == word
        assert value in driver.secrets
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value


def test_the_made_up_samples_are_good() -> None:
    """Else all of the above would pass for the wrong reason."""
    for product in PRODUCTS.values():
        assert looks_good(product, good_row(product, "J1"))
        assert not looks_good(product, good_row(product, "J1", 30))
