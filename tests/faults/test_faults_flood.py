"""More frames than the broker ever sent, each with one record: all evaluated, and PINGPONG answered in between."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from daemon_process import ended, installed
from flood import SYMBOLS

TESTS = Path(__file__).parents[1]
CONFIG = """\
locale = "en"
[session]
open = "00:00"
close = "24:00"
[feed]
source = "kis"
rest_url = "http://127.0.0.1:{rest}"
websocket_url = "ws://127.0.0.1:{websocket}"
[[feed.account]]
name = "main"
app_key = "TEST-APP-KEY"
app_secret = "TEST-APP-SECRET"
"""
RULE = """\
[[rule]]
name = "rule {number}"
symbols = {symbols}
all = [
  {{ metric = "net_volume", window = "{window}s", above = 1_000_000 }},
  {{ metric = "imbalance", window = "{window}s", above = 0.3, reset = 0.2 }},
]
"""


def rules(count: int) -> str:
    """Each with a window of its own, so that nothing is shared."""
    symbols = json.dumps(SYMBOLS)
    return "\n".join(RULE.format(number=n, symbols=symbols, window=n + 5) for n in range(count))


@asynccontextmanager
async def flooding(rate: int, seconds: float) -> AsyncIterator[tuple[dict[str, int], trio.abc.ReceiveStream]]:
    process = await trio.lowlevel.open_process(
        [sys.executable, str(TESTS / "faults" / "flood.py"), str(rate), str(seconds)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": f"{TESTS.parent}:{TESTS / 'kis'}"},
    )
    try:
        assert process.stdout is not None
        yield json.loads(await line(process.stdout)), process.stdout
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


async def line(stream: trio.abc.ReceiveStream) -> str:
    text = b""
    while not text.endswith(b"\n"):
        chunk = await stream.receive_some(1)
        assert chunk, "the broker has ended"
        text += chunk
    return text.decode()


@pytest.mark.parametrize(
    ("rate", "seconds", "count", "patience_s"),
    [
        pytest.param(2_000, 3, 10, 1, marks=pytest.mark.slow),  # beside other tests on two cores
        pytest.param(10_000, 60, 3, 1, marks=pytest.mark.soak),
        # More than two cores evaluate at once (9,300 a second measured): PINGPONG waits behind what has piled up, but
        # never as long as the ten seconds after which a broker may hang up.
        pytest.param(10_000, 60, 10, 10, marks=pytest.mark.soak),
    ],
)
async def test_a_flood_is_drained_and_pingpong_answered_in_time(
    tmp_path: Path, rate: int, seconds: int, count: int, patience_s: float
) -> None:
    async with flooding(rate, seconds) as (ports, out):
        pgmwatch = installed(tmp_path, CONFIG.format(**ports), rules(count))
        async with pgmwatch.running("run") as daemon:
            with trio.fail_after(seconds * 2 + 30):
                sent = json.loads(await line(out))
            with trio.fail_after(20):
                while (status := await pgmwatch.ask("status"))["evaluation"]["records"] < sent["sent"]:
                    await trio.sleep(0.2)
            await ended(daemon, signal.SIGTERM)
    (feed,) = status["feeds"]
    print(sent)  # noqa: T201  what was measured, for who runs it with -s
    assert feed["frames"] == status["evaluation"]["records"] == sent["sent"] == rate * seconds
    assert (feed["malformed"], feed["dropped"], sum(status["evaluation"]["dropped"].values())) == ({}, {}, 0)
    assert (sent["connections"], sent["unanswered"]) == (1, 0)
    assert sent["slowest_pong_s"] < patience_s
