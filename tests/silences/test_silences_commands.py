"""`pgmwatch silence` as its users run it."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from engine.cli import commands
from engine.kst import KST, SECOND_NS
from engine.silences import file
from engine.silences.model import Silence
from engine.symbols.master import BUILTIN

RULES = """
[groups]
semis = ["005930", "000660"]

[[rule]]
name = "buying"
symbols = ["005930"]
metric = "net_volume"
above = 1
labels = { desk = "semis" }

[[rule]]
name = "sum"
symbols = ["@semis"]
aggregate = "sum"
metric = "net_volume"
above = 1

[[rule]]
name = "off"
enabled = false
symbols = ["000270"]
metric = "net_volume"
above = 1
"""


ACCOUNT = '[[feed.account]]\nname = "main"\napp_key = "${NO_KEY}"\napp_secret = "${NO_SECRET}"\n'


class Home:
    """A folder with a config.toml, and the commands in it at ten on a Monday."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.file = folder / "state" / "silences.toml"
        self._patch = monkeypatch
        (folder / "rules").mkdir()
        (folder / "rules" / "a.toml").write_text(RULES)
        self.configure('locale = "en"\n')
        self.at("2026-11-23T10:00:00")

    def configure(self, text: str) -> None:
        (self.folder / "config.toml").write_text(text)

    def at(self, when: str) -> None:
        moment = datetime.fromisoformat(when).replace(tzinfo=KST)
        now = int(moment.timestamp()) * SECOND_NS + moment.microsecond * 1_000
        self._patch.setattr(time, "time_ns", lambda: now)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        command = ["--config", str(self.folder / "config.toml"), "silence", *arguments]
        result: Result = CliRunner().invoke(commands, command, standalone_mode=False)
        if isinstance(result.exception, click.UsageError):
            return 2, result.stdout, result.exception.format_message()
        assert result.exception is None, result.exception
        return result.return_value, result.stdout, result.stderr.replace(str(self.folder), "HOME")

    def said(self) -> tuple[Silence, ...]:
        return file.load(self.file, BUILTIN)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        code, stdout, stderr = self.run("list", "--json", *arguments)
        assert (code, stderr) == (0, "")
        return [json.loads(line) for line in stdout.splitlines()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(tmp_path, monkeypatch)


def test_add_writes_the_file_and_says_what_and_until_when(home: Home) -> None:
    code, stdout, stderr = home.run("add", "--rule", "buying", "--for", "2h", "--comment", "lunch")
    (ident,) = [each["id"] for each in home.listed()]
    assert (code, stderr) == (0, "")
    assert stdout == f'silenced: {ident}  until 12:00 KST (2 h left)  rule "buying"  # lunch\n'
    (silence,) = home.said()
    assert (silence.rule, silence.until - silence.start, silence.comment) == ("buying", 7_200 * SECOND_NS, "lunch")


def test_in_korean(home: Home) -> None:
    home.configure('locale = "ko"\n')
    _, stdout, _ = home.run("add", "--symbol", "삼성전자", "--until", "2026-11-24T09:00")
    assert stdout.endswith("2026-11-24 09:00 KST까지 (23시간 남음)  삼성전자(005930)\n")
    assert stdout.startswith("무음 설정: ")


def test_list_shows_what_is_and_with_all_what_was(home: Home) -> None:
    assert home.run("list") == (0, "no silences\n", "")
    home.run("add", "--symbol", "005930", "--label", "desk=semis", "--until", "15:00")
    home.run("add", "--all", "--for", "10m")
    assert [line.split("  ", 1)[1] for line in home.run("list")[1].splitlines()] == [
        "until 15:00 KST (5 h left)  삼성전자(005930), label desk=semis",
        "until 10:10 KST (10 min left)  everything",
    ]
    home.at("2026-11-23T10:10:00")
    assert [each["symbol"] for each in home.listed()] == ["005930"]
    assert [(each["symbol"], each["state"]) for each in home.listed("--all")] == [
        ("005930", "active"),
        (None, "expired"),
    ]
    assert "over since 10:10 KST  everything" in home.run("list", "--all")[1]


def test_as_json_it_is_an_object_a_line(home: Home) -> None:
    home.run("add", "--symbol", "삼성전자", "--label", "desk=semis", "--until-close", "--comment", "점심")
    (found,) = home.listed()
    assert found == {
        "id": found["id"],
        "state": "active",
        "rule": None,
        "symbol": "005930",
        "labels": {"desk": "semis"},
        "all": False,
        "from": "2026-11-23T10:00:00.000000+09:00",
        "until": "2026-11-24T00:00:00.000000+09:00",  # a simulated session ends with the day
        "comment": "점심",
    }


def test_one_of_everything_says_so_as_json(home: Home) -> None:
    home.run("add", "--all", "--for", "1h")
    assert [each["all"] for each in home.listed()] == [True]


def test_what_is_left_is_in_words_and_never_nothing(home: Home) -> None:
    home.run("add", "--rule", "buying", "--until", "2026-11-24T00:08")
    assert "(14 h 8 min left)" in home.run("list")[1]
    for nearly in ("2026-11-24T00:07:59", "2026-11-24T00:07:59.900"):
        home.at(nearly)
        assert "(1 s left)" in home.run("list")[1]


@pytest.mark.parametrize("fraction", ["", ".001", ".500", ".999"])
def test_a_silence_for_a_minute_was_said_to_last_a_minute_and_a_second(home: Home, fraction: str) -> None:
    home.configure("")
    home.at(f"2026-11-23T10:00:00{fraction}")
    assert "(1분 남음)" in home.run("add", "--all", "--for", "1m")[1]


@pytest.mark.parametrize(("until", "doubted"), [("2027-02-21T10:00", False), ("2027-02-21T10:01", True)])
def test_one_that_lasts_for_a_season_is_doubted_and_written(home: Home, until: str, doubted: bool) -> None:
    code, _, stderr = home.run("add", "--rule", "buying", "--until", until)
    (found,) = home.listed()
    assert code == 0
    assert ("lasts 90 days; is that meant? To end it: pgmwatch silence remove " + found["id"] in stderr) == doubted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "--all", "--rule", "a", "--for", "1h"), "함께 쓸 수 없습니다"),
        (("add", "--for", "1h"), "무엇을 끌지"),
        (("add", "--rule", "a"), "언제까지인지"),
        (("add", "--label", "desk", "--for", "1h"), '--label "desk": KEY=VALUE 꼴로'),
        (("remove",), "어느 것인지"),
    ],
    ids=str,
)
def test_wrong_use_is_told_in_the_users_language(home: Home, arguments: tuple[str, ...], said: str) -> None:
    home.configure('locale = "ko"\n')
    code, _, stderr = home.run(*arguments)
    assert (code, said in stderr) == (2, True)


