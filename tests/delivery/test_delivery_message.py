from dataclasses import replace
from typing import Any

import pytest
from delivery_samples import AT, a_notice, a_rule, an_alert, over
from hypothesis import given
from hypothesis import strategies as st

from engine.alert import State
from engine.delivery import words
from engine.delivery.message import (
    MAX_CONDITION_LINES,
    MAX_DIGEST_LINES,
    Due,
    Templates,
    Unsent,
    compose,
    headline,
    notice,
    render,
)
from engine.delivery.notice import system_notice
from engine.delivery.templates import FailureLog
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import METRICS, Condition, Group, Logic, Operator, Rule, Severity

KO, EN = Locale.KO, Locale.EN
TWO = a_rule(
    over("net_volume", 100_000, "5m"), over("imbalance", 0.3, "5m"), description="Program buying picks up in semis"
)
TWO_VALUES = (("net_volume[5m]", 123_456), ("imbalance[5m]", 0.4211))


def test_a_firing_in_korean() -> None:
    title, body = compose(an_alert(since=AT - 30 * SECOND_NS, values=TWO_VALUES), TWO, "삼성전자", KO)
    assert title == "⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주"
    assert body.split("\n") == [
        "5분 순매수량 12만 3,456주 (기준 > 10만주)",
        "5분 매수 쏠림 +42.1% (기준 > +30%)",
        "30초 동안 지속 · 체결 09:05:29 KST",
        "규칙: semis-program-buying",
        "Program buying picks up in semis",
    ]


def test_a_firing_in_english() -> None:
    title, body = compose(an_alert(since=AT - 30 * SECOND_NS, values=TWO_VALUES), TWO, "삼성전자", EN)
    assert title == "⚠️ 삼성전자(005930) net buy volume over 5 min 123.46K shares"
    assert body.split("\n") == [
        "net buy volume over 5 min 123.46K shares (threshold > 100K shares)",
        "buy imbalance over 5 min +42.1% (threshold > +30%)",
        "held for 30 s · record of 09:05:29 KST",
        "rule: semis-program-buying",
        "Program buying picks up in semis",
    ]


def test_a_resolution_says_so_and_how_long_it_lasted() -> None:
    alert = an_alert(state=State.RESOLVED, since=AT - 750 * SECOND_NS, values=TWO_VALUES)
    title, body = compose(alert, TWO, "삼성전자", KO)
    assert title == "✅ 삼성전자(005930) semis-program-buying 해제 (12분 30초 지속)"
    assert "08:53:00 ~ 09:05:30 KST · 체결 09:05:29 KST" in body.split("\n")
    title, body = compose(alert, TWO, "삼성전자", EN)
    assert title == "✅ 삼성전자(005930) semis-program-buying resolved after 12 min 30 s"
    assert "from 08:53:00 to 09:05:30 KST · record of 09:05:29 KST" in body.split("\n")


def test_a_resolution_names_the_rule_whatever_its_conditions_are() -> None:
    alert = an_alert(state=State.RESOLVED, since=AT - 16 * SECOND_NS, values=TWO_VALUES)
    rule = replace(TWO, name="프로그램 매수 유입")
    assert compose(alert, rule, "", KO)[0] == "✅ 005930 프로그램 매수 유입 해제 (16초 지속)"
    assert compose(alert, rule, "", EN)[0] == "✅ 005930 프로그램 매수 유입 resolved after 16 s"


def test_a_resolution_of_a_sum_names_its_rule_once() -> None:
    rule = a_rule(name="banks-net", aggregate="sum", symbols=("105560", "055550"))
    alert = an_alert(state=State.RESOLVED, symbol="banks-net")
    assert compose(alert, rule, "", KO)[0] == "✅ banks-net 2종목 합계 해제 (0초 지속)"
    alert = an_alert(state=State.RESOLVED, symbol="@banks")
    assert compose(alert, rule, "", KO)[0] == "✅ banks 그룹 2종목 합계 banks-net 해제 (0초 지속)"


def test_a_long_rule_name_does_not_push_out_that_it_is_over() -> None:
    alert = an_alert(state=State.RESOLVED, since=AT - 3_605 * SECOND_NS)
    rule = a_rule(name="r" * 80)
    title, body = compose(alert, rule, "n" * 80, EN)
    assert title.endswith("… resolved after 1 h 5 s")
    assert "rule: " + "r" * 80 in body


