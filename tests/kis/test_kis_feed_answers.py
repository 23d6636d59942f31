"""Answers as bad as brokers give them: late, lost, doubled, reordered, without a header; and every code."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import trio
from kis_broker import TR, Broker, answer, data, good_answer
from kis_desk import A, B, C, chatter, desk, failing, lines
from trio.testing import MockClock

from engine.stream import Down, Up

Answers = Callable[[dict[str, Any]], Iterable[str]]
ALL = [A, B, C, "000270"]


def kind_of(request: dict[str, Any]) -> str:
    return {"1": "OPSP0000", "2": "OPSP0001"}[request["header"]["tr_type"]]


def symbol_of(request: dict[str, Any]) -> str:
    symbol = request["body"]["input"]["tr_key"]
    assert isinstance(symbol, str)
    return symbol


def doubled(request: dict[str, Any]) -> Iterable[str]:
    return [*good_answer(request)] * 2


def headerless(request: dict[str, Any]) -> Iterable[str]:
    return [answer(kind_of(request), None)]


def null_tr_id(request: dict[str, Any]) -> Iterable[str]:
    return [answer(kind_of(request), symbol_of(request), "(null)")]


def nameless(request: dict[str, Any]) -> Iterable[str]:
    return [answer(kind_of(request), "", "(null)")]


def already(request: dict[str, Any]) -> Iterable[str]:
    return [answer({"1": "OPSP0002", "2": "OPSP0003"}[request["header"]["tr_type"]], symbol_of(request))]


class Reordered:
    """After the first, three at a time, the last one first."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._first = True

    def __call__(self, request: dict[str, Any]) -> Iterable[str]:
        self._held.extend(good_answer(request))
        if self._first or len(self._held) == 3:
            self._first = False
            held, self._held = self._held[::-1], []
            return held
        return []


@pytest.mark.parametrize("answers", [doubled, headerless, null_tr_id, nameless, already, Reordered()])
async def test_all_are_up_once_and_the_end_is_quick(answers: Answers, autojump_clock: MockClock) -> None:
    broker = Broker(answers=answers, after=chatter)
    async with desk(broker, ALL) as made:
        await made.up()
        assert made.status.subscribed == tuple(ALL)
        assert sorted(made.marks) == sorted((Up, (symbol,)) for symbol in ALL)
        broker.answers = answers if not isinstance(answers, Reordered) else good_answer
        await trio.sleep(30)
        began = trio.current_time()
        made.feed.stop()
        await made.until(lambda: broker.closes)
        assert trio.current_time() - began < 1
    assert sorted(broker.asked()) == sorted(ALL)
    assert sorted(broker.asked("2")) == sorted(ALL)
    assert set(made.marks[-1][1]) == set(ALL)


@pytest.mark.parametrize("code", ["OPSP0001", "OPSP0003", "OPSP0007", "OPSP7777"])
async def test_goodbyes_without_a_header_do_not_hold_the_end(code: str, autojump_clock: MockClock) -> None:
    """Each end cost five seconds: of two unanswered goodbyes, none could be the one."""
    held: list[str] = []

    def answers(request: dict[str, Any]) -> Iterable[str]:
        if request["header"]["tr_type"] == "1":
            return good_answer(request)
        held.append(answer(code, None if code < "OPSP0007" else symbol_of(request)))
        return held if len(held) == len(ALL) else []

    broker = Broker(answers=answers)
    async with desk(broker, ALL) as made:
        await made.up()
        began = trio.current_time()
        made.feed.stop()
        await made.until(lambda: broker.closes)
        assert trio.current_time() - began < 1


async def test_late_answers_count_and_nobody_is_asked_a_fourth_time(autojump_clock: MockClock) -> None:
    """Four seconds each, later than we wait for one."""
    broker = Broker(answers=lambda _: [], after=chatter)

    def late(request: dict[str, Any]) -> Iterable[str]:
        nursery.start_soon(answer_late, request)
        return []

    async def answer_late(request: dict[str, Any]) -> None:
        await trio.sleep(4)
        await broker.say(*good_answer(request))

    broker.answers = late
    async with trio.open_nursery() as nursery, desk(broker, ALL) as made:
        await made.until(lambda: len(made.status.subscribed) == 4)
        await trio.sleep(60)
        assert sorted(made.marks) == sorted((Up, (symbol,)) for symbol in ALL)
        assert max(broker.asked().count(symbol) for symbol in ALL) <= 2
        broker.answers = good_answer


