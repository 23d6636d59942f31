"""Sessions over real sockets, and every way in which a peer has been seen to end or spoil one."""

import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from kis_broker import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Handler,
    Peer,
    accept,
    close_frame,
    frame,
    listening,
    reset,
)

from engine.kis import websocket
from engine.kis.websocket import LostError, WebSocket, connect

Script = Callable[[Peer], Awaitable[None]]
MIB = 2**20


@asynccontextmanager
async def raw(handler: Handler, *, opening_s: float = 5, path: str = "/") -> AsyncIterator[WebSocket]:
    async with (
        listening(handler) as port,
        connect(f"ws://127.0.0.1:{port}{path}", opening_s=opening_s) as session,
    ):
        yield session


@asynccontextmanager
async def talking(script: Script, *, polite: bool = True) -> AsyncIterator[WebSocket]:
    """A session with a peer that runs `script` once it is open, then answers a close frame if `polite`.

    Either way it keeps TCP open.
    """

    async def handle(stream: trio.SocketStream) -> None:
        peer = Peer(stream)
        await peer.handshake()
        await script(peer)
        while polite:
            opcode, payload = await peer.read()
            if opcode == CLOSE:
                await stream.send_all(frame(payload, CLOSE))
                break
        await trio.sleep_forever()

    async with raw(handle) as session:
        yield session


async def refused(handler: Handler, *, opening_s: float = 5) -> str:
    """Why it did not open; outside of any group."""
    async with listening(handler) as port:
        started = time.monotonic()
        with pytest.raises(LostError) as caught:
            async with connect(f"ws://127.0.0.1:{port}/", opening_s=opening_s):
                pytest.fail("it opened")
        assert time.monotonic() - started < 3
    return str(caught.value)


def sending(*chunks: bytes, gap_s: float = 0) -> Script:
    async def script(peer: Peer) -> None:
        for chunk in chunks:
            await peer.write(chunk)
            await trio.sleep(gap_s)

    return script


async def lost(session: WebSocket) -> str:
    with trio.fail_after(3):
        try:
            while True:
                await session.receive()
        except LostError as error:
            return str(error)


# -- opening


async def test_what_goes_out_and_comes_in() -> None:
    heads, heard = [], []

    async def handle(stream: trio.SocketStream) -> None:
        peer = Peer(stream)
        heads.append(await peer.request())
        await peer.handshake()
        heard.append(await peer.read())
        await peer.say("안녕")
        assert (await peer.read())[0] == CLOSE
        await stream.send_all(close_frame())

    async with raw(handle, path="/tryitout/H0STPGM0") as session:
        await session.send("hello")
        assert await session.receive() == "안녕"
    assert heads[0].startswith(b"GET /tryitout/H0STPGM0 HTTP/1.1\r\n")
    assert b"sec-websocket-extensions" not in heads[0].lower()
    assert heard == [(TEXT, b"hello")]


async def test_tcp_options() -> None:
    async with talking(sending()) as session:
        stream = session._connection._stream
        assert isinstance(stream, trio.SocketStream)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


async def test_fin_before_the_handshake_reply_is_noticed_at_once() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await Peer(stream).request()

    assert "before the handshake reply" in await refused(handle)


async def test_rst_before_the_handshake_reply_is_noticed_at_once() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await Peer(stream).request()
        reset(stream)

    assert "before the handshake reply" in await refused(handle)


async def test_silence_before_the_handshake_reply_has_its_deadline() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    assert await refused(handle, opening_s=0.2) == "not opened within 0.2 s"


async def test_a_trickling_handshake_reply_has_the_same_deadline() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        for byte in accept(await Peer(stream).request()) * 9:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.02)

    assert await refused(handle, opening_s=0.3) == "not opened within 0.3 s"


async def test_nobody_there() -> None:
    async with listening(lambda stream: stream.aclose()) as port:
        pass
    with pytest.raises(LostError, match="Connection refused"):
        async with connect(f"ws://127.0.0.1:{port}/"):
            pass


async def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(LostError, match=r"no connection to no\.such\.host\.invalid:80 \("):
        async with connect("ws://no.such.host.invalid/"):
            pass


