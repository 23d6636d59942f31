import json
import logging
import socket
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
from Crypto.Cipher import AES
from simulator_client import (
    APP_KEY,
    APP_SECRET,
    EAGER,
    HANDSHAKE,
    Client,
    a_broker,
    a_client,
    a_client_in_memory,
    raw,
    request,
)
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from engine.config.model import Simulator as Settings
from engine.record import FIELDS
from engine.simulator import connection as connection_module
from engine.simulator.connection import End, Pulse
from engine.simulator.server import Addresses, Behaviour, Broker, SimulatorError, serve


def records(frame: str) -> list[list[str]]:
    """The records of a plain data frame, as lists of fields."""
    flag, tr_id, count, payload = frame.split("|", 3)
    fields = payload.split("^")
    assert flag == "0"
    assert tr_id in ("H0STPGM0", "H0NXPGM0", "H0UNPGM0")
    assert len(count) == 3
    assert 1 <= int(count) <= 20
    assert len(fields) == int(count) * len(FIELDS)
    return [fields[at : at + len(FIELDS)] for at in range(0, len(fields), len(FIELDS))]


async def wait_for_end(client: Client, *, within_s: float = 5) -> int:
    """Read until the connection ends; its close code (1006: without a close frame)."""
    with trio.fail_after(within_s):
        try:
            while True:
                await client.socket.get_message()
        except ConnectionClosed as closed:
            assert closed.reason is not None
            return closed.reason.code


async def until(true: Callable[[], bool]) -> None:
    """Look often; what is waited for happens in the simulator, which has no event for each of its steps."""
    with trio.fail_after(20):
        while not true():
            await trio.sleep(0.01)


@pytest.mark.parametrize("path", ["", "/", "/tryitout", "/tryitout/H0STPGM0", "/?x=1"])
async def test_a_session_on_every_path(path: str) -> None:
    async with a_broker(rate=200) as (broker, addresses), a_client(addresses, path) as client:
        answer = await client.ask("005930")
        assert answer["header"] == {"tr_id": "H0STPGM0", "tr_key": "005930", "encrypt": "N"}
        assert answer["body"]["msg_cd"] == "OPSP0000"
        assert (len(answer["body"]["output"]["iv"]), len(answer["body"]["output"]["key"])) == (16, 32)
        assert client.aside == [], "data came before its acknowledgement"
        for record in records(await client.data()):
            assert record[0] == "005930"
            assert int(record[6]) == int(record[4]) - int(record[2])
        status = broker.status()
        assert (status.connections, status.sessions, status.registrations, status.approvals) == (1, 1, 1, 1)
    assert broker.status().ended[End.CLOSED] == 1


@pytest.mark.parametrize("path", ["/tryitout/", "/tryitout/H0/ST", "/websocket", "/oauth2/Approval"])
async def test_other_paths_are_not_found(path: str) -> None:
    async with a_broker() as (_, addresses):
        answer = await raw(addresses, HANDSHAKE.replace(b" / ", f" {path} ".encode()))
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"/tryitout/<TR_ID>" in answer


async def test_records_of_several_symbols_share_frames_and_only_registered_ones_come(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(rate=2_000), EAGER)
    async with a_client_in_memory(broker) as client:
        wanted = {"005930", "000660", "0162Z0"}
        for code in wanted:
            assert (await client.ask(code))["body"]["msg_cd"] == "OPSP0000"
        frames = [records(await client.data()) for _ in range(100)]
        assert {record[0] for frame in frames for record in frame} == wanted
        assert any(len({record[0] for record in frame}) > 1 for frame in frames)
        assert len({len(frame) for frame in frames}) > 3
        assert broker.status().symbols == 21


async def test_the_three_trs_are_markets_of_their_own() -> None:
    async with a_broker(rate=400) as (_, addresses), a_client(addresses) as client:
        totals = {}
        for tr_id in ("H0STPGM0", "H0NXPGM0", "H0UNPGM0"):
            await client.ask("005930", tr_id=tr_id)
            while not (frame := await client.data()).startswith(f"0|{tr_id}|"):
                pass
            totals[tr_id] = records(frame)[0][2]
            await client.ask("005930", tr_id=tr_id, tr_type="2")
            client.aside.clear()
        assert len(set(totals.values())) == 3


