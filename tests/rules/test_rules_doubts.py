import pytest

from engine.locale import Locale
from engine.rules.doubts import doubts
from engine.rules.model import Condition, Group, Logic, Operator, Rule


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
    found = doubts([rule(metric, operator, threshold)])
    assert [doubt.code for doubt in found] == ["out-of-reach"] * doubtful
    if doubtful:
        assert found[0].text(Locale.EN).startswith("a.toml:3: r: ")


def test_a_rule_that_tells_nobody_and_no_rule_at_all() -> None:
    assert [doubt.code for doubt in doubts([rule("net_volume", Operator.ABOVE, 1, notify="")])] == ["tells-nobody"]
    assert [doubt.code for doubt in doubts([])] == ["nothing-to-watch"]
