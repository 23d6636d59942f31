"""What is said of a part that does not keep up: the evaluation, the database."""

from typing import NamedTuple

from engine.incidents.lag import Lagged
from engine.incidents.words import Said, moment
from engine.kst import SECOND_NS
from engine.locale import Locale, Text


class Forms(NamedTuple):
    began: Text
    began_line: Text
    over: Text


EVALUATION = Forms(
    Text("Evaluation lags by {most}", "평가 {most} 지연"),
    Text(
        "Since {since} data has been evaluated more than a second after it came, and alerts are late. "
        "The machine is overloaded, or there are more rules and symbols than it can take.",
        "{since}부터 데이터를 받고 1초 넘게 지나서야 평가하고 있어 알림이 늦어집니다. "
        "컴퓨터에 과부하가 걸렸거나 규칙과 종목이 너무 많습니다.",
    ),
    Text("Evaluation keeps up again", "평가 지연 해소"),
)
STORE = Forms(
    Text("Storing lags by {most}", "저장 {most} 지연"),
    Text(
        "Since {since} the disk has taken more than a second to store an alert, and each waits for it up to "
        "three seconds before it is sent. The disk is ill, overloaded, or far away.",
        "{since}부터 알림 저장에 1초 넘게 걸리고 있어 알림마다 최대 3초까지 늦어집니다. "
        "디스크에 문제가 있거나 과부하가 걸렸는지 확인하세요.",
    ),
    Text("Storing keeps up again", "저장 지연 해소"),
)
_OVER_LINE = Text(
    "It lagged by up to {most}, from {since} to {until}.",
    "{since}부터 {until}까지 최대 {most} 늦었습니다.",
)
_SECONDS = Text("{seconds:.1f} s", "{seconds:.1f}초")


def said(forms: Forms, lagged: Lagged, now: int, locale: Locale) -> Said:
    title, line = (forms.over, _OVER_LINE) if lagged.is_over else (forms.began, forms.began_line)
    fields = {
        "most": _SECONDS.of(locale).format(seconds=lagged.most_ns / SECOND_NS),
        "since": moment(lagged.since, now),
        "until": moment(now, now),
    }
    return Said(title.of(locale).format_map(fields), line.of(locale).format_map(fields))
