"""Wire values are described without being shown."""

from __future__ import annotations

from airflow_provider_avepoint.cli.wire_forms import MISSING, describe_link, describe_state, describe_time
from airflow_provider_avepoint.core.products import get_product

BASE, PATH = "https://graph-us.example", "/backup/m365/cloudbackupjobs"


TIMES: list[tuple[object, str]] = [
    (MISSING, "no such key"),
    (None, "null"),
    ("", '""'),
    ("N/A", '"N/A"'),
    ("2026-11-22T05:00:00Z", "ISO 8601, whole seconds, Z"),
    ("2026-11-22T05:00:00.9Z", "ISO 8601, 1 fraction digit, Z"),
    ("2026-11-22T05:00:00.1234567+00:00", "ISO 8601, 7 fraction digits, +00:00"),
    ("2026-11-22T05:00:00+08:00", "ISO 8601, whole seconds, an offset that is not UTC's"),
    ("2026-11-22 05:00:00", "ISO 8601, whole seconds, no offset"),
    ("2026-11-22", "ISO 8601, a day only"),
    ("0001-01-01T00:00:00Z", "the year 1"),
    (638645575921780695, ".NET ticks"),
    ("638645575921780695", ".NET ticks, as text"),
    (1732252800000, "milliseconds"),
    (1732252800, "seconds"),
    (0, "0"),
    (-1, "a negative number"),
    (1.5, "a form of its own"),
    (True, "a form of its own"),
    ("Sunday, for Contoso", "a form of its own"),
]


def test_times() -> None:
    assert TIMES == [(value, describe_time(value)) for value, _ in TIMES]


LINKS: list[tuple[object, str]] = [
    (MISSING, "no such key"),
    (None, "null"),
    ("", '""'),
    (f"{BASE}{PATH}?pageIndex=1", "an absolute URL at the connection's host"),
    ("https://evil.example/jobs?a=b", "an absolute URL at another host"),
    ("//evil.example/jobs?a=b", "a URL without a scheme at another host"),
    (f"{PATH}?pageIndex=1", "a path, complete"),
    ("/cloudbackupjobs?pageIndex=1", "a path, not the whole of it"),
    ("?pageIndex=1", "a query only"),
    ("cloudbackupjobs?pageIndex=1", "a relative path"),
    ("abc%2Bdef", "a token, percent-encoded"),
    ("abcdef", "a token, as it is"),
    ("http://[", "a text that is no address"),
    (5, "no text"),
]


def test_links() -> None:
    assert LINKS == [(link, describe_link(link, base_url=BASE, path=PATH)) for link, _ in LINKS]


STATES: list[tuple[object, str]] = [
    (2, "2"),
    ("2", '"2"'),
    ("Finished", '"Finished"'),
    ("finished WITH exception", '"finished WITH exception"'),
    ("Paused", '"Paused"'),
    ("Waiting_for-configuration", '"Waiting_for-configuration"'),
    ("CanceledByUser", '"CanceledByUser"'),
    (None, "null"),
    (True, "true"),
    (MISSING, "no such key"),
    ([2], "neither number nor text"),
    (12345678, "a number of 8 digits"),
    (-3, "a number of 1 digits"),
    ("12345678901", '"a number of 11 digits"'),
    ("Failed for jane@contoso.example", "a text of 31 characters, not shown"),
    ("Failed at Contoso", "a text of 17 characters, not shown"),
    ("Stopped by Contoso", "a text of 18 characters, not shown"),
    ("StoppedByContoso", "a text of 16 characters, not shown"),
    ("Finished 2", "a text of 10 characters, not shown"),
    ("failed " * 9 + "failed", "a text of 69 characters, not shown"),
]


def test_states() -> None:
    """Only a label of words that states are made of is shown: no name is among them."""
    assert STATES == [(raw, describe_state(get_product("m365"), raw)) for raw, _ in STATES]
