"""The broker's real-time protocol, without a socket: text in → frozen events out, intents in → text.

One `Protocol` lives as long as one WebSocket session: it learns the session's AES key from the acknowledgements and
counts how often the broker's records had more fields than documented. No clock, no I/O, no logging. What a message
means for the session is decided elsewhere (engine.kis.session); here it is only read.

Sources: the broker's page for H0STPGM0 ("국내주식 실시간프로그램매매 (KRX)"), its sample repository, and public logs of
its servers, which show what the page does not: replies without a header, `"(null)"` for a missing tr_id, fields
appended without notice.
"""

import base64
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad
from pydantic import SecretStr

from engine.errors import PgmwatchError
from engine.record import FIELDS, Record
from engine.text import clean

# Limits. Each is far above anything recorded and low enough that the worst frame is done in a few milliseconds.
MAX_TEXT = 256 * 1024
"""Characters of a data frame. 1 to 20 records a frame were recorded, 8 KB was seen; this is a thousand long records."""
MAX_RECORDS = 1_000
"""Records of a frame: about 2.5 ms of work. Also bounds what a made-up count can ask for."""
MAX_CONTROL_TEXT = 16 * 1024
"""Characters of a JSON frame. Real ones have 60 to 350; a megabyte of `[{},{},…` takes the JSON parser 25 ms."""
_MAX_WORDS = 160
"""Characters looked at of the broker's own words; its messages have under forty."""

TR_IDS = ("H0STPGM0", "H0NXPGM0", "H0UNPGM0")
"""Program trading on KRX, on NXT, and on both together: the same eleven columns."""

_WIDTH = len(FIELDS)
_TR_ID = re.compile(r"[0-9A-Za-z]{1,16}")
_CODE = re.compile(r"[0-9A-Za-z]{1,16}")
_COUNT = re.compile(r"[0-9]{1,6}", re.ASCII)
_SYMBOL = re.compile(r"[0-9A-Za-z]{6,9}")  # six for a stock; the page allows nine
_TIME = re.compile(r"(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]")
# int() alone is too kind: it takes "９", "1_0" and " 7 ", and needs seconds for a million digits. Eighteen digits fit
# 64 bits, and the whole market's value of a day has fifteen.
# One look at the whole record is faster than eleven at its fields; possessive, so that nothing is tried twice.
_RECORD = re.compile(rf"{_SYMBOL.pattern}\^{_TIME.pattern}(?:\^-?+[0-9]{{1,18}}+){{{_WIDTH - 2}}}")
ONE_RECORD = rf"0\|(?:{'|'.join(TR_IDS)})\|001\|{_RECORD.pattern}"
"""Pattern of the plainest frame as it is recorded: one record of eleven well-formed columns and nothing else. Cut at
`^` behind `HEAD` characters it needs no further look, which halves the time of a replay."""
HEAD = len(f"0|{TR_IDS[0]}|001|")
CODE = _SYMBOL.pattern
"""Pattern of a symbol."""


class AckKind(StrEnum):
    """What a reply with a `msg_cd` is about."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    SERVER_FAILURE = "server failure"
    OVER_LIMIT = "over the limit"
    CREDENTIALS = "credentials"
    REJECTED_SYMBOL = "rejected symbol"
    IN_USE = "in use"
    MALFORMED_REQUEST = "malformed request"
    UNKNOWN = "unknown"


# The one table: by code only, since the text beside it varies.
_CODES: dict[AckKind, tuple[str, ...]] = {
    AckKind.SUBSCRIBED: ("0000", "0002"),  # 0002: already subscribed
    AckKind.UNSUBSCRIBED: ("0001", "0003"),  # 0003: there was nothing to unsubscribe
    AckKind.SERVER_FAILURE: ("0007", "0009", "8999", "9993", "9995"),
    AckKind.OVER_LIMIT: ("0008",),
    AckKind.CREDENTIALS: ("0010", "0011", "9994", "9996"),
    AckKind.REJECTED_SYMBOL: ("8991", "8992", "8993", "9990"),
    AckKind.IN_USE: ("8996",),
    AckKind.MALFORMED_REQUEST: ("8994", "8995", "8997", "8998", "9991", "9992", "9997", "9998", "9999"),
}
KIND_OF_CODE = {f"OPSP{number}": kind for kind, numbers in _CODES.items() for number in numbers}


class MalformedFrameError(PgmwatchError):
    """A frame that cannot be used. `reason` is one of a few fixed words and never holds the peer's text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Data(NamedTuple):
    """One data frame of this session's TR (a named tuple: the hot path)."""

    records: tuple[Record, ...]
    """The well-formed ones, in order; may be empty."""
    dropped: dict[str, int]
    """Records left out, by what was wrong with them: `symbol`, `time`, `number`."""
    text: str
    """The frame as it is recorded: decrypted with flag 0, line breaks dropped. Decoding it again gives the same."""
    appended: int
    """Fields that each record had beyond the documented eleven."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The broker's answer to a request."""

    kind: AckKind
    code: str
    """`msg_cd`."""
    tr_id: str | None
    symbol: str | None
    """None where the broker did not say; on errors the whole header may be missing."""
    message: str
    """`msg1`, made one clean line."""


