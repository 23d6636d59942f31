"""What the entries of `symbols` mean, and what it costs to say what they may have meant."""

import time
import unicodedata
from datetime import date
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.locale import Locale
from engine.rules import load, reader
from engine.rules.names import MAX_LOOKED_UP, Names, Unclear
from engine.symbols.master import BUILTIN, Master, Stock

MASTER = Master(
    (
        *BUILTIN.stocks,
        Stock("009150", "", "삼성전기", "KOSPI", "ST"),
        *(Stock(f"00000{number}", "", "같은이름", "KOSPI", "ST") for number in range(7)),
    ),
    date(2026, 11, 20),
)


def problem_of(entry: str, tmp_path: Path, master: Master = MASTER) -> str:
    text = f'[[rule]]\nname = "r"\nsymbols = ["{entry}"]\nmetric = "net_volume"\nabove = 1\n'
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load.load(tmp_path, reader.World((), (), (0, 1), master))
    (problem,) = caught.value.problems
    assert problem.line == 3
    return problem.message(Locale.EN) + "\n" + problem.message(Locale.KO)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("005930", "005930"),
        ("0162Z0", "0162Z0"),  # a code means itself, known or not
        ("삼성전자", "005930"),
        (unicodedata.normalize("NFD", "삼성전자"), "005930"),
        (" NAVER ", "035420"),
    ],
)
def test_what_means_one_code(entry: str, code: str) -> None:
    assert Names(MASTER).meaning(entry) == code


def test_an_unknown_name_and_those_like_it(tmp_path: Path) -> None:
    english, korean = problem_of("삼성전지", tmp_path).splitlines()
    assert english.startswith(
        '"삼성전지" is neither a six-character code nor a known stock name; like it: 삼성전자(005930), 삼성전기(009150)'
    )
    assert korean.startswith('"삼성전지": 6자리 종목코드도, 알려진 종목명도 아닙니다. 비슷한 종목: 삼성전자(005930)')
    assert english.count("(") == 5


def test_an_unknown_name_like_nothing(tmp_path: Path) -> None:
    assert problem_of("zzzz", tmp_path).splitlines()[0] == (
        '"zzzz" is neither a six-character code nor a known stock name'
    )


def test_an_ambiguous_name_and_those_that_bear_it(tmp_path: Path) -> None:
    english, korean = problem_of("같은이름", tmp_path).splitlines()
    candidates = ", ".join(f"같은이름(00000{number})" for number in range(5))
    assert english == f'"같은이름" may be {candidates}; write the code'
    assert korean == f'"같은이름": {candidates} 중 하나입니다. 코드로 쓰세요'


def test_without_a_master_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    english, korean = problem_of("에코프로비엠", tmp_path, BUILTIN).splitlines()
    assert english == (
        '"에코프로비엠" is neither a six-character code nor one of the 30 built-in stock names; '
        "pgmwatch symbols update loads all names"
    )
    assert "pgmwatch symbols update" in korean


def whole_market() -> Master:
    return Master(tuple(Stock(f"{n:06d}", "", f"삼성전자{n}", "KOSPI", "ST") for n in range(5_000)), date(2026, 11, 20))


def test_ten_thousand_unknown_names_cost_seconds_at_most() -> None:
    names = Names(whole_market())
    started = time.process_time()
    found = [names.meaning(f"삼성전지{number}") for number in range(10_000)]
    assert time.process_time() - started < 3
    likely = [each.detail["likely"] for each in found if isinstance(each, Unclear)]
    assert len(likely) == 10_000
    assert all(likely[:MAX_LOOKED_UP])
    assert not any(likely[MAX_LOOKED_UP:])


def test_the_same_unknown_name_is_looked_up_once() -> None:
    names = Names(MASTER)
    assert names.meaning("삼성전지") is names.meaning("삼성전지")
