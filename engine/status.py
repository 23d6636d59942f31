"""The running daemon at one moment, as plain data: what `status --json` prints. Times are KST, ages seconds."""

from collections.abc import Iterable, Sequence
from typing import Any

from engine import kst
from engine.delivery.lane import TargetStatus
from engine.evaluation.engine import Counters
from engine.evaluation.watch import Snapshot
from engine.kis.status import Status as FeedStatus
from engine.kst import SECOND_NS


def of_feed(feed: FeedStatus, now: int) -> dict[str, Any]:
    """One account's connection."""
    last_record = max((t for _, t in feed.last_records), default=None)
    return {
        "account": feed.account,
        "phase": feed.phase,
        "connected_since": _time(feed.connected_since),
        "symbols": [
            {"symbol": symbol, "subscribed": symbol in feed.subscribed, "last_record_age_s": _age_s(age, now)}
            for symbol, age in _with_last_record(feed)
        ],
        "up_since": _time(feed.up_since),
        "down_since": _time(feed.down_since),
        "silent_since": _time(feed.silent_since),
        "rejected": dict(feed.rejected),
        "left_out": list(feed.left_out),
        "unanswered": list(feed.unanswered),
        "ghosts": list(feed.ghosts),
        "frames": feed.frames,
        "records": feed.records,
        "malformed": dict(feed.malformed),
        "dropped": dict(feed.dropped),
        "drifted": feed.drifted,
        "appended_fields": list(feed.appended),
        "other": feed.other,
        "unsubscribed": feed.unsubscribed,
        "unknown": feed.unknown,
        "last_frame_age_s": _age_s(feed.last_frame, now),
        "last_record_age_s": _age_s(last_record, now),
        "failures": feed.failures,
        "attempts_last_hour": feed.attempts_last_hour,
        "next_attempt": _time(feed.next_attempt),
        "credentials": _credentials(feed),
        "last_ending": feed.last_ending,
        "last_error": feed.last_error,
    }


def _credentials(feed: FeedStatus) -> str:
    if feed.refused:
        return "refused"
    return "approved" if feed.approved else "untried"


def _with_last_record(feed: FeedStatus) -> Iterable[tuple[str, int | None]]:
    last = dict(feed.last_records)
    return ((symbol, last.get(symbol)) for symbol in feed.symbols)


def of_evaluation(rules: int, states: Sequence[Snapshot], counters: Counters, lag_ns: int) -> dict[str, Any]:
    """Rules, and where those stand that are pending or firing."""
    return {
        "rules": rules,
        "records": counters.records,
        "corrections": counters.corrections,
        "dropped": dict(counters.dropped),
        "lag_ms": lag_ns // 1_000_000,
        "states": [
            {
                "rule": state.rule,
                "symbol": state.symbol,
                "phase": state.phase,
                "since": _time(state.since),
                "values": dict(state.values),
                "blind": state.blind,
            }
            for state in states
        ],
    }


def of_target(target: TargetStatus) -> dict[str, Any]:
    """One place that messages go to; its URL is not known here."""
    return {
        "name": target.address.name,
        "queued": target.queued + target.attempting,
        "delivered": target.delivered,
        "failed": target.failed,
        "unknown": target.unknown,
        "refused": target.refused,
        "expired": target.expired,
        "dropped": target.dropped,
        "last_delivered": _time(target.last_delivered_at),
        "last_error": target.last_error,
        "failing_since": _time(target.failing_since),
    }


def _time(t: int | None) -> str | None:
    return None if t is None else kst.iso(t)


def _age_s(t: int | None, now: int) -> float | None:
    return None if t is None else round((now - t) / SECOND_NS, 3)