async def test_lost_answers_and_data(autojump_clock: MockClock) -> None:
    """An answer in two is lost; the data of all flows."""
    seen: list[str] = []

    def lossy(request: dict[str, Any]) -> Iterable[str]:
        seen.append(symbol_of(request))
        return [*(good_answer(request) if len(seen) % 2 else []), data(symbol_of(request))]

    async with desk(Broker(answers=lossy), ALL) as made:
        await made.up()
        assert made.status.subscribed == tuple(ALL)
    assert seen[:4] == ALL


@pytest.mark.parametrize("code", ["OPSP0007", "OPSP0009", "OPSP8999", "OPSP9993", "OPSP9995"])
async def test_a_failure_of_the_server_is_unanswered_and_asked_again(
    code: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    codes = {A: code}
    broker = Broker(answers=failing(codes), after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        assert (made.status.unanswered, made.status.subscribed) == ((A,), (B,))
        await trio.sleep(29)
        assert broker.asked().count(A) == 1
        codes.clear()
        await made.until(lambda: made.status.unanswered == ())
        assert set(made.status.subscribed) == {A, B}
    assert len(broker.opened) == 1
    assert len(lines(caplog, f'feed answer account=main kind="server failure" code={code} symbol={A}')) == 1


async def test_an_unknown_code_is_counted_and_asked_again(autojump_clock: MockClock) -> None:
    broker = Broker(answers=failing({A: "OPSP4711"}), after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.until(lambda: made.status.unanswered == (A,))
        assert made.status.unknown == 3
    assert broker.asked().count(A) == 3


@pytest.mark.parametrize("named", [True, False])
async def test_over_the_limit_with_or_without_a_header(named: bool, autojump_clock: MockClock) -> None:
    def answers(request: dict[str, Any]) -> Iterable[str]:
        if request["header"]["tr_type"] == "1" and len(broker.asked()) > 2:
            return [answer("OPSP0008", symbol_of(request) if named else None)]
        return good_answer(request)

    broker = Broker(answers=answers, after=chatter)
    async with desk(broker, ALL) as made:
        await made.up()
        await trio.sleep(1800)
        assert made.status.subscribed == tuple(ALL[:2])
        assert made.status.left_out == tuple(ALL[2:])
    assert len(broker.asked()) <= 4 if named else len(broker.asked()) < 12


async def test_several_answers_over_the_limit_are_told_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    held: list[str] = []

    def answers(request: dict[str, Any]) -> Iterable[str]:
        if request["header"]["tr_type"] == "2" or len(broker.asked()) == 1:
            return good_answer(request)
        held.append(answer("OPSP0008", symbol_of(request)))
        return held if len(held) == 3 else []

    broker = Broker(answers=answers, after=chatter)
    async with desk(broker, ALL) as made:
        await made.up()
        assert made.status.left_out == tuple(ALL[1:])
    assert len(lines(caplog, "feed answer account=main")) == 1


async def test_unsubscribed_by_the_broker_where_it_is_full_a_symbol_is_lost_and_left_out(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(Broker(answers=failing({B: "OPSP0008"}), after=chatter), [A, B]) as made:
        await made.up()
        await made.broker.say(answer("OPSP0001", A))
        await made.until(lambda: made.status.left_out == (A, B))
        assert made.marks == [(Up, (A,)), (Down, (A,))]
    assert len(lines(caplog, f"feed unsubscribed by the broker account=main symbol={A}")) == 1


@pytest.mark.parametrize(
    "code",
    [f"OPSP{n}" for n in (8994, 8995, 8997, 8998, 9991, 9992, 9997, 9998, 9999)],
)
@pytest.mark.parametrize("named", [True, False])
async def test_what_the_broker_cannot_read_is_shown_without_the_key(
    code: str, named: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(answers=lambda request: [answer(code, symbol_of(request) if named else None)])
    async with desk(broker, [A]) as made:
        await made.up()
        assert made.status.unanswered == (A,)
    shown = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert shown
    assert all('"tr_key":"005930"' in line and '"approval_key":"***"' in line for line in shown)
    assert "TEST-APPROVAL-KEY" not in caplog.text


async def test_an_answer_of_another_tr_is_not_ours(autojump_clock: MockClock) -> None:
    async with desk(Broker(after=chatter), [A]) as made:
        await made.up()
        await made.broker.say(answer("OPSP0001", A, "H0STCNT0"), answer("OPSP8993", A, "H0STCNT0"))
        await trio.sleep(1)
        assert (made.status.subscribed, made.status.other) == ((A,), 2)
    assert made.marks == [(Up, (A,)), (Down, (A,))]
    assert made.broker.requests[0]["body"]["input"]["tr_id"] == TR
