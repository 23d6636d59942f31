"""`pgmwatch why`: what keeps a rule silent, now or at a moment of a recording."""

import os
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain, say, say_problems
from engine.errors import ConfigurationError
from engine.locale import Text

if TYPE_CHECKING:
    from engine.config.load import Configuration

_FORM = '"2026-11-20T10:00:00"'
_NO_MOMENT = Text(f"--at: write {_FORM} (KST)", f"--at: {_FORM}처럼 쓰세요(KST)")
_FILE_NEEDS_AT = Text("FILE goes with --at", "파일은 --at과 함께 씁니다")
_NOTHING = Text("there is nothing in {files}", "{files}에 아무 내용이 없습니다")
_REPLAYED = Text(
    "a replay with the rules as they are now, and without silences",
    "지금의 규칙으로, 무음 없이 재생한 결과입니다",
)
_NO_RECORDING = Text(
    "there is no recording of {day} in {folder}; name the files", "{folder}에 {day} 기록이 없습니다. 파일을 지정하세요"
)
_TOO_EARLY = Text("the recording begins after {at}", "기록이 {at}보다 늦게 시작합니다")
_ENDS = Text("the recording ends before {at}; this is its end", "기록이 {at} 전에 끝납니다. 끝난 때의 상태입니다")


def _moment(context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    from engine.config.load import locale_of
    from engine.problems import WrongValueError
    from engine.replay.moment import moment_ns

    try:
        return None if text is None else moment_ns(text)
    except WrongValueError:
        raise click.UsageError(_NO_MOMENT.of(locale_of(context.obj))) from None


@click.command()
@click.argument("rule")
@click.argument("symbol")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE…]")
@click.option("--at", callback=_moment, metavar="TIME", help=f"A moment of a recording, as {_FORM} (KST); else now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def why(path: Path, *, rule: str, symbol: str, files: tuple[Path, ...], at: int | None, as_json: bool) -> int:
    """A rule's conditions with their values, its state, and the first thing that keeps it silent.

    Asks the running daemon; with --at it replays FILE…, or the recording of that day, up to that moment.
    """
    from engine.commands import daemon
    from engine.config.load import locale_of
    from engine.ops import why as explaining

    if at is not None:
        configuration, answer = _replayed(path, rule, symbol, at, files)
    elif files:
        raise click.UsageError(_FILE_NEEDS_AT.of(locale_of(path)))
    else:
        configuration, answer = daemon.ask(path, "why", rule=rule, symbol=symbol)
    locale = configuration.settings.locale
    if "unknown" in answer:
        complain(explaining.unknown_text(answer["unknown"], locale))
        return NO
    closing = [] if at is None else [_REPLAYED.of(locale)]
    say([*explaining.lines(answer, locale), *closing], answer, as_json=as_json)
    return FINE


def _replayed(
    path: Path, rule: str, symbol: str, at: int, files: Sequence[Path]
) -> "tuple[Configuration, dict[str, Any]]":
    from engine import kst
    from engine.evaluation.engine import Engine
    from engine.ops import why as explaining
    from engine.recording import reader
    from engine.replay import run, setup

    try:
        world = setup.world(path, os.environ)
        rules = setup.rules(world, None)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    locale = world.configuration.settings.locale
    shown = kst.iso(at)[:19].replace("T", " ")
    found = explaining.subject(rules, world.master, rule, symbol)
    if isinstance(found, explaining.Unknown):
        return world.configuration, {"unknown": found._asdict()}
    engine = Engine(rules, world.configuration.hours())
    named = files or _of_that_day(world.configuration, at)
    tally = reader.Tally()
    events = reader.events(named, tally=tally)
    try:
        first = list(islice(events, 1))
        reached = run.up_to(chain(first, events), engine, at)
    except reader.UnreadableRecordingError as error:
        complain(error.text(locale))
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    for line in tally.words(locale):
        complain(line)
    if reached is None:
        words = (_TOO_EARLY if first else _NOTHING).of(locale)
        complain(words.format(at=shown, files=", ".join(map(str, named))))
        raise click.exceptions.Exit(NO)
    if reached < at:
        complain(_ENDS.of(locale).format(at=shown))
    return world.configuration, explaining.answer(rules, world.master, engine.explain, rule=rule, symbol=symbol)


def _of_that_day(configuration: "Configuration", at: int) -> Sequence[Path]:
    from engine import kst
    from engine.recording import reader

    day = kst.date_of(kst.day_number(at))
    found = reader.day_file(configuration.recordings_folder, day)
    if found is None:
        locale = configuration.settings.locale
        complain(_NO_RECORDING.of(locale).format(day=day, folder=configuration.recordings_folder))
        raise click.exceptions.Exit(NO)
    return [found]
