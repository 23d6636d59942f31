"""Records in, frames out, as the faults of a scenario would have them. Pure; the moment is passed in.

A record is the text of one (`005930^090503^…`, eleven fields). What comes out goes to one connection in this order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from engine.kst import DAY_NS, SECOND_NS, clock_time
from engine.record import FIELDS
from engine.simulator import kinds, messages, wire
from engine.simulator.faults import ConnectionFaults, Trigger
from engine.simulator.kinds import Chosen
from engine.simulator.messages import Cipher
from engine.simulator.wire import Raw

_CUMULATIVE = range(2, 6)
_NUMBERS = FIELDS[2:]
_NOT_UTF8 = b"\xb0\xa1\xff".decode(errors="surrogateescape")
"""Bytes that are no UTF-8 (a Korean letter in cp949, and one that no encoding has), as Python keeps them in text."""
GARBAGE = (
    "",
    "|",
    "0|",
    "0|H0STPGM0",
    "0|H0STPGM0|001|",
    "2|H0STPGM0|001|x",
    "{",
    "[]",
    "null",
    '{"header":1}',
    "\x00",
)
"""What a stray text frame may hold where the scenario does not say."""
_OTHER_FIELDS = 46
"""Of H0STCNT0, the broker's execution prices."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A data frame in the making."""

    tr_id: str
    records: tuple[str, ...]
    cipher: Cipher
    encrypted: bool
    count: int
    extra: str = ""
    """Appended to every record."""
    tail: str = ""
    pieces: int = 1
    segment: int = 0

    def finished(self) -> str | Raw:
        payload = "^".join(record + self.extra for record in self.records) + self.tail
        if self.encrypted:
            payload = self.cipher.encrypt(payload.replace(_NOT_UTF8, ""))
        text = f"{int(self.encrypted)}|{self.tr_id}|{self.count:03d}|{payload}"
        if _NOT_UTF8 not in payload and self.pieces == 1 and not self.segment:
            return text
        raw = text.encode(errors="surrogateescape")
        return Raw(wire.frame(raw) if self.pieces == 1 else wire.fragments(raw, self.pieces), self.segment)


class Spoiler:
    """Makes one connection's data frames. It holds back what waits for a full batch or for its overtaker."""

    def __init__(self, faults: ConnectionFaults) -> None:
        self._faults = faults
        self._held: dict[str, list[str]] = {}
        self._overtaken: list[str | Raw] = []
        self._frozen: dict[int, tuple[int | None, str]] = {}

    def frames(
        self, tr_id: str, records: Sequence[str], cipher: Cipher, now: int, *, encrypted: bool
    ) -> list[str | Raw]:
        """The frames for these records; `encrypted` if the broker encrypts anyway."""
        texts = [text for record in records for text in self._record(tr_id, record, now)]
        frames: list[str | Raw] = []
        for group in self._groups(tr_id, texts, now):
            frames += self._frame(_Frame(tr_id, group, cipher, encrypted, len(group)), now)
        return frames

    def forget(self, tr_id: str, code: str) -> None:
        """The code was unsubscribed: nothing of it comes any more."""
        held = self._held.get(tr_id, [])
        self._held[tr_id] = [text for text in held if not text.startswith(f"{code}^")]

    def _record(self, tr_id: str, text: str, now: int) -> list[str]:
        symbol = text.partition("^")[0]
        if (tr_id, symbol) in self._faults.haunted:
            return []
        texts = [text]
        for trigger, fault in self._faults.of_records:
            if fault.concerns(symbol) and trigger.strikes(self._faults.round(fault, now)):
                texts = [changed for each in texts for changed in self._changed(each, trigger, fault, now)]
        return texts

    def _changed(self, text: str, trigger: Trigger, fault: Chosen, now: int) -> list[str]:
        match fault:
            case kinds.NoData():
                return []
            case kinds.Doubled():
                return [text, text]
            case kinds.FieldValue():
                return [_with_values(text, fault.fields_ or (trigger.random.choice(_NUMBERS),), fault.value)]
            case kinds.Falling():
                return [_fallen(text, fault.by)]
            case kinds.TimeBack():
                return [_with_values(text, ("time",), _earlier(text.split("^")[1], fault.by))]
            case _:
                return [_with_values(text, ("time",), self._frozen_time(fault, now))]

    def _frozen_time(self, fault: Chosen, now: int) -> str:
        """HHMMSS of the round's first record."""
        number = self._faults.round(fault, now)
        if id(fault) not in self._frozen or self._frozen[id(fault)][0] != number:
            self._frozen[id(fault)] = number, clock_time(now)
        return self._frozen[id(fault)][1]

    def _groups(self, tr_id: str, texts: list[str], now: int) -> Iterator[tuple[str, ...]]:
        size, full = messages.MAX_RECORDS, False
        for trigger, fault in self._faults.batches:
            if trigger.grips(self._faults.round(fault, now)):
                size, full = fault.records, True
                break
        held = self._held.pop(tr_id, [])
        texts = held + texts
        whole = len(texts) - len(texts) % size if full else len(texts)
        if texts[whole:]:
            self._held[tr_id] = texts[whole:]
        for at in range(0, whole, size):
            yield tuple(texts[at : min(at + size, whole)])

    def _frame(self, frame: _Frame, now: int) -> list[str | Raw]:
        """A frame, and what comes before and after it."""
        symbols = {record.partition("^")[0] for record in frame.records}
        late = False
        strays: list[str | Raw] = []
        for trigger, fault in self._faults.of_frames:
            if not any(map(fault.concerns, symbols)) or not trigger.strikes(self._faults.round(fault, now)):
                continue
            late = late or isinstance(fault, kinds.OutOfOrder)
            frame = _bent(frame, fault, trigger.random)
            strays += _stray(fault, trigger.random, now)
        overtaken, self._overtaken = self._overtaken, []
        if late and not overtaken:
            self._overtaken = [frame.finished()]
            return strays
        return [frame.finished(), *overtaken, *strays]


