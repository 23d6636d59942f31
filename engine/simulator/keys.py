"""Who may ask for an approval key, and whose a key is. Pure; the moment is passed in.

The broker's page on the approval key says: the key is a UUID, good for 24 hours, needed only when a session is opened.
Descriptions go with the error codes as in the broker's published list of codes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from engine.kst import DAY_NS, SECOND_NS

VALID_NS = DAY_NS
MAX_KEYS = 1_000
"""Keys remembered, and app keys whose last request is remembered; the oldest goes first. A client needs one."""

DESCRIPTIONS: Mapping[str, str] = {
    "EGW00101": "유효하지 않은 요청입니다.",
    "EGW00102": "AppKey는 필수입니다.",
    "EGW00103": "유효하지 않은 AppKey입니다.",
    "EGW00104": "AppSecret은 필수입니다.",
    "EGW00105": "유효하지 않은 AppSecret입니다.",
    "EGW00115": "권한부여 타입(grant_type)은 필수입니다.",
    "EGW00116": "지원하지 않는 권한부여 타입(grant_type)입니다.",
    "EGW00132": "Content-Type이 유효하지 않습니다.",
    "EGW00133": "접속키 발급 잠시 후 다시 시도하세요.",
}


@dataclass(frozen=True, slots=True)
class Granted:
    approval_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    code: str


class Keys:
    """Issues approval keys. `accounts` maps the accepted app keys to their secrets; None takes any that is not empty.

    An app key gets at most one key every `interval_ns`: a refusal costs nothing, so a client that fixes its secret is
    served at once, and one that backs off three seconds between connections never meets the limit.
    """

    def __init__(
        self,
        accounts: Mapping[str, str] | None = None,
        *,
        interval_ns: int = SECOND_NS,
        new_key: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._accounts = accounts
        self._interval_ns = interval_ns
        self._new_key = new_key
        self._issued: dict[str, tuple[str, int]] = {}
        self._last: dict[str, int] = {}

    def ask(self, body: object, now: int) -> Granted | Refused:
        """Answer the JSON body of a request for an approval key."""
        if not isinstance(body, dict):
            return Refused("EGW00101")
        refusal = self._refusal(body)
        if refusal is not None:
            return Refused(refusal)
        app_key: str = body["appkey"]
        last = self._last.get(app_key)
        if last is not None and now - last < self._interval_ns:
            return Refused("EGW00133")
        key = self._new_key()
        _remember(self._last, app_key, now)
        _remember(self._issued, key, (app_key, now))
        return Granted(key)

    def app_key_of(self, approval_key: str, now: int) -> str | None:
        """Whose key it is; None if it was never issued, or more than a day ago."""
        app_key, at = self._issued.get(approval_key, (None, 0))
        return app_key if now - at < VALID_NS else None

    def _refusal(self, body: Mapping[str, object]) -> str | None:
        for name, missing in (("grant_type", "EGW00115"), ("appkey", "EGW00102"), ("secretkey", "EGW00104")):
            if body.get(name) in (None, ""):
                return missing
        app_key, secret = body["appkey"], body["secretkey"]
        if body["grant_type"] != "client_credentials":
            return "EGW00116"
        if not isinstance(app_key, str) or (self._accounts is not None and app_key not in self._accounts):
            return "EGW00103"
        if not isinstance(secret, str) or (self._accounts is not None and self._accounts[app_key] != secret):
            return "EGW00105"
        return None


def _remember(memory: dict[str, Any], key: str, value: object) -> None:
    memory.pop(key, None)
    memory[key] = value
    while len(memory) > MAX_KEYS:
        del memory[next(iter(memory))]
