"""Taking turns, and the table."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

ROUNDS = 9


@dataclass(frozen=True)
class Case:
    """`ours` and `other` do the same work on `size` items; `make_*` is called before each turn and is not timed."""

    name: str
    against: str
    size: int
    make_ours: Callable[[], Callable[[], object]]
    make_other: Callable[[], Callable[[], object]]


def _seconds(make: Callable[[], Callable[[], object]]) -> float:
    work = make()
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _row(case: Case) -> str:
    _seconds(case.make_ours), _seconds(case.make_other)  # warm up
    pairs = [(_seconds(case.make_ours), _seconds(case.make_other)) for _ in range(ROUNDS)]
    rates = median(case.size / ours for ours, _ in pairs), median(case.size / other for _, other in pairs)
    ratios = sorted(other / ours for ours, other in pairs)
    spread = f"{ratios[0]:.2f}–{ratios[-1]:.2f}"
    return f"| {case.name} | {rates[0]:,.0f} | {case.against} | {rates[1]:,.0f} | {median(ratios):.2f} | {spread} |"


def table(cases: list[Case]) -> str:
    head = "| case | ours, records/s | against | records/s | ratio | spread |\n|---|---|---|---|---|---|"
    return "\n".join([head, *map(_row, cases)])
