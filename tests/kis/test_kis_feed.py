"""A feed against a broker in memory: all time is virtual, so minutes and hours pass at once."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
from kis_broker import CLOSE, PINGPONG, TEXT, TR, Broker, Peer, answer, data, frame, good_answer
from kis_desk import ACCOUNT, SETTINGS, A, B, C, Desk, chatter, desk, failing, key, lines, waits
from pydantic import SecretStr
from trio.testing import MockClock

from engine.clock import Clock
from engine.kis import websocket
from engine.kis.approval import ApprovalError, AskedTooOftenError, CredentialsRefusedError, UnreachableError
from engine.kis.backoff import Ending, State
from engine.kis.feed import Connect, Feed
from engine.kis.protocol import Ack, AckKind
from engine.kis.session import DismissedError
from engine.kis.status import Phase
from engine.kis.websocket import LostError
from engine.stream import Down, Event, Frame, Up

# -- the usual day


async def test_from_key_to_data_to_goodbye(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broker = Broker()
    async with desk(broker) as made:
        await made.up()
        await broker.say(data(A), data(B, A))
        await made.until(lambda: len(made.frames) == 2)
        status = made.feed.status()
        assert (status.phase, status.subscribed, status.frames, status.records) == (Phase.UP, (A, B), 2, 3)
        assert status.last_frame == made.frames[-1].t
        assert dict(status.last_records) == {A: made.frames[-1].t, B: made.frames[-1].t}
        assert made.feed.backoff.failures == 0
    assert made.marks == [(Up, (A,)), (Up, (B,)), (Down, (A, B))]
    assert [record.symbol for record in made.frames[1].records] == [B, A]
    assert made.frames[0].text == data(A)
    assert broker.asked("1") == [A, B]
    assert broker.asked("2") == [A, B]
    assert broker.closes == [1000]
    assert broker.requests[0] == {
        "header": {
            "approval_key": "TEST-APPROVAL-KEY-1",
            "custtype": "P",
            "tr_type": "1",
            "content-type": "utf-8",
        },
        "body": {"input": {"tr_id": TR, "tr_key": A}},
    }
    assert lines(caplog, "feed") == [
        "feed connected account=main",
        "feed subscribed account=main up=2 rejected=0 left_out=0 pending=0 seconds=0.1",
        "feed stopped account=main",
    ]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_requests_are_paced(autojump_clock: MockClock) -> None:
    broker = Broker()
    symbols = [f"{n:06d}" for n in range(41)]
    async with desk(broker, symbols) as made:
        await made.up()
    gaps = [late - early for early, late in zip(broker.times, broker.times[1:], strict=False) if late - early < 10]
    assert len(broker.requests) == 82
    assert min(gaps) >= 0.05
    assert max(gaps) <= 0.1


async def test_pingpong_is_echoed_to_the_letter_and_before_anything_else(autojump_clock: MockClock) -> None:
    broker = Broker()
    strange = '{"header" : {"datetime":"가", "tr_id":"PINGPONG"} }'
    async with desk(broker) as made:
        await broker_is_up(made)
        await broker.say(PINGPONG, strange)
        await trio.testing.wait_all_tasks_blocked()
        assert broker.echoes == [PINGPONG, strange]
    assert broker.opcodes == {TEXT, CLOSE}  # no pings of our own


async def broker_is_up(made: Desk) -> None:
    await made.up()


async def test_silence_with_pingpong_is_life(autojump_clock: MockClock) -> None:
    async def pings(peer: Peer) -> None:
        while True:
            await trio.sleep(10)
            await peer.say(PINGPONG)

    broker = Broker(after=pings)
    async with desk(broker) as made:
        await trio.sleep(3600)
        assert made.feed.status().phase is Phase.UP
    assert len(broker.opened) == 1
    assert len(broker.echoes) == 360


async def test_control_pings_alone_are_life_too(autojump_clock: MockClock) -> None:
    async def pings(peer: Peer) -> None:
        while True:
            await trio.sleep(30)
            await peer.write(frame(b"x", 9))

    broker = Broker(after=pings)
    async with desk(broker):
        await trio.sleep(600)
    assert len(broker.opened) == 1


async def test_the_asked_for_answers_may_come_in_any_order(autojump_clock: MockClock) -> None:
    held: list[str] = []

    def reordered(request: dict[str, Any]) -> Iterable[str]:
        if request["header"]["tr_type"] == "2" or not broker.asked()[1:]:
            return good_answer(request)
        held.extend(good_answer(request))
        return [held.pop() for _ in range(len(held))] if len(held) == 3 else []

    broker = Broker(answers=reordered)
    async with desk(broker, [A, B, C, "000270"]) as made:
        await made.up()
        assert len(made.feed.status().subscribed) == 4
    assert len(broker.asked()) == 4


# -- answers that are missing, or no


async def test_a_lost_answer_is_asked_for_again(autojump_clock: MockClock) -> None:
    broker = Broker(
        answers=lambda request: [] if broker.asked().count(A) == 1 and A in str(request) else good_answer(request)
    )
    async with desk(broker, [A, B]) as made:
        await made.up()
        assert sorted(made.feed.status().subscribed) == sorted([A, B])
    assert broker.asked().count(A) == 2
    assert broker.asked().count(B) == 1


async def test_lost_answers_are_not_asked_for_without_end(autojump_clock: MockClock) -> None:
    broker = Broker(answers=lambda request: [] if A in str(request) else good_answer(request), after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        assert made.feed.status().subscribed == (B,)
        await trio.sleep(20)
        assert broker.asked().count(A) == 3
        await trio.sleep(3600)
        assert 5 < broker.asked().count(A) < 14
    assert len(broker.opened) == 1


async def test_data_is_as_good_as_an_answer(autojump_clock: MockClock) -> None:
    broker = Broker(answers=lambda request: [data(A)] if request["header"]["tr_type"] == "1" else [])
    async with desk(broker, [A]) as made:
        await made.up()
    assert made.marks[0] == (Up, (A,))
    assert isinstance(made.events[1], Frame)  # up before its first frame


async def test_a_rejected_symbol_is_told_once_and_never_asked_for_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(answers=failing({A: "OPSP8993"}))
    async with desk(broker, [A, B]) as made:
        await made.up()
        assert made.feed.status().rejected == ((A, "OPSP8993"),)
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: len(broker.opened) == 2)
        await made.up()
        assert made.feed.status().rejected == ((A, "OPSP8993"),)
    assert broker.asked().count(A) == 1
    assert broker.asked().count(B) == 2
    assert A not in broker.asked("2")
    assert len(lines(caplog, 'feed answer account=main kind="rejected symbol" code=OPSP8993 symbol=005930')) == 1


async def test_a_headerless_rejection_hits_the_symbol_that_was_asked_for(autojump_clock: MockClock) -> None:
    def answers(request: dict[str, Any]) -> Iterable[str]:
        return [answer("OPSP8993", None)] if A in str(request) else good_answer(request)

    async with desk(Broker(answers=answers), [A, B]) as made:
        await made.up()
        assert made.feed.status().rejected == ((A, "OPSP8993"),)
        assert made.feed.status().subscribed == (B,)


async def test_a_failure_of_the_server_is_asked_again_later_in_the_same_session(autojump_clock: MockClock) -> None:
    codes = {A: "OPSP0007"}
    broker = Broker(answers=failing(codes), after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        assert made.feed.status().subscribed == (B,)
        codes.clear()
        await made.until(lambda: len(made.feed.status().subscribed) == 2)
    assert len(broker.opened) == 1
    assert 29 < broker.times[2] - broker.times[0] < 31


async def test_unsubscribed_by_the_broker_a_symbol_is_lost_and_asked_for_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It stayed silent for the rest of the session, and the rules took that for a stock that does not trade."""
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        await broker.say(answer("OPSP0001", A))
        await made.until(lambda: made.feed.status().subscribed == (B,))
        assert made.marks == [(Up, (A,)), (Up, (B,)), (Down, (A,))]
        await made.until(lambda: len(made.feed.status().subscribed) == 2)
        assert made.marks[-1] == (Up, (A,))
    assert broker.asked() == [A, B, A]
    assert len(lines(caplog, "feed unsubscribed by the broker account=main symbol=005930")) == 1


