"""`pgmwatch test`, as a user runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from engine.cli import commands

RULES = """
[defaults]
cooldown = "10m"

[groups]
semis = ["005930", "000660", "한미반도체"]

[[rule]]
name = "semis-program-buying"
symbols = ["@semis"]
all = [
  { metric = "net_volume", window = "5m", above = 100_000 },
  { metric = "imbalance",  window = "5m", above = 0.3, reset = 0.2 },
]
for = "30s"
resolved = true

[[rule]]
name = "samsung-turns-net-buyer"
symbols = ["005930"]
metric = "net_volume"
crosses_above = 0

[[rule]]
name = "sum"
symbols = ["@semis"]
aggregate = "sum"
metric = "net_value"
above = 1000
"""

PAGE = """
[[test]]
name = "fires after 30 s of buying"
rules = ["../semis.toml"]
start = "2026-11-20T09:10:00"        # KST
[[test.series]]
symbol = "005930"
every = "10s"
buy_volume  = "0+30000x60"           # start+step x count, or a list of integers
sell_volume = "0+5000x60"            # fields not given are 0; net fields are derived
[[test.expect]]
at = "5m30s"                         # from start: the window is known at 5m, and it must hold 30 s
rule = "semis-program-buying"
symbol = "005930"
state = "firing"
"""


class Home:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rules" / "tests").mkdir(parents=True)
        (folder / "rules" / "semis.toml").write_text(RULES)
        (folder / "config.toml").write_text('locale = "en"\n[feed]\nsource = "simulator"\n')

    def write(self, text: str, name: str = "semis.toml") -> Path:
        path = self.folder / "rules" / "tests" / name
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> tuple[int, str, str]:
        result: Result = CliRunner().invoke(
            commands, ["--config", str(self.folder / "config.toml"), "test", *arguments], standalone_mode=False
        )
        if isinstance(result.exception, Exception):
            raise result.exception
        return result.return_value, result.stdout, result.stderr

    def problems(self, text: str) -> list[tuple[int, str, str]]:
        """Line, key and code of each."""
        self.write(text)
        code, stdout, _ = self.run("--json")
        assert code == 1
        return [(each["line"], each["key"], each["code"]) for each in map(json.loads, stdout.splitlines())]

    def differences(self, text: str) -> list[tuple[Any, Any]]:
        """What was expected and what came, as moments."""
        self.write(text)
        code, stdout, _ = self.run("--json")
        (found,) = map(json.loads, stdout.splitlines())
        assert (code, found["passed"]) == (int(bool(found["differences"])), not found["differences"])
        return [
            tuple(each[side] and each[side]["at"] for side in ("expected", "came")) for each in found["differences"]
        ]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def a_test(series: str, *expected: str, start: str = '"2026-11-20T09:10:00"') -> str:
    """`expected`: as `at rule symbol …`, what follows being further lines."""
    text = f'[[test]]\nname = "t"\nrules = ["../semis.toml"]\nstart = {start}\n'
    text += "".join(f"[[test.series]]\n{each.strip()}\n" for each in series.split("---"))
    for each in expected:
        at, rule, symbol, *more = each.split(" ", 3)
        state = "" if "state" in "".join(more) else 'state = "firing"\n'
        text += f'[[test.expect]]\nat = "{at}"\nrule = "{rule}"\nsymbol = "{symbol}"\n{state}' + "\n".join(more) + "\n"
    return text


FLOW = 'symbol = "005930"\nevery = "10s"\nbuy_volume = "1+30000x40"\nsell_volume = "2+5000x40"'
TURN = "samsung-turns-net-buyer"


def test_the_example_of_the_page_passes(home: Home) -> None:
    home.write(PAGE)
    assert home.run() == (0, "✓ fires after 30 s of buying\n1 tests: 1 passed, 0 failed\n", "")


def test_what_did_not_come_is_shown_with_what_came_and_the_values_then(home: Home) -> None:
    home.write(PAGE.replace("5m30s", "5m20s"))
    code, stdout, stderr = home.run()
    assert (code, stderr) == (1, "")
    shown = stdout.splitlines()
    assert shown[0].startswith("✗ fires after 30 s of buying (")
    assert shown[0].endswith("rules/tests/semis.toml:2)")
    assert shown[1] == "  expected: 5m20s semis-program-buying 005930 firing"
    assert shown[2] == (
        "  came:     5m30s semis-program-buying 005930 firing net_volume[5m]=750000 imbalance[5m]=0.7143"
    )
    assert shown[3:6] == [
        "  at 5m20s:",
        "    semis-program-buying · 삼성전자(005930) · as of 2026-11-20 09:15:20 KST",
        "    silent: it has not held for long enough; until 09:15:30 at the earliest",
    ]
    assert "    state: pending since 09:15:00, fires at 09:15:30" in shown
    assert "      ✓ net buy volume over 5 min 750K shares (threshold > 100K shares)" in shown


def test_an_alert_that_nobody_expected_fails_the_test(home: Home) -> None:
    assert home.differences(a_test(FLOW, "5m30s semis-program-buying 005930")) == [(None, "10s")]


def test_all_expected_passes_whatever_their_order(home: Home) -> None:
    both = a_test(FLOW, "5m30s semis-program-buying 삼성전자", f"10s {TURN} 005930")
    assert home.differences(both) == []


def test_an_alert_answers_one_expectation(home: Home) -> None:
    twice = a_test(FLOW, f"10s {TURN} 005930", f"10s {TURN} 005930", "5m30s semis-program-buying 005930")
    assert home.differences(twice) == [("10s", None)]


def test_suppressed_ones_must_be_expected_as_such(home: Home) -> None:
    flow = 'symbol = "005930"\nevery = "10s"\nsell_volume = [9, 9, 30, 30]\nbuy_volume = [0, 10, 10, 40]'
    assert home.differences(a_test(flow, f"10s {TURN} 005930")) == [(None, "30s")]
    assert home.differences(a_test(flow, f"10s {TURN} 005930", f"30s {TURN} 005930")) == [("30s", "30s")]
    kept = f'30s {TURN} 005930 suppressed = "cooldown"'
    assert home.differences(a_test(flow, f"10s {TURN} 005930", kept)) == []


@pytest.mark.parametrize(
    ("values", "passes"),
    [
        ('{ "net_volume[5m]" = 750_000 }', True),
        ('{ "net_volume[5m]" = 750_001 }', False),
        ('{ "imbalance[5m]" = 0.7143, "net_volume[5m]" = 750_000 }', True),
        ('{ "imbalance[5m]" = 0.7142 }', False),
        ('{ "net_volume[5m]" = "undefined" }', False),
    ],
)
def test_values_are_compared_where_they_are_given(home: Home, values: str, passes: bool) -> None:
    assert home.differences(PAGE + f"values = {values}") == ([] if passes else [("5m30s", "5m30s")])


def test_time_goes_on_to_the_last_expectation(home: Home) -> None:
    """The last record is at 6m30s; its last five minutes flow away until 10m50s."""
    resolved = '10m50s semis-program-buying 005930 state = "resolved"'
    first = a_test(FLOW, f"10s {TURN} 005930", "5m30s semis-program-buying 005930", resolved)
    assert home.differences(first) == []
    without = a_test(FLOW, f"10s {TURN} 005930", "5m30s semis-program-buying 005930")
    assert home.differences(without) == []


def test_series_of_several_symbols_are_merged_in_time(home: Home) -> None:
    """Their sum is above 1,000 with the second record of the second series."""
    series = 'symbol = "005930"\nevery = "10s"\nbuy_value = [400, 500, 500]\n---\nsymbol = "한미반도체"\nevery = "5s"\n'
    series += "buy_value = [500, 501, 501]"
    assert home.differences(a_test(series, "10s sum @semis values = { net_value = 1001 }")) == []


def test_before_the_open_a_start_is_known(home: Home) -> None:
    """The hours are the market's although the source is the simulator: the rule sleeps before 09:00."""
    flow = 'symbol = "005930"\nevery = "10s"\nbuy_volume = "0+300000x4"'
    early = a_test(flow, "10s samsung-turns-net-buyer 005930", start='"2026-11-20T08:59:50"')
    assert home.differences(early) == [("10s", None)]
    known = a_test(flow, "40s semis-program-buying 005930", start='"2026-11-20T08:59:50"')
    assert home.differences(known) == []


