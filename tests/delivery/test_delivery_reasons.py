"""Why something was not delivered, in the language of whoever reads it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.delivery import deliver, words
from engine.delivery.outbox import SENT_ELSEWHERE
from engine.locale import Locale

CALLS = {"Failed", "Refused", "Unknown"}


def fixed_reasons() -> Iterator[str]:
    """All that delivery gives as a reason word for word."""
    for path in Path(deliver.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called in CALLS and isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def test_every_reason_of_our_own_was_english_to_a_korean_reader() -> None:
    found = {*fixed_reasons(), SENT_ELSEWHERE, "not accepted", "STARTTLS not offered", "login not offered"}
    assert len(found) > 8
    assert [reason for reason in found if words.reason(reason, Locale.KO).isascii()] == []
    assert [reason for reason in found if words.reason(reason, Locale.EN) != reason] == []


@pytest.mark.parametrize(
    ("reason", "korean"),
    [
        ("no reply", "응답 없음"),
        ("no end within 40 s", "40초 안에 끝나지 않음"),
        ("no answer within 7.5 s", "7.5초 안에 응답 없음"),
        ("in part: no connection", "일부만 전송: 연결할 수 없음"),
        ("in part: HTTP 503", "일부만 전송: HTTP 503"),
        ("HTTP 302, redirects are not followed", "HTTP 302, 다른 주소로 넘기는 응답은 따라가지 않음"),
        ("HTTP 200 channel_not_found", "HTTP 200 channel_not_found"),
        ("SMTP 535 5.7.8", "SMTP 535 5.7.8"),
        ("Broken pipe", "Broken pipe"),
        ("{0} {rest}", "{0} {rest}"),
        ("in part: {rest}\n", "일부만 전송: {rest}\n"),
        ("", ""),
    ],
)
def test_our_reasons_are_put_in_words_and_what_a_service_says_stays(reason: str, korean: str) -> None:
    assert words.reason(reason, Locale.KO) == korean
    assert words.reason(reason, Locale.EN) == reason