@pytest.mark.parametrize("body", [b"", b"no", None])
async def test_a_refusal_is_told_and_its_body_not_read(body: bytes | None) -> None:
    sent = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal sent
        await Peer(stream).request()
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        await stream.send_all(b"HTTP/1.1 403 Forbidden\r\n" + length + b"\r\n" + (body or b""))
        while body is None:  # without an end
            await stream.send_all(b"x" * MIB)
            sent += MIB

    assert await refused(handle) == "the handshake was refused with HTTP 403"
    assert sent < 32 * MIB


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: \xff\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"\x00" * 70_000,
        b"HTTP/1.1 101 x\r\n" + b"a: b\r\n" * 20_000,
    ],
)
async def test_replies_that_are_no_handshake(reply: bytes) -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await Peer(stream).request()
        await stream.send_all(reply)
        await trio.sleep_forever()

    assert "handshake" in await refused(handle)


# -- frames


async def test_frames_in_one_segment_with_the_handshake_reply_are_lenient_too() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await Peer(stream).handshake(more=frame(b"a\xffb") + frame("c") + close_frame())
        await trio.sleep_forever()

    async with raw(handle) as session:
        assert [await session.receive(), await session.receive()] == ["a\ufffdb", "c"]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"\xff", "\ufffd"),
        (b"a\xc3", "a\ufffd"),  # cut at the end of the message: nothing of it may leak into the next
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),  # half a surrogate pair
        (b"\xea\xb0\x80\xfe\xea\xb0\x80", "가\ufffd가"),
        ("삼성전자".encode("cp949"), "\ufffdZ\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"),
    ],
)
async def test_invalid_utf8_does_not_end_the_session(payload: bytes, text: str) -> None:
    async with talking(sending(frame(payload), frame("next"))) as session:
        assert await session.receive() == payload.decode("utf-8", "replace")
        assert await session.receive() == "next"
        assert text.count("\ufffd") or pytest.fail("the case has no invalid byte")


@pytest.mark.parametrize("cut", range(1, 12))
async def test_characters_split_over_fragments_and_reads_survive(cut: int) -> None:
    raw_text = "가€\U0001f600x".encode() + b"\xff"
    first, second = raw_text[:cut], raw_text[cut:]
    chunks = frame(first, TEXT, fin=False), frame(second, CONTINUATION)
    async with talking(sending(*chunks, gap_s=0.01)) as session:
        assert await session.receive() == "가€\U0001f600x\ufffd"


async def test_one_byte_segments() -> None:
    whole = frame("가나다" * 50) + frame(b"\xea", TEXT, fin=False) + frame(b"\xb0", CONTINUATION, fin=False)
    whole += frame(b"", PING) + frame(b"\x80", CONTINUATION) + frame("end")
    async with talking(sending(*(bytes([byte]) for byte in whole))) as session:
        assert [await session.receive() for _ in range(3)] == ["가나다" * 50, "가", "end"]


@pytest.mark.parametrize("size", [0, 125, 126, 8 * 1024 + 1, 65_535, 65_536, MIB])
async def test_sizes(size: int) -> None:
    async with talking(sending(frame("x" * size), frame("end"))) as session:
        assert len(await session.receive()) == size
        assert await session.receive() == "end"


async def test_many_fragments_are_one_message() -> None:
    chunks = [frame("ab", TEXT, fin=False), *[frame("cd", CONTINUATION, fin=False)] * 500, frame("", CONTINUATION)]
    async with talking(sending(b"".join(chunks))) as session:
        assert await session.receive() == "ab" + "cd" * 500


async def test_binary_frames_are_read_as_text() -> None:
    async with talking(sending(frame(b"a\xff", BINARY))) as session:
        assert await session.receive() == "a\ufffd"


async def test_pings_are_answered_and_a_sign_of_life() -> None:
    answers = []

    async def script(peer: Peer) -> None:
        await trio.sleep(0.1)
        await peer.write(frame(b"payload", PING))
        answers.append(await peer.read())
        await peer.say("done")

    async with talking(script) as session:
        before = session.last_heard_s
        assert await session.receive() == "done"
        assert session.last_heard_s - before > 0.05
    assert answers == [(PONG, b"payload")]


async def test_part_of_a_message_is_no_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_S", 0.1)  # the answer to our close frame is hidden in the unfinished one

    async def script(peer: Peer) -> None:
        await trio.sleep(0.05)
        await peer.write(frame("a", TEXT, fin=False) + b"\x00\x7f")

    async with talking(script) as session:
        before = session.last_heard_s
        await trio.sleep(0.15)
        assert session.last_heard_s == before


# -- loss


