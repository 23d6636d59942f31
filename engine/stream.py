"""What the evaluation hears, in the order in which it happened: frames and marks.

A recording is these lines on disk; live running and replay feed the same events to the same engine. Every `t` is the
moment of receipt in nanoseconds since the epoch and never falls from one event to the next.
"""

from typing import NamedTuple

from engine.record import Record


class Frame(NamedTuple):
    """One data frame: its well-formed records, in order. `text` is the frame as received, decrypted."""

    t: int
    records: tuple[Record, ...]
    text: str


class Up(NamedTuple):
    """The broker acknowledged the subscription of these symbols."""

    t: int
    symbols: tuple[str, ...]


class Down(NamedTuple):
    """The upstream of these symbols is lost: nothing is known of them until they are up and a record has come."""

    t: int
    symbols: tuple[str, ...]


class Start(NamedTuple):
    """The daemon started: everything is blind since the event before, and the ticks in between never happened."""

    t: int


class Alive(NamedTuple):
    """A line without content: time has come to `t`, and nothing else was received."""

    t: int


Event = Frame | Up | Down | Start | Alive
