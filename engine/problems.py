"""What is wrong with a user's file: where, what was found, what is allowed.

A `Problem` carries a code and its details, not a sentence: the sentence is made where it is shown, in the reader's
language, and an editor or a test reads the code.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from engine.locale import Locale, Text

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
    "unknown-key": Text("unknown key{suggestion}", "알 수 없는 키입니다{suggestion}"),
    "missing-key": Text("is required", "반드시 필요합니다"),
    "wrong-type": Text("must be {allowed}", "{allowed}이어야 합니다"),
    "not-one-of": Text(
        "{found} is not one of {allowed}{suggestion}", "{found}: 가능한 값은 {allowed}입니다{suggestion}"
    ),
    "out-of-range": Text(
        "{found} is out of range; allowed: {allowed}", "{found}: 범위를 벗어났습니다. 허용: {allowed}"
    ),
    "empty": Text("must not be empty", "비어 있으면 안 됩니다"),
    "not-a-duration": Text(
        '"{found}" is no duration; write "45s", "5m" or "1h30m"',
        '"{found}": 시간 길이가 아닙니다. "45s", "5m", "1h30m"처럼 쓰세요',
    ),
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
    "not-in-this-version": Text("is not in this version yet", "이 버전에는 아직 없습니다"),
}


class WrongValueError(ValueError):
    """A value does not fit. Raised by parsers that know neither file nor key; the loader adds both."""

    def __init__(self, code: str, **detail: str) -> None:
        super().__init__(code)
        self.code = code
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
        return TEXTS[self.code].of(locale).format_map(self.detail)

    def text(self, locale: Locale) -> str:
        """`file:line: key: what is wrong, what is allowed`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message(locale)) if part)


def nearest(found: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or nothing."""
    matches = get_close_matches(found, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else ""
