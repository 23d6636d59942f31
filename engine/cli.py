"""`pgmwatch`: the commands, what they print, and their exit codes.

0 fine · 1 the answer is no · 2 usage or configuration error · 3 the broker refused the credentials · 130 interrupted.
What a command needs is imported when it runs: `pgmwatch --help` must not wait for Apprise.
"""

import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine import __version__
from engine.errors import ConfigurationError, PgmwatchError
from engine.locale import Locale, Text
from engine.problems import Problem
from engine.redact import print_crash

_NOWHERE_TO_WRITE = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)
"""Of standard output: `| head` has seen enough, or its disk is full."""

FINE, NO, BAD_CONFIGURATION, INTERRUPTED = 0, 1, 2, 130


def main() -> None:
    """The console script: a user's mistake ends with a sentence and an exit code, never with a traceback."""
    sys.excepthook = print_crash
    _open_closed_streams()
    try:
        status = commands.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = BAD_CONFIGURATION
    except click.exceptions.Exit as error:
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except PgmwatchError as error:
        _complain(str(error))
        status = NO
    except OSError as error:
        if error.errno not in _NOWHERE_TO_WRITE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        if error.errno != errno.EPIPE:
            _complain(f"standard output: {error.strerror}")
        status = NO
    sys.exit(status or FINE)


