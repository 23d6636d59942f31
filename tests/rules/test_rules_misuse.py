"""Everything that the rule language rules out: a line each, with where and as what it is told."""

import os
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from test_rules_load import CONDITION, HEAD, WORLD, problems_of, rules_of

from engine.errors import ConfigurationError
from engine.locale import Locale
from engine.problems import MAX_SUGGESTIONS, Problem
from engine.rules.load import MAX_DEPTH, MAX_FOLDERS, load
from engine.rules.model import Logic

VALUE = HEAD + 'metric = "net_value"\n'
CROSS = HEAD + 'metric = "net_volume"\ncrosses_above = 0\n'
R = "rule[1]"


def nested(depth: int) -> str:
    return "all = [" + "{ any = [" * depth + '{ metric = "net_value", above = 1 }' + "] }" * depth + "]"


MISUSES = [
    # keys, at every level
    ("default = 1", 1, "unknown-key", "default"),
    ("[[rules]]\nname = 'r'", 1, "unknown-key", "rules"),
    ('[defaults]\nmetric = "net_value"', 2, "unknown-key", "defaults.metric"),
    ('[defaults]\nall = [{ metric = "net_value", above = 1 }]', 2, "unknown-key", "defaults.all"),
    (HEAD + CONDITION + 'Cooldown = "5s"', 6, "unknown-key", f"{R}.Cooldown"),
    (HEAD + 'all = [{ metric = "net_value", abov = 1 }]', 4, "unknown-key", f"{R}.all[1].abov"),
    (
        HEAD + 'any = [\n{ none = [\n{ metric = "net_value", above = 1, for = "5s" }] }]',
        6,
        "unknown-key",
        f"{R}.any[1].none[1].for",
    ),
    # name, flags, texts
    ('[[rule]]\nname = ""\nsymbols = ["005930"]\n' + CONDITION, 2, "empty", f"{R}.name"),
    ('[[rule]]\nname = 3\nsymbols = ["005930"]\n' + CONDITION, 2, "not-text", f"{R}.name"),
    ('[[rule]]\nname = "' + "가" * 81 + '"\nsymbols = ["005930"]\n' + CONDITION, 2, "too-long", f"{R}.name"),
    (HEAD + CONDITION + 'enabled = "true"', 6, "not-boolean", f"{R}.enabled"),
    (HEAD + CONDITION + "resolved = 1", 6, "not-boolean", f"{R}.resolved"),
    (HEAD + CONDITION + 'chart = "yes"', 6, "not-boolean", f"{R}.chart"),
    (HEAD + CONDITION + 'description = ["d"]', 6, "not-text", f"{R}.description"),
    (HEAD + CONDITION + "title = 3", 6, "not-text", f"{R}.title"),
    (HEAD + CONDITION + 'labels = ["a"]', 6, "not-table", f"{R}.labels"),
    (HEAD + CONDITION + "labels = { a = true }", 6, "not-text", f"{R}.labels.a"),
    (HEAD + CONDITION + "[rule.labels]\na.b = 'x'", 7, "not-text", f"{R}.labels.a"),
    # symbols, exclude, groups
    ('[[rule]]\nname = "r"\nsymbols = "005930"\n' + CONDITION, 3, "not-list", f"{R}.symbols"),
    ('[[rule]]\nname = "r"\nsymbols = [5930]\n' + CONDITION, 3, "code-not-text", f"{R}.symbols[1]"),
    ("[groups]\ng = [660]", 2, "code-not-text", "groups.g[1]"),
    (HEAD + 'metric = "imbalance"\nabove = "30%"', 5, "percent", f"{R}.above"),
    (HEAD + 'metric = "imbalance"\ninside = ["-5 %", 0.1]', 5, "percent", f"{R}.inside[1]"),
    ('[[rule]]\nname = "r"\nsymbols = [""]\n' + CONDITION, 3, "empty", f"{R}.symbols[1]"),
    ('[[rule]]\nname = "r"\nsymbols = ["@"]\n' + CONDITION, 3, "unknown-group", f"{R}.symbols[1]"),
    ('[[rule]]\nname = "r"\nsymbols = ["00593"]\n' + CONDITION, 3, "unknown-symbol", f"{R}.symbols[1]"),
    ('[[rule]]\nname = "r"\nsymbols = ["*"]\n' + CONDITION, 3, "no-symbols", f"{R}.symbols"),
    (HEAD + 'exclude = ["@none"]\n' + CONDITION, 4, "unknown-group", f"{R}.exclude[1]"),
    (HEAD + 'exclude = ["삼성전지"]\n' + CONDITION, 4, "unknown-symbol", f"{R}.exclude[1]"),
    ('[groups]\ng = ["005930"]\n' + HEAD + 'exclude = ["@g"]\n' + CONDITION, 5, "no-symbols", f"{R}.symbols"),
    ('[groups]\ng = []\n[[rule]]\nname = "r"\nsymbols = ["@g"]\n' + CONDITION, 5, "no-symbols", f"{R}.symbols"),
    ('[groups]\ng = ["005930", "@h"]', 2, "not-in-a-group", "groups.g[2]"),
    ('[groups]\ng = ["*"]', 2, "not-in-a-group", "groups.g[1]"),
    ('[groups]\ng = "005930"', 2, "not-list", "groups.g"),
    ("groups = 3", 1, "not-table", "groups"),
    (HEAD + CONDITION + "aggregate = true", 6, "not-text", f"{R}.aggregate"),
    # conditions and how they stand together
    (HEAD + "any = []", 4, "empty", f"{R}.any"),
    (HEAD + "none = []", 4, "empty", f"{R}.none"),
    (HEAD + 'all = { metric = "net_value", above = 1 }', 4, "not-list", f"{R}.all"),
    (HEAD + 'all = ["net_value"]', 4, "not-table", f"{R}.all[1]"),
    (
        HEAD + 'all = [{ metric = "net_value", above = 1 }]\nany = [{ metric = "net_value", above = 1 }]',
        5,
        "several-conditions",
        f"{R}.any",
    ),
    (
        HEAD + 'all = [{ metric = "net_value", above = 1, none = [{ metric = "net_value", above = 1 }] }]',
        4,
        "several-conditions",
        f"{R}.all[1].metric",
    ),
    (HEAD + 'window = "5m"', 1, "no-metric", R),
    (HEAD + 'reset = 3\nall = [{ metric = "net_value", above = 1 }]', 4, "no-metric", f"{R}.reset"),
    (HEAD + nested(MAX_DEPTH), 4, "nested-too-deeply", f"{R}.all"),
    (HEAD + nested(60), 4, "nested-too-deeply", f"{R}.all"),
    (HEAD + "metric = 3\nabove = 1", 4, "not-text", f"{R}.metric"),
    (VALUE + "above = 1\nat_least = 1", 6, "several-operators", f"{R}.at_least"),
    (VALUE + "inside = [1, 2]\ncrosses_below = 1", 6, "several-operators", f"{R}.crosses_below"),
    (VALUE + "above = 1\nabove = 2", 6, "not-toml", ""),
    # thresholds
    (VALUE + "above = false", 5, "not-a-threshold", f"{R}.above"),
    (VALUE + "above = [1]", 5, "not-a-threshold", f"{R}.above"),
    (VALUE + "above = -inf", 5, "not-a-threshold", f"{R}.above"),
    (VALUE + 'above = ""', 5, "not-an-amount", f"{R}.above"),
    (VALUE + 'above = "3천"', 5, "not-an-amount", f"{R}.above"),
    (VALUE + 'above = "30%"', 5, "percent", f"{R}.above"),
    (VALUE + 'above = "３만"', 5, "not-an-amount", f"{R}.above"),
    (VALUE + 'above = "nan"', 5, "not-an-amount", f"{R}.above"),
    (VALUE + "above = 1e19", 5, "too-large-a-number", f"{R}.above"),
    (HEAD + 'metric = "buy_resting"\nabove = "3억원"', 5, "wrong-unit", f"{R}.above"),
    (HEAD + 'metric = "resting_imbalance"\nabove = "1원"', 5, "wrong-unit", f"{R}.above"),
    (HEAD + 'metric = "total_value"\nabove = 9\nreset = "1주"', 6, "wrong-unit", f"{R}.reset"),
    (VALUE + "outside = [1]", 5, "not-a-pair", f"{R}.outside"),
    (VALUE + "outside = [1, 2, 3]", 5, "not-a-pair", f"{R}.outside"),
    (VALUE + 'inside = ["2억", "1억"]', 5, "not-a-pair", f"{R}.inside"),
    (VALUE + 'inside = [1, "x"]', 5, "not-an-amount", f"{R}.inside[2]"),
    (VALUE + "inside = [nan, 1]", 5, "not-a-threshold", f"{R}.inside[1]"),
    # reset: its side, and where there is none
    (VALUE + "above = 1\nreset = 1.5", 6, "reset-beyond", f"{R}.reset"),
    (VALUE + "at_least = 1\nreset = 2", 6, "reset-beyond", f"{R}.reset"),
    (VALUE + "below = 1\nreset = 0", 6, "reset-beyond", f"{R}.reset"),
    (VALUE + "crosses_above = 1\nreset = 2", 6, "reset-beyond", f"{R}.reset"),
    (VALUE + "crosses_below = 1\nreset = 0", 6, "reset-beyond", f"{R}.reset"),
    (VALUE + "outside = [1, 2]\nreset = 1", 6, "reset-without-use", f"{R}.reset"),
    (VALUE + "above = 1\nreset = nan", 6, "not-a-threshold", f"{R}.reset"),
    # windows and durations
    (
        HEAD + 'all = [{ metric = "resting_imbalance", window = "5m", above = 0 }]',
        4,
        "window-not-allowed",
        f"{R}.all[1].window",
    ),
    (VALUE + 'above = 1\nwindow = "5 m"', 6, "not-a-duration", f"{R}.window"),
    (VALUE + 'above = 1\nwindow = "-5m"', 6, "not-a-duration", f"{R}.window"),
    (VALUE + 'above = 1\nwindow = "0h0m"', 6, "not-positive", f"{R}.window"),
    (HEAD + CONDITION + 'for = "-30s"', 6, "not-a-duration", f"{R}.for"),
    (HEAD + CONDITION + 'for = ""', 6, "not-a-duration", f"{R}.for"),
    (HEAD + CONDITION + 'keep_firing_for = "1.5h"', 6, "not-a-duration", f"{R}.keep_firing_for"),
    (HEAD + CONDITION + 'cooldown = "5M"', 6, "not-a-duration", f"{R}.cooldown"),
    (HEAD + CONDITION + 'cooldown = "5"', 6, "not-a-duration", f"{R}.cooldown"),
    (HEAD + CONDITION + 'cooldown = "30s5m"', 6, "not-a-duration", f"{R}.cooldown"),
    (HEAD + CONDITION + "cooldown = 5.0", 6, "duration-not-text", f"{R}.cooldown"),
    (HEAD + CONDITION + "keep_firing_for = 09:00:00", 6, "duration-not-text", f"{R}.keep_firing_for"),
    (HEAD + CONDITION + "repeat = 60", 6, "duration-not-text", f"{R}.repeat"),
    (HEAD + CONDITION + 'repeat = "0s"', 6, "not-positive", f"{R}.repeat"),
    # how often, when, how loud, to whom
    (HEAD + CONDITION + "max_per_day = -1", 6, "out-of-range", f"{R}.max_per_day"),
    (HEAD + CONDITION + "max_per_day = 1.0", 6, "not-integer", f"{R}.max_per_day"),
    (HEAD + CONDITION + "max_per_day = true", 6, "not-integer", f"{R}.max_per_day"),
    (HEAD + CONDITION + 'max_per_day = "3"', 6, "not-integer", f"{R}.max_per_day"),
    (HEAD + CONDITION + 'active = "09:05~15:20"', 6, "not-list", f"{R}.active"),
    (HEAD + CONDITION + "active = [9]", 6, "not-text", f"{R}.active[1]"),
    (HEAD + CONDITION + 'active = [""]', 6, "not-active-hours", f"{R}.active[1]"),
    (HEAD + CONDITION + 'active = ["open~"]', 6, "not-active-hours", f"{R}.active[1]"),
    (HEAD + CONDITION + 'active = ["open+5~close"]', 6, "not-a-duration", f"{R}.active[1]"),
    (HEAD + CONDITION + 'active = ["09:00-15:30"]', 6, "not-active-hours", f"{R}.active[1]"),
    (HEAD + CONDITION + 'active = ["09:60~15:30"]', 6, "not-a-time", f"{R}.active[1]"),
    (HEAD + CONDITION + 'active = ["open~close", "09:00~09:00"]', 6, "never-active", f"{R}.active[2]"),
    (HEAD + CONDITION + 'active = ["close+10h~close+12h"]', 6, "never-active", f"{R}.active[1]"),
    (HEAD + CONDITION + 'severity = "Critical"', 6, "not-one-of", f"{R}.severity"),
    (HEAD + CONDITION + 'notify = "terminal"', 6, "not-list", f"{R}.notify"),
    (HEAD + CONDITION + "notify = [1]", 6, "not-text", f"{R}.notify[1]"),
    # event rules
    (CROSS + 'keep_firing_for = "3s"', 6, "event-rule-key", f"{R}.keep_firing_for"),
    (CROSS + 'repeat = "3m"', 6, "event-rule-key", f"{R}.repeat"),
    (CROSS + 'for = "0s"', 6, "event-rule-key", f"{R}.for"),
    (CROSS + "resolved = false", 6, "event-rule-key", f"{R}.resolved"),
    (
        HEAD + 'all = [{ any = [{ metric = "net_value", crosses_below = 1 }] }]\nfor = "3s"',
        5,
        "event-rule-key",
        f"{R}.for",
    ),
    (
        HEAD + 'none = [{ metric = "net_value", crosses_below = 1 }]',
        4,
        "crossing-under-none",
        f"{R}.none[1].crosses_below",
    ),
    (
        HEAD + 'none = [{ all = [{ none = [{ metric = "net_value", crosses_above = 1 }] }] }]',
        4,
        "crossing-under-none",
        f"{R}.none[1].all[1].none[1].crosses_above",
    ),
    # what is wrong in the defaults is told there, once
    ('[defaults]\nnotify = ["desc"]\n' + HEAD + CONDITION, 2, "unknown-notifier", "defaults.notify[1]"),
    ('[defaults]\nsymbols = ["@g"]\n[[rule]]\nname = "r"\n' + CONDITION, 2, "unknown-group", "defaults.symbols[1]"),
    ('[defaults]\nactive = ["10:00~09:00"]', 2, "never-active", "defaults.active[1]"),
    ('[defaults]\naggregate = "avg"', 2, "not-one-of", "defaults.aggregate"),
    (
        '[defaults]\ntitle = "{{ valeu }}"\n' + HEAD + CONDITION + HEAD.replace('"r"', '"s"') + CONDITION,
        2,
        "template-unknown-variable",
        "defaults.title",
    ),
    ('[defaults]\ntitle = "{{ 2 * 2 }}"', 2, "template-forbidden", "defaults.title"),  # also where no rule inherits it
    (HEAD + CONDITION + "labels = { a = 1 }\ntitle = '{{ labels.a }}'", 6, "not-text", f"{R}.labels.a"),
    ("defaults = 3", 1, "not-table", "defaults"),
    # names, over one file
    (HEAD + CONDITION + HEAD + CONDITION, 7, "rule-named-twice", "rule[2].name"),
    (HEAD + CONDITION + HEAD.replace('"r"', '" r "') + CONDITION, 7, "rule-named-twice", "rule[2].name"),
    # the words of a rule
    (HEAD + CONDITION + 'title = "{% for x in values %}{% endfor %}"', 6, "template-forbidden", f"{R}.title"),
    (HEAD + CONDITION + 'message = """\nok\n{{ value |\n"""', 8, "template-broken", f"{R}.message"),
    (HEAD + CONDITION + 'message = """ok\n\n{{ valeu }}"""', 8, "template-unknown-variable", f"{R}.message"),
    (HEAD + CONDITION + 'message = """ok \\\n\n{{ valeu }}"""', 6, "template-unknown-variable", f"{R}.message"),
    (HEAD + CONDITION + "title = '{{ labels.team }}'", 6, "template-unknown-label", f"{R}.title"),
    (HEAD + CONDITION + "title = '{{ values[\"net_volume[5m]\"] }}'", 6, "template-unknown-key", f"{R}.title"),
    (HEAD + CONDITION + 'title = "{{ value + 1 }}"', 6, "template-fails-undefined", f"{R}.title"),
    (HEAD + CONDITION + 'title = "' + "x" * 4097 + '"', 6, "too-long", f"{R}.title"),
]


