"""Symbols over accounts."""

from hypothesis import given
from hypothesis import strategies as st

from engine.kis.slots import spread


def test_even_and_in_order() -> None:
    result = spread(["a", "b", "c", "d", "e"], ["one", "two"], 41)
    assert result.accounts == {"one": ("a", "c", "e"), "two": ("b", "d")}
    assert result.left_out == ()


def test_what_does_not_fit_is_told() -> None:
    result = spread([str(n) for n in range(100)], ["one", "two"], 41)
    assert [len(held) for held in result.accounts.values()] == [41, 41]
    assert result.left_out == tuple(str(n) for n in range(82, 100))


def test_no_account_no_place() -> None:
    assert spread(["a"], [], 41).left_out == ("a",)
    assert spread(["a"], ["one"], 0).left_out == ("a",)


def test_symbols_stay_where_they_are() -> None:
    first = spread(list("abcdef"), ["one", "two"], 41)
    later = spread(list("cdefxy"), ["one", "two", "three"], 41, first.accounts)
    assert later.accounts == {"one": ("c", "e"), "two": ("d", "f"), "three": ("x", "y")}


SYMBOLS = st.lists(st.sampled_from([f"{n:06d}" for n in range(60)]))
ACCOUNTS = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True)


@given(SYMBOLS, ACCOUNTS, st.integers(0, 12), st.dictionaries(st.sampled_from(["a", "b", "x"]), SYMBOLS))
def test_each_symbol_once_and_nobody_over_capacity(
    symbols: list[str], accounts: list[str], capacity: int, current: dict[str, list[str]]
) -> None:
    result = spread(symbols, accounts, capacity, current)
    placed = [symbol for held in result.accounts.values() for symbol in held]
    assert sorted([*placed, *result.left_out]) == sorted(set(symbols))
    assert list(result.accounts) == accounts
    assert all(len(held) <= capacity for held in result.accounts.values())
    assert not result.left_out or len(placed) == capacity * len(accounts)


@given(SYMBOLS, ACCOUNTS.filter(bool))
def test_even_when_nothing_is_held(symbols: list[str], accounts: list[str]) -> None:
    sizes = [len(held) for held in spread(symbols, accounts, 41).accounts.values()]
    assert max(sizes) - min(sizes) <= 1
