"""Looking stocks up, and guessing what was meant."""

import time
import unicodedata
from datetime import date

import pytest

from engine.symbols.master import BUILTIN, Changes, Master, Stock, changes, labels


def stock(code: str, name: str, group: str = "ST") -> Stock:
    return Stock(code, f"KR7{code}003", name, "KOSPI", group)


MASTER = Master(
    (
        *BUILTIN.stocks,
        stock("005935", "삼성전자우"),
        stock("009150", "삼성전기"),
        stock("069500", "KODEX 200", "EF"),
        stock("091160", "KODEX 반도체", "EF"),
        stock("52F123", "한국FA01삼성전자콜", "EW"),
        stock("000001", "대우"),
        stock("000002", "대우"),
        stock("0162Z0", "가상바이오"),
    ),
    date(2026, 11, 20),
)


def test_names_and_codes() -> None:
    assert (MASTER.name("0162Z0"), MASTER.name("999999")) == ("가상바이오", "")
    assert (MASTER.label("005930"), MASTER.label("999999")) == ("삼성전자(005930)", "999999")
    assert (MASTER.codes("삼성전자"), MASTER.codes("대우"), MASTER.codes("없음")) == (
        ("005930",),
        ("000001", "000002"),
        (),
    )
    assert "005930" in MASTER
    assert "999999" not in MASTER


def test_a_name_typed_on_a_mac_is_the_same_name() -> None:
    decomposed = unicodedata.normalize("NFD", "삼성전자")
    assert decomposed != "삼성전자"
    assert MASTER.codes(decomposed) == ("005930",)
    assert MASTER.find(decomposed)[0].code == "005930"
    assert MASTER.candidates(unicodedata.normalize("NFD", "삼성전지"))[0].code == "005930"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("005930", ["005930"]),
        ("00593", ["005930", "005935"]),
        ("삼성전", ["005930", "009150", "005935", "52F123"]),
        ("삼성전자", ["005930", "005935", "52F123"]),
        ("sk하이닉스", ["000660"]),
        ("kodex200", ["069500"]),
        (" KODEX  반도체 ", ["091160"]),
        ("반도체", ["042700", "091160"]),
        ("0162z0", ["0162Z0"]),
        ("대우", ["000001", "000002"]),
        ("없는종목", []),
        ("", []),
        ("  ", []),
    ],
)
def test_find_puts_the_best_first(text: str, expected: list[str]) -> None:
    assert [each.code for each in MASTER.find(text)] == expected


def test_a_stock_stands_before_a_fund_with_a_shorter_name() -> None:
    found = Master((stock("000003", "반도체", "EF"), stock("000004", "반도체장비"), stock("000005", "반도체", "EW")))
    assert [each.code for each in found.find("반도")] == ["000004", "000003", "000005"]


def test_find_gives_no_more_than_asked_for() -> None:
    assert [each.code for each in MASTER.find("삼성", 2)] == ["005930", "009150"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("삼성전지", "005930"),
        ("현대자동차", "005380"),
        ("하이닉스", "000660"),
        ("LG 전자", "066570"),
        ("naver", "035420"),
        ("A005930", "005930"),
        ("5930", "005930"),
        ("0162z0", "0162Z0"),
    ],
)
def test_the_likeliest_candidate(name: str, expected: str) -> None:
    assert MASTER.candidates(name)[0].code == expected
    assert len(MASTER.candidates(name)) <= 5


def test_an_ambiguous_name_has_those_that_bear_it_as_candidates() -> None:
    assert labels(MASTER.candidates("대우")) == "대우(000001), 대우(000002)"
    many = Master(tuple(stock(f"00000{number}", "같은이름") for number in range(9)))
    assert len(many.candidates("같은이름")) == 5


@pytest.mark.parametrize("name", ["", " ", "zzzzqq", "없없없", "가" * 100_000])
def test_nothing_alike_is_no_candidate(name: str) -> None:
    assert MASTER.candidates(name) == ()


def test_two_of_five_syllables_are_a_family_and_no_slip_of_the_hand() -> None:
    master = Master((stock("000001", "삼성에스디에스"), stock("000002", "삼성화재"), stock("000003", "삼성중공업")))
    assert master.candidates("삼성바이오") == (stock("000002", "삼성화재"),)  # of four it is half
    assert master.candidates("삼성중공")[0].code == "000003"


def test_forty_characters_are_compared_and_no_more() -> None:
    long = "가상자산운용코리아인덱스이차전지밸류체인액티브월배당커버드콜"
    master = Master((stock("000001", long), stock("000002", long + "합성"), stock("000003", "삼성전자")))
    assert [each.code for each in master.candidates(long + "합섬")][:2] == ["000002", "000001"]
    assert [each.code for each in master.candidates("삼성전자".ljust(40) + long)] == ["000003"]


def test_only_another_name_is_a_renaming() -> None:
    before = stock("000001", "하나")
    for after in (before._replace(isin="KR7000001999"), before._replace(market="KOSDAQ"), before._replace(group="RT")):
        assert changes(Master((before,)), Master((after,))) == Changes((), (), ())


def test_changes_between_two_masters() -> None:
    before = Master((stock("000001", "하나"), stock("000002", "둘"), stock("000003", "셋")))
    after = Master((stock("000001", "하나"), stock("000003", "삼"), stock("000004", "넷")))
    assert changes(before, after) == Changes(
        new=(stock("000004", "넷"),),
        gone=(stock("000002", "둘"),),
        renamed=((stock("000003", "셋"), stock("000003", "삼")),),
    )
    assert changes(after, after) == Changes((), (), ())


def test_a_look_for_candidates_is_cheap_in_a_whole_market() -> None:
    """A hundred are looked up in one reading of the rules: difflib's letter by letter would take ten seconds."""
    names = [f"{first}{second}{kind}" for first in "삼현대한신" for second in "성화우진일" for kind in ("전자", "건설")]
    master = Master(tuple(stock(f"{number:06d}", names[number % 50] + str(number)) for number in range(5_000)))
    master.candidates("삼성")  # prepares
    started = time.process_time()
    for number in range(100):
        assert master.candidates(f"삼성전지{number}")
    assert time.process_time() - started < 2.5
