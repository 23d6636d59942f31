"""How the parts of a daemon are joined, where no other test would notice."""

from pathlib import Path

from daemon_process import RULE, installed

from engine import ready, state_files
from engine.daemon import _Daemon
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
