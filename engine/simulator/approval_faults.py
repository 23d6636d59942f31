"""The approval endpoint as faults would have it: HTTP by hand, since no library would send this."""

import json
import logging
from collections.abc import Sequence

import trio

from engine.kst import SECOND_NS
from engine.simulator.keys import DESCRIPTIONS
from engine.simulator.kinds import ApprovalBody, ApprovalEnd, ApprovalError, ApprovalSlow, ApprovalStatus, Fault
from engine.simulator.websocket import reset

log = logging.getLogger(__name__)

MAX_S = 600.0
"""An answer that takes longer ends, so that a client that never gives up holds no place for ever."""
_CHUNK = 64 * 1024
_HTML = b"<!DOCTYPE html><html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>"
_KEY = b'{"approval_key":"5afef635-68e7-4fad-8762-ae132d1b36d3"}'
_BODIES = {
    "truncated": _KEY[:30],
    "malformed": b"{'approval_key': 5afef635}",
    "empty": b"",
    "list": b'["5afef635-68e7-4fad-8762-ae132d1b36d3"]',
    "no-key": b'{"access_token":"5afef635-68e7-4fad-8762-ae132d1b36d3"}',
    "html": _HTML,
    "json": b'{"error_description":"blocked","error_code":"EGW99999"}',
}
_UNREAD = 4 * 1024


class Trickle(trio.abc.SendStream):
    """Sends every byte by itself, `pause_s` apart."""

    def __init__(self, stream: trio.abc.SendStream, pause_s: float) -> None:
        self._stream = stream
        self._pause_s = pause_s

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for at in range(len(data)):
            await self._stream.send_all(data[at : at + 1])
            await trio.sleep(self._pause_s)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def sink(stream: trio.abc.HalfCloseableStream, faults: Sequence[Fault]) -> trio.abc.SendStream:
    """Where the answer goes: the stream, or what makes it slow."""
    for fault in faults:
        if isinstance(fault, ApprovalSlow) and fault.byte_by_byte:
            return Trickle(stream, fault.by / SECOND_NS)
    return stream


async def play(stream: trio.abc.HalfCloseableStream, faults: Sequence[Fault]) -> bool:
    """Play the faults of one request; True if nothing is left to be answered and the connection is to end."""
    for fault in faults:
        if isinstance(fault, ApprovalSlow) and not fault.byte_by_byte:
            await trio.sleep(fault.by / SECOND_NS)
    for fault in faults:
        if await _play(stream, sink(stream, faults), fault):
            log.info("simulator approval=spoilt by=%s", fault.do)
            return True
    return False


async def _play(stream: trio.abc.HalfCloseableStream, out: trio.abc.SendStream, fault: Fault) -> bool:
    match fault:
        case ApprovalError(code=code, status=status):
            answer = {"error_description": DESCRIPTIONS.get(code, "알 수 없는 오류입니다."), "error_code": code}
            await _answer(out, status, json.dumps(answer, ensure_ascii=False).encode())
        case ApprovalStatus(status=status, body=body):
            await _answer(out, status, _BODIES[body], b"text/html" if body == "html" else b"application/json")
        case ApprovalBody(form="endless"):
            await _endless(out)
        case ApprovalBody(form=form):
            await _answer(out, 200, _BODIES[form], b"text/html" if form == "html" else b"application/json")
        case ApprovalEnd():
            await _end(stream, fault.how)
        case _:
            return False
    return True


async def _answer(out: trio.abc.SendStream, status: int, body: bytes, kind: bytes = b"application/json") -> None:
    head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    await out.send_all(head % (status, kind, len(body)) + body)


async def _endless(out: trio.abc.SendStream) -> None:
    """JSON that never ends, as fast as the client takes it."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    await out.send_all(head + b"11\r\n" + b'{"approval_key":"' + b"\r\n")
    chunk = b"%x\r\n" % _CHUNK + b"a" * _CHUNK + b"\r\n"
    while True:
        await out.send_all(chunk)


async def _end(stream: trio.abc.HalfCloseableStream, how: str) -> None:
    if how == "reset":
        await reset(stream)
        return
    if how == "fin":
        await stream.send_eof()
    while await stream.receive_some(_UNREAD):
        pass
