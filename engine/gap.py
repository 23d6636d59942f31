"""Why the daemon knows nothing of a stretch of time, other than by the feed."""

from enum import StrEnum


class Gap(StrEnum):
    AWAY = "away"
    """The process did not run: suspended, or starved."""
    CLOCK_FORWARD = "clock-forward"
    """The machine slept, or its clock was set forward: that time was taken over."""
    CLOCK_BACK = "clock-back"
    """Its clock was set back: ours went on as before, and is that far ahead of it."""
