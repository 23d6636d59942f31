"""When a rule is awake: its `active` spans on a given date."""

from collections.abc import Sequence

from engine.evaluation.series import NEVER
from engine.kst import day_start
from engine.rules.model import Anchor, Moment, Span
from engine.session import Session


class Schedule:
    """Shared by a rule's symbols. `asleep` is good while now < `until`; `move` makes it so again."""

    __slots__ = ("_spans", "_today", "asleep", "until")

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = tuple(spans)
        self.begin(0, Session(0, 0))

    def begin(self, day: int, session: Session) -> None:
        """A new date, by KST day number."""
        anchors = {Anchor.MIDNIGHT: day_start(day), Anchor.OPEN: session.open, Anchor.CLOSE: session.close}

        def at(moment: Moment) -> int:
            return anchors[moment.anchor] + moment.offset_ns

        self._today = [(at(span.start), at(span.end)) for span in self._spans]
        self.asleep = False
        self.until = 0 if self._spans else NEVER

    def move(self, now: int) -> None:
        self.asleep = not any(start <= now < end for start, end in self._today)
        self.until = min((edge for span in self._today for edge in span if edge > now), default=NEVER)
