"""Whether anybody notices that nobody is told: the heartbeat and targets that take nothing, with a daemon of its own.

Minutes are seconds here: the process is started with less patience than a user's, and is the same otherwise.
"""

import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from daemon_process import Pgmwatch, ended, installed
from delivery_samples import AT, a_notice
from receivers import Behaviour, Receiver, listening, reply

from engine import ready, state_files
from engine.daemon import _Daemon
from engine.delivery.parcel import Delivery, Kept, Status
from engine.heartbeat import signs
from engine.heartbeat.signs import Ailment
from engine.incidents.monitor import Monitor
from engine.incidents.upkeep import What
from engine.keeper import Keeper, Trouble

HURRIED = """\
from engine.heartbeat import beat
from engine.incidents import reading, targets
beat.PACE = beat.Pace(interval_s=0.5, again_s=0.1, patience_s=0.5)
targets.FAILING_NS, targets._WITH_OTHERS_NS, targets._FINE_NS = (n * targets.SECOND_NS for n in (2, 1, 1))
reading._BLIND_NS = 2 * targets.SECOND_NS
from engine.cli import main
main()
"""
CANARY = "TEST-CANARY-5b0c1d2e"
CONFIG = """\
locale = "en"
[feed]
backoff = {{ first = "2s", max = "2s" }}
[simulator]
scenario = "{scenario}"
[alerts]
notify = ["terminal", "broken"]
ops = {ops}
heartbeat_url = "http://127.0.0.1:{port}/${{PING}}"
[notifiers.broken]
urls = ["{broken}"]
rate = "60/s"
[notifiers.healthy]
urls = ["{healthy}"]
rate = "60/s"
"""


class Hurried(Pgmwatch):
    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", HURRIED, *arguments]


@dataclass
class Switch:
    """A behaviour that can be changed while it is listened to."""

    behaviour: Behaviour

    def __call__(self, receiver: Receiver, connection: socket.socket) -> None:
        self.behaviour(receiver, connection)


def daemon(
    folder: Path, beats: Receiver, broken: Receiver, healthy: Receiver, *, ops: str = '["healthy"]', scenario: str = ""
) -> Hurried:
    if scenario:
        (folder / "faults.toml").write_text(scenario)
    name = "faults.toml" if scenario else ""
    urls = {"broken": broken.url(), "healthy": healthy.url()}
    made = installed(folder, CONFIG.format(scenario=name, ops=ops, port=beats.port, **urls), PING=CANARY)
    return Hurried(made.folder, made.environ)


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.02)


LOST = """\
[[fault]]
do = "close"
at = "6s"
code = 1001
[[fault]]
do = "handshake"
how = "refuse"
status = 503
at = "6s"
for = "3s"
"""


@pytest.mark.slow  # an outage must be long enough for calls to be missed in it
async def test_the_heartbeat_stops_with_the_feed_and_goes_on_with_it(tmp_path: Path) -> None:
    with listening(reply(200)) as beats, listening(reply(200)) as hook:
        pgmwatch = daemon(tmp_path, beats, hook, hook, scenario=LOST)
        async with pgmwatch.running("run") as process:
            await until(lambda: len(beats.requests) >= 2, seconds=10)
            assert beats.requests[0].line == f"GET /{CANARY} HTTP/1.1"
            await pgmwatch.until('heartbeat stopped reason="feed-down simulator"')
            missed = len(beats.requests)
            found = (await pgmwatch.ask("status"))["heartbeat"]
            assert found["ailments"] == [{"what": "feed-down", "detail": "simulator"}]
            assert found["last"] is not None
            assert len(beats.requests) == missed
            await pgmwatch.until("heartbeat goes on")
            assert len(beats.requests) > missed
            assert (await ended(process, signal.SIGTERM))[0] == 0
        after = len(beats.requests)
        assert pgmwatch.stderr.count("heartbeat ") == 3
        await trio.sleep(1)
    assert len(beats.requests) == after


UNREADABLE = """\
[[fault]]
do = "field"
fields = ["sell_volume"]
value = "(null)"
at = "3s"
for = "6s"
"""


@pytest.mark.slow  # data must be unreadable for longer than a moment
async def test_the_heartbeat_stops_while_data_comes_that_nobody_can_read(tmp_path: Path) -> None:
    with listening(reply(200)) as beats, listening(reply(200)) as hook:
        pgmwatch = daemon(tmp_path, beats, hook, hook, scenario=UNREADABLE)
        async with pgmwatch.running("run") as process:
            await pgmwatch.until("heartbeat begins")
            await pgmwatch.until('heartbeat stopped reason="feed-unreadable simulator"')
            await pgmwatch.until("heartbeat goes on")
            assert (await ended(process, signal.SIGTERM))[0] == 0


async def test_a_heartbeat_that_nobody_hears_disturbs_nothing_and_is_in_the_status(tmp_path: Path) -> None:
    with listening(reply(404)) as beats, listening(reply(200)) as hook:
        pgmwatch = daemon(tmp_path, beats, hook, hook)
        async with pgmwatch.running("run") as process:
            await pgmwatch.until('heartbeat failed reason="HTTP 404"')
            code, stdout, _ = await pgmwatch.run("status")
            assert (code, "HEARTBEAT NOT HEARD: HTTP 404" in stdout) == (0, True)
            await pgmwatch.until("alert firing")
            assert (await ended(process, signal.SIGTERM))[0] == 0


