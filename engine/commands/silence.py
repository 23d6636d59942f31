"""`pgmwatch silence`: keep alerts from being sent for a while. Writes the file that a daemon follows."""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from engine.commands import configured
from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain, say_problems
from engine.errors import ConfigurationError
from engine.locale import Text
from engine.text import clean

if TYPE_CHECKING:
    from engine.config.load import Configuration
    from engine.silences.file import Entry

_T = TypeVar("_T")

_WHAT = Text(
    "say what to silence: --rule, --symbol or --label, or else --all",
    "무엇을 끌지 --rule, --symbol, --label로 지정하세요. 모두 끄려면 --all",
)
_ALL_AND_MORE = Text(
    "--all silences everything and excludes --rule, --symbol and --label: leave out one or the other",
    "--all은 모든 알림을 끄므로 --rule, --symbol, --label과 함께 쓸 수 없습니다. 한쪽을 빼세요",
)
_HOW_LONG = Text(
    "say for how long: one of --for, --until and --until-close",
    "언제까지인지 --for, --until, --until-close 중 하나로 지정하세요",
)
_WHICH = Text(
    "say which: the ids that `silence list` shows, or --rule",
    "어느 것인지 `silence list`에 나오는 ID나 --rule로 지정하세요",
)
_LABEL = Text('--label "{found}": write KEY=VALUE', '--label "{found}": KEY=VALUE 꼴로 쓰세요')


@click.group()
def silence() -> None:
    """Keep alerts from being sent for a while; they are kept in the history."""


@silence.command("add")
@click.option("--rule", metavar="NAME", help="Alerts of this rule.")
@click.option("--symbol", metavar="SYMBOL", help="Of this stock (code or Korean name), or of this summed @group.")
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="Of rules with this label; repeatable.")
@click.option("--all", "everything", is_flag=True, help="All alerts.")
@click.option("--for", "duration", metavar="DURATION", help="From now on: 45s, 30m, 1h30m.")
@click.option("--until", "end", metavar="TIME", help="KST: 15:00 today, or 2026-11-23T09:00.")
@click.option("--until-close", is_flag=True, help="Until today's session closes.")
@click.option("--comment", default="", help="Why; shown in the list.")
@click.pass_obj
def silence_add(
    path: Path,
    *,
    rule: str | None,
    symbol: str | None,
    labels: tuple[str, ...],
    everything: bool,
    duration: str | None,
    end: str | None,
    until_close: bool,
    comment: str,
) -> int:
    """Silence what fits all that is given."""
    from engine.silences import file, moments, words
    from engine.silences.model import Silence

    named = bool(rule or symbol or labels)
    if named and everything:
        raise _misused(_ALL_AND_MORE, path)
    if not (named or everything):
        raise _misused(_WHAT, path)
    if (duration is not None) + (end is not None) + until_close != 1:
        raise _misused(_HOW_LONG, path)
    labelled = _labels(labels, path)
    configuration, master = configured.read(path)
    locale, now = configuration.settings.locale, time.time_ns()
    try:
        if duration is not None:
            until = moments.after(duration, now)
        else:
            until = moments.at_the_close(configuration.hours(), now) if end is None else moments.at(end, now)
    except moments.MomentError as error:
        complain(error.text(locale))
        return BAD_CONFIGURATION
    asked = Silence(moments.whole_second(now), until, rule, symbol, labelled, comment)
    new = _or_end(path, configuration, lambda: file.entry(asked, master))
    _or_end(path, configuration, lambda: file.change(configuration.silences_file, master, partial(_with, new), now))
    click.echo(words.added(new, master, now, locale))
    for doubt in words.doubts(new, configured.rules(configuration, master), now, locale):
        complain(doubt)
    return FINE


@silence.command("list")
@click.option("--all", "with_expired", is_flag=True, help="Also those that ended within a day.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def silence_list(path: Path, with_expired: bool, as_json: bool) -> int:
    """What is silenced, and until when."""
    from engine.silences import file, words

    configuration, master = configured.read(path)
    locale, now = configuration.settings.locale, time.time_ns()
    found = _or_end(path, configuration, lambda: file.entries(configuration.silences_file, master))
    shown = [each for each in found if with_expired or now < each.silence.until]
    if as_json:
        objects = (json.dumps(words.of_entry(each, now), ensure_ascii=False) for each in shown)
        click.echo("".join(f"{each}\n" for each in objects), nl=False)
    else:
        click.echo("\n".join(words.line(each, master, now, locale) for each in shown) or words.none(locale))
    return FINE


@silence.command("remove")
@click.argument("idents", metavar="[ID]...", nargs=-1)
@click.option("--rule", metavar="NAME", help="Those that name this rule.")
@click.pass_obj
def silence_remove(path: Path, idents: tuple[str, ...], rule: str | None) -> int:
    """End silences by id, or those of a rule."""
    from engine.silences import file, words

    if not idents and rule is None:
        raise _misused(_WHICH, path)
    configuration, master = configured.read(path)
    locale, now = configuration.settings.locale, time.time_ns()
    gone: list[Entry] = []

    def without(old: tuple["Entry", ...]) -> list["Entry"]:
        gone[:] = [each for each in old if each.id in idents or (rule is not None and each.silence.rule == rule)]
        return [each for each in old if each not in gone]

    _or_end(path, configuration, lambda: file.change(configuration.silences_file, master, without, now))
    for each in gone:
        click.echo(words.removed(each, master, now, locale))
    unknown = [ident for ident in idents if ident not in {each.id for each in gone}]
    for ident in unknown:
        complain(words.unknown(ident, locale))
    if rule is not None and not any(each.silence.rule == rule for each in gone):
        complain(words.none_of_rule(rule, locale))
        return NO
    return NO if unknown else FINE


def _misused(text: Text, path: Path, **found: str) -> click.UsageError:
    from engine.config.load import locale_of

    return click.UsageError(text.of(locale_of(path)).format(**found))


def _or_end(path: Path, configuration: "Configuration", work: Callable[[], _T]) -> _T:
    """What `work` gives; a mistake in the file, or a disk that refuses, ends the command with its words."""
    from engine.silences.file import SilencesError

    try:
        return work()
    except ConfigurationError as error:
        say_problems(error.problems, path)
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    except SilencesError as error:
        complain(error.text(configuration.settings.locale))
        raise click.exceptions.Exit(NO) from None


def _with(new: "Entry", old: tuple["Entry", ...]) -> list["Entry"]:
    """One that says the same from the same second on is the same one."""
    return [*(each for each in old if each.id != new.id), new]


def _labels(written: Sequence[str], path: Path) -> tuple[tuple[str, str], ...]:
    found = {}
    for each in written:
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise _misused(_LABEL, path, found=clean(each))
        found[key] = value
    return tuple(found.items())
