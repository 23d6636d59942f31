import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text import clean, printable, unpinged


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("삼성전자", "삼성전자"),
        ("  two \t words \r\n", "two words"),
        ("line\nbreak\u2028and\u2029more\x85", "line break and more"),
        ("\x1b[31mred\x07", "[31mred"),
        ("abc\u202egnp.exe\u202c", "abcgnp.exe"),
        ("\u2066isolated\u2069\u200e\u200f\u061c", "isolated"),
        ("zero\u200bwidth\ufeff\u00ad", "zerowidth"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("\x00\n", ""),
    ],
)
def test_foreign_text_becomes_one_harmless_line(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


def test_long_text_is_cut_with_a_sign_that_it_was() -> None:
    assert clean("가" * 300, 10) == "가" * 9 + "…"
    assert clean("가" * 10, 10) == "가" * 10


def test_nobody_is_called_by_a_name() -> None:
    assert unpinged("@everyone <@U123> <!channel>") == "＠everyone <＠U123> <!channel>"


def test_lines_stay_lines_on_a_terminal() -> None:
    assert printable("one\x1b]0;title\x07\n\ntwo\r\nthree") == "one ]0;title\n\ntwo\nthree"


@given(st.text(), st.integers(1, 50))
def test_whatever_comes_in_no_control_character_goes_out(raw: str, limit: int) -> None:
    out = clean(raw, limit)
    assert len(out) <= limit
    assert clean(out, limit) == out
    assert not {unicodedata.category(each) for each in out} & {"Cc", "Cs", "Zl", "Zp"}
    out.encode()
