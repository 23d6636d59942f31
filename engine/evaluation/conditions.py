"""Conditions: a value in, true, false or undefined out; and how those combine (Kleene's three-valued logic)."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import ge, gt, itemgetter, le, lt
from typing import Protocol

from engine.evaluation.metrics import is_level
from engine.rules.model import Condition, Group, Logic, Number, Operator

Truth = bool | None
"""None: undefined."""

Memory = tuple[bool, ...]
"""Nothing; or whether it holds; or whether the last value was on this side, and whether it may cross."""

Holds = Callable[[Number], bool]


class Check(Protocol):
    """One condition on one symbol, with what it remembers. It must see every value, or it misses crossings."""

    def look(self, value: Number | None, traded: bool) -> Truth:
        """`traded`: the day's total volume is not 0. An undefined value changes no memory."""

    def forget(self) -> None:
        """Start with an empty memory."""

    def memory(self) -> Memory:
        """What it remembers, to be given to `remember` of a check of the same condition."""

    def remember(self, memory: Memory) -> None: ...


class Plain:
    """Remembers nothing."""

    __slots__ = ("_holds",)

    def __init__(self, holds: Holds) -> None:
        self._holds = holds

    def look(self, value: Number | None, traded: bool) -> Truth:  # noqa: ARG002 -- the form all checks share
        return None if value is None else self._holds(value)

    def forget(self) -> None:
        return

    def memory(self) -> Memory:
        return ()

    def remember(self, memory: Memory) -> None:  # noqa: ARG002 -- the form all checks share
        return


class Sticky:
    """With `reset`: once it holds it goes on until the value has come back as far as that."""

    __slots__ = ("_enters", "_holding", "_stays")

    def __init__(self, enters: Holds, stays: Holds) -> None:
        self._enters = enters
        self._stays = stays
        self._holding = False

    def look(self, value: Number | None, traded: bool) -> Truth:  # noqa: ARG002 -- the form all checks share
        if value is None:
            return None
        self._holding = self._stays(value) if self._holding else self._enters(value)
        return self._holding

    def forget(self) -> None:
        self._holding = False

    def memory(self) -> Memory:
        return (self._holding,)

    def remember(self, memory: Memory) -> None:
        (self._holding,) = memory


class Crossing:
    """True at the one value that is beyond the threshold when the last defined one was not.

    `needs_trade`: before the day's first trade nothing is remembered, or every stock would cross 0 at the open.
    """

    __slots__ = ("_armed", "_back", "_beyond", "_near", "_needs_trade")

    def __init__(self, beyond: Holds, back: Holds | None, *, needs_trade: bool) -> None:
        self._beyond = beyond
        self._back = back
        self._needs_trade = needs_trade
        self._near = False
        self._armed = True

    def look(self, value: Number | None, traded: bool) -> Truth:
        if self._needs_trade and not traded:
            self.forget()
            return None if value is None else False
        if value is None:
            return None
        beyond = self._beyond(value)
        crossed = beyond and self._near and self._armed
        self._near = not beyond
        if self._back is not None:
            self._armed = not crossed and (self._armed or self._back(value))
        return crossed

    def forget(self) -> None:
        self._near = False  # no earlier value: nothing to have crossed from
        self._armed = True

    def memory(self) -> Memory:
        return self._near, self._armed

    def remember(self, memory: Memory) -> None:
        self._near, self._armed = memory


# operator.lt with its first argument bound to X is "X < v".
_BEYOND: dict[Operator, Callable[[Number, Number], bool]] = {
    Operator.ABOVE: lt,
    Operator.AT_LEAST: le,
    Operator.BELOW: gt,
    Operator.AT_MOST: ge,
    Operator.CROSSES_ABOVE: lt,
    Operator.CROSSES_BELOW: gt,
}
_BACK: dict[Operator, Callable[[Number, Number], bool]] = {Operator.CROSSES_ABOVE: ge, Operator.CROSSES_BELOW: le}


def check_of(condition: Condition) -> Check:
    """A fresh check, memory empty."""
    if isinstance(condition.threshold, tuple):
        return _range(condition.operator, *condition.threshold)
    beyond = _BEYOND[condition.operator]
    holds = partial(beyond, condition.threshold)
    if condition.operator.is_crossing:
        back = None if condition.reset is None else partial(_BACK[condition.operator], condition.reset)
        return Crossing(holds, back, needs_trade=not is_level(condition.metric))
    return Plain(holds) if condition.reset is None else Sticky(holds, partial(beyond, condition.reset))


def _range(operator: Operator, low: Number, high: Number) -> Check:
    if operator is Operator.INSIDE:
        return Plain(lambda value: low <= value <= high)
    return Plain(lambda value: value < low or value > high)


def every(truths: Sequence[Truth]) -> Truth:
    """`all`"""
    if False in truths:
        return False
    return None if None in truths else True


def some(truths: Sequence[Truth]) -> Truth:
    """`any`"""
    if True in truths:
        return True
    return None if None in truths else False


def no(truths: Sequence[Truth]) -> Truth:
    """`none`"""
    truth = some(truths)
    return None if truth is None else not truth


Verdict = Callable[[Sequence[Truth]], Truth]
_LOGIC: dict[Logic, Verdict] = {Logic.ALL: every, Logic.ANY: some, Logic.NONE: no}


def verdict_of(group: Group) -> Verdict:
    """From the truths of all conditions below `group`, in written order, to whether it is met."""
    if all(isinstance(part, Condition) for part in group.parts):
        return _LOGIC[group.logic]
    return _nested(group, 0)


def _nested(group: Group, first: int) -> Verdict:
    """`first`: the place of the group's first condition among all of the rule."""
    parts: list[Verdict] = []
    for part in group.parts:
        if isinstance(part, Condition):
            parts.append(itemgetter(first))
            first += 1
        else:
            parts.append(_nested(part, first))
            first += sum(1 for _ in part.conditions())
    combine = _LOGIC[group.logic]
    return lambda truths: combine([part(truths) for part in parts])
