"""Half the market at once: what a trader's phone gets of it."""

import random
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from daemon_process import installed
from receivers import listening, reply, until

from engine.kst import KST, SECOND_NS

MANY = 500
BEGIN = int(datetime(2026, 11, 20, 10, 0, 0, tzinfo=KST).timestamp()) * SECOND_NS
CODES = [f"{200_000 + number}" for number in range(MANY)]
CONFIG = """\
locale = "en"
[feed]
source = "replay"
replay = {{ files = ["day.txt"] }}
[alerts]
notify = ["desk"]
[notifiers.desk]
urls = ["json://127.0.0.1:{port}"]
rate = "600/m"
"""
RULES = """\
[[rule]]
name = "everybody"
symbols = {codes}
metric = "net_volume"
above = 1000

[[rule]]
name = "the one"
symbols = ["200007"]
metric = "net_volume"
above = 1000
severity = "critical"
"""


def frame(code: str, bought: int) -> str:
    return f"0|H0STPGM0|001|{code}^100000^0^0^{bought}^{bought}00^{bought}^{bought}00^0^0^0"


@pytest.mark.slow  # a recording is played at the pace at which it was made: five seconds
async def test_five_hundred_stocks_in_a_second_are_one_message_and_what_is_critical_comes_at_once(
    tmp_path: Path,
) -> None:
    order = [*random.Random(3).sample(range(MANY - 1), MANY - 1), MANY - 1]  # the largest comes last
    bought = {CODES[number]: 2_000 + number * 1_000 for number in order}
    times = [BEGIN + SECOND_NS // MANY * place for place in range(MANY)]
    lines = [f"{time} {frame(*each)}" for time, each in zip(times, bought.items(), strict=True)]
    (tmp_path / "day.txt").write_text("\n".join([*lines, f"{BEGIN + 5 * SECOND_NS} #alive", ""]))
    with listening(reply(200)) as hook:
        rules = RULES.format(codes=str(CODES).replace("'", '"'))
        pgmwatch = installed(tmp_path, CONFIG.format(port=hook.port), rules)
        async with pgmwatch.running("run") as process:
            await until(lambda: len(hook.requests) >= 2, 20)
            await process.wait()
    critical, digest = (request.json for request in hook.requests)
    assert critical["title"].startswith(
        "🚨 200007 net buy volume today 9,000 shares"
    )  # it took along what had come so far
    assert count(critical) + count(digest) == MANY + 1
    told = digest["message"].split("\n")
    sizes = [next(bought[code] for code in CODES if code in line) for line in told[:-1]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 30
    assert sizes[0] == max(bought.values())
    assert told[-1] == f"… and {count(digest) - 30} more (pgmwatch alerts shows all)"


def count(message: Mapping[str, Any]) -> int:
    """How many alerts its title says that it tells of."""
    return 1 + int(message["title"].rpartition(" · and ")[2].removesuffix(" more"))
