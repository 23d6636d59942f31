"""Text in, requests out; answers and records in, text out. Pure.

The forms are the broker's: requests and answers are JSON text frames of string values, data is
`<flag>|<TR_ID>|<count>|<fields joined by ^>`. Codes and texts stand in the broker's published list of codes; which
request provokes which malformed-request code is our reading of those texts.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from engine.kst import clock_time, date_of, day_number
from engine.record import Record
from engine.simulator import codes

TR_IDS = ("H0STPGM0", "H0NXPGM0", "H0UNPGM0")
"""Program trading on KRX, on NXT, and on both together."""
MAX_RECORDS = 20
"""Of one frame: the most that was seen on the broker's other real-time TRs."""
_ECHO_CHARS = 64
"""An answer repeats what the client wrote as TR id and key, up to this length."""

TEXTS = {
    "OPSP0000": ("0", "SUBSCRIBE SUCCESS"),
    "OPSP0001": ("0", "UNSUBSCRIBE SUCCESS"),
    "OPSP0002": ("1", "ALREADY IN SUBSCRIBE"),
    "OPSP0003": ("1", "UNSUBSCRIBE ERROR(not found!)"),
    "OPSP0007": ("1", "SUBSCRIBE INTERNAL ERROR"),
    "OPSP0008": ("1", "MAX SUBSCRIBE OVER"),
    "OPSP0009": ("1", "SUBSCRIBE ERROR : mci send failed"),
    "OPSP0010": ("1", "SUBSCRIBE WARNING : invalid appkey"),
    "OPSP0011": ("1", "invalid approval : NOT FOUND"),
    "OPSP8991": ("1", "SUBSCRIBE ERROR : invalid tr_id"),
    "OPSP8992": ("1", "SUBSCRIBE ERROR : invalid tr_key"),
    "OPSP8993": ("9", "JSON PARSING ERROR : invalid tr_key"),
    "OPSP8994": ("9", "JSON PARSING ERROR : personalseckey not found"),
    "OPSP8995": ("9", "JSON PARSING ERROR : appsecret not found"),
    "OPSP8996": ("9", "ALREADY IN USE appkey"),
    "OPSP8997": ("9", "JSON PARSING ERROR : invalid tr_type"),
    "OPSP8998": ("9", "JSON PARSING ERROR : invalid custtype"),
    "OPSP8999": ("1", "resource not available"),
    "OPSP9990": ("9", "JSON PARSING ERROR : tr_key not found"),
    "OPSP9991": ("9", "JSON PARSING ERROR : input not found"),
    "OPSP9992": ("9", "JSON PARSING ERROR : body not found"),
    "OPSP9993": ("9", "JSON PARSING ERROR : internal error"),
    "OPSP9994": ("9", "JSON PARSING ERROR : INVALID appkey"),
    "OPSP9995": ("9", "JSON PARSING ERROR : resource not available"),
    "OPSP9996": ("9", "JSON PARSING ERROR : appkey"),
    "OPSP9997": ("9", "JSON PARSING ERROR : custtype not found"),
    "OPSP9998": ("9", "JSON PARSING ERROR : header not found"),
    "OPSP9999": ("9", "JSON PARSING ERROR : invalid json format"),
}
"""msg_cd → rt_cd (0 fine, 1 business error, 9 the request could not be read) and msg1."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that could be read: the wish, not whether it can be granted."""

    approval_key: str = field(repr=False)
    subscribe: bool
    tr_id: str
    tr_key: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A request that could not be read: the code it gets, and as much of its TR id and key as was there."""

    msg_cd: str
    tr_id: str | None = None
    tr_key: str | None = None


def parse_request(text: str) -> Request | Malformed:
    """Read a request strictly: every part there, every value a string. The first thing wrong decides the code."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return Malformed("OPSP9999")
    if not isinstance(document, dict):
        return Malformed("OPSP9999")
    header, body = document.get("header"), document.get("body")
    given = body.get("input") if isinstance(body, dict) else None
    tr_id, tr_key = (given.get("tr_id"), given.get("tr_key")) if isinstance(given, dict) else (None, None)
    wrong = _wrong_header(header) or _wrong_body(body)
    if wrong is not None:
        return Malformed(wrong, _echo(tr_id), _echo(tr_key))
    assert isinstance(header, dict)
    return Request(header["approval_key"], header["tr_type"] == "1", str(tr_id), str(tr_key))


