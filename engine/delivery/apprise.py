"""Apprise behind one file: URLs in, outcomes out, and no URL in any log.

Importing this costs a quarter of a second, so it is imported only where a notifier has URLs. The options in a URL
(`?retry=`, `?redirect=yes`, `?overflow=`, `?optional=yes`, …) do not overrule the house: retries, pace and what counts
as delivered are decided here.

What a service gets is made in engine.delivery.forms, and Apprise is told the format that the plugin takes anyway, so
that it converts nothing and splits nothing. Seen on the wire with 2.2.0: Telegram gets our HTML, each line end as two
characters; Slack `&`, `<`, `>` as entities with `mrkdwn` off, so `<!channel>` and `<@U123>` stay text; mail and Matrix
our HTML, and beside it a text that Apprise makes of it; a JSON web hook the text as it is.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from apprise import Apprise, AppriseAsset, AppriseResultStatus, NotifyType, OverflowMode
from apprise.attachment.base import AttachBase
from apprise.attachment.file import AttachFile
from apprise.attachment.memory import AttachMemory
from apprise.plugins.base import NotifyBase
from pydantic import SecretStr

from engine.delivery import forms, mail_replies, mqtt_replies, replies, services
from engine.delivery.forms import PICTURE_NAME, Part
from engine.delivery.outcomes import Seen, outcome_of
from engine.delivery.pictures import Gallery, Ledger
from engine.delivery.services import Picture
from engine.delivery.target import Delivered, Message, Outcome, Refused
from engine.loopback import is_loopback
from engine.rules.model import Severity

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
REPLY_S = 15.0
"""Apprise's own four seconds take a busy service for a dead one, and the retry doubles the message. Mail uses the
connect timeout for every step of the conversation."""
SLOW_S = 20.0
"""A service that took longer for the text gets no picture: the whole attempt has 40 s (engine.delivery.threads), and
one that ends too late counts as unknown although the text is there."""

# At DEBUG these print URLs, tokens and payloads, and urllib3 paths (a Telegram token is one) even in warnings.
_LOUD_LOGGERS = (
    "apprise",
    "urllib3",
    "requests",
    "requests_oauthlib",
    "oauthlib",
    "slixmpp",
    "paho",
    "smpplib",
    "MARKDOWN",
)

# Protocols whose plugin connects to the URL's own host and nowhere else.
_HOSTED_PROTOCOLS = frozenset({"json", "xml", "form", "gotify", "mqtt", "mailto"})

# What a plugin's module holds if it sends by HTTP, by mail or by MQTT.
_WATCHED = frozenset({"requests", "smtplib", "AppriseSMTPController", "MQTT_PROTOCOL_MAP"})

# Apprise has no types for these.
_IN_MEMORY: Callable[..., AttachBase] = AttachMemory
_IN_FILE: Callable[..., AttachBase] = AttachFile

_TYPES = {
    Severity.INFO: NotifyType.INFO,
    Severity.WARNING: NotifyType.WARNING,
    Severity.CRITICAL: NotifyType.FAILURE,
}


class Service:
    """One accepted URL. Holds secrets; shows none."""

    def __init__(self, manager: Apprise) -> None:
        self._apprise = manager
        self._plugin = _ruled(manager[0])
        self._watched = _is_watched(self._plugin)
        self._ways = services.ways(self._plugin)
        services.ruled(self._plugin, self._ways)
        # Our parts fit as they are; what Apprise makes of plain text for a service that is not known better may not.
        self._plugin.overflow_mode = OverflowMode.UPSTREAM if self._ways.known else OverflowMode.SPLIT
        ledger = Ledger()
        ledger.keep(self._plugin)
        self._gallery = Gallery(ledger)
        self.name = self.kind
        """What logs call it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind}>"

    @property
    def kind(self) -> str:
        """The service's name in lower case: `slack`, `telegram`, `e-mail`, `json`."""
        return str(self._plugin.service_name).lower()

    @property
    def takes_pictures(self) -> bool:
        """Whether a picture sent to it is shown."""
        return self._ways.picture is not Picture.NONE

    @property
    def loopback(self) -> bool:
        """Whether sending can reach this machine only. What is not known to stay here counts as leaving it."""
        protocol = type(self._plugin).protocol
        if protocol not in _HOSTED_PROTOCOLS or getattr(self._plugin, "use_wkd", False):
            return False
        host = getattr(self._plugin, "smtp_host", "") if protocol == "mailto" else self._plugin.host
        return is_loopback(str(host))

    def send(self, message: Message) -> Outcome:
        """Blocks, for as long as the service and its plugin do. What becomes of a picture changes no outcome."""
        began = time.monotonic()
        parts = self._ways.form.parts(message)
        # In their order, and none after one that failed.
        outcome = self._attempt(lambda seen: all(self._send_part(part, message, seen) for part in parts))
        picture = message.picture if self._ways.picture is Picture.AFTER else None
        if picture and isinstance(outcome, Delivered) and time.monotonic() - began < SLOW_S:
            self._gallery.show(lambda: self._attempt(lambda _: self._notify("", "", message, picture)), self.name)
        return outcome

    def _attempt(self, send: Callable[[Seen], bool]) -> Outcome:
        with replies.watched() as seen:
            try:
                success = send(seen)
            except Exception as error:  # noqa: BLE001  a plugin is foreign code: whatever it raises, the message is not delivered
                return outcome_of(seen, success=False, otherwise=type(error).__name__, watched=self._watched)
            return outcome_of(seen, success=success, watched=self._watched)

    def _send_part(self, part: Part, message: Message, seen: Seen) -> bool:
        """What the service dislikes goes once more as plain text, without a picture inside, if nobody has got it."""
        taken = seen.accepted
        inside = message.picture if self._ways.picture is Picture.INSIDE else None
        if self._notify(part.title, part.body, message, inside):
            return True
        if not part.plain or seen.accepted > taken or not _dislikes(seen):
            return False
        logger.warning("markup refused target=%r, sent again as plain text", self.name)
        return self._notify(part.title, part.plain, message, body_format="text")

    def _notify(
        self, title: str, body: str, message: Message, picture: bytes | None = None, *, body_format: str = ""
    ) -> bool:
        services.renew(self._plugin)
        with (
            _attached(picture, from_file=self._ways.from_file) as attach,
            self._apprise.notify(
                body=body,
                title=title,
                notify_type=_kind(message),
                body_format=body_format or self._ways.formats[0],
                attach=attach,
            ) as result,
        ):
            return result.status is AppriseResultStatus.SUCCESS