async def test_after_unsubscribing_nothing_comes() -> None:
    async with a_broker(rate=400) as (_, addresses), a_client(addresses) as client:
        await client.ask("005930")
        await client.data()
        assert (await client.ask("005930", tr_type="2"))["body"]["msg_cd"] == "OPSP0001"
        with trio.move_on_after(0.3):
            await client.socket.get_message()
            raise AssertionError("data after the acknowledgement of the unsubscription")


async def test_wrong_requests_are_answered_and_the_session_lives() -> None:
    async with a_broker() as (_, addresses), a_client(addresses) as client:
        for text, msg_cd in (
            ("rubbish", "OPSP9999"),
            (b"\x00\x01", "OPSP9999"),
            (json.dumps({"header": {}}), "OPSP9998"),
            (request(client.key, "5930"), "OPSP8992"),
            (request(client.key, tr_id="H0STCNT0"), "OPSP8991"),
            (request(client.key, tr_type="0"), "OPSP8997"),
        ):
            assert (await client.say(text))["body"]["msg_cd"] == msg_cd
        assert (await client.ask())["body"]["msg_cd"] == "OPSP0000"


async def test_an_unknown_approval_key_costs_the_connection() -> None:
    async with a_broker() as (broker, addresses), a_client(addresses) as client:
        client.key = "no key of ours"
        assert await client.ask() == {
            "body": {"rt_cd": "1", "msg_cd": "OPSP0011", "msg1": "invalid approval : NOT FOUND"}
        }
        assert await wait_for_end(client) == 1006
        assert broker.status().ended[End.REFUSED] == 1


async def test_the_answer_that_ends_a_session_arrives_even_when_requests_were_queued_behind() -> None:
    async with a_broker() as (_, addresses), a_client(addresses) as client:
        with suppress(ConnectionClosed):
            for number in range(41):
                await client.socket.send_message(request("no key of ours", f"{number:06d}"))
        assert (await client.answer())["body"]["msg_cd"] == "OPSP0011"
        assert await wait_for_end(client) == 1006


async def test_the_second_session_of_an_app_key_is_refused_at_its_first_request() -> None:
    async with a_broker(rate=400) as (_, addresses), a_client(addresses) as first:
        await first.ask()
        async with a_client(addresses) as second:
            answer = await second.ask("000660")
            assert answer["header"] == {"tr_id": "(null)", "tr_key": "", "encrypt": "N"}
            assert answer["body"] == {"rt_cd": "9", "msg_cd": "OPSP8996", "msg1": "ALREADY IN USE appkey"}
            assert await wait_for_end(second) == 1006
        async with a_client(addresses, app_key="ANOTHER-APP-KEY") as other:
            assert (await other.ask())["body"]["msg_cd"] == "OPSP0000"
            await other.data()
        await first.data()


async def test_whoever_closed_cleanly_may_come_back_at_once() -> None:
    async with a_broker(Behaviour(approval_interval_s=0, slot_kept_s=60)) as (broker, addresses):
        for _ in range(5):
            async with a_client(addresses) as client:
                assert (await client.ask())["body"]["msg_cd"] == "OPSP0000"
        assert broker.status().ended[End.CLOSED] == 5


async def test_an_abnormal_end_may_keep_the_app_key_taken() -> None:
    async with a_broker(Behaviour(approval_interval_s=0, slot_kept_s=60)) as (broker, addresses):
        async with a_client(addresses) as client:
            await client.ask()
            await client.socket._stream.aclose()
            await until(lambda: broker.status().ended[End.LOST] == 1)
        async with a_client(addresses) as client:
            assert (await client.ask())["body"]["msg_cd"] == "OPSP8996"


