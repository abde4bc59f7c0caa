"""A table of rows that prove one behaviour: one case for pytest, though every row runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

#: What an assertion, a wrong exception, and a ``pytest.raises`` without any raise.
_FAILURES = (Exception, BaseExceptionGroup, pytest.fail.Exception)
_Param = type(pytest.param())


def each_row(
    names: str | tuple[str, ...], rows: Iterable[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the decorated test once for each row, as ``pytest.mark.parametrize`` does, but in one case.

    Every row runs, also after one that fails, and begins with an empty log. The rows that fail are named.
    Rows that could each fail alone, or that need fixtures of their own, belong into ``parametrize``.

    :param names: the test's arguments that a row fills.
    :param rows: tuples, or plain values where *names* is one name; the id of a ``pytest.param`` names it.
    """
    is_single = isinstance(names, str)
    columns = (names,) if isinstance(names, str) else names
    table = list(rows)

    assert table, "a table without rows proves nothing"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        assert not inspect.iscoroutinefunction(test), "rows are not awaited"

        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failures: list[BaseException] = []
            for row in table:
                if "caplog" in fixtures:
                    fixtures["caplog"].clear()
                try:
                    test(**fixtures, **dict(zip(columns, _read(row, is_single=is_single), strict=True)))
                except _FAILURES as e:
                    e.add_note(f"In the row {_name(row)}")
                    failures.append(e)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(table)} rows", failures)

        signature = inspect.signature(test)
        fixtures = [each for each in signature.parameters.values() if each.name not in columns]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return run

    return decorate


def _read(row: Any, *, is_single: bool) -> tuple[Any, ...]:
    """Return the values of a row."""
    if isinstance(row, _Param):
        return tuple(row.values)
    return (row,) if is_single else tuple(row)


def _name(row: Any) -> str:
    """Return what a row is called. A row is named only where it fails: names of all rows take seconds."""
    if isinstance(row, _Param):
        return row.id or repr(row.values)[:500]
    return repr(row)[:500]
