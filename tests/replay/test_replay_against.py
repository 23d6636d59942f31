"""`replay --against`: which alerts appear, go and move."""

import json
from pathlib import Path

import pytest
from replay_home import Home, line, mark

RULE = '[[rule]]\nname = "r"\nsymbols = ["005930"]\nmetric = "net_volume"\nabove = {above}\n{more}\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, RULE.format(above=100, more=""))


def changes(home: Home, lines: list[str], before: str, *options: str) -> list[tuple[str, str | None, str | None]]:
    """What changed, and when it was told before and after."""
    folder = home.rules("before", before)
    code, stdout, stderr = home.run(
        "replay", home.record("day.txt", lines), "--against", str(folder), "--json", *options
    )
    assert (code, stderr) == (0, "")
    found = [json.loads(each) for each in stdout.splitlines()]
    return [(each["change"], _clock(each["before"]), _clock(each["after"])) for each in found]


def _clock(alert: dict[str, str] | None) -> str | None:
    return None if alert is None else alert["at"][11:19]


def rising(*steps: tuple[str, int]) -> list[str]:
    return [line(clock, net) for clock, net in steps]


def test_the_same_rules_change_nothing(home: Home) -> None:
    lines = rising(("09:00:01", 150), ("09:00:02", 50), ("09:00:03", 150))
    same = RULE.format(above=100, more="")
    assert changes(home, lines, same) == []
    assert changes(home, lines, same, "--all") == [
        ("unchanged", "09:00:01", "09:00:01"),
        ("unchanged", "09:00:03", "09:00:03"),
    ]


def test_a_lower_threshold_was_reached_earlier_in_the_same_rise(home: Home) -> None:
    lines = rising(("09:00:01", 60), ("09:00:31", 150))
    assert changes(home, lines, RULE.format(above=50, more="")) == [("moved", "09:00:01", "09:00:31")]


def test_what_was_over_before_the_other_began_is_another_thing(home: Home) -> None:
    lines = rising(("09:00:01", 60), ("09:00:11", 10), ("09:00:31", 150))
    before = RULE.format(above=50, more="max_per_day = 1")
    assert changes(home, lines, before) == [("gone", "09:00:01", None), ("appeared", None, "09:00:31")]


@pytest.mark.parametrize(
    ("later", "found"),
    [
        ("09:05:01", [("moved", "09:00:01", "09:05:01")]),
        ("09:05:02", [("gone", "09:00:01", None), ("appeared", None, "09:05:02")]),
    ],
)
def test_five_minutes_are_near(home: Home, later: str, found: list[tuple[str, str | None, str | None]]) -> None:
    lines = rising(("09:00:01", 60), (later, 150))
    assert changes(home, lines, RULE.format(above=50, more="")) == found


EVENT = '[[rule]]\nname = "r"\nsymbols = ["005930"]\nmetric = "net_volume"\ncrosses_above = {}\n'


def test_two_crossings_are_never_one_that_moved(home: Home) -> None:
    home.rules("rules", EVENT.format(100))
    lines = rising(("09:00:00", 0), ("09:00:01", 60), ("09:00:11", 150), ("09:00:15", 0), ("09:00:21", 150))
    assert changes(home, lines, EVENT.format(50), "--all") == [
        ("gone", "09:00:01", None),
        ("appeared", None, "09:00:11"),
        ("unchanged", "09:00:21", "09:00:21"),
    ]


@pytest.mark.parametrize(("before", "after"), [(EVENT.format(50), None), (None, EVENT.format(100))])
def test_nor_is_a_crossing_the_other_end_of_a_rise(home: Home, before: str | None, after: str | None) -> None:
    """An event rule on one side is enough."""
    home.rules("rules", after or RULE.format(above=100, more=""))
    lines = rising(("09:00:00", 0), ("09:00:01", 60), ("09:00:11", 150))
    assert changes(home, lines, before or RULE.format(above=50, more="")) == [
        ("gone", "09:00:01", None),
        ("appeared", None, "09:00:11"),
    ]


def test_resolved_alerts_move_with_their_firing(home: Home) -> None:
    home.rules("rules", RULE.format(above=100, more='for = "5s"\nresolved = true'))
    lines = [*rising(("09:00:01", 150), ("09:00:21", 10)), mark("09:00:30", "#alive")]
    before = RULE.format(above=100, more='for = "2s"\nkeep_firing_for = "3s"\nresolved = true')
    assert changes(home, lines, before) == [
        ("moved", "09:00:03", "09:00:06"),
        ("moved", "09:00:24", "09:00:21"),
    ]