def test_a_repeat_says_which() -> None:
    assert compose(an_alert(repeat=2), a_rule(), "삼성전자", KO)[0].endswith(" · 반복 2회")
    assert compose(an_alert(repeat=2), a_rule(), "삼성전자", EN)[0].endswith(" · repeat 2")


def test_an_undefined_value_is_shown_as_such() -> None:
    alert = an_alert(values=(("net_volume[5m]", None),))
    assert compose(alert, a_rule(), "", KO)[1].startswith("5분 순매수량 값 없음 (기준 > 10만주)\n")
    assert "no value" in compose(alert, a_rule(), "", EN)[1]


def test_a_stock_without_a_name_is_its_code() -> None:
    assert compose(an_alert(), a_rule(), "", KO)[0] == "⚠️ 005930 5분 순매수량 12만 3,456주"


@pytest.mark.parametrize(
    ("symbol", "korean", "english"),
    [
        ("@semis", "semis 그룹 3종목 합계", "group semis, sum of 3 stocks"),
        ("all-of-them", "all-of-them 3종목 합계", "all-of-them, sum of 3 stocks"),
    ],
)
def test_a_sum_says_over_how_many_stocks(symbol: str, korean: str, english: str) -> None:
    rule = a_rule(aggregate=symbol, symbols=("005930", "000660", "042700"))
    alert = an_alert(symbol=symbol, record_time=None)
    assert compose(alert, rule, "", KO)[0].startswith(f"⚠️ {korean} ")
    assert compose(alert, rule, "", EN)[0].startswith(f"⚠️ {english} ")
    assert "판정 09:05:30 KST" in compose(alert, rule, "", KO)[1]


def test_a_crossing_says_what_was_crossed() -> None:
    rule = a_rule(over("net_volume", 0, None, Operator.CROSSES_ABOVE))
    alert = an_alert(values=(("net_volume", 1_234),))
    assert compose(alert, rule, "삼성전자", KO)[0] == "⚠️ 삼성전자(005930) 당일 순매수량 1,234주, 0주 상향 돌파"
    assert compose(alert, rule, "삼성전자", EN)[0].endswith(
        "net buy volume today 1,234 shares, crossing above 0 shares"
    )


def line_of(rule: Rule, value: float | None, locale: Locale) -> tuple[str, str, str]:
    """Title, first line of the body and line of a digest, less sign, stock and the end that every line has."""
    key = next(rule.when.conditions()).key
    told = notice(an_alert(values=((key, value),)), rule, "", locale)
    return (
        told.title.removeprefix("⚠️ 005930 "),
        told.message.split("\n")[0],
        told.line.removeprefix("⚠️ 005930 ").removesuffix(" · semis-program-buying 09:05:29"),
    )


@pytest.mark.parametrize(
    ("condition", "value", "korean", "english"),
    [
        (
            over("resting_imbalance", 0.99),
            -0.212,
            "현재 호가잔량 쏠림 -21.2%|> +99% 아님",
            "resting order imbalance now -21.2%|not > +99%",
        ),
        (
            over("net_value", (-1e9, 1e9), None, Operator.INSIDE),
            3_000_000_000,
            "당일 순매수대금 30억원|-10억원 ~ 10억원 아님",
            "net buy value today 3B won|not -1B won to 1B won",
        ),
        (
            over("net_value", (-1e9, 1e9), None, Operator.OUTSIDE),
            5_000_000,
            "당일 순매수대금 500만원|-10억원 ~ 10억원 밖 아님",
            "net buy value today 5M won|not outside -1B won to 1B won",
        ),
    ],
    ids=["above", "inside", "outside"],
)
def test_what_stands_under_none_is_said_not_to_be_so(
    condition: Condition, value: float, korean: str, english: str
) -> None:
    rule = a_rule(condition, logic=Logic.NONE)
    for locale, expected, threshold in ((KO, korean, "기준"), (EN, english, "threshold")):
        shown, limit = expected.split("|")
        told = f"{shown}, {limit}"
        assert line_of(rule, value, locale) == (told, f"{shown} ({threshold} {limit})", told)


