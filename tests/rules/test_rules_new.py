"""`pgmwatch rules new` as a stranger meets it."""

import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from engine.commands import rules_new as module
from engine.config import load as config_load
from engine.rules.load import load
from engine.rules.model import Condition, Operator, Rule, Severity
from engine.rules.new import file_name, is_read, number
from engine.rules.reader import World
from engine.symbols.master import BUILTIN

OTHER = '[[rule]]\nname = "old"\nsymbols = ["005930"]\nmetric = "net_value"\nabove = 1\n'
MEASURED = ("--metric", "net_volume", "--window", "5m", "--above", "10만주")
X = ("--name", "x", "--symbols", "005930", "--metric")
SOME = ("--name", "삼성 매수", "--symbols", "005930, SK하이닉스", *MEASURED)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "old.toml").write_text(OTHER)
    (tmp_path / "config.toml").write_text('locale = "en"\n')
    return tmp_path


def run(place: Path, *options: str, answers: str = "") -> tuple[int, str]:
    """Exit code as the program gives it, and everything that was said."""
    config = place / "config.toml"
    result = CliRunner().invoke(module.rules_new, options, obj=config, input=answers, standalone_mode=False)
    if isinstance(result.exception, click.UsageError):
        return 2, result.exception.message
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.output


def loaded(place: Path) -> dict[str, Rule]:
    session = config_load.load(place / "config.toml", {}).usual_session_ns
    return {rule.name: rule for rule in load(place / "rules", World(("terminal",), ("terminal",), session, BUILTIN))}


def files(place: Path) -> list[str]:
    return sorted(path.name for path in (place / "rules").iterdir())


def test_a_rule_from_options(place: Path) -> None:
    more = ("--for", "30s", "--cooldown", "10m", "--resolved", "--severity", "critical", "--reset", "5만주")
    status, said = run(place, *SOME, *more, "--notify", "terminal", "--description", 'says "buy"\n')
    target = place / "rules" / "삼성-매수.toml"
    assert (status, said) == (0, f"written: {target}\n")
    rule = loaded(place)["삼성 매수"]
    assert rule.symbols == ("005930", "000660")
    assert next(rule.when.conditions()) == Condition("net_volume", Operator.ABOVE, 100_000, "5m", 300 * 10**9, 50_000)
    assert (rule.for_ns, rule.cooldown_ns, rule.resolved) == (30 * 10**9, 600 * 10**9, True)
    assert (rule.severity, rule.notify, rule.description) == (Severity.CRITICAL, ("terminal",), 'says "buy"\n')


def test_its_first_line_names_a_schema_that_is_there(place: Path) -> None:
    assert run(place, *SOME, "--file", "desk/new.toml")[0] == 0
    written = place / "rules" / "desk" / "new.toml"
    first = written.read_text().split("\n")[0]
    assert first == "#:schema ../.schema.json"
    assert '"definitions"' in (written.parent / first.removeprefix("#:schema ")).read_text()


def test_beside_the_repository_it_is_the_one_of_the_repository(place: Path) -> None:
    (place / "docs" / "schema").mkdir(parents=True)
    (place / "docs" / "schema" / "rules.json").write_text("{}")
    assert run(place, *SOME, "--file", "new.toml")[0] == 0
    assert (place / "rules" / "new.toml").read_text().startswith("#:schema ../docs/schema/rules.json\n")
    assert files(place) == ["new.toml", "old.toml"]


def test_nothing_is_overwritten(place: Path) -> None:
    status, said = run(place, *SOME, "--file", "old.toml")
    assert (status, "exists already" in said) == (1, True)
    assert (place / "rules" / "old.toml").read_text() == OTHER
    (place / "rules" / "link.toml").symlink_to(place / "nowhere")
    assert run(place, *SOME, "--file", "link.toml")[0] == 1
    assert not (place / "nowhere").exists()