def test_a_start_may_be_a_date_time_of_toml(home: Home) -> None:
    assert home.differences(PAGE.replace('"2026-11-20T09:10:00"', "2026-11-20T09:10:00")) == []
    assert home.differences(PAGE.replace('"2026-11-20T09:10:00"', "2026-11-20T00:10:00Z")) == []


def test_a_slice_of_a_recording(home: Home) -> None:
    base = 1795133400 * 10**9  # 2026-11-20 09:10:00 KST
    rows = [(0, 0, 5), (10_250_000_000, 10, 5), (20_000_000_000, 10, 50), (30_123_456_789, 60, 50)]
    lines = [
        f"{base + after} 0|H0STPGM0|001|005930^0910{after // 10**9:02d}^{sold}^0^{bought}^0^{bought - sold}^0^0^0^0\n"
        for after, bought, sold in rows
    ]
    (home.folder / "rules" / "tests" / "day.txt").write_text("".join(lines))

    def sliced(keys: str, *expected: str) -> str:
        return (
            a_test("", *expected)
            .replace("[[test.series]]\n\n", "")
            .replace('start = "2026-11-20T09:10:00"', f'recording = "day.txt"\n{keys}')
        )

    kept = f'30.123456s {TURN} 005930 suppressed = "cooldown"'
    assert home.differences(sliced("", f"10.25s {TURN} 005930", kept)) == []
    assert home.differences(sliced('until = "2026-11-20T09:10:30"', f"10.25s {TURN} 005930")) == []
    tail = f"10.123456s {TURN} 005930"
    assert home.differences(sliced('from = "2026-11-20T09:10:20"', tail)) == []
    assert (
        home.differences(
            sliced('from = "2026-11-20T09:10:20"\nstart = "2026-11-20T09:10:00"', f"30.123456s {TURN} 005930")
        )
        == []
    )
    home.write(sliced('from = "2026-11-20T09:11:00"'))
    assert "no line of the recording lies in this span" in home.run()[1]


