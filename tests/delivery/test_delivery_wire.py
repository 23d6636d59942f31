"""Reading against the clock and up to a limit, from a real socket."""

import io
import socket
import time

import pytest

from engine.delivery.wire import TimedReader


def test_a_reader_has_one_time_limit_for_all_that_it_reads() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, TimedReader(ours, 0.1, 100) as reader:
        theirs.sendall(b"x")
        assert reader.read(10) == b"x"
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            reader.read(10)
        with pytest.raises(TimeoutError):
            reader.read(10)
        assert time.monotonic() - began < 0.15
        assert ours.gettimeout() is None


def test_a_reader_takes_no_more_than_it_was_allowed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, io.BufferedReader(reader := TimedReader(ours, 5, 10), buffer_size=10) as lines:
        theirs.sendall(b"0123456789abc\n")
        assert lines.read(10) == b"0123456789"
        with pytest.raises(OSError, match="more than was allowed"):
            lines.readline()
        reader.allow(5, 10)
        assert lines.readline() == b"abc\n"
