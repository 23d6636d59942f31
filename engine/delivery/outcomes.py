"""What came of an attempt, as far as that can be known: what its conversations met → an outcome. Pure.

An attempt is one message, but it may be several requests: pieces of a long text, several chats in one URL, a picture.
Each is judged by itself; together they are one outcome, because they are sent again together or not at all.

| met                                            | outcome                                              |
|------------------------------------------------|------------------------------------------------------|
| nothing left this machine                      | Failed                                               |
| it went out, and no reply came                 | Unknown                                              |
| the service took it                            | Delivered                                            |
| … not now                                      | Failed, with the time it asked for                   |
| … never this message, or nothing from us       | Refused, certain if it is the service's own word     |
| a redirect for good, or a bare 401, 403, 404 … | Refused, not certain: a roll-out says so for seconds |
| a redirect for now                             | Unknown: a hook may take a message and redirect then |
| it took a part, and the rest not now           | Unknown: the next attempt may repeat that part       |
| it took a part, and the rest never             | Refused in part: trying again would only repeat      |
"""

import re
from dataclasses import dataclass, replace

from engine.delivery.reply_codes import Meaning, Said
from engine.delivery.target import Delivered, Failed, Outcome, Refused, Unknown

Trouble = Failed | Refused | Unknown

NOT_ACCEPTED = "not accepted"
NOT_FOLLOWED = ", redirects are not followed"

# A message that is too long or malformed for the service: the next one may not be. Some services take the message in
# the address or a header, hence 414 and 431.
_THIS_MESSAGE = frozenset({400, 413, 414, 422, 431})
# What may be well again without anybody doing anything about it. 409, 412, 423 and 424 are about a state that may pass.
_LATER = frozenset({408, 409, 412, 418, 421, 423, 424, 425, 429})
# Elsewhere for now: what a hook says when it has taken a message, and a site that is being mended.
_ELSEWHERE = frozenset({302, 303, 307})
# A gateway passed it on and heard nothing it could use: the service behind it may have taken it. (520 and 524 are what
# Cloudflare says of that.) A 500 or a 503 is the service's own word that it did not.
_GATEWAY = frozenset({502, 504, 520, 524})
_ENHANCED = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
# Unspecified, implementation's own, unavailable, busy, shutting down, too much at once (147 to 151, 159), and 156: use
# another server for the time being.
_BROKER_LATER = frozenset({128, 131, 136, 137, 139, 147, 150, 151, 156, 159})
# Too large, not the format it says.
_BROKER_THIS = frozenset({149, 153})


