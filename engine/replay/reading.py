"""Stands in for the reader of recordings until that is there: plain files only, one after the other."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.kis.protocol import Data, MalformedFrameError, Protocol
from engine.stream import Alive, Down, Event, Frame, Start, Up


def events(paths: Iterable[Path]) -> Iterator[Event]:
    for path in paths:
        with path.open(encoding="utf-8") as file:
            yield from filter(None, map(_event, file))


def _event(line: str) -> Event | None:
    time, _, text = line.rstrip("\n").partition(" ")
    t, (word, *codes) = int(time), text.split(" ")
    if word in ("#up", "#down"):
        symbols = tuple(codes[0].split(","))
        return Up(t, symbols) if word == "#up" else Down(t, symbols)
    if word.startswith("#"):
        return Start(t) if word == "#start" else Alive(t)
    try:
        data = Protocol(text.split("|")[1]).receive(text)
    except (MalformedFrameError, IndexError):
        return Alive(t)
    return Frame(t, data.records, text) if isinstance(data, Data) else None
