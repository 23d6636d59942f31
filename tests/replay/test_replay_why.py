"""`pgmwatch why RULE SYMBOL --at TIME FILE`, as a user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from replay_home import DAY, Home, at, line, mark

from engine.evaluation.engine import Engine
from engine.kst import SECOND_NS, date_of
from engine.locale import Locale
from engine.ops import why as why_words
from engine.record import Record
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.session import Hours
from engine.silences.model import Silence
from engine.stream import Frame

RULES = """
[groups]
two = ["005930", "000660"]

[[rule]]
name = "held"
symbols = ["@two"]
all = [
  { metric = "net_volume", above = 100, reset = 50 },
  { metric = "net_volume", window = "1m", above = -1000 },
]
for = "30s"
cooldown = "10m"
resolved = true

[[rule]]
name = "crossing"
symbols = ["005930"]
metric = "net_volume"
crosses_above = 100
max_per_day = 1

[[rule]]
name = "sum"
symbols = ["@two"]
aggregate = "sum"
metric = "net_volume"
above = 500

[[rule]]
name = "off"
enabled = false
symbols = ["005930"]
metric = "net_volume"
above = 500
"""

DAY_LINES = [
    mark("09:10:00", "#start"),
    mark("09:10:00", "#up 005930"),
    line("09:10:10", 10),
    line("09:10:30", 150),
    line("09:11:20", 150),
    line("09:12:30", 80),
    line("09:12:40", 20),
    line("09:13:00.25", 150),
    mark("09:13:50", "#down 005930"),
    mark("09:14:30", "#alive"),
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, RULES)


def why(home: Home, rule: str, symbol: str, clock: str) -> dict[str, Any]:
    path = home.record("day.zst", DAY_LINES, frames=4)
    code, stdout, _ = home.run("why", rule, symbol, "--at", f"2026-11-20T{clock}", path, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(stdout)
    return found


@pytest.mark.parametrize(
    ("rule", "clock", "reason", "until"),
    [
        ("held", "09:10:00", "no_record", None),
        ("held", "09:10:20", "not_met", None),
        ("held", "09:10:40", "undefined", "09:11:10"),
        ("held", "09:11:20", "pending", "09:11:40"),
        ("held", "09:11:40", "told", None),
        ("held", "09:12:35", "told", None),
        ("held", "09:12:50", "not_met", None),
        ("held", "09:13:40", "cooldown", "09:21:40"),
        ("held", "09:14:00", "blind", None),
        ("crossing", "09:10:20", "no_crossing", None),
        ("crossing", "09:10:40", "no_crossing", None),
        ("crossing", "09:13:00.5", "max_per_day", "00:00:00"),
        ("sum", "09:12:00", "not_met", None),
    ],
)
def test_the_first_thing_that_keeps_it_silent(
    home: Home, rule: str, clock: str, reason: str, until: str | None
) -> None:
    found = why(home, rule, "삼성전자", clock)
    assert (found["reason"], found["until"] and found["until"][11:19]) == (reason, until)


def test_people_see_values_beside_thresholds(home: Home) -> None:
    path = home.record("day.txt", DAY_LINES)
    code, stdout, stderr = home.run("why", "held", "005930", "--at", "2026-11-20T09:12:35", path)
    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == [
        "held · 삼성전자(005930) · as of 2026-11-20 09:12:35 KST",
        "it has spoken, and says nothing new until it repeats or is over",
        "state: firing since 09:11:10",
        "conditions:",
        "  ✓ net buy volume today 80 shares (threshold > 100 shares, until ≤ 50 shares), held by its reset",
        "  ✓ net buy volume over 1 min -70 shares (threshold > -1,000 shares)",
        "last record 09:12:30; 1 sent today, the last at 09:11:40",
        "a replay with the rules as they are now, and without silences",
    ]


def test_people_see_it_in_korean(tmp_path: Path) -> None:
    home = Home(tmp_path, RULES, locale="ko")
    path = home.record("day.txt", DAY_LINES)
    _, stdout, _ = home.run("why", "held", "삼성전자", "--at", "2026-11-20T09:10:40", path)
    assert stdout.splitlines()[:3] == [
        "held · 삼성전자(005930) · 2026-11-20 09:10:40 KST 기준",
        "조용한 이유: 아직 알 수 없는 값이 있고, 그 값 없이는 조건이 성립하지 않습니다. 빨라야 09:11:10 이후",
        "상태: 비활성",
    ]


@pytest.mark.parametrize("symbol", ["@two", "sum", "000660", "SK하이닉스"])
def test_a_summed_rule_is_meant_by_its_group_and_by_each_stock(home: Home, symbol: str) -> None:
    found = why(home, "sum", symbol, "09:12:00")
    assert (found["symbol"], found["conditions"][0]["value"]) == ("@two", 150)


@pytest.mark.parametrize(
    ("rule", "symbol", "said"),
    [
        ("hold", "005930", 'no rule is named "hold"; did you mean "held"?'),
        ("held", "삼성전지", 'does not watch "삼성전지"; did you mean "삼성전자(005930)"?'),
        ("held", "005931", 'does not watch "005931"; did you mean "005930"?'),
        ("held", "@two", 'does not watch "@two"'),
        ("off", "005930", 'the rule "off" is switched off'),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest(home: Home, rule: str, symbol: str, said: str) -> None:
    path = home.record("day.txt", DAY_LINES)
    code, stdout, stderr = home.run("why", rule, symbol, "--at", "2026-11-20T09:12:00", path)
    assert (code, stdout) == (1, "")
    assert said in stderr


def test_the_daemons_recording_of_that_day_is_taken(home: Home) -> None:
    folder = home.folder / "state" / "simulator-KRX" / "recordings"
    asked = ("why", "held", "005930", "--at", "2026-11-20 09:12:35", "--json")
    code, _, stderr = home.run(*asked)
    assert code == 1
    assert "there is no recording of 2026-11-20" in stderr
    folder.mkdir(parents=True)
    home.record(f"state/simulator-KRX/recordings/{date_of(DAY)}.zst", DAY_LINES, frames=3)
    code, stdout, _ = home.run(*asked)
    assert (code, json.loads(stdout)["reason"]) == (0, "told")


def test_beyond_the_recording(home: Home) -> None:
    path = home.record("day.txt", DAY_LINES)
    code, _, stderr = home.run("why", "held", "005930", "--at", "2026-11-20T09:00:00", path)
    assert (code, stderr) == (1, "pgmwatch: the recording begins after 2026-11-20 09:00:00\n")
    code, stdout, stderr = home.run("why", "held", "005930", "--at", "2026-11-20T10:00:00", path)
    assert code == 0
    assert "as of 2026-11-20 09:14:30 KST" in stdout
    assert "the recording ends before 2026-11-20 10:00:00" in stderr


def test_without_a_daemon_it_says_so(home: Home) -> None:
    code, stdout, stderr = _usage(home, "why", "held", "005930")
    assert (code, stdout) == (1, "")
    assert "no daemon is running" in stderr


def _usage(home: Home, *arguments: str) -> tuple[int, str, str]:
    """As a process ends: some commands end by raising click's Exit."""
    from click.testing import CliRunner

    from engine.cli import commands

    result = CliRunner().invoke(commands, ["--config", str(home.config), *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_time_that_is_none(home: Home) -> None:
    code, _, stderr = _usage(home, "why", "held", "005930", "--at", "10:00")
    assert code == 2
    assert '"2026-11-20T10:00:00"' in stderr
    home.configure('locale = "ko"\n')
    _, _, stderr = _usage(home, "why", "held", "005930", "--at", "10:00")
    assert 'Error: --at: "2026-11-20T10:00:00"처럼 쓰세요(KST)' in stderr
    _, _, stderr = _usage(home, "why", "held", "005930", "day.txt")
    assert "Error: 파일은 --at과 함께 씁니다" in stderr


def test_that_it_is_a_replay_is_said_in_korean_and_not_in_json(tmp_path: Path) -> None:
    home = Home(tmp_path, RULES, locale="ko")
    asked = ("why", "held", "삼성전자", "--at", "2026-11-20T09:10:40", home.record("day.txt", DAY_LINES))
    assert home.run(*asked)[1].splitlines()[-1] == "지금의 규칙으로, 무음 없이 재생한 결과입니다"
    assert "재생" not in home.run(*asked, "--json")[1]


def test_an_end_on_another_day_has_its_date(home: Home) -> None:
    asked = ("why", "crossing", "005930", "--at", "2026-11-20T09:13:00.5", home.record("day.txt", DAY_LINES))
    assert "until 2026-11-21 00:00:00 at the earliest" in home.run(*asked)[1]


def test_an_empty_file_is_not_taken_for_one_that_begins_later(home: Home) -> None:
    path = home.record("empty.txt", [])
    code, stdout, stderr = _usage(home, "why", "held", "005930", "--at", "2026-11-20T09:12:00", path)
    assert (code, stdout, stderr) == (1, "", f"pgmwatch: there is nothing in {path}\n")


def test_what_is_no_recording_is_told(home: Home) -> None:
    (home.folder / "a.txt").write_text("hello\n")
    code, _, stderr = _usage(home, "why", "held", "005930", "--at", "2026-11-20T09:12:00", str(home.folder / "a.txt"))
    assert (code, "is no recording" in stderr) == (2, True)


def test_files_that_overlap_and_are_named_twice_are_told(home: Home) -> None:
    first, second = home.record("a.txt", DAY_LINES), home.record("b.txt", DAY_LINES[4:])
    code, _, stderr = home.run("why", "held", "005930", "--at", "2026-11-20T09:20:00", first, second, second)
    assert code == 0
    assert f"{second}: named twice, read once" in stderr
    assert "5 lines are earlier than one before them" in stderr


def test_a_question_mark_is_for_unknown_values_only(home: Home) -> None:
    """A rule that sleeps compares nothing, but the value is known."""
    home.rules("rules", RULES.replace('name = "held"', 'name = "held"\nactive = ["13:00~14:00"]'))
    path = home.record("day.txt", DAY_LINES)
    _, stdout, _ = home.run("why", "held", "005930", "--at", "2026-11-20T09:10:40", path)
    shown = [line for line in stdout.splitlines() if line.startswith("  ")]
    assert shown[0].startswith("  · net buy volume today 150 shares ")
    assert shown[1].startswith("  ? net buy volume over 1 min no value ")


@pytest.mark.parametrize(("met", "said"), [(False, True), (True, False)])
def test_a_silence_in_force_is_named_though_something_else_comes_first(met: bool, said: bool) -> None:
    """Where it is the first reason, it is named there. It ends tomorrow, so with the date."""
    rule = Rule("r", ("005930",), Group(Logic.ALL, (Condition("net_volume", Operator.ABOVE, 100),)))
    engine = Engine([rule], Hours(9 * 3600 * SECOND_NS, 15 * 3600 * SECOND_NS))
    engine.silence([Silence(at("09:00:00"), at("10:00:00", DAY + 1))], at("09:00:00"))
    engine.apply(Frame(at("09:00:01"), (Record("005930", "090001", 0, 0, 150 * met, 0, 150 * met, 0, 0, 0, 0),), ""))
    explained = engine.explain("r", "005930")
    assert explained is not None
    shown = why_words.lines(why_words.of(explained, rule, ""), Locale.EN)
    assert ("a silence is in force until 2026-11-21 10:00:00" in shown) == said
    assert ("silent: silenced by the user; until 2026-11-21 10:00:00 at the earliest" in shown) != said