START = '"2026-11-20T09:10:00"'


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "code"),
    [
        ("every =", "evry =", 8, "series[1].evry", "unknown-key"),
        ('"0+30000x60"', '"0+30000"', 9, "series[1].buy_volume", "not-steps"),
        ('"0+30000x60"', "[1.5]", 9, "series[1].buy_volume", "not-steps"),
        ('"0+30000x60"', '"0+1x999999999"', 9, "series[1].buy_volume", "too-many-values"),
        ('"0+30000x60"', '"0+1x0"', 9, "series[1].buy_volume", "empty"),
        ('"0+5000x60"', '"0+5000x59"', 9, "series[1].buy_volume", "not-as-many"),
        ("sell_volume =", "net_volume =", 10, "series[1].net_volume", "is-derived"),
        (START, '"09:10"', 5, "start", "not-a-moment"),
        (f"start = {START}", "", 2, "start", "missing-key"),
        ('"005930"\nevery', '"삼성전지"\nevery', 7, "series[1].symbol", "not-a-built-in-name"),
        ('"005930"\nevery', '"035720"\nevery', 7, "series[1].symbol", "not-watched"),
        ("../semis.toml", "../semi.toml", 4, "rules[1]", "no-file"),
        ("program-buying", "program-buyin", 13, "expect[1].rule", "unknown-rule"),
        ('"005930"\nstate', '"035720"\nstate', 14, "expect[1].symbol", "not-watched-by"),
        ('"firing"', '"fired"', 15, "expect[1].state", "not-one-of"),
        ('"5m30s"', '"5m30"', 12, "expect[1].at", "not-an-offset"),
        ('"5m30s"', '"999h"', 12, "expect[1].at", "lasts-too-long"),
        ('"10s"', '"24h"', 8, "series[1].every", "lasts-too-long"),
        ('"firing"', '"firing"\nvalues = { net = 1 }', 16, "expect[1].values.net", "unknown-value"),
        (START, f"{START}\nfrom = {START}", 6, "from", "only-with-recording"),
        (START, f'{START}\nrecording = "x"', 2, "", "series-or-recording"),
    ],
)
def test_every_mistake_is_told_with_its_line(home: Home, old: str, new: str, line: int, key: str, code: str) -> None:
    assert old in PAGE
    assert (line, f"test[1].{key}".rstrip("."), code) in home.problems(PAGE.replace(old, new))


def test_all_mistakes_come_at_once_also_those_of_the_rules(home: Home) -> None:
    home.write(PAGE.replace("005930", "삼성전지"))
    home.write(PAGE, "other.toml")
    (home.folder / "rules" / "semis.toml").write_text(RULES.replace("net_value", "net_valu"))
    code, stdout, stderr = home.run()
    assert (code, stdout) == (1, "")
    assert stderr.count("rules/semis.toml:28: rule[3].metric") == 1
    assert stderr.count('"삼성전지"') == 2  # of the series and the expectation; what the rules watch is not known


