"""The daemon and its feed when the broker misbehaves: what a person is told, and what a restart must not forget."""

import json
import signal
from pathlib import Path

import pytest
import trio
from daemon_process import RULE, Pgmwatch, ended, free_ports, installed

LIVE = """\
locale = "en"
[session]
open = "00:00"
close = "24:00"
[feed]
source = "kis"
market = "{market}"
rest_url = "http://127.0.0.1:{rest}"
websocket_url = "ws://127.0.0.1:{websocket}"
backoff = {{ first = "1s", max = "2s", max_per_hour = {per_hour} }}
[[feed.account]]
name = "main"
app_key = "TEST-APP-KEY"
app_secret = "{secret}"
"""


class Desk:
    """A broker's and a daemon's folder side by side."""

    def __init__(self, folder: Path, *, market: str = "KRX", per_hour: int = 20, faults: str = "") -> None:
        self.rest, self.websocket = free_ports(2)
        (folder / "broker").mkdir()
        self.broker = installed(folder / "broker", "[simulator]\nrate = 60\n")
        (folder / "broker" / "faults.toml").write_text(faults)
        ports = {"rest": self.rest, "websocket": self.websocket}
        self.config = LIVE.format(**ports, market=market, per_hour=per_hour, secret="SECRET")
        self.daemon = self.with_secret(folder, "TEST-APP-SECRET")
        self.folder = folder

    def with_secret(self, folder: Path, secret: str) -> Pgmwatch:
        return installed(folder, self.config.replace("SECRET", secret))

    @property
    def simulate(self) -> list[str]:
        ports = ["--rest-port", str(self.rest), "--websocket-port", str(self.websocket)]
        return ["simulate", *ports, "--scenario", "faults.toml"]


REFUSING = '[[fault]]\ndo = "approval-error"\ncode = "EGW00105"\nfor = "1h"\n'


async def test_credentials_that_were_never_right_end_with_3_and_are_not_asked_about_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, faults=REFUSING)
    async with desk.broker.running(*desk.simulate):
        await desk.broker.until("simulator up")
        code, stdout, stderr = await desk.daemon.run("run")
        assert code == 3
        assert "EGW00105" in stdout  # told to the ops notifiers
        assert "the broker refused the credentials of every account" in stderr
        code, stdout, stderr = await desk.daemon.run("run")  # as a service manager would
        assert (code, stdout) == (3, "")  # one report is enough
        assert "they are not asked about before 20" in stderr
        assert desk.broker.stderr.count("approval=spoilt") == 1  # the second run did not ask
        mended = desk.with_secret(tmp_path, "TEST-APP-SECRET-MENDED")
        assert (await mended.run("run"))[0] == 3
        assert desk.broker.stderr.count("approval=spoilt") == 2  # what was mended is tried at once


SECOND = '[[feed.account]]\nname = "second"\napp_key = "TEST-APP-KEY-2"\napp_secret = "TEST-APP-SECRET-2"\n'


async def test_one_account_of_two_that_is_refused_does_not_end_the_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path, faults=REFUSING + "limit = 1\n")
    (tmp_path / "config.toml").write_text(desk.config + SECOND)
    (tmp_path / "rules" / "test.toml").write_text(RULE.replace('["005930"]', '["005930", "000660"]'))
    async with desk.broker.running(*desk.simulate), desk.daemon.running("run") as process:
        await desk.daemon.until('feed lost account=[a-z]+ ending="credentials refused"')
        await desk.daemon.until("feed subscribed account=")
        await trio.sleep(2)  # two looks at the feeds
        feeds = (await desk.daemon.ask("status"))["feeds"]
        assert sorted(feed["credentials"] for feed in feeds) == ["approved", "refused"]
        assert (await ended(process, signal.SIGTERM))[0] == 0


async def test_credentials_that_were_right_once_do_not_end_a_daemon(tmp_path: Path) -> None:
    """A broker in maintenance may refuse anything for a night."""
    desk = Desk(tmp_path, faults=REFUSING + 'at = "3s"\n')
    async with desk.broker.running(*desk.simulate):
        await desk.broker.until("simulator up")
        async with desk.daemon.running("run") as process:
            await desk.daemon.until("feed subscribed account=main")
            await ended(process, signal.SIGTERM)
        await trio.sleep(3)
        async with desk.daemon.running("run") as process:
            await desk.daemon.until('ending="credentials refused"')
            await trio.sleep(2)  # two looks at the feeds
            assert process.poll() is None
            assert (await ended(process, signal.SIGTERM))[0] == 0


async def test_an_account_without_symbols_holds_no_session(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "config.toml").write_text(desk.config + SECOND)
    async with desk.broker.running(*desk.simulate), desk.daemon.running("run") as process:
        await desk.daemon.until("feed subscribed account=main")
        phases = {feed["account"]: feed["phase"] for feed in (await desk.daemon.ask("status"))["feeds"]}
        assert phases == {"main": "up", "second": "idle"}
        assert desk.broker.stderr.count("approval=granted") == 1
        await ended(process, signal.SIGTERM)


