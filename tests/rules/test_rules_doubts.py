from dataclasses import replace
from datetime import date

import pytest

from engine.locale import Locale
from engine.rules.doubts import doubts
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.symbols.master import BUILTIN, Master


def rule(metric: str, operator: Operator, threshold: float | tuple[float, float], *, notify: str = "terminal") -> Rule:
    when = Group(Logic.ALL, (Condition(metric, operator, threshold),))
    return Rule(name="r", symbols=("005930",), when=when, notify=(notify,) if notify else (), file="a.toml", line=3)


@pytest.mark.parametrize(
    ("metric", "operator", "threshold", "doubtful"),
    [
        ("imbalance", Operator.ABOVE, 30, True),
        ("imbalance", Operator.ABOVE, 1, True),
        ("imbalance", Operator.ABOVE, 0.99, False),
        ("imbalance", Operator.AT_LEAST, 1, False),
        ("imbalance", Operator.AT_LEAST, 1.01, True),
        ("value_imbalance", Operator.BELOW, -1, True),
        ("value_imbalance", Operator.BELOW, -0.5, False),
        ("value_imbalance", Operator.AT_MOST, -1, False),
        ("value_imbalance", Operator.AT_MOST, -30, True),
        ("resting_imbalance", Operator.CROSSES_ABOVE, 5, True),
        ("resting_imbalance", Operator.CROSSES_BELOW, 0, False),
        ("imbalance", Operator.INSIDE, (2, 3), True),
        ("imbalance", Operator.INSIDE, (0.5, 30), False),
        ("imbalance", Operator.OUTSIDE, (-30, 30), True),
        ("imbalance", Operator.OUTSIDE, (-0.3, 30), False),
        ("net_volume", Operator.ABOVE, 30, False),
    ],
)
def test_a_ratio_that_cannot_get_there(
    metric: str, operator: Operator, threshold: float | tuple[float, float], *, doubtful: bool
) -> None:
    found = doubts([rule(metric, operator, threshold)], BUILTIN)
    assert [doubt.code for doubt in found] == ["out-of-reach"] * doubtful
    if doubtful:
        assert found[0].text(Locale.EN).startswith("a.toml:3: r: ")


def test_a_rule_that_tells_nobody_and_no_rule_at_all() -> None:
    assert [doubt.code for doubt in doubts([rule("net_volume", Operator.ABOVE, 1, notify="")], BUILTIN)] == [
        "tells-nobody"
    ]
    assert [doubt.code for doubt in doubts([], BUILTIN)] == ["nothing-to-watch"]


def coded(name: str, *codes: str, enabled: bool = True) -> Rule:
    return replace(rule("net_volume", Operator.ABOVE, 1), name=name, symbols=codes, enabled=enabled)


def test_codes_that_a_downloaded_master_does_not_have() -> None:
    master = Master(BUILTIN.stocks, date(2026, 11, 20))
    rules = [coded("a", "005930", "999990"), coded("b", "999990", "999991"), coded("off", "999992", enabled=False)]
    found = doubts(rules, master)
    assert [(doubt.key, doubt.code) for doubt in found] == [("a", "unknown-code"), ("b", "unknown-code")]
    assert found[0].text(Locale.EN) == "a.toml:3: a: not in the stock master of 2026-11-20: 999990"
    assert found[1].text(Locale.KO) == "a.toml:3: b: 2026-11-20자 종목 마스터에 없는 종목코드: 999991"
    assert doubts(rules, BUILTIN) == []  # thirty names are too few to doubt a code by


def test_a_doubt_about_thousands_of_codes_is_one_line() -> None:
    master = Master(BUILTIN.stocks, date(2026, 11, 20))
    (doubt,) = doubts([coded("a", *(f"9{number:05d}" for number in range(2_000)))], master)
    assert doubt.message(Locale.EN).endswith("900008, 900009 …")
