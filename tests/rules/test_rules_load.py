import os
import re
from datetime import date
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.locale import Locale
from engine.problems import Problem
from engine.rules.load import load
from engine.rules.model import Anchor, Condition, Group, Logic, Moment, Operator, Rule, Severity, Span
from engine.rules.reader import World
from engine.symbols.master import Master, Stock

WORLD = World(
    notifiers=("terminal", "desk"),
    notify=("terminal",),
    session=(9 * 3600 * 10**9, 55_800 * 10**9),
    master=Master(
        tuple(
            Stock(code, "", name, "KOSPI", "ST")
            for code, name in {
                "042700": "한미반도체",
                "005930": "삼성전자",
                "000001": "대우",
                "000002": "대우",
            }.items()
        ),
        date(2026, 11, 20),
    ),
)
HEAD = '[[rule]]\nname = "r"\nsymbols = ["005930"]\n'
CONDITION = 'metric = "net_volume"\nabove = 1\n'


def rules_of(tmp_path: Path, **files: str) -> tuple[Rule, ...]:
    for name, text in files.items():
        path = tmp_path / f"{name.replace('__', '/')}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load(tmp_path, WORLD)


def problems_of(tmp_path: Path, **files: str) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        rules_of(tmp_path, **files)
    for problem in caught.value.problems:
        assert problem.text(Locale.KO)
        assert not re.search(r"\{[a-z_]+\}", problem.text(Locale.EN))
    return list(caught.value.problems)


def test_a_rule_with_everything(tmp_path: Path) -> None:
    (rule,) = rules_of(
        tmp_path,
        a="""
[defaults]
cooldown = "10m"
notify = ["desk"]
severity = "info"
[groups]
semis = ["005930", "000660", "한미반도체"]
[[rule]]
name = "semis-buying"
description = "d"
symbols = ["@semis", "005930"]
exclude = ["000660"]
all = [
  { metric = "net_volume", window = "5m", above = "10만주" },
  { any = [ { metric = "imbalance", window = "1m30s", above = 0.3, reset = 0.2 },
            { none = [ { metric = "net_value", inside = ["-1억", 0] } ] } ] },
]
for = "30s"
keep_firing_for = "1m"
max_per_day = 5
repeat = "15m"
resolved = true
active = ["09:05~15:20", "open+5m~close-10m"]
severity = "critical"
labels = { team = "a" }
chart = true
""",
    )
    assert rule.symbols == ("005930", "042700")
    assert rule.when == Group(
        Logic.ALL,
        (
            Condition("net_volume", Operator.ABOVE, 100_000, "5m", 300_000_000_000),
            Group(
                Logic.ANY,
                (
                    Condition("imbalance", Operator.ABOVE, 0.3, "1m30s", 90_000_000_000, 0.2),
                    Group(Logic.NONE, (Condition("net_value", Operator.INSIDE, (-100_000_000, 0)),)),
                ),
            ),
        ),
    )
    assert [condition.key for condition in rule.when.conditions()] == [
        "net_volume[5m]",
        "imbalance[1m30s]",
        "net_value",
    ]
    assert (rule.for_ns, rule.keep_firing_for_ns, rule.cooldown_ns) == (30 * 10**9, 60 * 10**9, 600 * 10**9)
    assert (rule.max_per_day, rule.repeat_ns, rule.resolved) == (5, 900 * 10**9, True)
    assert rule.active[0] == Span(Moment(Anchor.MIDNIGHT, 32_700 * 10**9), Moment(Anchor.MIDNIGHT, 55_200 * 10**9))
    assert rule.active[1] == Span(Moment(Anchor.OPEN, 300 * 10**9), Moment(Anchor.CLOSE, -600 * 10**9))
    assert (rule.severity, rule.notify, rule.labels, rule.chart) == (
        Severity.CRITICAL,
        ("desk",),
        (("team", "a"),),
        True,
    )
    assert (Path(rule.file).name, rule.line) == ("a.toml", 8)


def test_which_files_are_read_and_in_which_order(tmp_path: Path) -> None:
    one = '[[rule]]\nname = "{}"\nsymbols = ["005930"]\n' + CONDITION
    files = {"b": "b", "a": "a", "sub__c": "c", "_draft": "x1", ".hidden": "x2", "_old__d": "x3", "tests__e": "x4"}
    rules = rules_of(tmp_path, **{name: one.format(rule) for name, rule in files.items()})
    assert [rule.name for rule in rules] == ["a", "b", "c"]


