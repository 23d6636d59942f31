"""Sending in a thread: foreign code blocks as long as it likes, and nobody but its own target waits for it."""

from collections.abc import Callable

import trio

from engine.delivery.target import Address, Message, Outcome

MAX_THREADS = 3
"""Per target. An attempt that is given up keeps its thread until the foreign code returns, which may be never: three
are enough to try again while two hang, and few enough that a hundred dead targets do not exhaust the process."""
DEADLINE_S = 40.0
"""One attempt. A service may take 15 s to answer (engine.delivery.apprise), a split message is several requests."""


class ThreadTarget:
    """A target whose sending blocks. Its threads are daemons: they do not keep the process from ending."""

    def __init__(
        self,
        address: Address,
        send: Callable[[Message], Outcome],
        *,
        deadline_s: float = DEADLINE_S,
        takes_pictures: bool = False,
    ) -> None:
        self._address = address
        self._send = send
        self._deadline_s = deadline_s
        self._takes_pictures = takes_pictures
        self._limiter = trio.CapacityLimiter(MAX_THREADS)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._address.name!r}>"

    @property
    def address(self) -> Address:
        return self._address

    @property
    def deadline_s(self) -> float:
        return self._deadline_s

    @property
    def takes_pictures(self) -> bool:
        return self._takes_pictures

    @property
    def stuck(self) -> int:
        return self._limiter.borrowed_tokens

    def at(self, address: Address) -> "ThreadTarget":
        """The same place under another address."""
        return ThreadTarget(address, self._send, deadline_s=self._deadline_s, takes_pictures=self._takes_pictures)

    async def room(self) -> None:
        """Waits while all threads hang. Only the target's one worker takes from the limiter, so what is free stays."""
        async with self._limiter:
            pass

    async def send(self, message: Message) -> Outcome:
        return await trio.to_thread.run_sync(
            self._send, message, limiter=self._limiter, abandon_on_cancel=True, thread_name=self._address.name
        )
