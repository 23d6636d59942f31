"""The picture that goes with an alert: what its rule measured in the half hour before, drawn beside everything else."""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import trio

from engine.alert import Alert
from engine.charts.figure import Figure, plain
from engine.charts.trace import INTERVAL_NS, KEPT_NS, SHOWN_NS, Point, Traces, subject_of
from engine.delivery import message, words
from engine.delivery.notice import Notice
from engine.delivery.target import Target
from engine.delivery.words import Stated
from engine.evaluation.engine import Engine
from engine.in_force import InForce
from engine.kst import day_number
from engine.locale import Locale
from engine.rules.model import Rule
from engine.session import Hours
from engine.stream import Event
from engine.text import quoted

log = logging.getLogger(__name__)

_REMEMBERED = 32
"""Pictures of 25 KB: the targets of one alert ask within seconds of each other, and those that try again soon after."""


class _Drawing:
    """One that somebody is at, or was."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.finished = False
        """Else whoever was at it gave it up."""
        self.picture: bytes | None = None


class Charts:
    """Made and used on the Trio thread, but for `recalling`."""

    def __init__(self, engine: Engine, in_force: InForce, hours: Hours, locale: Locale) -> None:
        self._engine = engine
        self._in_force = in_force
        self._hours = hours
        self._locale = locale
        self._traces = Traces()
        self._rules: Sequence[Rule] = ()
        self._whole = trio.Event()
        """What was recorded before has been looked at."""
        self._drawings: OrderedDict[str, _Drawing] = OrderedDict()
        self._pencil = trio.CapacityLimiter(1)  # fonts are not for two threads, and a second one would draw no faster

    def __repr__(self) -> str:
        return f"<Charts {self._traces!r} remembered={len(self._drawings)}>"

    # What is remembered

    def follow(self, rules: Sequence[Rule], targets: Iterable[Target]) -> None:
        """These rules are in force now, and these targets get messages. Nothing happens where they are the same."""
        if rules is self._rules:
            return
        self._rules = rules
        charted = list(wanted(rules, targets))
        left_out = self._traces.follow(charted)
        if charted:
            log.info("pictures of rules=%d tracks=%d", len(charted), self._traces.tracks)
        if left_out:
            log.warning("too many measures: no pictures of rules=%d", left_out)

    def recalling(self, events: Iterable[Event], until: int) -> Iterator[Event]:
        """`events` as they are, and between them a look at what they come to; from an hour before `until` on.

        For the thread in which the engine learns what was recorded; until it is done nobody else may be here.
        """
        due = until - KEPT_NS
        for event in events:
            if event.t >= due:
                due = (event.t // INTERVAL_NS + 1) * INTERVAL_NS
                self._glance()
            yield event

    def look(self) -> None:
        """Each second or so, and only where the engine is not being brought to the present elsewhere."""
        self._glance()
        self._whole.set()

    def _glance(self) -> None:
        now = self._engine.now
        if now is not None and self._traces.is_due(now):
            self._traces.look(self._engine.read, now)

    # What is drawn

    async def picture(self, notice: Notice) -> bytes | None:
        """A PNG; None where there is nothing to show. Drawn once, however many ask for it."""
        await self._whole.wait()
        while (drawing := self._drawings.get(notice.id)) is not None:
            await drawing.done.wait()
            if drawing.finished:
                return drawing.picture
        drawing = self._drawings[notice.id] = _Drawing()
        try:
            drawing.picture = await self._drawn(notice)
            drawing.finished = True
        finally:
            drawing.done.set()
            if not drawing.finished:
                self._forget(notice.id, drawing)
        while len(self._drawings) > _REMEMBERED:
            self._drawings.popitem(last=False)
        return drawing.picture

    def _forget(self, name: str, drawing: _Drawing) -> None:
        if self._drawings.get(name) is drawing:
            del self._drawings[name]

    async def _drawn(self, notice: Notice) -> bytes | None:
        try:
            found = self._figure(notice)
            if isinstance(found, str):
                log.info("no picture id=%s reason=%s", notice.id, quoted(found))
                return None
            return await trio.to_thread.run_sync(_draw, found, abandon_on_cancel=True, limiter=self._pencil)
        except Exception:  # whatever is wrong with the picture, the alert must go out (engine/errors.py)
            log.exception("picture not drawn id=%s", notice.id)
            return None

    def _figure(self, notice: Notice) -> Figure | str:
        """Or why there is none."""
        alert = notice.alert
        rule = None if alert is None else self._in_force.rules.get(alert.rule)
        if alert is None or rule is None:
            return "no rule"
        told = message.headline(alert, rule)
        value = dict(alert.values).get(told.condition.key)
        if value is None:
            return "no value"
        if not self._is_as_it_was(notice, alert, rule, told):
            return "rule has changed"
        key = subject_of(rule, alert.symbol), told.condition.key
        seen = self._engine.read(rule.name, alert.symbol, self._traces.last_at)
        broken = seen is None or seen.was_blind
        runs = self._traces.runs(key, alert.at - SHOWN_NS, Point(alert.at, value), broken=broken)
        if runs is None:
            return "not followed"
        subject = message.subject(alert, rule, notice.name, self._locale)
        return Figure(
            subject=plain(subject, 120),
            stated=told,
            runs=runs,
            opening=self._hours.session(day_number(alert.at)).open,
            since=alert.since,
            state=alert.state,
            repeat=alert.repeat,
            rule=rule.name,
            conditions=sum(1 for _ in rule.when.conditions()),
            locale=self._locale,
        )

    def _is_as_it_was(self, notice: Notice, alert: Alert, rule: Rule, told: Stated) -> bool:
        """The rule may have been edited since: a threshold that the alert was not about must not be drawn.

        Nobody knows what it said before a restart, but the message does; whose sum it was, not even that.
        """
        if self._in_force.since[alert.rule] <= alert.at:
            return True
        return rule.aggregate is None and words.limits([told], "", self._locale) in notice.message


def wanted(rules: Iterable[Rule], targets: Iterable[Target]) -> Iterator[Rule]:
    """Those of which a picture can go anywhere."""
    takers = [target.address for target in targets if target.takes_pictures]
    for rule in rules:
        goes_to = (address for address in takers if not set(rule.notify).isdisjoint(address.notifiers))
        if rule.enabled and any(address.chart if rule.chart is None else rule.chart for address in goes_to):
            yield rule


def _draw(figure: Figure) -> bytes:
    """In a thread. Pillow is 10 MB, and only here is it needed."""
    from engine.charts.draw import draw

    return draw(figure)