def test_star_is_every_symbol_that_an_enabled_rule_names(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        a='[[rule]]\nname = "all"\nsymbols = ["*"]\nexclude = ["000660"]\n' + CONDITION,
        b='[[rule]]\nname = "one"\nsymbols = ["000660", "삼성전자"]\n' + CONDITION,
        c='[[rule]]\nname = "off"\nenabled = false\nsymbols = ["000270"]\n' + CONDITION,
    )
    assert rules[0].symbols == ("005930",)


@pytest.mark.parametrize(
    ("symbols", "expected"), [('["@g"]', "@g"), ('["@g", "000660"]', "sum"), ('["005930"]', "sum")]
)
def test_symbol_of_a_summed_rule(tmp_path: Path, symbols: str, expected: str) -> None:
    text = f'[groups]\ng = ["005930"]\n[[rule]]\nname = "sum"\nsymbols = {symbols}\naggregate = "sum"\n{CONDITION}'
    (rule,) = rules_of(tmp_path, a=text)
    assert rule.aggregate == expected


def test_defaults_give_way_to_the_rule(tmp_path: Path) -> None:
    text = '[defaults]\nfor = "1m"\ncooldown = "5m"\n' + HEAD + CONDITION + 'for = "0s"\n'
    (rule,) = rules_of(tmp_path, a=text)
    assert (rule.for_ns, rule.cooldown_ns) == (0, 300 * 10**9)


