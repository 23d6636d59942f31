"""What a feed says of itself: plain data, for `status` and for who watches over the feeds."""

from dataclasses import dataclass
from enum import StrEnum

from engine.kis.backoff import Ending


class Phase(StrEnum):
    WAITING = "waiting"
    """For its next attempt."""
    APPROVING = "approving"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    UP = "up"
    ENDING = "ending"
    IDLE = "idle"
    """Without symbols: unconnected, and that is right so."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """A feed at one moment. Times are nanoseconds since the epoch; counts run since the feed was made."""

    account: str
    phase: Phase
    connected_since: int | None
    symbols: tuple[str, ...]
    """All that it should watch."""
    subscribed: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...]
    """Symbol and the broker's code."""
    left_out: tuple[str, ...]
    """Beyond the broker's limit on registrations."""
    unanswered: tuple[str, ...]
    """Asked for several times without an answer, or failed at the broker; they are asked for again, rarely."""
    ghosts: tuple[str, ...]
    """Acknowledged, but without a record for half an hour of today's session; they were subscribed anew."""
    up_since: int | None
    """Since when every symbol has had its answer; None while the feed is down or subscribing."""
    down_since: int | None
    """Since when that is not so: the start of the feed, the loss of the connection, or the end of the time without
    symbols. None while it is up, and while there are none."""
    silent_since: int | None
    """The last data, once their absence is out of the ordinary although the connection lives; else None."""
    proven: bool
    """Data has flowed for a minute on this connection."""
    approved: bool
    """These credentials were given a key before, now or in an earlier run: they were right once."""
    refused: bool
    """The approval endpoint's last word on these credentials was no, and it is not out of date.

    It was said in this run; or in an earlier one, and the pause that follows from it is not over. After that the feed
    asks again and is refused anew or not: a refusal on disk does not end every later start.
    """
    frames: int
    records: int
    malformed: tuple[tuple[str, int], ...]
    """Frames that could not be used, by reason."""
    dropped: tuple[tuple[str, int], ...]
    """Records left out of frames, by reason."""
    drifted: int
    appended: tuple[int, ...]
    """How many fields beyond the documented ones the broker's records had; each number that was seen."""
    other: int
    unsubscribed: int
    unknown: int
    last_frame: int | None
    last_records: tuple[tuple[str, int], ...]
    failures: int
    """Endings since data last flowed for a minute."""
    attempts_last_hour: int
    next_attempt: int | None
    last_ending: Ending | None
    last_error: str
    is_kept: bool = True
    """Attempts can be written down; else they keep apart, as a crash would forget them."""
