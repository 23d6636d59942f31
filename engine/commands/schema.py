"""`pgmwatch schema`: what editors need to help with rule files and config.toml."""

import click

from engine.commands.output import FINE


@click.command()
@click.argument("kind", type=click.Choice(["rules", "config"]))
def schema(kind: str) -> int:
    """Print the JSON Schema of rule files or of config.toml, for editors."""
    from engine import schema as schemas

    made = schemas.rules() if kind == "rules" else schemas.config()
    click.echo(schemas.text(made), nl=False)
    return FINE