async def test_encrypted_frames_can_be_read_with_the_acknowledged_key() -> None:
    async with a_broker(Behaviour(encrypted=True), rate=400) as (_, addresses), a_client(addresses) as client:
        answer = await client.ask()
        assert answer["header"]["encrypt"] == "Y"
        output = answer["body"]["output"]
        flag, _, count, payload = (await client.data()).split("|", 3)
        aes = AES.new(output["key"].encode(), AES.MODE_CBC, output["iv"].encode())
        plain = aes.decrypt(b64decode(payload, validate=True))
        fields = plain[: -plain[-1]].decode().split("^")
        assert flag == "1"
        assert len(fields) == int(count) * 11
        assert fields[0] == "005930"


async def test_the_end_of_the_simulator_is_a_close_frame() -> None:
    async with trio.open_nursery() as nursery:
        broker = Broker(Settings(), EAGER)
        scope = trio.CancelScope()

        async def run(task_status: trio.TaskStatus[Addresses]) -> None:
            with scope:
                await broker.run(task_status=task_status)

        addresses = await nursery.start(run)
        async with a_client(addresses) as client:
            await client.ask()
            scope.cancel()
            assert await wait_for_end(client) == 1001
    assert broker.status().ended[End.STOPPED] == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\xfe\x40\x01\0\0\0\0" + b"x" * 16_385, 1009),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x01x", 1002),
    ],
    ids=["too large", "not UTF-8", "unknown opcode", "not masked"],
)
async def test_a_breach_of_the_websocket_protocol_is_answered_with_its_close_code(sent: bytes, code: int) -> None:
    async with a_broker() as (broker, addresses), a_client(addresses) as client:
        await client.ask()
        await client.socket._stream.send_all(sent)
        assert await wait_for_end(client) == code
        assert broker.status().ended[End.VIOLATION] == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: \xff\xfe\r\nconnection: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a" * 100_000,
        b"",
    ],
)
async def test_what_is_no_handshake_harms_nobody(sent: bytes) -> None:
    async with a_broker(rate=400) as (_, addresses), a_client(addresses) as client:
        await client.ask()
        assert b" 101 " not in await raw(addresses, sent)
        await client.data()


# Time: the connection is no socket, the clock jumps.


@pytest.mark.parametrize("how", ["echo", "pong", "ping"])
async def test_pingpong_after_ten_quiet_seconds_and_three_ways_to_answer(how: str, autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER)
    async with a_client_in_memory(broker) as client:
        for _ in range(5):
            before = trio.current_time()
            text = await client.socket.get_message()
            assert isinstance(text, str)
            assert json.loads(text)["header"]["tr_id"] == "PINGPONG"
            assert trio.current_time() - before == pytest.approx(10)
            if how == "echo":
                await client.socket.send_message(text)
            elif how == "pong":
                await client.socket.pong(text.encode())
            else:
                await client.socket.ping(text.encode())
        assert (await client.ask())["body"]["msg_cd"] == "OPSP0000"


@pytest.mark.parametrize("patience_s", [10.0, 100.0])
@pytest.mark.parametrize("reply", [None, '{"header":{"tr_id":"PINGPONG","datetime":"20230502221924"}}', "x"])
async def test_a_client_that_leaves_pingpong_unanswered_is_dropped(
    reply: str | None, patience_s: float, autojump_clock: MockClock
) -> None:
    broker = Broker(Settings(), Behaviour(pulse=Pulse(patience_s=patience_s)))
    async with a_client_in_memory(broker) as client:
        await client.socket.get_message()
        if reply is not None:
            await client.socket.send_message(reply)
        before = trio.current_time()
        assert await wait_for_end(client, within_s=200) == 1006
        assert trio.current_time() - before == pytest.approx(patience_s, abs=0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert broker.status().ended[End.SILENT] == 1


async def test_a_busy_connection_sees_no_pingpong(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(symbols=1), EAGER)
    async with a_client_in_memory(broker) as client:
        await client.ask()
        while trio.current_time() < 60:
            assert records(await client.data())


async def test_frames_of_a_lively_market_carry_one_to_twenty_records(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER)
    async with a_client_in_memory(broker) as client:
        for code in ("005930", "000660", "373220", "207940", "005380", "000270", "068270", "005490", "035420"):
            await client.ask(code)
        counts = [len(records(await client.data())) for _ in range(300)]
        assert min(counts) == 1
        assert max(counts) > 4


async def test_a_client_that_reads_nothing_is_cut_off_by_time(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(symbols=1, rate=1), Behaviour(pulse=Pulse(patience_s=100)))
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker._serve, _stuck(theirs))
        await ours.send_all(HANDSHAKE)
        await trio.sleep(60)
        assert broker.status().ended[End.SLOW] == 1
        assert broker.status().connections == 0


