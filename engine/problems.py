"""What is wrong with a user's file: where, what was found, what is allowed.

A `Problem` carries a code and its details, not a sentence: the sentence is made where it is shown, in the reader's
language, and an editor or a test reads the code.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from engine.locale import Locale, Text
from engine.text import clean

TEXTS: Mapping[str, Text] = {
    # files
    "no-file": Text("no such file", "파일이 없습니다"),
    "no-folder": Text("no such folder", "폴더가 없습니다"),
    "unreadable": Text("cannot be read: {reason}", "읽을 수 없습니다: {reason}"),
    "not-utf-8": Text(
        "is not UTF-8; save it as UTF-8 (it may be cp949/EUC-KR)",
        "UTF-8이 아닙니다. UTF-8로 저장하세요(cp949/EUC-KR일 수 있습니다)",
    ),
    "too-large": Text("is larger than {limit}", "크기가 {limit}를 넘습니다"),
    "not-toml": Text("is not valid TOML: {reason}", "TOML 문법 오류: {reason}"),
    "others-can-read": Text(
        "holds secrets and can be read by others; run: chmod 600 {path}",
        "비밀 값이 있는데 다른 사용자가 읽을 수 있습니다. 실행: chmod 600 {path}",
    ),
    # keys and values
    "unknown-key": Text("unknown key", "알 수 없는 키입니다"),
    "missing-key": Text("is required", "반드시 필요합니다"),
    "not-text": Text("must be text", "문자열이어야 합니다"),
    "not-integer": Text("must be a whole number", "정수여야 합니다"),
    "not-number": Text("must be a number", "숫자여야 합니다"),
    "not-boolean": Text("must be true or false", "true 또는 false여야 합니다"),
    "not-list": Text(
        "must be a list: [ … ], or [[ … ]] for a list of tables", "목록이어야 합니다: [ … ], 테이블 목록은 [[ … ]]"
    ),
    "not-table": Text("must be a table", "테이블이어야 합니다"),
    "not-a-date": Text('must be a date such as "2026-11-19"', '"2026-11-19" 같은 날짜여야 합니다'),
    "not-positive": Text("must be longer than 0s", "0s보다 길어야 합니다"),
    "not-one-of": Text("{found} is not one of {allowed}", "{found}: 가능한 값은 {allowed}입니다"),
    "out-of-range": Text("{found} is out of range; must be {allowed}", "{found}: 범위를 벗어났습니다. 허용: {allowed}"),
    "too-long": Text("is longer than {limit} characters", "{limit}자를 넘습니다"),
    "empty": Text("must not be empty", "비어 있으면 안 됩니다"),
    "not-a-duration": Text(
        '"{found}" is no duration; write "45s", "5m" or "1h30m"',
        '"{found}": 시간 길이가 아닙니다. "45s", "5m", "1h30m"처럼 쓰세요',
    ),
    "duration-not-text": Text('must be text such as "30s"', '"30s" 같은 문자열이어야 합니다'),
    "not-an-amount": Text(
        '"{found}" is no number; write 30000, "3만", "3만주" or "50억원"',
        '"{found}": 숫자가 아닙니다. 30000, "3만", "3만주", "50억원"처럼 쓰세요',
    ),
    "not-a-rate": Text('"{found}" is no rate; write "20/m"', '"{found}": 전송 빈도가 아닙니다. "20/m"처럼 쓰세요'),
    "not-a-size": Text('"{found}" is no size; write "20GB"', '"{found}": 크기가 아닙니다. "20GB"처럼 쓰세요'),
    "not-a-time": Text('"{found}" is no time of day; write "09:05"', '"{found}": 시각이 아닙니다. "09:05"처럼 쓰세요'),
    "not-hours": Text(
        '"{found}" is no span; write "09:00~15:30"', '"{found}": 시간대가 아닙니다. "09:00~15:30"처럼 쓰세요'
    ),
    "empty-hours": Text('"{found}" ends before it starts', '"{found}": 끝이 시작보다 빠릅니다'),
    # config.toml as a whole
    "name-not-set": Text(
        "${{{name}}} is set neither in the environment nor in .env",
        "${{{name}}} 값이 환경 변수에도 .env에도 없습니다",
    ),
    "not-a-name": Text("has a ${{ that is no ${{NAME}}", "${{가 ${{NAME}} 꼴이 아닙니다"),
    "bad-env-line": Text("is no line of the form NAME=value", "NAME=값 꼴의 줄이 아닙니다"),
    "same-app-key": Text(
        "is the app key of another account too; the broker allows one session per key",
        "다른 계정과 같은 앱키입니다. 앱키 하나로는 한 번만 접속할 수 있습니다",
    ),
    "unknown-notifier": Text('no notifier is named "{found}"', '"{found}"(이)라는 알림 대상(notifiers)이 없습니다'),
    "named-twice": Text('"{found}" is named twice', '"{found}"(이)라는 이름이 두 번 쓰였습니다'),
    "notifier-without-urls": Text('needs urls, or kind = "terminal"', 'urls 또는 kind = "terminal"이 필요합니다'),
    "terminal-with-urls": Text("a terminal takes no urls", "terminal에는 urls를 쓸 수 없습니다"),
    "no-account": Text('source = "kis" needs a [[feed.account]]', 'source = "kis"에는 [[feed.account]]가 필요합니다'),
    "first-above-max": Text("must not be above max", "max보다 클 수 없습니다"),
    "open-after-close": Text("the session must open before it closes", "장 시작은 장 마감보다 빨라야 합니다"),
    "not-a-url": Text(
        "is no URL with a host and a port up to 65535", "호스트와 65535 이하의 포트가 있는 URL이 아닙니다"
    ),
    "mock-host": Text(
        "is the broker's paper-trading host, which does not offer program trading; use the real one",
        "모의투자 서버는 프로그램매매 실시간 데이터를 제공하지 않습니다. 실전 서버를 쓰세요",
    ),
    "other-host": Text(
        "is neither {real} nor loopback: app keys would go there; allow_other_host = true permits it",
        "{real}도 로컬 주소도 아닙니다. 앱키가 그곳으로 전송됩니다. 허용하려면 allow_other_host = true",
    ),
    "wrong-scheme": Text("must start with {allowed}", "{allowed}로 시작해야 합니다"),
    "not-loopback": Text(
        "must be a loopback address with a port, such as 127.0.0.1:8765",
        "127.0.0.1:8765 같은 로컬 주소와 포트여야 합니다",
    ),
    # rules
    "no-condition": Text(
        "needs one of all, any, none, or a condition (metric)", "all, any, none 또는 조건(metric)이 필요합니다"
    ),
    "several-conditions": Text("{found}: only one of them may stand here", "{found}: 이 중 하나만 쓸 수 있습니다"),
    "no-operator": Text("needs one operator: {allowed}", "연산자가 하나 필요합니다: {allowed}"),
    "several-operators": Text(
        "{found}: a condition has exactly one operator", "{found}: 조건에는 연산자가 하나만 있어야 합니다"
    ),
    "no-metric": Text("needs a metric", "metric이 필요합니다"),
    "not-a-pair": Text(
        "must be two numbers [lo, hi], lo not above hi", "[하한, 상한] 두 숫자여야 하고 하한이 상한보다 클 수 없습니다"
    ),
    "not-a-threshold": Text("must be one number", "숫자 하나여야 합니다"),
    "percent": Text(
        '"{found}" is no number; a ratio is written without %, as {meant}',
        '"{found}": 숫자가 아닙니다. 비율은 % 없이 {meant}처럼 쓰세요',
    ),
    "code-not-text": Text(
        "{found} is a number; a code is text in quotes: {meant}",
        "{found}: 숫자입니다. 종목코드는 따옴표로 묶어 {meant}처럼 쓰세요",
    ),
    "wrong-unit": Text("{unit} does not go with {metric}", "{metric}에는 {unit} 단위를 쓸 수 없습니다"),
    "reset-without-use": Text("reset does not go with {operator}", "{operator}에는 reset을 쓸 수 없습니다"),
    "reset-beyond": Text(
        "must be {allowed} ({operator} = {threshold})", "{allowed}이어야 합니다({operator} = {threshold})"
    ),
    "window-not-allowed": Text("{metric} has no window", "{metric}에는 window를 쓸 수 없습니다"),
    "event-rule-key": Text(
        "does not go with a crossing: a crossing fires at one moment and nothing stays firing",
        "crosses_above/crosses_below와 함께 쓸 수 없습니다. 교차는 한 순간의 사건이라 지속 상태가 없습니다",
    ),
    "crossing-under-none": Text("a crossing may not stand under none", "none 아래에는 교차 조건을 쓸 수 없습니다"),
    "unknown-symbol": Text(
        '"{found}" is neither a six-character code nor a known stock name',
        '"{found}": 6자리 종목코드도, 알려진 종목명도 아닙니다',
    ),
    "not-a-built-in-name": Text(
        '"{found}" is neither a six-character code nor one of the {count} built-in stock names; '
        "pgmwatch symbols update loads all names",
        '"{found}": 6자리 종목코드도, 내장된 종목명 {count}개 중 하나도 아닙니다. '
        "전체 종목명은 pgmwatch symbols update로 받습니다",
    ),
    "ambiguous-symbol": Text(
        '"{found}" may be {candidates}; write the code', '"{found}": {candidates} 중 하나입니다. 코드로 쓰세요'
    ),
    "not-in-a-group": Text(
        '"{found}" may not stand in a group; a group has codes and stock names only',
        '"{found}": 그룹에는 종목코드와 종목명만 쓸 수 있습니다',
    ),
    "nested-too-deeply": Text(
        "conditions are nested more than {limit} levels deep", "조건이 {limit}단계보다 깊게 중첩되어 있습니다"
    ),
    "too-many-conditions": Text(
        "holds {found} conditions; {limit} are allowed in a rule",
        "조건이 {found}개입니다. 규칙 하나에 {limit}개까지 쓸 수 있습니다",
    ),
    "too-many-labels": Text(
        "holds {found} labels; {limit} are allowed", "레이블이 {found}개입니다. {limit}개까지 둘 수 있습니다"
    ),
    "key-too-deep": Text("a key has more than {limit} steps", "키의 점(.) 단계가 {limit}개를 넘습니다"),
    "not-a-regular-file": Text("is no regular file", "일반 파일이 아닙니다"),
    "unknown-group": Text('no group is named "{found}" in this file', '이 파일에 "{found}" 그룹이 없습니다'),
    "no-symbols": Text("no symbol is left to watch", "감시할 종목이 남지 않았습니다"),
    "rule-named-twice": Text(
        '"{found}" is also the name of a rule in {other}', '"{found}": {other}에 같은 이름의 규칙이 있습니다'
    ),
    "not-active-hours": Text(
        '"{found}" is no span; write "09:05~15:20" or "open+5m~close-10m"',
        '"{found}": 시간대가 아닙니다. "09:05~15:20" 또는 "open+5m~close-10m"처럼 쓰세요',
    ),
    "not-a-notifier-url": Text(
        "is no URL that Apprise accepts for one service; write it as the service's page on appriseit.com says",
        "Apprise가 받아들이는 서비스 URL이 아닙니다. appriseit.com의 해당 서비스 안내대로 쓰세요",
    ),
    "never-active": Text(
        "holds no time of any day: the rule would always sleep", "하루 중 해당하는 시각이 없어 규칙이 늘 쉬게 됩니다"
    ),
    "too-large-a-number": Text("must not be beyond ±{limit}", "±{limit}를 넘을 수 없습니다"),
    "too-many-folders": Text("has more than {limit} folders", "폴더가 {limit}개를 넘습니다"),
    "notifier-not-used": Text(
        'no rule and no key of [alerts] uses the notifier "{found}"',
        '"{found}" 알림 대상을 쓰는 규칙이나 [alerts] 키가 없습니다',
    ),
    # silences
    "not-a-date-and-time": Text(
        "{found} is no date and time; write 2026-11-23T09:00:00 (KST)",
        "{found}: 날짜와 시각이 아닙니다. 2026-11-23T09:00:00(KST)처럼 쓰세요",
    ),
    "silences-nothing": Text(
        "needs a rule, a symbol or labels; to silence everything write all = true",
        "rule, symbol, labels 중 하나가 필요합니다. 모두 끄려면 all = true로 쓰세요",
    ),
    "all-and-more": Text(
        "silences everything; leave out rule, symbol and labels, or leave out this",
        "모든 알림을 끕니다. rule, symbol, labels를 빼거나 all을 빼세요",
    ),
    "until-before-from": Text("must be after from", "from보다 뒤여야 합니다"),
    "too-many-silences": Text(
        "holds {found} silences; {limit} are allowed", "무음이 {found}개입니다. {limit}개까지 둘 수 있습니다"
    ),
    # what is allowed but can hardly be meant
    "nothing-to-watch": Text(
        "no rule is switched on: nothing is watched", "켜진 규칙이 없어 아무것도 감시하지 않습니다"
    ),
    "tells-nobody": Text("names no notifier: nobody is told", "알림 대상이 없어 아무에게도 알리지 않습니다"),
    "ops-unheard": Text(
        "no notifier beyond the terminal hears of pgmwatch itself: feed lost, alerts not stored, messages that do not "
        "arrive; name another one here: {names}",
        "수신 끊김, 저장 중단, 전송 실패처럼 pgmwatch 자체에 관한 알림을 터미널 밖에서 받는 곳이 없습니다. "
        "여기에 추가하세요: {names}",
    ),
    "out-of-reach": Text(
        "{metric} lies between -1 and 1, so {operator} never holds (30 % is 0.3)",
        "{metric} 값은 -1과 1 사이라 {operator} 조건이 성립할 수 없습니다(30%는 0.3)",
    ),
    "unknown-code": Text(
        "not in the stock master of {loaded}: {codes}", "{loaded}자 종목 마스터에 없는 종목코드: {codes}"
    ),
    "master-unusable": Text(
        "is no usable stock master ({reason}), so only the built-in names are known; run: pgmwatch symbols update",
        "종목 마스터 파일을 쓸 수 없어({reason}) 내장된 종목명만 씁니다. 실행: pgmwatch symbols update",
    ),
    # templates
    "template-broken": Text("is no valid template: {reason}", "템플릿 문법 오류: {reason}"),
    "template-forbidden": Text(
        "{found} is not allowed in a template; allowed are variables, filters, if and else, comparisons, +, -, / and ~",
        "템플릿에 {found}(은)는 쓸 수 없습니다. 변수, 필터, if/else, 비교, +, -, /, ~만 쓸 수 있습니다",
    ),
    "template-unknown-variable": Text(
        "no variable is named {found}; there are {allowed}",
        "{found}(이)라는 변수가 없습니다. 쓸 수 있는 변수: {allowed}",
    ),
    "template-unknown-filter": Text(
        "no filter is named {found}; there are {allowed}", "{found}(이)라는 필터가 없습니다. 쓸 수 있는 필터: {allowed}"
    ),
    "template-unknown-test": Text(
        "no test is named {found}; there are {allowed}", "{found}(이)라는 검사가 없습니다. 쓸 수 있는 검사: {allowed}"
    ),
    "template-unknown-key": Text('the rule "{rule}" has no value "{found}"', '규칙 "{rule}"에 "{found}" 값이 없습니다'),
    "template-unknown-label": Text(
        'the rule "{rule}" has no label "{found}"; where only some have it, write '
        "{{% if {asked} is defined %}} … {{% endif %}}",
        '규칙 "{rule}"에 "{found}" 라벨이 없습니다. 일부 규칙에만 있는 라벨이면 '
        "{{% if {asked} is defined %}} … {{% endif %}}처럼 쓰세요",
    ),
    "template-unasked": Text(
        "not every rule has {asked}; write {{% if {asked} is defined %}} … {{% endif %}}",
        "{asked}이(가) 모든 규칙에 있지는 않습니다. {{% if {asked} is defined %}} … {{% endif %}}처럼 쓰세요",
    ),
    "template-needs-key": Text(
        '{found} is a table: name one of its keys, such as {found}.KEY or {found}["KEY"]',
        '{found}(은)는 테이블입니다. {found}.KEY 또는 {found}["KEY"]처럼 키를 쓰세요',
    ),
    "template-fails": Text(
        "fails on a sample alert ({state}): {reason}", "예시 알림({state})에서 템플릿이 실패합니다: {reason}"
    ),
    "template-fails-undefined": Text(
        "fails on a sample alert ({state}) whose values are undefined: {reason}; "
        "ask {{% if value is not none %}} before calculating",
        "값이 없는 예시 알림({state})에서 템플릿이 실패합니다: {reason}. "
        "계산하기 전에 {{% if value is not none %}}으로 확인하세요",
    ),
    # tests for rules
    "series-or-recording": Text(
        "needs [[test.series]] or a recording, and not both", "[[test.series]]와 recording 중 하나만 필요합니다"
    ),
    "only-with-recording": Text("goes with recording only", "recording과 함께만 쓸 수 있습니다"),
    "not-steps": Text(
        '"{found}" is no series; write "0+30000x60" (start+step x count) or a list of whole numbers',
        '"{found}": 수열이 아닙니다. "0+30000x60"(시작값+증분x개수) 또는 정수 목록을 쓰세요',
    ),
    "too-many-values": Text("has more than {limit} values", "값이 {limit}개를 넘습니다"),
    "is-derived": Text("is derived ({sources}); leave it out", "계산되는 값입니다({sources}). 빼고 쓰세요"),
    "not-as-many": Text(
        "has {found} values, {other} has {allowed}", "값이 {found}개인데 {other}은(는) {allowed}개입니다"
    ),
    "no-series": Text("needs at least one field, such as buy_volume", "buy_volume 같은 필드가 하나 이상 필요합니다"),
    "not-a-moment": Text(
        '"{found}" is no moment; write "2026-11-20T09:10:00" (KST)',
        '"{found}": 시각이 아닙니다. "2026-11-20T09:10:00"처럼 쓰세요(KST)',
    ),
    "not-an-offset": Text(
        '"{found}" is no time from the start; write "5m30s" or "5m30.25s"',
        '"{found}": 시작부터의 시간이 아닙니다. "5m30s" 또는 "5m30.25s"처럼 쓰세요',
    ),
    "lasts-too-long": Text("lasts longer than {limit}", "{limit}보다 오래 걸립니다"),
    "unknown-rule": Text('no rule of this test is named "{found}"', '이 테스트의 규칙 중 "{found}"은(는) 없습니다'),
    "not-watched": Text(
        '"{found}" is watched by no rule of this test', '이 테스트의 규칙 중 "{found}"을(를) 감시하는 것이 없습니다'
    ),
    "not-watched-by": Text(
        'the rule "{rule}" does not watch "{found}"', '규칙 "{rule}"은(는) "{found}"을(를) 감시하지 않습니다'
    ),
    "unknown-value": Text(
        'the rule has no value "{found}"; it has {allowed}', '규칙에 "{found}" 값이 없습니다. 있는 값: {allowed}'
    ),
}

MAX_TEXT = 1_000
"""Characters of a message: a key or a value that was found may be as long as its file."""
THERE_ARE = Text("; there are: {known}", ". 쓸 수 있는 것: {known}")
LIKE_IT = Text("; like it: {likely}", ". 비슷한 종목: {likely}")
DID_YOU_MEAN = Text('; did you mean "{nearest}"?', '. 혹시 "{nearest}"인가요?')


class WrongValueError(ValueError):
    """A value does not fit. Raised by parsers that know neither file nor key; the loader adds both."""

    def __init__(self, code: str, *, at: tuple[str | int, ...] = (), **detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.at = at
        """The key below the checked table that is to blame, where a check looked at several."""
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` counts from 1; None where the file as a whole is meant. Never holds a secret."""

    file: str
    line: int | None
    key: str
    code: str
    detail: Mapping[str, str] = field(default_factory=dict)

    def message(self, locale: Locale) -> str:
        text = TEXTS[self.code].of(locale).format_map(self.detail)
        if meant := self.detail.get("nearest"):
            text += DID_YOU_MEAN.of(locale).format(nearest=meant)
        if known := self.detail.get("known"):
            text = _followed(text, THERE_ARE.of(locale).format(known=known))
        if likely := self.detail.get("likely"):
            text = _followed(text, LIKE_IT.of(locale).format(likely=likely))
        return clean(text, MAX_TEXT)

    def text(self, locale: Locale) -> str:
        """`file:line: key: what is wrong, what is allowed`."""
        file = clean(self.file, MAX_TEXT)  # a file's name is its writer's, and so are its line breaks
        place = file if self.line is None else f"{file}:{self.line}"
        return ": ".join(part for part in (place, clean(self.key), self.message(locale)) if part)


def _followed(text: str, more: str) -> str:
    """With `more` behind it: a question is a sentence of its own, and so is what comes after it."""
    if not text.endswith("?"):
        return text + more
    more = more.lstrip(".; ")
    return f"{text} {more[:1].upper()}{more[1:]}"


def nearest(found: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, in whichever case, or nothing."""
    words = {word.casefold(): word for word in known}
    matches = get_close_matches(found.casefold(), words, n=1, cutoff=0.6)
    return words[matches[0]] if matches else ""


MAX_SUGGESTIONS = 100
"""Of one reading: whoever has more mistakes than this is helped by their number."""
MAX_COMPARED = 200_000
"""Words looked at for them, 2 µs each: a file may name twenty thousand groups."""


class Suggestions:
    """`nearest` for one reading of files, until it has cost enough; afterwards it finds nothing."""

    def __init__(self) -> None:
        self._left = MAX_SUGGESTIONS
        self._words = MAX_COMPARED

    def nearest(self, found: str, known: Collection[str]) -> str:
        if not self._left or len(known) > self._words:
            return ""
        self._left -= 1
        self._words -= len(known)
        return nearest(found, known)
