"""Files that a person edits while the daemon runs: read again when they change, and taken only if all is right.

They are read in a thread, whole, when nobody has written for a moment; what comes of it is taken on the daemon's own
thread, between two events. A set that changed while it was read is read again: half of one and half of another save was
never meant by anybody.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Generic, TypeVar

import trio

from engine.errors import ConfigurationError
from engine.problems import Problem
from engine.watching import Watcher

_Read = TypeVar("_Read")


class Following(Generic[_Read]):
    """`look` and `read` run in a thread, `take` and `refuse` do not and must not wait."""

    def __init__(
        self,
        look: Callable[[], Hashable],
        read: Callable[[], _Read],
        take: Callable[[_Read], None],
        refuse: Callable[[Sequence[Problem]], None],
    ) -> None:
        """`look`: what the files are like, without reading them. `read` raises ConfigurationError."""
        # However long somebody goes on writing: half of a file can be a rule file as well.
        self._watcher = Watcher(look, patience_s=math.inf)
        self._read = read
        self._take = take
        self._refuse = refuse
        self._due = trio.Event()

    def ask(self) -> None:
        """Read again although nothing may have changed."""
        self._due.set()

    async def run(self) -> None:
        """Read once more, as what was read before was not watched, and then whenever it changes."""
        self.ask()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                await self._due.wait()
                self._due = trio.Event()
                await self.read()

    async def read(self) -> None:
        """Read now, and take it or tell what is wrong; neither if it has changed, as then it is read again soon."""
        try:
            found = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)
            decide = partial(self._take, found)
        except ConfigurationError as error:
            decide = partial(self._refuse, error.problems)
        except OSError as error:  # a folder above it, or its disk
            reason = {"reason": error.strerror or type(error).__name__}
            decide = partial(self._refuse, [Problem(str(error.filename or ""), None, "", "unreadable", reason)])
        if await self._watcher.still():
            decide()

    async def _watch(self) -> None:
        while True:
            await self._watcher.wait_changed()
            self._due.set()
