"""What the system alerts say, in the user's language: titles for a lock screen, messages with the numbers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.delivery.words import duration
from engine.evaluation.gate import Drop
from engine.gap import Gap
from engine.incidents.coverage import Kind, Missing
from engine.incidents.drift import Place, Unreadable
from engine.incidents.outage import Lost, Over
from engine.incidents.silence import Silent
from engine.kis.backoff import Ending
from engine.kst import clock_time, date_of, day_number
from engine.locale import Locale, Text
from engine.record import FIELDS
from engine.rules.model import Rule
from engine.text import clean

_KNOWN = len(FIELDS)
_MOST_NAMED = 10
"""Symbols or rules in one list: more is no help on a phone, and `status` has them all."""
_MOST_IN_TITLE = 3
_NAME_LENGTH = 40
_REASON_LENGTH = 120


class Said(NamedTuple):
    title: str
    message: str


_LOST = Text("Feed lost: {accounts}", "수신 끊김: {accounts}")
_LOST_LINE = Text(
    "{account}: nothing received since {since} ({lasted}). {cause}",
    "{account}: {since}부터 수신하지 못하고 있습니다({lasted}). {cause}",
)
_UNSTEADY = Text(" It has come and gone since {since}.", " {since}부터 연결이 불안정합니다.")
_REFUSED = Text("Credentials refused: {accounts}", "인증 거부: {accounts}")
_BLIND_SYMBOLS = Text("Symbols not seen ({count}): {names}", "볼 수 없는 종목 {count}개: {names}")
_BLIND_RULES = Text("Rules that cannot be judged ({count}): {names}", "판단할 수 없는 규칙 {count}개: {names}")
_BACK = Text("Feed back: {accounts}", "수신 복구: {accounts}")
_BACK_LINE = Text(
    "{account}: was down for {lasted}, from {since} to {until}.",
    "{account}: {since}부터 {until}까지 {lasted} 동안 끊겨 있었습니다.",
)
_BACK_FROM_FLAPPING_LINE = Text(
    "{account}: came and went for {lasted}, from {since} to {until}.",
    "{account}: {since}부터 {until}까지 {lasted} 동안 연결이 불안정했습니다.",
)
_NOT_YET = Text("There has been no connection since the start.", "시작한 뒤로 아직 연결되지 않았습니다.")
_CAUSES = {
    Ending.LOST: Text("The connection was lost.", "연결이 끊겼습니다."),
    Ending.SILENT: Text(
        "The connection stayed open without any data, so it is made anew.",
        "연결은 살아 있는데 데이터가 오지 않아 다시 연결합니다.",
    ),
    Ending.IN_USE: Text(
        "The app key is in use elsewhere; it is good for one connection at a time. End the other program.",
        "앱키를 다른 곳에서 쓰고 있습니다. 앱키 하나로는 한 곳에서만 접속할 수 있으니 다른 프로그램을 끝내세요.",
    ),
    Ending.KEY_REFUSED: Text(
        "The broker refused the approval key that it had just issued.",
        "증권사가 방금 발급한 웹소켓 접속키를 거부했습니다.",
    ),
    Ending.CREDENTIALS: Text(
        "The broker refuses the app key or secret. Check both, and whether the app key has expired.",
        "증권사가 앱키나 시크릿을 거부했습니다. 두 값과 앱키의 유효기간을 확인하세요.",
    ),
    Ending.TOO_OFTEN: Text(
        "The broker says that approval keys were asked for too often.",
        "접속키를 너무 자주 요청했다며 증권사가 거절했습니다.",
    ),
}
_IN_OTHER_WORDS = Text(" ({reason})", " ({reason})")

_MISSING = Text("Symbols not watched: {count}", "감시하지 못하는 종목: {count}개")
_MISSING_LINES = {
    Kind.BEYOND: Text("No registration left for {count}: {names}", "등록 한도를 넘은 종목 {count}개: {names}"),
    Kind.REJECTED: Text("Rejected by the broker, {count}: {names}", "증권사가 거부한 종목 {count}개: {names}"),
    Kind.UNANSWERED: Text(
        "Not confirmed by the broker for over a minute, {count}: {names}",
        "1분 넘게 증권사의 구독 확인을 받지 못한 종목 {count}개: {names}",
    ),
    Kind.GHOST: Text(
        "Confirmed, but without any data for 30 minutes of the session; subscribed anew, {count}: {names}",
        "구독은 확인됐지만 장중 30분 동안 데이터가 없어 다시 구독한 종목 {count}개: {names}",
    ),
}
_MISSING_RULES = Text("Rules concerned ({count}): {names}", "관련 규칙 {count}개: {names}")

_APPENDED = Text("Records have {seen} fields instead of {known}", "레코드 필드가 {known}개에서 {seen}개로 바뀜")
_APPENDED_LINE = Text(
    "The broker documents {known} fields; its records now have {seen}. The first {known} are read, and all goes on.",
    "문서에는 필드가 {known}개인데 증권사가 {seen}개를 보내고 있습니다. 앞의 {known}개를 읽으며 감시는 계속됩니다.",
)
_UNUSABLE = Text("Data that cannot be read", "읽을 수 없는 데이터")
_UNUSABLE_LINE = Text(
    "Today so far: {parts}. What can be read is evaluated as always.",
    "오늘 지금까지 {parts}. 읽을 수 있는 데이터는 그대로 평가합니다.",
)
_UNUSABLE_FRAMES = Text("frames {count:,} ({reason})", "프레임 {count:,}건({reason})")
_UNUSABLE_RECORDS = Text("records {count:,} ({reason})", "레코드 {count:,}건({reason})")
_UNREADABLE = Text("No data can be read: {accounts}", "데이터를 전혀 읽을 수 없음: {accounts}")
_UNREADABLE_LINE = Text(
    "{account}: nothing of what came since {since} could be used ({count:,} faults in {lasted}).",
    "{account}: {since} 이후 받은 데이터를 하나도 읽지 못했습니다({lasted} 동안 오류 {count:,}건).",
)
_IMPOSSIBLE = Text("Records with impossible times", "시각이 맞지 않는 레코드")
_IMPOSSIBLE_LINES = {
    Drop.EARLY: Text(
        "{count:,} dropped: more than a minute ahead of this machine's clock. Check whether that is slow.",
        "{count:,}건 제외: 이 컴퓨터의 시계보다 1분 넘게 앞선 시각입니다. 시계가 늦지 않은지 확인하세요.",
    ),
    Drop.BAD_TIME: Text("{count:,} dropped: not a time of day.", "{count:,}건 제외: 시각 형식이 아닙니다."),
}

_SILENT = Text("Connected, but no data: {accounts}", "연결은 됐지만 데이터 없음: {accounts}")
_SILENT_LINE = Text(
    "{account}: connected, but without data since {since} ({lasted}).",
    "{account}: 연결은 살아 있는데 {since}부터 데이터가 오지 않습니다({lasted}).",
)
_SPEAKS = Text("Data is back: {accounts}", "데이터 재개: {accounts}")
_SPEAKS_LINE = Text(
    "{account}: data comes again; there was none for {lasted}, since {since}.",
    "{account}: 데이터가 다시 옵니다. {since}부터 {lasted} 동안 없었습니다.",
)

_GAPS = {
    Gap.AWAY: (
        Text("Stood still for {lasted}", "{lasted} 동안 멈춰 있었음"),
        Text(
            "pgmwatch did not run from {since} to {until}: suspended, or the machine was overloaded.",
            "{since}부터 {until}까지 pgmwatch가 실행되지 못했습니다. 일시 정지됐거나 컴퓨터에 과부하가 걸렸습니다.",
        ),
    ),
    Gap.CLOCK_FORWARD: (
        Text("Clock went forward by {lasted}", "시계가 {lasted} 앞으로 감"),
        Text(
            "It is {until} now, and was {since} a moment ago: the machine slept, or its clock was set.",
            "방금까지 {since}, 지금은 {until}입니다. 컴퓨터가 절전 상태였거나 시계가 앞으로 맞춰졌습니다.",
        ),
    ),
    Gap.CLOCK_BACK: (
        Text("Clock was set back by {lasted}", "시계가 {lasted} 뒤로 맞춰짐"),
        Text(
            "The machine's clock was set from {until} back to {since}. Times here never fall: they go on as before.",
            "컴퓨터의 시계가 {until}에서 {since}까지 뒤로 맞춰졌습니다. pgmwatch의 시각은 그대로 이어집니다.",
        ),
    ),
}
_GAP_BLIND = Text(
    "What happened in between is unknown; what was pending starts anew.",
    "그 사이의 일은 알 수 없으므로 대기 중이던 조건은 처음부터 다시 잽니다.",
)
_STEP_BLIND = Text(
    "Values that reach over this moment are unknown; what was pending starts anew.",
    "이 순간을 사이에 둔 값은 알 수 없고, 대기 중이던 조건은 처음부터 다시 잽니다.",
)
_GAP_MORE = Text("{count} more like this before went untold.", "앞서 알리지 않은 같은 일이 {count}번 더 있었습니다.")
_MORE = Text(" and {count} more", " 외 {count}개")


@dataclass(frozen=True, slots=True)
class Words:
    """What is needed to say anything: language, names, and which rule watches what."""

    locale: Locale
    rules: tuple[Rule, ...]
    """Those that are evaluated."""
    name: Callable[[str], str]
    """A code's Korean name; empty if unknown."""

    def lost(self, outages: Sequence[Lost], now: int) -> Said:
        return self._blind(_LOST, [self._lost_line(lost, now) for lost in outages], outages)

    def refused(self, outages: Sequence[Lost], now: int) -> Said:
        return self._blind(_REFUSED, [self._lost_line(lost, now) for lost in outages], outages)

    def back(self, ends: Sequence[Over]) -> Said:
        lines = [
            self._text(
                _BACK_LINE if end.losses == 1 else _BACK_FROM_FLAPPING_LINE,
                account=_account(end.account),
                lasted=duration(end.until - end.since, self.locale),
                since=_moment(end.since, end.until),
                until=_moment(end.until, end.until),
            )
            for end in ends
        ]
        return Said(self._title(_BACK, ends), "\n".join(lines))

    def missing(self, found: Sequence[Missing]) -> Said:
        lines = []
        for kind, form in _MISSING_LINES.items():
            these = [missing for missing in found if missing.kind is kind]
            if these:
                lines.append(self._listed(form, [self._missing(missing) for missing in these]))
        symbols = tuple(dict.fromkeys(missing.symbol for missing in found))
        lines += self._rules(_MISSING_RULES, symbols)
        return Said(self._text(_MISSING, count=len(symbols)), "\n".join(lines))

    def appended(self, numbers: Sequence[int]) -> Said:
        seen = ", ".join(str(_KNOWN + number) for number in numbers)
        return Said(self._text(_APPENDED, seen=seen, known=_KNOWN), self._text(_APPENDED_LINE, seen=seen, known=_KNOWN))

    def unusable(self, counts: Mapping[Place, int]) -> Said:
        parts = ", ".join(
            self._text(_UNUSABLE_FRAMES if place.whole_frame else _UNUSABLE_RECORDS, count=count, reason=place.reason)
            for place, count in counts.items()
        )
        return Said(self._text(_UNUSABLE), self._text(_UNUSABLE_LINE, parts=parts))

    def unreadable(self, found: Sequence[Unreadable], now: int) -> Said:
        lines = [self._since_line(_UNREADABLE_LINE, each, now, count=each.count) for each in found]
        return self._blind(_UNREADABLE, lines, found)

    def impossible(self, counts: Mapping[Drop, int]) -> Said:
        lines = [self._text(_IMPOSSIBLE_LINES[drop], count=count) for drop, count in counts.items()]
        return Said(self._text(_IMPOSSIBLE), "\n".join(lines))

    def silent(self, found: Sequence[Silent], now: int) -> Said:
        return self._blind(_SILENT, [self._since_line(_SILENT_LINE, each, now) for each in found], found)

    def speaks(self, found: Sequence[Silent], now: int) -> Said:
        lines = [self._since_line(_SPEAKS_LINE, each, now) for each in found]
        return Said(self._title(_SPEAKS, found), "\n".join(lines))

    def gap(self, kind: Gap, since: int, until: int, untold: int) -> Said:
        title, line = _GAPS[kind]
        lasted = duration(until - since, self.locale)
        blind = _STEP_BLIND if kind is Gap.CLOCK_BACK else _GAP_BLIND
        lines = [self._text(line, since=_moment(since, until), until=_moment(until, until)), self._text(blind)]
        if untold:
            lines.append(self._text(_GAP_MORE, count=untold))
        return Said(self._text(title, lasted=lasted), "\n".join(lines))

    # Parts

    def _text(self, form: Text, **values: object) -> str:
        return form.of(self.locale).format(**values)

    def _title(self, form: Text, those: Sequence[Lost | Over | Silent | Unreadable]) -> str:
        return self._text(form, accounts=self._list([_account(each.account) for each in those], _MOST_IN_TITLE))

    def _blind(self, title: Text, lines: list[str], those: Sequence[Lost | Silent | Unreadable]) -> Said:
        """With all that is not seen by that."""
        symbols = tuple(symbol for each in those for symbol in each.symbols)
        if symbols:
            lines = [*lines, self._listed(_BLIND_SYMBOLS, [self._symbol(symbol) for symbol in symbols])]
        return Said(self._title(title, those), "\n".join([*lines, *self._rules(_BLIND_RULES, symbols)]))

    def _lost_line(self, lost: Lost, now: int) -> str:
        lasted, since = duration(now - lost.down, self.locale), _moment(lost.down, now)
        cause = self._cause(lost)
        line = self._text(_LOST_LINE, account=_account(lost.account), since=since, lasted=lasted, cause=cause)
        return line + (self._text(_UNSTEADY, since=_moment(lost.since, now)) if lost.since < lost.down else "")

    def _since_line(self, form: Text, each: Silent | Unreadable, now: int, **more: object) -> str:
        lasted = duration(now - each.since, self.locale)
        return self._text(form, account=_account(each.account), since=_moment(each.since, now), lasted=lasted, **more)

    def _cause(self, lost: Lost) -> str:
        if lost.cause is None:
            return self._text(_NOT_YET)
        reason = clean(lost.reason, _REASON_LENGTH)
        return self._text(_CAUSES[lost.cause]) + (self._text(_IN_OTHER_WORDS, reason=reason) if reason else "")

    def _rules(self, form: Text, symbols: Iterable[str]) -> list[str]:
        """A line on the rules that watch any of these; a sum counts, as it is not evaluated while a member is blind."""
        those = frozenset(symbols)
        names = [clean(rule.name, _NAME_LENGTH) for rule in self.rules if not those.isdisjoint(rule.symbols)]
        return [self._listed(form, names)] if names else []

    def _missing(self, missing: Missing) -> str:
        symbol = self._symbol(missing.symbol)
        return f"{symbol} {clean(missing.code, _NAME_LENGTH)}" if missing.code else symbol

    def _symbol(self, code: str) -> str:
        name = clean(self.name(code), _NAME_LENGTH)
        return f"{name}({code})" if name else code

    def _listed(self, form: Text, names: Sequence[str]) -> str:
        return self._text(form, count=len(names), names=self._list(names))

    def _list(self, names: Sequence[str], most: int = _MOST_NAMED) -> str:
        more = len(names) - most
        return ", ".join(names[:most]) + (self._text(_MORE, count=more) if more > 0 else "")


def _account(name: str) -> str:
    return clean(name, _NAME_LENGTH)


def _moment(t: int, now: int) -> str:
    """`09:05:30`; with its date if that is not today's."""
    digits = clock_time(t)
    time = f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"
    return time if day_number(t) == day_number(now) else f"{date_of(day_number(t)):%m-%d} {time}"
