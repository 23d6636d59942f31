"""`pgmwatch alerts`: what was told, to whom it got, and what was kept back; on request as it happens."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands import configured
from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain
from engine.locale import Text
from engine.text import clean

if TYPE_CHECKING:
    from engine.config.load import Configuration
    from engine.store.reading import Entry, Wanted
    from engine.symbols.master import Master

MAX_SHOWN = 100_000
"""One less than one look into the history gives, so that it shows whether there are more."""
_KINDS = ("suppressed", "system", "ended")

_NONE = Text("no alerts since {since} KST", "{since} KST 이후의 알림이 없습니다")
_LEFT_OUT = Text(
    "only the newest {limit:,} are shown; --limit shows more", "최근 {limit:,}건만 보입니다. 더 보려면 --limit"
)
_BACKWARDS = Text("--until must be after --since", "--until은 --since보다 뒤여야 합니다")
_NO_END = Text("--follow goes on; leave out --until", "--follow는 계속 이어집니다. --until을 빼세요")
_UNKNOWN_RULE = Text('no rule is named "{found}"', '"{found}"(이)라는 규칙이 없습니다')


@dataclass(frozen=True, slots=True)
class _Question:
    """What was asked for, and where the answer is."""

    configuration: "Configuration"
    master: "Master"
    database: Path
    wanted: "Wanted"
    symbol: str | None
    """As it was written."""
    as_json: bool


@click.command()
@click.option(
    "--since", metavar="TIME", help="KST: 09:30 today, 2026-11-20, 2026-11-20 09:30, or 2h (ago). Default: today."
)
@click.option("--until", metavar="TIME", help="Likewise; a date means the end of it.")
@click.option("--rule", metavar="NAME", help="Of this rule.")
@click.option("--symbol", metavar="SYMBOL", help="Of this stock (code or Korean name), or of this summed @group.")
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(_KINDS),
    help="Leave out alerts that were kept back, the daemon's own messages, or silent endings; repeatable.",
)
@click.option("--limit", type=click.IntRange(1, MAX_SHOWN), default=1_000, show_default=True, help="The newest.")
@click.option("--follow", is_flag=True, help="Go on with what happens, asking the running daemon, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def alerts(
    path: Path,
    *,
    since: str | None,
    until: str | None,
    rule: str | None,
    symbol: str | None,
    without: tuple[str, ...],
    limit: int,
    follow: bool,
    as_json: bool,
) -> int:
    """History: alerts and what became of them at each target."""
    from engine.commands import past
    from engine.silences.moments import MomentError
    from engine.state_files import DATABASE
    from engine.store.database import DatabaseError
    from engine.store.reading import Wanted

    configuration, master = configured.read(path)
    locale, now = configuration.settings.locale, time.time_ns()
    if follow and until is not None:
        raise click.UsageError(_NO_END.of(locale))
    try:
        first = past.today(now) if since is None else past.since(since, now)
        last = None if until is None else past.until(until, now)
    except MomentError as error:
        complain(clean(error.text(locale)))
        return BAD_CONFIGURATION
    if last is not None and last <= first:
        raise click.UsageError(_BACKWARDS.of(locale))
    symbols = () if symbol is None else (symbol, *master.codes(symbol))
    wanted = Wanted(first, last, rule, symbols, frozenset(without), limit=limit)
    question = _Question(configuration, master, configuration.state_folder / DATABASE, wanted, symbol, as_json)
    try:
        return _follow(question, from_now_on=since is None) if follow else _show(question)
    except DatabaseError as error:
        complain(error.text(locale))
        return NO


def _show(question: _Question) -> int:
    from engine import kst
    from engine.ops import history

    locale = question.configuration.settings.locale
    entries = _found(question)
    if not entries and (unknown := _unknown(question)):
        complain(unknown)
        return NO
    for entry in entries:
        found = history.of_line(entry.row.line, entry.deliveries)
        click.echo(history.to_json(found) if question.as_json else "\n".join(history.lines(found, locale)))
    if not entries and not question.as_json:
        since = history.moment(kst.iso(question.wanted.since or 0))
        click.echo(_NONE.of(locale).format(since=since))
    return FINE


def _found(question: _Question) -> "Sequence[Entry]":
    """Where there are more than wanted, that is told."""
    from engine.store import reading

    limit = question.wanted.limit
    found = reading.history(question.database, replace(question.wanted, limit=limit + 1))
    if len(found) > limit:
        complain(_LEFT_OUT.of(question.configuration.settings.locale).format(limit=limit))
    return found[-limit:]


def _unknown(question: _Question) -> str:
    """Why nothing can be found of a rule or symbol that neither history nor rules nor stock names know."""
    from engine.problems import DID_YOU_MEAN, nearest
    from engine.store import reading

    locale, rule = question.configuration.settings.locale, question.wanted.rule
    if rule is None and question.symbol is None:
        return ""
    stored = reading.names(question.database)
    rules = configured.rules(question.configuration, question.master) or ()
    names = {*stored.rules, *(each.name for each in rules)}
    if rule is not None and rule not in names:
        meant = nearest(rule, sorted(names))
        hint = DID_YOU_MEAN.of(locale).format(nearest=clean(meant)) if meant else ""
        return _UNKNOWN_RULE.of(locale).format(found=clean(rule)) + hint
    symbols = {*stored.symbols, *(each.aggregate for each in rules)}
    return _unknown_symbol(question) if symbols.isdisjoint(question.wanted.symbols) else ""


def _unknown_symbol(question: _Question) -> str:
    """Of a code that no list has nothing can be said."""
    from engine.problems import LIKE_IT, TEXTS
    from engine.symbols.master import CODE, labels

    locale, symbol = question.configuration.settings.locale, question.symbol
    if symbol is None or CODE.fullmatch(symbol) or question.master.codes(symbol):
        return ""
    likely = question.master.candidates(symbol)
    hint = LIKE_IT.of(locale).format(likely=labels(likely)) if likely else ""
    return TEXTS["unknown-symbol"].of(locale).format(found=clean(symbol)) + hint


def _follow(question: _Question, *, from_now_on: bool) -> int:
    """A rule or symbol that nothing is known of yet may still come."""
    import trio

    from engine.commands import daemon
    from engine.commands.follow import Follower
    from engine.ops import control, history
    from engine.store import reading

    configuration, wanted = question.configuration, question.wanted

    def look_up(more: "Wanted") -> list[dict[str, Any]]:
        return [history.of_line(entry.row.line, entry.deliveries) for entry in reading.history(question.database, more)]

    async def ask(after: int) -> Any:
        return await control.ask(configuration.state_folder, "follow", after=after)

    follower = Follower(ask, look_up, wanted, configuration.settings.locale, as_json=question.as_json)

    async def follow() -> int:
        await follower.begin(with_past=not from_now_on)
        return await follower.go_on()

    return daemon.or_end(configuration, lambda: trio.run(follow))
