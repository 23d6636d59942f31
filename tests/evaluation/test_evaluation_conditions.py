"""Operators, their memories, and three-valued logic, row by row."""

from itertools import product

import pytest
from evaluation_stage import condition, every, no, some

from engine.evaluation.conditions import Truth, check_of, verdict_of
from engine.rules.model import Condition, Group, Number

T, F, U = True, False, None
KLEENE = {
    # a, b: all, any, none
    (T, T): (T, T, F),
    (T, F): (F, T, F),
    (T, U): (U, T, F),
    (F, T): (F, T, F),
    (F, F): (F, F, T),
    (F, U): (F, U, U),
    (U, T): (U, T, F),
    (U, F): (F, U, U),
    (U, U): (U, U, U),
}
A, B, C, D = (condition(metric, above=0) for metric in ("net_volume", "net_value", "buy_volume", "buy_value"))


@pytest.mark.parametrize(("pair", "expected"), list(KLEENE.items()))
def test_every_row_of_the_logic(pair: tuple[Truth, Truth], expected: tuple[Truth, ...]) -> None:
    assert tuple(verdict_of(group)(pair) for group in (every(A, B), some(A, B), no(A, B))) == expected


@pytest.mark.parametrize("truth", [T, F, U])
def test_a_group_of_one(truth: Truth) -> None:
    opposite = None if truth is None else not truth
    assert [verdict_of(group)([truth]) for group in (every(A), some(A), no(A))] == [truth, truth, opposite]


@pytest.mark.parametrize("truths", list(product([T, F, U], repeat=4)))
def test_nested_groups_take_their_conditions_in_written_order(truths: tuple[Truth, ...]) -> None:
    a, b, c, d = truths
    inner = verdict_of(no(A, B))([b, c])
    assert verdict_of(every(A, no(B, C), D))(truths) == verdict_of(every(A, B, C))([a, inner, d])
    assert verdict_of(some(every(A, some(B, C)), D))(truths) == verdict_of(some(A, B))(
        [verdict_of(every(A, B))([a, verdict_of(some(A, B))([b, c])]), d]
    )


def run(tested: Condition, values: list[Number | None], traded: list[bool] | None = None) -> list[Truth]:
    check = check_of(tested)
    return [check.look(value, on) for value, on in zip(values, traded or [True] * len(values), strict=True)]


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (condition("net_volume", above=5), [F, F, T]),
        (condition("net_volume", at_least=5), [F, T, T]),
        (condition("net_volume", below=5), [T, F, F]),
        (condition("net_volume", at_most=5), [T, T, F]),
        (condition("net_volume", above=5, reset=5), [F, F, T]),
        (condition("net_volume", at_least=5, reset=5), [F, T, T]),
        (condition("net_volume", inside=(5, 5)), [F, T, F]),
        (condition("net_volume", outside=(5, 5)), [T, F, T]),
        (condition("net_volume", inside=(4, 5)), [T, T, F]),
        (condition("net_volume", outside=(5, 6)), [T, F, F]),
        (condition("net_volume", crosses_above=4), [F, T, F]),
        (condition("net_volume", crosses_above=5), [F, F, T]),
        (condition("net_volume", crosses_below=5), [F, F, F]),
    ],
)
def test_operator_at_its_edge(tested: Condition, expected: list[Truth]) -> None:
    assert run(tested, [4, 5, 6]) == expected


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (condition("net_volume", above=70), [F, T, F, T, F, F, F]),
        (condition("net_volume", above=60, reset=50), [T, T, T, T, T, T, F]),
        (condition("net_volume", above=70, reset=60), [F, T, T, T, T, F, F]),
        (condition("net_volume", above=70, reset=50), [F, T, T, T, T, T, F]),
        (condition("net_volume", above=80, reset=70), [F, F, F, T, F, F, F]),
        (condition("net_volume", above=70, reset=64), [F, T, F, T, F, F, F]),
        (condition("net_volume", at_least=73, reset=64), [F, T, T, T, F, F, F]),
        (condition("net_volume", below=62, reset=64), [T, F, F, F, F, T, T]),
        (condition("net_volume", below=62, reset=73), [T, F, F, F, F, T, T]),
        (condition("net_volume", below=62, reset=74), [T, T, T, F, F, T, T]),
        (condition("net_volume", at_most=61, reset=73), [T, T, T, F, F, T, T]),
    ],
)
def test_hysteresis(tested: Condition, expected: list[Truth]) -> None:
    assert run(tested, [61, 73, 64, 85, 62, 56, 47]) == expected


@pytest.mark.parametrize(
    ("tested", "values", "expected"),
    [
        (condition("net_volume", above=5, reset=2), [9, U, 4, 2, 4], [T, U, T, F, F]),
        (condition("net_volume", crosses_above=0), [1, 2], [F, F]),  # no earlier value
        (condition("net_volume", crosses_above=0), [U, 1, -1, U, 1], [U, F, F, U, T]),
        (condition("net_volume", crosses_above=0), [0, 1, 0, 1], [F, T, F, T]),
        (condition("net_volume", crosses_above=0, reset=-3), [0, 1, -2, 1, -3, 1], [F, T, F, F, F, T]),
        (condition("net_volume", crosses_above=0, reset=-3), [0, 1, -3, U, 1], [F, T, F, U, T]),
        (condition("net_volume", crosses_above=0, reset=0), [0, 1, 0, 1], [F, T, F, T]),
        (condition("net_volume", crosses_below=0), [1, 0, -1, 0, -1], [F, F, T, F, T]),
        (condition("net_volume", crosses_below=0, reset=3), [1, -1, 2, -1, 3, -1], [F, T, F, F, F, T]),
    ],
)
def test_memory(tested: Condition, values: list[Number | None], expected: list[Truth]) -> None:
    assert run(tested, values) == expected


def test_a_crossing_remembers_nothing_while_the_day_has_no_trade() -> None:
    values: list[Number | None] = [0, 5, U, 0, 5]
    traded = [False, True, False, True, True]
    assert run(condition("net_volume", crosses_above=0), values, traded) == [F, F, U, F, T]
    assert run(condition("imbalance[5m]", crosses_above=0), values, traded) == [F, F, U, F, T]
    assert run(condition("net_volume", crosses_above=0), [-1, 0, 5], [True, False, True]) == [F, F, F]


@pytest.mark.parametrize("metric", ["net_resting", "buy_resting", "sell_resting[5m]", "resting_imbalance"])
def test_a_crossing_of_the_order_book_needs_no_trade(metric: str) -> None:
    assert run(condition(metric, crosses_above=0), [0, 5], [False, False]) == [F, T]


def test_a_reset_that_was_waited_for_is_forgotten_with_the_rest() -> None:
    check = check_of(condition("net_volume", crosses_above=0, reset=-9))
    looks = [check.look(value, True) for value in (0, 1, 0, 1)]
    check.forget()
    assert (looks, [check.look(value, True) for value in (0, 1)]) == ([F, T, F, F], [F, T])


def test_hysteresis_is_forgotten() -> None:
    check = check_of(condition("net_volume", above=5, reset=0))
    assert (check.look(6, True), check.look(3, True)) == (T, T)
    check.forget()
    assert check.look(3, True) is F


def test_groups_list_their_conditions_in_written_order() -> None:
    group: Group = every(A, some(B, no(C)), D)
    assert list(group.conditions()) == [A, B, C, D]
