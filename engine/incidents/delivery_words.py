"""What the system alerts say of targets, in the user's language."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.delivery import words
from engine.delivery.parcel import Delivery
from engine.incidents.targets import Back, Disliked, Failing, How
from engine.incidents.words import Said, moment
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.text import unpinged

_MOST_NAMED = 10
"""Targets that one message tells of: more is no help on a phone, and `status` has them all."""
_MOST_IN_TITLE = 3
_NAME_LENGTH = 60
_REASON_LENGTH = 160

_FAILING = Text("Messages do not arrive: {names}", "알림이 가지 않음: {names}")
_HOW = {
    How.FAILS: Text(
        "{name}: no message has arrived since {since} ({lasted}). {reason}",
        "{name}: {since}부터 알림이 도착하지 않고 있습니다({lasted}). {reason}",
    ),
    How.REFUSES: Text(
        "{name}: has refused all messages since {since}: {reason}",
        "{name}: {since}부터 알림을 모두 거부하고 있습니다: {reason}",
    ),
    How.HANGS: Text(
        "{name}: has neither taken nor refused a message since {since} ({lasted}).",
        "{name}: {since}부터 알림을 받지도 거부하지도 않고 있습니다({lasted}).",
    ),
}
_WAITING = Text(
    "Waiting: {count:,}; the first is given up at {expires}.", "대기 {count:,}건, 첫 만료는 {expires}입니다."
)
_WAITING_LAST = Text(
    "Waiting: {count:,}; the first is about to be given up.", "대기 {count:,}건, 곧 만료되기 시작합니다."
)
_SOON_NS = 60 * SECOND_NS
"""Who reads of a time that is nearer reads it when it is past: a message takes some seconds itself."""
_GIVEN_UP = Text("Given up: {count:,}.", "만료 {count:,}건.")
_REFUSED = Text(
    "Refused: {count:,}; `pgmwatch notify dead` has them.",
    "거부 {count:,}건. `pgmwatch notify dead`에서 볼 수 있습니다.",
)
_BACK = Text("Messages arrive again: {names}", "알림 전송 복구: {names}")
_BACK_LINE = Text(
    "{name}: none arrived for {lasted}, from {since} to {until}. Delivered since, and late: {late:,}.",
    "{name}: {since}부터 {until}까지 {lasted} 동안 도착하지 않았습니다. 늦게 전송 {late:,}건.",
)
_DISLIKED = Text("Messages refused: {names}", "거부된 알림: {names}")
_DISLIKED_LINE = Text(
    "{name}: refused {count:,}, and takes others. {reason}",
    "{name}: {count:,}건을 거부했습니다(다른 알림은 받음). {reason}",
)
_DEAD = Text(
    "`pgmwatch notify dead` shows them, and sends them again if you wish.",
    "`pgmwatch notify dead`에서 보고 다시 보낼 수 있습니다.",
)
_GONE = Text("Undelivered messages without a target: {count:,}", "보낼 곳이 없어진 알림: {count:,}건")
_GONE_LINE = Text(
    "They waited for targets that config.toml does not lead to any more: {names}.",
    "config.toml에서 없어진 대상을 기다리던 알림입니다: {names}.",
)
_EACH = Text("{name} ({count:,})", "{name}({count:,}건)")
_MORE = Text(" and {count} more", " 외 {count}개")


@dataclass(frozen=True, slots=True)
class DeliveryWords:
    locale: Locale

    def failing(self, those: Sequence[Failing], now: int) -> Said:
        lines = [self._failing_line(each, now) for each in those[:_MOST_NAMED]]
        return Said(self._title(_FAILING, those), "\n".join(lines))

    def back(self, those: Sequence[Back]) -> Said:
        lines = [self._back_line(each) for each in those[:_MOST_NAMED]]
        return Said(self._title(_BACK, those), "\n".join(lines))

    def disliked(self, those: Sequence[Disliked]) -> Said:
        lines = [
            self._text(_DISLIKED_LINE, name=_name(each.name), count=each.count, reason=self._reason(each.reason))
            for each in those[:_MOST_NAMED]
        ]
        return Said(self._title(_DISLIKED, those), "\n".join([*lines, self._text(_DEAD)]))

    def gone(self, those: Sequence[Delivery]) -> Said:
        counts = Counter(each.name for each in those)
        names = [self._text(_EACH, name=_name(name), count=count) for name, count in counts.most_common()]
        line = self._text(_GONE_LINE, names=self._list(names, _MOST_NAMED))
        return Said(self._text(_GONE, count=len(those)), f"{line}\n{self._text(_DEAD)}")

    def _failing_line(self, each: Failing, now: int) -> str:
        since, lasted = moment(each.since, now), words.duration(now - each.since, self.locale)
        reason = self._reason(each.reason)
        parts = [self._text(_HOW[each.how], name=_name(each.name), since=since, lasted=lasted, reason=reason)]
        if each.expires is not None:
            form = _WAITING if each.expires - now >= _SOON_NS else _WAITING_LAST
            parts.append(self._text(form, count=each.waiting, expires=moment(each.expires, now)))
        return " ".join([*parts, *self._lost(each)]).replace("  ", " ")

    def _back_line(self, each: Back) -> str:
        line = self._text(
            _BACK_LINE,
            name=_name(each.name),
            lasted=words.duration(each.until - each.since, self.locale),
            since=moment(each.since, each.until),
            until=moment(each.until, each.until),
            late=each.late,
        )
        return " ".join([line, *self._lost(each)])

    def _lost(self, each: Failing | Back) -> Iterable[str]:
        """What will not arrive by itself."""
        if each.expired:
            yield self._text(_GIVEN_UP, count=each.expired)
        if each.refused:
            yield self._text(_REFUSED, count=each.refused)

    def _title(self, form: Text, those: Sequence[Failing] | Sequence[Back] | Sequence[Disliked]) -> str:
        return self._text(form, names=self._list([_name(each.name) for each in those], _MOST_IN_TITLE))

    def _list(self, names: Sequence[str], most: int) -> str:
        more = len(names) - most
        return ", ".join(names[:most]) + (self._text(_MORE, count=more) if more > 0 else "")

    def _reason(self, reason: str) -> str:
        """As a sentence of its own."""
        told = unpinged(words.reason(reason, self.locale), _REASON_LENGTH)
        return f"{told}." if told and told[-1].isalnum() else told

    def _text(self, form: Text, **values: object) -> str:
        return form.of(self.locale).format(**values)


def _name(name: str) -> str:
    return unpinged(name, _NAME_LENGTH)
