"""The watch over what becomes of alerts: the database that they wait for, and the targets that they go to."""

import logging
from collections.abc import Sequence

from engine.config.model import Alerts
from engine.delivery.lane import TargetStatus
from engine.delivery.notice import Notice
from engine.delivery.parcel import Delivery
from engine.incidents import lag_words
from engine.incidents.delivery_words import DeliveryWords
from engine.incidents.lag import WITHIN, Lag
from engine.incidents.system_alert import system_alert
from engine.incidents.targets import Back, Disliked, Failing, Found, Watch
from engine.incidents.words import Said
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Severity
from engine.text import quoted

log = logging.getLogger(__name__)


class Delivering:
    """System alerts for the ops notifiers; those about a target go to others than itself."""

    def __init__(self, alerts: Alerts, locale: Locale) -> None:
        ttl_ns, digest_ns = (round(span.total_seconds() * SECOND_NS) for span in (alerts.ttl, alerts.digest))
        self._ops = alerts.ops
        self._locale = locale
        self._words = DeliveryWords(locale)
        self._targets = Watch(ttl_ns, digest_ns)
        self._store_lag = Lag(WITHIN)

    def look(self, now: int, targets: Sequence[TargetStatus], store_lag_ns: int) -> list[Notice]:
        """What is to be told now; call it every second. `store_lag_ns`: how long what is to be stored has waited."""
        return [*self._look_at_targets(now, self._targets.look(now, targets)), *self._look_at_store(now, store_lag_ns)]

    def failing(self, now: int) -> tuple[str, ...]:
        """Names of targets that have taken nothing for a minute."""
        return self._targets.failing(now)

    def gone(self, now: int, those: Sequence[Delivery]) -> list[Notice]:
        """What an earlier run left for targets that are not configured any more."""
        if not those:
            return []
        return [system_alert("target-gone", now, Severity.WARNING, self._words.gone(those), self._ops)]

    def _look_at_targets(self, now: int, found: Found) -> list[Notice]:
        for each in found.failing:
            words = quoted(each.name), each.how, each.waiting, quoted(each.reason)
            log.warning("target failing name=%s how=%s waiting=%d reason=%s", *words)
        for end in found.back:
            seconds = (end.until - end.since) / SECOND_NS
            log.info("target back name=%s seconds=%.0f late=%d", quoted(end.name), seconds, end.late)
        notices = []
        if found.back:
            notices.append(self._told("target-back", now, self._words.back(found.back), found.back))
        if found.failing:
            notices.append(self._told("target-failing", now, self._words.failing(found.failing, now), found.failing))
        if found.disliked:
            notices.append(self._told("target-refused", now, self._words.disliked(found.disliked), found.disliked))
        return notices

    def _told(
        self, kind: str, now: int, said: Said, those: Sequence[Failing] | Sequence[Back] | Sequence[Disliked]
    ) -> Notice:
        is_over = kind == "target-back"
        severity = Severity.INFO if is_over else Severity.WARNING
        notify, besides = self._targets.audience(self._ops, [each.target for each in those])
        return system_alert(kind, now, severity, said, notify, resolved=is_over, besides=besides)

    def _look_at_store(self, now: int, lag_ns: int) -> list[Notice]:
        lagged = self._store_lag.look(now, lag_ns)
        if lagged is None:
            return []
        kind, severity = ("store-lag-over", Severity.INFO) if lagged.is_over else ("store-lag", Severity.WARNING)
        said = lag_words.said(lag_words.STORE, lagged, now, self._locale)
        return [system_alert(kind, now, severity, said, self._ops, resolved=lagged.is_over)]
