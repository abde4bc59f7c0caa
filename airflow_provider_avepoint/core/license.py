"""Is more used than bought? A pure comparison, with a sentence for each finding."""

from __future__ import annotations

from airflow_provider_avepoint.core.model import LicenseConsumption


def audit(consumption: LicenseConsumption, near_limit: float) -> dict[str, str]:
    """Return what is wrong: reason → sentence; empty where nothing is.

    Where nothing is purchased, there is another licence model and no limit to be near to. The vendor
    compares assigned with purchased seats and protected with purchased storage; out of policy, new objects
    are not backed up, and with some licences all backups stop after 90 days.

    :param near_limit: the share of a limit, 0 to 1, from which it is near.
    """
    findings: dict[str, str] = {}
    seats, storage = consumption.seat_ratio, consumption.storage_ratio
    if seats is not None and seats > 1:
        findings["over_assigned"] = (
            f"over_assigned: {consumption.assigned_user_seats} seats assigned, "
            f"{consumption.purchased_user_seats} purchased"
        )
    if storage is not None and storage > 1:
        findings["storage_over"] = (
            f"storage_over: {consumption.protected_gb} GB protected, "
            f"{consumption.purchased_storage_gb} GB purchased"
        )
    near = [
        f"{name} at {ratio:.0%}"
        for name, ratio in (("seats", seats), ("storage", storage))
        if ratio is not None and near_limit <= ratio <= 1
    ]
    if near:
        findings["near_limit"] = f"near_limit: {' and '.join(near)} of what is purchased"
    if consumption.is_out_of_policy and consumption.out_of_policy_at is not None:
        findings["out_of_policy"] = (
            f"out_of_policy since {consumption.out_of_policy_at:%Y-%m-%d}: new objects are not backed up, "
            "and backups may stop after 90 days"
        )
    return findings
