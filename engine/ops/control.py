"""`control.sock`: how a command asks the running daemon. One JSON object a line there, one back, then it is over.

Request `{"command": "status"}`; answer `{"answer": …}` or `{"error": "…"}`.
"""

import errno
import json
import logging
import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any, TypeVar

import trio

from engine.errors import PgmwatchError
from engine.ops.state_folder import TOO_LONG, StateFolderError, cannot_be_used

log = logging.getLogger(__name__)

NAME = "control.sock"
_MAX_REQUEST_BYTES = 65_536
"""A command and its options; whoever sends more does not speak this protocol."""
_MAX_ANSWER_BYTES = 64_000_000
"""The status of a full market: 3 000 symbols with 100 rules each at 200 bytes."""
_TIMEOUT_S = 5.0
PATIENCE_S = 4.0
"""What a handler may take: who asks waits longer, and hears from it why there is no answer."""
_BACKLOG = 1_024
"""Who asks while the daemon is at something else for a moment: a screen of panes, or a script gone wild. The kernel may
allow fewer (macOS 128)."""
_ROOM_S = 0.05
"""Between two attempts to connect to a daemon for which too many wait."""
_MAX_PATH_BYTES = 100
"""The kernel takes 107 (Linux) or 103 (macOS) bytes for the path of a socket."""

_PIECE = 100
"""Things said of between two events: 30 µs each."""

_T = TypeVar("_T")

Handler = Callable[[Mapping[str, Any]], Any]
"""Request → what is answered, or an awaitable of it. Must be quick, as it runs between two frames; what takes longer is
awaited, and has to end within `PATIENCE_S`, in an answer or a PgmwatchError."""


class NoDaemonError(PgmwatchError):
    """No daemon answers at this state folder."""


async def serve(
    folder: Path, handlers: Mapping[str, Handler], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer commands until cancelled. The caller holds the folder, so a socket found there is a dead daemon's."""
    path = folder / NAME
    address = _short(path)
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        try:
            path.unlink(missing_ok=True)
            await listening.bind(address)
        except OSError as error:
            raise cannot_be_used(path, error) from error
        try:
            path.chmod(0o600)  # nobody gets here before: the folder is 0700
            listening.listen(_BACKLOG)
            task_status.started()
            await trio.serve_listeners(partial(_answer, handlers), [trio.SocketListener(listening)])
        finally:
            path.unlink(missing_ok=True)


def _short(path: Path) -> str:
    """The path, or its relative form where that alone fits into a socket's address."""
    shortest = min(str(path.absolute()), os.path.relpath(path), key=len)
    if len(os.fsencode(shortest)) > _MAX_PATH_BYTES:
        raise StateFolderError(path, TOO_LONG)
    return shortest


async def _answer(handlers: Mapping[str, Handler], stream: trio.SocketStream) -> None:
    with trio.move_on_after(_TIMEOUT_S):
        try:
            await stream.send_all(await _reply(handlers, await _line(stream, _MAX_REQUEST_BYTES)))
        except trio.BrokenResourceError:
            log.debug("control client went away")
    await trio.aclose_forcefully(stream)


async def _reply(handlers: Mapping[str, Handler], line: bytes) -> bytes:
    try:
        request = json.loads(line)
        handler = handlers[request["command"]]
    except (ValueError, RecursionError):
        reply: dict[str, Any] = {"error": "not a line of JSON"}
    except (KeyError, TypeError):
        reply = {"error": f"unknown command; known: {', '.join(handlers)}"}
    else:
        try:
            found = handler(request)
            reply = {"answer": await found if isawaitable(found) else found}
        except PgmwatchError as error:
            reply = {"error": str(error)}
    # What was asked for may come back in the answer, and need not be text: half a surrogate pair from a shell.
    return json.dumps(reply, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


async def _line(stream: trio.SocketStream, limit: int) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n") and len(received) < limit:
        chunk = await stream.receive_some(65_536)
        if not chunk:
            break
        received += chunk
    return bytes(received)


async def each_said(things: Sequence[_T], say: Callable[[_T], dict[str, Any]]) -> list[dict[str, Any]]:
    """What a handler answers of many things; others get their turn in between."""
    said: list[dict[str, Any]] = []
    for first in range(0, len(things), _PIECE):
        said += map(say, things[first : first + _PIECE])
        await trio.lowlevel.checkpoint()
    return said


async def _connected(address: str) -> trio.SocketStream:
    """A connection, once there is room for it. Raises OSError where nobody listens."""
    while True:
        stream = await trio.open_unix_socket(address)
        try:
            stream.socket.getpeername()
        except OSError as error:  # a full backlog is EAGAIN, of which Trio thinks that it has become a connection
            await trio.aclose_forcefully(stream)
            if error.errno != errno.ENOTCONN:
                raise
            await trio.sleep(_ROOM_S)
        else:
            return stream


async def ask(folder: Path, command: str, **options: Any) -> Any:
    """What the daemon on this state folder answers. Raises NoDaemonError, or PgmwatchError with its error."""
    path = folder / NAME
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise NoDaemonError(str(path))
        with trio.fail_after(_TIMEOUT_S):
            async with await _connected(_short(path)) as stream:
                await stream.send_all(json.dumps({"command": command, **options}).encode() + b"\n")
                reply = json.loads(await _line(stream, _MAX_ANSWER_BYTES))
    except trio.TooSlowError as error:
        raise PgmwatchError(f"{path}: a daemon is there, but does not answer") from error
    except (OSError, trio.BrokenResourceError, ValueError) as error:
        raise NoDaemonError(str(path)) from error
    if "error" in reply:
        raise PgmwatchError(reply["error"])
    return reply["answer"]