def test_who_comes_between_the_check_and_the_writing_wins(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def late(source: Path, target: Path) -> None:
        target.write_text("# mine")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    status, said = run(place, *SOME, "--file", "new.toml")
    assert (status, "exists already" in said) == (1, True)
    assert (place / "rules" / "new.toml").read_text() == "# mine"
    assert [name for name in files(place) if name.startswith(".new")] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--name", "old", "--symbols", "005930", *MEASURED, "--file", "b.toml"), "also the name of a rule"),
        (("--name", "x", "--symbols", "삼성전지", *MEASURED), "neither a six-character code nor"),
        ((*X, "net_value", "--above", "3만주"), "주 does not go with"),
        ((*X, "net_value", "--inside", "3", "1"), "lo not above hi"),
        ((*X, "net_value", "--above", "1", "--for", "30"), "no duration"),
        ((*X, "net_value", "--crosses-above", "1", "--for", "3s"), "crossing"),
        ((*SOME, "--notify", "desk"), "no notifier is named"),
        ((*SOME, "--file", "../new.toml"), "would not be read"),
        ((*SOME, "--file", "/tmp/new.toml"), "would not be read"),
        ((*SOME, "--file", "_new.toml"), "would not be read"),
        ((*SOME, "--file", "tests/new.toml"), "would not be read"),
        ((*SOME, "--file", "new"), "would not be read"),
    ],
)
def test_what_is_wrong_is_not_written(place: Path, options: tuple[str, ...], said: str) -> None:
    status, found = run(place, *options)
    assert (status, said in found) == (1, True)
    assert files(place) == ["old.toml"]


def test_a_set_that_is_wrong_already_is_told(place: Path) -> None:
    (place / "rules" / "old.toml").write_text("x = 1")
    status, said = run(place, *SOME)
    assert (status, "old.toml:1: x: unknown key" in said) == (1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--name", "x"), "missing: --symbols, --metric, --above …"),
        (SOME[:-2], "missing: --above, --at-least, --below"),
        ((*SOME, "--below", "3"), "give one of --above, --below"),
    ],
)
def test_without_a_terminal_nobody_is_asked(place: Path, options: tuple[str, ...], said: str) -> None:
    status, found = run(place, *options)
    assert (status, said in found) == (2, True)