@dataclass(frozen=True, slots=True)
class Ping:
    """PINGPONG: to be answered at once with the identical text."""

    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """A data frame of a TR that this session does not ask for."""

    tr_id: str


Event = Data | Ack | Ping | Other


class Protocol:
    """One session's state. `receive` may be given anything; it answers with an event or `MalformedFrameError`."""

    def __init__(self, tr_id: str, approval_key: SecretStr | None = None, customer_type: str = "P") -> None:
        """Without an approval key it only reads, which is all that a replay needs."""
        self.tr_id = tr_id
        self._approval_key = approval_key or SecretStr("")
        self._customer_type = customer_type
        self._cipher: tuple[bytes, bytes] | None = None
        self.drifted = 0
        """Data frames so far whose records had appended fields."""

    def __repr__(self) -> str:
        return f"<Protocol {self.tr_id} encrypted={self._cipher is not None} drifted={self.drifted}>"

    # -- out

    def subscribe(self, symbol: str) -> str:
        return self._request("1", symbol)

    def unsubscribe(self, symbol: str) -> str:
        return self._request("2", symbol)

    def redacted(self, request: str) -> str:
        """A request as it may be logged."""
        key = self._approval_key.get_secret_value()
        return request.replace(json.dumps(key), '"***"') if key else request

    def _request(self, tr_type: str, symbol: str) -> str:
        header = {
            "approval_key": self._approval_key.get_secret_value(),
            "custtype": self._customer_type,
            "tr_type": tr_type,
            "content-type": "utf-8",
        }
        body = {"input": {"tr_id": self.tr_id, "tr_key": symbol}}
        return json.dumps({"header": header, "body": body}, separators=(",", ":"))

    # -- in

    def receive(self, text: str) -> Event:
        """One text message, whole. Raises `MalformedFrameError` only."""
        if not text.isascii() and not _is_encodable(text):
            raise MalformedFrameError("surrogate")  # could be neither echoed nor recorded
        if text[1:2] == "|":
            return self._data(text)
        return self._control(text)

    def _data(self, text: str) -> Data | Other:
        if len(text) > MAX_TEXT:
            raise MalformedFrameError("too-long")
        # A recording has one line a frame, so line breaks go; all that any reader might take for one. They go before
        # decoding, not after: what is decoded live and what is decoded from the recording must be the same text.
        line = "".join(text.splitlines())
        parts = line.split("|", 3)
        if len(parts) < 4:
            raise MalformedFrameError("envelope")
        flag, tr_id, count, payload = parts
        if tr_id != self.tr_id:
            return _other(tr_id)
        if flag == "1":
            payload = "".join(self._decrypt(payload).splitlines())
            line = f"0|{tr_id}|{count}|{payload}"
        elif flag != "0":
            raise MalformedFrameError("flag")
        records, dropped, appended = _records(payload, _number_of_records(count))
        self.drifted += appended > 0
        return Data(records, dropped, line, appended)

    def _decrypt(self, payload: str) -> str:
        """Base64 of AES-256-CBC with PKCS7 padding; invalid UTF-8 inside becomes U+FFFD, as it does outside."""
        if self._cipher is None:
            raise MalformedFrameError("no-key")
        key, iv = self._cipher
        try:
            # A cipher object chains from message to message, so every frame needs a new one.
            blocks = AES.new(key, AES.MODE_CBC, iv).decrypt(base64.b64decode(payload, validate=True))
            return unpad(blocks, AES.block_size).decode("utf-8", "replace")
        except ValueError:  # base64, length and padding alike; no cause: its text may quote the payload
            raise MalformedFrameError("cipher") from None

    def _control(self, text: str) -> Ack | Ping:
        message = _json_object(text)
        header = _object(message.get("header"))
        if header.get("tr_id") == "PINGPONG":
            return Ping(text)
        body = message.get("body")
        if not isinstance(body, dict):
            raise MalformedFrameError("no-body")
        code = body.get("msg_cd")
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise MalformedFrameError("msg-cd")
        self._learn(_object(body.get("output")))
        return Ack(
            KIND_OF_CODE.get(code, AckKind.UNKNOWN),
            code,
            _name(header.get("tr_id"), _TR_ID),
            _name(header.get("tr_key"), _SYMBOL),
            _words(body.get("msg1")),
        )

    def _learn(self, output: dict[str, Any]) -> None:
        """Key and iv are the same for every TR of a session; what does not fit AES-256 is as good as absent."""
        key, iv = output.get("key"), output.get("iv")
        if isinstance(key, str) and isinstance(iv, str):
            pair = key.encode("utf-8", "replace"), iv.encode("utf-8", "replace")
            if (len(pair[0]), len(pair[1])) == (32, AES.block_size):
                self._cipher = pair