@pytest.mark.parametrize(
    ("text", "line", "code", "key"), MISUSES, ids=[f"{number}-{row[2]}" for number, row in enumerate(MISUSES)]
)
def test_each_misuse_is_one_located_problem(tmp_path: Path, text: str, line: int | None, code: str, key: str) -> None:
    (problem,) = problems_of(tmp_path, bad=text)
    assert (problem.line, problem.code, problem.key) == (line, code, key)


FINE = [
    HEAD + CONDITION,
    '[[rule]]\nname = "' + "가" * 80 + '"\nsymbols = ["005930"]\n' + CONDITION,
    HEAD + nested(MAX_DEPTH - 1),
    VALUE + "inside = [1, 1]",
    VALUE + "above = 1\nreset = 1",
    VALUE + 'above = "-1.5조"\nwindow = "1h30m"',
    HEAD + 'metric = "imbalance"\nabove = "3만"',
    HEAD + CONDITION + 'for = "0s"\ncooldown = "0s"\nmax_per_day = 1\nnotify = []\nlabels = {}\ntitle = ""',
    HEAD + CONDITION + 'active = ["00:00~24:00", " open+5m ~ close-10m ", "09:05~15:20", "open-1h~close+1h"]',
    CROSS + 'cooldown = "5m"\nmax_per_day = 3\naggregate = "sum"',
    '[groups]\ng = ["삼성전자", "000660"]\n[[rule]]\nname = "r"\nsymbols = ["@g", "*"]\nexclude = ["@g"]\n' + CONDITION
    + '[[rule]]\nname = "q"\nsymbols = ["042700"]\n' + CONDITION,
    '[defaults]\nsymbols = ["005930"]\nlabels = { a = "b" }\n[[rule]]\nname = "r"\n' + CONDITION,
    HEAD + CONDITION + 'labels = { team = "a" }\ntitle = "{{ stock }} {{ labels.team }}"',
    HEAD + CONDITION + 'title = "{% if labels.team is defined %}{{ labels.team }}{% endif %}{{ value | amount }}"',
    "",
]  # fmt: skip