def test_questions_on_a_terminal(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong answers are asked again at once."""
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    answers = [
        "",
        "x" * 81,
        "asked",
        "005930,000660",
        "net",
        "net_value",
        "5",
        "5m",
        "outside",
        "3천",
        "-1억",
        "1억",
        "30",
        "30s",
        "",
    ]
    status, said = run(place, answers="\n".join([*answers, ""]))
    assert status == 0, said
    rule = loaded(place)["asked"]
    assert next(rule.when.conditions()) == Condition(
        "net_value", Operator.OUTSIDE, (-100_000_000, 100_000_000), "5m", 300 * 10**9
    )
    assert (rule.symbols, rule.for_ns, rule.cooldown_ns) == (("005930", "000660"), 30 * 10**9, 0)
    assert "net buy value" in said


def test_each_answer_is_looked_at_at_its_question_and_none_is_lost(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Korean without a word of English but keys and what the user wrote."""
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    (place / "config.toml").write_text('locale = "ko"\n')
    (place / "rules" / "taken.toml").write_text(OTHER.replace('"old"', '"two"'))
    asked = [
        ("규칙 이름", ["", "old", "taken", "new"]),
        ("종목코드", ["", "삼성전지", "@semis", "삼성전자, *"]),
        ("지표", ["", "net", "net_value"]),
        ("기간", ["5"]),
        ("기간", ["5m"]),
        ("비교 방법", ["over", "inside"]),
        ("하한", ["3만주", "30%", "1억"]),
        ("상한", ["0", "2억"]),
        ("지속", ["x", "30s"]),
        ("간격", ["x", ""]),
    ]
    answers = [answer for _, group in asked for answer in group]
    status, said = run(place, answers="\n".join([*answers, ""]))
    assert status == 0, said
    rule = loaded(place)["new"]
    assert rule.symbols == ("005930",)
    assert next(rule.when.conditions()).threshold == (100_000_000, 200_000_000)
    for words in (
        "입력이 필요합니다", "같은 이름의 규칙", "taken.toml 파일이 이미 있어", "비슷한 종목: 삼성전자(005930)",
        '"semis" 그룹이 없습니다', "가능한 값은", "시간 길이가 아닙니다", "중 하나를 쓰세요",
        "주 단위를 쓸 수 없습니다",
        "% 없이 0.3처럼", "하한이 상한보다",
    ):  # fmt: skip
        assert words in said
    assert "Error" not in said
    assert '"*"는 다른 규칙에 나오는 모든 종목' in said
    assert said.count("규칙 이름: ") == 4


def test_a_star_needs_other_rules(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    (place / "rules" / "old.toml").unlink()
    status, said = run(place, answers="a\n*\n005930\nnet_value\n\nabove\n1\n\n\n")
    assert (status, "no symbol is left to watch" in said) == (0, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--symbols", "삼성전지"), "symbols: "),
        (("--for", "x"), "for: "),
        (("--name", "old"), "also the name of a rule"),
        (("--file", "old.toml"), "exists already"),
        (("--reset", "x"), "reset: "),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_asked(
    place: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    status, found = run(place, *options)
    assert (status, said in found, "Name of the rule" in found) == (1, True, False)


def test_rules_with_mistakes_are_told_before_anything_is_asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    (place / "rules" / "old.toml").write_text("x = 1")
    status, said = run(place)
    assert (status, "old.toml:1: x: unknown key" in said, "Name of the rule" in said) == (1, True, False)


@pytest.mark.parametrize(
    ("options", "answers", "said"),
    [
        (("--resolved",), "crosses_above\nabove\n1", "resolved: does not go with a crossing"),
        (("--reset", "5"), "inside\nabove\n1\n9", "reset: reset does not go with inside"),
        (("--reset", "5억원"), "above\n1\n9억", "reset: must be ≤ 1"),
    ],
)
def test_an_option_rules_out_answers_but_never_all_of_them(
    place: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], answers: str, said: str
) -> None:
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    status, found = run(place, *options, answers=f"a\n005930\nnet_value\n\n{answers}\n\n\n")
    assert (status, said in found) == (0, True), found


def test_a_crossing_is_not_asked_how_long(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    (place / "config.toml").write_text('locale = "ko"\n')
    status, said = run(place, answers="교차\n005930\nnet_value\n\ncrosses_above\n0\n5m\n")
    assert (status, "지속 시간" in said, "저장했습니다" in said) == (0, False, True)
    assert loaded(place)["교차"].is_event


def test_a_configuration_that_is_wrong_is_a_usage_error(place: Path) -> None:
    (place / "config.toml").write_text("x = 1")
    assert run(place, *SOME)[0] == 2


def test_a_doubtful_rule_is_written_and_said_to_be(place: Path) -> None:
    status, said = run(place, "--name", "x", "--symbols", "005930", "--metric", "imbalance", "--above", "30")
    assert (status, "30 % is 0.3" in said) == (0, True)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("semis buying", "semis-buying.toml"),
        ("_x/../y", "x-..-y.toml"),
        ("프로그램 매수!", "프로그램-매수.toml"),
        ("***", "rule.toml"),
    ],
)
def test_the_name_of_the_file_is_one_that_is_read(rule: str, expected: str) -> None:
    assert file_name(rule) == expected
    assert is_read(Path(file_name(rule)))


@pytest.mark.parametrize(
    ("typed", "value"), [("30000", 30_000), ("-0.3", -0.3), ("3만주", "3만주"), ("1e5", "1e5"), ("007", "007")]
)
def test_numbers_are_written_as_numbers(typed: str, value: Any) -> None:
    assert number(typed) == value
    assert type(number(typed)) is type(value)