async def test_a_client_that_lags_too_far_is_cut_off_by_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MAX_WAITING", 5)
    async with a_broker(rate=20_000, symbols=1) as (broker, addresses), a_client(addresses) as client:
        await client.socket.send_message(request(client.key))
        await until(lambda: broker.status().ended[End.SLOW] == 1)
        assert broker.status().sessions == 0


def _stuck(
    stream: "trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]",
) -> trio.abc.HalfCloseableStream:
    """The stream, but after the handshake nothing more gets out."""
    sends = 0

    async def send_hook() -> None:
        nonlocal sends
        sends += 1
        if sends > 1:
            await trio.sleep_forever()

    stream.send_stream.send_all_hook = send_hook
    return stream


async def test_a_handshake_that_does_not_come_is_not_waited_for(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(), EAGER)
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(HANDSHAKE[:-2])
    await broker._serve(theirs)
    assert trio.current_time() == pytest.approx(10)
    assert broker.status().connections == 0


async def test_too_many_connections_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.simulator.server.MAX_CONNECTIONS", 1)
    async with a_broker() as (_, addresses), a_client(addresses):
        assert (await raw(addresses, HANDSHAKE)).startswith(b"HTTP/1.1 503 ")


# Start, log, addresses.


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.invalid", ""])
async def test_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(SimulatorError, match="this machine only"):
        await serve(Settings(), host=host)


async def test_a_taken_port_is_a_plain_error() -> None:
    async with a_broker() as (_, addresses):
        port = int(addresses.rest_url.rpartition(":")[2])
        with pytest.raises(SimulatorError, match=f"cannot listen on 127.0.0.1:{port}"):
            await serve(Settings(), rest_port=port)
        with pytest.raises(SimulatorError, match=f"cannot listen on 127.0.0.1:{port}"):
            await serve(Settings(), websocket_port=port)
    with pytest.raises(SimulatorError, match="cannot listen"):
        await serve(Settings(), rest_port=70_000)


async def test_a_scenario_is_not_silently_left_out() -> None:
    with pytest.raises(SimulatorError, match=r"storm\.toml"):
        await serve(Settings(scenario="storm.toml"))


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "[::1]")])
async def test_addresses_can_be_used_as_they_are(host: str, shown: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 here")
    async with a_broker(host=host) as (_, addresses), a_client(addresses) as client:
        assert addresses.websocket_url.startswith(f"ws://{shown}:")
        assert (await client.ask())["body"]["msg_cd"] == "OPSP0000"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_the_log_has_a_line_for_each_transition_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="engine")
    async with a_broker() as (_, addresses), a_client(addresses) as client:
        await client.ask()
        await client.ask("000660", tr_type="2")
        await client.say(request(client.key, "비밀\n가짜 줄"))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("engine")]
    assert "simulator connection=1 open path=/" in lines
    assert "simulator connection=1 answer=OPSP0000 registration=H0STPGM0/005930 registrations=1" in lines
    assert "simulator connection=1 answer=OPSP0003 registration=H0STPGM0/000660 registrations=1" in lines
    assert "simulator connection=1 answer=OPSP8992 registration=- registrations=1" in lines
    assert any(line.startswith("simulator connection=1 closed reason=closed frames=") for line in lines)
    assert not any(secret in line for line in lines for secret in (client.key, APP_KEY, APP_SECRET, "\n"))