@pytest.mark.parametrize("text", FINE, ids=range(len(FINE)))
def test_what_is_allowed_is_read(tmp_path: Path, text: str) -> None:
    rules_of(tmp_path, fine=text)


def test_all_that_is_wrong_with_a_set_comes_at_once(tmp_path: Path) -> None:
    """A wrong value hid everything in its file that is wrong only together."""
    problems = problems_of(
        tmp_path,
        a='[groups]\ng = ["x"]\n' + HEAD + 'metric = "net_value"\nabove = "x"\nfor = 3\nsymbols_ = 1\n'
        + '[[rule]]\nname = "q"\nsymbols = ["@h", "@g"]\nnone = [{ metric = "net_value", crosses_above = "1주" }]\n'
        + 'for = "3s"\nnotify = ["nobody"]\nactive = ["10:00~09:00"]\ntitle = "{{ 2 * 2 }}"\n',
        b=HEAD + CONDITION + "[[rule]]\n",
    )  # fmt: skip
    assert [(Path(problem.file).stem, problem.line, problem.code) for problem in problems] == [
        ("a", 2, "unknown-symbol"), ("a", 7, "not-an-amount"), ("a", 8, "duration-not-text"), ("a", 9, "unknown-key"),
        ("a", 12, "unknown-group"), ("a", 13, "wrong-unit"), ("a", 14, "event-rule-key"), ("a", 15, "unknown-notifier"),
        ("a", 16, "never-active"), ("a", 17, "template-forbidden"),
        ("b", 2, "rule-named-twice"), ("b", 6, "missing-key"), ("b", 6, "no-condition"),
        ("b", 6, "missing-key"),
    ]  # fmt: skip


