"""What all commands share: exit codes, and how something is said."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.locale import Locale
from engine.problems import Problem

FINE, NO, BAD_CONFIGURATION, INTERRUPTED = 0, 1, 2, 130
"""Exit codes; 3, the broker refused the credentials, is the daemon's."""


def say(lines: Sequence[str], data: Any, *, as_json: bool) -> None:
    click.echo(json.dumps(data, ensure_ascii=False) if as_json else "\n".join(lines))


def say_problems(problems: Sequence[Problem], path: Path, *, as_json: bool = False) -> None:
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


def complain(text: str) -> None:
    click.echo(f"pgmwatch: {text}", err=True)
