"""How a run ends, and what signals mean: SIGTERM and SIGINT end it, SIGHUP reads the rules again."""

import logging
import math
import signal
from collections.abc import Callable

import trio

log = logging.getLogger(__name__)

ENDED, REFUSED, INTERRUPTED = 0, 3, 130
"""Exit codes. REFUSED: no account's credentials were ever right, so there is nothing to run for."""

END_S = 8.0
"""From the signal to the end of delivery. Then the last steps go to the disk and the interpreter ends, which took
0.4 to 0.7 s on an idle machine, and more than the one second that was left before on a busy one."""
_LEAST_DRAIN_S = 0.5
"""What delivery gets even where the broker took all the time to say goodbye."""


class Stopping:
    """The first SIGTERM or SIGINT asks for a clean end, a second one ends at once."""

    def __init__(self, everything: trio.CancelScope) -> None:
        self._everything = everything
        self._deadline = math.inf
        self.asked = trio.Event()
        self.code = ENDED
        self.hung_up: Callable[[], None] = lambda: None
        """What SIGHUP does."""

    def left_s(self) -> float:
        """What is left of the time that a clean end may take."""
        return max(self._deadline - trio.current_time(), _LEAST_DRAIN_S)

    def end(self, code: int) -> None:
        """Ask for a clean end with this exit code."""
        self.code = code
        self._deadline = trio.current_time() + END_S
        self.asked.set()

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self.hung_up()
                else:
                    self._signalled(number)

    def _signalled(self, number: int) -> None:
        code = INTERRUPTED if number == signal.SIGINT else ENDED
        if self.asked.is_set():
            log.warning("ending at once signal=%s", signal.Signals(number).name)
            self.code = self.code or code
            self._everything.cancel()
        else:
            log.info("ending signal=%s", signal.Signals(number).name)
            self.end(code)
