"""Apprise behind one file: URLs in, outcomes out, and no URL in any log.

Importing this costs a quarter of a second, so it is imported only where a notifier has URLs. The options in a URL
(`?retry=`, `?redirect=yes`, `?overflow=`, `?optional=yes`, …) do not overrule the house: retries, pace and what counts
as delivered are decided here.

Text goes in as TEXT, explicitly, and every plugin makes of it what its service shows literally. Seen on the wire with
2.2.0: Telegram gets HTML with `<`, `>`, `&` as entities; Slack the same entities with `mrkdwn` off, so `<!channel>` and
`<@U123>` stay text; mail is `text/plain`; a JSON web hook gets the text as it is. Discord and Mattermost escape
nothing: there an `@here` in foreign text would ring, which is why foreign text has no `@` (engine.text.unpinged).
"""

import logging
import sys

from apprise import Apprise, AppriseAsset, AppriseResultStatus, NotifyFormat, NotifyType, OverflowMode
from apprise.plugins.base import NotifyBase
from pydantic import SecretStr

from engine.delivery import mail_replies, replies
from engine.delivery.outcomes import outcome_of
from engine.delivery.target import Message, Outcome
from engine.loopback import is_loopback
from engine.rules.model import Severity

CONNECT_S = 10.0
REPLY_S = 15.0
"""Apprise's own four seconds take a busy service for a dead one, and the retry doubles the message. Mail uses the
connect timeout for every step of the conversation."""

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

# What a plugin's module imports if it sends by HTTP or by mail.
_WATCHED = frozenset({"requests", "smtplib", "AppriseSMTPController"})

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind}>"

    @property
    def kind(self) -> str:
        """The service's name in lower case: `slack`, `telegram`, `e-mail`, `json`."""
        return str(self._plugin.service_name).lower()

    @property
    def takes_pictures(self) -> bool:
        """Whether a picture sent to it is shown."""
        return False

    @property
    def loopback(self) -> bool:
        """Whether sending can reach this machine only. What is not known to stay here counts as leaving it."""
        protocol = type(self._plugin).protocol
        if protocol not in _HOSTED_PROTOCOLS or getattr(self._plugin, "use_wkd", False):
            return False
        host = getattr(self._plugin, "smtp_host", "") if protocol == "mailto" else self._plugin.host
        return is_loopback(str(host))

    def send(self, message: Message) -> Outcome:
        """Blocks, for as long as the service and its plugin do."""
        with replies.watched() as seen:
            try:
                success = self._notify(message) is AppriseResultStatus.SUCCESS
            except Exception as error:  # noqa: BLE001  a plugin is foreign code: whatever it raises, the message is not delivered
                return outcome_of(seen, success=False, otherwise=type(error).__name__, watched=self._watched)
            return outcome_of(seen, success=success, watched=self._watched)

    def _notify(self, message: Message) -> AppriseResultStatus:
        body = "\n".join(line for line in (message.body, *message.remarks) if line)
        with self._apprise.notify(
            body=body or message.title,
            title=message.title if body else "",
            notify_type=NotifyType.SUCCESS if message.resolved else _TYPES[message.severity],
            body_format=NotifyFormat.TEXT,
        ) as result:
            return result.status


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
    plugin.overflow_mode = OverflowMode.SPLIT
    plugin.redirects = False
    plugin.retry = 0
    plugin.optional = False  # an optional service reports its failures as success
    if hasattr(plugin, "qos"):
        plugin.qos = max(plugin.qos, 1)  # MQTT without receipts: what a broker never read would count as delivered
    kind = type(plugin)
    if plugin.socket_connect_timeout == kind.socket_connect_timeout:
        plugin.socket_connect_timeout = CONNECT_S
    if plugin.socket_read_timeout == kind.socket_read_timeout:
        plugin.socket_read_timeout = REPLY_S
    return plugin


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
