"""Probe what a product tells beside its jobs: can it be read, and in which form does it come.

Each reading is asked for once, and nothing is changed: a restore is never asked for. Of what an answer holds,
only the names of its fields and the forms of its values are told. The name of a field that no product file
knows is told only if it is made of words that names of fields are made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import quote

from airflow_provider_avepoint.cli.probe_findings import ProbeFindings, Row, get_value
from airflow_provider_avepoint.cli.wire_forms import MISSING, describe_key, describe_time, split_key
from airflow_provider_avepoint.core.activity import ACTIVITY_SPAN, read_activity
from airflow_provider_avepoint.core.alerts import read_alerts
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointAuthError, AvePointError, AvePointPermissionError
from airflow_provider_avepoint.core.fields import get_key, get_path, is_absent, read_id, to_iso
from airflow_provider_avepoint.core.flow import Flow, Pairs
from airflow_provider_avepoint.core.objects import refuse_odd
from airflow_provider_avepoint.core.pages import Answer
from airflow_provider_avepoint.core.products.vocabulary import Key, ListEndpoint, Path
from airflow_provider_avepoint.core.retention import parse_period, read_retention
from airflow_provider_avepoint.core.schedule import read_schedule

#: Runs a call; returns the answer, or None and why there is none.
Run: TypeAlias = Callable[[Flow[Answer]], tuple[Answer | None, str]]

_DAY = timedelta(days=1)
_UNDERSTOOD = "understood"
# The customer's page that names its tenants, and each list below it, is asked for with few rows.
_SAMPLE = 50


class ReadingProbe:
    """The readings of one product.

    :param client: the connection's calls.
    :param run: runs a call, and counts it.
    :param findings: where the findings go.
    :param organization_id: the customer, for Elements; None for none.
    :param location: the Multi-Geo location; None for none.
    :param now: the time, which fixes windows.
    """

    def __init__(
        self,
        client: Client,
        run: Run,
        findings: ProbeFindings,
        *,
        organization_id: str | None,
        location: str | None,
        now: datetime,
    ) -> None:
        self._client = client
        self._run = run
        self._product = findings.product
        self._note = findings.note
        self._organization = organization_id
        self._location = location
        self._now = now

    def run(self) -> None:
        """Ask for each reading that the product has, once."""
        for probe in (
            self._probe_schedule,
            self._probe_retention,
            self._probe_activity,
            self._probe_alerts,
            self._probe_customer,
        ):
            probe()
        if self._product.restore is not None:
            permission = self._product.restore.permission
            self._note("restore", "not tried: a probe only reads", f"needs {permission}")

    # What each reading is

    def _probe_schedule(self) -> None:
        endpoint = self._product.schedule
        if endpoint is None:
            return
        query = [(endpoint.location, self._location)] if self._location else []
        rows = self._read_rows("schedule", endpoint.path, query, endpoint.permission, endpoint.rows)
        if rows is None:
            return
        keys = (endpoint.service, endpoint.runs, endpoint.starts)
        self._describe_fields("schedule", rows.items, keys)
        starts = [each for row in rows.items for each in _list(get_value(row, endpoint.starts))]
        self._describe_times("schedule, a start", starts)
        services = [get_value(row, endpoint.service) for row in rows.items]
        self._describe_services("schedule", services)
        even = sum(
            len(_list(get_value(row, endpoint.starts))) == get_value(row, endpoint.runs) for row in rows.items
        )
        if rows.items:
            self._note(
                "schedule, starts", f"as many as {endpoint.runs} in {even} of {_count(rows.items, 'row')}"
            )
        about = "schedule"
        self._try(about, lambda: self._require_all(about, read_schedule(self._product, rows.document)))

    def _probe_retention(self) -> None:
        endpoint = self._product.retention
        if endpoint is None:
            return
        query = [(endpoint.location, self._location)] if self._location else []
        document = self._read("retention", endpoint.path, query, endpoint.permission)
        if document is None:
            return
        policy = get_path(document, endpoint.policy)
        if not isinstance(policy, Mapping):
            place = ".".join(endpoint.policy)
            self._note("retention", "readable; the policy is not where the file has it", place, differs=True)
            return
        self._note("retention", "readable", ".".join(endpoint.policy))
        keys = (endpoint.is_daily, endpoint.is_customized, endpoint.period)
        self._describe_fields("retention", [policy], keys, (endpoint.services,))
        services = _objects(get_value(policy, endpoint.services))
        containers = [each for row in services for each in _objects(get_value(row, endpoint.containers))]
        own = (endpoint.period, endpoint.unassigned_period, endpoint.containers)
        self._describe_fields("retention, a service", services, (endpoint.service,), own)
        self._describe_services("retention", [get_value(row, endpoint.service) for row in services])
        named = (endpoint.container_id, endpoint.period)
        self._describe_fields("retention, a container", containers, named, (endpoint.container_name,))
        forms = Counter(
            _describe_period(value)
            for row in (policy, *services, *containers)
            for key in (endpoint.period, endpoint.unassigned_period)
            if not is_absent(value := get_value(row, key)) and value is not MISSING
        )
        for form, number in sorted(forms.items()):
            is_odd = form == "another form"
            ours = "not understood" if is_odd else _UNDERSTOOD
            self._note("retention, a period", f"{form}, {number} times", ours, differs=is_odd)
        self._try("retention", lambda: read_retention(self._product, document))

    def _probe_activity(self) -> None:
        endpoint = self._product.activity
        if endpoint is None or endpoint.rows is None:
            return
        query = [
            (str(endpoint.detected_after), to_iso(self._now - ACTIVITY_SPAN)),
            (str(endpoint.detected_before), to_iso(self._now + _DAY)),
        ]
        if endpoint.location and self._location:
            query.append((endpoint.location, self._location))
        if endpoint.organization and self._organization:
            query.append((endpoint.organization, self._organization))
        about = "unusual activity"
        rows = self._read_rows(about, endpoint.path, query, endpoint.permission, endpoint.rows)
        if rows is None:
            return
        told = (endpoint.service, endpoint.tenant_id, endpoint.organization_id)
        more = (endpoint.organization_name, endpoint.detected_at)
        required = (*filter(None, told), *endpoint.counts.values())
        self._describe_fields(about, rows.items, required, tuple(filter(None, more)))
        if endpoint.service:
            self._describe_services(about, [get_value(row, endpoint.service) for row in rows.items])
        if endpoint.detected_at:
            times = [get_value(row, endpoint.detected_at) for row in rows.items]
            self._describe_times(f"{about}, {endpoint.detected_at}", times)
        self._try(about, lambda: self._require_all(about, read_activity(self._product, rows.document)))

    def _probe_alerts(self) -> None:
        endpoint = self._product.alerts
        if endpoint is None:
            return
        query = [
            (endpoint.collected_after, to_iso(self._now - ACTIVITY_SPAN)),
            (endpoint.collected_before, to_iso(self._now + _DAY)),
        ]
        if self._organization:
            query.append((endpoint.organization, self._organization))
        rows = self._read_rows("monitor alerts", endpoint.path, query, endpoint.permission, endpoint.rows)
        if rows is None:
            return
        required = (
            *(endpoint.organization_id, endpoint.object_type, endpoint.operation),
            *(endpoint.records, endpoint.collected_at),
        )
        self._describe_fields("monitor alerts", rows.items, required)
        for key in (endpoint.object_type, endpoint.operation):
            forms = Counter(_describe_kind(get_value(row, key)) for row in rows.items)
            for form, number in sorted(forms.items()):
                self._note(f"monitor alerts, {key}", f"{form} in {number} of {_count(rows.items, 'row')}")
        times = [get_value(row, endpoint.collected_at) for row in rows.items]
        self._describe_times(f"monitor alerts, {endpoint.collected_at}", times)
        about = "monitor alerts"
        self._try(about, lambda: self._require_all(about, read_alerts(self._product, rows.document)))

    def _require_all(self, about: str, rows: Iterable[object]) -> None:
        problems = (getattr(each, "problem", None) for each in rows)
        refuse_odd(self._product, about, [each for each in problems if each is not None])

    def _probe_customer(self) -> None:
        """Probe what is told of one customer and its first tenant."""
        product, customer = self._product, self._organization
        if customer is None or product.tenants is None:
            return
        assert product.coverage is not None  # noqa: S101  # products with tenants tell it of each customer
        assert product.activity is not None  # noqa: S101  # likewise
        ids = {"organization_id": quote(customer, safe="")}
        services, users, changes = product.coverage.services, product.coverage.users, product.coverage.changes
        rows = self._read_list("coverage of services", services.listing, ids)
        counted = (services.service, services.scanned, services.protected)
        optional = (services.organization_id, services.tenant_id, services.last_run_at)
        self._describe_fields("coverage of services", rows, counted, optional)
        profiles = self._read_list("scan profiles", changes.listing, ids)
        self._describe_fields("scan profiles", profiles, (changes.profile_id,), (changes.profile_name,))
        if profile := _first_id(profiles, changes.profile_id):
            path = changes.path.format(**ids, profile_id=quote(profile, safe=""))
            required = (changes.profile_id, changes.removed_count, changes.removed)
            about, own = "coverage changes", (changes.profile_name, changes.reported_at)
            document = self._read_object(about, path, changes.listing.permission, required, own)
            self._describe_times(f"{about}, {changes.reported_at}", _values(document, changes.reported_at))
        tenants = product.tenants
        listing = ListEndpoint(
            path=tenants.path,
            permission=tenants.permission,
            method="POST",
            envelope=tenants.envelope,
            paging=tenants.paging,
        )
        customers = self._read_list("tenants", listing, {}, {tenants.wanted: [customer]})
        self._describe_fields("tenants", customers, (tenants.organization_id, tenants.tenants))
        known = [each for row in customers for each in _objects(get_value(row, tenants.tenants))]
        if not (tenant := _first_id(known, tenants.tenant_id)):
            self._note("coverage of users", "not tried: no tenant is listed")
            return
        ids["tenant_id"] = quote(tenant, safe="")
        members = self._read_list("coverage of users", users.listing, ids)
        self._describe_fields(
            "coverage of users", members, (users.user_id, users.modules), (users.email, users.display_name)
        )
        modules = [each for row in members for each in _objects(get_value(row, users.modules))]
        self._describe_fields("coverage of users, a module", modules, (users.module, users.is_protected))
        activity = product.activity
        keys = [prefix + end for prefix in activity.services.values() for end in activity.counts.values()]
        path = activity.path.format(**ids)
        self._read_object("unusual activity", path, activity.permission, tuple(keys))

    # Requests

    def _read(
        self, about: str, path: str, query: Iterable[tuple[str, str]], permission: str, body: Any = None
    ) -> Any:
        """Return the document; None, with a finding, where there is none."""
        pairs: Pairs = tuple(query)
        if body is None:
            flow = self._client.get(path, pairs, permission, self._product.name)
        else:
            flow = self._client.post(path, pairs, body, permission, self._product.name)
        try:
            answer, refusal = self._run(flow)
        except AvePointPermissionError as e:
            self._note(about, f"not readable: the app lacks the permission {e.permission}")
            return None
        except AvePointAuthError:
            answer, refusal = None, "a fresh token is refused"
        if answer is None:
            self._note(about, f"not readable: {refusal}", differs=True)
            return None
        return answer.document

    def _read_rows(
        self,
        about: str,
        path: str,
        query: Iterable[tuple[str, str]],
        permission: str,
        places: tuple[Path, ...],
        *,
        body: Any = None,
    ) -> _Rows | None:
        """Return the rows; None, with a finding, where there are none to look at."""
        document = self._read(about, path, query, permission, body)
        if document is None:
            return None
        ours = " or ".join(".".join(place) for place in places)
        for place in places:
            items = get_path(document, place)
            if isinstance(items, list):
                odd = sum(not isinstance(item, Mapping) for item in items)
                seen = f"readable: {_count(items, 'row')} at {'.'.join(place)}"
                seen += f", {odd} of them no object" if odd else ""
                self._note(about, seen, ours, differs=bool(odd))
                return _Rows(document, _objects(items))
        form = "a list" if isinstance(document, list) else "no list there"
        self._note(about, f"readable; the rows are not where the file has them: {form}", ours, differs=True)
        return None

    def _read_list(
        self, about: str, listing: ListEndpoint, ids: Mapping[str, str], body: Any = None
    ) -> list[Row]:
        """Return the rows of a first page."""
        if listing.method == "POST":
            body = body or {}
        query = [(listing.paging.size, str(_SAMPLE))]
        path = listing.path.format(**ids)
        rows = self._read_rows(about, path, query, listing.permission, listing.envelope.rows, body=body)
        return [] if rows is None else rows.items

    def _read_object(
        self, about: str, path: str, permission: str, required: tuple[Key, ...], own: tuple[Key, ...] = ()
    ) -> object:
        document = self._read(about, path, (), permission)
        if document is None:
            return None
        if not isinstance(document, Mapping):
            self._note(about, "readable; the body is no object", differs=True)
            return None
        self._note(about, "readable")
        self._describe_fields(about, [document], required, own)
        return document

    # What is told

    def _describe_fields(
        self, about: str, rows: Sequence[Row], required: Iterable[Key], optional: Iterable[Key] = ()
    ) -> None:
        """Tell which of the file's fields rows have, and which others there are."""
        if not rows:
            return
        required, optional = tuple(required), tuple(optional)
        lacking = _name_missing(rows, required)
        seen = f"missing in some of {_count(rows, 'row')}: {lacking}" if lacking else "all that are needed"
        if absent := _name_missing(rows, optional):
            seen += f"; some rows have no {absent}"
        ours = ", ".join(map(_name_key, (*required, *optional)))
        self._note(f"{about}, fields", seen, ours, differs=bool(lacking))
        known = {name.casefold() for name in _spellings((*required, *optional))}
        words = {word for name in _spellings((*required, *optional)) for word in split_key(name)}
        others = {str(name) for row in rows for name in row if str(name).casefold() not in known}
        if others:
            shown = sorted(filter(None, (describe_key(name, words) for name in others)))
            hidden = len(others) - len(shown)
            seen = ", ".join([*shown, *([f"{hidden} whose names are not shown"] if hidden else [])])
            self._note(f"{about}, other fields", seen, "not read")

    def _describe_times(self, about: str, values: Sequence[object]) -> None:
        for form, number in sorted(Counter(map(describe_time, values)).items()):
            self._note(about, f"{form}, {number} times")

    def _describe_services(self, about: str, numbers: Sequence[object]) -> None:
        known = set(self._product.service_types.values())
        strange = [each for each in numbers if not (isinstance(each, int) and each in known)]
        if strange:
            self._note(f"{about}, service", f"not listed in {_count(strange, 'row')}", differs=True)

    def _try(self, about: str, read: Callable[[], object]) -> None:
        """Tell whether the provider understands the whole answer; its error would show values."""
        try:
            read()
        except AvePointError:
            self._note(f"{about}, the whole", "not understood by this provider", _UNDERSTOOD, differs=True)
        else:
            self._note(f"{about}, the whole", _UNDERSTOOD, _UNDERSTOOD)


