"""The broker's files → listings, and everything that a file may be instead."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symbols_masters import COUNT, KNOWN, KOSDAQ, Listing, both, line, mst

from engine.locale import Locale
from engine.symbols.builtin import NAMES
from engine.symbols.master import Stock
from engine.symbols.mst import LEAST, MasterError, parse

TODAY = date(2026, 11, 20)


def refused(kospi: bytes, kosdaq: bytes) -> str:
    with pytest.raises(MasterError) as caught:
        parse(kospi, kosdaq, TODAY)
    assert caught.value.text(Locale.KO) != caught.value.text(Locale.EN)
    return caught.value.text(Locale.EN)


def test_both_files_as_they_should_be() -> None:
    master, unfit = parse(*both(("069500", "KODEX 200", "EF")), TODAY)
    assert (len(master), unfit, master.loaded) == (2 * COUNT, 0, TODAY)
    assert master.stocks[0] == Stock("005930", "KR7005930003", "삼성전자", "KOSPI", "ST")
    assert master.stocks[len(KNOWN)] == Stock("069500", "KR7069500003", "KODEX 200", "KOSPI", "EF")
    assert [(each.code, each.name, each.market) for each in master.stocks if each.code in ("247540", "0162Z0")] == [
        ("247540", "에코프로비엠", "KOSDAQ"),
        ("0162Z0", "가상바이오", "KOSDAQ"),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_are_not_part_of_the_tail(end: bytes) -> None:
    master, _ = parse(mst("KOSPI", *KNOWN, end=end) + b"\x1a", mst("KOSDAQ", end=end).removesuffix(end), TODAY)
    assert (len(master), master.name("000660")) == (2 * COUNT, "SK하이닉스")


@pytest.mark.parametrize("end", [b"\x1a", b"\0", b"\0" * 512, b"\r\n\x1a\0", b" \n\n"], ids=repr)
def test_what_ends_a_file_is_no_line(end: bytes) -> None:
    """CP/M's end of file, and blocks filled up with zeros."""
    kospi, kosdaq = both()
    master, unfit = parse(kospi + end, kosdaq + end, TODAY)
    assert (len(master), unfit) == (2 * COUNT, 0)


def test_a_hanja_is_the_one_that_a_keyboard_gives() -> None:
    """cp949 has some twice, by their readings, and Unicode has them twice for it: 金 as 김 and as 금."""
    twice = "\uf90a"
    assert twice != "金"
    master, _ = parse(*both(("700900", f"가상{twice}", "ST")), TODAY)
    assert (master.name("700900"), master.codes("가상金")) == ("가상金", ("700900",))


def renamed(count: int) -> tuple[Listing, ...]:
    return tuple((code, f"다른{name}" if at < count else name, group) for at, (code, name, group) in enumerate(KNOWN))


def test_half_of_the_well_known_names_must_be_right() -> None:
    kosdaq = both()[1]
    assert refused(mst("KOSPI", *renamed(16)), kosdaq).startswith("only 14 of 30 well-known names")
    assert parse(mst("KOSPI", *renamed(15)), kosdaq, TODAY).unfit == 0


@pytest.mark.parametrize("isin", [b"KR700593100", b"kr7005931003", b"007005931003", b"KR700593100X", b"            "])
def test_a_line_without_an_isin_is_counted(isin: bytes) -> None:
    kospi, kosdaq = both(("005931", "무리", "ST"))
    master, unfit = parse(kospi.replace(b"KR7005931003", isin), kosdaq, TODAY)
    assert (unfit, "005931" in master) == (1, False)


def test_codes_that_the_feed_does_not_take_are_left_out() -> None:
    master, unfit = parse(*both(("Q500001", "가상 ETN", "EN")), TODAY)
    assert (len(master), unfit, master.find("ETN")) == (2 * COUNT - 1, 0, [])


def test_names_are_one_clean_line() -> None:
    master, _ = parse(*both(("700900", "가\x1b[31m나\x07  다", "ST")), TODAY)
    assert master.name("700900") == "가 [31m나 다"


def bad(count: int) -> bytes:
    return b"".join(b"\xff" * 300 + b"\n" for _ in range(count))


def test_a_few_odd_lines_do_not_cost_the_others() -> None:
    kospi, kosdaq = both()
    master, unfit = parse(bad(3) + kospi + line(KNOWN[0]) + b"\n", kosdaq, TODAY)
    assert (len(master), unfit, master.name("005930")) == (2 * COUNT, 4, "삼성전자")


def test_many_odd_lines_are_another_format() -> None:
    kospi, kosdaq = both()
    assert refused(kospi, bad(20) + kosdaq) == "KOSDAQ: 20 of 540 lines do not have the broker's format"


ROTATED = tuple((code, name, "ST") for code, name in zip(NAMES, [*list(NAMES.values())[1:], "x"], strict=True))


@pytest.mark.parametrize(
    ("kospi", "kosdaq", "reason"),
    [
        (b"", both()[1], "only 0 listings"),
        (both()[0], b"", "KOSDAQ: only 0 listings"),
        (b"<html><body>maintenance</body></html>", both()[1], "1 of 1 lines"),
        (both()[0][: len(both()[0]) // 2], both()[1], "only 26. listings"),
        (both()[0], both()[0], "520 of 520 lines"),  # the same file twice, and with the other's width
        (both()[0].decode("cp949").encode(), both()[1], "lines do not have|names are right"),
        (mst("KOSPI"), both()[1], "005930 is not in it"),
        (mst("KOSPI", *ROTATED), both()[1], "only 0 of 30 well-known names"),
        (both()[0].replace(b"N\n", b"NN\n"), both()[1], "520 of 520 lines"),  # one more character behind the name
        (mst("KOSPI", *KNOWN, count=LEAST - 1), both()[1], "only 499 listings, at least 500"),
    ],
    ids=["empty", "no-kosdaq", "html", "half", "twice", "utf-8", "no-samsung", "other-names", "wider", "short"],
)
def test_what_is_no_stock_master(kospi: bytes, kosdaq: bytes, reason: str) -> None:
    assert re.search(reason, refused(kospi, kosdaq))


@pytest.mark.parametrize(
    "broken",
    [
        ("05930", "다섯자리", "ST"),
        ("00593a", "소문자", "ST"),
        ("005931", " ", "ST"),
        ("005931", "무리", "S1"),
        ("005931", "무리", "  "),
    ],
    ids=["short-code", "small-letter", "no-name", "odd-group", "no-group"],
)
def test_a_line_that_does_not_fit_is_counted(broken: Listing) -> None:
    assert parse(*both(broken), TODAY).unfit == 1


@given(st.binary(max_size=2_000), st.integers(0, 3))
def test_whatever_comes_is_a_master_or_an_error(noise: bytes, place: int) -> None:
    kospi, kosdaq = both()
    mixed = [noise + kospi, kospi + noise, kospi[:-500] + noise + kospi[-500:], noise][place]
    try:
        master, _ = parse(mixed, kosdaq, TODAY)
    except MasterError:
        return
    assert master.name("000660") == "SK하이닉스"
    assert len({stock.code for stock in master.stocks}) == len(master)


def test_the_made_up_files_have_the_broker_s_widths() -> None:
    assert len(line(KNOWN[0]).decode("cp949")) == 21 + 36 + 227  # a syllable is two bytes, and one character
    assert len(line(KOSDAQ[0], "KOSDAQ")) == 9 + 12 + 40 + 221
