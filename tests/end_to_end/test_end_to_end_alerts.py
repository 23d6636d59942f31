"""History, what could not be delivered, and who follows: commands beside a running daemon, each a process."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from daemon_process import RULE, Pgmwatch, ended, installed
from receivers import listening, reply, until

CONFIG = """
locale = "en"
[simulator]
symbols = 3
rate = 60
[alerts]
notify = {notify}
ops = ["terminal"]
digest = "0s"
[notifiers.terminal]
kind = "terminal"
"""
KICKED = reply(403, body=b'{"ok": false, "description": "Forbidden: bot was kicked from the group chat"}')
"""What Telegram says for good; a bare 403 is asked again for a minute."""
HOOK = '[notifiers.hook]\nurls = ["{url}"]\nrate = "100/s"\n'


def simulated(folder: Path, *urls: str) -> Pgmwatch:
    notify = ["terminal", "hook"] if urls else ["terminal"]
    return installed(folder, CONFIG.format(notify=json.dumps(notify)) + "".join(HOOK.format(url=url) for url in urls))


def add_rule(folder: Path, name: str) -> None:
    """The daemon reads it within a second, and it fires with the next record."""
    (folder / "rules" / f"{name}.toml").write_text(RULE.replace("거래 시작", name))


async def alerts(pgmwatch: Pgmwatch, *arguments: str) -> list[dict[str, Any]]:
    code, stdout, stderr = await pgmwatch.run("alerts", "--json", "--without", "system", *arguments)
    assert (code, stderr) == (0, "")
    return [json.loads(line) for line in stdout.splitlines()]


def statuses(found: dict[str, Any]) -> dict[str, str]:
    return {each["target"]: each["status"] for each in found["deliveries"]}


async def until_asked(pgmwatch: Pgmwatch, wanted: dict[str, str]) -> dict[str, Any]:
    """Wait until the one alert stands so with its targets."""
    await pgmwatch.until("alert firing")
    with trio.fail_after(15):
        while not (found := await alerts(pgmwatch)) or statuses(found[0]) != wanted:
            await trio.sleep(0.1)
    assert len(found) == 1
    return found[0]


@dataclass
class Follower:
    process: trio.Process
    folder: Path

    def lines(self) -> list[str]:
        return (self.folder / "followed").read_text().splitlines()

    def told(self) -> list[Any]:
        """`rule` of an alert, `(target, status)` of a delivery."""
        found = [json.loads(line) for line in self.lines()]
        return [
            (each["delivery"]["target"], each["delivery"]["status"]) if "delivery" in each else each["rule"]
            for each in found
        ]

    @property
    def complaints(self) -> str:
        return (self.folder / "complaints").read_text()


@asynccontextmanager
async def following(pgmwatch: Pgmwatch, *arguments: str) -> AsyncIterator[Follower]:
    """`alerts --follow`; it has begun when it tells of what was before."""
    command = pgmwatch.command("alerts", "--follow", "--since", "1h", "--without", "system", *arguments)
    with (pgmwatch.folder / "followed").open("wb") as out, (pgmwatch.folder / "complaints").open("wb") as err:
        process = await trio.lowlevel.open_process(
            command, cwd=pgmwatch.folder, env=pgmwatch.environ, stdout=out, stderr=err
        )
        try:
            yield Follower(process, pgmwatch.folder)
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def test_what_a_target_refused_is_dead_and_arrives_when_it_is_mended_and_asked_for(tmp_path: Path) -> None:
    with listening(KICKED) as hook:
        pgmwatch = simulated(tmp_path, hook.url())
        async with pgmwatch.running("run") as daemon:
            await pgmwatch.until("refused target='hook")
            refused = await until_asked(pgmwatch, {"hook[1] json": "refused", "terminal": "delivered"})
            assert "403 bot_kicked" in next(
                each["reason"] for each in refused["deliveries"] if each["status"] == "refused"
            )

            code, stdout, _ = await pgmwatch.run("notify", "dead")
            assert code == 0
            assert stdout.startswith(f"{refused['id']}  ")
            assert "\n  hook[1] json: REFUSED after " in stdout
            _, stdout, _ = await pgmwatch.run("status")
            assert "1 refused" in stdout
            assert "undeliverable messages: 1 (pgmwatch notify dead)" in stdout
            code, _, stderr = await pgmwatch.run("notify", "dead", "retry", "--id", "nonsense")
            assert (code, "nonsense" in stderr) == (1, True)

            hook.behaviour = reply(200)
            code, stdout, stderr = await pgmwatch.run("notify", "dead", "retry", "--target", "hook")
            assert (code, stdout, stderr) == (0, "queued again: 1\n", "")
            await until_asked(pgmwatch, {"hook[1] json": "delivered", "terminal": "delivered"})
            assert refused["title"] in hook.requests[-1].json["title"]
            code, stdout, _ = await pgmwatch.run("notify", "dead", "--json")
            assert (code, stdout) == (0, "")
            assert (await pgmwatch.ask("status"))["dead"] == 0
            assert (await ended(daemon, signal.SIGTERM))[0] == 0
        # and as much without a daemon
        (found,) = await alerts(pgmwatch)
        assert statuses(found) == {"hook[1] json": "delivered", "terminal": "delivered"}
        assert (await pgmwatch.run("notify", "dead"))[0] == 1


async def test_what_is_dropped_is_sent_to_nobody(tmp_path: Path) -> None:
    with listening(KICKED) as hook:
        pgmwatch = simulated(tmp_path, hook.url())
        async with pgmwatch.running("run") as daemon:
            await pgmwatch.until("refused target='hook")
            await until_asked(pgmwatch, {"hook[1] json": "refused", "terminal": "delivered"})
            assert (await pgmwatch.run("notify", "dead", "drop"))[:2] == (0, "let go: 1\n")
            await until_asked(pgmwatch, {"hook[1] json": "discarded", "terminal": "delivered"})
            assert (await pgmwatch.run("notify", "dead"))[:2] == (0, "no undeliverable messages\n")
            await ended(daemon, signal.SIGTERM)
    assert len(hook.requests) == 1


async def test_after_a_kill_the_history_is_read_without_a_daemon(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await until_asked(pgmwatch, {"terminal": "delivered"})
        daemon.kill()
        await daemon.wait()
    (found,) = await alerts(pgmwatch)
    assert found["rule"] == "거래 시작"
    code, stdout, stderr = await pgmwatch.run("alerts", "--symbol", "삼성전자")
    assert (code, stderr) == (0, "")
    assert "  firing  거래 시작  " in stdout
    code, _, stderr = await pgmwatch.run("alerts", "--follow")
    assert (code, "no daemon is running" in stderr) == (1, True)


async def test_who_follows_sees_what_was_then_what_comes_and_what_becomes_of_it(tmp_path: Path) -> None:
    with listening(reply(200)) as hook:
        pgmwatch = simulated(tmp_path, hook.url())
        async with pgmwatch.running("run") as daemon:
            await until_asked(pgmwatch, {"hook[1] json": "delivered", "terminal": "delivered"})
            async with following(pgmwatch, "--json") as follower:
                await until(lambda: follower.told() == ["거래 시작"], seconds=15)
                add_rule(tmp_path, "둘째")
                await until(lambda: len(follower.told()) >= 6, seconds=15)
                first, second = follower.told()[:2]
                assert (first, second) == ("거래 시작", "둘째")
                assert sorted(follower.told()[2:]) == [
                    ("hook[1] json", "attempting"),
                    ("hook[1] json", "delivered"),
                    ("terminal", "attempting"),
                    ("terminal", "delivered"),
                ]
                (stored,) = await alerts(pgmwatch, "--rule", "둘째")
                followed = json.loads(follower.lines()[1])
                assert {**followed, "deliveries": []} == {**stored, "deliveries": []}
                assert statuses(followed) == {"hook[1] json": "queued", "terminal": "queued"}
                assert (await ended(follower.process, signal.SIGINT))[0] == 130
                assert follower.complaints.strip() == ""
            await ended(daemon, signal.SIGTERM)


async def test_who_follows_is_told_that_the_daemon_ended_and_goes_on_with_the_next(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await until_asked(pgmwatch, {"terminal": "delivered"})
        async with following(pgmwatch) as follower:
            await until(lambda: len(follower.lines()) == 2, seconds=15)
            add_rule(tmp_path, "다음")
            await until(lambda: len(follower.lines()) == 4, seconds=15)
            assert "  firing  다음  " in follower.lines()[2]
            assert "  terminal: delivered after " in follower.lines()[3]
            await ended(daemon, signal.SIGTERM)
            await until(lambda: "the daemon has ended" in follower.complaints, seconds=15)
            async with pgmwatch.running("run") as another:
                await until(lambda: len(follower.lines()) == 8, seconds=15)
                assert "a daemon is running since" in follower.complaints
                assert (await ended(follower.process, signal.SIGINT))[0] == 130
                await ended(another, signal.SIGTERM)
