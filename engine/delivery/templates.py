"""Templates that failed on a real alert: the log says so once, the alert goes out in the built-in words."""

import logging

from engine.text import quoted

MAX_REMEMBERED = 1_000
"""Rules and keys. More than these fail only if all rules were generated, and then the log knows by now."""

logger = logging.getLogger(__name__)


class FailureLog:
    """For `engine.delivery.message.Templates.failed`: one line for each rule and key, however often it fails."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def __call__(self, rule: str, key: str, reason: str) -> None:
        if (rule, key) in self._told or len(self._told) >= MAX_REMEMBERED:
            return
        self._told.add((rule, key))
        logger.warning(
            "template failed rule=%s key=%s reason=%s: built-in words are used", quoted(rule), key, quoted(reason)
        )
