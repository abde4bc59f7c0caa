"""Every product's tables: whole, without contradiction, and in the words that users write."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from string import Formatter
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.fields import normalize_label
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products import PRODUCTS, get_product, require_endpoint
from airflow_provider_avepoint.core.products.vocabulary import CountKeys, ErrorKeys, Product
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.rows import RowReader
from airflow_provider_avepoint.core.verdict import OTHER
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED

WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
SCOPE = re.compile(r"[A-Za-z0-9]+(\.[A-Za-z]+)+")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def of_every_product(check: Callable[[Product], None]) -> Callable[[], None]:
    """Make of *check* a test of all products in turn, which names the product that it fails for."""

    def test() -> None:
        for product in PRODUCTS.values():
            try:
                check(product)
            except BaseException as e:
                e.add_note(f"The product is {product.name}.")
                raise

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


def words(product: Product) -> list[str]:
    return [product.name, *product.job_types, *product.object_types, *product.workloads]


@of_every_product
def test_the_table_and_the_lookup_agree(product: Product) -> None:
    assert product is PRODUCTS[product.name] is get_product(product.name) is PRODUCTS[product.name]


@of_every_product
def test_words_are_snake_case(product: Product) -> None:
    assert [] == [word for word in words(product) if not WORD.fullmatch(word)]


@of_every_product
def test_words_never_collide_with_our_own(product: Product) -> None:
    """``other`` is what no object type claims, ``all`` every job type, and numbers are undocumented types."""
    assert OTHER not in {*product.object_types, *product.workloads}
    assert "all" not in {*product.job_types, *product.object_types, *product.workloads}


@of_every_product
def test_words_are_unique(product: Product) -> None:
    for table in (product.job_types, product.object_types, product.workloads):
        assert 1 == max(Counter(normalize_label(word) for word in table).values(), default=1)


@of_every_product
def test_names_are_unique(product: Product) -> None:
    others = [other for other in PRODUCTS.values() if other is not product]
    for name in ("name", "label", "path"):
        assert getattr(product, name) not in [getattr(other, name) for other in others]


@of_every_product
def test_object_types_have_a_number_each(product: Product) -> None:
    """Zero means "all" in a query, so it can be one only where it is read from rows or sent in a body."""
    assert 1 == max(Counter(product.object_types.values()).values(), default=1)
    is_sent = product.filters.object_type is not None and product.method == "GET"
    assert not (is_sent and 0 in product.object_types.values())


@of_every_product
def test_object_types_read_back(product: Product) -> None:
    for word, number in product.object_types.items():
        assert [word] * 3 == [product.read_workload(each) for each in (number, str(number), word)]


@of_every_product
def test_job_types_read_back(product: Product) -> None:
    """What a row's number reads as is asked for by the same number, or is one of several that are not."""
    for word in product.job_types:
        canonical = product.canonical_job_type(word)
        numbers = product.job_type_codes(word)
        assert numbers == product.job_type_codes(canonical)
        assert canonical == product.canonical_job_type(canonical)
        for number in numbers:
            assert [canonical] * 2 == [product.read_job_type(each) for each in (number, str(number))]
        assert canonical == product.canonical_job_type(
            product.read_job_type(canonical.replace("_", " ").title())
        )


@of_every_product
def test_every_job_type_can_be_found(product: Product) -> None:
    """By its numbers; one that has none is a workload, whose rows read as it."""
    without = {word for word in product.job_types if not product.job_type_codes(word)}
    assert without == set(product.housekeeping) == without & set(product.known_workloads)


@of_every_product
def test_a_job_type_of_several_numbers_is_not_asked_for(product: Product) -> None:
    """One parameter takes one number: the server would hide the jobs of the others."""
    for word in product.job_types:
        numbers = product.job_type_codes(word)
        query = JobQuery(product=product, job_type=word)
        asked = query.parameters(NOW).get(str(product.filters.job_type))
        is_asked = asked is not None and asked != product.filters.always.get(str(product.filters.job_type))
        assert is_asked is query.is_asked_by_type
        assert not is_asked or (asked,) == numbers


@of_every_product
def test_a_backup_is_never_housekeeping(product: Product) -> None:
    assert not set(product.housekeeping) & set(product.backup_types)


@of_every_product
def test_values_that_are_no_job_type(product: Product) -> None:
    for value in (None, True, 1.5, [], {}):
        with pytest.raises(ValueError, match="is not a job type"):
            product.read_job_type(value)


@of_every_product
def test_backups_are_job_types(product: Product) -> None:
    assert product.backup_types
    assert set(product.backup_types) <= product.job_types.keys()
    for word in product.backup_types:
        assert not JobQuery(product=product, job_type=word).is_asked_by_type or product.job_types[word] != 0


@of_every_product
def test_states_have_a_number_each(product: Product) -> None:
    assert 1 == max(Counter(state.code for state in product.states).values())


