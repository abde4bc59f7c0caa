"""A table in one case hides nothing: every row runs, and those that fail are named."""

from __future__ import annotations

import inspect

import pytest

from .tables import each_row


def test_every_row_runs_and_those_that_fail_are_named() -> None:
    ran = []

    @each_row(("value", "is_good"), [(1, True), (2, False), pytest.param(3, False, id="three"), (4, True)])
    def check(value: int, *, is_good: bool) -> None:
        ran.append(value)
        if value == 3:
            with pytest.raises(ValueError, match="never"):
                pass
        assert is_good

    with pytest.raises(BaseExceptionGroup, match="2 of 4 rows") as caught:
        check()

    assert [1, 2, 3, 4] == ran
    assert [["In the row (2, False)"], ["In the row three"]] == [e.__notes__ for e in caught.value.exceptions]


def test_tables_multiply_as_parametrize_does() -> None:
    ran = []

    @each_row("one", "ab")
    @each_row("other", (1, 2))
    def check(one: str, other: int, fixture: str) -> None:
        ran.append((one, other, fixture))

    check(fixture="f")

    assert [("a", 1, "f"), ("a", 2, "f"), ("b", 1, "f"), ("b", 2, "f")] == ran
    assert ["fixture"] == list(inspect.signature(check).parameters)
