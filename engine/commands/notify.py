"""`pgmwatch notify`: notifiers, tried out, and what did not get through to them."""

import json
import os
from pathlib import Path

import click

from engine.commands import daemon
from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain, say_problems
from engine.errors import ConfigurationError


@click.group()
def notify() -> None:
    """Notifiers: try them, and see to what they did not get."""


@notify.command("test")
@click.argument("name")
@click.pass_obj
def notify_test(path: Path, name: str) -> int:
    """Send a real message through a notifier: the result for each of its targets."""
    from engine import ready

    try:
        results = ready.try_notifier(path, os.environ, name)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION
    for result in results:
        click.echo(f"{result.target}: {result.outcome}")
    return FINE if all(result.delivered for result in results) else NO


@notify.command("dead")
@click.argument("action", type=click.Choice(["list", "retry", "drop"]), default="list", metavar="[retry|drop]")
@click.option("--id", "idents", metavar="ID", multiple=True, help="This message, as the list names it; repeatable.")
@click.option("--target", metavar="NAME", help="What this target did not get, or all targets of this notifier.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def notify_dead(path: Path, *, action: str, idents: tuple[str, ...], target: str | None, as_json: bool) -> int:
    """Messages that could not be delivered: list them, send them after all, or let them go. Asks the running daemon."""
    from engine.ops import dead

    configuration, answer = daemon.ask(path, "dead", action=action, ids=idents, target=target)
    locale = configuration.settings.locale
    is_list = action == "list"
    if as_json:
        for each in answer["dead"] if is_list else [answer]:
            click.echo(json.dumps(each, ensure_ascii=False))
    else:
        click.echo("\n".join((dead.lines if is_list else dead.outcome_lines)(answer, locale)))
    for line in dead.missing_lines(answer["missing"], locale):
        complain(line)
    if answer["missing"]:
        return NO
    if target is not None and not answer["matched"]:
        complain(dead.no_target(target, locale))
        return NO
    return FINE
