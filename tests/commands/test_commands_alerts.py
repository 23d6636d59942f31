"""`pgmwatch alerts` as its users run it, on databases as the daemon writes them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from delivery_samples import AT, a_notice, an_alert

from engine.alert import Suppression
from engine.cli import commands
from engine.commands.alerts import MAX_SHOWN
from engine.delivery.notice import Notice, system_notice
from engine.delivery.parcel import Delivery, Status
from engine.kst import DAY_NS, SECOND_NS
from engine.rules.model import Severity
from engine.store import reading
from engine.store.batch import Batch, Ending
from engine.store.database import Database

RULES = """
[groups]
semis = ["005930", "000660"]
[[rule]]
name = "buying"
symbols = ["005930"]
metric = "net_volume"
above = 1
[[rule]]
name = "sum"
symbols = ["@semis"]
aggregate = "sum"
metric = "net_volume"
above = 1
"""


class Home:
    """A folder with a config.toml and a database, at a quarter past nine on the day of the samples."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.state = folder / "state" / "simulator-KRX"
        (folder / "rules").mkdir()
        (folder / "rules" / "a.toml").write_text(RULES)
        self.configure('locale = "en"\n')
        monkeypatch.setattr(time, "time_ns", lambda: AT + 600 * SECOND_NS)

    def configure(self, text: str) -> None:
        (self.folder / "config.toml").write_text(text)

    def store(self, *notices: Notice, **more: Any) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        database = Database.open(self.state / "state.db").database
        database.commit(Batch(AT, notices, **more))
        database.close()

    def run(self, *arguments: str) -> tuple[int, str, str]:
        command = ["--config", str(self.folder / "config.toml"), *arguments]
        result = CliRunner().invoke(commands, command, standalone_mode=False)
        said = result.stderr.replace(str(self.folder), "HOME")
        if isinstance(result.exception, click.UsageError):
            return 2, result.stdout, result.exception.format_message()
        if isinstance(result.exception, click.exceptions.Exit):
            return result.exception.exit_code, result.stdout, said
        assert result.exception is None, result.exception
        return result.return_value, result.stdout, said

    def ids(self, *arguments: str) -> list[str]:
        code, stdout, stderr = self.run("alerts", "--json", *arguments)
        assert (code, stderr) == (0, "")
        return [json.loads(line)["id"] for line in stdout.splitlines()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = Home(tmp_path, monkeypatch)
    yield home
    assert not list(home.folder.glob("**/*.broken-*"))


def alert(ident: str, after_s: int = 0, **more: Any) -> Notice:
    at = AT + after_s * SECOND_NS
    name = {"005930": "삼성전자"}.get(more.get("symbol", "005930"), "")
    return a_notice(ident, at=at, name=name, alert=an_alert(**{"id": ident, "at": at, "rule": "buying", **more}))


def delivery(ident: str, status: Status = Status.DELIVERED, **more: Any) -> Delivery:
    at = AT + SECOND_NS
    return Delivery(
        **{"id": ident, "target": "t", "name": "desk[1] json", "status": status, "at": at, "due_from": AT, **more}
    )


SYSTEM = system_notice("feed-lost", AT + 2 * SECOND_NS, Severity.WARNING, title="feed lost", message="m", notify=())


def test_today_s_alerts_with_what_became_of_them(home: Home) -> None:
    steps = [delivery("a", attempts=1), delivery("a", Status.REFUSED, name="terminal", target="u", reason="full")]
    home.store(
        alert("a"),
        alert("b", 1, suppressed=Suppression.COOLDOWN),
        SYSTEM,
        alert("yesterday", -86_400),
        endings=[Ending("sum", "@semis", AT + 3 * SECOND_NS)],
        deliveries=[*steps, delivery(SYSTEM.id, Status.QUEUED)],
    )
    assert home.run("alerts") == (
        0,
        (
            "2026-11-20 09:05:30  firing  buying  삼성전자(005930)  title of a\n"
            "  desk[1] json: delivered after 1.0 s\n"
            "  terminal: REFUSED after 1.0 s: full\n"
            "2026-11-20 09:05:31  firing  buying  삼성전자(005930)  title of b (not sent: cooldown)\n"
            "2026-11-20 09:05:32  system  feed-lost  feed lost\n"
            "  desk[1] json: waiting\n"
            "2026-11-20 09:05:33  ended  sum  @semis  ended without a message\n"
        ),
        "",
    )


def test_json_is_the_stored_line_and_its_deliveries(home: Home) -> None:
    stored = [alert("a"), SYSTEM]
    home.store(*stored, deliveries=[delivery("a")])
    code, stdout, _ = home.run("alerts", "--json")
    first, second = stdout.splitlines()
    assert code == 0
    assert first.startswith(stored[0].to_json()[:-1] + ',"deliveries":[{"target":"desk[1] json","status":"delivered"')
    assert second == stored[1].to_json()[:-1] + ',"deliveries":[]}'


def test_what_is_asked_for(home: Home) -> None:
    ending = Ending("sum", "@semis", AT + 3 * SECOND_NS)
    home.store(
        alert("old", -86_400),
        alert("a"),
        alert("b", 1, suppressed=Suppression.COOLDOWN),
        alert("c", 60, rule="sum", symbol="@semis"),
        SYSTEM,
        endings=[ending],
    )
    assert home.ids() == ["a", "b", SYSTEM.id, ending.id, "c"]
    assert home.ids("--since", "2026-11-19") == ["old", "a", "b", SYSTEM.id, ending.id, "c"]
    assert home.ids("--since", "2026-11-19", "--until", "2026-11-19") == ["old"]
    assert home.ids("--since", "9m30s") == ["c"]
    assert home.ids("--since", "09:06", "--until", "09:07") == ["c"]
    assert home.ids("--symbol", "005930") == home.ids("--symbol", "삼성전자") == ["a", "b"]
    assert home.ids("--symbol", "@semis") == home.ids("--rule", "sum") == [ending.id, "c"]
    assert home.ids("--without", "system", "--without", "ended") == ["a", "b", "c"]
    assert home.ids("--without", "suppressed", "--rule", "buying") == ["a"]


def test_of_too_many_the_newest_are_shown_and_that_is_said(home: Home) -> None:
    home.store(*(alert(f"n{number}", number) for number in range(5)))
    code, stdout, stderr = home.run("alerts", "--json", "--limit", "2")
    assert (code, [json.loads(line)["id"] for line in stdout.splitlines()]) == (0, ["n3", "n4"])
    assert stderr == "pgmwatch: only the newest 2 are shown; --limit shows more\n"
    assert home.ids("--limit", "5") == ["n0", "n1", "n2", "n3", "n4"]
    assert home.run("alerts", "--limit", "0")[0] == 2


def test_where_there_is_nothing_it_says_since_when(home: Home) -> None:
    home.store(alert("old", -86_400))
    assert home.run("alerts") == (0, "no alerts since 2026-11-20 00:00:00 KST\n", "")
    assert home.run("alerts", "--json") == (0, "", "")
    home.configure('locale = "ko"\n')
    assert home.run("alerts", "--since", "09:00")[1] == "2026-11-20 09:00:00 KST 이후의 알림이 없습니다\n"


def test_a_rule_or_a_stock_without_alerts_is_no_mistake(home: Home) -> None:
    home.store(alert("a", rule="gone-from-the-files"))
    for question in (("--rule", "buying"), ("--symbol", "000660"), ("--symbol", "SK하이닉스"), ("--symbol", "@semis"),
                     ("--symbol", "123456"), ("--rule", "gone-from-the-files", "--since", "1s")):  # fmt: skip
        assert home.run("alerts", *question)[0::2] == (0, "")


def test_a_name_that_nobody_knows_is_one(home: Home) -> None:
    home.store(alert("a"))
    assert home.run("alerts", "--rule", "buyng") == (
        1,
        "",
        'pgmwatch: no rule is named "buyng"; did you mean "buying"?\n',
    )
    code, stdout, stderr = home.run("alerts", "--symbol", "삼성전지")
    assert (code, stdout) == (1, "")
    assert '"삼성전지" is neither a six-character code nor a known stock name' in stderr
    assert "삼성전자(005930)" in stderr
    assert home.run("alerts", "--rule", "\udcff\x1b")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--since", "soon"), 2, '"soon" is no time'),
        (("--since", "23:00"), 2, "still to come"),
        (("--since", "09:10", "--until", "09:00"), 2, "--until must be after --since"),
        (("--follow", "--until", "09:00"), 2, "leave out --until"),
        (("--without", "everything"), 2, "everything"),
    ],
)
def test_what_is_misused(home: Home, arguments: tuple[str, ...], code: int, said: str) -> None:
    home.store(alert("a"))
    found = home.run("alerts", *arguments)
    assert found[0] == code
    assert said in found[2]