def _wrong_header(header: object) -> str | None:
    if not isinstance(header, dict) or header.get("content-type") != "utf-8":
        return "OPSP9998"
    if not header.get("approval_key") or not isinstance(header["approval_key"], str):
        return "OPSP9996"
    if "custtype" not in header:
        return "OPSP9997"
    if header["custtype"] not in ("P", "B"):
        return "OPSP8998"
    return None if header.get("tr_type") in ("1", "2") else "OPSP8997"


def _wrong_body(body: object) -> str | None:
    if not isinstance(body, dict):
        return "OPSP9992"
    given: Any = body.get("input")
    if not isinstance(given, dict):
        return "OPSP9991"
    if given.get("tr_id") not in TR_IDS:
        return "OPSP8991"
    if "tr_key" not in given:
        return "OPSP9990"
    tr_key = given["tr_key"]
    if not isinstance(tr_key, str) or not tr_key:
        return "OPSP8993"
    return None if codes.is_well_formed(tr_key) else "OPSP8992"


def _echo(value: object) -> str | None:
    return value[:_ECHO_CHARS] if isinstance(value, str) else None


def is_pingpong(text: str) -> bool:
    """Whether a client's text is meant as an answer to PINGPONG, be it the right one or not."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    header = document.get("header") if isinstance(document, dict) else None
    return isinstance(header, dict) and header.get("tr_id") == "PINGPONG"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def answer(
    msg_cd: str, tr_id: str | None, tr_key: str | None, *, rt_cd: str | None = None, msg1: str | None = None
) -> str:
    """The control frame for a refusal. An unknown approval key gets no header at all, as the broker does it.

    `rt_cd` and `msg1` instead of the usual ones; for a code that nobody knows these are 1 and "ERROR".
    """
    usual_rt_cd, usual_msg1 = TEXTS.get(msg_cd, ("1", "ERROR"))
    rt_cd, msg1 = usual_rt_cd if rt_cd is None else rt_cd, usual_msg1 if msg1 is None else msg1
    body = {"rt_cd": rt_cd, "msg_cd": msg_cd, "msg1": msg1}
    if msg_cd == "OPSP0011":
        return _json({"body": body})
    header = {"tr_id": "(null)" if tr_id is None else tr_id, "tr_key": tr_key or "", "encrypt": "N"}
    return _json({"header": header, "body": body})


def acknowledgement(msg_cd: str, tr_id: str, tr_key: str, cipher: "Cipher", *, encrypted: bool) -> str:
    """The control frame for what was done, with the session's iv and key."""
    rt_cd, msg1 = TEXTS[msg_cd]
    header = {"tr_id": tr_id, "tr_key": tr_key, "encrypt": "Y" if encrypted else "N"}
    output = {"iv": cipher.iv, "key": cipher.key}
    return _json({"header": header, "body": {"rt_cd": rt_cd, "msg_cd": msg_cd, "msg1": msg1, "output": output}})


def pingpong(now: int) -> str:
    """`{"header":{"tr_id":"PINGPONG","datetime":"20230502221924"}}`, in Korean time."""
    return _json({"header": {"tr_id": "PINGPONG", "datetime": f"{date_of(day_number(now)):%Y%m%d}{clock_time(now)}"}})


@dataclass(frozen=True, slots=True)
class Cipher:
    """AES-256-CBC with PKCS7. Key (32 characters) and iv (16) are used as UTF-8 bytes, one pair for a session."""

    iv: str = field(repr=False)
    key: str = field(repr=False)

    def encrypt(self, text: str) -> str:
        """Base64 of the encrypted text; every frame starts afresh from the iv."""
        aes = AES.new(self.key.encode(), AES.MODE_CBC, self.iv.encode())
        return base64.b64encode(aes.encrypt(pad(text.encode(), AES.block_size))).decode("ascii")


def record_text(record: Record) -> str:
    return "%s^%s^%d^%d^%d^%d^%d^%d^%d^%d^%d" % record  # noqa: UP031  # half the time of the alternatives


def data_frame(tr_id: str, texts: Sequence[str], cipher: Cipher | None = None) -> str:
    """One data frame of 1 to 20 records as `record_text` wrote them; encrypted when a cipher is given."""
    payload = "^".join(texts)
    if cipher is None:
        return f"0|{tr_id}|{len(texts):03d}|{payload}"
    return f"1|{tr_id}|{len(texts):03d}|{cipher.encrypt(payload)}"
