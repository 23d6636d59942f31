"""`pgmwatch rules`: what is in force, and a new one."""

import json
from pathlib import Path

import click

from engine.commands import daemon
from engine.commands.output import FINE
from engine.commands.rules_new import rules_new


@click.group()
def rules() -> None:
    """Rules: what is in force, and how to write a new one."""


@rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def rules_list(path: Path, as_json: bool) -> int:
    """The rules that the running daemon goes by, since when, and what they do today."""
    from engine.ops import rule_list

    configuration, found = daemon.ask(path, "rules")
    if as_json:
        click.echo("".join(f"{json.dumps(rule, ensure_ascii=False)}\n" for rule in found["rules"]), nl=False)
        for reason in found["refused"]:
            click.echo(reason, err=True)
    else:
        click.echo("\n".join(rule_list.lines(found, configuration.settings.locale)))
    return FINE


rules.add_command(rules_new, "new")