def _bent(frame: _Frame, fault: Chosen, random: Random) -> _Frame:
    match fault:
        case kinds.ExtraFields():
            return replace(frame, extra=frame.extra + f"^{fault.value * fault.repeat}" * fault.count)
        case kinds.Trailing():
            return replace(frame, tail=frame.tail + "^")
        case kinds.WrongCount():
            return replace(frame, count=max(0, frame.count + fault.by))
        case kinds.Encrypted():
            key = frame.cipher.key[::-1] if fault.broken else frame.cipher.key
            return replace(frame, encrypted=True, cipher=Cipher(frame.cipher.iv, key))
        case kinds.BadUtf8():
            at = random.randrange(len(frame.records))
            spoilt = _with_values(frame.records[at], (random.choice(_NUMBERS),), _NOT_UTF8)
            return replace(frame, records=(*frame.records[:at], spoilt, *frame.records[at + 1 :]))
        case kinds.Fragments():
            return replace(frame, pieces=fault.pieces)
        case kinds.Segments():
            return replace(frame, segment=fault.size)
        case _:
            return frame


def _stray(fault: Chosen, random: Random, now: int) -> list[str | Raw]:
    """What comes besides the data frame."""
    match fault:
        case kinds.Garbage():
            return [random.choice(GARBAGE) if fault.text is None else fault.text]
        case kinds.OtherTr():
            fields = ["005930", clock_time(now), *(str(random.randrange(10**6)) for _ in range(_OTHER_FIELDS - 2))]
            return [f"0|{fault.tr_id}|001|{'^'.join(fields)}"]
        case kinds.Binary():
            return [Raw(wire.frame(random.randbytes(64), wire.BINARY))]
        case _:
            return []


def _with_values(text: str, names: Sequence[str], value: str) -> str:
    fields = text.split("^")
    for name in names:
        fields[FIELDS.index(name)] = value
    return "^".join(fields)


def _fallen(text: str, by: float) -> str:
    """The record with its totals lower by this share of them; nets fit."""
    fields = text.split("^")
    if not all(field.isdecimal() for field in fields[2:6]):
        return text  # another fault was here
    for at in _CUMULATIVE:
        fields[at] = str(int(int(fields[at]) * (1 - by)))
    fields[6] = str(int(fields[4]) - int(fields[2]))
    fields[7] = str(int(fields[5]) - int(fields[3]))
    return "^".join(fields)


def _earlier(stamp: str, by_ns: int) -> str:
    if not stamp.isdecimal():
        return stamp  # another fault was here
    seconds = int(stamp[:2]) * 3600 + int(stamp[2:4]) * 60 + int(stamp[4:])
    seconds = (seconds - by_ns // SECOND_NS) % (DAY_NS // SECOND_NS)
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
