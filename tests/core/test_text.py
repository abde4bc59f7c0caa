from __future__ import annotations

from airflow_provider_avepoint.core.text import one_line, quoted

from .tables import each_row


@each_row(
    ("text", "longest", "expected"),
    [
        ("as it is", 300, "as it is"),
        ("", 300, ""),
        (5, 300, "5"),
        (" two\r\nlines\t", 300, "two lines"),
        ("one\u2028two\x85three\x1b[2K", 300, "one two three [2K"),
        ("\u202eright to left", 300, "right to left"),
        ("123456", 6, "123456"),
        ("1234567", 6, "123456\u2026"),
        ("x" * 10**6, 6, "xxxxxx\u2026"),
    ],
)
def test_one_line(text: object, longest: int, expected: str) -> None:
    assert expected == one_line(text, longest)


@each_row(("value", "expected"), [("a\nb", r"'a\nb'"), (7, "7"), (None, "None")])
def test_quoted(value: object, expected: str) -> None:
    assert expected == quoted(value)


def test_a_quotation_is_short() -> None:
    assert 101 == len(quoted("x" * 1000))
