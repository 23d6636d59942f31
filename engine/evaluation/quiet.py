"""When one rule on one symbol is silenced: the spans of all silences that fit it, merged."""

from collections.abc import Iterable

from engine.evaluation.series import NEVER
from engine.rules.model import Rule
from engine.silences.model import Silence

Quiet = tuple[tuple[int, int], ...]
"""Spans in order, ends excluded, none touching another; nearly always empty. Nanoseconds since the epoch."""


def quiet(silences: Iterable[Silence], rule: Rule, symbol: str, now: int) -> Quiet:
    """Those that are not over; what overlaps or touches is one."""
    fitting = [silence for silence in silences if silence.until > now and silence.matches(rule, symbol)]
    spans = sorted((silence.start, silence.until) for silence in fitting)
    merged: list[tuple[int, int]] = []
    for start, until in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        elif start < until:
            merged.append((start, until))
    return tuple(merged)


def silenced_until(spans: Quiet, now: int) -> int | None:
    """When the silence that is in force ends; None: there is none."""
    return next((until for start, until in spans if start <= now < until), None)


def next_edge(spans: Quiet, now: int) -> int:
    """The first moment after `now` at which a silence begins or ends."""
    return min((edge for span in spans for edge in span if edge > now), default=NEVER)
