"""What happens in the daemon, as `alerts --follow` tells it: asked for twice a second, each thing told once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import click
import trio

from engine.commands.output import NO, complain
from engine.delivery.parcel import Status
from engine.errors import PgmwatchError
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.ops import history
from engine.store.database import DatabaseError
from engine.store.reading import ENDED, SUPPRESSED, SYSTEM, Wanted

POLL_S = 0.5
PATIENCE_S = 60.0
"""For the next daemon, once one has ended: a restart takes ten seconds to end and a few to begin."""
MAX_KNOWN = 10_000
"""Alerts that are remembered, to say what a delivery is of and to tell nothing twice; 10 to 20 MB."""
_OVERLAP_NS = 60 * SECOND_NS
"""How far back to look for what a daemon did in its last moments."""

_SILENT = Text(
    "the daemon has ended; waiting {patience:.0f} s for the next one",
    "데몬이 종료되었습니다. 다음 데몬을 {patience:.0f}초 동안 기다립니다",
)
_ANOTHER = Text("a daemon is running since {at} KST", "{at} KST에 시작한 데몬이 실행 중입니다")
_GAVE_UP = Text("no daemon is running any more", "실행 중인 데몬이 없습니다")
_HISTORY = Text("what happened meanwhile cannot be read: {reason}", "그 사이의 기록을 읽을 수 없습니다: {reason}")

Ask = Callable[[int], Awaitable[Mapping[str, Any]]]
"""What the daemon says of all that happened after the nth thing."""
LookUp = Callable[[Wanted], Sequence[Mapping[str, Any]]]
"""Lines of the history, with deliveries. Raises DatabaseError."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An alert that has come, or was looked up."""

    found: Mapping[str, Any]
    steps: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The last status that is known, and since when; by target."""

    @property
    def is_open(self) -> bool:
        return any(Status(status).is_open for status, _ in self.steps.values())


class Follower:
    """Tells on stdout, and of the daemon itself on stderr. The daemon counts what happens; so does this."""

    def __init__(self, ask: Ask, look_up: LookUp, wanted: Wanted, locale: Locale, *, as_json: bool) -> None:
        """`wanted`: what is told of; its times and its limit are of what was before."""
        self._ask = ask
        self._look_up = look_up
        self._wanted = wanted
        self._locale = locale
        self._as_json = as_json
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._run = ""
        self._happened = 0
        self._heard_at = 0
        """When the daemon last answered, by its own clock: it may play a recording. Nanoseconds since the epoch."""
        self._behind = True
        """What comes next may be older than what was looked up."""
        self._telling = True

    async def begin(self, *, with_past: bool) -> None:
        """The first question, and what was before it if that is wanted.

        Raises PgmwatchError where there is no daemon, or nothing that it stored.
        """
        answer = await self._ask(0)
        for found in self._look_up(self._wanted) if with_past else ():
            self._remember(found)
            self._say(found, history.lines(found, self._locale))
        self._telling = False
        self._apply(answer["happenings"])
        self._telling = True
        self._note(answer)

    async def go_on(self) -> int:
        """Until there is no daemon any more; → exit code."""
        while (answer := await self._answer()) is not None:
            self._hear(answer)
            await trio.sleep(POLL_S)
        self._catch_up()  # what the last one did in its last moments
        complain(_GAVE_UP.of(self._locale))
        return NO

    async def _answer(self) -> Mapping[str, Any] | None:
        """None: nobody has answered for `PATIENCE_S`."""
        silent_since: float | None = None
        while silent_since is None or trio.current_time() - silent_since < PATIENCE_S:
            try:
                answer = await self._ask(self._happened)
                return answer if answer["run"] == self._run else await self._ask(0)
            except PgmwatchError:
                if silent_since is None:
                    silent_since = trio.current_time()
                    complain(_SILENT.of(self._locale).format(patience=PATIENCE_S))
            await trio.sleep(POLL_S)
        return None

    def _hear(self, answer: Mapping[str, Any]) -> None:
        is_another = answer["run"] != self._run
        if is_another:
            complain(_ANOTHER.of(self._locale).format(at=history.moment(answer["run"])))
        if is_another or answer["happened"] - self._happened > len(answer["happenings"]):
            self._catch_up()
        self._apply(answer["happenings"])
        self._note(answer)
        self._behind = False

    def _note(self, answer: Mapping[str, Any]) -> None:
        self._run, self._happened, self._heard_at = answer["run"], answer["happened"], answer["now"]

    def _catch_up(self) -> None:
        """What the last daemon did after it was last asked, or this one where it was too much to remember."""
        self._behind = True
        wanted = replace(self._wanted, since=self._heard_at - _OVERLAP_NS, limit=MAX_KNOWN)
        waiting = tuple(ident for ident, known in self._known.items() if known.is_open)
        try:
            if waiting:
                self._apply(self._look_up(Wanted(ids=waiting, limit=len(waiting))))
            self._apply(self._look_up(wanted))
        except DatabaseError as error:
            complain(_HISTORY.of(self._locale).format(reason=error.text(self._locale)))

    def _apply(self, happenings: Sequence[Mapping[str, Any]]) -> None:
        things = _folded(happenings)
        self._look_up_unknown(things)
        for each in things:
            if "delivery" in each:
                self._step(each["id"], each["delivery"])
            elif each["id"] in self._known:
                for delivery in each["deliveries"]:
                    self._step(each["id"], delivery)
            else:
                self._remember(each)
                self._say(each, history.new_lines(each, self._locale))

    def _step(self, ident: str, delivery: Mapping[str, Any]) -> None:
        known = self._known.get(ident, _Known({"id": ident}))  # forgotten: too much has come
        last, step = known.steps.get(delivery["target"]), (delivery["status"], delivery["at"])
        if last == step or (self._behind and last is not None and _order(step) < _order(last)):
            return
        known.steps[delivery["target"]] = step
        if self._as_json:
            self._say(known.found, (), {"id": ident, "delivery": delivery})
        elif history.is_over(delivery):
            self._say(known.found, [history.end_line(known.found, delivery, self._locale)])

    def _say(self, about: Mapping[str, Any], lines: Sequence[str], as_json: Mapping[str, Any] | None = None) -> None:
        if self._telling and self._wants(about):
            click.echo(history.to_json(as_json or about) if self._as_json else "\n".join(lines))

    def _wants(self, found: Mapping[str, Any]) -> bool:
        kinds = {SYSTEM: "system" in found, SUPPRESSED: found.get("suppressed"), ENDED: found.get("state") == ENDED}
        return (
            self._wanted.rule in (None, found.get("rule"))
            and (not self._wanted.symbols or found.get("symbol") in self._wanted.symbols)
            and not any(kinds[kind] for kind in self._wanted.without)
        )

    def _remember(self, found: Mapping[str, Any]) -> None:
        steps = {each["target"]: (each["status"], each["at"]) for each in found["deliveries"]}
        self._known[found["id"]] = _Known(found, steps)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _look_up_unknown(self, things: Sequence[Mapping[str, Any]]) -> None:
        """What a delivery is of that came long ago: somebody had it sent after all."""
        come = {each["id"] for each in things if "delivery" not in each}
        ids = tuple({each["id"] for each in things} - come - self._known.keys())
        try:
            for each in self._look_up(Wanted(ids=ids, limit=len(ids))) if ids else ():
                self._remember({**each, "deliveries": []})
        except DatabaseError as error:
            complain(_HISTORY.of(self._locale).format(reason=error.text(self._locale)))


def _order(step: tuple[str, str]) -> tuple[str, bool]:
    """By time; of one microsecond, the end is the later."""
    status, at = step
    return at, not Status(status).is_open


def _folded(happenings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """An alert comes with whom it goes to; what comes after that is a line of its own."""
    queued: dict[str, dict[str, Any]] = {}
    for each in happenings:
        if "delivery" in each and each["delivery"]["status"] == Status.QUEUED:
            queued.setdefault(each["id"], {}).setdefault(each["delivery"]["target"], each["delivery"])
    return [
        each if each.get("deliveries") != [] else {**each, "deliveries": [*queued.get(each["id"], {}).values()]}
        for each in happenings
    ]