class _Rows:
    """The rows of an answer, and the answer."""

    def __init__(self, document: Any, items: list[Row]) -> None:
        self.document = document
        self.items = items


def _name_missing(rows: Sequence[Row], keys: Iterable[Key]) -> str:
    missing = (key for key in keys if any(get_value(row, key) is MISSING for row in rows))
    return ", ".join(map(_name_key, missing))


def _name_key(key: Key) -> str:
    return key if isinstance(key, str) else " or ".join(key)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: object) -> list[Row]:
    return [each for each in _list(value) if isinstance(each, Mapping)]


def _values(document: object, key: str) -> list[object]:
    return [get_key(document, key, MISSING)] if isinstance(document, Mapping) else []


def _first_id(rows: Iterable[Row], key: Key) -> str | None:
    values = (get_value(row, key) for row in rows)
    return next((found for value in values if value is not MISSING and (found := read_id(value))), None)


def _spellings(keys: Iterable[Key]) -> Iterator[str]:
    for key in keys:
        yield from (key,) if isinstance(key, str) else key


def _describe_period(value: object) -> str:
    try:
        period = parse_period(value)
    except ValueError:
        return "another form"
    if period is None or not period.is_understood:
        return "another form"
    return "Unlimited" if period.is_unlimited else f"a number of {period.unit}s"


def _describe_kind(value: object) -> str:
    if value is MISSING:
        return "no such key"
    if isinstance(value, str):
        return "a text of digits" if value.isascii() and value.isdigit() else "a text"
    return "a number" if isinstance(value, int) and not isinstance(value, bool) else "another form"


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'}"
