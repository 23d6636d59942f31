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

DROPPING = frozenset({"OPSP0010", "OPSP0011", "OPSP8996", "OPSP9994", "OPSP9996"})
"""After these the broker hangs up."""

_ALREADY = {True: ("OPSP0000", "OPSP0002"), False: ("OPSP0001", "OPSP0003")}
"""To subscribe or not: the answer to the deed, and the answer that says it was done before."""

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
    text: str = field(repr=False)
    registration: Registration | None = None
    subscribe: bool | None = None
    """What was asked for: to subscribe or to unsubscribe; None where that could not be read."""
    done: bool = False
    """Whether the registration was made, or taken back; an answer that was forced may say otherwise."""

    @property
    def drops(self) -> bool:
        return self.msg_cd in DROPPING


@dataclass(frozen=True, slots=True)
class Forced:
    """The answer to give whatever would be right; None leaves what goes with the code."""

    msg_cd: str
    rt_cd: str | None = None
    msg1: str | None = None


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

    def request(
        self,
        session: Session,
        text: str,
        now: int,
        *,
        in_use: bool = False,
        forced: Callable[[Request], Forced | None] = lambda _: None,
    ) -> Answer:
        """Answer one text frame of a client; changes the session's registrations where the answer says so.

        `in_use`: the app key counts as taken if the session is not open yet. `forced` may put in an answer of its own;
        nothing else is done then, unless the answer says that it had been done before.
        """
        request = messages.parse_request(text)
        if isinstance(request, Malformed):
            return Answer(request.msg_cd, messages.answer(request.msg_cd, request.tr_id, request.tr_key))
        taken = in_use and session.app_key is None
        refusal = "OPSP8996" if taken else self._admission(session, request, now)
        if refusal == "OPSP8996":
            return Answer(refusal, messages.answer(refusal, None, None), subscribe=request.subscribe)
        if refusal is None and (answer := forced(request)) is not None:
            return self._forced(session, request, answer)
        return self._carry_out(session, request, refusal)

    def _forced(self, session: Session, request: Request, forced: Forced) -> Answer:
        registration = (request.tr_id, request.tr_key)
        already = _ALREADY[request.subscribe]
        done = forced.msg_cd == already[1] and (
            self._register(session, registration, subscribe=request.subscribe) == already[0]
        )
        text = messages.answer(forced.msg_cd, *registration, rt_cd=forced.rt_cd, msg1=forced.msg1)
        return Answer(forced.msg_cd, text, registration, request.subscribe, done)

    def _carry_out(self, session: Session, request: Request, refusal: str | None) -> Answer:
        registration = (request.tr_id, request.tr_key)
        msg_cd = refusal or self._register(session, registration, subscribe=request.subscribe)
        done = msg_cd in ("OPSP0000", "OPSP0001")
        if done:
            text = messages.acknowledgement(msg_cd, *registration, session.cipher, encrypted=self._encrypted)
        else:
            text = messages.answer(msg_cd, *registration)
        return Answer(msg_cd, text, registration, request.subscribe, done)

    def leave(self, session: Session, now: int, *, clean: bool, slot_kept_ns: int | None = None) -> None:
        """The connection is over; `clean` if by a close handshake that the client began.

        `slot_kept_ns` instead of the desk's own.
        """
        app_key = session.app_key
        if app_key is None or self._holders.get(app_key) is not session:
            return
        del self._holders[app_key]
        kept_ns = self._slot_kept_ns if slot_kept_ns is None else slot_kept_ns
        if not clean and kept_ns:
            self._kept_until = {kept: until for kept, until in self._kept_until.items() if now < until}
            self._kept_until[app_key] = now + kept_ns

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
