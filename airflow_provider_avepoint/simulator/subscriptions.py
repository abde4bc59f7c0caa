"""The subscriptions of a partner's customers, in the simulator's memory.

AvePoint/cloud-api, "docs/elements/general/service subscription/get-all-services.md": each customer with their
subscriptions, whose figures are texts, with "N/A" for a figure that does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .control_schema import LicenseChange
from .encoding import encode, invalid_parameter

_NONE = "N/A"
_DEFAULT_SERVICE = "Cloud Backup for Microsoft 365 - Microsoft 365 services"


class Subscriptions:
    """Customers by id, in the order in which they were added, each with subscriptions by name.

    :param default_organization: id and name of the customer of figures that name none.
    """

    def __init__(self, default_organization: tuple[str | None, str | None]) -> None:
        self._default_organization = default_organization
        self._customers: dict[str, dict[str, Any]] = {}
        self._changes: dict[tuple[str, str], dict[str, Any]] = {}

    def set(self, change: LicenseChange) -> dict[str, Any]:
        """Set figures of one subscription; return the subscription as it is served.

        :param change: the figures; those that are not named stay.
        """
        organization_id = change.organization_id or self._default_organization[0] or ""
        service = change.service or _DEFAULT_SERVICE
        key = organization_id.casefold()
        customer = self._customers.setdefault(
            key,
            {
                "customerId": organization_id,
                "organization": organization_id,
                "customer": "owner@customer.example",
                "products": {},
            },
        )
        if change.organization_name is not None:
            customer["organization"] = change.organization_name
        given = self._changes.setdefault((key, service), {})
        given |= change.model_dump(exclude_unset=True)
        subscription = _show(service, LicenseChange.model_validate(given))
        customer["products"][service] = subscription
        return subscription

    def customers(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the customers that a request asks for, or all customers where it names none.

        :param body: the request's JSON body.
        :raises VendorError: ``customerIds`` is not a list of texts.
        """
        wanted = next((value for name, value in body.items() if name.casefold() == "customerids"), None)
        if wanted is not None and not (
            isinstance(wanted, list) and all(isinstance(each, str) for each in wanted)
        ):
            raise invalid_parameter(
                "customerIds", f"The value {encode(wanted)} is not valid for customerIds."
            )
        keys = self._customers if not wanted else [each.casefold() for each in wanted]
        found = (self._customers[key] for key in keys if key in self._customers)
        return [{**customer, "products": list(customer["products"].values())} for customer in found]


def _show(service: str, figures: LicenseChange) -> dict[str, Any]:
    shown = {
        "service": service,
        "subscriptionModel": _NONE,
        "purchasedUserSeats": _text(figures.purchased_user_seats),
        "purchasedUnits": _NONE,
        "microsoftLicenseAssigned": _text(figures.assigned_user_seats),
        "microsoftLicenseAvailable": "0",
        "purchasedCapacity": _text(figures.purchased_storage_size, " GB"),
        "protectedCapacity": _text(figures.protected_size, " GB"),
        "storage": _NONE,
        "retention": _NONE,
        "consumedStorage": _NONE,
        "expirationDate": figures.expiration_date or _NONE,
        "change": _NONE,
        "source": "AvePoint subscription",
        "paymentType": "Prepaid",
        "subscriptionName": _NONE,
        "package": _NONE,
        "contractEndDate": _NONE,
        **figures.extra,
    }
    return {name: value for name, value in shown.items() if name not in figures.omit}


def _text(figure: int | None, unit: str = "") -> str:
    return _NONE if figure is None else f"{figure}{unit}"
