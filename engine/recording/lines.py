"""One event of the stream ↔ one line of a recording, without its line break.

`<receive time, ns since the epoch> <rest>`: the rest is a data frame as the broker sent it, decrypted, or a mark: `#up
CODES`, `#down CODES`, `#start`, `#alive`; CODES is `005930,000660` or `*` for every symbol.
"""

import re
from collections import Counter

from engine.kis import protocol
from engine.record import Record
from engine.stream import Alive, Down, Event, Frame, Start, Up

_new = tuple.__new__
_PLAIN = re.compile(rf"[0-3][0-9]{{18}} {protocol.ONE_RECORD}").fullmatch
_DIGITS = 19
"""Of a time. It is below 4 · 10¹⁸, the year 2096: the evaluation takes 2⁶² for never, and adds windows to times."""
_REST = _DIGITS + 1
_FIELDS = _REST + protocol.HEAD
_TIME = re.compile(r"[0-3]?[0-9]{1,18}").fullmatch
_CODES = re.compile(rf"(?:(?:\*|{protocol.CODE})(?:,(?:\*|{protocol.CODE}))*+)?").fullmatch


def line(event: Event) -> str:
    """What `Lines.event` turns into the same event. Never holds a line break, nor what some reader takes for one."""
    if isinstance(event, Frame):
        return f"{event.t} {''.join(event.text.splitlines())}"
    match event:
        case Up():
            return f"{event.t} #up {','.join(event.symbols)}"
        case Down():
            return f"{event.t} #down {','.join(event.symbols)}"
        case Start():
            return f"{event.t} #start"
        case Alive():
            return f"{event.t} #alive"


class Lines:
    """Reads lines, and counts what was wrong with them; nothing is ever raised."""

    def __init__(self) -> None:
        self.unreadable = Counter[str]()
        """Lines without an event in them, by what was wrong: `time`, `mark`, or the decoder's word for a frame."""
        self.dropped = Counter[str]()
        """Records left out of frames that were otherwise used: `symbol`, `time`, `number`."""

    def event(self, line: str) -> Event | None:
        """The line's event; None for one without a time.

        One with a time but without anything to be understood behind it says that time has come to it, and no more.
        """
        if not _PLAIN(line):
            return self._slowly(line)
        # Nearly every line of a replay, so written out: a loop and the tuples' own constructors cost a quarter more.
        code, time, a, b, c, d, e, f, g, h, i = line[_FIELDS:].split("^")
        columns = (code, time, int(a), int(b), int(c), int(d), int(e), int(f), int(g), int(h), int(i))
        return _new(Frame, (int(line[:_DIGITS]), (_new(Record, columns),), line[_REST:]))

    def _slowly(self, line: str) -> Event | None:
        stamp, _, rest = "".join(line.splitlines()).removeprefix("\ufeff").partition(" ")
        if not _TIME(stamp):
            self.unreadable["time"] += bool(stamp or rest)  # in an empty line there was nothing to be read
            return None
        t = int(stamp)
        return self._mark(t, rest) if rest.startswith("#") else self._frame(t, rest)

    def _mark(self, t: int, rest: str) -> Event:
        word, _, codes = rest.partition(" ")
        if word in ("#up", "#down") and _CODES(codes):
            symbols = tuple(codes.split(",")) if codes else ()
            return Up(t, symbols) if word == "#up" else Down(t, symbols)
        if rest == "#start":
            return Start(t)
        if rest != "#alive":
            self.unreadable["mark"] += 1
        return Alive(t)

    def _frame(self, t: int, text: str) -> Event:
        try:
            data = protocol.recorded(text)
        except protocol.MalformedFrameError as error:
            self.unreadable[error.reason] += 1
            return Alive(t)
        self.dropped.update(data.dropped)
        return Frame(t, data.records, data.text)
