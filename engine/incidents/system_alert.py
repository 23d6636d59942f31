"""A word about the watch itself, as a notice and as a line in the log."""

import logging
from dataclasses import replace

from engine.delivery.message import sign
from engine.delivery.notice import Notice, system_notice
from engine.incidents.words import Said
from engine.rules.model import Severity
from engine.text import quoted

log = logging.getLogger(__name__)


def system_alert(
    kind: str,
    now: int,
    severity: Severity,
    said: Said,
    notify: tuple[str, ...],
    *,
    resolved: bool = False,
    besides: str = "",
) -> Notice:
    """`resolved`: it is the end of what was told before. `besides`: as in Notice."""
    log.info("system alert kind=%s severity=%s at=%d title=%s", kind, severity, now, quoted(said.title))
    # Among a chat's alerts it must be plain at a glance that this one is about the watch itself.
    title = f"{sign(severity, resolved=resolved)} pgmwatch · {said.title}"
    notice = system_notice(kind, now, severity, title=title, message=said.message, notify=notify)
    return replace(notice, besides=besides)
