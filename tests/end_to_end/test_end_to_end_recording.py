"""Live running and its recording: whoever replays what was recorded gets the alerts that were told, to the byte.

Over real sockets, with reconnects, a kill in the middle of it, and rules that fire, repeat, resolve and are held back.
"""

import json
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from daemon_process import Pgmwatch, ended, installed
from test_end_to_end_feed import Desk

RULES = """\
[defaults]
active = ["00:00~24:00"]

[[rule]]
name = "each way"
symbols = ["005930", "000660", "373220", "207940"]
metric = "net_value"
window = "1s"
crosses_above = 0
cooldown = "1s"

[[rule]]
name = "flow"
symbols = ["*"]
any = [
  { metric = "imbalance", window = "3s", above = 0.2, reset = 0.0 },
  { metric = "net_volume", window = "1s", above = 1000 },
]
for = "1s"
repeat = "2s"
resolved = true
max_per_day = 9

[[rule]]
name = "together"
symbols = ["005930", "000660"]
aggregate = "sum"
metric = "total_volume"
window = "2s"
above = 0
for = "2s"
resolved = true
labels = { desk = "a" }
"""

FAULTS = """\
[[fault]]
do = "reset"
since = "open"
at = "6s"
halfway = true

[[fault]]
do = "segments"
share = 0.2
"""


def desk_of(folder: Path, faults: str = FAULTS) -> Desk:
    desk = Desk(folder, per_hour=60, faults=faults)
    (folder / "broker" / "config.toml").write_text("[simulator]\nrate = 300\n")
    (folder / "rules" / "test.toml").write_text(RULES)
    return desk


def history(folder: Path) -> list[dict[str, Any]]:
    """The alerts that the daemon stored, in the order of storing."""
    with sqlite3.connect(f"file:{folder}/state/kis-KRX/state.db?mode=ro", uri=True) as connection:
        rows = connection.execute("select line from history where state in ('firing', 'resolved') order by seq")
        return [json.loads(line) for (line,) in rows]


async def replayed(daemon: Pgmwatch) -> list[dict[str, Any]]:
    files = sorted(str(path) for path in (daemon.folder / "state/kis-KRX/recordings").glob("*.zst"))
    code, stdout, stderr = await daemon.run("replay", *files, "--json", "--all", seconds=60)
    assert code == 0, stderr
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.mark.slow  # two runs of ten seconds each, with three reconnects, over real sockets
async def test_what_was_recorded_gives_the_alerts_that_were_told(tmp_path: Path) -> None:
    desk = desk_of(tmp_path)
    async with desk.broker.running(*desk.simulate):
        await desk.broker.until("simulator up")
        async with desk.daemon.running("run") as process:
            await desk.daemon.until("feed subscribed account=main", count=2, seconds=40)
            with trio.fail_after(20):
                while len(history(tmp_path)) < 5:
                    await trio.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        before = history(tmp_path)
        async with desk.daemon.running("run") as process:
            await desk.daemon.until("feed subscribed account=main", count=2, seconds=40)
            await trio.sleep(3)
            assert (await ended(process, signal.SIGTERM))[0] == 0
    told, again = history(tmp_path), await replayed(desk.daemon)
    assert told[: len(before)] == before  # what was stored before the kill is there, once
    assert len(told) > len(before)
    assert {alert["state"] for alert in told} == {"firing", "resolved"}
    assert {alert["rule"] for alert in told} == {"each way", "flow", "together"}
    assert again == told


TALKING = """\
[[rule]]
name = "talking"
symbols = ["005930"]
metric = "total_volume"
above = 0
repeat = "1s"
severity = "critical"
"""