def test_everything_and_a_rule_exclude_each_other(home: Home) -> None:
    assert "excludes --rule, --symbol and --label" in home.run("add", "--all", "--rule", "a", "--for", "1h")[2]


def test_one_that_is_to_come_is_shown_as_such(home: Home) -> None:
    home.file.parent.mkdir()
    home.file.write_text('[[silence]]\nrule = "buying"\nfrom = "2026-11-24T09:00"\nuntil = "2026-11-24T10:00"\n')
    assert "from 2026-11-24 09:00 until 2026-11-24 10:00 KST" in home.run("list")[1]
    assert home.listed()[0]["state"] == "pending"


def test_until_the_close_of_a_real_session(home: Home) -> None:
    home.configure(f'locale = "en"\n[feed]\nsource = "kis"\n{ACCOUNT}')  # whose keys are not there, nor needed
    assert "until 15:30 KST" in home.run("add", "--rule", "buying", "--until-close")[1]
    home.at("2026-11-23T15:30:00")
    assert home.run("add", "--rule", "buying", "--until-close") == (
        2,
        "",
        "pgmwatch: the session closed at 15:30 KST today\n",
    )


def test_remove_by_id_and_by_rule(home: Home) -> None:
    for rule in ("buying", "sum", "sum"):
        home.run("add", "--rule", rule, "--for", f"{len(home.said()) + 1}h")
    first = home.listed()[0]["id"]
    code, stdout, stderr = home.run("remove", first, "abcdef")
    assert (code, stderr) == (1, 'pgmwatch: no silence has the id "abcdef"\n')
    assert stdout.startswith(f"no longer silenced: {first}  ")
    assert [each.rule for each in home.said()] == ["sum", "sum"]
    assert home.run("remove", "--rule", "sum")[0] == 0
    assert home.said() == ()
    assert home.run("remove", "--rule", "sum") == (1, "", 'pgmwatch: no silence names the rule "sum"\n')


