"""The broker's desk: which session holds which app key, and what it is registered for. Pure; the moment is passed in.

A session is one WebSocket connection. It gets hold of its app key with its first readable request, not with the
handshake, because only then does the broker know whose it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.simulator import messages
from engine.simulator.keys import Keys
from engine.simulator.messages import Cipher, Malformed, Request

MAX_REGISTRATIONS = 41
"""Of one session, over all TRs together: the broker's number."""

DROPPING = frozenset({"OPSP0011", "OPSP8996", "OPSP9994", "OPSP9996"})
"""After these the broker hangs up."""

Registration = tuple[str, str]
"""TR id and code."""


@dataclass(eq=False, slots=True)
class Session:
    """One connection as the desk knows it. Registrations keep their order."""

    number: int
    cipher: Cipher
    app_key: str | None = field(default=None, repr=False)
    approval_key: str | None = field(default=None, repr=False)
    registrations: dict[Registration, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request led to. `registration` is set when it was read far enough to know what it is about."""

    msg_cd: str
    text: str
    registration: Registration | None = None

    @property
    def drops(self) -> bool:
        return self.msg_cd in DROPPING


class Desk:
    """Answers requests. `admit(tr_id, code)` takes a code into the market; False when the market is full.

    After an end without a close handshake the app key stays taken for `slot_kept_ns`.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        admit: Callable[[str, str], bool],
        encrypted: bool = False,
        slot_kept_ns: int = 0,
    ) -> None:
        self._keys = keys
        self._admit = admit
        self._encrypted = encrypted
        self._slot_kept_ns = slot_kept_ns
        self._holders: dict[str, Session] = {}
        self._kept_until: dict[str, int] = {}

    @property
    def sessions(self) -> int:
        """How many sessions hold an app key."""
        return len(self._holders)

    def request(self, session: Session, text: str, now: int) -> Answer:
        """Answer one text frame of a client; changes the session's registrations where the answer says so."""
        request = messages.parse_request(text)
        if isinstance(request, Malformed):
            return Answer(request.msg_cd, messages.answer(request.msg_cd, request.tr_id, request.tr_key))
        refusal = self._admission(session, request, now)
        if refusal == "OPSP8996":
            return Answer(refusal, messages.answer(refusal, None, None))
        registration = (request.tr_id, request.tr_key)
        msg_cd = refusal or self._register(session, registration, subscribe=request.subscribe)
        if msg_cd in ("OPSP0000", "OPSP0001"):
            text = messages.acknowledgement(msg_cd, *registration, session.cipher, encrypted=self._encrypted)
        else:
            text = messages.answer(msg_cd, *registration)
        return Answer(msg_cd, text, registration)

    def leave(self, session: Session, now: int, *, clean: bool) -> None:
        """The connection is over; `clean` if by a close handshake that the client began."""
        app_key = session.app_key
        if app_key is None or self._holders.get(app_key) is not session:
            return
        del self._holders[app_key]
        if not clean and self._slot_kept_ns:
            self._kept_until = {kept: until for kept, until in self._kept_until.items() if now < until}
            self._kept_until[app_key] = now + self._slot_kept_ns

    def _admission(self, session: Session, request: Request, now: int) -> str | None:
        """Why the session is not let in, if so."""
        if request.approval_key == session.approval_key:
            return None  # a key is looked at when the session opens; it may have expired since
        app_key = self._keys.app_key_of(request.approval_key, now)
        if app_key is None:
            return "OPSP0011"
        if session.app_key is None:
            return self._open(session, app_key, request.approval_key, now)
        return None if app_key == session.app_key else "OPSP9994"

    def _open(self, session: Session, app_key: str, approval_key: str, now: int) -> str | None:
        if app_key in self._holders or now < self._kept_until.get(app_key, 0):
            return "OPSP8996"
        self._kept_until.pop(app_key, None)
        self._holders[app_key] = session
        session.app_key, session.approval_key = app_key, approval_key
        return None

    def _register(self, session: Session, registration: Registration, *, subscribe: bool) -> str:
        held = registration in session.registrations
        if not subscribe:
            if not held:
                return "OPSP0003"
            del session.registrations[registration]
            return "OPSP0001"
        if held:
            return "OPSP0002"
        if len(session.registrations) >= MAX_REGISTRATIONS:
            return "OPSP0008"
        if not self._admit(*registration):
            return "OPSP8999"
        session.registrations[registration] = None
        return "OPSP0000"
