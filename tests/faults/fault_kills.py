"""Runs of short_delivery.py, killed at one system call and started again; and what came of all of them.

strace kills: it counts the calls of one name from the moment it is attached, thread by thread.
"""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

import environment
import pytest
from fault_hooks import NOTHING, Hook, Verdict, hooked, judged
from short_delivery import DATABASE, IDENTS, Run

from engine.delivery.parcel import Status
from engine.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

PROGRAM = Path(__file__).with_name("short_delivery.py")
PATIENCE_S = 30.0
"""A run takes a tenth of a second, a traced one twice that; strace itself is known to hang."""
ANSWERS: tuple[tuple[int | str, ...], ...] = ((), (500, "reset"))
"""One hook takes everything. The other refuses its first message, and takes the second without saying so."""
ELSEWHERE = frozenset({"epoll_wait", "futex", "restart_syscall", "exit_group", "exit", "rt_sigreturn", "getpid"})
"""Calls that wait, or that nothing can be lost at."""


class Point(NamedTuple):
    call: str
    number: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of many kills."""

    kills: int = 0
    ended_before: int = 0
    """Runs in which the call did not come so often."""
    healthy: Verdict = NOTHING
    """At the hook that takes everything."""
    resetting: Verdict = NOTHING
    """At the other: two of its doubles are its own doing."""
    wrong: tuple[str, ...] = ()
    told: int = 0
    """Runs that said that the store has stopped."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.kills + other.kills,
            self.ended_before + other.ended_before,
            self.healthy + other.healthy,
            self.resetting + other.resetting,
            self.wrong + other.wrong,
            self.told + other.told,
        )

    def __str__(self) -> str:
        counts = f"faults={self.kills} ended_before={self.ended_before} told={self.told}"
        return f"{counts} {self.healthy} {self.resetting} wrong={len(self.wrong)}"


def need_strace() -> None:
    """Skips the test where it cannot kill; in CI it must."""
    environment.need("strace", "apt-get install strace")
    with subprocess.Popen(["sleep", "5"]) as sleeping:
        tracer = _attached(sleeping.pid, ["-o", "/dev/null"])
        sleeping.kill()
        if tracer is None:
            pytest.skip("strace may not attach to a process here")
        with tracer:
            tracer.wait(PATIENCE_S)


class Forks:
    """A process of short_delivery.py: one run at a time."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin = stdin
        self._stdout = stdout

    def play(self, run: Run, *tracing: str) -> int:
        """→ exit status, negative for a signal. `tracing`: strace's options."""
        self._stdin.write(replace(run, held=bool(tracing)).to_json() + "\n")
        self._stdin.flush()
        pid = int(self._stdout.readline().split()[1])
        with _at_most(PATIENCE_S, pid), _traced(pid, tracing):
            word, status = self._stdout.readline().split()
        assert word == "ended"
        return -int(status) if int(status) < 256 else int(status) >> 8