def test_one_name_in_two_files_and_in_two_ways_to_write_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    decomposed = "\u1106\u1162\u1109\u116e"  # 매수, as macOS writes it
    problems = problems_of(
        tmp_path,
        a=HEAD.replace('"r"', '"매수"') + CONDITION,
        sub__b=HEAD.replace('"r"', f'"{decomposed}"') + CONDITION,
    )
    (problem,) = problems
    assert (Path(problem.file).name, problem.line, problem.code) == ("b.toml", 2, "rule-named-twice")
    assert problem.message(Locale.EN).endswith("a.toml:1")


def test_every_list_of_conditions_must_have_some(tmp_path: Path) -> None:
    for logic in Logic:
        assert [each.code for each in problems_of(tmp_path, a=HEAD + f"{logic} = []")] == ["empty"]


@pytest.mark.parametrize(
    ("raw", "line", "code"),
    [
        (HEAD.replace('"r"', '"매수"').encode("cp949"), 2, "not-utf-8"),
        (HEAD.encode() + b"\xff", 4, "not-utf-8"),
        (HEAD.encode("utf-16"), 1, "not-utf-8"),
        (b"#" * 10_000_000, None, "too-large"),
        (b"\x00", 1, "not-toml"),
        (b"[[rule]\n", 1, "not-toml"),
    ],
    ids=["cp949", "invalid", "utf-16", "10 MB", "nul", "syntax"],
)  # fmt: skip
def test_a_file_that_is_none(tmp_path: Path, raw: bytes, line: int | None, code: str) -> None:
    (tmp_path / "a.toml").write_bytes(raw)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, WORLD)
    assert [(each.line, each.code) for each in caught.value.problems] == [(line, code)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_what_windows_writes_is_read_with_its_lines(tmp_path: Path, mark: bytes, ending: bytes) -> None:
    text = (HEAD + CONDITION + 'message = """\n{{ stock }}\n{{ valeu }}"""\n').encode()
    (tmp_path / "a.toml").write_bytes(mark + text.replace(b"\n", ending))
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, WORLD)
    assert [(each.line, each.code) for each in caught.value.problems] == [(8, "template-unknown-variable")]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.toml")
    assert [each.code for each in problems_of(tmp_path)] == ["not-a-regular-file"]


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def as_another_user(
        path: Path, *more: Any, **named: Any
    ) -> object:  # the tests may run as root, whom no mode keeps out
        if path.name == "locked.toml":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *more, **named)

    (tmp_path / "locked.toml").write_text("")
    monkeypatch.setattr(Path, "open", as_another_user)
    assert [each.code for each in problems_of(tmp_path, a=HEAD + CONDITION)] == ["unreadable"]