def test_what_is_not_so_keeps_its_reset_in_brackets() -> None:
    rule = a_rule(replace(over("imbalance", 0.5), reset=0.3), logic=Logic.NONE)
    told = "당일 매수 쏠림 -20%"
    limit = "> +50%(해제 ≤ +30%) 아님"
    assert line_of(rule, -0.2, KO) == (f"{told}, > +50% 아님", f"{told} (기준 {limit})", f"{told}, > +50% 아님")
    assert line_of(rule, -0.2, EN)[1] == "buy imbalance today -20% (threshold not > +50% (until ≤ +30%))"


def body_of(*parts: Condition | Group, logic: Logic) -> list[str]:
    return compose(an_alert(values=()), a_rule(*parts, logic=logic), "", EN)[1].split("\n")[:-2]


A, B, C = over("sell_volume", 1), over("buy_volume", 2), over("net_volume", 3)


def said(what: str, limit: str, bullets: str = "") -> str:
    return f"{bullets}{what} volume today no value (threshold {limit} shares)"


def test_the_opposite_of_a_group_is_told_as_what_it_comes_to() -> None:
    sell, buy = said("sell", "not > 1"), said("buy", "not > 2")
    assert body_of(A, B, logic=Logic.NONE) == [sell, buy]
    assert body_of(Group(Logic.ANY, (A, B)), logic=Logic.NONE) == [sell, buy]
    not_both = ["at least one of:", "· " + sell, "· " + buy]
    assert body_of(Group(Logic.ALL, (A, B)), logic=Logic.NONE) == not_both
    assert body_of(Group(Logic.NONE, (A,)), Group(Logic.NONE, (B,)), logic=Logic.ANY) == not_both
    assert body_of(C, Group(Logic.ALL, (A, B)), logic=Logic.NONE) == [said("net buy", "not > 3"), *not_both]
    assert body_of(C, Group(Logic.NONE, (A, B)), logic=Logic.ALL) == [said("net buy", "> 3"), sell, buy]


def test_none_of_none_is_so() -> None:
    sell, buy = said("sell", "> 1", "· "), said("buy", "> 2", "· ")
    assert body_of(Group(Logic.NONE, (A,)), logic=Logic.NONE) == [sell.removeprefix("· ")]
    assert body_of(Group(Logic.NONE, (A, B)), logic=Logic.NONE) == ["at least one of:", sell, buy]


truth_groups = st.recursive(
    st.sampled_from([over(f"{side}_volume", 0) for side in ("sell", "buy", "net", "total")]),
    lambda parts: st.builds(Group, st.sampled_from(list(Logic)), st.lists(parts, min_size=1, max_size=3).map(tuple)),
    max_leaves=8,
).filter(lambda part: isinstance(part, Group))


@given(truth_groups, st.tuples(*[st.sampled_from([-1, 1])] * 4))
def test_a_firing_title_is_true_of_the_values(group: Group, numbers: tuple[int, ...]) -> None:
    values = dict(zip(("sell_volume", "buy_volume", "net_volume", "total_volume"), numbers, strict=True))

    def met(part: Condition | Group) -> bool:
        if isinstance(part, Condition):
            return values[part.metric] > 0
        truths = [met(each) for each in part.parts]
        return {Logic.ALL: all(truths), Logic.ANY: any(truths), Logic.NONE: not any(truths)}[part.logic]

    if met(group):
        told = headline(an_alert(values=tuple(values.items())), a_rule(group))
        assert met(told.condition) is told.so


def test_a_title_prefers_what_is_so_and_passes_over_groups_that_are_not_met() -> None:
    quiet = Group(Logic.NONE, (over("sell_volume", 9),))
    values = (("sell_volume", 1), ("buy_volume", 7), ("net_volume", 8))
    told = compose(an_alert(values=values), a_rule(quiet, B), "", KO)[0]
    assert told == "⚠️ 005930 당일 매수량 7주"
    unmet = Group(Logic.ALL, (B, over("sell_volume", 5)))
    told = compose(an_alert(values=values), a_rule(unmet, C, logic=Logic.ANY), "", KO)[0]
    assert told == "⚠️ 005930 당일 순매수량 8주"


