"""pgmwatch as its users run it: a process of its own, in a folder of its own."""

import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from canaries import Searched, kept, open_to_others, searched, secrets_of

RULE = """\
[[rule]]
name = "거래 시작"
symbols = ["005930"]
metric = "total_volume"
above = "1주"
severity = "critical"
active = ["00:00~24:00"]
"""
"""True from the first record on, at any hour: whatever the market does, there is one alert."""

_WARNINGS = "error,ignore:'imghdr' is deprecated:DeprecationWarning"
"""As in pytest's own configuration, with the reason there."""


@dataclass
class Pgmwatch:
    """One installation: config, rules, state, and what its processes printed."""

    folder: Path
    environ: Mapping[str, str]
    given_away: frozenset[str] = frozenset()
    """Secrets that the test itself puts where they are shown."""

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    async def run(self, *arguments: str, seconds: float = 20) -> tuple[int, str, str]:
        """A command from start to end: → exit code, stdout, stderr."""
        with trio.fail_after(seconds):
            ended = await trio.run_process(
                self.command(*arguments),
                cwd=self.folder,
                env=self.environ,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        self._keeps_its_secrets({"stdout": ended.stdout, "stderr": ended.stderr})
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    async def ask(self, command: str) -> Any:
        code, stdout, stderr = await self.run(command, "--json")
        assert code == 0, stderr
        return json.loads(stdout)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "engine", *arguments]

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[trio.Process]:
        """A command that goes on until the block ends; its output is in `stdout` and `stderr`."""
        with (self.folder / "stdout").open("wb") as stdout, (self.folder / "stderr").open("wb") as stderr:
            process = await trio.lowlevel.open_process(
                self.command(*arguments), cwd=self.folder, env=self.environ, stdout=stdout, stderr=stderr
            )
            try:
                yield process
            finally:
                with trio.CancelScope(shield=True):
                    if process.poll() is None:
                        process.kill()
                    await process.wait()
        self._keeps_its_secrets(self.left())
        for folder in (self.folder / "state").glob("*-*/"):  # the daemon's own, whoever made what is above
            assert not (others := open_to_others(folder)), others

    def left(self) -> dict[str, bytes]:
        """All that the last run printed, and all that is in the state folder."""
        printed = {name: (self.folder / name).read_bytes() for name in ("stdout", "stderr")}
        return {**printed, **kept(self.folder / "state")}

    def _keeps_its_secrets(self, places: Mapping[str, bytes]) -> Searched:
        """Whatever else a test is about."""
        secrets = secrets_of((self.folder / "config.toml").read_text(), self.environ) - self.given_away
        found = searched(secrets, places)
        assert not found.found, found.found
        return found

    async def until(self, text: str, *, seconds: float = 15, count: int = 1) -> re.Match[str]:
        """Wait until the process has printed something that matches, so many times: → the last of them."""
        with trio.fail_after(seconds):
            while len(found := list(re.finditer(text, self.stdout + self.stderr))) < count:
                await trio.sleep(0.02)
        return found[-1]


def installed(folder: Path, config: str, rules: str = RULE, **environ: str) -> Pgmwatch:
    """A folder as a user would have it."""
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "test.toml").write_text(rules)
    (folder / "config.toml").write_text(config)
    (folder / "config.toml").chmod(0o600)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PGMWATCH")}
    return Pgmwatch(folder, {**inherited, "PYTHONWARNINGS": _WARNINGS, **environ})


async def ended(process: trio.Process, number: signal.Signals, seconds: float = 10) -> tuple[int, float]:
    """Send a signal and wait for the end: → exit code, seconds that it took."""
    started = time.monotonic()
    process.send_signal(number)
    with trio.fail_after(seconds):
        code = await process.wait()
    return code, time.monotonic() - started


def free_ports(count: int) -> list[int]:
    """Ports that are free now, for a server that must come back at the same address."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
