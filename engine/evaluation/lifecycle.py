"""The life of an alert: inactive, pending, firing. Pure; `now` is an argument, nanoseconds since the epoch.

`TABLE` is the whole machine. `Life` and `Tally` are values: whoever wants to carry a rule's state over a reload or a
restart keeps them and gives them back. `silenced`: a person's silence is in force.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from engine.alert import State, Suppression
from engine.evaluation.conditions import Truth
from engine.evaluation.series import NEVER
from engine.rules.model import Rule


class Phase(StrEnum):
    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class Life:
    """Where one rule stands on one symbol."""

    phase: Phase = Phase.INACTIVE
    since: int = 0
    """When it became pending."""
    unmet_since: int | None = None
    """Firing: the first not-met evaluation after the last met one."""
    told_at: int | None = None
    """Firing: when its last message was sent. None: all that it had to say was suppressed.

    A repeat that a silence kept back counts as one here, or every evaluation of a silence would make another.
    """
    repeats: int = 0


REST = Life()


class Tally(NamedTuple):
    """The firing messages sent today; outlives sleep, not the date."""

    sent: int = 0
    sent_at: int | None = None


NOTHING_SENT = Tally()


class Said(NamedTuple):
    """What one evaluation has to say: an alert, but for whose and with which values."""

    state: State
    since: int
    repeat: int = 0
    suppressed: Suppression | None = None


class Step(NamedTuple):
    life: Life
    tally: Tally
    said: Said | None = None


def suppression(rule: Rule, tally: Tally, now: int, *, silenced: bool = False) -> Suppression | None:
    """Why a firing would not be sent now: the first reason that holds."""
    if silenced:
        return Suppression.SILENCE
    if tally.sent_at is not None and now - tally.sent_at < rule.cooldown_ns:
        return Suppression.COOLDOWN
    if rule.max_per_day is not None and tally.sent >= rule.max_per_day:
        return Suppression.MAX_PER_DAY
    return None


def step(rule: Rule, life: Life, tally: Tally, verdict: Truth, now: int, *, silenced: bool = False) -> Step:
    """One evaluation of a condition rule. What changes nothing gives back the same `life` and `tally`."""
    return TABLE[life.phase, verdict](rule, life, tally, now, silenced)


def fire_once(rule: Rule, tally: Tally, now: int, *, silenced: bool = False) -> Step:
    """One evaluation on which an event rule fires: nothing stays firing, so nothing is sent later either."""
    fired = _fire(rule, Life(since=now), tally, now, silenced)
    return fired._replace(life=REST)


def due(rule: Rule, life: Life, tally: Tally, verdict: Truth, now: int) -> int:
    """The first moment after `now` at which time alone, with the same verdict, could change something.

    But for silences: whoever knows them adds when one begins or ends.
    """
    if life.phase is Phase.PENDING:
        return life.since + rule.for_ns
    if life.phase is Phase.INACTIVE or verdict is None:
        return NEVER
    if life.unmet_since is not None:
        return life.unmet_since + rule.keep_firing_for_ns
    if life.told_at is not None:
        return NEVER if rule.repeat_ns is None else life.told_at + rule.repeat_ns
    # Suppressed. The cooldown runs out; `max_per_day` ends with the date.
    cooled = NEVER if tally.sent_at is None else tally.sent_at + rule.cooldown_ns
    return cooled if cooled > now else NEVER


def interrupted(life: Life) -> Life:
    """After a gap in what is known: what was pending starts anew, what was firing stays."""
    return REST if life.phase is Phase.PENDING else life


def _stay(_rule: Rule, life: Life, tally: Tally, _now: int, _silenced: bool) -> Step:
    return Step(life, tally)


def _end(_rule: Rule, _life: Life, tally: Tally, _now: int, _silenced: bool) -> Step:
    return Step(REST, tally)


def _begin(rule: Rule, _life: Life, tally: Tally, now: int, silenced: bool) -> Step:
    return _hold(rule, Life(Phase.PENDING, since=now), tally, now, silenced)


def _hold(rule: Rule, life: Life, tally: Tally, now: int, silenced: bool) -> Step:
    return _fire(rule, life, tally, now, silenced) if now - life.since >= rule.for_ns else Step(life, tally)


def _fire(rule: Rule, life: Life, tally: Tally, now: int, silenced: bool) -> Step:
    reason = suppression(rule, tally, now, silenced=silenced)
    said = Said(State.FIRING, life.since, suppressed=reason)
    if reason is not None:
        return Step(Life(Phase.FIRING, life.since), tally, said)
    return Step(Life(Phase.FIRING, life.since, told_at=now), Tally(tally.sent + 1, now), said)


def _burn(rule: Rule, life: Life, tally: Tally, now: int, silenced: bool) -> Step:
    """Met while firing: what waits for its reason to go is sent, what was sent is repeated."""
    if life.unmet_since is not None:
        life = replace(life, unmet_since=None)
    if life.told_at is None:
        waits = suppression(rule, tally, now, silenced=silenced) is not None
        return Step(life, tally) if waits else _fire(rule, life, tally, now, silenced)
    if rule.repeat_ns is None or now - life.told_at < rule.repeat_ns:
        return Step(life, tally)
    again = replace(life, told_at=now, repeats=life.repeats + 1)
    return Step(again, tally, Said(State.FIRING, life.since, again.repeats, _kept(silenced)))


def _fade(rule: Rule, life: Life, tally: Tally, now: int, silenced: bool) -> Step:
    """Not met while firing. A firing that was never sent ends without a word."""
    unmet_since = now if life.unmet_since is None else life.unmet_since
    if now - unmet_since < rule.keep_firing_for_ns:
        return Step(life if unmet_since == life.unmet_since else replace(life, unmet_since=unmet_since), tally)
    told = rule.resolved and life.told_at is not None
    return Step(REST, tally, Said(State.RESOLVED, life.since, suppressed=_kept(silenced)) if told else None)


def _kept(silenced: bool) -> Suppression | None:
    """Repeats and resolutions have no cooldown and no number a day: only a silence keeps them back."""
    return Suppression.SILENCE if silenced else None


Row = Callable[[Rule, Life, Tally, int, bool], Step]

TABLE: Mapping[tuple[Phase, Truth], Row] = {
    (Phase.INACTIVE, True): _begin,
    (Phase.INACTIVE, False): _stay,
    (Phase.INACTIVE, None): _stay,
    (Phase.PENDING, True): _hold,
    (Phase.PENDING, False): _end,
    (Phase.PENDING, None): _end,
    (Phase.FIRING, True): _burn,
    (Phase.FIRING, False): _fade,
    (Phase.FIRING, None): _stay,  # no news is not good news
}