async def test_rejected_and_then_subscribed_is_subscribed(autojump_clock: MockClock) -> None:
    async with desk(Broker(answers=failing({A: "OPSP8993"}), after=chatter), [A, B]) as made:
        await made.up()
        assert made.feed.status().rejected == ((A, "OPSP8993"),)
        await made.broker.say(answer("OPSP0000", A))
        await made.until(lambda: len(made.feed.status().subscribed) == 2)
        assert made.feed.status().rejected == ()


async def test_a_flood_of_foreign_frames_does_not_hide_a_rejection(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(Broker(after=chatter), [A, B]) as made:
        await made.up()
        await made.broker.say(*(f"0|H0ST{number:04d}|001|x" for number in range(300)))
        await made.broker.say(answer("OPSP8993", B))
        await trio.sleep(1)
    assert len(lines(caplog, 'feed answer account=main kind="rejected symbol"')) == 1


async def test_over_the_limit_adding_stops(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker(answers=failing({B: "OPSP0008", C: "OPSP0008"}), after=chatter)
    async with desk(broker, [A, B, C]) as made:
        await made.up()
        assert made.feed.status().left_out == (B, C)
        await trio.sleep(1800)
    assert C not in broker.asked() or broker.asked().count(C) == 1
    assert len(lines(caplog, 'feed answer account=main kind="over the limit"')) == 1
    assert len(lines(caplog, f"feed left out account=main symbols={B},{C}")) == 1


async def test_a_request_that_the_broker_cannot_read_is_shown_without_the_key(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(Broker(answers=failing({A: "OPSP9991"})), [A]) as made:
        await made.up()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert '"tr_key":"005930"' in record.getMessage()
    assert '"approval_key":"***"' in record.getMessage()
    assert "TEST-APPROVAL-KEY" not in caplog.text


async def test_what_is_strange_is_counted_and_told_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(Broker(), [A]) as made:
        await made.up()
        for _ in range(3):
            await made.broker.say(
                "rubbish",
                "0|H0STCNT0|001|x",
                answer("OPSP7777", A),
                answer("OPSP0000", A, "H0STCNT0"),
                data(B),
                data(A) + "^appended",
                data(A, A).replace("^-49558^", "^x^"),
                b"\xff",
            )
        await made.until(lambda: dict(made.feed.status().malformed) == {"not-json": 6})  # the last one sent
        status = made.feed.status()
    assert dict(status.malformed) == {"not-json": 6}
    assert dict(status.dropped) == {"number": 3}
    assert (status.other, status.unknown, status.unsubscribed, status.drifted) == (6, 3, 3, 3)
    assert len(made.frames) == 9
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(set(warnings)) == 5


# -- endings


@pytest.mark.parametrize(
    ("code", "ending", "delays"),
    [
        ("OPSP8996", Ending.IN_USE, [60, 120, 120]),
        ("OPSP0011", Ending.KEY_REFUSED, [3, 60, 300]),
    ],
)
async def test_the_broker_dismisses_us(code: str, ending: Ending, delays: list[int], autojump_clock: MockClock) -> None:
    broker = Broker(answers=lambda _: [answer(code, None, words="go away")])
    async with desk(broker) as made:
        await made.until(lambda: len(made.approvals) == 4, 3600)
        status = made.feed.status()
        assert (status.last_ending, status.last_error) == (ending, f"{code} go away")
        assert status.failures >= 3
    assert waits(made) == pytest.approx(delays, abs=1)
    assert len(broker.asked()) in (3, 4)
    assert broker.closes[:3] == [1000] * 3


@pytest.mark.parametrize(
    ("error", "ending", "delays"),
    [
        (CredentialsRefusedError("EGW00103", "EGW00103"), Ending.CREDENTIALS, [60, 300, 900, 1800, 3600]),
        (AskedTooOftenError("EGW00133", "EGW00133"), Ending.TOO_OFTEN, [60, 120, 120]),
        (UnreachableError("ConnectError"), Ending.LOST, [3, 6, 12, 24, 48, 60, 60]),
    ],
)
async def test_no_key_no_connection(
    error: ApprovalError, ending: Ending, delays: list[int], autojump_clock: MockClock
) -> None:
    async def approve() -> SecretStr:
        raise error

    broker = Broker()
    async with desk(broker, approve=approve) as made:
        await made.until(lambda: len(made.approvals) == len(delays) + 1, 20_000)
        assert made.feed.status().last_ending is ending
    assert waits(made) == pytest.approx(delays, abs=0.1)
    assert not broker.opened
    assert not made.events


async def test_of_several_endings_at_once_the_one_that_says_more_counts(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def connect(_url: str) -> AsyncIterator[websocket.WebSocket]:
        in_use = DismissedError(Ending.IN_USE, Ack(AckKind.IN_USE, "OPSP8996", None, None, ""))
        raise ExceptionGroup("both", [LostError("closed 1006"), in_use])
        yield

    async with desk(Broker(), connect=connect) as made:
        await made.until(lambda: made.status.last_ending)
        assert (made.status.last_ending, made.status.last_error) == (Ending.IN_USE, "OPSP8996")


async def test_no_frame_of_any_kind_for_a_minute_is_death(autojump_clock: MockClock) -> None:
    broker = Broker(polite=False)
    async with desk(broker) as made:
        await made.up()
        began = trio.current_time()
        await made.until(lambda: (Down, (A, B)) in made.marks, 100)
        assert 59 < trio.current_time() - began < 62
        await made.until(lambda: len(broker.opened) == 2)
        assert made.feed.status().last_error == "no frame of any kind for 60 s"
        await made.up()
    assert made.marks == [(Up, (A,)), (Up, (B,)), (Down, (A, B))] * 2


async def test_silent_from_birth(autojump_clock: MockClock) -> None:
    broker = Broker(answers=lambda _: [], polite=False)
    async with desk(broker) as made:
        await made.until(lambda: len(broker.opened) == 2, 100)
    assert made.marks == []  # what never was up cannot go down
    assert 62 <= broker.opened[1] - broker.opened[0] < 68


async def test_each_connection_has_a_fresh_key_and_asks_for_all_again(autojump_clock: MockClock) -> None:
    broker = Broker()
    async with desk(broker) as made:
        await made.up()
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: len(broker.opened) == 2)
        await made.up()
    keys = [request["header"]["approval_key"] for request in broker.requests]
    assert keys == ["TEST-APPROVAL-KEY-1"] * 2 + ["TEST-APPROVAL-KEY-2"] * 4
    assert broker.asked() == [A, B, A, B]


async def test_only_a_minute_of_data_resets_the_delay(autojump_clock: MockClock) -> None:
    async def half_a_minute(peer: Peer) -> None:
        for _ in range(seconds):
            await peer.say(data(A))
            await trio.sleep(1)
        await peer.stream.aclose()

    seconds = 30
    broker = Broker(after=half_a_minute)
    async with desk(broker, [A]) as made:
        await made.until(lambda: len(broker.opened) == 4, 300)
        assert made.feed.backoff.failures == 3
        seconds = 65
        await made.until(lambda: len(broker.opened) == 6, 300)
    gaps = [late - early for early, late in zip(broker.opened, broker.opened[1:], strict=False)]
    assert gaps == pytest.approx([33, 36, 42, 54, 68], abs=2)


async def test_no_hour_sees_more_connections_than_allowed(autojump_clock: MockClock) -> None:
    async def leave(peer: Peer) -> None:
        await peer.stream.aclose()

    broker = Broker(after=leave)
    async with desk(broker):
        await trio.sleep(4 * 3600)
    assert len(broker.opened) > 50
    assert max(late - early for early, late in pairwise(broker.opened)) < 330
    for late, early in zip(broker.opened[20:], broker.opened, strict=False):
        assert late - early >= 3600


async def test_earlier_attempts_count(autojump_clock: MockClock) -> None:
    clock = Clock()
    broker = Broker()
    now = clock.now()
    past = State(attempts=tuple(now - 10**9 * second for second in range(20, 0, -1)))
    feed = Feed(
        ACCOUNT,
        [A],
        SETTINGS,
        tr_id=TR,
        clock=clock,
        put=lambda _: None,
        past=past,
        connect=broker.connect,
        approve=key,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        await trio.sleep(3500)
        assert not broker.opened
        assert feed.status().phase is Phase.WAITING
        await trio.sleep(100)
        assert len(broker.opened) == 1
        feed.stop()


async def test_what_is_lost_is_told_in_one_line_each(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def leave(peer: Peer) -> None:
        await trio.sleep(5)
        await peer.stream.aclose()

    async with desk(Broker(after=leave), [A]) as made:
        await made.until(lambda: len(made.approvals) == 2)
    told = [line for line in lines(caplog, "feed") if not line.startswith("feed subscribed")]
    assert told[:3] == [
        "feed connected account=main",
        'feed lost account=main ending="lost" reason="closed 1006"',
        "feed retrying account=main in=3.0s after=1",
    ]


# -- away


async def test_a_pause_of_ours_is_no_death_of_theirs(mock_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The process was stopped for 100 s; frames wait in the kernel, and the session is as good as before."""
    broker = Broker()
    mock_clock.autojump_threshold = 0
    async with desk(broker, [A]) as made:
        await made.up()
        mock_clock.autojump_threshold = float("inf")
        mock_clock.jump(100)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.autojump_threshold = 0
        await trio.sleep(30)
        assert len(broker.opened) == 1
        assert made.feed.status().phase is Phase.UP
        await made.until(lambda: len(broker.opened) == 2, 100)  # but silence after it counts
    assert len(lines(caplog, "feed paused account=main seconds=99")) == 1


# -- the end


async def test_a_peer_that_answers_nothing_any_more_does_not_hold_the_end(autojump_clock: MockClock) -> None:
    broker = Broker(polite=False)
    symbols = [f"{n:06d}" for n in range(41)]
    async with desk(broker, symbols) as made:
        await made.up()
        broker.answers = lambda _: []
        began = trio.current_time()
        made.feed.stop()
        await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        assert trio.current_time() - began <= 8
    assert len(broker.asked("2")) == 41
    assert broker.closes == [1000]


async def test_a_peer_that_leaves_during_our_farewell_is_no_loss(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(after=chatter)
    async with trio.open_nursery() as nursery, desk(broker, [A, B]) as made:
        await made.up()

        def answers(_request: dict[str, Any]) -> Iterable[str]:
            nursery.start_soon(broker.peers[-1].stream.aclose)
            return []

        broker.answers = answers
    assert (made.status.failures, made.status.last_ending) == (0, None)
    assert not lines(caplog, "feed lost")


async def test_stopped_while_it_subscribes_it_does_not_say_that_it_subscribed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def answers(request: dict[str, Any]) -> Iterable[str]:
        """B is not acknowledged, and A's goodbye comes last: then all but that one have had their answer."""
        symbol, is_goodbye = request["body"]["input"]["tr_key"], request["header"]["tr_type"] == "2"
        if symbol == A and is_goodbye:
            nursery.start_soon(answer_late, request)
            return []
        return [] if symbol == B and not is_goodbye else good_answer(request)

    async def answer_late(request: dict[str, Any]) -> None:
        await trio.sleep(1)
        await broker.say(*good_answer(request))

    broker = Broker(answers=answers)
    async with trio.open_nursery() as nursery, desk(broker, [A, B]) as made:
        await made.until(lambda: len(broker.asked()) == 2)
    assert broker.asked("2") == [A, B]
    assert lines(caplog, "feed") == ["feed connected account=main", "feed stopped account=main"]


class Clogged(trio.abc.SendStream):
    """What is sent goes nowhere any more, as when the peer does not read and all buffers are full."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self.clogged = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.clogged:
            await trio.sleep_forever()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def clogging(broker: Broker, pipes: list[Clogged]) -> Connect:
    """Connections in memory whose way out can be clogged; `pipes` gets one for each."""

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[websocket.WebSocket]:
        client, server = trio.testing.memory_stream_pair()
        pipes.append(Clogged(client.send_stream))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.serve, server)
            async with websocket.over(trio.StapledStream(pipes[-1], client.receive_stream), url) as session:
                yield session
            nursery.cancel_scope.cancel()

    return connect


async def test_a_peer_that_reads_nothing_any_more_does_not_hold_the_end(autojump_clock: MockClock) -> None:
    broker, pipes = Broker(), list[Clogged]()
    async with desk(broker, [A, B], connect=clogging(broker, pipes)) as made:
        await made.up()
        pipes[0].clogged = True
        await broker.say(PINGPONG)  # the reader is stuck in its echo
        began = trio.current_time()
        made.feed.stop()
        await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        assert 6 < trio.current_time() - began <= 8
    assert made.marks[-1] == (Down, (A, B))


async def test_a_peer_that_sends_and_does_not_read_is_lost(autojump_clock: MockClock) -> None:
    """An echo that cannot leave holds up the data behind it, and the frames keep the watchdog quiet."""
    broker, pipes = Broker(after=chatter), list[Clogged]()
    async with desk(broker, [A], connect=clogging(broker, pipes)) as made:
        await made.up()
        pipes[0].clogged = True
        await made.until(lambda: len(pipes) == 2)
        assert made.feed.status().last_error == "the peer has not read for 10 s"


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.1, 1.0, 5.0])
async def test_it_may_be_stopped_at_any_moment(after_s: float, autojump_clock: MockClock) -> None:
    async def slow_key() -> SecretStr:
        await trio.sleep(2)
        return SecretStr("TEST-APPROVAL-KEY")

    broker = Broker()
    async with desk(broker, approve=slow_key) as made:
        await trio.sleep(after_s)
        began = trio.current_time()
        made.feed.stop()
        await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        assert trio.current_time() - began < 1
    assert broker.closes == [1000] * len(broker.opened)


async def test_it_may_be_stopped_while_it_waits(autojump_clock: MockClock) -> None:
    async with desk(Broker(answers=lambda _: [answer("OPSP8996", None)])) as made:
        await made.until(lambda: made.feed.status().phase is Phase.WAITING and made.feed.status().failures == 1)
        next_attempt = made.feed.status().next_attempt
        assert next_attempt is not None
        began = trio.current_time()
        made.feed.stop()
        await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        assert trio.current_time() - began < 0.1


async def test_cancelled_it_still_closes_and_says_down(autojump_clock: MockClock) -> None:
    broker = Broker()
    made = Desk(broker, [A])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.feed.run)
        await made.up()
        nursery.cancel_scope.cancel()
    assert made.marks == [(Up, (A,)), (Down, (A,))]


async def test_a_defect_of_ours_is_not_taken_for_a_loss(autojump_clock: MockClock) -> None:
    broker = Broker()

    def put(event: Event) -> None:
        raise ZeroDivisionError

    feed = Feed(ACCOUNT, [A], SETTINGS, tr_id=TR, clock=Clock(), put=put, connect=broker.connect, approve=key)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await feed.run()


async def test_no_secret_is_logged_even_at_debug(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    codes = {A: "OPSP9991", B: "OPSP8993", C: "OPSP1234"}
    async with desk(Broker(answers=failing(codes)), [A, B, C]) as made:
        await made.up()
        await made.broker.peers[-1].stream.aclose()
        await made.until(lambda: len(made.approvals) == 2)
        assert "TEST-" not in repr(made.feed) + repr(made.feed.status())
    assert "TEST-" not in caplog.text