def test_what_is_said_twice_in_a_second_is_one(home: Home) -> None:
    for _ in range(2):
        home.run("add", "--all", "--for", "1h")
    assert len(home.said()) == 1


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        (("--rule", "buying"), True),
        (("--symbol", "@semis"), True),
        (("--label", "desk=semis"), True),
        (("--all",), True),
        (("--rule", "off"), False),
        (("--symbol", "000270"), False),
        (("--symbol", "@semi"), False),
        (("--rule", "sum", "--symbol", "005930"), False),
        (("--label", "desk=other"), False),
    ],
)
def test_what_fits_nothing_is_doubted_and_written(home: Home, arguments: tuple[str, ...], fits: bool) -> None:
    code, _, stderr = home.run("add", *arguments, "--for", "1h")
    assert (code, len(home.said())) == (0, 1)
    assert ("fits no rule and symbol" in stderr) is not fits


def test_a_rule_that_is_nearly_one_is_named(home: Home) -> None:
    assert 'did you mean "buying"?' in home.run("add", "--rule", "buyng", "--for", "1h")[2]


def test_rules_with_a_mistake_keep_nobody_from_silencing(home: Home) -> None:
    (home.folder / "rules" / "a.toml").write_text("[[rule]")
    code, _, stderr = home.run("add", "--rule", "buying", "--for", "1h")
    assert (code, len(home.said())) == (0, 1)
    assert "the rules have mistakes" in stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "--for", "1h"),
        ("add", "--all", "--rule", "a", "--for", "1h"),
        ("add", "--rule", "a"),
        ("add", "--rule", "a", "--for", "1h", "--until", "15:00"),
        ("add", "--rule", "a", "--for", "1h", "--until-close"),
        ("add", "--rule", "a", "--for", "1"),
        ("add", "--rule", "a", "--for", ""),
        ("add", "--rule", "a", "--until", "09:00"),
        ("add", "--rule", "a" * 81, "--for", "1h"),
        ("add", "--rule", "a", "--comment", "x" * 201, "--for", "1h"),
        ("add", "--symbol", "nobody", "--for", "1h"),
        ("add", "--label", "desk", "--for", "1h"),
        ("remove",),
    ],
    ids=" ".join,
)
def test_wrong_use_is_said_and_writes_nothing(home: Home, arguments: tuple[str, ...]) -> None:
    code, stdout, stderr = home.run(*arguments)
    assert (code, stdout) == (2, "")
    assert stderr
    assert not home.file.exists()


@pytest.mark.parametrize("arguments", [("add", "--all", "--for", "1h"), ("list",), ("remove", "abcdef")], ids=" ".join)
def test_a_mistake_in_the_file_is_said_with_its_line_and_the_file_stays(home: Home, arguments: tuple[str, ...]) -> None:
    home.file.parent.mkdir()
    home.file.write_text('# mine\n[[silence]]\nrul = "a"\nuntil = "2026-11-24T10:00"\n')
    code, stdout, stderr = home.run(*arguments)
    assert (code, stdout) == (2, "")
    assert stderr.splitlines()[0] == 'HOME/state/silences.toml:3: silence[1].rul: unknown key; did you mean "rule"?'
    assert home.file.read_text().startswith("# mine")


def test_a_wrong_configuration_is_said(home: Home) -> None:
    home.configure("nonsense = 1\n")
    assert home.run("list")[0] == 2


def test_foreign_text_cannot_command_the_terminal(home: Home) -> None:
    home.run("add", "--rule", "a\x1b[31m", "--comment", "b\x1b[2J\nc", "--for", "1h")
    shown = home.run("list")[1]
    assert "\x1b" not in shown
    assert shown.count("\n") == 1
