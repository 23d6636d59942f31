"""A picture that follows its text as a request of its own: late, lost or refused, it changes nothing about the text."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from engine.delivery.target import Delivered, Outcome

logger = logging.getLogger(__name__)

PICTURE_S = 4.0
"""The text is delivered by then, but its outcome waits: with more, a daemon that is told to stop within 8 s (its drain)
would take a delivered message for an unknown one."""


class Ledger(threading.local):
    """What a plugin of Apprise's asks, for its own retries, about what is out already; answered for each thread.

    With it a plugin that sends the text before each picture, as those for Slack and Matrix do, sends the picture alone.
    """

    text_is_out = False

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def keep(self, plugin: Any) -> None:
        vars(plugin).update(is_delivered=self.is_delivered, remember=self.remember, recall=self.recall)

    def is_delivered(self, key: Any, *_: Any, **__: Any) -> bool:
        return self.text_is_out and isinstance(key, tuple) and key[:1] == ("message",)

    def remember(self, key: Any, value: Any, *_: Any, **__: Any) -> None:
        """Slack's id of the channel that a text went to: a file goes to an id only. As many as the URL has channels."""
        self.kept[key] = value

    def recall(self, key: Any, default: Any = None, *_: Any, **__: Any) -> Any:
        return self.kept.get(key, default)


class Gallery:
    """Shows one picture at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._free = threading.Lock()

    def show(self, send: Callable[[], Outcome], name: str, limit_s: float = PICTURE_S) -> None:
        """Blocks until `send` has ended, at most `limit_s`; it runs in a thread of its own, which may hang on."""
        if not self._free.acquire(blocking=False):
            _report(name, "the last one hangs")  # one thread a target, however many pictures
            return
        outcomes: list[Outcome] = []
        kept = dict(self._ledger.kept)

        def run() -> None:
            try:
                self._ledger.text_is_out, self._ledger.kept = True, kept
                outcomes.append(send())
            finally:
                self._free.release()

        thread = threading.Thread(target=run, daemon=True, name=f"picture {name}")
        try:
            thread.start()
        except RuntimeError:  # no more threads in this process
            self._free.release()
            _report(name, "no thread")
            return
        thread.join(limit_s)
        outcome = outcomes[0] if outcomes else None
        if outcome is None:
            _report(name, f"no end within {limit_s:g} s")
        elif not isinstance(outcome, Delivered):
            _report(name, outcome.reason)


def _report(name: str, reason: str) -> None:
    logger.warning("picture not delivered target=%r reason=%r", name, reason)
