from dataclasses import replace

import pytest
from delivery_samples import AT, a_notice, a_rule, an_alert, over
from hypothesis import given
from hypothesis import strategies as st

from engine.alert import State
from engine.delivery import words
from engine.delivery.message import MAX_CONDITION_LINES, MAX_DIGEST_LINES, Due, Unsent, compose, notice, render
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import METRICS, Group, Logic, Operator, Severity

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
        "5분 순매수 비율 +42.1% (기준 > +30%)",
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
    assert title == "✅ 삼성전자(005930) 5분 순매수량 해제 (12분 30초 지속)"
    assert "08:53:00 ~ 09:05:30 KST · 체결 09:05:29 KST" in body.split("\n")
    title, body = compose(alert, TWO, "삼성전자", EN)
    assert title == "✅ 삼성전자(005930) net buy volume over 5 min resolved after 12 min 30 s"
    assert "from 08:53:00 to 09:05:30 KST · record of 09:05:29 KST" in body.split("\n")


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


def test_conditions_on_one_value_share_a_line() -> None:
    rule = a_rule(
        over("net_volume", 100_000, "5m"), over("net_volume", -100_000, "5m", Operator.BELOW), logic=Logic.ANY
    )
    body = compose(an_alert(values=(("net_volume[5m]", -123_456),)), rule, "", KO)[1]
    assert body.split("\n")[:2] == ["하나 이상 충족:", "· 5분 순매수량 -12만 3,456주 (기준 > 10만주 또는 < -10만주)"]


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
        ("buy_resting", 7),
    )
    title, body = compose(an_alert(values=values), rule, "삼성전자", KO)
    assert title == "⚠️ 삼성전자(005930) 1시간 30분 순매수금액 123억 4,567만원"
    assert body.split("\n")[:7] == [
        "하나 이상 충족:",
        "· 5분 순매수량 5주 (기준 > 100만주)",
        "· 모두 충족:",
        "· · 1시간 30분 순매수금액 123억 4,567만원 (기준 -50억원 미만 또는 50억원 초과)",
        "· · 모두 미충족:",
        "· · · 5분 매도호가잔량 변화 값 없음 (기준 ≥ 100주)",
        "· · · 현재 매수호가잔량 7주 (기준 > 5주)",
    ]
    english = compose(an_alert(values=values), rule, "삼성전자", EN)[1].split("\n")
    assert english[0] == "at least one of:"
    assert english[3].endswith("12.35B won (threshold below -5B won or above 5B won)")
    assert english[4:6] == [
        "· · none of:",
        "· · · change in resting sell orders over 5 min no value (threshold ≥ 100 shares)",
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
            assert words.amount(metric, 0.25, locale) in words.limit(condition, locale)
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
    assert render([Due(a_notice())], Unsent(), AT, KO) == ("title of n1", "message of n1")


def test_a_digest_has_a_line_each_most_severe_first_then_largest() -> None:
    many = [
        Due(notice(an_alert(id="1"), a_rule(), "삼성전자", KO)),
        Due(
            notice(an_alert(id="2", symbol="000660", values=(("net_volume[5m]", 999_999),)), a_rule(), "SK하이닉스", KO)
        ),
        Due(notice(an_alert(id="3", severity=Severity.CRITICAL), a_rule(), "삼성전자", KO)),
    ]
    title, body = render(many, Unsent(), AT, KO)
    assert title == "🚨 삼성전자(005930) 5분 순매수량 12만 3,456주 외 2건"
    assert body.split("\n") == [
        "🚨 삼성전자(005930) 5분 순매수량 12만 3,456주 (> 10만주) · semis-program-buying 09:05:29",
        "⚠️ SK하이닉스(000660) 5분 순매수량 99만 9,999주 (> 10만주) · semis-program-buying 09:05:29",
        "⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주 (> 10만주) · semis-program-buying 09:05:29",
    ]
    assert render(many, Unsent(), AT, EN)[0].endswith(" · and 2 more")


def test_a_resolved_line_names_no_threshold() -> None:
    one = notice(an_alert(state=State.RESOLVED), a_rule(), "삼성전자", KO)
    assert one.line == "✅ 삼성전자(005930) 5분 순매수량 해제 (0초 지속) · semis-program-buying 09:05:29"


def test_a_digest_is_bounded() -> None:
    due = [Due(a_notice(f"n{number}")) for number in range(500)]
    lines = render(due, Unsent(), AT, KO)[1].split("\n")
    assert len(lines) == MAX_DIGEST_LINES + 1
    assert lines[-1] == "… 외 480건"


@pytest.mark.parametrize(("late_s", "said"), [(30, False), (31, True)])
def test_a_late_message_says_how_late(late_s: int, said: bool) -> None:
    body = render([Due(a_notice())], Unsent(), AT + late_s * SECOND_NS, KO)[1]
    assert ("31초 늦게 보냄" in body) is said


def test_a_late_digest_says_it_of_its_oldest() -> None:
    due = [Due(a_notice("new")), Due(a_notice("old", at=AT - 125 * SECOND_NS))]
    assert "oldest sent 2 min 5 s late" in render(due, Unsent(), AT, EN)[1].split("\n")


def test_what_may_have_arrived_before_says_so() -> None:
    assert (
        render([Due(a_notice(), may_repeat=True)], Unsent(), AT, EN)[1].split("\n")[-1]
        == "may repeat an earlier message"
    )
    mixed = [Due(a_notice("a"), may_repeat=True), Due(a_notice("b"))]
    assert render(mixed, Unsent(), AT, KO)[1].split("\n")[-1] == "이 중 1건은 앞선 메시지와 중복될 수 있음"


def test_what_was_given_up_is_listed_with_the_next_message() -> None:
    unsent = Unsent(3, (replace(a_notice("lost"), line="lost line"),))
    assert render([Due(a_notice())], unsent, AT, EN)[1].split("\n")[-3:] == [
        "not sent, too old: 3",
        "· lost line",
        "… and 2 more",
    ]
