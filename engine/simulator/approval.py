"""The HTTP side: `POST /oauth2/Approval`, over h11. Everything a client may take its time with has a limit."""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from uuid import uuid4

import h11
import trio

from engine.simulator import approval_faults
from engine.simulator.faults import Faults
from engine.simulator.keys import DESCRIPTIONS, Granted, Keys, Refused
from engine.simulator.kinds import ApprovalDud, ApprovalStatus, Fault

log = logging.getLogger(__name__)

PATH = b"/oauth2/Approval"
MAX_BODY = 8 * 1024
"""Bytes; a request has about 300."""
REQUEST_TIMEOUT_S = 10.0
"""From the connection, or the end of the request before, to the last byte of the answer."""
MAX_CONNECTIONS = 64
_READ = 4 * 1024
_BLOCKED = ApprovalStatus(do="approval-status", status=403, body="json")
"""What is answered while a churn block holds."""
_JSON = b"application/json; charset=utf-8"


class _BadRequestError(Exception):
    """What the client sent is answered with this status and nothing more."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class Endpoint:
    """Answers HTTP connections; `granted` and `refused` count what was asked for properly and what was not."""

    def __init__(self, keys: Keys, now: Callable[[], int], faults: Faults | None = None) -> None:
        self._keys = keys
        self._faults = faults
        self._now = now
        self._connections = 0
        self.granted = 0
        self.refused = 0

    async def serve(self, stream: trio.abc.HalfCloseableStream) -> None:
        """One connection, with as many requests as the client likes, one after the other."""
        self._connections += 1
        try:
            async with stream:
                if self._connections <= MAX_CONNECTIONS:
                    await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            self._connections -= 1

    async def _converse(self, stream: trio.abc.HalfCloseableStream) -> None:
        http = h11.Connection(h11.SERVER)
        while True:
            with trio.move_on_after(REQUEST_TIMEOUT_S) as patience:
                try:
                    if not await self._request(stream, http, patience):
                        return
                except h11.RemoteProtocolError as error:
                    await _give_up(stream, http, HTTPStatus(error.error_status_hint))
                    return
                except _BadRequestError as error:
                    await _give_up(stream, http, error.status)
                    return
            if patience.cancelled_caught or http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    async def _request(
        self, stream: trio.abc.HalfCloseableStream, http: h11.Connection, patience: trio.CancelScope
    ) -> bool:
        """Answer the next request; False if there is none."""
        request = await _next_event(stream, http)
        if not isinstance(request, h11.Request):
            return False
        if request.target.partition(b"?")[0] != PATH:
            raise _BadRequestError(HTTPStatus.NOT_FOUND)
        if request.method != b"POST":
            raise _BadRequestError(HTTPStatus.METHOD_NOT_ALLOWED)
        body = await _body(stream, http)
        faults = self._holding()
        if faults:
            patience.deadline = trio.current_time() + approval_faults.MAX_S
            if await approval_faults.play(stream, faults):
                self.refused += 1
                return False
        sink = approval_faults.sink(stream, faults)
        status, answer = self._answer(request, body, dud=any(isinstance(each, ApprovalDud) for each in faults))
        await _respond(sink, http, status, json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode())
        return True

    def _holding(self) -> list[Fault]:
        """The faults that this request meets."""
        if self._faults is None:
            return []
        now = self._now()
        if self._faults.blocked(now):
            return [_BLOCKED]
        return self._faults.approval(now)

    def _answer(self, request: h11.Request, body: bytes, *, dud: bool) -> tuple[HTTPStatus, dict[str, str]]:
        outcome = self._outcome(request, body)
        if isinstance(outcome, Granted):
            self.granted += 1
            log.info("simulator approval=granted")
            return HTTPStatus.OK, {"approval_key": str(uuid4()) if dud else outcome.approval_key}
        self.refused += 1
        log.info("simulator approval=refused error_code=%s", outcome.code)
        return HTTPStatus.FORBIDDEN, {"error_description": DESCRIPTIONS[outcome.code], "error_code": outcome.code}

    def _outcome(self, request: h11.Request, body: bytes) -> Granted | Refused:
        content_type = dict(request.headers).get(b"content-type", b"")
        if content_type.partition(b";")[0].strip().lower() != b"application/json":
            return Refused("EGW00132")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return Refused("EGW00101")
        return self._keys.ask(document, self._now())


async def _next_event(stream: trio.abc.HalfCloseableStream, http: h11.Connection) -> object:
    while True:
        event = http.next_event()
        if event is not h11.NEED_DATA:
            return event
        if http.they_are_waiting_for_100_continue:
            go_on = http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            await stream.send_all(go_on or b"")
        http.receive_data(bytes(await stream.receive_some(_READ)))


async def _body(stream: trio.abc.HalfCloseableStream, http: h11.Connection) -> bytes:
    body = bytearray()
    while isinstance(event := await _next_event(stream, http), h11.Data):
        body += event.data
        if len(body) > MAX_BODY:
            raise _BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(body)


async def _respond(
    stream: trio.abc.SendStream,
    http: h11.Connection,
    status: HTTPStatus,
    body: bytes,
    *headers: tuple[bytes, bytes],
) -> None:
    length = (b"content-length", str(len(body)).encode())
    response = h11.Response(
        status_code=status, reason=status.phrase.encode(), headers=[(b"content-type", _JSON), length, *headers]
    )
    parts = [http.send(response), http.send(h11.Data(data=body)), http.send(h11.EndOfMessage())]
    await stream.send_all(b"".join(part or b"" for part in parts))


async def _give_up(stream: trio.abc.HalfCloseableStream, http: h11.Connection, status: HTTPStatus) -> None:
    """Answer what cannot be served and close, so that the rest of the request need not be read in order."""
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    log.info("simulator approval=refused status=%d", status)
    allow = [(b"allow", b"POST")] if status is HTTPStatus.METHOD_NOT_ALLOWED else []
    await _respond(stream, http, status, b"", (b"connection", b"close"), *allow)
    await stream.send_eof()
    with trio.move_on_after(1):
        # Closing with bytes unread would reset the connection and take the answer with it.
        while await stream.receive_some(_READ):
            pass
