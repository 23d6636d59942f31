"""How a scenario ends connections, makes them silent, spoils handshakes and approval keys: on real sockets."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import trio
from simulator_client import (
    APP_KEY,
    APP_SECRET,
    EAGER,
    HANDSHAKE,
    a_broker,
    a_client,
    a_client_in_memory,
    approval_key,
    raw,
)
from simulator_faults import ACK, bare, close_code, faults
from trio.testing import MockClock

from engine.config.model import Simulator as Settings
from engine.simulator.connection import End
from engine.simulator.scenario import parse
from engine.simulator.server import Addresses, Broker


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not true():
            await trio.sleep(0.01)


BODY = {"grant_type": "client_credentials", "appkey": APP_KEY, "secretkey": APP_SECRET}
POST = b"POST /oauth2/Approval HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


@pytest.mark.parametrize("halfway", ["true", "false"])
async def test_reset(halfway: str) -> None:
    text = faults(f'do = "reset", since = "open", at = "100ms", halfway = {halfway}')
    async with a_broker(scenario=text) as (broker, addresses), bare(addresses) as client:
        with pytest.raises(trio.BrokenResourceError):
            await client.rest()
        assert broker.status().ended[End.FAULT] == 1
        assert broker.status().faults == {"reset": 1}


async def test_fin_in_the_middle_of_a_frame() -> None:
    text = faults('do = "fin", since = "open", at = "100ms", halfway = true')
    async with a_broker(scenario=text) as (_, addresses), bare(addresses) as client:
        received = await client.rest()
        assert received[0] == 0x81
        assert len(received) < received[1] + 2


async def test_fin_is_no_close_frame() -> None:
    text = faults('do = "fin", since = "subscribed", at = "100ms"')
    async with a_broker(scenario=text) as (broker, addresses), a_client(addresses) as client:
        assert (await client.ask())["body"]["msg_cd"] == ACK
        assert await close_code(client) == 1006
        assert broker.status().faults == {"fin": 1}


async def test_close_with_its_code() -> None:
    text = faults('do = "close", since = "open", at = "100ms", code = 1011')
    async with a_broker(scenario=text) as (broker, addresses), a_client(addresses) as client:
        assert await close_code(client) == 1011
        assert broker.status().ended[End.FAULT] == 1


async def test_close_frame_with_tcp_kept_open() -> None:
    text = faults('do = "close", since = "open", at = "100ms", keep_tcp = true')
    async with a_broker(scenario=text) as (broker, addresses), bare(addresses) as client:
        with trio.fail_after(5):
            assert (await client.stream.receive_some())[:4] == b"\x88\x02\x03\xe9"
        with trio.move_on_after(1.2) as patience:  # longer than a farewell may take
            await client.stream.receive_some()
        assert patience.cancelled_caught, "the connection ended"
        assert broker.status().connections == 0


async def test_the_whole_simulator_still_stops_at_once_while_a_connection_is_kept_open() -> None:
    text = faults('do = "close", since = "open", keep_tcp = true')
    with trio.fail_after(3):
        async with a_broker(scenario=text) as (_, addresses), bare(addresses) as client:
            await client.stream.receive_some()


async def test_ends_again_and_again_but_so_many_times_only() -> None:
    text = faults('do = "fin", since = "open", at = "100ms", limit = 2')
    async with a_broker(scenario=text) as (broker, addresses):
        for _ in range(2):
            async with a_client(addresses) as client:
                assert await close_code(client) == 1006
        async with a_client(addresses) as client:
            await trio.sleep(0.3)
            assert (await client.ask())["body"]["msg_cd"] == ACK
        assert broker.status().faults == {"fin": 2}


async def test_silence_of_everything(autojump_clock: MockClock) -> None:
    text = faults('do = "silence", since = "open", at = "5s", for = "2m"')
    broker = Broker(Settings(symbols=1), EAGER, parse(text))
    async with a_client_in_memory(broker) as client:
        assert (await client.ask())["body"]["msg_cd"] == ACK
        heard = trio.current_time()
        with trio.move_on_after(100):
            while True:
                await client.socket.get_message()
                heard = trio.current_time()
        assert heard == pytest.approx(5, abs=0.2)


async def test_who_closes_into_the_silence_is_not_answered_and_keeps_the_app_key_taken() -> None:
    text = faults('do = "silence", since = "subscribed", at = "200ms"', 'do = "slot-kept", keep = "1m"')
    async with a_broker(scenario=text) as (broker, addresses):
        async with a_client(addresses) as client:
            await client.ask()
            await trio.sleep(0.4)
            with trio.move_on_after(0.5) as patience:
                await client.socket.aclose()
            assert patience.cancelled_caught, "the close frame was answered"
            assert broker.status().connections == 1
        await until(lambda: broker.status().ended[End.LOST] == 1)
        async with a_client(addresses) as client:
            assert (await client.ask())["body"]["msg_cd"] == "OPSP8996"


async def test_silence_of_data_while_pingpong_lives(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER, parse(faults('do = "no-data", since = "open", at = "5s", for = "1m"')))
    async with a_client_in_memory(broker) as client:
        await client.ask()
        pings, data = [], []
        while trio.current_time() < 80:
            text = await client.socket.get_message()
            assert isinstance(text, str)
            if "PINGPONG" in text:
                await client.socket.send_message(text)
                pings.append(trio.current_time())
            else:
                data.append(trio.current_time())
        assert len(pings) >= 4
        assert not [at for at in data if 5.2 < at < 65]
        assert max(data) > 65


async def test_one_symbol_is_silent_while_another_trades() -> None:
    text = faults('do = "no-data", symbols = ["000660"]')
    async with a_broker(scenario=text, rate=200, symbols=2) as (broker, addresses), a_client(addresses) as client:
        await client.ask("005930")
        await client.ask("000660")
        seen = "".join([await client.data() for _ in range(30)])
        assert "005930^" in seen
        assert "000660^" not in seen
        assert broker.status().faults["no-data"] > 0


async def test_a_ghost_is_acknowledged_and_gets_nothing_until_it_is_subscribed_anew() -> None:
    text = faults('do = "ghost", symbols = ["000660"], limit = 1')
    async with a_broker(scenario=text, rate=3_000, symbols=2) as (_, addresses), a_client(addresses) as client:
        await client.ask("005930")
        assert (await client.ask("000660"))["body"]["msg_cd"] == ACK
        assert "000660^" not in "".join([await client.data() for _ in range(30)])
        assert (await client.ask("000660", tr_type="2"))["body"]["msg_cd"] == "OPSP0001"
        assert (await client.ask("000660"))["body"]["msg_cd"] == ACK
        client.aside.clear()
        assert "000660^" in "".join([await client.data() for _ in range(30)])


async def test_pingpong_never_sent(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER, parse(faults('do = "no-pingpong", for = "5m"')))
    async with a_client_in_memory(broker) as client:
        assert "PINGPONG" in str(await client.socket.get_message())
        assert trio.current_time() >= 300


async def test_pingpong_at_another_pace(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER, parse(faults('do = "pingpong", idle = "3s", patience = "100s"')))
    async with a_client_in_memory(broker) as client:
        assert "PINGPONG" in str(await client.socket.get_message())
        assert trio.current_time() == pytest.approx(3, abs=0.3)
        assert await close_code(client, within_s=200) == 1006
        assert trio.current_time() == pytest.approx(103, abs=0.3)


async def test_nobody_is_dropped_by_a_broker_that_fell_silent(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER, parse(faults('do = "silence", at = "12s", for = "1m"')))
    async with a_client_in_memory(broker) as client:
        assert "PINGPONG" in str(await client.socket.get_message())
        assert trio.current_time() == pytest.approx(10, abs=0.3)
        assert "PINGPONG" in str(await client.socket.get_message())  # the first one was never answered
        assert trio.current_time() == pytest.approx(72, abs=0.3)


async def test_pingpong_between_data(autojump_clock: MockClock) -> None:
    text = faults('do = "pingpong", idle = "3s", busy = true')
    broker = Broker(Settings(symbols=1), EAGER, parse(text))
    async with a_client_in_memory(broker) as client:
        await client.ask()
        pings = 0
        while trio.current_time() < 31:
            text = str(await client.socket.get_message())
            if "PINGPONG" in text:
                pings += 1
                await client.socket.send_message(text)
        assert pings == 10


# The opening handshake.


@pytest.mark.parametrize(
    ("how", "answer"),
    [
        ('how = "refuse"', b"HTTP/1.1 403 "),
        ('how = "refuse", status = 503', b"HTTP/1.1 503 "),
        ('how = "garbage"', b"\x15\x03"),
        ('how = "fin"', b""),
        ('how = "reset"', b""),
    ],
)
async def test_spoilt_handshake(how: str, answer: bytes) -> None:
    async with a_broker(scenario=faults(f'do = "handshake", {how}, limit = 1')) as (broker, addresses):
        received = await raw(addresses, HANDSHAKE)
        assert received[: len(answer)] == answer
        assert b" 101 " not in received
        assert broker.status().faults == {"handshake": 1}
        assert (broker.status().handshakes_refused, broker.status().connections_opened) == (1, 0)
        async with a_client(addresses) as client:
            assert (await client.ask())["body"]["msg_cd"] == ACK


async def test_handshake_reset_is_a_reset() -> None:
    async with a_broker(scenario=faults('do = "handshake", how = "reset"')) as (_, addresses):
        with pytest.raises(trio.BrokenResourceError):
            async with bare(addresses):
                raise AssertionError("a connection came of it")


async def test_handshake_never_answered(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER, parse(faults('do = "handshake", how = "silent"')))
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker._serve, theirs)
        await ours.send_all(HANDSHAKE)
        with trio.move_on_after(120) as patience:
            await ours.receive_some()
        assert patience.cancelled_caught
        await ours.aclose()
    assert trio.current_time() == pytest.approx(120)


# The approval endpoint.


async def ask(addresses: Addresses, **options: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(**options) as http:
        return await http.post(f"{addresses.rest_url}/oauth2/Approval", json=BODY)


async def test_approval_error_for_the_first_two_requests() -> None:
    text = faults('do = "approval-error", code = "EGW00103", limit = 2')
    async with a_broker(scenario=text) as (broker, addresses):
        for _ in range(2):
            response = await ask(addresses)
            assert response.status_code == 403
            assert response.json()["error_code"] == "EGW00103"
            assert response.json()["error_description"] == "유효하지 않은 AppKey입니다."
        assert len((await ask(addresses)).json()["approval_key"]) == 36
        assert (broker.status().approvals, broker.status().approvals_refused) == (1, 2)


@pytest.mark.parametrize(("body", "kind"), [("empty", "json"), ("html", "html"), ("json", "json")])
async def test_approval_status(body: str, kind: str) -> None:
    text = faults(f'do = "approval-status", status = 502, body = "{body}"')
    async with a_broker(scenario=text) as (_, addresses):
        response = await ask(addresses)
        assert response.status_code == 502
        assert kind in response.headers["content-type"]
        assert bool(response.content) == (body != "empty")


@pytest.mark.parametrize("form", ["truncated", "malformed", "html", "empty", "list", "no-key"])
async def test_approval_body(form: str) -> None:
    async with a_broker(scenario=faults(f'do = "approval-body", form = "{form}"')) as (_, addresses):
        response = await ask(addresses)
        assert response.status_code == 200
        try:
            document = response.json()
        except ValueError:
            assert form in ("truncated", "malformed", "html", "empty")
        else:
            assert form in ("list", "no-key")
            assert "approval_key" not in document


async def test_approval_body_without_end() -> None:
    body = json.dumps(BODY).encode()
    async with a_broker(scenario=faults('do = "approval-body", form = "endless"')) as (broker, addresses):
        received = 0
        async with await trio.open_tcp_stream("127.0.0.1", int(addresses.rest_url.rpartition(":")[2])) as stream:
            await stream.send_all(POST % len(body) + body)
            with trio.fail_after(5):
                while received < 5_000_000:
                    received += len(await stream.receive_some())
        assert broker.status().faults == {"approval-body": 1}


async def test_approval_slow() -> None:
    text = faults('do = "approval-slow", by = "300ms"')
    async with a_broker(scenario=text) as (_, addresses):
        before = trio.current_time()
        assert (await ask(addresses)).status_code == 200
        assert trio.current_time() - before >= 0.3
        with pytest.raises(httpx2.ReadTimeout):
            await ask(addresses, timeout=0.1)


async def test_approval_slower_than_the_patience_with_clients(autojump_clock: MockClock) -> None:
    body = json.dumps(BODY).encode()
    broker = Broker(Settings(), EAGER, parse(faults('do = "approval-slow", by = "2m"')))
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker._endpoint.serve, theirs)
        await ours.send_all(POST % len(body) + body)
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 200 ")
        assert trio.current_time() == pytest.approx(120)
        await ours.aclose()


async def test_approval_byte_by_byte_and_wrong_at_that() -> None:
    text = faults('do = "approval-slow", by = "1ms", byte_by_byte = true', 'do = "approval-body", form = "no-key"')
    async with a_broker(scenario=text) as (_, addresses):
        before = trio.current_time()
        response = await ask(addresses)
        assert response.json() == {"access_token": "5afef635-68e7-4fad-8762-ae132d1b36d3"}
        assert trio.current_time() - before >= 0.1  # over a hundred bytes


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_approval_ends(how: str) -> None:
    async with a_broker(scenario=faults(f'do = "approval-end", how = "{how}"')) as (_, addresses):
        with pytest.raises(httpx2.TransportError) as caught:
            await ask(addresses)
        assert isinstance(caught.value, httpx2.ReadError) == (how == "reset")


async def test_approval_never_answered() -> None:
    async with a_broker(scenario=faults('do = "approval-end", how = "silent"')) as (_, addresses):
        with pytest.raises(httpx2.ReadTimeout):
            await ask(addresses, timeout=0.3)


async def test_a_dud_key_is_refused_by_the_websocket() -> None:
    async with a_broker(scenario=faults('do = "approval-dud", limit = 1')) as (_, addresses):
        async with a_client(addresses) as client:
            assert (await client.ask())["body"]["msg_cd"] == "OPSP0011"
            assert await close_code(client) == 1006
        async with a_client(addresses) as client:
            assert (await client.ask())["body"]["msg_cd"] == ACK


# App keys in use, and blocks.


async def test_app_key_in_use_for_a_while_and_an_open_session_lives() -> None:
    text = faults('do = "in-use", at = "300ms", for = "500ms"')
    async with a_broker(scenario=text) as (_, addresses), a_client(addresses) as first:
        await first.ask()
        await trio.sleep(0.35)
        async with a_client(addresses, app_key="ANOTHER") as client:
            answer = await client.ask()
            assert answer["body"]["msg_cd"] == "OPSP8996"
            assert answer["header"]["tr_id"] == "(null)"
            assert await close_code(client) == 1006
        assert (await first.ask("000660"))["body"]["msg_cd"] == ACK
        await trio.sleep(0.5)
        async with a_client(addresses, app_key="ANOTHER") as client:
            assert (await client.ask())["body"]["msg_cd"] == ACK


async def test_an_end_by_a_fault_leaves_the_app_key_taken() -> None:
    text = faults('do = "reset", since = "subscribed", limit = 1', 'do = "slot-kept", keep = "600ms"')
    async with a_broker(scenario=text) as (_, addresses):
        async with a_client(addresses) as client:
            await client.ask()
            assert await close_code(client) == 1006
        async with a_client(addresses) as client:
            assert (await client.ask())["body"]["msg_cd"] == "OPSP8996"
        await trio.sleep(0.7)
        async with a_client(addresses) as client:
            assert (await client.ask())["body"]["msg_cd"] == ACK


async def test_accept_then_kick() -> None:
    text = faults('do = "fin", since = "subscribed", at = "100ms"')
    async with a_broker(scenario=text, rate=200) as (broker, addresses):
        for _ in range(3):
            async with a_client(addresses) as client:
                assert (await client.ask())["body"]["msg_cd"] == ACK
                assert await close_code(client) == 1006
        assert broker.status().faults == {"fin": 3}


async def test_too_many_connections_end_in_a_block() -> None:
    text = faults('do = "churn-block", connections = 3, within = "1m", block = "500ms"')
    async with a_broker(scenario=text) as (broker, addresses):
        for _ in range(3):
            async with a_client(addresses):
                pass
        key = await approval_key(addresses)
        assert (await raw(addresses, HANDSHAKE)).startswith(b"HTTP/1.1 403 ")
        status = broker.status()
        assert (status.connections_opened, status.handshakes_refused, status.blocks, status.blocked) == (3, 1, 1, True)
        assert status.faults == {"churn-block": 1}
        assert (await ask(addresses)).status_code == 403
        await trio.sleep(0.6)
        assert not broker.status().blocked
        assert len(await approval_key(addresses)) == len(key)


async def test_endless_subscribing_ends_in_a_block_and_the_session_lives() -> None:
    text = faults('do = "churn-block", subscriptions = 4, within = "1m", block = "1m"')
    async with a_broker(scenario=text) as (broker, addresses), a_client(addresses) as client:
        for tr_type in ("1", "2", "1", "2", "1"):
            assert not broker.status().blocked
            await client.ask(tr_type=tr_type)
        assert broker.status().blocked
        assert (broker.status().subscriptions_asked, broker.status().unsubscriptions_asked) == (3, 2)
        assert (await ask(addresses)).status_code == 403
        await client.data()