@pytest.mark.parametrize(
    ("operator", "threshold", "reset", "korean", "english"),
    [
        (Operator.ABOVE, 0.5, 0.3, "> +50%, 해제 ≤ +30%", "> +50%, until ≤ +30%"),
        (Operator.AT_LEAST, 0.5, 0.3, "≥ +50%, 해제 < +30%", "≥ +50%, until < +30%"),
        (Operator.BELOW, -0.6, -0.4, "< -60%, 해제 ≥ -40%", "< -60%, until ≥ -40%"),
        (Operator.AT_MOST, -0.6, -0.4, "≤ -60%, 해제 > -40%", "≤ -60%, until > -40%"),
        (
            Operator.CROSSES_ABOVE,
            0,
            -0.1,
            "0% 상향 돌파, ≤ -10% 뒤 재알림",
            "crossing above 0%, re-arms at ≤ -10%",
        ),
        (
            Operator.CROSSES_BELOW,
            0,
            0.1,
            "0% 하향 돌파, ≥ +10% 뒤 재알림",
            "crossing below 0%, re-arms at ≥ +10%",
        ),
        (Operator.ABOVE, 0.5, 0.5, "> +50%", "> +50%"),
    ],
)
def test_a_reset_stands_beside_its_threshold(
    operator: Operator, threshold: float, reset: float, korean: str, english: str
) -> None:
    rule = a_rule(replace(over("imbalance", threshold, None, operator), reset=reset))
    title, first, line = line_of(rule, 0.351, KO)
    assert first == f"당일 매수 쏠림 +35.1% (기준 {korean})"
    assert line == (title if operator.is_crossing else f"{title} ({korean})")
    assert line_of(rule, 0.351, EN)[1] == f"buy imbalance today +35.1% (threshold {english})"


def test_a_title_tells_what_its_reset_holds_before_what_does_not_hold() -> None:
    rule = a_rule(over("net_volume", 100), replace(over("imbalance", 0.5), reset=0.3), logic=Logic.ANY)
    alert = an_alert(repeat=1, values=(("net_volume", 7), ("imbalance", 0.351)))
    assert notice(alert, rule, "", KO).line.startswith(
        "⚠️ 005930 당일 매수 쏠림 +35.1% · 반복 1회 (> +50%, 해제 ≤ +30%)"
    )


def test_resets_of_two_conditions_on_one_value_stay_apart() -> None:
    above = replace(over("net_volume", 100_000), reset=50_000)
    below = replace(over("net_volume", -100_000, None, Operator.BELOW), reset=-50_000)
    rule = a_rule(above, below, logic=Logic.ANY)
    alert = an_alert(values=(("net_volume", 123_456),))
    assert "(기준 > 10만주(해제 ≤ 5만주) 또는 < -10만주(해제 ≥ -5만주))" in compose(alert, rule, "", KO)[1]
    told = "(threshold > 100K shares (until ≤ 50K shares) or < -100K shares (until ≥ -50K shares))"
    assert told in compose(alert, rule, "", EN)[1]


def test_a_value_never_reads_as_equal_to_its_reset_when_it_is_not() -> None:
    assert words.value(replace(over("imbalance", 0.5), reset=0.3), 0.30001, KO) == "+30.001%"


@pytest.mark.parametrize(
    ("metric", "korean"),
    [
        ("sell_volume", "5분 매도량"),
        ("buy_volume", "5분 매수량"),
        ("net_volume", "5분 순매수량"),
        ("total_volume", "5분 거래량"),
        ("sell_value", "5분 매도대금"),
        ("buy_value", "5분 매수대금"),
        ("net_value", "5분 순매수대금"),
        ("total_value", "5분 거래대금"),
        ("imbalance", "5분 매수 쏠림"),
        ("value_imbalance", "5분 매수 쏠림(대금)"),
        ("sell_resting", "5분 매도잔량 변화"),
        ("buy_resting", "5분 매수잔량 변화"),
        ("net_resting", "5분 순매수잔량 변화"),
    ],
)
def test_metrics_have_the_words_of_a_trader(metric: str, korean: str) -> None:
    assert words.metric(over(metric, 1, "5m"), KO) == korean


