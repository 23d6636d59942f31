"""The approval key (웹소켓 접속키): what opens a WebSocket session. One POST to `/oauth2/Approval`.

The broker's page: the secret's field is called `secretkey` here (elsewhere `appsecret`), the key lives for a day and is
needed only while a session is opened. Refusals are HTTP 403 with a JSON body holding `error_code`.
"""

import json
import logging
import re
from typing import Any

import httpx2
import trio
from pydantic import SecretStr

from engine.config.model import Account
from engine.errors import PgmwatchError
from engine.redact import redactor
from engine.text import clean

DEADLINE_S = 10.0
"""Over everything, name to last byte; the library's own timeouts are per read, and a trickle outlives them."""
MAX_REPLY = 16 * 1024
"""Bytes. A key and its braces have 60 to 320, an error some 100."""
_PATH = "/oauth2/Approval"
_MAX_WORDS = 160
_CODE = re.compile(r"[0-9A-Za-z]{1,16}")

# The broker's codes. 00102 and 00104 say that a key or secret is empty, 00103 and 00105 that it is wrong.
_REFUSED = frozenset({"EGW00102", "EGW00103", "EGW00104", "EGW00105"})
# 00133: keys asked for too often; 00201: too many requests a second.
_TOO_OFTEN = frozenset({"EGW00133", "EGW00201"})

# At INFO the client prints whole URLs, at DEBUG what it sends and gets; this module says what is worth saying.
for _logger in map(logging.getLogger, ("httpx2", "httpcore2")):
    _logger.setLevel(max(logging.WARNING, _logger.level))


class ApprovalError(PgmwatchError):
    """No approval key. The text never holds one, nor the app key or secret."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code
        """The broker's `error_code`, where it sent one."""


class CredentialsRefusedError(ApprovalError):
    """App key or secret are wrong. Asking again soon can lock the app key for a day."""


class AskedTooOftenError(ApprovalError):
    """The broker limits requests; the credentials may well be right."""


class UnreachableError(ApprovalError):
    """No whole reply: name, connection, TLS, or the deadline."""


class BadReplyError(ApprovalError):
    """A whole reply that is neither a key nor a known refusal."""


async def approval_key(rest_url: str, account: Account, *, deadline_s: float = DEADLINE_S) -> SecretStr:
    """Ask for a key. Raises one of the `ApprovalError`s; holds neither time nor memory beyond the two limits."""
    try:
        with trio.fail_after(deadline_s):
            status, reply = await _post(rest_url.rstrip("/") + _PATH, account)
    except trio.TooSlowError as error:
        raise UnreachableError(f"no whole reply within {deadline_s:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        # str() of most of these is empty, and of some it quotes the peer.
        raise UnreachableError(type(error).__name__) from error
    if len(reply) > MAX_REPLY:
        raise BadReplyError(f"HTTP {status} with an endless reply")
    key = _key(status, _json_object(reply))
    redactor.add(key.get_secret_value(), instead_of=f"approval key {account.name}")
    return key


async def _post(url: str, account: Account) -> tuple[int, bytes]:
    """→ HTTP status and reply; redirects are not followed: they would get the secret."""
    body = {
        "grant_type": "client_credentials",
        "appkey": account.app_key.get_secret_value(),
        "secretkey": account.app_secret.get_secret_value(),
    }
    # trust_env: neither a proxy nor a .netrc of this machine has a part in this. identity: nothing is unpacked.
    # close: one request, and the client does not look after a socket that _read may have closed.
    headers = {"accept-encoding": "identity", "connection": "close"}
    async with (
        httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=None, headers=headers) as client,
        client.stream("POST", url, json=body) as response,
    ):
        return response.status_code, await _read(response)


async def _read(response: httpx2.Response) -> bytes:
    """The body, or somewhat more than `MAX_REPLY` of it."""
    reply = b""
    try:
        async for chunk in response.aiter_raw():
            reply += chunk
            if len(reply) > MAX_REPLY:
                # Not by leaving the loop: that leaves a generator of the client's behind for the garbage collector.
                await response.extensions["network_stream"].aclose()
    except httpx2.ReadError:
        if len(reply) <= MAX_REPLY:
            raise
    return reply


def _json_object(reply: bytes) -> dict[str, Any]:
    try:
        value = json.loads(reply)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _key(status: int, reply: dict[str, Any]) -> SecretStr:
    code = reply.get("error_code")
    if isinstance(code, str) and _CODE.fullmatch(code):
        _refuse(status, code, reply.get("error_description"))
    key = reply.get("approval_key")
    if status != 200 or not isinstance(key, str) or not key:  # 36 characters or 286, as the page one reads
        raise BadReplyError(f"HTTP {status} without an approval key")
    return SecretStr(key)


def _refuse(status: int, code: str, description: object) -> None:
    """An unknown code with a refusal's status is a refusal: asking again every few seconds gets app keys locked."""
    words = clean(description[:_MAX_WORDS]) if isinstance(description, str) else ""
    text = f"{code} {words}".strip()
    if code in _TOO_OFTEN:
        raise AskedTooOftenError(text, code)
    if code in _REFUSED or status in (401, 403):
        raise CredentialsRefusedError(text, code)
    raise BadReplyError(text, code)
