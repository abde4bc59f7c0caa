"""Ids: how the vendor writes them, and which are the same."""

from __future__ import annotations

from airflow_provider_avepoint.core.ids import normalize_id

from .tables import each_row

GUID = "69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a"


@each_row(
    "written",
    [
        GUID,
        GUID.upper(),
        f"{{{GUID}}}",
        f"({GUID.upper()})",
        GUID.replace("-", ""),
        f"urn:uuid:{GUID}",
        f"URN:UUID:{GUID.upper()}",
        f" {GUID}\r\n",
        f"\ufeff{GUID}\u200b ",
    ],
)
def test_a_guid_in_any_form(written: str) -> None:
    assert GUID == normalize_id(written)


@each_row("other", ["00D5g00000A1b2C", "contoso-sales", "{contoso}", GUID + "0", ""])
def test_any_other_id_stays(other: str) -> None:
    """Two of Salesforce's may differ in case only."""
    assert (other, other) == (normalize_id(other), normalize_id(f" {other}\n"))


def test_no_id() -> None:
    assert normalize_id(None) is None