@of_every_product
def test_states_have_spellings_of_their_own(product: Product) -> None:
    spellings = Counter(
        spelling
        for state in product.states
        for spelling in {normalize_label(label) for label in state.labels}
    )
    assert 1 == max(spellings.values())
    assert all(state.labels for state in product.states)
    numbers = [state.number for state in product.states if state.number is not None]
    assert len(numbers) + len(spellings) == len(product.state_table)


@of_every_product
def test_only_none_is_documented_as_unknown(product: Product) -> None:
    """A state called None is documented, and says nothing; no server is asked for it."""
    unknown = [state for state in product.states if state.state is JobState.UNKNOWN]
    assert [(0, ("None",))] * len(unknown) == [(state.number, state.labels) for state in unknown]
    assert not (unknown and product.filters.state)
    states = {state.state for state in product.states}
    assert {JobState.RUNNING, JobState.SUCCESS, JobState.FAILED, JobState.PARTIAL} <= states


@of_every_product
def test_only_a_final_state_needs_a_finish(product: Product) -> None:
    assert all(state.state.is_terminal for state in product.states if state.needs_finish)


@of_every_product
def test_a_filter_by_state_never_hides_a_row(product: Product) -> None:
    """Where one number is asked for, no row with another number may read as this state."""
    reader = RowReader(product)
    columns = product.columns
    (state_key, *_) = (columns.state,) if isinstance(columns.state, str) else columns.state
    for wanted in JobState:
        query = JobQuery(product=product, states=frozenset({wanted}))
        asked = query.parameters(NOW).get(str(product.filters.state))
        unfiltered = product.filters.always.get(str(product.filters.state))
        if asked is None or asked == unfiltered:
            continue
        for number in (*(state.code for state in product.states), 97):
            for finish in (None, "2026-11-22T05:00:00Z"):
                row = {
                    columns.job_id: "1",
                    state_key: number,
                    columns.started_at: "2026-11-22T04:00:00Z",
                    columns.finished_at: finish,
                }
                if reader.read(row).state is wanted:
                    assert number == asked, (wanted, number)


@of_every_product
def test_addresses(product: Product) -> None:
    assert product.documentation_url.startswith("https://learn.avepoint.com/")
    assert product.path.startswith("/")
    fields_of_path = {name for _, name, _, _ in Formatter().parse(product.path) if name is not None}
    assert fields_of_path == ({"organization_id"} if product.needs_organization else set())
    assert product.method in ("GET", "POST")
    assert SCOPE.fullmatch(product.permission)
    if product.job is not None:
        assert "{job_id}" in product.job.path
        assert product.job.path.startswith("/")
        assert product.job.row
    if product.license is not None:
        assert product.license.path.startswith("/")
        assert SCOPE.fullmatch(product.license.permission)
    if product.subscriptions is not None:
        assert product.subscriptions.path.startswith("/")
        assert SCOPE.fullmatch(product.subscriptions.permission)


@of_every_product
def test_readings_have_the_addresses_of_the_simulator(product: Product) -> None:
    """Its own tables are written from the documents, too."""
    names = {"organization_id": "{customerId}", "tenant_id": "{tenantId}", "profile_id": "{scanProfileId}"}
    asked: dict[str, Any] = {
        "schedule": product.schedule,
        "retention": product.retention,
        "unusual_activity": product.activity,
        "monitor_alerts": product.alerts,
        "customers": product.tenants,
    }
    if product.coverage is not None:
        coverage = product.coverage
        asked |= {
            "overview": coverage.services.listing,
            "users": coverage.users.listing,
            "scan_profiles": coverage.changes.listing,
            "scan_changes": replace(coverage.changes.listing, path=coverage.changes.path, method="GET"),
        }
    found = {
        name: (each.path.format(**names), each.permission) for name, each in asked.items() if each is not None
    }
    assert {each.name: (each.path, each.scope) for each in SIMULATED[product.name].readings} == found


@of_every_product
def test_a_window_is_two_parameters(product: Product) -> None:
    names = [
        getattr(product.filters, each.name)
        for each in fields(product.filters)
        if each.name not in ("write_time", "window_required", "always")
    ]
    names += [product.paging.index, product.paging.size, product.paging.token]
    assert (product.filters.started_after is None) is (product.filters.started_before is None)
    assert product.filters.started_after or not product.filters.window_required
    folded = [name.casefold() for name in names if name is not None]
    assert len(folded) == len(set(folded))


@of_every_product
def test_parameters_always_sent_are_known(product: Product) -> None:
    """Filters that a query may set, or the order, which each server takes under names of its own."""
    filters = product.filters
    known = {
        filters.started_after,
        filters.started_before,
        filters.job_type,
        filters.state,
        filters.object_type,
    }
    own = SIMULATED[product.name].order
    order = {own.column_parameter: own.column, own.sense_parameter: "1"} if own else {}
    others = {name: value for name, value in filters.always.items() if name not in known}
    assert {name: value.casefold() for name, value in order.items()} == {
        name: value.casefold() for name, value in others.items()
    }
    assert product.paging.newest_first is bool(order)