def test_conditions_on_one_value_share_a_line() -> None:
    rule = a_rule(
        over("net_volume", 100_000, "5m"), over("net_volume", -100_000, "5m", Operator.BELOW), logic=Logic.ANY
    )
    body = compose(an_alert(values=(("net_volume[5m]", -123_456),)), rule, "", KO)[1]
    assert body.split("\n")[:2] == ["다음 중 하나 이상:", "· 5분 순매수량 -12만 3,456주 (기준 > 10만주 또는 < -10만주)"]


def test_nested_groups_stay_readable_and_the_title_tells_the_one_that_was_met() -> None:
    rule = a_rule(
        over("net_volume", 1_000_000, "5m"),
        Group(
            Logic.ALL,
            (
                over("net_value", (-5_000_000_000, 5_000_000_000), "1h30m", Operator.OUTSIDE),
                Group(Logic.NONE, (over("sell_resting", 100, "5m", Operator.AT_LEAST), over("buy_resting", 5))),
            ),
        ),
        logic=Logic.ANY,
    )
    values = (
        ("net_volume[5m]", 5),
        ("net_value[1h30m]", 12_345_678_901),
        ("sell_resting[5m]", None),
        ("buy_resting", 3),
    )
    title, body = compose(an_alert(values=values, record_time=None), rule, "삼성전자", KO)
    assert title == "⚠️ 삼성전자(005930) 1시간 30분 순매수대금 123억 4,567만원"
    assert body.split("\n")[:7] == [
        "다음 중 하나 이상:",
        "· 5분 순매수량 5주 (기준 > 100만주)",
        "· 다음 모두:",
        "· · 1시간 30분 순매수대금 123억 4,567만원 (기준 -50억원 미만 또는 50억원 초과)",
        "· · 5분 매도잔량 변화 값 없음 (기준 ≥ 100주 아님)",
        "· · 현재 매수잔량 3주 (기준 > 5주 아님)",
        "판정 09:05:30 KST",
    ]
    english = compose(an_alert(values=values), rule, "삼성전자", EN)[1].split("\n")
    assert english[0] == "at least one of:"
    assert english[3].endswith("12.35B won (threshold below -5B won or above 5B won)")
    assert english[4:6] == [
        "· · change in resting sell orders over 5 min no value (threshold not ≥ 100 shares)",
        "· · resting buy orders now 3 shares (threshold not > 5 shares)",
    ]


def test_a_rule_of_many_conditions_is_cut_with_their_number() -> None:
    rule = a_rule(*(over("net_volume", 1, f"{minutes}m") for minutes in range(1, 31)))
    lines = compose(an_alert(), rule, "", KO)[1].split("\n")
    assert lines[MAX_CONDITION_LINES] == "조건 18개 더"
    assert lines[MAX_CONDITION_LINES - 1].startswith("12분 순매수량")


@pytest.mark.parametrize(
    ("metric", "value", "threshold", "shown"),
    [
        ("imbalance", 0.30001, 0.3, "+30.001%"),
        ("imbalance", -0.5, 0.3, "-50%"),
        ("imbalance", 0.0, 0.3, "0%"),
        ("imbalance", -0.00001, 0.3, "0%"),
        ("imbalance", 0.3, 0.3, "+30%"),
        ("imbalance", 1, 0.3, "+100%"),
        ("net_value", 1_234_567_890_001, 1_234_500_000_000, "1,234,567,890,001원"),
        ("net_value", 1_234_500_000_000, 1_234_500_000_000, "1조 2,345억원"),
        ("net_volume", 100_003, 100_000, "10만 3주"),
        ("net_volume", 0, 100_000, "0주"),
    ],
)
def test_a_value_never_reads_as_equal_to_its_threshold_when_it_is_not(
    metric: str, value: float, threshold: float, shown: str
) -> None:
    assert words.value(over(metric, threshold), value, KO) == shown


@pytest.mark.parametrize("locale", list(Locale))
def test_every_metric_and_operator_has_words_with_its_threshold(locale: Locale) -> None:
    for metric in METRICS:
        for operator in Operator:
            condition = over(metric, (0.25, 0.5) if operator.is_range else 0.25, "5m", operator)
            assert words.amount(metric, 0.25, locale) in words.limit(words.Stated(condition), locale)
            assert metric not in words.metric(condition, locale) or "_" not in metric