async def test_a_message_over_a_mebibyte_is_loss() -> None:
    async with talking(sending(frame("x" * (MIB + 1)))) as session:
        assert (await lost(session)).startswith("closed 1009")


async def test_a_header_of_2_to_the_40_costs_a_session_and_not_memory() -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.write(struct.pack("!BBQ", 0x81, 127, 2**40))
        while True:
            await peer.write(b"x" * 65536)
            sent += 65536

    async with talking(script) as session:
        assert (await lost(session)).startswith("closed 1009")
    assert sent < 32 * MIB  # what fits the buffers in between


@pytest.mark.parametrize(
    "spoiled",
    [
        struct.pack("!BBQ", 0x81, 127, 2**63),
        b"\x81\xfe\x00\x05",  # masked, as only a client may
        b"\x8f\x00",  # no such opcode
        b"\xc1\x00",  # compressed, though nobody agreed to it
        b"\x89\x7e\x01\x00",  # a Ping of 256 bytes
        b"\x09\x00",  # a Ping in fragments
        frame("x", CONTINUATION),
        frame("a", TEXT, fin=False) + frame("b"),
        frame(b"\x03", CLOSE),
        close_frame(1005),
        close_frame(1000, b"\xff"),
    ],
)
async def test_broken_frames_are_loss_and_nothing_worse(spoiled: bytes) -> None:
    async with talking(sending(frame("before"), spoiled)) as session:
        assert await session.receive() == "before"
        assert (await lost(session)).startswith("closed 1")


async def test_rst_in_the_middle_of_a_frame() -> None:
    async def script(peer: Peer) -> None:
        await peer.write(frame("whole") + frame("cut in two")[:-3])
        await trio.sleep(0.05)
        assert isinstance(peer.stream, trio.SocketStream)
        reset(peer.stream)

    async with talking(script) as session:
        assert await session.receive() == "whole"
        assert await lost(session) == "closed 1006"
        with pytest.raises(LostError):
            await session.send("too late")


async def test_a_close_frame_with_tcp_kept_open_does_not_hold_us() -> None:
    async with talking(sending(frame("last"), close_frame(1001, "가 \x1b[2J".encode()))) as session:
        assert await session.receive() == "last"
        assert await lost(session) == "closed 1001 가 [2J"
        left = time.monotonic()
    assert time.monotonic() - left < 1


async def test_a_peer_that_does_not_answer_our_close_frame_holds_us_for_the_deadline_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_S", 0.2)
    async with talking(sending(), polite=False):
        left = time.monotonic()
    assert 0.15 < time.monotonic() - left < 1


async def test_a_ping_in_answer_to_our_close_frame_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_S", 0.3)

    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.write(frame(b"", PING) + frame("x" * (MIB + 1)))

    async with talking(script, polite=False):
        left = time.monotonic()
    assert time.monotonic() - left < 1


async def test_leaving_by_cancellation_still_says_goodbye() -> None:
    heard = []

    async def script(peer: Peer) -> None:
        opcode, payload = await peer.read()
        heard.append((opcode, payload))
        await peer.write(frame(payload, CLOSE))

    async def handle(stream: trio.SocketStream) -> None:
        peer = Peer(stream)
        await peer.handshake()
        await script(peer)

    async with listening(handle) as port:
        with trio.move_on_after(0.1):
            async with connect(f"ws://127.0.0.1:{port}/") as session:
                await session.receive()
    assert heard == [(CLOSE, struct.pack("!H", 1000))]


async def test_leaving_with_an_error_shows_that_error() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="mine"), flatten_subgroups=True):
        async with talking(sending()):
            raise ValueError("mine")


async def test_a_peer_that_never_reads_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "SEND_S", 0.2)
    monkeypatch.setattr(websocket, "CLOSE_S", 0.2)
    async with talking(sending(), polite=False) as session:
        with trio.fail_after(5), pytest.raises(LostError, match="has not read"):
            await flood(session)


async def flood(session: WebSocket) -> None:
    while True:
        await session.send("x" * MIB)


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_a_hundred_sessions_leave_no_descriptor_behind() -> None:
    async def script(peer: Peer) -> None:
        await peer.write(close_frame())

    async def fin(stream: trio.SocketStream) -> None:
        await Peer(stream).request()

    before = descriptors()
    for _ in range(50):
        async with talking(script) as session:
            await lost(session)
        await refused(fin)
    assert descriptors() <= before + 2
