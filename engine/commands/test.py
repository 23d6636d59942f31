"""`pgmwatch test`: rules against made-up series and slices of recordings."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain, say_problems
from engine.errors import ConfigurationError
from engine.locale import Text

if TYPE_CHECKING:
    from engine.replay.setup import World
    from engine.rule_tests.load import Trial

_NO_TESTS = Text("no tests in {places}", "{places}에 테스트가 없습니다")


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[PATH…]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a test.")
@click.pass_obj
def test(path: Path, paths: tuple[Path, ...], as_json: bool) -> int:
    """Rules against made-up series, as test files say; without PATH those of tests/ below the rules folder."""
    from engine.replay import setup
    from engine.rule_tests import load

    try:
        world = setup.world(path, os.environ)
    except ConfigurationError as error:
        say_problems(error.problems, path, as_json=as_json)
        return BAD_CONFIGURATION
    locale = world.configuration.settings.locale
    places = paths or (world.configuration.rules_folder / "tests",)
    try:
        trials = load.load(load.test_files(places), setup.rules_world(world))
    except ConfigurationError as error:
        say_problems(error.problems, path, as_json=as_json)
        return NO
    if not trials:
        complain(_NO_TESTS.of(locale).format(places=", ".join(map(str, places))))
        return BAD_CONFIGURATION
    return _run_all(trials, world, as_json=as_json)


def _run_all(trials: "Sequence[Trial]", world: "World", *, as_json: bool) -> int:
    """Each test is told of as soon as it is done. → the exit code."""
    from engine.rule_tests import run, words

    hours = world.configuration.market_hours()
    locale = world.configuration.settings.locale
    told, unreadable = [], False
    for trial in trials:
        outcome = run.run(trial, hours, locale)
        found = words.of(outcome, world.master)
        click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(words.lines(found, locale)))
        for remark in outcome.remarks:
            complain(f"{trial.file}:{trial.line}: {remark}")
        told.append(found)
        unreadable = unreadable or outcome.unreadable
    if not as_json:
        click.echo(words.summary(told, locale))
    if unreadable:
        return BAD_CONFIGURATION
    return FINE if all(found["passed"] for found in told) else NO
