"""Answers as a scenario wants them: forced, late, lost, doubled, reordered, with a strange header."""

from typing import Any

import pytest
import trio
from simulator_client import EAGER, Client, a_broker, a_client, a_client_in_memory, request
from simulator_faults import ACK, close_code, faults
from trio.testing import MockClock

from engine.config.model import Simulator as Settings
from engine.simulator.scenario import parse
from engine.simulator.server import Broker


async def codes(client: Client, count: int) -> list[tuple[str, str]]:
    """Code and tr_key of the next answers."""
    answers = [await client.answer() for _ in range(count)]
    return [(each["header"]["tr_key"], each["body"]["msg_cd"]) for each in answers]


@pytest.mark.parametrize("msg_cd", ["OPSP0007", "OPSP0008", "OPSP0009", "OPSP8999", "OPSP9993", "OPSP9995", "OPSP7777"])
async def test_any_code_for_one_symbol_and_nothing_is_registered(msg_cd: str) -> None:
    text = faults(f'do = "answer", msg_cd = "{msg_cd}", symbols = ["000660"], limit = 1')
    async with a_broker(scenario=text) as (broker, addresses), a_client(addresses) as client:
        assert (await client.ask("005930"))["body"]["msg_cd"] == ACK
        answer = await client.ask("000660")
        assert answer["body"]["msg_cd"] == msg_cd
        assert answer["header"] == {"tr_id": "H0STPGM0", "tr_key": "000660", "encrypt": "N"}
        assert broker.status().registrations == 1
        assert (await client.ask("000660"))["body"]["msg_cd"] == ACK
        assert broker.status().faults == {"answer": 1}


async def test_words_of_the_answer() -> None:
    text = faults('do = "answer", msg_cd = "X", rt_cd = "7", msg1 = "<b>나쁜 \\u001b[31m 말</b>"')
    async with a_broker(scenario=text) as (_, addresses), a_client(addresses) as client:
        body = (await client.ask())["body"]
        assert body == {"rt_cd": "7", "msg_cd": "X", "msg1": "<b>나쁜 \x1b[31m 말</b>"}


async def test_already_subscribed_is_subscribed_and_not_found_is_unsubscribed() -> None:
    text = faults(
        'do = "answer", msg_cd = "OPSP0002", to = "subscribe"', 'do = "answer", msg_cd = "OPSP0003", to = "unsubscribe"'
    )
    async with a_broker(scenario=text, rate=400) as (broker, addresses), a_client(addresses) as client:
        assert (await client.ask())["body"]["msg_cd"] == "OPSP0002"
        assert broker.status().registrations == 1
        assert "005930" in await client.data()
        assert (await client.ask(tr_type="2"))["body"]["msg_cd"] == "OPSP0003"
        assert broker.status().registrations == 0


@pytest.mark.parametrize("msg_cd", ["OPSP0010", "OPSP0011", "OPSP8996", "OPSP9994", "OPSP9996"])
async def test_codes_after_which_the_broker_hangs_up(msg_cd: str) -> None:
    async with (
        a_broker(scenario=faults(f'do = "answer", msg_cd = "{msg_cd}"')) as (_, addresses),
        a_client(addresses) as client,
    ):
        assert (await client.ask())["body"]["msg_cd"] == msg_cd
        assert await close_code(client) == 1006


async def test_late(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER, parse(faults('do = "answer-late", by = "3s", symbols = ["000660"]')))
    async with a_client_in_memory(broker) as client:
        await client.socket.send_message(request(client.key, "000660"))
        await client.socket.send_message(request(client.key, "005930"))
        assert await codes(client, 2) == [("005930", ACK), ("000660", ACK)]
        assert trio.current_time() == pytest.approx(3, abs=0.1)


async def test_lost() -> None:
    text = faults('do = "answer-lost", limit = 1')
    async with a_broker(scenario=text) as (broker, addresses), a_client(addresses) as client:
        await client.socket.send_message(request(client.key, "000660"))
        await client.socket.send_message(request(client.key, "005930"))
        assert await codes(client, 1) == [("005930", ACK)]
        assert broker.status().registrations == 2


async def test_doubled() -> None:
    async with (
        a_broker(scenario=faults('do = "answer-doubled"')) as (_, addresses),
        a_client(addresses) as client,
    ):
        await client.socket.send_message(request(client.key, "000660"))
        assert await codes(client, 2) == [("000660", ACK), ("000660", ACK)]


async def test_reordered() -> None:
    text = faults('do = "answer-reordered"')
    async with a_broker(scenario=text) as (_, addresses), a_client(addresses) as client:
        for code in ("000660", "005930", "373220"):
            await client.socket.send_message(request(client.key, code))
        assert await codes(client, 3) == [("005930", ACK), ("000660", ACK), ("373220", ACK)]


async def test_an_answer_waits_a_second_for_its_overtaker(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER, parse(faults('do = "answer-reordered"')))
    async with a_client_in_memory(broker) as client:
        assert (await client.ask())["body"]["msg_cd"] == ACK
        assert trio.current_time() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("missing", None),
        ("null-text", {"tr_id": "(null)", "tr_key": "005930", "encrypt": "N"}),
        ("null", {"tr_id": None, "tr_key": "005930", "encrypt": "N"}),
        ("empty", {"tr_id": "", "tr_key": "005930", "encrypt": "N"}),
    ],
)
async def test_headers(form: str, header: dict[str, Any] | None) -> None:
    text = faults(f'do = "answer-header", form = "{form}"')
    async with a_broker(scenario=text) as (_, addresses), a_client(addresses) as client:
        answer = await client.ask()
        assert answer.get("header") == header
        assert answer["body"]["msg_cd"] == ACK