@of_every_product
def test_a_body_holds_what_the_vendor_documents(product: Product) -> None:
    """Numbers or texts, each under a name that the vendor has in the body."""
    if product.method == "POST":
        filters, documented = product.filters, SIMULATED[product.name]
        types = {each.parameter: each.json_type for each in documented.filters if each.place == "body"}
        window = documented.window
        types |= {window.after: str, window.before: str} if window and window.place == "body" else {}
        names = {
            filters.started_after,
            filters.started_before,
            filters.job_type,
            filters.state,
            filters.object_type,
            filters.organization_id,
            filters.location,
            *filters.always,
        }
        assert names - {None} <= types.keys()
        for word, code in product.object_types.items():
            asked = JobQuery(product=product, object_type=word).parameters(NOW)
            assert code == asked[str(filters.object_type)]
            assert isinstance(code, types[str(filters.object_type)])


@of_every_product
def test_page_sizes_go_down_to_the_vendors_default(product: Product) -> None:
    sizes = product.paging.sizes
    assert sorted(set(sizes), reverse=True) == list(sizes)
    assert 0 < sizes[-1] <= 100


@of_every_product
def test_durations_have_a_parser(product: Product) -> None:
    columns = product.columns
    assert (columns.duration is None) is (columns.parse_duration is None)


@of_every_product
def test_object_types_have_a_filter_or_a_column(product: Product) -> None:
    """Their numbers are sent, or read from rows, or both; workloads are words of rows."""
    uses_numbers = bool(product.filters.object_type or (product.columns.workload and not product.workloads))
    assert bool(product.object_types) is uses_numbers
    assert product.object_types or not product.filters.object_type
    assert not (product.object_types and product.workloads)
    assert bool(product.workloads) <= bool(product.columns.workload)
    assert product.known_workloads == (tuple(product.object_types) or product.workloads)


@of_every_product
def test_what_a_product_tells(product: Product) -> None:
    has_organizations = bool(
        product.columns.organization_id
        or product.filters.organization_id
        or "{organization_id}" in product.path
    )
    assert has_organizations is product.tells_organizations
    assert product.filters.organization_id or not product.asks_each_organization
    assert (product.filters.location is not None) is product.tells_locations


@of_every_product
def test_no_key_stands_for_two_columns(product: Product) -> None:
    found: list[str] = []

    def collect(value: Any) -> None:
        for each in fields(value):
            key = getattr(value, each.name)
            if isinstance(key, CountKeys):
                collect(key)
            elif isinstance(key, (str, tuple)) and not isinstance(key, ErrorKeys):
                found.extend([key] if isinstance(key, str) else key)

    collect(product.columns)
    assert 1 == max(Counter(key.casefold() for key in found).values())


@of_every_product
def test_services_have_a_number_each(product: Product) -> None:
    numbers = product.service_types
    assert len(set(numbers.values())) == len(numbers)
    assert [] == [word for word in numbers if not WORD.fullmatch(word)]
    assert bool(numbers) is (product.schedule is not None)
    if numbers:  # what a policy can name can be looked for in the schedule
        assert set(product.object_types) <= set(numbers)
    assert numbers == {
        word: number for word, number in numbers.items() if product.read_service_type(number) == word
    }


def test_numbers_of_services_that_are_not_known() -> None:
    m365 = get_product("m365")
    assert ["15", "viva_engage", "exchange_online"] == [
        m365.read_service_type(each) for each in (15, "9", 0.0)
    ]
    for value in (-1, None, True, "Exchange", 1.5, [], {}):
        with pytest.raises(ValueError, match="not the number of a service"):
            m365.read_service_type(value)


def test_a_product_that_cannot_tell_is_refused_with_those_that_can() -> None:
    assert PRODUCTS["m365"] is require_endpoint("m365", "schedule", "backup schedule")
    with pytest.raises(AvePointConfigError, match=r"'dynamics365' cannot tell its backup schedule; .*: m365"):
        require_endpoint("dynamics365", "schedule", "backup schedule")
    with pytest.raises(AvePointConfigError, match="those that can: m365, salesforce, elements"):
        require_endpoint("iaas_paas", "activity", "unusual activity")
    with pytest.raises(AvePointConfigError, match="known are"):
        require_endpoint("m356", "schedule", "backup schedule")


def test_products_that_are_not_known() -> None:
    for name in ("", "M365", "m366", None, 5, [], ("m365",)):
        with pytest.raises(AvePointConfigError, match=f"known are {', '.join(PRODUCTS)}"):
            get_product(name)
