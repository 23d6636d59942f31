"""The feeds of all accounts: who watches what, and how that follows the rules."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import trio

from engine.attempts import Attempts
from engine.clock import Clock
from engine.config.load import Configuration
from engine.config.model import Account, Source
from engine.config.model import Feed as FeedSettings
from engine.kis.feed import Feed
from engine.kis.slots import spread
from engine.kis.status import Status
from engine.stream import Event

log = logging.getLogger(__name__)


class Upstream:
    """A feed for each account, symbols spread over them."""

    def __init__(
        self,
        configuration: Configuration,
        settings: FeedSettings,
        symbols: Sequence[str],
        clock: Clock,
        put: Callable[[Event], None],
    ) -> None:
        """`settings` may be others than the configured ones: a simulator's. `put` gets what is received."""
        self._settings = settings
        self.not_covered: tuple[str, ...] = ()
        """Symbols for which no account has room."""
        wanted = self._spread(symbols, {account.name: () for account in settings.account})
        attempts = None
        if configuration.settings.feed.source is Source.KIS:
            attempts = Attempts(configuration.state_folder)
        make = partial(
            Feed,
            settings=settings,
            tr_id=settings.market.tr_id,
            clock=clock,
            put=put,
            hours=configuration.hours(),
        )
        self._feeds = {
            account.name: _feed(make, account, wanted[account.name], attempts) for account in settings.account
        }

    def __repr__(self) -> str:
        return f"<Upstream {list(self._feeds.values())}>"

    async def run(self, stop: trio.Event) -> None:
        """Until every feed has ended cleanly, after `stop`."""
        async with trio.open_nursery() as nursery:
            for feed in self._feeds.values():
                nursery.start_soon(feed.run)
            await stop.wait()
            for feed in self._feeds.values():
                feed.stop()

    def status(self) -> list[Status]:
        return [feed.status() for feed in self._feeds.values()]

    def watch(self, symbols: Sequence[str]) -> list[str]:
        """These from now on; subscriptions change by the difference. → those that no feed had before."""
        held = {name: feed.symbols for name, feed in self._feeds.items()}
        wanted = self._spread(symbols, held)
        # Who gives a symbol away does so before another gets it.
        for name in sorted(held, key=lambda name: set(held[name]) <= set(wanted[name])):
            self._feeds[name].watch(wanted[name])
        known = {symbol for those in held.values() for symbol in those}
        return [symbol for symbol in symbols if symbol not in known]

    def _spread(self, symbols: Sequence[str], current: Mapping[str, Sequence[str]]) -> Mapping[str, tuple[str, ...]]:
        """Which account watches what; symbols stay where they are."""
        found = spread(symbols, tuple(current), self._settings.max_registrations, current)
        self.not_covered = found.left_out
        if found.left_out:
            log.warning("symbols not covered count=%d symbols=%s", len(found.left_out), ",".join(found.left_out))
        return found.accounts


def _feed(make: Callable[..., Feed], account: Account, symbols: Sequence[str], attempts: Attempts | None) -> Feed:
    if attempts is None:
        return make(account, symbols)  # a simulator starts empty each run, and counts nothing against anybody
    past = attempts.of(account)
    remember = partial(attempts.remember, account)
    return make(account, symbols, past=past.state, approved=past.approved, remember=remember)
