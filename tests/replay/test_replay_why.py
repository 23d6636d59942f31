"""`pgmwatch why RULE SYMBOL --at TIME FILE`, as a user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from replay_home import DAY, Home, line, mark

from engine.kst import date_of

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
    ]


def test_people_see_it_in_korean(tmp_path: Path) -> None:
    home = Home(tmp_path, RULES, locale="ko")
    path = home.record("day.txt", DAY_LINES)
    _, stdout, _ = home.run("why", "held", "삼성전자", "--at", "2026-11-20T09:10:40", path)
    assert stdout.splitlines()[:3] == [
        "held · 삼성전자(005930) · 2026-11-20 09:10:40 KST 기준",
        "조용한 이유: 아직 알 수 없는 값이 있고, 그 값 없이는 조건이 성립하지 않습니다. 빨라도 09:11:10까지",
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
