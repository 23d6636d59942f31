"""`pgmwatch`: the commands, what they print, and their exit codes.

0 fine · 1 the answer is no · 2 usage or configuration error · 3 the broker refused the credentials · 130 interrupted.
What a command needs is imported when it runs: `pgmwatch --help` must not wait for Apprise.
"""

import codecs
import errno
import io
import json
import os
import sys
from importlib import import_module
from pathlib import Path

import click

from engine import __version__
from engine.commands.output import BAD_CONFIGURATION, FINE, INTERRUPTED, NO, complain
from engine.errors import PgmwatchError
from engine.redact import print_crash

_COMMANDS = (
    "run", "check", "replay", "test", "why", "status", "alerts", "rules", "silence", "notify", "symbols", "simulate",
    "export", "schema",
)  # fmt: skip
"""Each is engine/commands/<name>.py with a click command of that name, in the order in which --help lists them."""

_NOWHERE_TO_WRITE = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)
"""Of standard output: `| head` has seen enough, or its disk is full."""


def main() -> None:
    """The console script: a user's mistake ends with a sentence and an exit code, never with a traceback."""
    sys.excepthook = print_crash
    _open_closed_streams()
    _print_whatever_comes()
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
        complain(str(error))
        status = NO
    except OSError as error:
        if error.errno not in _NOWHERE_TO_WRITE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        if error.errno != errno.EPIPE:
            complain(f"standard output: {error.strerror}")
        status = NO
    sys.exit(status or FINE)


def _open_closed_streams() -> None:
    """`>&-` leaves None where everybody expects a stream."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  open until the process ends


def _print_whatever_comes() -> None:
    """A terminal in EUC-KR has no signs as titles begin with; escapes like these are also what JSON knows."""

    def escaped(error: UnicodeError) -> tuple[str | bytes, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        return json.dumps(error.object[error.start : error.end])[1:-1], error.end

    codecs.register_error("as-in-json", escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="as-in-json")


class _Commands(click.Group):
    """Imports a command when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- likewise
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"engine.commands.{cmd_name}"), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
