"""When to send: digest, rate and retry as pure arithmetic on nanoseconds."""

from dataclasses import dataclass

from engine.kst import SECOND_NS

FIRST_S = 1.0
MAX_S = 60.0
NEWS_S = 5.0
"""After a failure critical news are tried at once, but not more often than this: they may come by the hundred."""
JITTER = 0.2
"""Up to a fifth is taken off, so that targets that failed together do not come back together."""

NEVER = 1 << 62
"""Later than any moment: the year 2116 in nanoseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a worker must know of its queue to decide when to send. Times in nanoseconds."""

    count: int
    """0: only the list of what was given up."""
    first_committed_at: int
    """When the one that waits longest was committed."""
    oldest_at: int
    """When the oldest of them fired: it expires first."""
    critical: bool
    newest_critical_at: int = 0
    """When the last critical one was committed."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a target wants its messages."""

    spacing_ns: int
    """Least time between the starts of two attempts."""
    digest_ns: int
    """What comes within this becomes one message."""
    ttl_ns: int
    """Undelivered this long after firing: given up."""


@dataclass(frozen=True, slots=True)
class Course:
    """What a worker remembers of its last attempt."""

    started_at: int | None = None
    failures: int = 0
    """In a row."""
    retry_at: int = 0
    asked_at: int = 0
    """When the service said that it may be asked again."""

    def after_success(self) -> "Course":
        return Course(self.started_at)

    def after_failure(self, now: int, retry_after_s: float, chance: float) -> "Course":
        failures = self.failures + 1
        wait_s = max(delay_s(failures, chance), retry_after_s)
        asked_at = now + round(retry_after_s * SECOND_NS)
        return Course(self.started_at, failures, now + round(wait_s * SECOND_NS), asked_at)


def delay_s(failures: int, chance: float) -> float:
    """1 s, doubling to 60 s, less up to a fifth; `chance` is in [0, 1)."""
    return min(MAX_S, FIRST_S * 2.0 ** min(failures - 1, 10)) * (1 - JITTER * chance)


def due_at(waiting: Waiting, pace: Pace, course: Course) -> int:
    """When what waits may be sent: nothing outruns the rate or what the service asked for.

    Critical waits neither for a digest nor for the whole pause after a failure: news are an attempt of their own.
    """
    collected = waiting.first_committed_at + (0 if waiting.critical else pace.digest_ns)
    if course.started_at is None:
        return max(collected, course.retry_at)
    retry_at = course.retry_at
    if waiting.newest_critical_at > course.started_at:
        retry_at = max(course.asked_at, min(retry_at, course.started_at + round(NEWS_S * SECOND_NS)))
    return max(collected, course.started_at + pace.spacing_ns, retry_at)
