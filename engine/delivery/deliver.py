"""From the outbox to the targets: builds them from config.toml, and runs a worker for each."""

import hashlib
import logging
import os
import random
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO

import trio
from pydantic import SecretStr

from engine import text
from engine.clock import Clock
from engine.config.model import Alerts, Notifier
from engine.delivery.outbox import Outbox
from engine.delivery.retry import Pace
from engine.delivery.target import Address, Target
from engine.delivery.terminal import TARGET_ID, Terminal
from engine.delivery.threads import ThreadTarget
from engine.delivery.worker import Draw, Worker, no_picture
from engine.kst import SECOND_NS
from engine.locale import Locale

logger = logging.getLogger(__name__)

DRAIN_S = 8.0
"""The whole daemon ends within 10 s; this leaves two for the rest of it."""


class Targets(NamedTuple):
    """What the notifiers come to."""

    targets: tuple[Target, ...]
    refused: tuple[tuple[str, int], ...]
    """URLs that Apprise does not accept: notifier, and place in its list."""
    withheld: tuple[str, ...]
    """Display names of targets left out because they could reach beyond this machine."""


@dataclass(slots=True)
class _Found:
    targets: dict[str, ThreadTarget] = field(default_factory=dict)
    refused: list[tuple[str, int]] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)


def build_targets(
    notifiers: Mapping[str, Notifier],
    *,
    loopback_only: bool = False,
    unrestricted: Collection[str] = (),
    stdout: TextIO | None = None,
) -> Targets:
    """The targets of these notifiers, each URL once. URLs must be resolved: no `${NAME}` is left in them.

    `loopback_only` leaves out whatever could reach another machine, but for the notifiers named `unrestricted`.
    """
    found = _Found()
    for name, notifier in notifiers.items():
        if notifier.kind == "terminal":
            _add(found, _terminal(name, notifier, stdout or sys.stdout))
        for index, url in enumerate(notifier.urls):
            _open(found, name, notifier, index, url, loopback_only=loopback_only and name not in unrestricted)
    return Targets(tuple(found.targets.values()), tuple(found.refused), tuple(found.withheld))


class Delivery:
    """A worker for each target; targets may come while it runs, and none goes before the end."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        *,
        alerts: Alerts,
        locale: Locale,
        chance: Callable[[], float] = random.random,
        draw: Draw = no_picture,
    ) -> None:
        """`chance` gives numbers in [0, 1) that spread the retries; `draw` the pictures."""
        self._outbox = outbox
        self._clock = clock
        self._alerts = alerts
        self._locale = locale
        self._chance = chance
        self._draw = draw
        self._workers: dict[str, Worker] = {}
        self._nursery: trio.Nursery | None = None
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Delivery targets={len(self._workers)}>"

    def add(self, targets: Iterable[Target]) -> None:
        """More of them, before or while it runs.

        One whose URL is known already is served by the worker that it has, for the further notifiers as well, at the
        slower rate. While delivery ends, what is for a new one stays in the outbox.
        """
        for target in targets:
            address = self._outbox.add(target.address)
            known = self._workers.get(address.id)
            if known is not None:
                known.keep_to(_pace(address, self._alerts), chart=address.chart)
            else:
                self._employ(target, address)

    def _employ(self, target: Target, address: Address) -> None:
        pace = _pace(address, self._alerts)
        worker = Worker(target, self._outbox, pace, self._locale, self._clock, chance=self._chance, draw=self._draw)
        self._workers[address.id] = worker
        if self._nursery is not None and not self._stopping:
            self._nursery.start_soon(worker.run)

    async def run(
        self,
        stop: trio.Event,
        *,
        drain_s: Callable[[], float] = lambda: DRAIN_S,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Delivers until `stop`; then what is in flight has `drain_s` to end, and the rest stays in the outbox."""
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as self._nursery:
                for worker in self._workers.values():
                    self._nursery.start_soon(worker.run)
                task_status.started()
                await stop.wait()
                self._stopping = True
                scope.deadline = trio.current_time() + drain_s()
                for worker in self._workers.values():
                    worker.stop()
        self._report_rest(interrupted=scope.cancelled_caught)

    def _report_rest(self, *, interrupted: bool) -> None:
        queued = self._outbox.queued()
        left = {worker.name: queued[target] for target, worker in self._workers.items() if queued[target]}
        if left or interrupted:
            logger.warning("drained left=%d interrupted=%s by_target=%r", sum(left.values()), interrupted, left)
        else:
            logger.info("drained left=0")


def target_id(url: SecretStr) -> str:
    """Twelve hex digits of the URL's SHA-256: enough to tell targets apart, too few to find a token by."""
    return hashlib.sha256(url.get_secret_value().strip().encode()).hexdigest()[:12]


def _open(found: _Found, name: str, notifier: Notifier, index: int, url: SecretStr, *, loopback_only: bool) -> None:
    from engine.delivery import apprise  # slow, and needed only where a URL is

    service = apprise.open_service(url)
    if service is None:
        found.refused.append((name, index))
        return
    shown = f"{text.clean(name, 40)}[{index + 1}] {service.kind}"
    if loopback_only and not service.loopback:
        found.withheld.append(shown)
        return
    address = Address(target_id(url), shown, (name,), _nanoseconds(notifier), notifier.chart)
    service.name = shown
    _add(found, ThreadTarget(address, service.send, takes_pictures=service.takes_pictures))


def _terminal(name: str, notifier: Notifier, stdout: TextIO) -> ThreadTarget:
    """A terminal has no rate to keep to unless somebody asked for one, and a full pipe is waited for: no deadline."""
    spacing_ns = _nanoseconds(notifier) if "rate" in notifier.model_fields_set else 0
    address = Address(TARGET_ID, text.clean(name, 40), (name,), spacing_ns)
    return ThreadTarget(address, Terminal(stdout, os.environ).send, deadline_s=float("inf"))


def _add(found: _Found, target: ThreadTarget) -> None:
    """A target that another notifier has already serves both, at the slower rate."""
    known = found.targets.get(target.address.id)
    if known is None:
        found.targets[target.address.id] = target
        return
    found.targets[target.address.id] = known.at(known.address.serving(target.address))


def _nanoseconds(notifier: Notifier) -> int:
    return round(notifier.rate.total_seconds() * SECOND_NS)


def _pace(address: Address, alerts: Alerts) -> Pace:
    digest_ns, ttl_ns = (round(span.total_seconds() * SECOND_NS) for span in (alerts.digest, alerts.ttl))
    return Pace(address.spacing_ns, digest_ns, ttl_ns)
