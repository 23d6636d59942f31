"""`pgmwatch replay`: what the rules would have said."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, complain, say_problems
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.replay.output import Job

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--rules", type=_FOLDER, metavar="DIR", help="These rules, not the configured ones.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--all", "everything", is_flag=True, help="Suppressed alerts too; with --against, unchanged ones as well."
)
@click.option(
    "--against", type=_FOLDER, metavar="DIR", help="Which alerts appear, go and move, compared to these rules."
)
@click.pass_obj
def replay(
    path: Path, *, files: tuple[Path, ...], rules: Path | None, as_json: bool, everything: bool, against: Path | None
) -> int:
    """The alerts that the rules give on recordings, plain or compressed; see docs/replay.md."""
    from engine.recording.reader import UnreadableRecordingError
    from engine.replay import setup
    from engine.replay.output import Job

    try:
        world = setup.world(path, os.environ)
        after, *before = setup.rule_sets(world, [rules] if against is None else [rules, against])
    except ConfigurationError as error:
        say_problems(error.problems, path, as_json=as_json)
        return BAD_CONFIGURATION
    job = Job(world, after, before[0] if before else None, as_json, everything)
    try:
        _run(job, files)
    except UnreadableRecordingError as error:
        complain(error.text(job.locale))
        return BAD_CONFIGURATION
    return FINE


def _run(job: "Job", files: Sequence[Path]) -> None:
    """What is found to standard output; how far it is, and what went through, to standard error."""
    import time

    from engine.recording import reader
    from engine.replay.bar import Bar

    tally, started = reader.Tally(), time.monotonic()
    with Bar(sys.stdout, sys.stderr) as bar:
        for line in job.lines(reader.events(files, bar.progress, tally)):
            bar.line(line)
    sys.stdout.flush()
    for line in tally.words(job.locale):
        click.echo(line, err=True)
    if not job.as_json or sys.stderr.isatty():  # for people
        click.echo(job.summary(tally.lines.unreadable.total(), time.monotonic() - started), err=True)