async def test_a_crash_loop_makes_no_more_connections_than_one_long_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path, per_hour=3)
    async with desk.broker.running(*desk.simulate):
        await desk.broker.until("simulator up")
        for crash in range(3):
            async with desk.daemon.running("run") as process:
                await desk.daemon.until("feed subscribed account=main")
                process.send_signal(signal.SIGKILL)
                await process.wait()
            await desk.broker.until("closed reason=", count=crash + 1)
            await trio.sleep(1)  # the broker gives an app key one approval key a second
        async with desk.daemon.running("run") as process:
            found = await desk.daemon.until(r"feed retrying account=main in=([0-9.]+)s")
            assert 3400 < float(found[1]) <= 3600
            (feed,) = (await desk.daemon.ask("status"))["feeds"]
            assert (feed["attempts_last_hour"], feed["phase"]) == (3, "waiting")
            await ended(process, signal.SIGTERM)
        assert desk.broker.stderr.count("path=/") == 3


@pytest.mark.slow  # ten seconds pass before an outage is told
async def test_an_outage_is_told_once_with_what_cannot_be_judged_and_when_it_is_over(tmp_path: Path) -> None:
    faults = """\
[[fault]]
do = "reset"
at = "4s"
[[fault]]
do = "handshake"
how = "refuse"
status = 503
at = "4s"
for = "14s"
"""
    (tmp_path / "storm.toml").write_text(faults)
    config = """\
locale = "en"
[simulator]
scenario = "storm.toml"
[feed]
backoff = { first = "2s", max = "2s", max_per_hour = 60 }
"""
    pgmwatch = installed(tmp_path, config, RULE)
    async with pgmwatch.running("run") as process:
        await pgmwatch.until("feed lost account=simulator", count=2)
        await pgmwatch.until("system alert kind=feed-lost")
        await pgmwatch.until("system alert kind=feed-back", seconds=40)
        await trio.sleep(2.5)  # the digest
        await ended(process, signal.SIGTERM)
    assert pgmwatch.stderr.count("system alert") == 2  # nothing per retry
    lost, back = pgmwatch.stdout.index("Feed lost"), pgmwatch.stdout.index("Feed back")
    assert lost < back
    told = pgmwatch.stdout[lost:back]
    assert "nothing received since" in told
    assert "삼성전자(005930)" in told
    assert "거래 시작" in told


@pytest.mark.parametrize(("market", "tr_id"), [("NXT", "H0NXPGM0"), ("UNIFIED", "H0UNPGM0")])
async def test_other_markets_by_configuration(tmp_path: Path, market: str, tr_id: str) -> None:
    desk = Desk(tmp_path, market=market)
    async with desk.broker.running(*desk.simulate), desk.daemon.running("run") as process:
        await desk.daemon.until("alert firing")
        assert (await desk.daemon.ask("status"))["daemon"]["market"] == market
        await ended(process, signal.SIGTERM)
        await desk.broker.until("closed reason=closed")
    assert (tmp_path / "state" / f"kis-{market}" / "attempts.json").exists()
    assert tr_id not in desk.daemon.stderr  # no complaint about it


async def test_a_scenario_that_cannot_be_used_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "storm.toml").write_text('[[fault]]\ndo = "rest"\n')
    pgmwatch = installed(tmp_path, 'locale = "en"\n[simulator]\nscenario = "storm.toml"\n')
    for command in (["run"], ["simulate"], ["check"]):
        code, stdout, stderr = await pgmwatch.run(*command)
        assert (code, stdout) == (1 if command == ["check"] else 2, "")
        assert "storm.toml:2: fault[1].do" in stderr
        assert 'did you mean "reset"?' in stderr
    code, _, stderr = await pgmwatch.run("simulate", "--scenario", "nowhere.toml")
    assert (code, "nowhere.toml: no such file" in stderr) == (2, True)


async def test_check_says_which_rule_would_miss_what(tmp_path: Path) -> None:
    symbols = [f"{number:06d}" for number in range(100_000, 100_050)]
    rule = RULE.replace('["005930"]', json.dumps(symbols))
    desk = Desk(tmp_path)
    (tmp_path / "rules" / "test.toml").write_text(rule + RULE.replace("거래 시작", "another"))
    code, stdout, _ = await desk.daemon.run("check", "--json")
    found = json.loads(stdout)
    assert (code, found["registrations"]) == (0, {"needed": 51, "available": 41})
    assert [len(each["not_covered"]) for each in found["rules"]] == [9, 1]


async def test_two_accounts_share_the_symbols_and_one_alone_is_lost(tmp_path: Path) -> None:
    desk = Desk(tmp_path, faults='[[fault]]\ndo = "reset"\nsince = "subscribed"\nat = "3s"\nlimit = 1\n')
    patient = desk.config.replace('first = "1s", max = "2s"', 'first = "30s", max = "60s"')
    (tmp_path / "config.toml").write_text(patient + SECOND)
    symbols = [f"{number:06d}" for number in range(100_000, 100_021)]
    (tmp_path / "rules" / "test.toml").write_text(RULE.replace('["005930"]', json.dumps(symbols)))
    async with desk.broker.running(*desk.simulate), desk.daemon.running("run") as process:
        await desk.daemon.until("feed subscribed account=", count=2)
        status = await desk.daemon.ask("status")
        assert {feed["account"]: len(feed["symbols"]) for feed in status["feeds"]} == {"main": 11, "second": 10}
        lost = (await desk.daemon.until("feed lost account=([a-z]+)"))[1]
        status = await desk.daemon.ask("status")
        phases = {feed["account"]: feed["phase"] for feed in status["feeds"]}
        other = "second" if lost == "main" else "main"
        assert (phases[other], phases[lost]) == ("up", "waiting")
        await ended(process, signal.SIGTERM)
    assert f"feed lost account={other}" not in desk.daemon.stderr
