"""The daemon with a stock master on its disk: a good one, and one that a crash or a hand has damaged."""

import json
import signal
from pathlib import Path

from daemon_process import ended, installed

CONFIG = 'locale = "en"\n[simulator]\nsymbols = 3\nrate = 60\n[alerts]\ndigest = "0s"\n'
STOCKS = [["005930", "KR7005930003", "새이름전자", "KOSPI", "ST"]]


async def test_alerts_and_status_bear_the_downloaded_names(tmp_path: Path) -> None:
    pgmwatch = installed(tmp_path, CONFIG)
    (tmp_path / "state").mkdir()
    master = {"version": 1, "loaded": "2026-11-20", "stocks": STOCKS}
    (tmp_path / "state" / "symbols.json").write_text(json.dumps(master))
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until(r"새이름전자\(005930\)")
        _, status, _ = await pgmwatch.run("status")
        assert "새이름전자(005930) last record" in status
        assert (await ended(daemon, signal.SIGTERM))[0] == 0
    assert "doubtful" not in pgmwatch.stderr


async def test_a_damaged_master_is_told_and_does_not_keep_the_daemon_from_running(tmp_path: Path) -> None:
    pgmwatch = installed(tmp_path, CONFIG)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "symbols.json").write_text('{"version": 1, "loa')
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until(r"삼성전자\(005930\)")
        assert (await ended(daemon, signal.SIGTERM))[0] == 0
    assert "doubtful state/symbols.json: is no usable stock master (damaged)" in pgmwatch.stderr
