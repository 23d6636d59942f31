"""A real message through a notifier, to see that it arrives before money depends on it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import trio

from engine.delivery import words
from engine.delivery.target import Delivered, Failed, Message, Outcome, Refused, Target, Unknown
from engine.locale import Locale, Text
from engine.rules.model import Severity

_TITLE = Text("pgmwatch test message", "pgmwatch 시험 메시지")
_BODY = Text(
    "If you can read this, alerts of this notifier arrive here.",
    "이 메시지가 보이면 이 대상으로 가는 알림이 여기에 도착합니다.",
)
_DELIVERED = Text("delivered", "전송됨")
_OUTCOMES = {
    Failed: Text("failed: {reason}", "실패: {reason}"),
    Refused: Text("refused: {reason}", "거부됨: {reason}"),
    Unknown: Text("unknown: {reason}", "도착 여부를 알 수 없음: {reason}"),
}


class Result(NamedTuple):
    """What came of it at one target."""

    target: str
    delivered: bool
    outcome: str
    """For people, in their language: `delivered`, or `failed: HTTP 404`."""


async def send(
    targets: Sequence[Target], locale: Locale, sample: Callable[[Locale], bytes] | None = None
) -> list[Result]:
    """One message to each target, all at once; → results in the order of `targets`.

    `sample` draws the picture (PNG) that goes to those whose alerts come with one; it is asked at most once.
    """
    plain = Message(_TITLE.of(locale), _BODY.of(locale), Severity.INFO)
    shown = plain
    if sample is not None and any(map(_is_shown, targets)):
        shown = replace(plain, picture=sample(locale))
    outcomes: dict[str, Outcome] = {}

    async def send_one(target: Target) -> None:
        outcome: Outcome = Unknown(f"no end within {target.deadline_s:g} s")
        with trio.move_on_after(target.deadline_s):
            outcome = await target.send(shown if _is_shown(target) else plain)
        outcomes[target.address.id] = outcome

    async with trio.open_nursery() as nursery:
        for target in targets:
            nursery.start_soon(send_one, target)
    return [_result(target.address.name, outcomes[target.address.id], locale) for target in targets]


def _is_shown(target: Target) -> bool:
    return target.address.chart and target.takes_pictures


def _result(name: str, outcome: Outcome, locale: Locale) -> Result:
    if isinstance(outcome, Delivered):
        return Result(name, delivered=True, outcome=_DELIVERED.of(locale))
    reason = words.reason(outcome.reason, locale)
    return Result(name, delivered=False, outcome=_OUTCOMES[type(outcome)].of(locale).format(reason=reason))