def _open_closed_streams() -> None:
    """`>&-` leaves None where everybody expects a stream."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  open until the process ends


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pgmwatch")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="PGMWATCH_CONFIG",
    default=Path("config.toml"),
    show_default=True,
    show_envvar=True,
    help="The configuration.",
)
@click.pass_context
def commands(context: click.Context, path: Path) -> None:
    """Watches Korean program trading and tells you in chat what your rules say matters."""
    if sys.platform == "win32":
        raise click.UsageError("pgmwatch runs on Linux and macOS; on Windows, under WSL2")
    context.obj = path


@commands.command()
@click.option(
    "--notify",
    multiple=True,
    metavar="NAME",
    help="With a simulated market only the terminal and loopback addresses get messages; this notifier gets them too.",
)
@click.pass_obj
def run(path: Path, notify: tuple[str, ...]) -> int:
    """The daemon, in the foreground. SIGTERM and SIGINT (Ctrl-C) end it cleanly within 10 s."""
    from engine import daemon, log, ready
    from engine.ops.state_folder import StateFolderError

    try:
        prepared = ready.prepare(path, os.environ, notify)
    except ConfigurationError as error:
        _say_problems(error.problems, path)
        return BAD_CONFIGURATION
    settings = prepared.plan.configuration.settings
    log.set_up(settings.log.level, settings.log.format)
    try:
        return daemon.run(prepared)
    except StateFolderError as error:
        _complain(error.text(settings.locale))
        return BAD_CONFIGURATION


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def check(path: Path, as_json: bool) -> int:
    """Config and rules: every error at once; then what would be watched."""
    from engine import ready
    from engine.ops import overview

    try:
        prepared = ready.prepare(path, os.environ, ())
    except ConfigurationError as error:
        _say_problems(error.problems, path, as_json=as_json)
        unsafe = any(problem.code in ("others-can-read", "no-file", "unreadable") for problem in error.problems)
        return BAD_CONFIGURATION if unsafe else NO
    found = overview.of_plan(prepared.plan, [target.address.name for target in prepared.targets], prepared.withheld)
    plan = prepared.plan
    _say(overview.plan_lines(found, plan.master, plan.configuration.settings.locale), found, as_json=as_json)
    return FINE


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def status(path: Path, as_json: bool) -> int:
    """What the running daemon sees and does."""
    import trio

    from engine.config import load
    from engine.ops import control, overview
    from engine.ops.state_folder import StateFolderError
    from engine.symbols import file as symbols_file

    try:
        configuration = load.load(path, os.environ, accounts=False)
    except ConfigurationError as error:
        _say_problems(error.problems, path)
        return BAD_CONFIGURATION
    locale = configuration.settings.locale
    try:
        answer = trio.run(control.ask, configuration.state_folder, "status")
    except StateFolderError as error:
        _complain(error.text(locale))
        return BAD_CONFIGURATION
    except control.NoDaemonError:
        _complain(_NO_DAEMON.of(locale).format(folder=configuration.state_folder))
        return NO
    master, _ = symbols_file.load_or_builtin(configuration.master_file)
    _say(overview.status_lines(answer, master, locale), answer, as_json=as_json)
    return FINE


@commands.group()
def notify() -> None:
    """Notifiers: try them."""


@notify.command("test")
@click.argument("name")
@click.pass_obj
def notify_test(path: Path, name: str) -> int:
    """Send a real message through a notifier: the result for each of its targets."""
    from engine import ready

    try:
        results = ready.try_notifier(path, os.environ, name)
    except ConfigurationError as error:
        _say_problems(error.problems, path)
        return BAD_CONFIGURATION
    for result in results:
        click.echo(f"{result.target}: {result.outcome}")
    return FINE if all(result.delivered for result in results) else NO


@commands.group()
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
        _say_problems(error.problems, path)
        return BAD_CONFIGURATION
    except (DownloadError, MasterError, update.SaveError) as error:
        _complain(error.text(configuration.settings.locale))
        return NO
    _say(listing.update_lines(done, configuration.settings.locale), listing.of_update(done), as_json=as_json)
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
        _say_problems(error.problems, path)
        return BAD_CONFIGURATION
    locale = configuration.settings.locale
    master, unusable = symbols_file.load_or_builtin(configuration.master_file)
    _say_problems(unusable, path)
    found = master.find(text)
    if master.loaded is None and not unusable:
        _complain(listing.built_in_names(master, locale))
    if as_json:
        click.echo("".join(f"{json.dumps(each._asdict(), ensure_ascii=False)}\n" for each in found), nl=False)
    elif found:
        click.echo("\n".join(listing.found_lines(found, locale)))
    else:
        _complain(listing.nothing_found(text, master, locale))
    return FINE if found else NO


@commands.command()
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="HOST", help="A loopback address.")
@click.option("--rest-port", default=9443, show_default=True, help="Approval keys (HTTP).")
@click.option("--websocket-port", default=21000, show_default=True, help="The feed (WebSocket).")
@click.option(
    "--scenario",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Faults to play; without it, those of [simulator] scenario.",
)
@click.pass_obj
def simulate(path: Path, listen: str, rest_port: int, websocket_port: int, scenario: Path | None) -> int:
    """The broker's side alone, on loopback, for this or any other client; see docs/simulator.md."""
    from engine import daemon, log
    from engine.config import load
    from engine.config.model import Settings
    from engine.simulator import scenario as scenarios

    settings = Settings()
    try:
        if path.exists():
            configuration = load.load(path, os.environ, accounts=False)
            settings, scenario = configuration.settings, scenario or configuration.scenario
        played = scenarios.load(scenario) if scenario else None
    except ConfigurationError as error:
        _say_problems(error.problems, path)
        return BAD_CONFIGURATION
    log.set_up(settings.log.level, settings.log.format)
    log.show_all("engine.simulator")  # here every answer is news
    try:
        return daemon.simulate(settings, listen, rest_port, websocket_port, played)
    except PgmwatchError as error:
        _complain(str(error))
        return BAD_CONFIGURATION


_NO_DAEMON = Text("no daemon is running on {folder}", "{folder}에서 실행 중인 데몬이 없습니다")


def _say(lines: Sequence[str], data: Any, *, as_json: bool) -> None:
    click.echo(json.dumps(data, ensure_ascii=False) if as_json else "\n".join(lines))


def _say_problems(problems: Sequence[Problem], path: Path, *, as_json: bool = False) -> None:
    """To stderr, `file:line: key: what is wrong`; as JSON, for editors, to stdout."""
    from engine.config.load import locale_of

    locale = locale_of(path)
    for problem in problems:
        if as_json:
            click.echo(json.dumps(_problem_fields(problem, locale), ensure_ascii=False))
        else:
            click.echo(problem.text(locale), err=True)


def _problem_fields(problem: Problem, locale: Locale) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "code": problem.code,
        "message": problem.message(locale),
    }


def _complain(text: str) -> None:
    click.echo(f"pgmwatch: {text}", err=True)
