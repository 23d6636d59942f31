"""When to connect again, with time and chance passed in."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.model import Backoff
from engine.kis import backoff
from engine.kis.backoff import HOUR_NS, Ending, Memory, State
from engine.kst import SECOND_NS

NOW = 1_800_000_000 * SECOND_NS
SETTINGS = Backoff()


def delays(*endings: Ending, random: float = 0.0, settings: Backoff = SETTINGS) -> list[float]:
    """Seconds waited after each of these endings, one right after the other."""
    state, now, waited = State(), NOW, []
    for ending in endings:
        state = backoff.ended(state, ending, now, settings, random)
        waited.append((state.not_before - now) / SECOND_NS)
        now = state.not_before
    return waited


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending.LOST, [3, 6, 12, 24, 48, 60, 60, 60]),
        (Ending.IN_USE, [60, 120, 120]),
        (Ending.CREDENTIALS, [60, 300, 900, 1800, 3600, 3600]),
        (Ending.KEY_REFUSED, [3, 60, 300, 900, 1800, 3600, 3600]),
        (Ending.TOO_OFTEN, [60, 120, 120]),
    ],
)
def test_delays_by_kind(ending: Ending, expected: list[float]) -> None:
    assert delays(*[ending] * len(expected)) == expected


def test_kinds_count_apart() -> None:
    assert delays(Ending.LOST, Ending.IN_USE, Ending.LOST, Ending.CREDENTIALS, Ending.IN_USE) == [3, 60, 6, 60, 120]


def test_settings_count() -> None:
    quick = Backoff.model_validate({"first": "1s", "max": "5s", "in_use": "10s"})
    assert delays(*[Ending.LOST] * 4, settings=quick) == [1, 2, 4, 5]
    assert delays(*[Ending.IN_USE] * 3, settings=quick) == [10, 20, 20]
    assert delays(
        Ending.LOST, settings=Backoff.model_construct(first=timedelta(minutes=2), max=timedelta(minutes=1))
    ) == [60]


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 500))
def test_jitter_spreads_and_never_exceeds_the_maximum(random: float, failures: int) -> None:
    delay, plain = (delays(*[Ending.LOST] * failures, random=r)[-1] for r in (random, 0.0))
    assert delay <= 60
    assert 0.75 * plain <= delay <= 1.25 * plain


def test_jitter_does_spread() -> None:
    assert len({delays(*[Ending.LOST] * n, random=r)[-1] for n in (1, 6, 9) for r in (0.1, 0.5, 0.9)}) == 6


def test_an_attempt_is_at_once_unless_something_ended() -> None:
    assert backoff.ready_at(State(), NOW, SETTINGS) <= NOW
    state = backoff.ended(State(), Ending.LOST, NOW, SETTINGS, 0.0)
    assert backoff.ready_at(state, NOW, SETTINGS) == NOW + 3 * SECOND_NS


def test_no_hour_sees_more_than_the_allowed_attempts() -> None:
    settings = Backoff(max_per_hour=20)
    state, now, attempts = State(), NOW, []
    for _ in range(200):
        now = max(now, backoff.ready_at(state, now, settings))
        state = backoff.attempted(state, now)
        attempts.append(now)
        state = backoff.ended(state, Ending.LOST, now, settings, 0.0)
    assert all(late - early >= HOUR_NS for early, late in zip(attempts, attempts[20:], strict=False))
    assert len(state.attempts) <= 21


LONGEST = {1: 3601, 2: 1801, 3: 1801, 10: 601, 20: 328, 60: 117}
"""Seconds, by `max_per_hour`."""


@pytest.mark.parametrize("limit", LONGEST)
def test_an_outage_of_hours_is_stretched_and_never_stopped(limit: int) -> None:
    """Quick attempts used up the hour in 17 minutes; the broker was back, and the feed stayed away for 43 more."""
    settings = Backoff(max_per_hour=limit)
    state, now, attempts = State(), NOW, []
    for _ in range(10 * limit):
        assert backoff.ready_at(state, now, settings) <= now
        state = backoff.attempted(state, now)
        attempts.append(now)
        state = backoff.ended(state, Ending.LOST, now, settings, 0.0)
        now = max(now, state.not_before)  # the hard limit is never what holds
    waited = [(late - early) / SECOND_NS for early, late in pairwise(attempts)]
    assert LONGEST[limit] - 1 <= max(waited) <= LONGEST[limit]
    assert len([t for t in attempts if t < NOW + HOUR_NS]) >= 0.75 * limit


@settings(deadline=None)
@given(
    st.integers(1, 30),
    st.lists(st.tuples(st.sampled_from([Ending.LOST, Ending.SILENT]), st.integers(0, 4000)), min_size=1, max_size=80),
)
def test_the_longest_wait_holds_however_long_connections_last(limit: int, course: list[tuple[Ending, int]]) -> None:
    settings = Backoff(max_per_hour=limit)
    state, now, attempts = State(), NOW, list[int]()
    for ending, lasted_s in course:
        state = backoff.attempted(state, now)
        attempts.append(now)
        now += lasted_s * SECOND_NS
        state = backoff.proven(state) if lasted_s > 60 else state
        state = backoff.ended(state, ending, now, settings, 0.5)
        ready = backoff.ready_at(state, now, settings)
        assert ready - now <= max(60 * SECOND_NS, HOUR_NS // (limit + 1 - (limit + 1) // 2) + 1)
        now = ready
    assert all(late - early >= HOUR_NS for early, late in zip(attempts, attempts[limit:], strict=False))


def test_after_restarts_the_rest_of_the_hour_is_spread() -> None:
    state = State(attempts=tuple(NOW + second for second in range(18)))
    state = backoff.ended(state, Ending.LOST, NOW + 18, SETTINGS, 0.0)
    assert state.not_before - NOW == pytest.approx(HOUR_NS / 3, rel=1e-6)


def test_a_crash_loop_is_held_too() -> None:
    """Nothing ended, the process just starts again and again: the attempts alone must count."""
    state = State()
    for second in range(20):
        assert backoff.ready_at(state, NOW + second, SETTINGS) <= NOW + second
        state = backoff.attempted(state, NOW + second)
    assert backoff.ready_at(state, NOW + 20, SETTINGS) == NOW + HOUR_NS
    assert backoff.attempts_last_hour(state, NOW + 20) == 20
    assert backoff.attempts_last_hour(state, NOW + HOUR_NS + 20) == 0


def test_only_data_resets_and_not_the_count_of_the_hour() -> None:
    state = backoff.attempted(State(rounds=(NOW,)), NOW)
    for ending in Ending:
        state = backoff.ended(state, ending, NOW, SETTINGS, 0.0)
    assert state.failures == len(Ending)
    state = backoff.proven(backoff.attempted(state, NOW))
    assert (state.failures, state.attempts, state.rounds) == (0, (NOW, NOW), (NOW,))
    assert backoff.ended(state, Ending.LOST, NOW, SETTINGS, 0.0).not_before == NOW + 3 * SECOND_NS


def test_a_clock_that_was_ahead_blocks_for_an_hour_at_most() -> None:
    year = 365 * 24 * HOUR_NS
    state = State(attempts=(NOW + year,) * 20, not_before=NOW + year)
    assert backoff.ready_at(state, NOW, SETTINGS) <= NOW + HOUR_NS


@pytest.mark.parametrize("limit", range(1, 61))
def test_also_attempts_that_fail_within_no_time_never_meet_the_hard_limit(limit: int) -> None:
    """Not even by the nanoseconds that a division loses."""
    at_once = Backoff.model_construct(first=timedelta(0), max=timedelta(0), max_per_hour=limit)
    state, now = State(), NOW
    for _ in range(3 * limit):
        assert backoff.ready_at(state, now, at_once) <= now
        state = backoff.ended(backoff.attempted(state, now), Ending.LOST, now, at_once, 0.0)
        now = max(now, state.not_before)


def test_attempts_of_a_clock_that_was_ahead_stretch_nothing_beyond_the_hour() -> None:
    state = State(attempts=(NOW + 365 * 24 * HOUR_NS,) * 20)
    assert backoff.ended(state, Ending.LOST, NOW, SETTINGS, 0.0).not_before == NOW + HOUR_NS


def test_a_clock_that_was_ahead_when_it_was_stored_does_not_block_for_longer() -> None:
    """The hour seemed full at each look, until the date that the clock once showed."""
    year = 365 * 24 * HOUR_NS
    state = State(attempts=(NOW + year,) * 20, not_before=NOW + year, rounds=(NOW + year,))
    state = backoff.recalled(state, NOW)
    assert backoff.ready_at(state, NOW + HOUR_NS, SETTINGS) <= NOW + HOUR_NS
    assert state.rounds == (NOW,)


def test_silence_counts_like_a_loss() -> None:
    assert delays(Ending.LOST, Ending.SILENT, Ending.LOST) == [3, 6, 12]


def test_only_the_approval_endpoint_denies_and_only_a_key_takes_it_back() -> None:
    state = backoff.ended(State(), Ending.KEY_REFUSED, NOW, SETTINGS, 0.0)
    assert not state.denied
    state = backoff.ended(state, Ending.CREDENTIALS, NOW, SETTINGS, 0.0)
    state = backoff.ended(state, Ending.LOST, NOW, SETTINGS, 0.0)
    assert state.denied
    assert not backoff.approved(state).denied


def test_what_cannot_be_written_down_is_as_far_apart_as_the_rest_of_the_hour_allows() -> None:
    assert backoff.share(State(), NOW, SETTINGS) == HOUR_NS // 20
    assert backoff.share(State(attempts=(NOW,) * 19), NOW, SETTINGS) == HOUR_NS
    assert backoff.share(State(attempts=(NOW,) * 25), NOW, SETTINGS) == HOUR_NS


SEEN = Memory(
    State(attempts=(NOW, NOW + 1), lost=1, in_use=2, refused=3, too_often=4, not_before=NOW, denied=True, rounds=(5,)),
    approved=True,
)


@pytest.mark.parametrize("memory", [Memory(), SEEN])
def test_the_memory_survives_json(memory: Memory) -> None:
    assert Memory.from_dict(json.loads(json.dumps(memory.to_dict()))) == memory
    assert Memory.from_dict(memory.to_dict()) == memory


def damaged() -> Iterator[object]:
    yield from (None, [], "x", 1, {}, {"state": {}}, {"state": {}, "approved": True}, {"state": [], "approved": True})
    good = SEEN.to_dict()
    yield {**good, "more": 1}
    yield {**good, "approved": 1}
    for name, value in good["state"].items():
        yield {**good, "state": {key: kept for key, kept in good["state"].items() if key != name}}
        wrongs: tuple[object, ...] = (None, "1", 1.5, -1, 2**63, [-1], [True], [1.0], [0] * 129, {}, not value)
        for wrong in wrongs:
            if type(wrong) is not type(value):
                yield {**good, "state": {**good["state"], name: wrong}}
    yield {**good, "state": {**good["state"], "more": 1}}
    yield {**good, "state": {**good["state"], "lost": -1}}
    yield {**good, "state": {**good["state"], "attempts": [0] * 129}}
    yield {**good, "state": {**good["state"], "attempts": [1, None]}}


@pytest.mark.parametrize("data", list(damaged()))
def test_of_a_damaged_memory_nothing_is_believed(data: object) -> None:
    assert Memory.from_dict(data) is None