def test_a_file_name_cannot_break_out_of_its_line(tmp_path: Path) -> None:
    (tmp_path / "a\nb\x1b[31m.toml").write_text("x = 1")
    (tmp_path / os.fsdecode(b"\xb8\xc5.toml")).write_text("x = 1")
    for problem in problems_of(tmp_path):
        shown = problem.text(Locale.EN)
        assert "\n" not in shown
        assert "\x1b" not in shown
        (shown + problem.file).encode()


@pytest.mark.slow  # ten thousand rules, three times over: that it takes seconds and not minutes is the point
@pytest.mark.parametrize(
    "rule",
    [
        'all = [{{ metric = "net_volume", window = "5m", above = 1 }}]\n',
        'metric = "net_volume"\nabove = 1\ntitle = "{number} {{{{ stock }}}}"\n',
        'metric = "net_volum"\nabove = true\nfour = "3s"\ntitle = "{{{{ x{number} }}}}"\n',
    ],
    ids=["plain", "templates", "errors"],
)
def test_ten_thousand_rules_are_read_in_bounded_time(tmp_path: Path, rule: str) -> None:
    (tmp_path / "a.toml").write_text(
        "".join(
            f'[[rule]]\nname = "r{number}"\nsymbols = ["005930"]\n' + rule.format(number=number)
            for number in range(10_000)
        )
    )
    start = time.process_time()
    try:
        assert len(load(tmp_path, WORLD)) == 10_000
    except ConfigurationError as error:
        assert len(error.problems) >= 30_000
    assert time.process_time() - start < 60  # 3 to 9 s measured


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + 'metric = "imbalance"\nabove = "30%"', "a ratio is written without %, as 0.3"),
        (HEAD + 'metric = "imbalance"\nabove = "-12.5 %"', "a ratio is written without %, as -0.125"),
        ('[[rule]]\nname = "r"\nsymbols = [5930]\n' + CONDITION, 'a code is text in quotes: "005930"'),
        (HEAD + CONDITION + 'severity = "high"', 'high is not one of "info", "warning", "critical"'),
        (HEAD + CONDITION + 'notify = ["pager"]', 'no notifier is named "pager"; there are: desk, terminal'),
        (
            HEAD + CONDITION + 'title = "{{ labels.team }}"',
            'has no label "team"; where only some have it, write {% if labels.team is defined %} … {% endif %}',
        ),
        (
            HEAD + CONDITION + 'labels = { desk = "a" }\ntitle = \'{{ labels["a team"] }}\'',
            'write {% if labels["a team"] is defined %} … {% endif %}; there are: desk',
        ),
    ],
)
def test_what_is_said_leads_to_what_is_right(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems_of(tmp_path, a=text)
    assert problem.message(Locale.EN).endswith(said)


def test_a_rule_has_so_many_conditions_labels_and_characters(tmp_path: Path) -> None:
    one = '{ metric = "net_value", above = 1 },'
    label = "[rule.labels]\n" + "".join(f"k{number} = 'x'\n" for number in range(50))
    rules_of(tmp_path, a=HEAD + f"any = [{one * 199} {{ none = [{one}] }}]\n{label}")
    found = problems_of(
        tmp_path,
        a=HEAD + f"any = [{one * 199} {{ none = [{one * 2}] }}]",
        b=HEAD.replace('"r"', '"b"') + CONDITION + label + "k50 = 'x'",
        c=HEAD.replace('"r"', '"c"') + CONDITION + "[rule.labels]\n" + "k" * 81 + " = 'x'\nl = '" + "x" * 201 + "'",
        d=HEAD.replace('"r"', '"d"') + CONDITION + "description = '" + "x" * 2_001 + "'",
    )
    assert [(Path(each.file).name, each.line, each.code, each.detail.get("limit")) for each in found] == [
        ("a.toml", 4, "too-many-conditions", "200"),
        ("b.toml", 6, "too-many-labels", "50"),
        ("c.toml", 7, "too-long", "80"),
        ("c.toml", 8, "too-long", "200"),
        ("d.toml", 6, "too-long", "2000"),
    ]
    (long_key,) = problems_of(tmp_path, c=HEAD + CONDITION + "[rule.labels]\n" + "k" * 81 + " = 'x'", a="", b="", d="")
    assert (long_key.line, long_key.code, long_key.detail["limit"]) == (7, "too-long", "80")


@pytest.mark.parametrize(
    "text",
    [
        "[groups]\n" + "".join(f'g{number} = ["005930"]\n' for number in range(20_000))
        + '[[rule]]\nname = "r"\nsymbols = [' + ",".join(f'"@q{number}"' for number in range(5_000))
        + "]\n" + CONDITION,
        HEAD + CONDITION + "notify = [" + ",".join(f'"q{number}"' for number in range(20_000)) + "]",
        HEAD + CONDITION + "".join(f"ke{number}y = 1\n" for number in range(20_000)),
    ],
    ids=["groups", "notifiers", "keys"],
)  # fmt: skip
def test_thousands_of_unknown_names_took_minutes(tmp_path: Path, text: str) -> None:
    start = time.process_time()
    found = problems_of_one(tmp_path, text)
    assert time.process_time() - start < 12
    assert len(found) >= 5_000
    assert len([each for each in found if each.detail.get("nearest")]) <= MAX_SUGGESTIONS


def problems_of_one(tmp_path: Path, text: str) -> list[Problem]:
    """Without their sentences, which are looked at elsewhere."""
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, WORLD)
    return list(caught.value.problems)


def test_a_folder_has_so_many_folders(tmp_path: Path) -> None:
    for number in range(MAX_FOLDERS - 1):
        (tmp_path / f"f{number}").mkdir()
    assert load(tmp_path, WORLD) == ()
    (tmp_path / "one more").mkdir()
    assert [each.code for each in problems_of(tmp_path)] == ["too-many-folders"]


def test_two_ways_to_write_the_same_syllables_are_one_name(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "반도체 매수") for form in ("NFC", "NFD"))
    assert composed != apart
    text = (HEAD + CONDITION).replace('"r"', f'"{composed}"') + (HEAD + CONDITION).replace('"r"', f'"{apart}"')
    (problem,) = problems_of(tmp_path, a=text)
    assert (problem.line, problem.code) == (7, "rule-named-twice")