def test_whoever_mends_what_was_told_is_not_told_more(home: Home) -> None:
    """Every stage that there is, in three tests of two files, at once."""
    first = PAGE.replace("every =", "evry =").replace("program-buying", "program-buyin").replace("x60", "x59", 1)
    second = PAGE.replace("../semis.toml", "../none.toml").replace('"firing"', '"fired"').replace("005930", "삼성전지")
    third = PAGE.replace('"../semis.toml"', '"../semis.toml", "../none.toml"').replace("5m30s", "5m30")
    home.write(first + second, "a.toml")
    home.write(third + "[more]\n", "b.toml")
    code, stdout, _ = home.run("--json")
    assert code == 1
    found = [json.loads(each) for each in stdout.splitlines()]
    assert [(Path(each["file"]).name, each["key"], each["code"]) for each in found] == [
        ("a.toml", "test[1].series[1].every", "missing-key"),
        ("a.toml", "test[1].series[1].evry", "unknown-key"),
        ("a.toml", "test[1].series[1].buy_volume", "not-as-many"),
        ("a.toml", "test[1].expect[1].rule", "unknown-rule"),
        ("a.toml", "test[2].rules[1]", "no-file"),
        ("a.toml", "test[2].series[1].symbol", "not-a-built-in-name"),
        ("a.toml", "test[2].expect[1].symbol", "not-a-built-in-name"),
        ("a.toml", "test[2].expect[1].state", "not-one-of"),
        ("b.toml", "test[1].rules[2]", "no-file"),
        ("b.toml", "test[1].expect[1].at", "not-an-offset"),
        ("b.toml", "more", "unknown-key"),
    ]


def test_names_are_compared_though_the_rules_have_mistakes(home: Home) -> None:
    (home.folder / "rules" / "semis.toml").write_text(RULES.replace("net_value", "net_valu"))
    found = home.problems(PAGE.replace("program-buying", "program-buyin"))
    assert [code for _, _, code in found] == ["not-one-of", "unknown-rule"]


@pytest.mark.parametrize("text", ["test = 3", "[test]", "test = [3]", "[[test]]\nseries = 3\nexpect = [1]"])
def test_what_is_no_table_is_told(home: Home, text: str) -> None:
    assert {"not-list", "not-table"} & {code for _, _, code in home.problems(text)}


def test_a_recording_that_is_none_is_no_failed_test(home: Home) -> None:
    (home.folder / "rules" / "tests" / "day.txt").write_text("hello\n")
    home.write(RECORDED)
    code, stdout, _ = home.run()
    assert (code, "is no recording" in stdout) == (2, True)


def test_a_recording_out_of_order_is_told(home: Home) -> None:
    base = 1795133400 * 10**9
    lines = [f"{base + second * 10**9} #alive\n" for second in (5, 1, 6)]
    (home.folder / "rules" / "tests" / "day.txt").write_text("".join(lines))
    home.write(RECORDED)
    code, _, stderr = home.run()
    assert code == 0
    assert "semis.toml:2: 1 lines are earlier than one before them" in stderr


RECORDED = '\n[[test]]\nname = "a"\nrules = ["../semis.toml"]\nrecording = "day.txt"\n'


@pytest.mark.parametrize("arguments", [[], ["{folder}/rules/tests"], ["{folder}/rules/tests/semis.toml"]], ids=str)
def test_files_and_folders(home: Home, arguments: list[str]) -> None:
    home.write(PAGE)
    assert home.run(*(each.format(folder=home.folder) for each in arguments))[0] == 0


def test_no_tests_at_all_is_no_success(home: Home) -> None:
    code, stdout, stderr = home.run()
    assert (code, stdout) == (2, "")
    assert "no tests in" in stderr


def test_the_shipped_rules_pass_their_tests() -> None:
    repository = Path(__file__).parents[2]
    result = CliRunner().invoke(
        commands, ["--config", str(repository / "config.toml"), "test", "--json"], standalone_mode=False
    )
    found = [json.loads(each) for each in result.stdout.splitlines()]
    assert (result.return_value, {each["passed"] for each in found}) == (0, {True})
    assert len(found) >= 8