@dataclass(slots=True)
class Seen:
    """What the conversations of one attempt met."""

    accepted: int = 0
    """Messages, or parts of one, that a service has taken."""
    denied: int = 0
    """Replies that say yes by their status and no by their text; which of both is meant, the plugin knows."""
    trouble: Trouble | None = None
    """The weightiest of all that went wrong."""
    told_to_wait: bool = False
    """The service has asked for no more requests now."""

    def note(self, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self.accepted += 1
        else:
            self.trouble = outcome if self.trouble is None else _weightier(self.trouble, outcome)


def outcome_of(seen: Seen, *, success: bool, otherwise: str = NOT_ACCEPTED, watched: bool = True) -> Outcome:
    """`success`: what the plugin says. `otherwise`: why it failed, if nothing went wrong that could be seen.

    `watched`: whether its conversations can be seen at all; if not, a message that failed may have arrived.
    """
    if success:
        # A plugin that takes a redirect for a yes is not believed.
        return Delivered() if seen.accepted or seen.denied or seen.trouble is None else seen.trouble
    match seen.trouble:
        case None:
            return Unknown(otherwise) if seen.accepted or not watched else Failed(otherwise)
        case Failed(reason, retry_after_s) if seen.accepted:
            return Unknown(f"in part: {reason}", retry_after_s)
        case Refused(reason) as refusal if seen.accepted:
            return replace(refusal, reason=f"in part: {reason}", in_part=True)
        case trouble:
            return trouble


def lost_connection() -> Failed:
    return Failed("connection lost")


def no_connection() -> Failed:
    return Failed("no connection")


def no_reply(*, asked_only: bool = False) -> Failed | Unknown:
    """`asked_only`: the request was none that a message goes with."""
    return Failed("no reply") if asked_only else Unknown("no reply")


def of_reply(status: int, said: Said, header_wait_s: float = 0.0) -> Outcome:
    """Of an HTTP reply. `header_wait_s`: its Retry-After; what the body says goes before it.

    A refusal is certain where a code says it that only the service itself can have written.
    """
    reason = f"HTTP {status} {said.code}".rstrip()
    wait_s = said.wait_s or header_wait_s
    if 300 <= status < 400:
        reason += NOT_FOLLOWED
        return Unknown(reason, wait_s) if status in _ELSEWHERE else Refused(reason)
    if 200 <= status < 300:
        # Slack says no with a 200. A code of tomorrow's is tried again: that costs less than a message.
        return _meant(said.meaning or Meaning.LATER, reason, wait_s, certain=True) if said.denied else Delivered()
    by_status = _by_status(status)
    # A status that says when is believed before the body, but never that a message was not taken that may have been.
    settled = (status in _LATER or not 400 <= status < 500) and said.meaning is not Meaning.MAYBE
    own_word = None if settled else said.meaning
    if own_word is None and by_status is Meaning.TARGET and wait_s:
        by_status = Meaning.LATER  # who says when to come back says "not now"
    return _meant(own_word or by_status, reason, wait_s, certain=own_word is not None)


def refused_by_mail_server(
    code: int, text: bytes | str, *, only_this: bool = False, certain: bool = True
) -> Failed | Refused:
    """Of a reply that is not yes. `text`: what stands behind the code; only an enhanced code (RFC 3463) is read there.

    4yz is for now, 5yz is for good. That goes for a login as well: RFC 4954 has 454 for a server that cannot look just
    now, and many servers lock an account, or the door, after a few wrong passwords (one login tries up to three ways).
    `certain`: not where a server has only said who it is, which one that is being set up may refuse for a moment.
    """
    enhanced = _ENHANCED.match(text if isinstance(text, bytes) else text.encode())
    reason = f"SMTP {code} {enhanced[0].decode() if enhanced else ''}".rstrip()
    if 500 <= code < 600:
        return Refused(reason, only_this, certain=certain)
    return Failed(reason if 100 <= code < 1000 else "no SMTP")


def refused_by_broker(code: int) -> Trouble:
    """Of an MQTT reason code that is not yes: 128 or more, as version 5 (section 2.4) counts them."""
    meaning = Meaning.LATER if code in _BROKER_LATER else Meaning.THIS if code in _BROKER_THIS else Meaning.TARGET
    return _meant(meaning, f"MQTT {code}", 0, certain=True)


def _by_status(status: int) -> Meaning:
    if status in _THIS_MESSAGE:
        return Meaning.THIS
    if status in _GATEWAY:
        return Meaning.MAYBE
    if 400 <= status < 500 and status not in _LATER:
        return Meaning.TARGET  # 401, 403, 404, 410, …: if it lasts, a person has to do something about it
    return Meaning.LATER


def _meant(meaning: Meaning, reason: str, wait_s: float, *, certain: bool) -> Trouble:
    match meaning:
        case Meaning.LATER:
            return Failed(reason, wait_s)
        case Meaning.MAYBE:
            return Unknown(reason, wait_s)
        case Meaning.THIS:
            return Refused(reason, only_this=True, certain=certain)
        case Meaning.TARGET:
            return Refused(reason, certain=certain)


def _weightier(one: Trouble, other: Trouble) -> Trouble:
    """What is to be done about both: said to repeat if either may have arrived, tried again if either can."""
    match one, other:
        case Refused(), Refused():
            return Refused(
                one.reason,
                one.only_this or other.only_this,
                in_part=one.in_part or other.in_part,
                certain=one.certain and other.certain,
            )
        case (Refused(), rest) | (rest, Refused()):
            return rest
        case (Unknown() as kept, _) | (_, Unknown() as kept):
            return Unknown(kept.reason, max(_asked(one), _asked(other)))
        case _:
            return Failed(one.reason, max(_asked(one), _asked(other)))


def _asked(trouble: Trouble) -> float:
    return 0.0 if isinstance(trouble, Refused) else trouble.retry_after_s
