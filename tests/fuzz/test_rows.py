"""The fast way to read a row and the tolerant one give the same job, for rows that servers could send."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_avepoint.core import tolerant_rows
from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.rows import Asked, Identified, RowReader
from airflow_provider_avepoint.core.tolerant_rows import TolerantReader
from airflow_provider_avepoint.transports.body import loads
from tests.core.test_rows import SAMPLES

from . import EXAMPLES, IS_LONG

pytestmark = pytest.mark.no_cover

#: The values that take the place of a documented one, as JSON.
ODD_VALUES = (
    *("null", "true", "false", "0", "1", "2", "3", "-1", "7", "16", "30", "99", "1.0", "3.0", "1.5", "-0.0"),
    *("NaN", "Infinity", "1e3", "1e30", "1e308", "9007199254740993", "9223372036854775807"),
    *(
        "9223372036854775808",
        "18446744073709551616",
        "1" + "0" * 39,
        "1" + "0" * 40,
        "[]",
        "[1]",
        "[{}]",
        "{}",
    ),
    *('[{"value":"x","number":"2"}]', '["x"]', '{"totalCount":1,"failedCount":"1"}', '[{"totalCount":2}]'),
    *('{"totalCount":3,"TotalCount":4,"skippedCount":1.0}', '"{\\"totalCount\\": 5}"', '{"a":1}'),
    *(
        '""',
        '"N/A"',
        '" "',
        '"0"',
        '"1"',
        '"3.0"',
        '" 3 "',
        '"-1"',
        '"x"',
        '"\\u017f"',
        '"\\ud800"',
        '"\\u0000"',
    ),
    *('"Finished"', '"finished with exceptions"', '"In Progress"', '"Successful"', '"Nonsense"', '"None"'),
    *('"Partially Finished"', '"PartiallyFinished"', '"Customer Engagement"', '"gmail"', '"archiver"'),
    *('"2024-12-02T07:52:25Z"', '"2024-12-02T07:52:25.1234567Z"', '"2024-12-02T07:52:25.9999999+00:00"'),
    *('"2024-12-02T07:52:25+02:00"', '"2024-12-02T07:52:25"', '"2024-12-02"', '"2024-12-02t07:52:25z"'),
    *('"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59-05:00"', '"2024-02-30T00:00:00Z"', '"2024-W49-1"'),
    *('"2024-12-02 07:52:25Z"', '"2024-12-02T24:00:00Z"', '"2024-12-02T23:59:60Z"', '"20241202T075225Z"'),
    *("638645575921780695", "1733125945000", "1733125945", '"0.5"', '"17m39s"', '"5 GB"', '"1.16:00:44"'),
    *(
        '"6CCCCCCC-ffff-bbbb-8888-AABBCCDDEEFF"',
        '"{6ccccccc-ffff-bbbb-8888-aabbccddeeff}"',
        '"o1"',
        '"a\\nb"',
    ),
)
ODD_KEYS = (
    "id",
    "ID",
    "status",
    "state",
    "\u017ftate",
    "type",
    "total",
    "errors",
    "size",
    "x",
    "",
    "\ud800",
    "\0",
)
Pairs = list[tuple[str, str]]


def swap_case(rng: random.Random, key: str) -> str:
    return rng.choice([str.upper, str.lower, str.capitalize, str.swapcase])(key)


def drop(rng: random.Random, row: Pairs) -> None:
    del row[rng.randrange(len(row))]


def set_odd_value(rng: random.Random, row: Pairs) -> None:
    at = rng.randrange(len(row))
    row[at] = (row[at][0], rng.choice(ODD_VALUES))


def take_a_neighbours_value(rng: random.Random, row: Pairs) -> None:
    at = rng.randrange(len(row))
    row[at] = (row[at][0], rng.choice(row)[1])


def rename(rng: random.Random, row: Pairs) -> None:
    at = rng.randrange(len(row))
    row[at] = (swap_case(rng, row[at][0]), row[at][1])


def repeat(rng: random.Random, row: Pairs) -> None:
    """Let a key stand twice: in the same case the last value counts, in another case the worse."""
    key, value = rng.choice(row)
    key = rng.choice([key, swap_case(rng, key)])
    row.insert(rng.randrange(len(row) + 1), (key, rng.choice([value, rng.choice(ODD_VALUES)])))


def add(rng: random.Random, row: Pairs) -> None:
    row.insert(rng.randrange(len(row) + 1), (rng.choice(ODD_KEYS), rng.choice(ODD_VALUES)))


def shuffle(rng: random.Random, row: Pairs) -> None:
    rng.shuffle(row)


CHANGES: tuple[Callable[[random.Random, Pairs], None], ...] = (
    *(set_odd_value, set_odd_value, set_odd_value, take_a_neighbours_value),
    *(drop, rename, repeat, add, shuffle),
)


def make_row(rng: random.Random, sample: dict[str, Any]) -> bytes:
    """Return the JSON of a sample with a few changes, in its rows of counts too; mostly one change."""
    row = [(key, json.dumps(value)) for key, value in sample.items()]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3, 6])):
        if row:
            rng.choice(CHANGES)(rng, row)
    for at, (key, value) in enumerate(row):
        if value.startswith('{"') and rng.random() < 0.3:
            inner = [(name, json.dumps(each)) for name, each in json.loads(value).items()]
            rng.choice(CHANGES)(rng, inner)
            row[at] = (key, write(inner))
    return write(row).encode(errors="surrogatepass")


def write(row: Pairs) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in row) + "}"


def make_asked(rng: random.Random, product: Product) -> Asked:
    return Asked(
        rng.choice([None, "backup"]),
        rng.choice([None, *list(product.known_workloads)[:2]]),
        rng.choice([None, "o2"]),
        rng.choice([None, None, "NAM"]),
    )


def read(reader: TolerantReader, row: object, asked: Asked) -> object:
    """Return all that a reader says of a row, ready to be compared."""
    try:
        given = reader.identify(row)
    except AvePointPayloadError as e:
        return str(e)
    job = reader.build(given, asked)
    values = {name: repr(getattr(job, name)) for name in (*BackupJob.__struct_fields__, "effective_start")}
    told = (given.job_id, given.organization_id, given.key, reader.is_no_job(given), reader.start_of(given))
    return values, told, repr(given.raw), repr(job)


class Readers:
    """Both readers of a product, which read the same rows one after the other."""

    def __init__(self, name: str, undocumented: set[Any], log: pytest.LogCaptureFixture) -> None:
        self.product = PRODUCTS[name]
        self.fitting = 0
        self._undocumented = undocumented
        self._log = log
        self.start()

    def start(self) -> None:
        """Begin with readers that remember nothing."""
        self._tolerant, self._fast = TolerantReader(self.product), RowReader(self.product)

    def compare(self, body: bytes, asked: Asked) -> None:
        """Read the row in *body* in both ways: the same comes of it, and the same is warned of."""
        try:
            row = loads(body)
        except ValueError:
            return
        said = []
        for reader in (self._tolerant, self._fast):
            self._undocumented.clear()
            self._log.clear()
            said.append((read(reader, row, asked), list(self._log.messages)))

        assert said[0] == said[1], (body, asked)
        self.fitting += type(self._fast.identify(row)) is not Identified


@pytest.fixture(params=PRODUCTS)
def readers(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Readers:
    undocumented: set[Any] = set()
    monkeypatch.setattr(tolerant_rows, "_UNDOCUMENTED", undocumented)
    caplog.set_level(logging.WARNING, tolerant_rows.__name__)
    return Readers(request.param, undocumented, caplog)


def test_both_ways_read_each_odd_value_the_same(readers: Readers) -> None:
    """In each column, and in each count that stands in an object of its own."""
    sample = SAMPLES[readers.product.name]
    nested = {key: value for key, value in sample.items() if isinstance(value, dict)}
    for odd in ODD_VALUES:
        for key in sample:
            row = [(each, odd if each == key else json.dumps(value)) for each, value in sample.items()]
            readers.compare(write(row).encode(), Asked("backup"))
        for key, value in nested.items():
            for name in value:
                inner = write([(each, odd if each == name else str(count)) for each, count in value.items()])
                row = [(each, inner if each == key else json.dumps(held)) for each, held in sample.items()]
                readers.compare(write(row).encode(), Asked("backup"))

    assert readers.fitting > len(ODD_VALUES)


def test_both_ways_read_rows_with_a_few_changes_the_same(readers: Readers) -> None:
    begin = random.SystemRandom().randrange(10**9) if IS_LONG else 0
    for seed in range(begin, begin + EXAMPLES // 4):
        rng = random.Random(seed)
        if rng.random() < 0.01:
            readers.start()
        row = make_row(rng, SAMPLES[readers.product.name])
        readers.compare(row, make_asked(rng, readers.product))

    assert readers.fitting > 0