@contextmanager
def forks() -> Iterator[Forks]:
    with subprocess.Popen(
        [sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        yield Forks(program.stdin, program.stdout)
        program.stdin.close()
        program.wait(PATIENCE_S)


@contextmanager
def _at_most(seconds: float, pid: int) -> Iterator[None]:
    def kill() -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)

    handle = os.pidfd_open(pid)  # a number may be somebody else's by then
    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        os.close(handle)


@contextmanager
def _traced(pid: int, options: Sequence[str]) -> Iterator[None]:
    if not options:
        yield
        return
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        time.sleep(0.001)
    tracer = _attached(pid, options)
    assert tracer is not None
    with tracer:
        try:
            os.kill(pid, signal.SIGCONT)
            yield
            tracer.wait(5)
        finally:
            tracer.kill()


def _attached(pid: int, options: Sequence[str]) -> "subprocess.Popen[str] | None":
    tracer = subprocess.Popen(["strace", "-f", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" in said:
        return tracer
    with tracer:
        tracer.kill()
    return None


def spread(every: Sequence[Point], few: int, seed: int) -> list[Point]:
    """One of each stretch, so that no call of which there are many has them all."""
    chance = random.Random(seed)
    edges = [len(every) * number // few for number in range(few + 1)]
    return [every[chance.randrange(start, end)] for start, end in pairwise(edges)]


def make_old(path: Path, alerts: int) -> None:
    """As a kill of the first version left it: all of it is still in the log."""
    made = path.with_name("made.db")
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in (*MIGRATIONS[0], "PRAGMA user_version = 1", f"PRAGMA application_id = {APPLICATION_ID}"):
            connection.execute(statement)
        for number in range(alerts):
            connection.execute(
                "INSERT INTO history (id, at, rule, symbol, state, line) VALUES (?, ?, 'r', '005930', 'firing', '{}')",
                (f"old-{number}", time.time_ns()),  # what is older than a year is forgotten
            )
        connection.execute("INSERT INTO progress VALUES (1, 5, 'the last checkpoint')")
        for ending in ("", "-wal"):
            path.with_name(path.name + ending).write_bytes(made.with_name(made.name + ending).read_bytes())


def points(runner: Forks, folder: Path, *, threads: bool, old: int = 0) -> list[Point]:
    """The calls of a run that nobody kills, in no order."""
    if old:
        make_old(folder / DATABASE, old)
    trace = folder / "trace"
    with hooked(Hook(ANSWERS[0])) as one, hooked(Hook(ANSWERS[1])) as other:
        run = Run(str(folder), str(folder / "output"), (one.url, other.url), threads=threads)
        assert runner.play(run, "-o", str(trace)) == 0, (folder / "output").read_text()
    calls: Counter[tuple[str, str]] = Counter(re.findall(r"^(\d+) +(\w+)\(", trace.read_text(), re.MULTILINE))
    most: Counter[str] = Counter()
    for (_, call), count in calls.items():
        most[call] = max(most[call], count)
    return [
        Point(call, number) for call, count in sorted(most.items()) if call not in ELSEWHERE
        for number in range(1, count + 1)
    ]  # fmt: skip


def killed(runner: Forks, folder: Path, point: Point, *, threads: bool, old: int = 0) -> Tally:
    """One run that is killed there, and one that goes on. `old`: alerts in a database of the first version before."""
    folder.mkdir()
    if old:
        make_old(folder / DATABASE, old)
    output = folder / "output"
    with hooked(Hook(ANSWERS[0])) as one, hooked(Hook(ANSWERS[1])) as other:
        hooks = (one, other)
        run = Run(str(folder), str(output), tuple(each.url for each in hooks), threads=threads)
        inject = f"inject={point.call}:signal=KILL:when={point.number}"
        status = runner.play(run, "-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject)
        stored = re.findall(r"^stored (\S+)$", output.read_text(), re.MULTILINE)
        missing = {*stored, *(f"old-{number}" for number in range(old))} - stored_in(folder / DATABASE)
        wrong = [] if status in (0, -signal.SIGKILL) else [f"{point}: ended with {status}: {output.read_text()}"]
        wrong += [f"{point}: said to be stored, and is not: {missing}"] if missing else []
        if status:
            again = runner.play(run)
            wrong += [] if again == 0 else [f"{point}: the second run ended with {again}: {output.read_text()}"]
    wrong += [f"{point}: {each}" for each in faults_of(folder / DATABASE, old)]
    healthy, resetting = (judged(hook.told, IDENTS) for hook in hooks)
    for hook, found in zip(hooks, (healthy, resetting), strict=True):
        if found.lost or found.unmarked:
            told = [(*sorted(each.idents), each.may_repeat) for each in hook.told]
            wrong.append(f"{point}: {found} told={told}")
    return Tally(int(status != 0), int(status == 0), healthy, resetting, tuple(wrong))


DISK = frozenset({"pwrite64", "pread64", "fdatasync", "fsync", "ftruncate", "openat", "newfstatat", "fchown", "unlink"})
"""Calls that only the database makes, with which a disk can say no."""


def failed(runner: Forks, folder: Path, point: Point, error: str, times: int) -> Tally:
    """One run in which some calls in a row fail from there on, until all is stored; and one that finds nothing to do.

    A run whose first calls fail is as one on a disk that is no better: nothing is stored before it.
    """
    folder.mkdir()
    output = folder / "output"
    with hooked(Hook(ANSWERS[0])) as one, hooked(Hook(ANSWERS[1])) as other:
        hooks = (one, other)
        run = Run(str(folder), str(output), tuple(each.url for each in hooks), failing=True)
        inject = f"inject={point.call}:error={error}:when={point.number}..{point.number + times - 1}"
        status = runner.play(run, "-o", str(folder / "trace"), "-e", f"trace={point.call}", "-e", inject)
        injected = "INJECTED" in (folder / "trace").read_text()
        said = output.read_text()
        wrong = [f"{point}: ended with {status}: {said}"] if status else []
        asked = [hook.asked for hook in hooks]
        again = runner.play(run)
        wrong += [f"{point}: the second run ended with {again}: {output.read_text()}"] if again else []
        if times == 1 and asked != [hook.asked for hook in hooks]:  # else it may have failed to the very end
            wrong.append(f"{point}: the second run delivered again: {[hook.told for hook in hooks]}")
    wrong += [f"{point}: {each}" for each in faults_of(folder / DATABASE)]
    healthy, resetting = (judged(hook.told, IDENTS) for hook in hooks)
    wrong += [f"{point}: {found}" for found in (healthy, resetting) if found.lost or found.unmarked]
    wrong += [f"{point}: {healthy}"] if healthy.doubled else []
    told = int("store stopped reason=" in said)
    return Tally(int(injected), int(not injected), healthy, resetting, tuple(wrong), told)


def stored_in(path: Path) -> set[str]:
    """As somebody finds it who comes after a kill; nothing about the file is changed."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'history'").fetchone()[0]:
            return set()
        return {ident for (ident,) in connection.execute("SELECT id FROM history")}


def faults_of(path: Path, old: int = 0) -> list[str]:
    """What is wrong with a database that should be whole, with everything delivered to both."""
    with closing(sqlite3.connect(path)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        (notices,) = connection.execute("SELECT count(*) FROM history").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        rows = connection.execute("SELECT status, count(*) FROM delivery GROUP BY status").fetchall()
    expected = [(Status.DELIVERED.value, len(IDENTS) * len(ANSWERS))]
    found = [] if verdict == "ok" else [f"integrity: {verdict}"]
    if (notices, rows, version) != (len(IDENTS) + old, expected, VERSION):
        found.append(f"{notices} notices, deliveries {rows}, version {version}")
    return found
