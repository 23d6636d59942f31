"""A server's WebSocket frames made by hand (RFC 6455, section 5.2): what a proper library would not send. Pure."""

from dataclasses import dataclass

TEXT = 1
BINARY = 2


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that go to the client as they are, all at once or, with `segment`, so many at a time."""

    data: bytes
    segment: int = 0


def header(opcode: int, length: int, *, final: bool = True) -> bytes:
    """The first bytes of an unmasked frame whose payload has so many bytes; below 2⁶³."""
    first = bytes([(0x80 if final else 0) | opcode])
    if length < 126:
        return first + bytes([length])
    if length < 2**16:
        return first + b"\x7e" + length.to_bytes(2)
    return first + b"\x7f" + length.to_bytes(8)


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    return header(opcode, len(payload)) + payload


def fragments(payload: bytes, pieces: int) -> bytes:
    """A text message in so many frames, the first of which may be the larger by a byte; fewer for a short payload."""
    size = max(1, -(-len(payload) // pieces))
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    last = len(parts) - 1
    return b"".join(header(0 if at else TEXT, len(part), final=at == last) + part for at, part in enumerate(parts))
