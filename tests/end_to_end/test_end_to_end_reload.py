"""Rules and silences that are edited while the daemon runs, as its users do it: with an editor, a script, a command."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from daemon_process import Pgmwatch, ended, installed

CONFIG = """\
locale = "en"
[simulator]
symbols = 4
rate = 40
seed = 1
"""

WAITING = """\
[[rule]]
name = "waiting"
symbols = ["005930"]
metric = "total_volume"
above = 0
for = "1h"
"""
"""Pending from the first record on: a reload that forgot it would show another `since`."""

TALKING = """\
[[rule]]
name = "talking"
symbols = ["000660"]
metric = "total_volume"
above = 0
repeat = "1s"
severity = "critical"
"""


def desk(folder: Path, rules: str = WAITING + TALKING) -> Pgmwatch:
    return installed(folder, CONFIG, rules)


async def rules(pgmwatch: Pgmwatch) -> dict[str, dict[str, Any]]:
    code, stdout, stderr = await pgmwatch.run("rules", "list", "--json")
    assert code == 0, stderr
    return {rule["name"]: rule for rule in map(json.loads, stdout.splitlines())}


async def pending_since(pgmwatch: Pgmwatch) -> str:
    states = (await pgmwatch.ask("status"))["evaluation"]["states"]
    (since,) = [state["since"] for state in states if state["rule"] == "waiting"]
    return str(since)


async def test_saving_a_file_is_enough(tmp_path: Path) -> None:
    pgmwatch = desk(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing rule=talking")
        since, before = await pending_since(pgmwatch), await rules(pgmwatch)
        changed = TALKING.replace('"talking"', '"another"').replace("000660", "035420")
        saved = time.monotonic()
        (tmp_path / "rules" / "test.toml").write_text(
            WAITING.replace("\nmetric", '\ndescription = "d"\nmetric') + changed
        )
        await pgmwatch.until("rules reloaded rules=2")
        assert time.monotonic() - saved < 1.5  # promised within a second; this machine may be busy
        await pgmwatch.until("alert firing rule=another symbol=035420")
        after = await rules(pgmwatch)
        assert set(after) == {"waiting", "another"}
        assert after["waiting"]["since"] > before["waiting"]["since"]  # as it is now, with its description
        assert await pending_since(pgmwatch) == since  # what it says decides nothing: the clock went on
        assert (await ended(daemon, signal.SIGTERM))[0] == 0


async def test_a_mistake_changes_nothing_and_is_told_once(tmp_path: Path) -> None:
    pgmwatch = desk(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing rule=talking")
        file = tmp_path / "rules" / "test.toml"
        file.write_text(WAITING + TALKING.replace("above = 0", 'abvoe = 0\nfor = "soon"'))
        await pgmwatch.until("rules-refused .*test.toml:")
        await pgmwatch.until("Rules not taken over: 2 errors")
        talked = pgmwatch.stderr.count("alert firing rule=talking")
        await pgmwatch.until("alert firing rule=talking", count=talked + 2)
        _, stdout, _ = await pgmwatch.run("rules", "list")
        assert "not in force, for these errors" in stdout
        assert "abvoe" in stdout
        file.write_text(WAITING + TALKING.replace("repeat", 'cooldown = "0s"\nrepeat'))
        await pgmwatch.until("Rules are right again")
        assert pgmwatch.stdout.count("Rules not taken over") == 1
        assert "in force, for these" not in (await pgmwatch.run("rules", "list"))[1]
        assert (await ended(daemon, signal.SIGTERM))[0] == 0


async def test_sighup_reads_what_no_watching_would_notice(tmp_path: Path) -> None:
    pgmwatch = desk(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing rule=talking")
        (tmp_path / "rules" / "test.toml").write_text(WAITING)
        daemon.send_signal(signal.SIGHUP)
        await pgmwatch.until("rules reloaded rules=1")
        assert set(await rules(pgmwatch)) == {"waiting"}
        assert (await ended(daemon, signal.SIGTERM))[0] == 0


async def test_a_silence_holds_within_a_second_and_ends_when_it_is_removed(tmp_path: Path) -> None:
    pgmwatch = desk(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing rule=talking .* suppressed=no", count=2)
        code, _, stderr = await pgmwatch.run("silence", "add", "--rule", "talking", "--for", "1h")
        assert code == 0, stderr
        added = time.monotonic()
        await pgmwatch.until("silences in force=1")
        assert time.monotonic() - added < 1.5  # promised within a second; this machine may be busy
        await pgmwatch.until("alert firing rule=talking .* suppressed=silence", count=2)
        spoken = pgmwatch.stderr.count("suppressed=no")
        await trio.sleep(1.5)
        assert pgmwatch.stderr.count("suppressed=no") == spoken
        code, stdout, _ = await pgmwatch.run("why", "talking", "000660")
        assert code == 0
        assert "silence" in stdout.lower()
        assert (await pgmwatch.run("silence", "remove", "--rule", "talking"))[0] == 0
        await pgmwatch.until("alert firing rule=talking .* suppressed=no", count=spoken + 1)
        (tmp_path / "state" / "silences.toml").write_text('[[silence]]\nrule = "talking"\nuntli = "x"\n')
        await pgmwatch.until("silences-refused .*silences.toml:3")
        await pgmwatch.until("Silences not taken over")
        assert (await ended(daemon, signal.SIGTERM))[0] == 0


async def test_why_says_what_keeps_a_rule_silent(tmp_path: Path) -> None:
    pgmwatch = desk(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing rule=talking")
        code, stdout, stderr = await pgmwatch.run("why", "waiting", "삼성전자", "--json")
        assert code == 0, stderr
        assert json.loads(stdout)["reason"] == "pending"
        code, _, stderr = await pgmwatch.run("why", "waitnig", "005930")
        assert code == 1
        assert "waiting" in stderr
        await ended(daemon, signal.SIGTERM)
    code, _, stderr = await pgmwatch.run("why", "waiting", "005930")
    assert code == 1
    assert "no daemon is running" in stderr


async def test_status_says_that_the_configuration_has_changed_since(tmp_path: Path) -> None:
    pgmwatch = desk(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing rule=talking")
        assert not (await pgmwatch.ask("status"))["daemon"]["config_changed"]
        (tmp_path / "config.toml").write_text(CONFIG.replace("40", "41"))
        await pgmwatch.until("config changed since the start")
        assert (await pgmwatch.ask("status"))["daemon"]["config_changed"]
        assert "changed" in (await pgmwatch.run("status"))[1]
        (tmp_path / "config.toml").write_text("# a remark\n" + CONFIG)
        await pgmwatch.until("config as it was read")
        await ended(daemon, signal.SIGTERM)


async def test_a_rule_may_name_a_notifier_that_nobody_named_before(tmp_path: Path) -> None:
    pgmwatch = desk(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG + '[notifiers.second]\nkind = "terminal"\n')
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing rule=talking")
        new = TALKING.replace('"talking"', '"second"').replace("repeat", 'notify = ["second"]\nrepeat')
        (tmp_path / "rules" / "test.toml").write_text(WAITING + new)
        await pgmwatch.until("alert firing rule=second")
        await pgmwatch.until("rule: second")  # on the terminal
        assert (await ended(daemon, signal.SIGTERM))[0] == 0


@pytest.mark.slow  # a thousand saves, each in two halves
async def test_no_half_written_set_is_ever_taken(tmp_path: Path) -> None:
    """Each half is valid TOML and a valid set of rules: only when nobody writes it is meant."""
    pgmwatch = desk(tmp_path, WAITING)
    many = [TALKING.replace('"talking"', f'"talking {number}"') for number in range(9)]
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("recovered lines=")
        with trio.fail_after(10):
            while not (await pgmwatch.ask("status"))["evaluation"]["states"]:
                await trio.sleep(0.1)
        since = await pending_since(pgmwatch)

        def race() -> None:
            for save in range(1000):
                with (tmp_path / "rules" / "test.toml").open("w") as file:
                    file.write(WAITING.replace("\nmetric", f'\ndescription = "{save}"\nmetric'))
                    file.write(many[0])
                    file.flush()
                    time.sleep(0.003)
                    file.write("".join(many[1:]))

        await trio.to_thread.run_sync(race)
        await pgmwatch.until("rules reloaded rules=10 ")
        assert await pending_since(pgmwatch) == since
        assert len(await rules(pgmwatch)) == 10
        assert "rules-refused" not in pgmwatch.stderr
        assert "rules reloaded rules=2 " not in pgmwatch.stderr
        assert (await ended(daemon, signal.SIGTERM))[0] == 0


WINDOW = """\
[[rule]]
name = "window"
symbols = ["005930"]
metric = "buy_volume"
window = "1s"
above = "1조"
"""


@pytest.mark.slow  # a window of six seconds that was known before it was asked for must have been lived through
async def test_a_longer_window_is_known_from_the_day_s_recording(tmp_path: Path) -> None:
    """The daemon keeps no more of the day in memory than its windows need; the recording has the rest."""
    pgmwatch = desk(tmp_path, WINDOW)
    (tmp_path / "config.toml").write_text(CONFIG.replace("symbols = 4", "symbols = 1").replace("40", "6000"))
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("feed subscribed")
        await trio.sleep(9)
        (tmp_path / "rules" / "test.toml").write_text(WINDOW.replace('"1s"', '"6s"'))
        await pgmwatch.until("rules learned the day so far")
        code, stdout, stderr = await pgmwatch.run("why", "window", "005930", "--json")
        assert code == 0, stderr
        (condition,) = json.loads(stdout)["conditions"]
        assert condition["value"] > 0
        assert json.loads(stdout)["reason"] == "not_met"
        assert (await ended(daemon, signal.SIGTERM))[0] == 0
