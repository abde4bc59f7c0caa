"""Coverage: which of a customer's objects are protected, and which fell out of backup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from airflow_provider_avepoint.core.arguments import parse_list, parse_text
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.fields import parse_date, parse_integer, parse_number, read_id, to_word
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.listing import read_all
from airflow_provider_avepoint.core.model import Value
from airflow_provider_avepoint.core.objects import JsonObject, read_apart, refuse_odd
from airflow_provider_avepoint.core.products import get_product, require_endpoint
from airflow_provider_avepoint.core.products.vocabulary import (
    CoverageEndpoints,
    Product,
    ScanChangesEndpoint,
    ServiceCoverageEndpoint,
    UserCoverageEndpoint,
)
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.row_listing import RowListing
from airflow_provider_avepoint.core.tenants import list_tenants
from airflow_provider_avepoint.core.text import one_line, quoted, storable

__all__ = [
    "Coverage",
    "ModuleCoverage",
    "OddRow",
    "ScanChanges",
    "ServiceCoverage",
    "UserCoverage",
    "get_coverage",
]

#: The parts of a coverage. Each has a permission of its own, but for users, which need two.
PARTS = ("services", "users", "changes")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class ServiceCoverage(Value, frozen=True, kw_only=True):
    """How many of a service's objects were scanned, and how many are protected.

    :param service: our word for the vendor's label; a label that we do not know, in snake case.
    :param label: the vendor's label.
    :param tenant_id: the tenant's id, where the row has it.
    :param scanned: the number of objects that the last scan has found.
    :param protected: the number of objects that are backed up. The documents do not exclude more of them than
        were scanned.
    :param last_run_at: the time of the last backup, where the row has it.
    """

    service: str
    label: str
    tenant_id: str | None = None
    scanned: int
    protected: int
    last_run_at: datetime | None = None

    @property
    def ratio(self) -> float | None:
        """Protected divided by scanned; None if nothing was scanned: that is no coverage."""
        return self.protected / self.scanned if self.scanned else None

    def as_dict(self) -> dict[str, Any]:
        """Return every field and the ratio, ready for JSON."""
        return {**Value.as_dict(self), "ratio": self.ratio}


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class ModuleCoverage(Value, frozen=True, kw_only=True):
    """Whether one part of a user is protected.

    :param module: ``mailbox`` or ``onedrive``; the vendor's number as a text if it is not documented.
    :param is_protected: whether the part is backed up.
    """

    module: str
    is_protected: bool


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class UserCoverage(Value, frozen=True, kw_only=True):
    """Whether a user is protected.

    :param user_id: the vendor's id of the user.
    :param tenant_id: the id of the user's tenant.
    :param email: the user's mail address.
    :param display_name: the user's name.
    :param modules: the parts of the user; empty if the answer names none.
    """

    user_id: str
    tenant_id: str
    email: str | None = None
    display_name: str | None = None
    modules: tuple[ModuleCoverage, ...] = ()

    @property
    def is_protected(self) -> bool:
        """Whether each part is protected; False if the answer names no part."""
        return bool(self.modules) and all(each.is_protected for each in self.modules)

    def as_dict(self) -> dict[str, Any]:
        """Return every field and whether the user is protected, ready for JSON."""
        return {**Value.as_dict(self), "is_protected": self.is_protected}


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class ScanChanges(Value, frozen=True, kw_only=True):
    """The objects that fell out of backup, by the daily report of one scan profile.

    :param profile_id: the vendor's id of the scan profile.
    :param profile_name: the name of the scan profile.
    :param reported_at: the time of the report; if there is no report yet, the profile's last change.
    :param removed_count: how many objects were removed from Microsoft 365 or are out of policy. The vendor
        does not tell the two apart. Where the count and the list differ, the larger number.
    :param removed: the objects, as the vendor names them.
    """

    profile_id: str
    profile_name: str | None = None
    reported_at: datetime | None = None
    removed_count: int
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class OddRow(Value, frozen=True, kw_only=True):
    """A row of a coverage that is not understood.

    :param part: the part that it is of: ``services`` or ``users``.
    :param service: our word for the service; None where the row does not tell, and for a user.
    :param problem: what is odd of which row, in words.
    """

    part: str
    service: str | None = None
    problem: str


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class Coverage(Value, frozen=True, kw_only=True):
    """What of a customer is protected. A part that was not asked for is None.

    Sites, Teams and groups have no list: of them only the numbers are known.

    :param product: the name of the product.
    :param organization_id: the customer's id.
    :param read_at: when the last answer came, by the API's clock.
    :param services: the services, each with its scanned and protected objects.
    :param users: the users of all the customer's tenants.
    :param changes: the objects that fell out of backup, by scan profile.
    :param odd: the services and users that are not understood: while there are any, nobody knows all.
    """

    product: str
    organization_id: str
    read_at: datetime
    services: tuple[ServiceCoverage, ...] | None = None
    users: tuple[UserCoverage, ...] | None = None
    changes: tuple[ScanChanges, ...] | None = None
    odd: tuple[OddRow, ...] = ()
    only_if_any = ("odd",)

    def require_all(self) -> Coverage:
        """Return this coverage, whose every row is understood.

        :raises AvePointPayloadError: there is a row that is not.
        """
        problems = [f"{each.part}, {each.problem}" for each in self.odd]
        refuse_odd(get_product(self.product), "coverage", problems)
        return self


def get_coverage(
    client: Client, product: object, organization_id: object, parts: object = None
) -> Flow[Coverage]:
    """Return what of a customer is protected; rows that are not understood are told beside the others.

    :param client: the connection.
    :param product: the product's name.
    :param organization_id: the customer's id.
    :param parts: the parts to ask for, of ``PARTS``; by default all. An app registration that lacks the
        permission of one part can ask for the others.
    :raises AvePointConfigError: the product does not tell its coverage, or an argument cannot be used.
    :raises AvePointRequestError: the customer is not known, or has no tenant.
    :raises AvePointPayloadError: an answer is not understood.
    """
    known = require_endpoint(product, "coverage", "coverage")
    endpoints: CoverageEndpoints | None = known.coverage
    assert endpoints is not None  # noqa: S101  # they are required
    customer = normalize_id(parse_text("organization_id", organization_id))
    if customer is None:
        raise AvePointConfigError(f"organization_id: {known.label} knows one customer at a time; name it.")
    wanted = parse_list("parts", parts) or PARTS
    for part in wanted:
        if part not in PARTS:
            raise refuse("parts", part, f"is not one of {', '.join(PARTS)}.")
    services = users = changes = None
    odd: list[OddRow] = []
    if "services" in wanted:
        listed = yield from _get_services(client, known, endpoints.services, customer)
        services = tuple(each for each in listed if isinstance(each, ServiceCoverage))
        odd += (each for each in listed if isinstance(each, OddRow))
    if "users" in wanted:
        found = yield from _get_users(client, known, endpoints.users, customer)
        users = tuple(each for each in found if isinstance(each, UserCoverage))
        odd += (each for each in found if isinstance(each, OddRow))
    if "changes" in wanted:
        changes = yield from _get_changes(client, known, endpoints.changes, customer)
    return Coverage(
        product=known.name,
        organization_id=customer,
        read_at=client.clock.now(),
        services=services,
        users=users,
        changes=changes,
        odd=tuple(odd),
    )


def _get_services(
    client: Client, product: Product, endpoint: ServiceCoverageEndpoint, customer: str
) -> Flow[list[ServiceCoverage | OddRow]]:
    listing = RowListing(client, product, endpoint.listing, "coverage", organization_id=customer)
    rows = yield from read_all(listing)

    def tell(row: JsonObject, problem: str) -> ServiceCoverage | OddRow:
        label = row.read_or_none(endpoint.service, _parse_label)
        service = None if label is None else _name_service(endpoint, label)
        return OddRow(part="services", service=service, problem=problem)

    return read_apart(rows, read=lambda row: _read_service(endpoint, row, customer), tell=tell)


def _name_service(endpoint: ServiceCoverageEndpoint, label: str) -> str:
    word = to_word(label)
    return endpoint.words.get(word, word)


def _read_service(endpoint: ServiceCoverageEndpoint, row: JsonObject, customer: str) -> ServiceCoverage:
    owner = row.read(endpoint.organization_id, read_id)
    if owner is not None and normalize_id(owner) != customer:
        raise row.refuse(
            f"the customer {one_line(customer, 100)} was asked for, and the row is of {one_line(owner, 100)}"
        )
    label = row.require(endpoint.service, _parse_label)
    return ServiceCoverage(
        service=_name_service(endpoint, label),
        label=label,
        tenant_id=row.read(endpoint.tenant_id, read_id),
        scanned=row.require(endpoint.scanned, parse_integer),
        protected=row.require(endpoint.protected, parse_integer),
        last_run_at=row.read(endpoint.last_run_at, parse_date),
    )


def _get_users(
    client: Client, product: Product, endpoint: UserCoverageEndpoint, customer: str
) -> Flow[list[UserCoverage | OddRow]]:
    tenants = yield from list_tenants(client, product, customer)
    users: list[UserCoverage | OddRow] = []

    def tell(row: JsonObject, problem: str) -> UserCoverage | OddRow:
        user = row.read_or_none(endpoint.user_id, read_id)
        return OddRow(
            part="users", problem=problem if user is None else f"{problem} (user {one_line(user, 100)})"
        )

    for tenant in tenants:
        listing = RowListing(
            client, product, endpoint.listing, "user", organization_id=customer, tenant_id=tenant
        )
        rows = yield from read_all(listing)
        users += read_apart(rows, read=partial(_read_user, endpoint, tenant), tell=tell)
    return users


def _read_user(endpoint: UserCoverageEndpoint, tenant: str, row: JsonObject) -> UserCoverage:
    words = {number: word for word, number in endpoint.words.items()}

    def read_module(value: object) -> str:
        number = parse_number(value)
        if number is None or number < 0:
            raise ValueError(f"{quoted(value)} is not the number of a module")
        return words.get(number, str(number))

    return UserCoverage(
        user_id=row.require_id(endpoint.user_id),
        tenant_id=tenant,
        email=row.read_text(endpoint.email),
        display_name=row.read_text(endpoint.display_name),
        modules=tuple(
            ModuleCoverage(
                module=module.require(endpoint.module, read_module),
                is_protected=module.require_flag(endpoint.is_protected),
            )
            for module in row.objects(endpoint.modules, "module", may_be_null=True)
        ),
    )


def _get_changes(
    client: Client, product: Product, endpoint: ScanChangesEndpoint, customer: str
) -> Flow[tuple[ScanChanges, ...]]:
    listing = RowListing(client, product, endpoint.listing, "scan profile", organization_id=customer)
    rows = yield from read_all(listing)
    changes: list[ScanChanges] = []
    for profile_id in dict.fromkeys(row.require_id(endpoint.profile_id) for row in rows):
        path = endpoint.path.format(
            organization_id=quote(customer, safe=""), profile_id=quote(profile_id, safe="")
        )
        answer = yield from client.get(path, (), endpoint.listing.permission, product.name)
        changes.append(
            _read_changes(endpoint, JsonObject(product, "scan profile changes", answer.document), profile_id)
        )
    return tuple(changes)


def _read_changes(endpoint: ScanChangesEndpoint, whole: JsonObject, profile_id: str) -> ScanChanges:
    answered = whole.require_id(endpoint.profile_id)
    if normalize_id(answered) != normalize_id(profile_id):
        raise whole.refuse(
            f"the profile {one_line(profile_id, 100)} was asked for, and {one_line(answered, 100)} came"
        )
    removed = whole.require_list(endpoint.removed, may_be_null=True)
    return ScanChanges(
        profile_id=profile_id,
        profile_name=whole.read_text(endpoint.profile_name),
        reported_at=whole.read(endpoint.reported_at, parse_date),
        removed_count=max(whole.require(endpoint.removed_count, parse_integer), len(removed)),
        removed=tuple(storable(item) if isinstance(item, str) else quoted(item) for item in removed),
    )


def _parse_label(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{quoted(value)} is not the name of a service")
    return storable(value.strip())
