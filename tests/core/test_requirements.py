"""What is required of a tenant: how it is written, what is refused, and how long is long enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.requirements import Required, build_schema, parse_required
from airflow_provider_avepoint.core.retention import parse_period
from airflow_provider_avepoint.required_file import read_required

ROOT = Path(__file__).parents[2]


def parse(value: Any, product: str = "m365") -> Required:
    return parse_required(value, get_product(product))


def test_what_is_written_is_what_is_demanded() -> None:
    required = parse(
        {
            "exchange_online": {"runs_per_day": "4", "retention": " p1y "},
            "sharepoint_online": None,
            "teams": {"scheduled": False, "max_unusual": 2, "unusual_within": "36h"},
            "tenant": {"scanned_within": "2d", "licensed": "true"},
        }
    )

    assert required.written == {
        "exchange_online": {"scheduled": True, "runs_per_day": 4, "retention": "p1y"},
        "sharepoint_online": {"scheduled": True},
        "teams": {"scheduled": False, "max_unusual": 2, "unusual_within": "P1DT12H"},
        "tenant": {"scanned_within": "P2D", "licensed": True},
    }
    assert parse({"tenant": {"max_removed": 5}}, "salesforce").written == {
        "tenant": {"max_removed": 5, "removed_within": "P7D"}
    }
    assert list(parse({"teams": {"coverage": 1}}, "elements").written) == ["microsoft_teams"]
    # What is kept can be read again, and demands the same.
    assert parse(required.written) == required


REFUSED: list[tuple[Any, str, str]] = [
    (None, "m365", "does not say what is required"),
    ({}, "m365", "does not say what is required"),
    ([{"teams": {}}], "m365", "does not say what is required"),
    ({"exchange": {}}, "m365", "required.exchange is no service .* known are exchange_online, .*, tenant"),
    ({1: {}}, "m365", "required.1 is no service"),
    ({"teams": {}}, "salesforce", "known are tenant only"),
    ({"teams": 4}, "m365", "required.teams: 4 is no object of rules"),
    ({"teams": {"runs": 1}}, "m365", "required.teams.runs is no rule; rules are: scheduled, runs_per_day"),
    ({"teams": {None: 1}}, "m365", "required.teams.None is no rule"),
    ({"teams": {"runs_per_day": 0}}, "m365", "required.teams.runs_per_day: 0 is not .* from 1 up"),
    ({"teams": {"runs_per_day": None}}, "m365", "required.teams.runs_per_day has no value"),
    ({"teams": {"runs_per_day": True}}, "m365", "runs_per_day: True is not"),
    ({"teams": {"scheduled": "no"}}, "m365", "scheduled: 'no' is neither true nor false"),
    ({"teams": {"retention": "P1X"}}, "m365", "retention: 'P1X' is not how long backups are kept"),
    ({"teams": {"retention": "P"}}, "m365", "retention: 'P' is not"),
    ({"teams": {"retention": "P0D"}}, "m365", "retention: 'P0D' is not"),
    ({"teams": {"retention": 365}}, "m365", "retention: 365 is not"),
    ({"teams": {"unusual_within": "P7D"}}, "m365", "unusual_within says nothing without max_unusual"),
    ({"teams": {"max_unusual": 0, "unusual_within": None}}, "m365", "unusual_within has no value"),
    ({"teams": {"scanned_within": "1d"}}, "m365", "write the rule under 'tenant'"),
    ({"tenant": {"retention": "P1Y"}}, "m365", "write the rule under a service"),
    ({"exchange_online": {"drilled_within": "9d"}}, "m365", "exchange_online cannot be restored; .*teams"),
    ({"teams": {"coverage": 1}}, "m365", "cannot tell its coverage; those that can: elements"),
    ({"tenant": {"max_removed": 1}}, "m365", "cannot tell its monitor alerts; those that can: salesforce"),
    ({"tenant": {"licensed": True}}, "dynamics365", "cannot tell its licence; .*: m365, m365_legacy, elem"),
    ({"tenant": {"licensed": False}}, "m365", "required.tenant demands nothing; rules are: max_unusual"),
    ({"teams": {"coverage": 0}}, "elements", "coverage: 0 is not a share"),
    ({"teams": {"coverage": 1}, "microsoft_teams": {"coverage": 1}}, "elements", "stands twice"),
    (
        {"tenant": {"max_unusual": 0, "unusual_within": "1d"}},
        "elements",
        "unusual_within: .* last 7 days only",
    ),
]


def test_what_cannot_be_used_is_refused_where_it_stands() -> None:
    for value, product, message in REFUSED:
        with pytest.raises(AvePointConfigError, match=message):
            parse(value, product)


PERIODS = [
    *(("P1Y", told, True) for told in ("1 years", "12 months", "2 Year", "366 days", "Unlimited")),
    # A year may have 366 days, and a year's months are twelve.
    *(("P1Y", told, False) for told in ("365 days", "11 months", "0 years", "for ever", "")),
    *(("P365D", told, True) for told in ("1 year", "365 days", "13 months")),
    ("P366D", "1 years", False),
    ("P4Y", "1461 days", True),
    ("P4Y", "1460 days", False),
    ("P18M", "2 years", True),
    ("P18M", "1 years", False),
    ("P1M", "31 days", True),
    ("P1M", "30 days", False),
    ("P52W", "1 years", True),
    ("P53W", "1 years", False),
    ("7 years", "7 years", True),
    ("90 days", "3 months", False),
    ("89 days", "3 months", True),
    ("unlimited", "99 years", False),
    ("Unlimited", "unlimited", True),
]


def test_months_and_years_are_those_of_a_calendar() -> None:
    for required, told, is_met in PERIODS:
        (_, demand) = parse({"teams": {"retention": required}}).demands
        period = parse_period(told)
        assert period is not None
        assert (required, told, demand.value.is_met_by(period)) == (required, told, is_met)


def read(tmp_path: Path, content: str | bytes, product: str = "m365") -> Required:
    (tmp_path / "required.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    return read_required("required.yaml", tmp_path, get_product(product))


def test_a_file_says_the_same(tmp_path: Path) -> None:
    content = """\
