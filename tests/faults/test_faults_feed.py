"""How a feed's connection or key fails, over real sockets: noticed in time, back in time, nothing lost but the gap.

The quick runs use a feed with less patience; `make soak` runs the same cases with the defaults, all at once, and prints
the table of what was measured.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import trio
from fault_desk import CUT_S, DEFAULTS, QUICK, Outage, desk, outage, overheard

from engine.config.model import Feed as FeedSettings
from engine.kis.backoff import Ending

pytestmark = pytest.mark.slow  # real sockets, and a fault takes the time that it takes

Seconds = Callable[[FeedSettings], float]


def at_once(_: FeedSettings) -> float:
    return 1.5


def when_idle(settings: FeedSettings) -> float:
    """The watchdog looks at least once a second."""
    return settings.idle_timeout.total_seconds() + 1.7


def first_retry(settings: FeedSettings) -> float:
    """The delay with its quarter on top, and the opening."""
    return settings.backoff.first.total_seconds() * 1.25 + 2


def later_retry(settings: FeedSettings) -> float:
    """The fault outlasted the first attempts: the feed was waiting when it was over."""
    return settings.backoff.max.total_seconds() + 2


def after_in_use(settings: FeedSettings) -> float:
    return settings.backoff.in_use.total_seconds() * 2 + 2


def until_idle(settings: FeedSettings) -> float:
    """So that the connection after it is well."""
    return when_idle(settings)


def two_minutes(_: FeedSettings) -> float:
    return 130


def after_another_timeout(settings: FeedSettings) -> float:
    """An attempt that had begun while the fault was on runs into its deadline of ten seconds first."""
    return 10 + later_retry(settings)


def no_time(_: FeedSettings) -> float:
    return 0


def two_attempts(settings: FeedSettings) -> float:
    """So long that more than one attempt meets it."""
    return max(3, settings.backoff.first.total_seconds() * 4)


@dataclass(frozen=True)
class Case:
    name: str
    faults: str
    """`{cut}` stands for the moment at which it begins, `{lasts}` for how long it goes on."""
    noticed: Seconds
    back: Seconds
    """Counted from the end of the fault; a reconnect before that meets it again."""
    lasts: Seconds = no_time
    ending: Ending = Ending.LOST

    def script(self, settings: FeedSettings) -> str:
        return self.faults.format(cut=f"{CUT_S * 1000:.0f}ms", lasts=f"{self.lasts(settings) * 1000:.0f}ms")


def ends(name: str, fault: str, noticed: Seconds = at_once, lasts: Seconds = no_time) -> Case:
    """A connection that is up ends by this fault."""
    return Case(name, f'[[fault]]\nat = "{{cut}}"\n{fault}', noticed, first_retry, lasts)


def meets(name: str, fault: str, back: Seconds = later_retry, ending: Ending = Ending.LOST) -> Case:
    """The connection is reset, and for two attempts all that comes after it meets this fault."""
    faults = f'[[fault]]\ndo = "reset"\nat = "{{cut}}"\n[[fault]]\nat = "{{cut}}"\nfor = "{{lasts}}"\n{fault}'
    return Case(name, faults, at_once, back, two_attempts, ending)


CASES = [
    ends("reset", 'do = "reset"'),
    ends("reset mid-frame", 'do = "reset"\nhalfway = true'),
    ends("end of TCP", 'do = "fin"'),
    ends("end of TCP mid-frame", 'do = "fin"\nhalfway = true'),
    ends("close frame", 'do = "close"\ncode = 1001'),
    ends("close frame, TCP kept open", 'do = "close"\nkeep_tcp = true'),
    ends("header of 2^40 bytes", 'do = "huge-header"'),
    ends("silence, socket open", 'do = "silence"\nfor = "{lasts}"', when_idle, until_idle),
    meets("approval 500", 'do = "approval-status"\nstatus = 500'),
    meets("approval 503 HTML", 'do = "approval-status"\nstatus = 503\nbody = "html"'),
    meets("approval 200 HTML", 'do = "approval-body"\nform = "html"'),
    meets("approval truncated", 'do = "approval-body"\nform = "truncated"'),
    meets("approval endless", 'do = "approval-body"\nform = "endless"'),
    meets("approval reset", 'do = "approval-end"\nhow = "reset"'),
    meets("approval slow", 'do = "approval-slow"\nby = "30s"', after_another_timeout),
    meets("approval silent", 'do = "approval-end"\nhow = "silent"', after_another_timeout),
    meets("handshake 503", 'do = "handshake"\nhow = "refuse"\nstatus = 503'),
    meets("handshake: end of TCP", 'do = "handshake"\nhow = "fin"'),
    meets("handshake: reset", 'do = "handshake"\nhow = "reset"'),
    meets("handshake: garbage", 'do = "handshake"\nhow = "garbage"'),
    meets("handshake: silence", 'do = "handshake"\nhow = "silent"', after_another_timeout),
    meets("app key in use", 'do = "in-use"', after_in_use, Ending.IN_USE),
    meets("slot kept", 'do = "slot-kept"\nkeep = "{lasts}"', after_in_use, Ending.IN_USE),
]

PATIENT = [
    meets("keys asked for too often", 'do = "approval-error"\ncode = "EGW00133"', two_minutes, Ending.TOO_OFTEN),
    meets("app key refused", 'do = "approval-error"\ncode = "EGW00103"', two_minutes, Ending.CREDENTIALS),
    # the first time may be a hand-over inside the broker; the second counts as a refusal
    meets("approval key refused", 'do = "approval-dud"', two_minutes, Ending.KEY_REFUSED),
]
"""These wait minutes whatever the settings: asking again soon is what gets an app key locked."""


NEVER = Outage(math.inf, math.inf)


async def all_at_once(cases: list[Case], settings: FeedSettings, patience_s: float) -> dict[str, Outage]:
    measured: dict[str, Outage] = {}
    others: list[str] = []

    async def measure(case: Case) -> None:
        async with desk(case.script(settings), settings) as made:
            await made.up(CUT_S)
            healed_s = CUT_S + case.lasts(settings)
            measured[case.name] = NEVER
            with trio.move_on_after(patience_s):
                measured[case.name] = await outage(made, healed_s)
            made.assert_nothing_else_lost(made.moment(CUT_S), heard)
            if (ending := made.feed.status().last_ending) is not case.ending:
                others.append(f"{case.name}: {ending}")

    with overheard() as heard:
        async with trio.open_nursery() as nursery:
            for case in cases:
                nursery.start_soon(measure, case)
    print()  # noqa: T201  the table, for who runs it with -s
    for case in cases:
        found = measured[case.name]
        print(f"{case.name:<28} noticed {found.notice_s:6.2f} s   back {found.back_s:6.2f} s")  # noqa: T201
    assert not others
    return measured


def late(cases: list[Case], measured: dict[str, Outage], settings: FeedSettings) -> dict[str, Outage]:
    return {
        case.name: measured[case.name]
        for case in cases
        if measured[case.name].notice_s > case.noticed(settings) or measured[case.name].back_s > case.back(settings)
    }


async def test_a_connection_that_ends_is_noticed_and_back_in_time() -> None:
    measured = await all_at_once(CASES, QUICK, 25)
    assert late(CASES, measured, QUICK) == {}


@pytest.mark.soak
async def test_with_the_default_settings() -> None:
    cases = CASES + PATIENT
    measured = await all_at_once(cases, DEFAULTS, 250)
    assert late(cases, measured, DEFAULTS) == {}
