"""Why a rule speaks or does not speak of a symbol: what is shown, and the first reason, as pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.alert import Suppression
from engine.evaluation.conditions import Truth, Verdict
from engine.evaluation.lifecycle import Life, Phase, Tally, suppression
from engine.record import Record
from engine.rules.model import Condition, Number, Operator, Rule


class Reason(StrEnum):
    """What keeps a rule silent; where there are several, the first in this order counts."""

    ASLEEP = "asleep"
    NO_RECORD = "no_record"
    """None of the symbol today."""
    BLIND = "blind"
    """Its upstream was lost, and nothing has been heard of it since."""
    UNDEFINED = "undefined"
    """Nothing says that it is met, and a value it needs is unknown."""
    NOT_MET = "not_met"
    NO_CROSSING = "no_crossing"
    """All but its crossings is met."""
    PENDING = "pending"
    SILENCE = "silence"
    COOLDOWN = "cooldown"
    MAX_PER_DAY = "max_per_day"
    TOLD = "told"
    """It has spoken, and says nothing new until it repeats or resolves."""


@dataclass(frozen=True, slots=True)
class ConditionNow:
    """One condition. `value` is of this moment, `truth` of the last evaluation; None where undefined."""

    key: str
    operator: Operator
    threshold: Number | tuple[Number, Number]
    reset: Number | None
    value: Number | None
    truth: Truth
    holds_back: bool | None
    """With a reset: whether it waits for that value: to let go, or after a crossing to cross again. None: no reset."""
    known_at: int | None
    """Where the start of its window is unknown: when it is known at the earliest, if time alone can bring that."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule on one symbol at the moment `at`. Times are nanoseconds since the epoch."""

    rule: str
    symbol: str
    at: int
    reason: Reason | None
    """None: nothing keeps it silent, it speaks at its next evaluation."""
    conditions: tuple[ConditionNow, ...]
    """In written order, whatever group they stand in."""
    verdict: Truth
    """Whether all of them together held at the last evaluation."""
    phase: Phase
    since: int | None
    """When it became pending."""
    unmet_since: int | None
    """Firing, and not met since then."""
    fires_at: int | None
    """Pending: when it has held for long enough."""
    resolves_at: int | None
    """Firing, and not met: when it resolves if that goes on."""
    repeats_at: int | None
    """Firing and met: when it is sent again."""
    told_at: int | None
    """Firing: when its last message was sent, or its last repeat kept back by a silence."""
    awake: bool
    changes_at: int | None
    """When it falls asleep or wakes today; None: not any more."""
    blind_since: int | None
    record: Record | None
    """The latest of the day, of a summed rule the sum."""
    tally: Tally
    cooldown_until: int | None
    """None: it has run out, or there is none."""
    silenced_until: int | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides the reason."""

    rule: Rule
    now: int
    awake: bool
    has_record: bool
    blind: bool
    truths: Sequence[Truth]
    verdict: Truth
    life: Life
    tally: Tally
    silenced: bool
    spoken: bool
    """An event rule that fired at its last evaluation."""


def reason_of(at: Situation, verdict_of: Verdict) -> Reason | None:
    if not at.awake:
        return Reason.ASLEEP
    if not at.has_record:
        return Reason.NO_RECORD
    if at.blind:
        return Reason.BLIND
    return _unmet(at, verdict_of) or _unsent(at)


def _unmet(at: Situation, verdict_of: Verdict) -> Reason | None:
    """A crossing is false nearly always: what else is missing tells more."""
    conditions = tuple(at.rule.when.conditions())
    pairs = list(zip(conditions, at.truths, strict=True))
    crossed = any(truth is True for part, truth in pairs if part.operator.is_crossing)
    verdict = verdict_of([_if_crossed(part, truth) for part, truth in pairs]) if at.rule.is_event else at.verdict
    if verdict is None:
        return Reason.UNDEFINED
    if verdict is False:
        return Reason.NOT_MET
    if at.rule.is_event and not (crossed and at.verdict is True):
        return Reason.NO_CROSSING
    return None


def _if_crossed(condition: Condition, truth: Truth) -> Truth:
    return True if condition.operator.is_crossing and truth is False else truth


def _unsent(at: Situation) -> Reason | None:
    """It is met."""
    if at.life.phase is Phase.PENDING or (at.life.phase is Phase.INACTIVE and at.rule.for_ns > 0):
        return Reason.PENDING
    if at.life.told_at is not None or at.spoken:
        return Reason.SILENCE if at.silenced else Reason.TOLD
    found = suppression(at.rule, at.tally, at.now, silenced=at.silenced)
    return None if found is None else _SUPPRESSED[found]


_SUPPRESSED = {
    Suppression.SILENCE: Reason.SILENCE,
    Suppression.COOLDOWN: Reason.COOLDOWN,
    Suppression.MAX_PER_DAY: Reason.MAX_PER_DAY,
}
