"""One call over a real socket, and whatever may come instead of an answer."""

import logging
import socket
import time

import pytest
from pydantic import SecretStr
from receivers import Behaviour, Receiver, endless, hang, listening, reply, reset, trickle

from engine.heartbeat.call import Caller

PATH = "/ping/TEST-CANARY-0123456789?x=1"


def caller(receiver: Receiver, deadline_s: float = 5) -> Caller:
    return Caller(SecretStr(f"http://127.0.0.1:{receiver.port}{PATH}"), deadline_s=deadline_s)


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_it_is_heard(status: int) -> None:
    with listening(reply(status, body=b"")) as receiver:
        assert await caller(receiver).call() is None
    (request,) = receiver.requests
    assert request.line == f"GET {PATH} HTTP/1.1"
    assert request.headers["user-agent"].startswith("pgmwatch/")


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
async def test_any_other_status_is_a_failure(status: int) -> None:
    with listening(reply(status)) as receiver:
        assert await caller(receiver).call() == f"HTTP {status}"


async def test_a_redirect_is_not_followed() -> None:
    with listening(reply(200)) as elsewhere:
        with listening(reply(302, f"Location: http://127.0.0.1:{elsewhere.port}/\r\n")) as receiver:
            assert await caller(receiver).call() == "HTTP 302"
        assert elsewhere.requests == []


async def test_a_proxy_of_this_machine_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with listening(reply(200)) as proxy, listening(reply(200)) as receiver:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await caller(receiver).call() is None
    assert (len(receiver.requests), proxy.requests) == (1, [])


@pytest.mark.parametrize("behaviour", [trickle, endless], ids=["trickle", "endless"])
async def test_a_reply_without_an_end_is_not_waited_for(behaviour: Behaviour) -> None:
    with listening(behaviour) as receiver:
        began = time.monotonic()
        assert await caller(receiver).call() is None
        assert time.monotonic() - began < 3


async def test_one_that_says_nothing_is_given_up_at_the_deadline() -> None:
    with listening(hang) as receiver:
        assert await caller(receiver, deadline_s=0.2).call() == "no answer within 0.2 s"


async def test_one_that_hangs_up_is_a_failure_without_words_of_the_peer() -> None:
    with listening(reset) as receiver:
        assert await caller(receiver).call() in ("ReadError", "RemoteProtocolError")
    nobody = socket.create_server(("127.0.0.1", 0))
    port = nobody.getsockname()[1]
    nobody.close()
    assert await Caller(SecretStr(f"http://127.0.0.1:{port}/")).call() == "ConnectError"


async def test_the_address_is_in_no_log_however_much_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with listening(reply(503)) as receiver:
        called = caller(receiver)
        await called.call()
    assert "TEST-CANARY" not in caplog.text + repr(called) + str(vars(called))