# What the auditors want.
defaults: &usual {runs_per_day: 010, retention: "P1Y"}
"""
    with pytest.raises(AvePointConfigError, match=r"required.yaml, line 2: defaults is no service"):
        read(tmp_path, content)
    written = read(
        tmp_path,
        "\ufeffexchange_online: &usual\n  runs_per_day: 010\n  retention: 1 years\nteams:\n  <<: *usual\n"
        "  retention: P7Y\nonedrive:\n",
    ).written

    assert written == {
        "exchange_online": {"scheduled": True, "runs_per_day": 10, "retention": "1 years"},
        "teams": {"scheduled": True, "runs_per_day": 10, "retention": "P7Y"},
        "onedrive": {"scheduled": True},
    }
    assert read(tmp_path, "teams: {retention: P1Y}".encode("utf-16")).written["teams"]["retention"] == "P1Y"


FILES: list[tuple[str | bytes, str]] = [
    ("", "required.yaml is empty"),
    ("# nothing\n---\n", r"line 1: .* does not say what is required"),
    ("- teams\n", "line 1 is a list, where the services belong"),
    ("teams", "line 1: 'teams' does not say what is required"),
    ("onedrive:\nteams:\n  - runs_per_day\n", "line 2: teams is a list, where the rules of a service"),
    ("teams:\n  retention:\n    years: 1\n", "line 2: teams.retention is an object, where the value of"),
    ("teams:\n  retention: 2026-01-01\n", "line 2: teams.retention: '2026-01-01' is not how long"),
    ("teams:\n\n  runs_per_day: ~\n", "line 3: teams.runs_per_day has no value"),
    ("teams:\n  scheduled: on\n", "line 2: teams.scheduled: 'on' is neither true nor false"),
    ("teams:\n  runs_per_day: 1\nteams: {}\n", "line 3: teams stands twice, first in line 1"),
    ("teams: {scheduled: true, scheduled: false}\n", "line 1: teams.scheduled stands twice"),
    ("teams:\n\truns_per_day: 1\n", "line 2: this is no YAML: found character"),
    ("teams: {}\n---\nonedrive: {}\n", "line 2: this is no YAML: but found another document"),
    ("teams: &a {retention: *a}\n", "line 1: teams.retention is an object"),
    (b"teams: \xff\xfe\n", "is no text in UTF-8"),
    ("teams: " + "[" * 5000, "nested too deeply|this is no YAML"),
    (b" " * 1_000_001, "has more than 1000000 bytes"),
]


def test_an_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    for content, message in FILES:
        with pytest.raises(AvePointConfigError, match=message) as caught:
            read(tmp_path, content)
        assert str(tmp_path / "required.yaml") in str(caught.value)
    # A tag makes nothing: values stay texts.
    assert read(tmp_path, "teams: !!python/object:os.system {}\n").written == {"teams": {"scheduled": True}}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AvePointConfigError, match=r"gone.yaml cannot be read: No such file .* begins in"):
        read_required("gone.yaml", tmp_path, get_product("m365"))


def test_the_schema_for_editors_is_that_of_the_rules() -> None:
    """It takes what the files that ship say, and refuses what the reader refuses for any product."""
    shipped = json.loads((ROOT / "airflow_provider_avepoint" / "required.schema.json").read_text())
    files = sorted((ROOT / "dags").glob("avepoint_required_*.yaml"))
    good = [{"teams": None}, {"tenant": {"max_removed": 5, "removed_within": "P1D"}}]
    bad = [
        *({}, [], {"teamz": {}}, {"teams": {"runs": 1}}, {"teams": {"runs_per_day": 0}}),
        *({"tenant": {"retention": "P1Y"}}, {"teams": {"coverage": 2}}, {"teams": {"scheduled": "on"}}),
    ]
    validator = jsonschema.Draft7Validator(build_schema())

    assert shipped == build_schema()
    assert len(files) == 2
    for content in (*(yaml.safe_load(file.read_text()) for file in files), *good):
        validator.validate(content)
    assert [each for each in bad if validator.is_valid(each)] == []
    assert {"scheduled", "unusual_within"} < shipped["patternProperties"].popitem()[1]["properties"].keys()
