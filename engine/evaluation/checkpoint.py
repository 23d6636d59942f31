"""All that an engine knows besides what the day's recording says, as plain data."""

import json
from dataclasses import dataclass
from typing import Any

from engine.evaluation.conditions import Memory, Truth
from engine.evaluation.lifecycle import NOTHING_SENT, REST, Life, Phase, Tally
from engine.evaluation.standing import Standing
from engine.rules.model import Number

VERSION = 1
"""Of the JSON text. One with another version is not read: the state is then worked out from the recording again."""


@dataclass(frozen=True, slots=True)
class WatchState:
    """One rule on one symbol."""

    standing: Standing
    memories: tuple[Memory, ...]
    """One for each condition, in written order."""
    values: tuple[Number | None, ...]
    """One for each distinct condition, in written order."""
    truths: tuple[Truth, ...]
    verdict: Truth


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Of the moment `now`, nanoseconds since the epoch; None: of an engine that had heard nothing yet."""

    now: int | None
    watches: tuple[WatchState, ...]
    left: tuple[Standing, ...] = ()
    """Counts of today that belong to rules and symbols that are not watched any more."""

    def to_json(self) -> str:
        watches = [_watch_out(watch) for watch in self.watches]
        left = [_standing_out(standing) for standing in self.left]
        return json.dumps([VERSION, self.now, watches, left], ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Checkpoint":
        """ValueError: it is no checkpoint, or one of another version."""
        try:
            return _checkpoint_in(json.loads(text))
        except (TypeError, ValueError) as error:
            raise ValueError("no checkpoint of this version") from error


def _checkpoint_in(found: list[Any]) -> Checkpoint:
    version, now, watches, left = found
    if version != VERSION:
        raise ValueError(version)
    return Checkpoint(now, tuple(map(_watch_in, watches)), tuple(map(_standing_in, left)))


def _standing_out(standing: Standing) -> list[object]:
    life = standing.life
    lived = None if life == REST else [life.phase, life.since, life.unmet_since, life.told_at, life.repeats]
    tally = None if standing.tally == NOTHING_SENT else standing.tally
    return [standing.rule, standing.symbol, standing.fingerprint, lived, tally]


def _standing_in(found: list[Any]) -> Standing:
    rule, symbol, fingerprint, life, tally = found
    lived = REST if life is None else Life(Phase(life[0]), *life[1:])
    return Standing(rule, symbol, fingerprint, lived, NOTHING_SENT if tally is None else Tally(*tally))


def _watch_out(watch: WatchState) -> list[object]:
    return [_standing_out(watch.standing), watch.memories, watch.values, watch.truths, watch.verdict]


def _watch_in(found: list[Any]) -> WatchState:
    standing, memories, values, truths, verdict = found
    return WatchState(_standing_in(standing), tuple(map(tuple, memories)), tuple(values), tuple(truths), verdict)
