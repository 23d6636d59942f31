"""Programs that the tests run as receivers, and what is said where one is missing."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

import pytest

RECEIVERS = Path(sys.prefix) / "receivers"
"""Made by `make setup`: what is installed there is not seen by what is tested, which would not be what users run."""


def need(program: str, remedy: str) -> str:
    """The path of a program. Where it is missing, tests are skipped and say so; in CI nothing may be skipped."""
    found = which(program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", str(RECEIVERS / "bin"))))
    if found is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"{program} is not here: {remedy}")
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, for a program that cannot be given port 0."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def running(
    command: Sequence[str | Path], port: int, log: Path, *, seconds: float
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on the port, within so many seconds; it is ended with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent)
    try:
        until = time.monotonic() + seconds
        while not answers(port):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.02)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
