"""How the parts of a daemon are joined, where no other test would notice."""

from pathlib import Path

import pytest
import trio
from daemon_process import RULE, installed

import engine.daemon
from engine import ready, state_files
from engine.daemon import _Daemon
from engine.stopping import Stopping
from engine.trading_days import MarketHours
from engine.upstream import Upstream

CONFIG = """\
[feed]
source = "kis"
[[feed.account]]
name = "main"
app_key = "TEST-APP-KEY"
app_secret = "TEST-APP-SECRET"
"""


async def test_feeds_know_when_silence_means_something(tmp_path: Path) -> None:
    """Without the hours neither a ghost nor a silent connection would ever be found."""
    installed(tmp_path, CONFIG, RULE)
    (tmp_path / "state" / "kis-KRX").mkdir(parents=True)
    prepared = ready.prepare(tmp_path / "config.toml", {}, ())
    files = state_files.opened(prepared.plan.configuration, 0)
    daemon = _Daemon(prepared, prepared.plan.configuration.settings.feed, files)
    files.database.close()
    assert isinstance(daemon._upstream, Upstream)
    (feed,) = daemon._upstream._feeds.values()
    assert isinstance(feed._ghosts._hours, MarketHours)
    assert isinstance(feed._silence._hours, MarketHours)


CHARTED = """
[[rule]]
name = "charted"
symbols = ["005930"]
metric = "net_volume"
window = "5m"
above = 1
chart = true
notify = ["desk"]
"""


async def test_a_rule_that_is_charted_since_a_reload_gets_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing failed when the daemon looked at the rules of its start for ever."""
    desk = '[notifiers.desk]\nurls = ["tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/1"]\n'
    installed(tmp_path, CONFIG + "[alerts]\n" + desk, RULE)
    (tmp_path / "state" / "kis-KRX").mkdir(parents=True)
    prepared = ready.prepare(tmp_path / "config.toml", {}, ())
    files = state_files.opened(prepared.plan.configuration, 0)
    daemon = _Daemon(prepared, prepared.plan.configuration.settings.feed, files)
    assert daemon._charts._traces.tracks == 0
    monkeypatch.setattr(engine.daemon, "_LOOK_S", 0.01)
    (tmp_path / "rules" / "more.toml").write_text(CHARTED)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon._look_after, Stopping(nursery.cancel_scope))
        daemon._edited._take_rules(nursery, ready.again(prepared))
        with trio.fail_after(20):
            while daemon._charts._traces.tracks == 0:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    files.database.close()
    ((subject, _),) = daemon._charts._traces._tracks
    assert subject == ("005930",)


async def test_the_start_says_in_the_log_that_nobody_would_hear_of_a_lost_feed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = '[alerts]\nnotify = ["desk"]\n[notifiers.desk]\nurls = ["json://127.0.0.1:9/"]\n'
    installed(tmp_path, CONFIG + desk, RULE)
    (tmp_path / "state" / "kis-KRX").mkdir(parents=True)
    prepared = ready.prepare(tmp_path / "config.toml", {}, ())
    files = state_files.opened(prepared.plan.configuration, 0)
    _Daemon(prepared, prepared.plan.configuration.settings.feed, files)._say_started()
    files.database.close()
    assert [
        line for line in caplog.messages if line.startswith("doubtful") and "alerts.ops: no notifier beyond" in line
    ]
