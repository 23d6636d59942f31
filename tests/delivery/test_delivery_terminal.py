import io
import os
import pty
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest
import trio
from delivery_samples import a_notice, post
from receivers import until

from engine.clock import Clock
from engine.config.model import Alerts, Notifier
from engine.delivery import deliver
from engine.delivery.outbox import Outbox
from engine.delivery.target import Delivered, Failed, Message, Refused, Unknown
from engine.delivery.terminal import Terminal
from engine.locale import Locale
from engine.rules.model import Severity

MESSAGE = Message("⚠️ 삼성전자(005930) 5분 순매수량", "기준 > 10만주\n규칙: semis", Severity.WARNING)


@contextmanager
def pipe(encoding: str = "utf-8") -> Iterator[tuple[int, TextIO]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding=encoding) as stream:
        try:
            yield reading, stream
        finally:
            os.close(reading)


def test_an_alert_is_a_block_of_plain_lines_where_nobody_looks() -> None:
    with pipe() as (reading, stream):
        assert Terminal(stream, {}).send(MESSAGE) == Delivered()
        assert os.read(reading, 65536).decode() == "⚠ 삼성전자(005930) 5분 순매수량\n  기준 > 10만주\n  규칙: semis\n\n"


@pytest.mark.parametrize(
    ("severity", "resolved", "environment", "starts"),
    [
        (Severity.CRITICAL, False, {}, "\x1b[1;31mt\x1b[0m"),
        (Severity.WARNING, False, {"NO_COLOR": ""}, "\x1b[1;33mt\x1b[0m"),
        (Severity.CRITICAL, True, {}, "\x1b[1;32mt\x1b[0m"),
        (Severity.CRITICAL, False, {"NO_COLOR": "1"}, "t\r\n"),
    ],
)
def test_a_terminal_shows_severity_as_colour_unless_asked_not_to(
    severity: Severity, resolved: bool, environment: dict[str, str], starts: str
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        Terminal(stream, environment).send(Message("t", "b", severity, resolved=resolved))
        assert os.read(ours, 65536).decode().startswith(starts)
    os.close(ours)


def test_a_character_that_the_encoding_lacks_costs_only_itself() -> None:
    with pipe("cp949") as (reading, stream):
        assert Terminal(stream, {}).send(Message("🚨 삼성전자", "", Severity.CRITICAL)) == Delivered()
        assert os.read(reading, 65536) == "? 삼성전자\n\n".encode("cp949")


def test_a_terminal_gets_no_command_from_a_message() -> None:
    with pipe() as (reading, stream):
        Terminal(stream, {}).send(Message("a\x1b[2Jb\nc", "d\x1b]0;x\x07e\n\x9bf", Severity.INFO))
        assert os.read(reading, 65536).decode() == "a [2Jb c\n  d ]0;x e\n  f\n\n"


def test_a_reader_that_went_away_is_not_asked_again() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        terminal = Terminal(stream, {})
        os.close(reading)
        assert terminal.send(MESSAGE) == Refused("Broken pipe")


def test_a_descriptor_that_somebody_closed_is_not_asked_again() -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as stream:
        terminal = Terminal(stream, {})
        os.close(stream.fileno())
        try:
            assert terminal.send(MESSAGE) == Refused("Bad file descriptor")
        finally:
            spare = os.open(os.devnull, os.O_WRONLY)  # what the stream will close
            assert spare == stream.fileno()


def test_a_window_that_was_closed_is_not_asked_again() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        terminal = Terminal(stream, {})
        os.close(ours)
        assert terminal.send(MESSAGE) == Refused("Input/output error")


def test_a_full_disk_may_have_room_again() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as stream:
        assert Terminal(stream, {}).send(MESSAGE) == Failed("No space left on device")


def test_a_block_that_fitted_only_in_part_may_repeat(tmp_path: Path) -> None:
    """A limit on the size of a file does to the one that meets it what a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        terminal = Terminal(stream, {})
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        try:
            assert terminal.send(MESSAGE) == Unknown("in part: File too large")
            assert terminal.send(MESSAGE) == Failed("File too large")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "out").stat().st_size == 10


def test_a_full_pipe_that_does_not_block_may_have_room_again() -> None:
    with pipe() as (_, stream):
        os.set_blocking(stream.fileno(), False)
        assert Terminal(stream, {}).send(Message("t", "x" * 100_000, Severity.INFO)) == Unknown(
            "in part: Resource temporarily unavailable"
        )
        assert Terminal(stream, {}).send(MESSAGE) == Failed("Resource temporarily unavailable")


def test_a_closed_stream_without_a_descriptor_is_not_asked_again() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, {})
    stream.close()
    assert terminal.send(MESSAGE) == Refused("closed")
    assert Terminal(stream, {}).send(MESSAGE) == Refused("closed")


def test_a_process_without_a_standard_output_is_not_asked_again() -> None:
    assert Terminal(None, {}).send(MESSAGE) == Refused("closed")


def test_what_was_printed_before_stays_before() -> None:
    with pipe() as (reading, stream):
        stream.write("before ")
        Terminal(stream, {}).send(Message("after", "", Severity.INFO))
        assert os.read(reading, 65536) == b"before after\n\n"


def test_a_stream_without_a_descriptor_is_written_to_all_the_same() -> None:
    stream = io.StringIO()
    assert Terminal(stream, {}).send(Message("t", "b", Severity.INFO)) == Delivered()
    assert stream.getvalue() == "t\n  b\n\n"


async def test_a_full_pipe_delays_nobody_and_loses_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while os.write(writing, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writing, True)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        built = deliver.build_targets({"terminal": Notifier(kind="terminal")}, stdout=stream)
        store, stop, clock = Outbox([target.address for target in built.targets]), trio.Event(), Clock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_deliver, store, built, clock, stop)
            post(store, [a_notice(at=clock.now(), notify=("terminal",))], clock.now())
            await until(lambda: store.status()[0].attempting)
            await trio.sleep(0.05)
            assert store.status()[0].attempting == 1
            drained = bytearray()
            reader = threading.Thread(target=lambda: drained.extend(_read_until(reading, b"message of n1")))
            reader.start()
            await until(lambda: store.status()[0].delivered)
            reader.join()
            stop.set()
        assert drained.lstrip(b"x").startswith(b"title of n1\n")
    os.close(reading)


async def _deliver(store: Outbox, built: deliver.Targets, clock: Clock, stop: trio.Event) -> None:
    alerts = Alerts.model_validate({"digest": "0s"})
    delivery = deliver.Delivery(store, clock, alerts=alerts, locale=Locale.KO)
    delivery.add(built.targets)
    await delivery.run(stop)


def _read_until(descriptor: int, end: bytes) -> bytes:
    data = b""
    while end not in data:
        data += os.read(descriptor, 65536)
    return data
