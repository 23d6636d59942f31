"""What the system alerts say, in the user's language: titles for a lock screen, messages with the numbers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.delivery.words import duration
from engine.evaluation.gate import Drop
from engine.gap import Gap
from engine.incidents.coverage import Kind, Missing
from engine.incidents.drift import Place
from engine.incidents.gaps import is_far
from engine.incidents.outage import Lost, Over
from engine.incidents.reading import Blind, Unreadable
from engine.incidents.silence import Silent
from engine.kis.backoff import Ending
from engine.kis.status import Status
from engine.kst import clock_time, date_of, day_number
from engine.locale import Locale, Text
from engine.record import FIELDS
from engine.rules.model import Rule
from engine.text import unpinged

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
_CAUSED = {
    Ending.CREDENTIALS: Text("Credentials refused: {accounts}", "인증 거부: {accounts}"),
    Ending.KEY_REFUSED: Text("Approval key refused: {accounts}", "접속키 거부: {accounts}"),
    Ending.IN_USE: Text("App key in use: {accounts}", "앱키 사용 중: {accounts}"),
}
_BLIND_SYMBOLS = Text("Symbols not seen ({count}): {names}", "데이터를 받지 못하는 종목 {count}개: {names}")
_BLIND_RULES = Text("Rules that cannot be judged ({count}): {names}", "판정할 수 없는 규칙 {count}개: {names}")
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
_WAITS = Text(
    " The next attempt is at {time}: pauses between connections are kept, also over a restart.",
    " 다시 시작해도 접속 간격은 지키므로 {time}에 접속합니다.",
)
_WAITS_UNKEPT = Text(
    " The next attempt is at {time}: attempts.json cannot be written, so attempts keep far apart. See to the disk.",
    " attempts.json에 접속 기록을 쓸 수 없어 접속 간격을 넓혔고, {time}에 접속합니다. 디스크를 확인하세요.",
)
_CAUSES = {
    Ending.LOST: Text("The connection was lost.", "연결이 끊겼습니다."),
    Ending.SILENT: Text(
        "The connection stayed open without any data, so it is made anew.",
        "연결은 살아 있는데 데이터가 오지 않아 다시 연결합니다.",
    ),
    Ending.IN_USE: Text(
        "The app key is in use elsewhere, or the broker has not yet released our own last connection. "
        "An app key is good for one connection at a time: if another program has it, end that.",
        "앱키를 다른 곳에서 쓰고 있거나, 증권사가 pgmwatch의 직전 연결을 아직 해제하지 않았습니다. "
        "앱키 하나로는 한 곳에서만 접속할 수 있으니, 다른 프로그램이 쓰고 있다면 끝내세요.",
    ),
    Ending.KEY_REFUSED: Text(
        "The broker refused the approval key that it had just issued.",
        "증권사가 방금 발급한 웹소켓 접속키를 거부했습니다.",
    ),
    Ending.CREDENTIALS: Text(
        "The broker refuses the app key or secret. Check both, and whether the app key has expired.",
        "증권사가 앱키나 앱시크릿을 거부했습니다. 두 값과 앱키의 유효기간을 확인하세요.",
    ),
    Ending.TOO_OFTEN: Text(
        "The broker says that approval keys were asked for too often.",
        "접속키를 너무 자주 요청했다며 증권사가 거절했습니다.",
    ),
}
_IN_OTHER_WORDS = Text(" ({reason})", " ({reason})")
_ASKED_NEXT = Text(" The broker is asked about them again at {time}.", " {time}에 다시 확인합니다.")
_ASKED_ANEW = Text(
    " Once mended, they are tried at once after a restart.",
    " 고친 뒤 pgmwatch를 다시 시작하면 바로 확인합니다.",
)

_MISSING = Text("Symbols not watched: {count}", "감시하지 못하는 종목: {count}개")
_MISSING_LINES = {
    Kind.BEYOND: Text("No registration left for {count}: {names}", "등록 한도를 넘은 종목 {count}개: {names}"),
    Kind.REJECTED: Text("Rejected by the broker, {count}: {names}", "증권사가 거부한 종목 {count}개: {names}"),
    Kind.UNANSWERED: Text(
        "Not confirmed by the broker for over a minute, {count}: {names}",
        "1분 넘게 증권사의 구독 확인을 받지 못한 종목 {count}개: {names}",
    ),
}
_MISSING_RULES = Text("Rules concerned ({count}): {names}", "관련 규칙 {count}개: {names}")

_GHOSTS = Text("Symbols without data today: {count}", "오늘 데이터가 없는 종목: {count}개")
_GHOSTS_LINE = Text(
    "Subscribed, but without any data for 30 minutes of the session, {count}: {names}",
    "구독 중이지만 장중 30분 동안 데이터가 없는 종목 {count}개: {names}",
)
_GHOSTS_RENEWED = Text(
    "Perhaps nothing was traded by program. They have been subscribed anew, in case the broker forgot them.",
    "프로그램 매매가 없었을 수도 있습니다. 증권사에서 구독이 누락됐을 경우에 대비해 다시 구독했습니다.",
)

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
_READABLE = Text("Data can be read again: {accounts}", "데이터 해석 재개: {accounts}")
_READABLE_LINE = Text(
    "{account}: data can be read again; none could for {lasted}, since {since}.",
    "{account}: 데이터를 다시 읽고 있습니다. {since}부터 {lasted} 동안 하나도 읽지 못했습니다.",
)
_REASONS = {
    "cipher": "복호화 실패",
    "count": "레코드 수 오류",
    "envelope": "프레임 구분 오류",
    "flag": "암호화 구분값 오류",
    "msg-cd": "응답 코드 없음",
    "no-body": "본문 없음",
    "no-key": "복호화 키 없음",
    "not-an-object": "JSON 객체 아님",
    "not-json": "JSON 아님",
    "number": "숫자 형식 오류",
    "stride": "필드 수 오류",
    "surrogate": "문자 인코딩 오류",
    "symbol": "종목코드 형식 오류",
    "time": "시각 형식 오류",
    "too-long": "길이 초과",
    "too-many": "레코드 수 초과",
    "tr-id": "TR ID 형식 오류",
}
"""The decoder's words (engine.kis.protocol) in Korean; in English they stand for themselves."""
_IMPOSSIBLE = Text("Records with impossible times", "시각이 맞지 않는 레코드")
_IMPOSSIBLE_LINES = {
    Drop.EARLY: Text(
        "{count:,} dropped: more than a minute ahead of this machine's clock. Check whether that is slow.",
        "{count:,}건 제외: 이 컴퓨터의 시계보다 1분 넘게 앞선 시각입니다. 시계가 늦지 않은지 확인하세요.",
    ),
    Drop.BAD_TIME: Text("{count:,} dropped: not a time of day.", "{count:,}건 제외: 시각 형식이 아닙니다."),
}
_NONE_EVALUATED = Text("No record can be evaluated", "평가할 수 있는 레코드 없음")
_NONE_EVALUATED_LINE = Text(
    "All records since {since} were dropped ({count:,} in {lasted}).",
    "{since} 이후 받은 레코드가 모두 제외됐습니다({lasted} 동안 {count:,}건).",
)
_NONE_EVALUATED_WHY = {
    Drop.EARLY: Text(
        "Their times are more than a minute ahead of this machine's clock, which is most likely slow: set it.",
        "레코드의 시각이 이 컴퓨터의 시계보다 1분 넘게 앞섭니다. 시계가 늦은 것으로 보이니 맞추세요.",
    ),
    Drop.BAD_TIME: Text("Their times are none.", "시각 형식이 아닙니다."),
}
_EVALUATED = Text("Records are evaluated again", "레코드 평가 재개")
_EVALUATED_LINE = Text(
    "None was for {lasted}, since {since}.",
    "{since}부터 {lasted} 동안 평가된 레코드가 없었습니다.",
)
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
            "컴퓨터의 시계가 {until}에서 {since}(으)로 뒤로 맞춰졌습니다. pgmwatch의 시각은 그대로 이어집니다.",
        ),
    ),
}
_GAP_BLIND = Text(
    "What happened in between is unknown; what was pending starts anew.",
    "그 사이의 일은 알 수 없으므로 대기 중이던 조건은 처음부터 다시 셉니다.",
)
_STEP_BLIND = Text(
    "Values that reach over this moment are unknown; what was pending starts anew.",
    "이 시점에 걸친 값은 알 수 없고, 대기 중이던 조건은 처음부터 다시 셉니다.",
)
_HOURS_OFF = Text(
    "From now on trading hours and the active hours of rules come {lasted} early here. "
    "A restart of pgmwatch puts that right.",
    "지금부터 장 시간과 규칙의 적용 시간이 {lasted} 일찍 적용됩니다. pgmwatch를 다시 시작하면 바로잡힙니다.",
)
_AHEAD = Text("Trading hours are off by {lasted}", "장 시간이 {lasted} 어긋남")
_AHEAD_LINE = Text(
    "The machine's clock was set back, and time in pgmwatch is {lasted} ahead of it: trading hours and the active "
    "hours of rules come that much early. A restart of pgmwatch puts that right.",
    "컴퓨터의 시계가 뒤로 맞춰져 pgmwatch의 시각이 {lasted} 앞서 있습니다. 장 시간과 규칙의 적용 시간이 그만큼 일찍 "
    "적용됩니다. pgmwatch를 다시 시작하면 바로잡힙니다.",
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
        return self._blind(self._title(_LOST, outages), [self._lost_line(lost, now) for lost in outages], outages)

    def caused(self, cause: Ending, outages: Sequence[Lost], now: int) -> Said:
        """Outages that have come to be of this cause, which a person must mend."""
        lines = [self._lost_line(lost, now) for lost in outages]
        return self._blind(self._title(_CAUSED[cause], outages), lines, outages)

    def back(self, ends: Sequence[Over]) -> Said:
        lines = [
            self._text(
                _BACK_LINE if end.losses == 1 else _BACK_FROM_FLAPPING_LINE,
                account=_account(end.account),
                lasted=duration(end.until - end.since, self.locale),
                since=moment(end.since, end.until),
                until=moment(end.until, end.until),
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

    def ghosts(self, found: Sequence[Missing]) -> Said:
        symbols = [missing.symbol for missing in found]
        lines = [self._listed(_GHOSTS_LINE, [self._symbol(symbol) for symbol in symbols]), self._text(_GHOSTS_RENEWED)]
        return Said(self._text(_GHOSTS, count=len(symbols)), "\n".join([*lines, *self._rules(_MISSING_RULES, symbols)]))

    def appended(self, numbers: Sequence[int]) -> Said:
        seen = ", ".join(str(_KNOWN + number) for number in numbers)
        return Said(self._text(_APPENDED, seen=seen, known=_KNOWN), self._text(_APPENDED_LINE, seen=seen, known=_KNOWN))

    def unusable(self, counts: Mapping[Place, int]) -> Said:
        parts = ", ".join(
            self._text(
                _UNUSABLE_FRAMES if place.whole_frame else _UNUSABLE_RECORDS,
                count=count,
                reason=self._reason(place.reason),
            )
            for place, count in counts.items()
        )
        return Said(self._text(_UNUSABLE), self._text(_UNUSABLE_LINE, parts=parts))

    def unreadable(self, found: Sequence[Unreadable], now: int) -> Said:
        lines = [self._since_line(_UNREADABLE_LINE, each, now, count=each.count) for each in found]
        return self._blind(self._title(_UNREADABLE, found), lines, found)

    def readable(self, found: Sequence[Unreadable], now: int) -> Said:
        lines = [self._since_line(_READABLE_LINE, each, now) for each in found]
        return Said(self._title(_READABLE, found), "\n".join(lines))

    def impossible(self, counts: Mapping[Drop, int]) -> Said:
        lines = [self._text(_IMPOSSIBLE_LINES[drop], count=count) for drop, count in counts.items()]
        return Said(self._text(_IMPOSSIBLE), "\n".join(lines))

    def none_evaluated(self, blind: Blind, why: Drop, feeds: Sequence[Status], now: int) -> Said:
        lasted, since = duration(now - blind.since, self.locale), moment(blind.since, now)
        line = self._text(_NONE_EVALUATED_LINE, since=since, count=blind.parts, lasted=lasted)
        return self._blind(self._text(_NONE_EVALUATED), [line, self._text(_NONE_EVALUATED_WHY[why])], feeds)

    def evaluated(self, blind: Blind, now: int) -> Said:
        lasted, since = duration(now - blind.since, self.locale), moment(blind.since, now)
        return Said(self._text(_EVALUATED), self._text(_EVALUATED_LINE, lasted=lasted, since=since))

    def silent(self, found: Sequence[Silent], now: int) -> Said:
        lines = [self._since_line(_SILENT_LINE, each, now) for each in found]
        return self._blind(self._title(_SILENT, found), lines, found)

    def speaks(self, found: Sequence[Silent], now: int) -> Said:
        lines = [self._since_line(_SPEAKS_LINE, each, now) for each in found]
        return Said(self._title(_SPEAKS, found), "\n".join(lines))

    def gap(self, kind: Gap, since: int, until: int, untold: int) -> Said:
        title, line = _GAPS[kind]
        lasted = duration(until - since, self.locale)
        blind = _STEP_BLIND if kind is Gap.CLOCK_BACK else _GAP_BLIND
        lines = [self._text(line, since=moment(since, until), until=moment(until, until)), self._text(blind)]
        if is_far(kind, until - since):
            lines.append(self._text(_HOURS_OFF, lasted=lasted))
        if untold:
            lines.append(self._text(_GAP_MORE, count=untold))
        return Said(self._text(title, lasted=lasted), "\n".join(lines))

    def ahead(self, ahead_ns: int) -> Said:
        lasted = duration(ahead_ns, self.locale)
        return Said(self._text(_AHEAD, lasted=lasted), self._text(_AHEAD_LINE, lasted=lasted))

    # Parts

    def _text(self, form: Text, **values: object) -> str:
        return form.of(self.locale).format(**values)

    def _title(self, form: Text, those: Sequence[Lost | Over | Silent | Unreadable]) -> str:
        return self._text(form, accounts=self._list([_account(each.account) for each in those], _MOST_IN_TITLE))

    def _blind(self, title: str, lines: list[str], those: Sequence[Lost | Silent | Unreadable | Status]) -> Said:
        """With all that is not seen by that."""
        symbols = tuple(symbol for each in those for symbol in each.symbols)
        if symbols:
            lines = [*lines, self._listed(_BLIND_SYMBOLS, [self._symbol(symbol) for symbol in symbols])]
        return Said(title, "\n".join([*lines, *self._rules(_BLIND_RULES, symbols)]))

    def _lost_line(self, lost: Lost, now: int) -> str:
        lasted, since = duration(now - lost.down, self.locale), moment(lost.down, now)
        cause = self._cause(lost, now)
        line = self._text(_LOST_LINE, account=_account(lost.account), since=since, lasted=lasted, cause=cause)
        return line + (self._text(_UNSTEADY, since=moment(lost.since, now)) if lost.since < lost.down else "")

    def _since_line(self, form: Text, each: Silent | Unreadable, now: int, **more: object) -> str:
        lasted = duration(now - each.since, self.locale)
        return self._text(form, account=_account(each.account), since=moment(each.since, now), lasted=lasted, **more)

    def _cause(self, lost: Lost, now: int) -> str:
        if lost.cause is None:
            return self._text(_NOT_YET) + self._why_not_yet(lost, now)
        reason = unpinged(lost.reason, _REASON_LENGTH)
        cause = self._text(_CAUSES[lost.cause]) + (self._text(_IN_OTHER_WORDS, reason=reason) if reason else "")
        return cause + (self._asked_next(lost, now) if lost.cause is Ending.CREDENTIALS else "")

    def _why_not_yet(self, lost: Lost, now: int) -> str:
        time = _to_come(lost.next_attempt, now)
        return self._text(_WAITS if lost.is_kept else _WAITS_UNKEPT, time=time) if time else ""

    def _asked_next(self, lost: Lost, now: int) -> str:
        time = _to_come(lost.next_attempt, now)
        return (self._text(_ASKED_NEXT, time=time) if time else "") + self._text(_ASKED_ANEW)

    def _reason(self, word: str) -> str:
        return unpinged(_REASONS.get(word, word) if self.locale is Locale.KO else word, _NAME_LENGTH)

    def _rules(self, form: Text, symbols: Iterable[str]) -> list[str]:
        """A line on the rules that watch any of these; a sum counts, as it is not evaluated while a member is blind."""
        those = frozenset(symbols)
        names = [unpinged(rule.name, _NAME_LENGTH) for rule in self.rules if not those.isdisjoint(rule.symbols)]
        return [self._listed(form, names)] if names else []

    def _missing(self, missing: Missing) -> str:
        symbol = self._symbol(missing.symbol)
        return f"{symbol} {unpinged(missing.code, _NAME_LENGTH)}" if missing.code else symbol

    def _symbol(self, code: str) -> str:
        name = unpinged(self.name(code), _NAME_LENGTH)
        return f"{name}({unpinged(code, _NAME_LENGTH)})" if name else unpinged(code, _NAME_LENGTH)

    def _listed(self, form: Text, names: Sequence[str]) -> str:
        return self._text(form, count=len(names), names=self._list(names))

    def _list(self, names: Sequence[str], most: int = _MOST_NAMED) -> str:
        more = len(names) - most
        return ", ".join(names[:most]) + (self._text(_MORE, count=more) if more > 0 else "")


def _account(name: str) -> str:
    return unpinged(name, _NAME_LENGTH)


def _to_come(t: int | None, now: int) -> str:
    """Empty: it has come already, or never will."""
    return "" if t is None or t <= now else moment(t, now)


def moment(t: int, now: int) -> str:
    """`09:05:30`; with its date if that is not today's."""
    digits = clock_time(t)
    time = f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"
    return time if day_number(t) == day_number(now) else f"{date_of(day_number(t)):%m-%d} {time}"
