from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest
import trio
from simulator_client import APP_KEY, APP_SECRET, EAGER, a_broker
from trio.testing import MockClock, memory_stream_pair

from engine.simulator import approval
from engine.simulator.approval import Endpoint
from engine.simulator.keys import Keys
from engine.simulator.server import Behaviour

BODY = {"grant_type": "client_credentials", "appkey": APP_KEY, "secretkey": APP_SECRET}


@asynccontextmanager
async def http(behaviour: Behaviour = EAGER) -> AsyncIterator[httpx2.AsyncClient]:
    async with a_broker(behaviour) as (_, addresses), httpx2.AsyncClient(base_url=addresses.rest_url) as client:
        yield client


async def test_a_key_for_an_app_key_and_secret() -> None:
    async with http() as client:
        response = await client.post("/oauth2/Approval", json=BODY)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("application/json")
        assert len(response.json()["approval_key"]) == 36
        again = await client.post("/oauth2/Approval", json=BODY)
        assert again.json()["approval_key"] != response.json()["approval_key"]


async def test_refusals_are_the_brokers() -> None:
    async with http(Behaviour(accounts={APP_KEY: APP_SECRET})) as client:
        response = await client.post("/oauth2/Approval", json=BODY | {"appkey": "ANOTHER"})
        assert response.status_code == 403
        assert response.text == '{"error_description":"유효하지 않은 AppKey입니다.","error_code":"EGW00103"}'
        for change, code in (
            ({"secretkey": "wrong"}, "EGW00105"),
            ({"grant_type": "authorization_code"}, "EGW00116"),
            ({"secretkey": ""}, "EGW00104"),
        ):
            response = await client.post("/oauth2/Approval", json=BODY | change)
            assert (response.status_code, response.json()["error_code"]) == (403, code)
        assert (await client.post("/oauth2/Approval", json=BODY)).status_code == 200
        response = await client.post("/oauth2/Approval", json=BODY)
        assert (response.status_code, response.json()["error_code"]) == (403, "EGW00133")


@pytest.mark.parametrize(
    ("content", "content_type", "code"),
    [
        (b"{}", "application/x-www-form-urlencoded", "EGW00132"),
        (b"{", "application/json", "EGW00101"),
        (b"\xff", "application/json", "EGW00101"),
        (b"[" * 8_000, "application/json", "EGW00101"),
        (b"", "application/json", "EGW00101"),
        (b"[]", "application/json; charset=utf-8", "EGW00101"),
    ],
)
async def test_a_body_that_is_not_what_it_should_be(content: bytes, content_type: str, code: str) -> None:
    async with http() as client:
        response = await client.post("/oauth2/Approval", content=content, headers={"content-type": content_type})
        assert (response.status_code, response.json()["error_code"]) == (403, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/oauth2/approval", 404),
        ("POST", "/oauth2/tokenP", 404),
        ("GET", "/", 404),
        ("GET", "/oauth2/Approval", 405),
        ("HEAD", "/oauth2/Approval", 405),
        ("PUT", "/oauth2/Approval?x=1", 405),
    ],
)
async def test_there_is_one_path_and_one_method(method: str, path: str, status: int) -> None:
    async with http() as client:
        response = await client.request(method, path)
        assert response.status_code == status
        assert response.headers.get("allow") == ("POST" if status == 405 else None)


async def test_a_large_body_is_refused_before_it_is_read_whole() -> None:
    async with http() as client:
        response = await client.post("/oauth2/Approval", content=b"x" * (approval.MAX_BODY + 1))
        assert response.status_code == 413


async def exchange(*parts: bytes, pause_s: float = 0, connections: int = 0) -> bytes:
    """What the endpoint answers to raw bytes, over a connection of no sockets."""
    ours, theirs = memory_stream_pair()
    endpoint = Endpoint(Keys(interval_ns=0), lambda: 0)
    endpoint._connections = connections
    received = b""

    async def send() -> None:
        with suppress(trio.BrokenResourceError):
            for part in parts:
                await ours.send_all(part)
                await trio.sleep(pause_s)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(endpoint.serve, theirs)
        nursery.start_soon(send)
        while chunk := await ours.receive_some():
            received += chunk
        nursery.cancel_scope.cancel()
    return received


REQUEST = (
    b"POST /oauth2/Approval HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 79\r\n\r\n"
    b'{"grant_type":"client_credentials","appkey":"TEST-KEY","secretkey":"TEST-SECRET"}'
).replace(b"79", b"81")


async def test_a_request_may_come_byte_by_byte_and_another_after_it(autojump_clock: MockClock) -> None:
    answer = await exchange(*(bytes([byte]) for byte in REQUEST + REQUEST), pause_s=0.01)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b"approval_key") == 2


async def test_a_slow_client_is_cut_off(autojump_clock: MockClock) -> None:
    assert await exchange(*(bytes([byte]) for byte in REQUEST), pause_s=1) == b""
    assert trio.current_time() >= 10
    assert await exchange(b"POST /oauth2/Approval HTTP/1.1\r\n") == b""


async def test_a_client_that_waits_for_leave_gets_it(autojump_clock: MockClock) -> None:
    head, body = REQUEST.split(b"\r\n\r\n")
    answer = await exchange(head + b"\r\nexpect: 100-continue\r\n\r\n", body, pause_s=1)
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 200 " in answer


async def test_what_is_not_http_is_told_so(autojump_clock: MockClock) -> None:
    assert (await exchange(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert (await exchange(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"b" * 20_000)).startswith(b"HTTP/1.1 431 ")


async def test_too_many_connections_are_turned_away(autojump_clock: MockClock) -> None:
    assert await exchange(REQUEST, connections=approval.MAX_CONNECTIONS) == b""
    assert b"approval_key" in await exchange(REQUEST, connections=approval.MAX_CONNECTIONS - 1)


async def test_no_key_or_secret_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="engine")
    async with http() as client:
        key = (await client.post("/oauth2/Approval", json=BODY)).json()["approval_key"]
        await client.post("/oauth2/Approval", json=BODY | {"secretkey": ""})
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("engine")]
    assert "simulator approval=granted" in lines
    assert "simulator approval=refused error_code=EGW00104" in lines
    assert not any(secret in line for line in lines for secret in (key, APP_KEY, APP_SECRET))
