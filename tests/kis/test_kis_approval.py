"""The approval key over real sockets: what is asked, what may come back, and what never shows."""

import json
import logging
import time
import traceback

import pytest
import trio
from kis_broker import Handler, listening, reset
from pydantic import SecretStr

from engine.config.model import Account
from engine.kis.approval import (
    MAX_REPLY,
    ApprovalError,
    AskedTooOftenError,
    BadReplyError,
    CredentialsRefusedError,
    UnreachableError,
    approval_key,
)

ACCOUNT = Account(name="main", app_key=SecretStr("TEST-APP-KEY"), app_secret=SecretStr("TEST-APP-SECRET"))
KEY = "TEST-APPROVAL-0123-4567-89ab-cdef"


async def read_request(stream: trio.SocketStream) -> tuple[bytes, bytes]:
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += await stream.receive_some(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += await stream.receive_some(65536)
    return head, body


def http(body: bytes | str, status: str = "200 OK", *headers: str) -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(raw)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + raw


def replying(*chunks: bytes, gap_s: float = 0.0) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        await read_request(stream)
        for chunk in chunks:
            await stream.send_all(chunk)
            await trio.sleep(gap_s)

    return handle


async def ask(handler: Handler, *, suffix: str = "") -> SecretStr:
    async with listening(handler) as port:
        return await approval_key(f"http://127.0.0.1:{port}{suffix}", ACCOUNT)


async def refused(handler: Handler, *, deadline_s: float = 5) -> ApprovalError:
    errors: list[ApprovalError] = []
    async with listening(handler) as port:
        try:
            await approval_key(f"http://127.0.0.1:{port}", ACCOUNT, deadline_s=deadline_s)
        except ApprovalError as error:
            errors.append(error)
    shown = "".join(traceback.format_exception(errors[0]))
    assert "TEST-APP" not in shown
    assert str(errors[0])
    return errors[0]


@pytest.mark.parametrize("suffix", ["", "/"])
async def test_the_request_is_the_brokers(suffix: str) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def handle(stream: trio.SocketStream) -> None:
        seen.append(await read_request(stream))
        await stream.send_all(http(json.dumps({"approval_key": KEY})))

    key = await ask(handle, suffix=suffix)
    assert key.get_secret_value() == KEY
    assert KEY not in f"{key!r} {key}"
    head, body = seen[0]
    assert head.startswith(b"POST /oauth2/Approval HTTP/1.1\r\n")
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body) == {
        "grant_type": "client_credentials",
        "appkey": "TEST-APP-KEY",
        "secretkey": "TEST-APP-SECRET",
    }


@pytest.mark.parametrize("length", [1, 36, 286, 4000])
async def test_the_length_of_a_key_is_not_ours_to_judge(length: int) -> None:
    key = await ask(replying(http(json.dumps({"approval_key": "k" * length}))))
    assert len(key.get_secret_value()) == length


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("EGW00103", CredentialsRefusedError),
        ("EGW00105", CredentialsRefusedError),
        ("EGW00133", AskedTooOftenError),
        ("EGW00201", AskedTooOftenError),
    ],
)
@pytest.mark.parametrize("status", ["403 Forbidden", "200 OK", "500 Internal Server Error"])
async def test_the_brokers_code_decides(code: str, kind: type[ApprovalError], status: str) -> None:
    body = json.dumps({"error_description": "유효하지 않은 AppKey입니다.\x1b[2J", "error_code": code})
    error = await refused(replying(http(body, status)))
    assert type(error) is kind
    assert error.code == code
    assert str(error) == f"{code} 유효하지 않은 AppKey입니다. [2J"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", CredentialsRefusedError),
        ("403 Forbidden", CredentialsRefusedError),
        ("500 Internal Server Error", BadReplyError),
        ("200 OK", BadReplyError),
    ],
)
async def test_an_unknown_code_is_a_refusal_where_the_status_says_so(status: str, kind: type[ApprovalError]) -> None:
    error = await refused(replying(http('{"error_code": "EGW00101"}', status)))
    assert (type(error), error.code) == (kind, "EGW00101")


@pytest.mark.parametrize(
    "reply",
    [
        http("<html>maintenance</html>"),
        http("<html>forbidden</html>", "403 Forbidden"),
        http("", "500 Internal Server Error"),
        http("{}"),
        http("[]"),
        http('{"approval_key":null}'),
        http('{"approval_key":""}'),
        http('{"approval_key":5}'),
        http(json.dumps({"approval_key": KEY}), "503 Service Unavailable"),
        http('{"error_code":5}', "403 Forbidden"),
        http('{"error_code":"\\ud800"}', "403 Forbidden"),
        http(b"\xff\xfe{}"),
        http("[" * 16_000),
        http("9" * 16_000),
        http("x" * (MAX_REPLY + 1)),
    ],
)
async def test_replies_that_are_neither(reply: bytes) -> None:
    assert type(await refused(replying(reply))) is BadReplyError


async def test_redirects_are_not_followed() -> None:
    elsewhere: list[bytes] = []

    async def trap(stream: trio.SocketStream) -> None:
        elsewhere.append(await stream.receive_some(100))

    async with listening(trap) as port:
        location = f"Location: http://127.0.0.1:{port}/oauth2/Approval"
        error = await refused(replying(http("", "307 Temporary Redirect", location)))
    assert str(error) == "HTTP 307 without an approval key"
    assert not elsewhere


async def test_an_endless_reply_is_cut() -> None:
    sent = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal sent
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b" " * 65536)
            sent += 65536

    assert str(await refused(handle)) == "HTTP 200 with an endless reply"
    assert sent < 32 * 2**20


async def test_a_packed_reply_is_not_unpacked() -> None:
    packed = b"\x1f\x8b\x08" + b"\x00" * 100
    assert type(await refused(replying(http(packed, "200 OK", "Content-Encoding: gzip")))) is BadReplyError


SLOW = {
    "silence": replying(b"", gap_s=9),
    "status line": replying(*[b"H"] * 50, gap_s=0.02),
    "body": replying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b" "] * 99, gap_s=0.02),
    "continue": replying(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 50, gap_s=0.02),
    "unfinished": replying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", gap_s=9),
}


@pytest.mark.parametrize("name", SLOW)
async def test_silence_and_trickles_end_at_the_deadline(name: str) -> None:
    started = time.monotonic()
    error = await refused(SLOW[name], deadline_s=0.3)
    assert (type(error), str(error)) == (UnreachableError, "no whole reply within 0.3 s")
    assert time.monotonic() - started < 2


async def test_rst_and_fin_and_nobody_there_are_unreachable() -> None:
    async def rst(stream: trio.SocketStream) -> None:
        await read_request(stream)
        reset(stream)

    async def cut(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    for handler in (rst, cut, replying(), replying(b"SSH-2.0-x\r\n\r\n"), replying(b"a: b\r\n" * 50_000)):
        assert type(await refused(handler)) is UnreachableError
    async with listening(rst) as port:
        pass
    with pytest.raises(UnreachableError, match="ConnectError"):
        await approval_key(f"http://127.0.0.1:{port}", ACCOUNT)


async def test_a_url_that_is_none() -> None:
    with pytest.raises(UnreachableError):
        await approval_key("http://[", ACCOUNT)


async def test_nothing_is_logged_by_the_client_even_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await ask(replying(http(json.dumps({"approval_key": KEY}))))
    await refused(replying(http(json.dumps({"error_code": "EGW00103"}), "403 Forbidden")))
    assert [record.name for record in caplog.records] == []


async def test_the_environments_proxy_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert await ask(replying(http(json.dumps({"approval_key": KEY}))))
