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
        ("می\u200cرود", 300, "می\u200cرود"),
        ("👨\u200d👩\u200d👧 Ltd", 300, "👨\u200d👩\u200d👧 Ltd"),
        ("ක්\u200dෂ", 300, "ක්\u200dෂ"),
        ("\u200c\u200d", 300, ""),
        ("a \u200d\u202e\u200c b", 300, "a b"),
        ("a\u200c\nb\u200d\x1b[2K", 300, "a\u200c b\u200d [2K"),
        ("".join(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))), 300, ""),
        ("a\ud83d\ufeffb", 300, "a b"),
    ],
)
def test_one_line(text: object, longest: int, expected: str) -> None:
    assert expected == one_line(text, longest)


@each_row(("value", "expected"), [("a\nb", r"'a\nb'"), (7, "7"), (None, "None")])
def test_quoted(value: object, expected: str) -> None:
    assert expected == quoted(value)


def test_a_quotation_is_short() -> None:
    assert 101 == len(quoted("x" * 1000))