def recorded(text: str) -> Data:
    """A data frame as it stands in a recording, of any market: what `receive` gave when it was recorded.

    Raises `MalformedFrameError` only.
    """
    if len(text) > MAX_TEXT:
        raise MalformedFrameError("too-long")
    line = "".join(text.splitlines())
    parts = line.split("|", 3)
    if len(parts) < 4:
        raise MalformedFrameError("envelope")
    flag, tr_id, count, payload = parts
    if tr_id not in TR_IDS:
        raise MalformedFrameError("tr-id")
    if flag != "0":
        raise MalformedFrameError("flag")
    records, dropped, appended = _records(payload, _number_of_records(count))
    return Data(records, dropped, line, appended)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _other(tr_id: str) -> Other:
    if not _TR_ID.fullmatch(tr_id):
        raise MalformedFrameError("tr-id")
    return Other(tr_id)


def _number_of_records(count: str) -> int:
    number = int(count) if _COUNT.fullmatch(count) else 0
    if number == 0:
        raise MalformedFrameError("count")
    if number > MAX_RECORDS:
        raise MalformedFrameError("too-many")
    return number


def _records(payload: str, count: int) -> tuple[tuple[Record, ...], dict[str, int], int]:
    """Cut the payload into `count` records of equal stride: → records, dropped by reason, appended fields.

    Records follow each other without a separator, and the broker appends fields without notice (two of its feeds grew
    within a year), so the stride is computed and the first eleven fields of each are taken.
    """
    fields = payload.split("^")
    if len(fields) % count and not fields[-1]:
        fields.pop()
    stride, rest = divmod(len(fields), count)
    if rest or stride < _WIDTH:
        raise MalformedFrameError("stride")
    records: list[Record] = []
    dropped: dict[str, int] = {}
    for start in range(0, len(fields), stride):
        row = fields[start : start + _WIDTH]
        if _RECORD.fullmatch("^".join(row)):
            records.append(Record(row[0], row[1], *map(int, row[2:])))
        else:
            fault = _fault(row)
            dropped[fault] = dropped.get(fault, 0) + 1
    return tuple(records), dropped, stride - _WIDTH


def _fault(row: list[str]) -> str:
    if not _SYMBOL.fullmatch(row[0]):
        return "symbol"
    return "number" if _TIME.fullmatch(row[1]) else "time"


def _json_object(text: str) -> dict[str, Any]:
    if len(text) > MAX_CONTROL_TEXT:
        raise MalformedFrameError("too-long")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, an integer of 4,301 digits, or brackets 16,000 deep
        raise MalformedFrameError("not-json") from None
    if not isinstance(message, dict):
        raise MalformedFrameError("not-an-object")
    return message


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: object, form: re.Pattern[str]) -> str | None:
    """An identifier of the header, or None for the several ways in which it is left out: "", "(null)", null."""
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _words(value: object) -> str:
    return clean(value[:_MAX_WORDS]) if isinstance(value, str) else ""