def test_words_of_foreign_origin_cannot_break_out() -> None:
    rule = a_rule(name="a\nb @here", description="x\u202ey\x1b[31m")
    title, body = compose(an_alert(), rule, "삼\n성@channel", KO)
    assert title.startswith("⚠️ 삼 성＠channel(005930)")
    assert body.split("\n")[-2:] == ["규칙: a b ＠here", "xy [31m"]


@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=20), st.sampled_from(list(Locale)))
def test_any_name_gives_a_title_of_one_line_and_a_body_of_known_shape(
    name: str, rule_name: str, symbol: str, locale: Locale
) -> None:
    title, body = compose(an_alert(symbol=symbol), a_rule(name=rule_name), name, locale)
    assert "\n" not in title
    assert len(title) <= 120
    assert len(body.split("\n")) <= 4
    (title + body).encode()


def test_one_notice_is_sent_whole() -> None:
    assert render([Due(a_notice())], Unsent(), AT, KO) == ("title of n1", "message of n1", ())


def test_a_digest_has_a_line_each_most_severe_first_then_largest() -> None:
    many = [
        Due(notice(an_alert(id="1"), a_rule(), "삼성전자", KO)),
        Due(
            notice(an_alert(id="2", symbol="000660", values=(("net_volume[5m]", 999_999),)), a_rule(), "SK하이닉스", KO)
        ),
        Due(notice(an_alert(id="3", severity=Severity.CRITICAL), a_rule(), "삼성전자", KO)),
    ]
    title, body, _ = render(many, Unsent(), AT, KO)
    assert title == "🚨 삼성전자(005930) 5분 순매수량 12만 3,456주 외 2건"
    assert body.split("\n") == [
        "🚨 삼성전자(005930) 5분 순매수량 12만 3,456주 (> 10만주) · semis-program-buying 09:05:29",
        "⚠️ SK하이닉스(000660) 5분 순매수량 99만 9,999주 (> 10만주) · semis-program-buying 09:05:29",
        "⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주 (> 10만주) · semis-program-buying 09:05:29",
    ]
    assert render(many, Unsent(), AT, EN)[0].endswith(" · and 2 more")


def test_a_digest_tells_what_holds_before_what_is_over_and_that_as_it_happened() -> None:
    """It was headed by the end of one rule, and three new firings stood below: on a phone all seemed over."""

    def told(number: int, state: State, symbol: str = "005930", **more: Any) -> Due:
        alert = an_alert(id=str(number), state=state, symbol=symbol, at=AT + number, **more)
        return Due(notice(alert, a_rule(), "", KO))

    due = [
        told(1, State.FIRING, severity=Severity.CRITICAL),
        told(2, State.RESOLVED, severity=Severity.CRITICAL),
        told(3, State.FIRING, "000660"),
        told(4, State.RESOLVED, "035420"),
        told(5, State.FIRING, "035420"),
    ]
    title, body, _ = render(due, Unsent(), AT, KO)
    assert title == "⚠️ 000660 5분 순매수량 12만 3,456주 외 4건"
    assert [line.split()[1] for line in body.split("\n")] == ["000660", "035420", "005930", "005930", "035420"]
    assert [line[0] for line in body.split("\n")] == ["⚠", "⚠", "🚨", "✅", "✅"]


def test_where_all_is_over_the_title_says_so() -> None:
    firing, ending = an_alert(id="1"), an_alert(id="2", state=State.RESOLVED, at=AT + 1)
    title, body, _ = render([Due(notice(each, a_rule(), "", KO)) for each in (ending, firing)], Unsent(), AT, KO)
    assert title.startswith("✅")
    assert [line[0] for line in body.split("\n")] == ["⚠", "✅"]


def test_a_resolved_line_names_no_threshold() -> None:
    one = notice(an_alert(state=State.RESOLVED), a_rule(), "삼성전자", KO)
    assert one.line == "✅ 삼성전자(005930) semis-program-buying 해제 (0초 지속) · 09:05:29"


def test_what_the_daemon_says_of_itself_is_whole_also_in_a_digest() -> None:
    """Its title alone ("Feed lost: main") said neither why nor what cannot be seen by that."""
    own = system_notice("feed-lost", AT, Severity.CRITICAL, title="Feed lost", message="main: …\nSymbols: …", notify=())
    title, text, _ = render([Due(a_notice("n0")), Due(own)], Unsent(), AT, KO)
    assert title == "Feed lost 외 1건"
    assert text.split("\n") == ["Feed lost", "  main: …", "  Symbols: …", "title of n0"]