def test_suppressed_ones_are_compared_with_all_only(home: Home) -> None:
    home.rules("rules", RULE.format(above=100, more='cooldown = "1m"'))
    lines = rising(("09:00:01", 150), ("09:00:02", 50), ("09:00:03", 150))
    before = RULE.format(above=100, more="")
    assert changes(home, lines, before) == [("gone", "09:00:03", None)]
    assert changes(home, lines, before, "--all") == [
        ("unchanged", "09:00:01", "09:00:01"),
        ("gone", "09:00:03", None),
        ("appeared", None, "09:00:03"),
    ]


def test_a_rule_that_only_one_side_has(home: Home) -> None:
    other = RULE.format(above=100, more="").replace('"r"', '"other"')
    assert changes(home, rising(("09:00:01", 150)), other) == [
        ("gone", "09:00:01", None),
        ("appeared", None, "09:00:01"),
    ]


def test_people_get_signs_words_and_counts(home: Home) -> None:
    before = home.rules("before", RULE.format(above=50, more=""))
    lines = rising(("09:00:01", 60), ("09:00:31", 150), ("09:10:00", 0), ("09:20:00", 60))
    code, stdout, stderr = home.run("replay", home.record("day.txt", lines), "--against", str(before))
    shown = stdout.splitlines()
    assert code == 0
    assert shown[0].startswith("~ moved 2026-11-20 09:00:01 → 09:00:31 (30 s later) ⚠️")
    assert shown[0].endswith(" · r")
    assert shown[0].count(":") == 4, "a clock for each side and no third"
    assert shown[1].startswith("- gone 2026-11-20 09:20:00 ")
    assert shown[2:] == [
        "alerts before → after:",
        "  r: firing 2 → 1",
        "    삼성전자(005930) firing 2 → 1",
        "  total firing 2 → 1: appeared 0, gone 1, moved 1, unchanged 0",
    ]
    assert "4 records, alerts 2 → 1, suppressed 0 → 0 (before → after)" in stderr


def test_what_shares_a_second_is_shown_to_the_millisecond(home: Home) -> None:
    before = home.rules("before", RULE.format(above=50, more=""))
    lines = rising(("09:00:01", 60), ("09:00:01.25", 150))
    _, stdout, _ = home.run("replay", home.record("day.txt", lines), "--against", str(before))
    assert stdout.startswith("~ moved 2026-11-20 09:00:01 → 09:00:01.25 (0.25 s later) ")


def test_firing_and_resolved_are_counted_apart_and_each_rule_has_a_sum(home: Home) -> None:
    two = RULE.replace('"005930"]', '"005930", "000660"]')
    home.rules("rules", two.format(above=100, more="resolved = true"))
    before = home.rules(
        "before", two.format(above=100, more="") + two.format(above=1000, more="").replace('"r"', '"q"')
    )
    lines = [line("09:00:01", 150), line("09:00:02", 150, symbol="000660"), line("09:00:03", 50)]
    _, stdout, _ = home.run("replay", home.record("day.txt", lines), "--against", str(before))
    assert stdout.splitlines()[-5:] == [
        "alerts before → after:",
        "  r: firing 2 → 2, resolved 0 → 1",
        "    삼성전자(005930) firing 1 → 1, resolved 0 → 1",
        "    SK하이닉스(000660) firing 1 → 1",
        "  total firing 2 → 2, resolved 0 → 1: appeared 1, gone 0, moved 0, unchanged 2",
    ]


@pytest.mark.parametrize("options", [(), ("--all",)])
def test_the_sum_at_the_end_knows_what_both_held_back(home: Home, options: tuple[str, ...]) -> None:
    home.rules("rules", RULE.format(above=100, more='cooldown = "1m"'))
    before = home.rules("before", RULE.format(above=100, more="max_per_day = 2"))
    lines = rising(*((f"09:00:{second:02d}", 150 if second % 2 else 50) for second in range(1, 9)))
    _, _, stderr = home.run("replay", home.record("day.txt", lines), "--against", str(before), *options)
    assert "alerts 2 → 1, suppressed 2 → 3 (before → after)" in stderr