def test_without_a_database_it_says_so_and_makes_none(home: Home) -> None:
    for arguments in ((), ("--json",), ("--rule", "x")):
        assert home.run("alerts", *arguments) == (
            1,
            "",
            "pgmwatch: HOME/state/simulator-KRX/state.db: nothing is stored here yet\n",
        )
    assert not (home.folder / "state").exists()


def test_a_database_that_is_broken_or_newer_is_told_of_and_left(home: Home) -> None:
    home.store(alert("a"))
    (home.state / "state.db").write_bytes(b"no database " * 1_000)
    code, stdout, stderr = home.run("alerts")
    assert (code, stdout) == (1, "")
    assert "state.db: is broken" in stderr
    assert (home.state / "state.db").read_bytes() == b"no database " * 1_000


@pytest.mark.parametrize("arguments", [("alerts", "--follow"), ("notify", "dead"), ("notify", "dead", "retry")])
def test_what_asks_the_daemon_says_that_there_is_none(home: Home, arguments: tuple[str, ...]) -> None:
    home.store(alert("a"))
    assert home.run(*arguments) == (1, "", "pgmwatch: no daemon is running on HOME/state/simulator-KRX\n")


def test_no_account_and_no_notifier_is_needed_to_read_the_history(home: Home) -> None:
    account = '[[feed.account]]\nname = "main"\napp_key = "${NO_KEY}"\napp_secret = "${NO_SECRET}"\n'
    home.configure(
        f'locale = "en"\n[feed]\nsource = "kis"\n{account}[alerts]\nnotify = ["desk"]\n[notifiers.desk]\nurls = ["slack://${{NO}}"]\n'
    )
    home.state = home.folder / "state" / "kis-KRX"
    home.store(alert("a", -int(DAY_NS // SECOND_NS)), alert("b"))
    assert home.ids() == ["b"]


def test_that_there_are_more_is_seen_also_where_the_most_is_asked_for() -> None:
    """`--limit 100000` left out the rest without a word."""
    assert reading.MAX_ROWS > MAX_SHOWN