def test_a_digest_is_bounded() -> None:
    due = [Due(a_notice(f"n{number}")) for number in range(500)]
    lines = render(due, Unsent(), AT, KO)[1].split("\n")
    assert len(lines) == MAX_DIGEST_LINES + 1
    assert lines[-1] == "… 외 470건 (전체는 pgmwatch alerts)"


@pytest.mark.parametrize(("late_s", "said"), [(30, False), (31, True)])
def test_a_late_message_says_how_late(late_s: int, said: bool) -> None:
    remarks = render([Due(a_notice())], Unsent(), AT + late_s * SECOND_NS, KO).remarks
    assert ("31초 늦게 보냄" in remarks) is said


def test_a_late_digest_says_it_of_its_oldest() -> None:
    due = [Due(a_notice("new")), Due(a_notice("old", at=AT - 125 * SECOND_NS))]
    assert "oldest sent 2 min 5 s late" in render(due, Unsent(), AT, EN).remarks


def test_what_may_have_arrived_before_says_so() -> None:
    assert render([Due(a_notice(), may_repeat=True)], Unsent(), AT, EN).remarks == ("may repeat an earlier message",)
    mixed = [Due(a_notice("a"), may_repeat=True), Due(a_notice("b"))]
    assert render(mixed, Unsent(), AT, KO).remarks == ("이 중 1건은 앞선 메시지와 중복될 수 있음",)


def test_what_was_given_up_is_listed_with_the_next_message() -> None:
    unsent = Unsent(3, (replace(a_notice("lost"), line="lost line"),))
    assert render([Due(a_notice())], unsent, AT, EN).remarks == (
        "not sent, too old: 3",
        "· lost line",
        "… and 2 more (pgmwatch alerts shows all)",
    )


OWN = Templates(title="[desk] {{ stock }}", message="{{ value | amount }} ({{ rule }})")


def test_words_of_ones_own_stand_in_place_of_the_built_in_ones() -> None:
    assert compose(an_alert(), a_rule(), "삼성전자", KO, OWN) == (
        "[desk] 삼성전자(005930)",
        "12만 3,456 (semis-program-buying)",
    )
    rule = a_rule(title="mine", message="{{ threshold_text }}")
    assert compose(an_alert(), rule, "삼성전자", KO, OWN) == ("mine", "> 10만주")


def test_one_of_the_two_may_be_built_in() -> None:
    built_in = compose(an_alert(), a_rule(), "삼성전자", KO)
    assert compose(an_alert(), a_rule(title="mine"), "삼성전자", KO) == ("mine", built_in[1])
    assert compose(an_alert(), a_rule(message="mine"), "삼성전자", KO) == (built_in[0], "mine")


def test_a_line_with_a_title_of_ones_own_adds_no_threshold_to_it() -> None:
    line = notice(an_alert(), a_rule(), "삼성전자", KO, OWN).line
    assert line == "[desk] 삼성전자(005930) · semis-program-buying 09:05:29"


def test_a_title_of_ones_own_is_one_line_and_never_empty() -> None:
    assert compose(an_alert(), a_rule(title="a\n\nb"), "", KO)[0] == "a b"
    assert len(compose(an_alert(), a_rule(title="x" * 500), "", KO)[0]) == 120
    built_in = compose(an_alert(), a_rule(), "", KO)[0]
    assert compose(an_alert(), a_rule(title="{% if resolved %}over{% endif %}"), "", KO)[0] == built_in
    assert compose(an_alert(), a_rule(message="{% if resolved %}over{% endif %}"), "", KO)[1] == ""


def test_words_that_fail_cost_no_alert_and_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    templates = replace(OWN, title="{{ 1 / value }}", failed=FailureLog())
    alert = an_alert(values=(("net_volume[5m]", 0),))
    for _ in range(3):
        title, body = compose(alert, a_rule(), "삼성전자", KO, templates)
        assert title == compose(alert, a_rule(), "삼성전자", KO)[0]
        assert body == "0 (semis-program-buying)"
    (line,) = caplog.messages
    assert line == (
        'template failed rule=semis-program-buying key=title reason="division by zero": built-in words are used'
    )