@pytest.mark.slow  # the daemon tries a full disk again every ten seconds
async def test_a_full_disk_stops_the_recording_and_not_the_daemon(tmp_path: Path) -> None:
    pgmwatch = installed(tmp_path, 'locale = "en"\n[simulator]\nsymbols = 4\nrate = 100\n', TALKING)
    (tmp_path / "state").mkdir()
    mounted = await trio.run_process(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path / "state")], check=False, capture_stderr=True
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        async with pgmwatch.running("run") as process:
            await pgmwatch.until("alert firing", count=2)
            filler = tmp_path / "state" / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 512)
            await pgmwatch.until("pgmwatch · Recording stopped")
            await pgmwatch.until("pgmwatch · Alerts are not stored")
            told = pgmwatch.stdout.count("삼성전자")
            await trio.sleep(3)
            assert pgmwatch.stdout.count("삼성전자") > told
            filler.unlink()
            await pgmwatch.until("pgmwatch · Recording goes on", seconds=30)
            await pgmwatch.until("pgmwatch · Alerts are stored again", seconds=30)
            assert (await ended(process, signal.SIGTERM))[0] == 0
        (recording,) = (tmp_path / "state/simulator-KRX/recordings").glob("*.zst")
        code, stdout, stderr = await pgmwatch.run("replay", str(recording), "--json", "--all")
        assert (code, "malformed" in stderr) == (0, False), stderr
        assert stdout
    finally:
        await trio.run_process(["umount", str(tmp_path / "state")])


@pytest.mark.soak  # twelve kills at any moment, a second or two apart
async def test_kills_at_any_moment_lose_and_double_nothing(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, '[[fault]]\ndo = "segments"\nshare = 0.2\n')
    (tmp_path / "config.toml").write_text(desk.config.replace('first = "1s"', 'first = "1s", in_use = "1s"'))
    stored: list[dict[str, Any]] = []
    async with desk.broker.running(*desk.simulate):
        await desk.broker.until("simulator up")
        for kill in range(12):
            async with desk.daemon.running("run") as process:
                await desk.daemon.until("recovered lines=")
                await trio.sleep(2.0 + kill * 0.37 % 1.9)
                process.send_signal(signal.SIGKILL)
                await process.wait()
            now = history(tmp_path)
            assert now[: len(stored)] == stored
            stored = now
        async with desk.daemon.running("run") as process:
            await desk.daemon.until("recovered lines=")
            await trio.sleep(3)
            assert (await ended(process, signal.SIGTERM))[0] == 0
    told = history(tmp_path)
    assert len({alert["id"] for alert in told}) == len(told) > 5
    assert await replayed(desk.daemon) == told


async def test_recordings_can_be_played_to_a_daemon(tmp_path: Path) -> None:
    """With its messages, and at any speed; the alerts are those of `replay`."""
    pgmwatch = installed(tmp_path, 'locale = "en"\n[simulator]\nsymbols = 4\nrate = 100\n', TALKING)
    async with pgmwatch.running("run") as process:
        await pgmwatch.until("alert firing", count=4)
        await ended(process, signal.SIGTERM)
    (recording,) = (tmp_path / "state/simulator-KRX/recordings").glob("*.zst")
    played = f'[feed]\nsource = "replay"\nreplay = {{ files = ["{recording}"], speed = 20.0 }}\n'
    rules = TALKING + 'active = ["00:00~24:00"]\n'
    pgmwatch = installed(tmp_path, 'locale = "en"\n' + played, rules)
    code, stdout, stderr = await pgmwatch.run("run")
    assert code == 0, stderr
    assert "replay ended" in stderr
    assert "삼성전자(005930) total volume today" in stdout
    assert "late" not in stdout
    code, again, _ = await pgmwatch.run("replay", str(recording), "--json")
    with sqlite3.connect(f"file:{tmp_path}/state/replay-KRX/state.db?mode=ro", uri=True) as connection:
        rows = connection.execute("select line from history where state = 'firing' order by seq")
        assert [line for (line,) in rows] == again.splitlines() != []
    (tmp_path / "config.toml").write_text(played.replace(str(recording), "nowhere.zst"))
    code, _, stderr = await pgmwatch.run("run")
    assert code == 2
    assert "nowhere.zst" in stderr
    assert "Traceback" not in stderr