def open_service(url: SecretStr) -> Service | None:
    """The service behind an Apprise URL; None if Apprise does not accept it, which it does not say why safely."""
    _silence()
    replies.install()
    mail_replies.install()
    manager = Apprise(asset=_asset())
    # A text may hold several URLs; one that is half accepted would send to half of its targets.
    accepted = manager.add(url.get_secret_value().strip())
    _silence()  # the first URL has loaded the plugins, and they their libraries
    return Service(manager) if accepted and len(manager.services) == 1 else None


def _asset() -> AppriseAsset:
    return AppriseAsset(
        app_id="pgmwatch",
        app_desc="pgmwatch",
        html_notify_map={kind: forms.accent(severity) for severity, kind in _TYPES.items()}
        | {NotifyType.SUCCESS: forms.accent(Severity.INFO, resolved=True)},
        image_url_mask="",  # no pictures of Apprise's in a trader's chat
        image_url_logo="",
        async_mode=False,  # the calling thread sends; nothing passes Apprise's process-wide pool
        service_timeout=0,  # a limit of its own would send through that pool after all
        http_redirects=False,
        interpret_emojis=False,
        interpret_escapes=False,
        default_service_retry=0,
        secure_logging=True,
        storage_mode="memory",
        pgp_autogen=False,
        pem_autogen=False,
    )


def _ruled(plugin: NotifyBase) -> NotifyBase:
    """Sets on the instance what the URL may have said otherwise."""
    plugin.request_rate_per_sec = 0  # the worker paces
    vars(plugin)["throttle"] = _unthrottled
    plugin.redirects = False
    plugin.retry = 0
    plugin.optional = False  # an optional service reports its failures as success
    if hasattr(plugin, "mqtt_protocol"):
        mqtt_replies.take_over(plugin)
    kind = type(plugin)
    if plugin.socket_connect_timeout == kind.socket_connect_timeout:
        plugin.socket_connect_timeout = CONNECT_S
    if plugin.socket_read_timeout == kind.socket_read_timeout:
        plugin.socket_read_timeout = REPLY_S
    return plugin


def _kind(message: Message) -> NotifyType:
    """What services show as a colour."""
    return NotifyType.SUCCESS if message.resolved else _TYPES[message.severity]


def _dislikes(seen: Seen) -> bool:
    """Whether it is this message that the service does not take: its markup, or a picture inside."""
    return isinstance(seen.trouble, Refused) and seen.trouble.only_this


@contextmanager
def _attached(picture: bytes | None, *, from_file: bool) -> Iterator[AttachBase | None]:
    if picture is None:
        yield None
    elif not from_file:
        yield _IN_MEMORY(picture, name=PICTURE_NAME, mimetype="image/png")
    else:
        with tempfile.NamedTemporaryFile(prefix="pgmwatch-", suffix=".png") as file:  # 0600, gone with the block
            file.write(picture)
            file.flush()
            yield _IN_FILE(file.name, name=PICTURE_NAME, mimetype="image/png")


def _is_watched(plugin: NotifyBase) -> bool:
    """Whether what it sends passes one of the transports that `replies` and `mail_replies` have replaced."""
    names = set().union(*(vars(sys.modules[kind.__module__]) for kind in type(plugin).__mro__))
    return not names.isdisjoint(_WATCHED)


def _unthrottled(*_args: object, **_kwargs: object) -> None:
    """In the place of a plugin's own pause: it would sleep in the thread for as long as the service likes."""


def _silence() -> None:
    """Neither a level nor a handler set elsewhere brings these back, which a level alone would not survive."""
    for name in [*_LOUD_LOGGERS, *logging.root.manager.loggerDict]:
        if name.split(".")[0] in _LOUD_LOGGERS:
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.disabled = True
            logger.setLevel(logging.CRITICAL + 1)
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())  # or Python's handler of last resort would print
