"""Our products and the simulator's are written down from the vendor's tables, each by itself: they agree.

A product's numbers stand twice: in ``core/products``, and in ``simulator/products`` as the documents' truth.
Only what the simulator has no word for is a table here.
"""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.rows import RowReader
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED
from airflow_provider_avepoint.simulator.products.base import Product as Simulated
from tests.core.tables import each_row

each_product = each_row(
    ("product", "documented"),
    [pytest.param(product, SIMULATED[name], id=name) for name, product in PRODUCTS.items()],
)

#: States that the vendor lists and that no word of the simulator stands for.
OTHER_STATES: dict[str, dict[int, str]] = {
    "m365": {5: "partial"},
    "m365_legacy": {5: "partial"},
    "iaas_paas": {32: "waiting"},
    "elements": {7: "failed", 8: "stopped", 9: "failed", 11: "skipped", 12: "skipped"}
    | {13: "waiting", 14: "waiting"},
}
#: A job type of Elements is a service: what a job of it does, where its name does not say that it scans.
SERVICES = ("microsoft_365", "google_workspace", "iaas_paas", "salesforce", "dynamics_365")


def states_of(documented: Simulated) -> dict[int, str]:
    """Return what each number means."""
    return {number: word for word, number in documented.states.items()} | OTHER_STATES.get(
        documented.name, {}
    )


def read_state(product: Product, value: object) -> str:
    columns = product.columns
    state_key = columns.state if isinstance(columns.state, str) else columns.state[0]
    row: dict[Any, object] = {columns.job_id: "1", state_key: value, columns.finished_at: 1_733_126_400}
    return RowReader(product).read(row).state.value


@each_product
def test_states(product: Product, documented: Simulated) -> None:
    """The same number means different things from product to product; one that is not listed is unknown."""
    expected = dict.fromkeys(range(-1, 70), "unknown") | states_of(documented)
    assert expected == {number: read_state(product, number) for number in expected}


@each_product
def test_spellings_of_states(product: Product, documented: Simulated) -> None:
    """Where rows have labels, each reads as its number does."""
    expected = states_of(documented)
    for labels in documented.spellings.values():
        found = {number: read_state(product, label) for number, label in labels.items()}
        assert {number: expected[number] for number in labels} == found


@each_product
def test_job_types(product: Product, documented: Simulated) -> None:
    """Every number is known, and no other; our word is the end of the vendor's, such as ``ec2_restore``."""
    numbers = documented.job_types.shown
    ours = {number for word in product.job_types for number in product.job_type_codes(word)}
    assert set(numbers.values()) == ours
    for word, number in numbers.items():
        names = {each for each in product.job_types if number in product.job_type_codes(each)}
        if product.name == "elements" and word in SERVICES:
            assert {"backup"} == names, word
        else:
            assert any(f"_{word}".endswith(f"_{name}") for name in names), (word, names)


@each_product
def test_backups(product: Product, documented: Simulated) -> None:
    """What is called a backup may stand for one, nothing else may; an audit log and a scan hold no data."""
    numbers = documented.job_types.shown
    named = {word for word in numbers if word.endswith("backup")}
    named |= {documented.backups[None]} if documented.backups else set()
    others = {"salesforce": {"continuous_data_protection"}, "elements": {"scan"}}.get(product.name, set())
    assert {product.read_job_type(numbers[word]) for word in named} | others == set(product.backup_types)
    assert "backup" == product.backup_types[0]
    audited = {word for word in product.backup_types if word.startswith("audit")}
    scans = {"scan": "scan"} if product.name == "elements" else {}
    assert dict.fromkeys(audited, "audit_log") | scans == product.contents


@each_product
def test_workloads(product: Product, documented: Simulated) -> None:
    shown = documented.workloads.shown
    assert set(shown) == set(product.known_workloads)
    assert {word: word for word in shown} == {
        word: product.read_workload(value) for word, value in shown.items()
    }
    for number, workload in product.workload_of_type.items():
        (word,) = (word for word, value in documented.job_types.shown.items() if value == number)
        assert word.startswith(f"{workload}_")


@each_product
def test_addresses(product: Product, documented: Simulated) -> None:
    """Paths, methods and permissions, of the list and of every other endpoint."""
    path = documented.list_path.replace(f"{{{documented.customer_parameter}}}", "{organization_id}")
    assert (path, documented.scope, documented.method) == (product.path, product.permission, product.method)
    for ours, theirs in (
        (product.license, documented.license),
        (product.subscriptions, documented.subscriptions),
    ):
        found = ours and (ours.path, ours.permission)
        assert (theirs and (theirs.path, theirs.scope)) == found
    assert (documented.details and documented.details.path) == (product.job and product.job.path)


@each_product
def test_parameters(product: Product, documented: Simulated) -> None:
    """Each filter has the vendor's name, and each that the vendor has for these facts is used."""
    filters, paging = product.filters, product.paging
    ours = {
        "job_type": filters.job_type,
        "state_code": filters.state,
        "workload": filters.object_type,
        "organization_id": filters.organization_id,
        "location": filters.location,
    }
    known = {each.fact: each.parameter for each in documented.filters if each.fact in ours}
    assert {name: value.casefold() for name, value in known.items()} == {
        name: value.casefold() for name, value in ours.items() if value is not None
    }
    assert (filters.started_after is not None) is (documented.window is not None)
    assert filters.window_required is documented.is_window_required
    is_numbered = paging.index is not None and not paging.is_offset
    assert is_numbered is ("first_index" in documented.quirk_names)
    assert {name.casefold() for name in documented.paging.parameter_names} == {
        (paging.index or paging.token).casefold(),
        paging.size.casefold(),
    }
    most = documented.quirks.max_page_size
    assert most is None or most == paging.sizes[0]
