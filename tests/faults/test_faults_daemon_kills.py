"""The whole daemon, with alerts flowing to web hooks, killed at any moment: each alert stored is delivered."""

import json
import os
import random
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
import trio
from daemon_process import ended
from fault_hooks import Hook, Verdict, hooked, judged
from receivers import until
from test_end_to_end_feed import Desk

SEED = int(os.environ.get("FAULT_SEED", "1"))
"""Another one tries other moments."""
RULES = """\
[defaults]
active = ["00:00~24:00"]
repeat = "1s"
title = "n-{{ rule }}-{{ symbol }}-{{ repeat }}-{{ since | clock }}"
""" + "".join(
    f"""
[[rule]]
name = "{severity}"
symbols = ["005930"]
metric = "total_volume"
above = 0
severity = "{severity}"
"""
    for severity in ("warning", "critical")
)
NOTIFIERS = """
[alerts]
digest = "0s"
notify = ["desk"]
[notifiers.terminal]
kind = "terminal"
[notifiers.desk]
urls = {urls}
rate = "100/s"
"""


def stored(folder: Path) -> list[str]:
    """What the history has and somebody was to be told, by its title."""
    with closing(sqlite3.connect(f"file:{folder}/state/kis-KRX/state.db?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT line FROM history WHERE state = 'firing' AND suppressed IS NULL")
        return [json.loads(line)["title"] for (line,) in rows]


def undelivered(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder}/state/kis-KRX/state.db?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM delivery WHERE status != 'delivered'").fetchone()
        assert isinstance(count, int)
        return count


Answers = tuple[int | str, ...]


async def lived(
    folder: Path, ends: Sequence[signal.Signals], answers: Answers
) -> tuple[list[str], list[Hook], list[float]]:
    """A daemon that is ended so, one time after the other, at some moment, and once more when all is delivered.

    → what it stored, its hooks, and how long each SIGTERM took.
    """
    chance, drained_s = random.Random(SEED), []
    hooks = [Hook(), Hook(slow_s=0.4), Hook(answers)]  # few alerts: a digest names twenty
    with ExitStack() as stack:
        for hook in hooks:
            stack.enter_context(hooked(hook))
        desk = Desk(folder, per_hour=60)
        config = desk.config.replace('first = "1s"', 'first = "1s", in_use = "1s"')
        (folder / "config.toml").write_text(config + NOTIFIERS.format(urls=json.dumps([hook.url for hook in hooks])))
        (folder / "rules" / "test.toml").write_text(RULES)
        async with desk.broker.running(*desk.simulate):
            await desk.broker.until("simulator up")
            for end in ends:
                before = len(stored(folder)) if (folder / "state").exists() else 0
                async with desk.daemon.running("run") as process:
                    await desk.daemon.until("alert firing", seconds=20)
                    await until(partial(_grown, folder, before), 20)
                    await trio.sleep(chance.uniform(0.0, 1.2))
                    seconds = (await ended(process, end, 11))[1]
                    drained_s += [seconds] if end is signal.SIGTERM else []
        async with desk.daemon.running("run") as process:  # nobody is there to bring more
            await desk.daemon.until("recovered lines=")
            await until(lambda: not undelivered(folder), 40)
            drained_s.append((await ended(process, signal.SIGTERM, 11))[1])
    return stored(folder), hooks, drained_s


def _grown(folder: Path, before: int) -> bool:
    return len(stored(folder)) > before


async def nothing_is_lost(folder: Path, ends: Sequence[signal.Signals], answers: Answers) -> None:
    titles, hooks, drained_s = await lived(folder, ends, answers)
    assert len(set(titles)) == len(titles) >= len(ends)  # each has a title of its own
    verdicts = [judged(hook.told, titles) for hook in hooks]
    figures = f"ends={len(ends)} alerts={len(titles)} {verdicts} drained_max={max(drained_s):.2f}"
    print(figures)  # noqa: T201  for who runs it with -s
    assert all(found == Verdict(frozenset(), found.doubled, 0) for found in verdicts), figures
    assert max(drained_s) < 10
    with closing(sqlite3.connect(folder / "state/kis-KRX/state.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        reached = dict(
            connection.execute("SELECT status, count(*) FROM delivery WHERE name LIKE 'desk%' GROUP BY status")
        )
    assert reached == {"delivered": len(hooks) * len(titles)}


@pytest.mark.slow  # five daemons, one after the other
async def test_three_kills_and_an_end_at_any_moment_lose_no_alert_and_double_none_unsaid(tmp_path: Path) -> None:
    await nothing_is_lost(
        tmp_path, [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL], ("hang", "reset", 503)
    )


@pytest.mark.soak  # twenty-five daemons, one after the other
async def test_many_kills_and_ends_at_any_moment_lose_no_alert_and_double_none_unsaid(tmp_path: Path) -> None:
    await nothing_is_lost(
        tmp_path, [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL] * 8, ("hang", "hang", "reset", 503) * 2
    )
