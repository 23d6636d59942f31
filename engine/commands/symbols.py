"""`pgmwatch symbols`: stock names and codes."""

import json
import os
from pathlib import Path

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain, say, say_problems
from engine.errors import ConfigurationError


@click.group()
def symbols() -> None:
    """Stock names and codes."""


@symbols.command("update")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def symbols_update(path: Path, as_json: bool) -> int:
    """Load the broker's list of all stocks. If anything is wrong with it, the last one stays."""
    import time

    import trio

    from engine import kst
    from engine.config import load
    from engine.symbols import listing, update
    from engine.symbols.download import DownloadError
    from engine.symbols.mst import MasterError

    today = kst.date_of(kst.day_number(time.time_ns()))
    try:
        configuration = load.load(path, os.environ, accounts=False)
        done = trio.run(update.update, configuration, today)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION
    except (DownloadError, MasterError, update.SaveError) as error:
        complain(error.text(configuration.settings.locale))
        return NO
    say(listing.update_lines(done, configuration.settings.locale), listing.of_update(done), as_json=as_json)
    return FINE


@symbols.command("find")
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def symbols_find(path: Path, text: str, as_json: bool) -> int:
    """Stocks by the beginning of a code or any part of a name."""
    from engine.config import load
    from engine.symbols import file as symbols_file
    from engine.symbols import listing

    try:
        configuration = load.load(path, os.environ, accounts=False)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION
    locale = configuration.settings.locale
    master, unusable = symbols_file.load_or_builtin(configuration.master_file)
    say_problems(unusable, path)
    found = master.find(text)
    if master.loaded is None and not unusable:
        complain(listing.built_in_names(master, locale))
    if as_json:
        click.echo("".join(f"{json.dumps(each._asdict(), ensure_ascii=False)}\n" for each in found), nl=False)
    elif found:
        click.echo("\n".join(listing.found_lines(found, locale)))
    else:
        complain(listing.nothing_found(text, master, locale))
    return FINE if found else NO
