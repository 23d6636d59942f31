"""What the broker sends or leaves out while the connection lives, over real sockets: counted, and never the end."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
import trio
from fault_desk import CUT_S, QUICK, SYMBOLS, Desk, desk, overheard

from engine.kis import ghosts, registrations, silence
from engine.kis.backoff import Ending
from engine.kst import SECOND_NS
from engine.record import Record
from engine.stream import Down, Frame, Up

pytestmark = pytest.mark.slow  # real sockets, and a fault takes the time that it takes

FIRST = SYMBOLS[0]
PATIENT = QUICK.model_copy(update={"idle_timeout": timedelta(seconds=10)})


def records(made: Desk) -> list[Record]:
    return [record for frame in made.events if isinstance(frame, Frame) for record in frame.records]


def touched(made: Desk) -> int:
    return sum(made.broker.status().faults.values())


async def a_while(made: Desk) -> None:
    """Until so much has been sent that the fault must be seen in the counts, and that has been read."""
    await made.up()
    await made.until(lambda: made.broker.status().frames >= 60)
    await trio.sleep(0.3)
    assert touched(made)
    assert made.feed.status().failures == 0
    assert sum(isinstance(event, Down) for event in made.events) == 0


@dataclass(frozen=True)
class Case:
    name: str
    fault: str
    holds: Callable[[Desk], bool]


def malformed(reason: str) -> Callable[[Desk], bool]:
    return lambda made: dict(made.feed.status().malformed).get(reason, 0) >= 20 and len(records(made)) > 0


def dropped(reason: str) -> Callable[[Desk], bool]:
    return lambda made: dict(made.feed.status().dropped).get(reason, 0) >= 20


def total(counts: tuple[tuple[str, int], ...]) -> int:
    return sum(count for _, count in counts)


def untouched(made: Desk) -> bool:
    """Every record is there and well-formed: the fault is one of form only."""
    status = made.feed.status()
    return status.records > 50 and not status.malformed and not status.dropped


def appended(count: int) -> Callable[[Desk], bool]:
    return lambda made: made.feed.status().appended == (count,) and made.feed.status().drifted >= 20 and untouched(made)


def fall(made: Desk) -> bool:
    bought: dict[str, int] = {}
    falls = Counter[str]()
    for record in records(made):
        falls[record.symbol] += record.buy_volume < bought.get(record.symbol, 0)
        bought[record.symbol] = record.buy_volume
    return falls.total() > 0 and untouched(made)


def twice(made: Desk) -> bool:
    found = records(made)
    return len(found) - len(set(found)) >= 20 and untouched(made)


CASES = [
    Case("one-byte segments", 'do = "segments"\nsize = 1\nshare = 0.3', untouched),
    Case("fragments", 'do = "fragments"\npieces = 7', untouched),
    Case("trailing ^", 'do = "trailing"', untouched),
    Case("twenty records a frame", 'do = "batch"\nrecords = 20', untouched),
    Case("encrypted", 'do = "encrypted"', untouched),
    Case("encrypted wrongly", 'do = "encrypted"\nbroken = true\nshare = 0.5', malformed("cipher")),
    Case("appended fields", 'do = "extra-fields"\ncount = 2', appended(2)),
    Case("frames over 8 KB", 'do = "extra-fields"\ncount = 1\nvalue = "x"\nrepeat = 9000', appended(1)),
    Case("wrong count", 'do = "wrong-count"\nby = 6\nshare = 0.5', malformed("stride")),
    Case("empty fields", 'do = "field"\nfields = ["buy_volume"]\nvalue = ""\nshare = 0.5', dropped("number")),
    Case("(null)", 'do = "field"\nfields = ["sell_value"]\nvalue = "(null)"\nshare = 0.5', dropped("number")),
    Case("no time", 'do = "field"\nfields = ["time"]\nvalue = "250000"\nshare = 0.5', dropped("time")),
    Case(
        "bad UTF-8", 'do = "bad-utf8"\nshare = 0.5', lambda made: sum(dict(made.feed.status().dropped).values()) >= 20
    ),
    Case("garbage", 'do = "garbage"\nshare = 0.5', lambda made: total(made.feed.status().malformed) >= 20),
    Case("another TR", 'do = "other-tr"\nshare = 0.5', lambda made: made.feed.status().other >= 20),
    Case("binary messages", 'do = "binary"', malformed("not-json")),
    Case("falling counters", 'do = "falling"\nshare = 0.2', fall),
    Case("doubled records", 'do = "doubled"\nshare = 0.5', twice),
    Case("equal HHMMSS", 'do = "time-frozen"', untouched),
    Case("HHMMSS going back", 'do = "time-back"\nby = "5s"\nshare = 0.5', untouched),
    Case("frames out of order", 'do = "out-of-order"\nshare = 0.3', untouched),
]


async def test_no_form_of_data_ends_a_session_and_all_of_it_is_counted() -> None:
    wrong: list[str] = []

    async def play(case: Case) -> None:
        async with desk(f'[[fault]]\nsince = "subscribed"\n{case.fault}', PATIENT, rate=100.0) as made:
            await a_while(made)
            if not case.holds(made):
                wrong.append(f"{case.name}: {made.feed.status()}")

    async with trio.open_nursery() as nursery:
        for case in CASES:
            nursery.start_soon(play, case)
    assert not wrong


async def a_rejected_symbol_stays_out(made: Desk) -> None:
    await made.up()
    status = made.feed.status()
    assert status.rejected == ((FIRST, "OPSP8992"),)
    assert set(status.subscribed) == set(SYMBOLS[1:])


async def a_failure_of_the_server_is_asked_again(made: Desk) -> None:
    await made.up()
    assert made.feed.status().unanswered == (FIRST,)
    await made.until(lambda: made.feed.status().unanswered == ())
    assert set(made.feed.status().subscribed) == set(SYMBOLS)


async def an_unknown_code_is_counted(made: Desk) -> None:
    await made.until(lambda: made.feed.status().unknown > 0)
    await made.until(lambda: set(made.feed.status().subscribed) == set(SYMBOLS))


async def over_the_limit_is_left_out(made: Desk) -> None:
    await made.up()
    await trio.sleep(2)
    assert made.feed.status().left_out
    assert made.broker.status().subscriptions_asked <= len(SYMBOLS)


async def all_are_up(made: Desk) -> None:
    await made.until(lambda: set(made.feed.status().subscribed) == set(SYMBOLS))
    ups = Counter(symbol for event in made.events if isinstance(event, Up) for symbol in event.symbols)
    assert ups == Counter(SYMBOLS)


ANSWERS: dict[str, tuple[str, Callable[[Desk], Awaitable[None]]]] = {
    "rejected": (f'do = "answer"\nmsg_cd = "OPSP8992"\nsymbols = ["{FIRST}"]', a_rejected_symbol_stays_out),
    "server failure": (
        f'do = "answer"\nmsg_cd = "OPSP8999"\nsymbols = ["{FIRST}"]\nlimit = 1',
        a_failure_of_the_server_is_asked_again,
    ),
    "unknown code": (
        f'do = "answer"\nmsg_cd = "OPSP7777"\nsymbols = ["{FIRST}"]\nlimit = 1',
        an_unknown_code_is_counted,
    ),
    "over the limit": (f'do = "answer"\nmsg_cd = "OPSP0008"\nsymbols = ["{FIRST}"]', over_the_limit_is_left_out),
    "late": ('do = "answer-late"\nby = "2s"', all_are_up),
    "lost": (f'do = "answer-lost"\nsymbols = ["{FIRST}"]\nlimit = 1', all_are_up),
    "all lost, data flows": ('do = "answer-lost"', all_are_up),
    "doubled": ('do = "answer-doubled"', all_are_up),
    "reordered": ('do = "answer-reordered"', all_are_up),
    "without a header": ('do = "answer-header"\nform = "missing"', all_are_up),
    "(null) header": ('do = "answer-header"\nform = "null-text"', all_are_up),
}


async def test_answers_of_every_kind_find_their_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrations, "LATER_NS", (2 * SECOND_NS,))  # else a retry takes half a minute

    async def play(fault: str, holds: Callable[[Desk], Awaitable[None]]) -> None:
        async with desk(f"[[fault]]\n{fault}", PATIENT) as made:
            await holds(made)
            assert made.feed.status().failures == 0

    async with trio.open_nursery() as nursery:
        for fault, holds in ANSWERS.values():
            nursery.start_soon(play, fault, holds)


async def test_a_ghost_is_subscribed_anew_once_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ghosts, "PATIENCE_NS", 2 * SECOND_NS)
    async with desk(f'[[fault]]\ndo = "ghost"\nsymbols = ["{FIRST}"]') as made:
        await made.until(lambda: made.feed.status().ghosts == (FIRST,))
        await made.until(lambda: made.broker.status().unsubscriptions_asked == 1)
        await trio.sleep(3)  # longer than the patience: it is not done again
        assert made.broker.status().unsubscriptions_asked == 1
        assert made.broker.status().subscriptions_asked == len(SYMBOLS) + 1
        downs = [event.symbols for event in made.events if isinstance(event, Down)]
        assert downs == [(FIRST,)]
        assert set(made.feed.status().subscribed) == set(SYMBOLS)


@pytest.mark.parametrize("faults", ['at = "6s"\nfor = "6s"', 'for = "9s"'], ids=["later", "from birth"])
async def test_silence_with_pingpong_alive_is_noticed_and_a_new_connection_tried_once(
    monkeypatch: pytest.MonkeyPatch, faults: str
) -> None:
    monkeypatch.setattr(silence, "LEAST_NS", 2 * SECOND_NS)
    monkeypatch.setattr(silence, "FACTOR", 2)
    monkeypatch.setattr(silence, "LEARNT_GAPS", 2)
    monkeypatch.setattr(silence, "UNLEARNT_NS", 3 * SECOND_NS)
    pulse = '[[fault]]\ndo = "pingpong"\nidle = "500ms"\npatience = "5s"\n'
    with overheard() as heard:
        async with desk(f'{pulse}[[fault]]\ndo = "no-data"\n{faults}') as made:
            await made.up()
            await made.until(lambda: made.feed.status().failures == 1)
            assert made.feed.status().last_ending is Ending.SILENT
            assert made.feed.status().silent_since is not None
            await made.until(lambda: made.feed.status().silent_since is None)
            assert made.broker.status().connections_opened == 2  # it was still silent then, and no third was made
            assert any(made.after(made.moment(CUT_S), Frame))
            made.assert_nothing_else_lost(made.moment(CUT_S), heard)


async def test_accepted_and_then_kicked_for_ever_stays_within_the_hours_attempts() -> None:
    """Each session gets its acknowledgements and is then reset."""
    settings = QUICK.model_copy(update={"backoff": QUICK.backoff.model_copy(update={"max_per_hour": 6})})
    async with desk('[[fault]]\ndo = "reset"\nsince = "subscribed"\nat = "300ms"', settings) as made:
        await made.until(lambda: made.feed.status().attempts_last_hour == 3)
        await trio.sleep(3)
        status = made.feed.status()
        assert status.attempts_last_hour == made.broker.status().connections_opened == 3  # half of them soon …
        assert status.next_attempt is not None
        wait_s = (status.next_attempt - made.broker.now()) / SECOND_NS
        assert 600 < wait_s < 1300  # … the rest spread over the hour: a third of it away
