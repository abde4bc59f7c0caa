"""How much was backed up in a period, by service, where the vendor states the sizes of backups."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_avepoint.core.products import PRODUCTS

#: The products whose rows state the size of a backup.
SIZED = tuple(each.name for each in PRODUCTS.values() if each.columns.size is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """The backups of one service in the period that ended as a success or in part.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param workload: the service; None where the rows name none.
    :param location: the Multi-Geo location; None for none.
    :param content: what the backups hold other than the data, such as ``audit_log``; None for the data.
    :param size_bytes: the sum of the sizes that the vendor states.
    :param sized: the number of backups with a size, one at least.
    :param backups: the number of all of them.
    """

    tenant: str
    product: str
    workload: str | None
    location: str | None
    content: str | None
    size_bytes: int
    sized: int
    backups: int

    @property
    def name(self) -> str:
        """The service, its location and content, as far as there are any."""
        named = tuple(filter(None, (self.workload, self.location, self.content)))
        return " / ".join(named) or "all backups"
