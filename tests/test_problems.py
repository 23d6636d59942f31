"""Problems as their readers see them."""

import pytest

from engine.locale import Locale
from engine.problems import Problem

KNOWN = {"known": "desk, hook"}
NEAREST = {"nearest": "hook"}


@pytest.mark.parametrize(
    ("detail", "english", "korean"),
    [
        ({}, "", ""),
        (NEAREST, '; did you mean "hook"?', '. 혹시 "hook"인가요?'),
        (KNOWN, "; there are: desk, hook", ". 쓸 수 있는 것: desk, hook"),
        (
            NEAREST | KNOWN,
            '; did you mean "hook"? There are: desk, hook',
            '. 혹시 "hook"인가요? 쓸 수 있는 것: desk, hook',
        ),
        (
            NEAREST | {"likely": "삼성전자(005930)"},
            '; did you mean "hook"? Like it: 삼성전자(005930)',
            '. 혹시 "hook"인가요? 비슷한 종목: 삼성전자(005930)',
        ),
    ],
)
def test_after_a_question_mark_came_a_full_stop(detail: dict[str, str], english: str, korean: str) -> None:
    problem = Problem("config.toml", None, "", "unknown-notifier", {"found": "hok", **detail})
    assert problem.text(Locale.EN) == f'config.toml: no notifier is named "hok"{english}'
    assert problem.text(Locale.KO).endswith(f'"hok"(이)라는 알림 대상(notifiers)이 없습니다{korean}')
