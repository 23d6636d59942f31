"""The reference pages name everything that a user can write."""

from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from engine.cli import commands
from engine.config import model
from engine.rules.document import RuleTable
from engine.rules.model import METRICS, Operator

REPOSITORY = Path(__file__).parents[1]
READMES = ["README.md", "README.ko.md"]


def keys(table: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in table.model_fields.items()}


def tables() -> list[type[BaseModel]]:
    found: list[Any] = [value for value in vars(model).values() if isinstance(value, type)]
    return [each for each in found if issubclass(each, model.Table) and each not in (model.Table, model.Settings)]


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.__name__)
def test_every_key_of_the_configuration_is_documented(table: type[BaseModel]) -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    for key in keys(table):
        assert any(form in page for form in (f"`{key}`", f".{key}`", f".{key}]")), key


def test_every_word_of_the_rule_language_is_documented() -> None:
    page = (REPOSITORY / "docs" / "rules.md").read_text()
    for word in keys(RuleTable) | METRICS | set(Operator):
        assert f"`{word}`" in page, word


@pytest.mark.parametrize("name", READMES)
def test_every_command_is_in_the_readme(name: str) -> None:
    page = (REPOSITORY / name).read_text()
    for command in commands.commands:
        assert f"pgmwatch {command}" in page, command


def test_every_command_says_what_it_does() -> None:
    def leaves(group: click.Group) -> list[click.Command]:
        nested = [leaves(each) if isinstance(each, click.Group) else [each] for each in group.commands.values()]
        return [command for each in nested for command in each]

    assert all(command.help for command in leaves(commands))


@pytest.mark.parametrize("name", READMES)
def test_both_readmes_have_the_same_blocks_of_commands(name: str) -> None:
    def blocks(page: str) -> list[str]:
        return [block.split("\n", 1)[1] for block in page.split("```")[1::2] if block.startswith(("sh", "toml"))]

    assert blocks((REPOSITORY / name).read_text()) == blocks((REPOSITORY / READMES[0]).read_text())