@pytest.mark.slow  # a target must fail for longer than a moment
async def test_a_web_hook_that_fails_is_told_through_another_and_stops_the_heartbeat(tmp_path: Path) -> None:
    switch = Switch(reply(500))
    with listening(reply(200)) as beats, listening(switch) as broken, listening(reply(200)) as healthy:
        pgmwatch = daemon(tmp_path, beats, broken, healthy, ops='["broken"]')  # so that the other is nobody's but ours
        (tmp_path / "rules" / "second.toml").write_text(
            '[[rule]]\nname = "other"\nsymbols = ["000660"]\nmetric = "total_volume"\nabove = "9000000000000주"\n'
            'notify = ["healthy"]\n'
        )
        async with pgmwatch.running("run") as process:
            await until(lambda: healthy.requests)
            told = healthy.requests[0].json
            assert told["title"] == "⚠️ pgmwatch · Messages do not arrive: broken[1] json"
            assert " s). HTTP 500. Waiting: 1; the first is given up at " in told["message"]
            await pgmwatch.until('heartbeat stopped reason="target broken')
            switch.behaviour = reply(200)
            await until(lambda: len(healthy.requests) >= 2)
            assert healthy.requests[1].json["title"] == "✅ pgmwatch · Messages arrive again: broken[1] json"
            await pgmwatch.until("heartbeat goes on")
            assert (await ended(process, signal.SIGTERM))[0] == 0
    assert len(healthy.requests) == 2
    assert "Delivered since, and late: 1." in healthy.requests[1].json["message"]


async def test_a_damaged_database_is_told_and_stays_in_the_status(tmp_path: Path) -> None:
    with listening(reply(200)) as hook:
        pgmwatch = daemon(tmp_path, hook, hook, hook, ops='["terminal"]')
        (tmp_path / "state" / "simulator-KRX").mkdir(parents=True, mode=0o700)
        damaged = tmp_path / "state" / "simulator-KRX" / "state.db"
        damaged.touch(mode=0o600)
        damaged.write_bytes(b"not a database" * 1000)
        async with pgmwatch.running("run") as process:
            await pgmwatch.until("pgmwatch · The database was set aside")
            (trouble,) = (await pgmwatch.ask("status"))["troubles"]
            assert trouble == "The database could not be used and was set aside as state.db.broken-1."
            assert (await ended(process, signal.SIGTERM))[0] == 0
    assert "state.db.broken-1" in pgmwatch.stdout


LIVE = """\
locale = "en"
[feed]
source = "kis"
[[feed.account]]
name = "main"
app_key = "TEST-APP-KEY"
app_secret = "TEST-APP-SECRET"
"""


async def test_messages_whose_target_is_gone_are_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    installed(tmp_path, LIVE)
    (tmp_path / "state" / "kis-KRX").mkdir(parents=True)
    prepared = ready.prepare(tmp_path / "config.toml", {}, ())
    files = state_files.opened(prepared.plan.configuration, 0)
    waiting = Delivery("a", "0123456789ab", "old[1] slack", Status.QUEUED, AT, AT)
    files = replace(files, undelivered=(Kept(a_notice("a"), waiting),), unread="cannot be used: EIO")
    made = _Daemon(prepared, prepared.plan.configuration.settings.feed, files)
    made._say_what_was_lost()
    files.database.close()
    assert "kind=target-gone severity=warning" in caplog.text
    assert "Undelivered messages without a target: 1" in caplog.text
    assert made._upkeep.troubled(What.UNREAD) == ("cannot be used: EIO",)


async def test_the_keeper_s_lag_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, LIVE)
    (tmp_path / "state" / "kis-KRX").mkdir(parents=True)
    prepared = ready.prepare(tmp_path / "config.toml", {}, ())
    files = state_files.opened(prepared.plan.configuration, 0)
    made = _Daemon(prepared, prepared.plan.configuration.settings.feed, files)
    said: list[str] = []
    monkeypatch.setattr(made._evaluating.keeper, "lag_s", lambda: 2.5)
    monkeypatch.setattr(made._evaluating, "say", lambda notices: said.extend(notice.title for notice in notices))
    for _ in range(5):
        made._look_at_delivery()
    files.database.close()
    assert said == ["⚠️ pgmwatch · Storing lags by 2.5 s"]


async def test_records_that_are_all_dropped_and_a_disk_that_is_full_keep_the_heartbeat_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, LIVE)
    (tmp_path / "state" / "kis-KRX").mkdir(parents=True)
    prepared = ready.prepare(tmp_path / "config.toml", {}, ())
    files = state_files.opened(prepared.plan.configuration, 0)
    made = _Daemon(prepared, prepared.plan.configuration.settings.feed, files)
    files.database.close()
    before = made._ailments()
    monkeypatch.setattr(Monitor, "is_all_dropped", True)
    monkeypatch.setattr(Keeper, "trouble", Trouble(store="disk full"))
    wrong = {Ailment(signs.What.UNUSABLE), Ailment(signs.What.STORE, "disk full")}
    assert {*made._ailments()} - {*before} == wrong