BAD = [
    ('[[rule]]\nsymbols = ["005930"]\n' + CONDITION, 1, "missing-key", "rule[1].name"),
    ('[[rule]]\nname = "r"\n' + CONDITION, 1, "missing-key", "rule[1].symbols"),
    ('[[rule]]\nname = "r"\nsymbols = []\n' + CONDITION, 3, "empty", "rule[1].symbols"),
    (HEAD, 1, "no-condition", "rule[1]"),
    (HEAD + "above = 1", 1, "no-metric", "rule[1]"),
    (HEAD + 'metric = "net_volume"', 4, "no-operator", "rule[1].metric"),
    (HEAD + CONDITION + "below = 3", 6, "several-operators", "rule[1].below"),
    (HEAD + CONDITION + 'all = [{ metric = "net_value", above = 1 }]', 4, "several-conditions", "rule[1].metric"),
    (HEAD + 'above = 3\nall = [{ metric = "net_value", above = 1 }]', 4, "no-metric", "rule[1].above"),
    ('[[rule]]\nname = " "\nsymbols = ["005930"]\n' + CONDITION, 2, "empty", "rule[1].name"),
    ('[rule]\nname = "r"', 1, "not-list", "rule"),
    (HEAD + CONDITION + "severity = 3", 6, "not-one-of", "rule[1].severity"),
    (HEAD + 'metric = "net_volume"\nabove = 1\nfor = "5 m"', 6, "not-a-duration", "rule[1].for"),
    (HEAD + "all = []", 4, "empty", "rule[1].all"),
    (HEAD + "all = [\n{ any = [] },\n]", 5, "empty", "rule[1].all[1].any"),
    (HEAD + "all = [\n{},\n]", 5, "no-metric", "rule[1].all[1]"),
    (HEAD + 'metric = "net_volum"\nabove = 1', 4, "not-one-of", "rule[1].metric"),
    (HEAD + 'metric = "net_volume"\nabove = "x"', 5, "not-an-amount", "rule[1].above"),
    (HEAD + 'metric = "net_volume"\nabove = true', 5, "not-a-threshold", "rule[1].above"),
    (HEAD + 'metric = "net_volume"\nabove = nan', 5, "not-a-threshold", "rule[1].above"),
    (HEAD + 'metric = "net_volume"\nabove = "3억원"', 5, "wrong-unit", "rule[1].above"),
    (HEAD + 'metric = "net_value"\nabove = "3억주"', 5, "wrong-unit", "rule[1].above"),
    (HEAD + 'metric = "imbalance"\nabove = "1주"', 5, "wrong-unit", "rule[1].above"),
    (HEAD + 'metric = "net_value"\noutside = [1, "2주"]', 5, "wrong-unit", "rule[1].outside[2]"),
    (HEAD + 'metric = "net_volume"\noutside = [3, 1]', 5, "not-a-pair", "rule[1].outside"),
    (HEAD + 'metric = "net_volume"\ninside = 3', 5, "not-a-pair", "rule[1].inside"),
    (HEAD + 'metric = "net_volume"\ninside = [1, 3]\nreset = 2', 6, "reset-without-use", "rule[1].reset"),
    (HEAD + CONDITION + "reset = 2", 6, "reset-beyond", "rule[1].reset"),
    (HEAD + 'metric = "net_volume"\nat_most = 1\nreset = 0', 6, "reset-beyond", "rule[1].reset"),
    (HEAD + 'metric = "resting_imbalance"\nwindow = "5m"\nabove = 0', 5, "window-not-allowed", "rule[1].window"),
    (HEAD + CONDITION + "window = 5", 6, "duration-not-text", "rule[1].window"),
    (HEAD + CONDITION + 'window = "0s"', 6, "not-positive", "rule[1].window"),
    (HEAD + CONDITION + "for = 30", 6, "duration-not-text", "rule[1].for"),
    (HEAD + CONDITION + "max_per_day = 0", 6, "out-of-range", "rule[1].max_per_day"),
    (HEAD + CONDITION + 'active = ["15:00~09:00"]', 6, "never-active", "rule[1].active[1]"),
    (HEAD + CONDITION + 'active = ["15:00~open"]', 6, "never-active", "rule[1].active[1]"),
    (HEAD + CONDITION + 'active = ["close-10m~close-20m"]', 6, "never-active", "rule[1].active[1]"),
    (HEAD + CONDITION + "active = []", 6, "empty", "rule[1].active"),
    (HEAD + 'metric = "net_value"\nabove = 1' + "0" * 400, 5, "too-large-a-number", "rule[1].above"),
    (HEAD + 'metric = "net_value"\nabove = "99999999999조"', 5, "too-large-a-number", "rule[1].above"),
    (HEAD + 'metric = "net_value"\nabove = inf', 5, "not-a-threshold", "rule[1].above"),
    (HEAD + 'metric = "net_value"\nabove = 1' + "0" * 5000, None, "not-toml", ""),
    (HEAD + 'exclude = ["*"]\n' + CONDITION, 3, "no-symbols", "rule[1].symbols"),
    (HEAD + CONDITION + 'active = ["9~15"]', 6, "not-active-hours", "rule[1].active[1]"),
    (HEAD + CONDITION + 'severity = "warn"', 6, "not-one-of", "rule[1].severity"),
    (HEAD + CONDITION + 'aggregate = "avg"', 6, "not-one-of", "rule[1].aggregate"),
    (HEAD + CONDITION + 'notify = ["desc"]', 6, "unknown-notifier", "rule[1].notify[1]"),
    (HEAD + CONDITION + "labels = { a = 1 }", 6, "not-text", "rule[1].labels.a"),
    (HEAD + CONDITION + 'cool_down = "1m"', 6, "unknown-key", "rule[1].cool_down"),
    ('[[rule]]\nname = "r"\nsymbols = ["@semi"]\n' + CONDITION, 3, "unknown-group", "rule[1].symbols[1]"),
    ('[[rule]]\nname = "r"\nsymbols = ["삼성전지"]\n' + CONDITION, 3, "unknown-symbol", "rule[1].symbols[1]"),
    ('[[rule]]\nname = "r"\nsymbols = ["대우"]\n' + CONDITION, 3, "ambiguous-symbol", "rule[1].symbols[1]"),
    ('[groups]\ng = [\n"x"]', 3, "unknown-symbol", "groups.g[1]"),
    (HEAD + 'exclude = ["005930"]\n' + CONDITION, 3, "no-symbols", "rule[1].symbols"),
    (HEAD + 'metric = "net_volume"\ncrosses_above = 0\nfor = "3s"', 6, "event-rule-key", "rule[1].for"),
    (HEAD + 'metric = "net_volume"\ncrosses_above = 0\nresolved = true', 6, "event-rule-key", "rule[1].resolved"),
    (
        HEAD + 'any = [{ none = [{ any = [{ metric = "net_volume", crosses_below = 0 }] }] }]',
        4,
        "crossing-under-none",
        "rule[1].any[1].none[1].any[1].crosses_below",
    ),
    ('[defaults]\nname = "x"', 2, "unknown-key", "defaults.name"),
    ("[defaults]\ncooldown = 5", 2, "duration-not-text", "defaults.cooldown"),
    ("rules = 3", 1, "unknown-key", "rules"),
    ("rule = 3", 1, "not-list", "rule"),
]


