"""`pgmwatch check`: what is wrong, or what would be watched."""

import os
from pathlib import Path

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, NO, say, say_problems
from engine.errors import ConfigurationError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def check(path: Path, as_json: bool) -> int:
    """Config and rules: every error at once; then what would be watched."""
    from engine import ready
    from engine.ops import overview

    try:
        prepared = ready.prepare(path, os.environ, ())
    except ConfigurationError as error:
        say_problems(error.problems, path, as_json=as_json)
        unsafe = any(problem.code in ("others-can-read", "no-file", "unreadable") for problem in error.problems)
        return BAD_CONFIGURATION if unsafe else NO
    found = overview.of_plan(prepared.plan, [target.address.name for target in prepared.targets], prepared.withheld)
    plan = prepared.plan
    say(overview.plan_lines(found, plan.master, plan.configuration.settings.locale), found, as_json=as_json)
    return FINE
