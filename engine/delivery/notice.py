"""What is stored, shown and sent: an alert with its words and its addressees, or a notice of the daemon itself."""

import json
from dataclasses import dataclass

from engine import kst
from engine.alert import Alert, State, Suppression
from engine.rules.model import Severity

_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell, in plain text and the user's language, foreign parts already cleaned."""

    id: str
    """The alert's id; for a notice of the daemon its kind and time."""
    at: int
    """When it happened, in nanoseconds since the epoch."""
    severity: Severity
    title: str
    message: str
    notify: tuple[str, ...]
    """Names of notifiers."""
    line: str = ""
    """The whole thing in one line, for a message that tells of several. Empty: the title does."""
    size: float = 0.0
    """How far beyond its threshold, as |value / threshold|: among equals the larger one is told first."""
    alert: Alert | None = None
    """None: the daemon's own (feed lost, rules refused, …)."""
    name: str = ""
    """The stock's name, as the stock master has it."""
    kind: str = ""
    """Of the daemon's own notices: one word, such as `feed-lost`."""
    chart: bool | None = None
    """Whether a picture goes with it; None: as the notifier has it."""
    besides: str = ""
    """Id of a target that it does not go to, because that is what it tells of."""

    @property
    def suppressed(self) -> Suppression | None:
        return self.alert.suppressed if self.alert is not None else None

    @property
    def resolved(self) -> bool:
        return self.alert is not None and self.alert.state is State.RESOLVED

    @property
    def urgency(self) -> tuple[bool, int, float, int]:
        """Sorts the most urgent first: what fires before what is over, then severity, size, age."""
        return self.resolved, _RANK[self.severity], -self.size, self.at

    def to_json(self) -> str:
        """One line. An alert's is the same from the daemon, a replay and the history."""
        fields = self._own_fields() if self.alert is None else self._alert_fields(self.alert)
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def _alert_fields(self, alert: Alert) -> dict[str, object]:
        return {
            "id": alert.id,
            "rule": alert.rule,
            "symbol": alert.symbol,
            "name": self.name,
            "state": alert.state,
            "at": kst.iso(alert.at),
            "since": kst.iso(alert.since),
            "severity": alert.severity,
            "repeat": alert.repeat,
            "suppressed": alert.suppressed,
            "values": dict(alert.values),
            "title": self.title,
            "message": self.message,
            "labels": dict(alert.labels),
        }

    def _own_fields(self) -> dict[str, object]:
        return {
            "id": self.id,
            "system": self.kind,
            "at": kst.iso(self.at),
            "severity": self.severity,
            "title": self.title,
            "message": self.message,
        }


def system_notice(
    kind: str, at: int, severity: Severity, *, title: str, message: str, notify: tuple[str, ...]
) -> Notice:
    """A notice that no rule made. One kind has at most one notice a moment: kind and time are its id."""
    return Notice(f"{kind}-{at}", at, severity, title, message, notify, kind=kind)