@pytest.mark.parametrize(
    ("text", "line", "code", "key"), BAD, ids=[f"{number}-{row[2]}" for number, row in enumerate(BAD)]
)
def test_each_misuse_is_one_located_problem(tmp_path: Path, text: str, line: int | None, code: str, key: str) -> None:
    (problem,) = problems_of(tmp_path, bad=text)
    assert (problem.line, problem.code, problem.key) == (line, code, key)
    assert Path(problem.file).name == "bad.toml"


def test_all_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    problems = problems_of(
        tmp_path,
        a=HEAD + 'metric = "net_volume"\nabove = "x"\nfor = 3\nwrong = 1',
        b="not toml",
        c=HEAD + CONDITION,
        d="\n" + HEAD + CONDITION,
    )
    assert [(Path(problem.file).stem, problem.line, problem.code) for problem in problems] == [
        ("a", 5, "not-an-amount"),
        ("a", 6, "duration-not-text"),
        ("a", 7, "unknown-key"),
        ("b", 1, "not-toml"),
        ("c", 2, "rule-named-twice"),
        ("d", 3, "rule-named-twice"),
    ]


@pytest.mark.parametrize(
    ("key", "meant"),
    [("simbols", "symbols"), ("cool_down", "cooldown"), ("For", "for"), ("keep_firing", "keep_firing_for")],
)
def test_the_nearest_key_is_suggested(tmp_path: Path, key: str, meant: str) -> None:
    (problem,) = problems_of(tmp_path, a=HEAD + CONDITION + f"{key} = 1")
    assert problem.text(Locale.EN).endswith(f'unknown key; did you mean "{meant}"?')


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "none", WORLD)
    assert [problem.code for problem in caught.value.problems] == ["no-folder"]


def test_without_active_a_rule_sleeps_outside_the_session(tmp_path: Path) -> None:
    (rule,) = rules_of(tmp_path, a=HEAD + CONDITION)
    assert rule.active == (Span(Moment(Anchor.OPEN, 0), Moment(Anchor.CLOSE, 0)),)


def test_defaults_that_an_event_rule_cannot_have_are_not_meant_for_it(tmp_path: Path) -> None:
    text = '[defaults]\nfor = "1m"\nrepeat = "5m"\nresolved = true\ncooldown = "5m"\n'
    (rule,) = rules_of(tmp_path, a=text + HEAD + 'any = [{ metric = "net_value", crosses_above = 0 }]')
    assert (rule.for_ns, rule.repeat_ns, rule.resolved, rule.cooldown_ns) == (0, None, False, 300 * 10**9)


def test_a_disabled_rule_for_everything_alone_is_fine(tmp_path: Path) -> None:
    (rule,) = rules_of(tmp_path, a='[[rule]]\nname = "x"\nenabled = false\nsymbols = ["*"]\n' + CONDITION)
    assert rule.symbols == ()


def test_linked_folders_are_read_and_circles_end(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.toml").write_text(HEAD + CONDITION)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "desk").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "rules")
    assert [rule.name for rule in load(tmp_path / "rules", WORLD)] == ["r"]


def test_a_folder_that_cannot_be_read_is_no_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def as_another_user(path: str) -> object:  # the tests may run as root, whom no mode keeps out
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", as_another_user)
    (problem,) = problems_of(tmp_path, a=HEAD + CONDITION)
    assert (problem.file, problem.code) == (str(tmp_path / "locked"), "unreadable")


def test_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone.toml").symlink_to(tmp_path / "nothing")
    assert [problem.code for problem in problems_of(tmp_path, a=HEAD + CONDITION)] == ["no-file"]


def test_a_wrong_shape_does_not_hide_a_wrong_metric(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, a=HEAD + 'metric = "net"\nabove = "y"\nfor = 3\nsymbols_ = 1')
    assert [(problem.line, problem.code) for problem in problems] == [
        (4, "not-one-of"),
        (5, "not-an-amount"),
        (6, "duration-not-text"),
        (7, "unknown-key"),
    ]
