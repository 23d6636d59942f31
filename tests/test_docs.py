"""The reference pages name everything that a user can write."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest
from pydantic import BaseModel

from engine import plan, toml
from engine.cli import commands
from engine.config import model
from engine.errors import ConfigurationError
from engine.kis.protocol import KIND_OF_CODE
from engine.rules.document import RuleTable
from engine.rules.model import METRICS, Operator

REPOSITORY = Path(__file__).parents[1]
KIND = r'"((?:feed|symbols|records|clock|rules|silences|recording|store|database|target)-[a-z-]+|lag|lag-over|away)"'
READMES = ["README.md", "README.ko.md"]


def keys(table: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in table.model_fields.items()}


def tables() -> list[type[BaseModel]]:
    found: list[Any] = [value for value in vars(model).values() if isinstance(value, type)]
    return [each for each in found if issubclass(each, model.Table) and each is not model.Table]


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.__name__)
def test_every_key_of_the_configuration_is_documented(table: type[BaseModel]) -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    for key in keys(table):
        assert any(form in page for form in (f"`{key}`", f".{key}`", f".{key}]", f"[{key}]", f"[{key}.")), key


def rows(page: str, section: str) -> dict[str, str]:
    """Key → default, as the section's table has them, for rows whose default is one piece of code."""
    body = page.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in body.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1].strip("`") for row in cells if row[1].startswith("`")}


@pytest.mark.parametrize(
    ("name", "section", "table", "needed"),
    [
        ("configuration.md", "Top level", model.Settings, {}),
        ("configuration.md", "[feed]", model.Feed, {}),
        ("configuration.md", "[[feed.account]]", model.Account, {"name": "a", "app_key": "", "app_secret": ""}),
        ("configuration.md", "[simulator]", model.Simulator, {}),
        ("configuration.md", "[alerts]", model.Alerts, {}),
        ("configuration.md", "[notifiers.NAME]", model.Notifier, {"urls": ("json://127.0.0.1",)}),
        ("rules.md", "Keys of a rule", RuleTable, {"name": "r"}),
    ],
    ids=str,
)
def test_documented_defaults_are_the_defaults(
    name: str, section: str, table: type[BaseModel], needed: dict[str, Any]
) -> None:
    left_out = table.model_validate(needed)
    compared = 0
    for key, written in rows((REPOSITORY / "docs" / name).read_text(), section).items():
        if key in table.model_fields or any(field.alias == key for field in table.model_fields.values()):
            try:
                value = toml.parse(f"x = {written}".encode(), "page").data["x"]
            except ConfigurationError:
                continue  # a default in words
            assert table.model_validate({**needed, key: value}) == left_out, key
            compared += 1
    assert compared


def test_every_word_of_the_rule_language_is_documented() -> None:
    page = (REPOSITORY / "docs" / "rules.md").read_text()
    for word in keys(RuleTable) | METRICS | set(Operator):
        assert f"`{word}`" in page, word


def test_every_system_alert_is_documented() -> None:
    page = (REPOSITORY / "docs" / "feed.md").read_text()
    sources = [*(REPOSITORY / "engine" / "incidents").glob("*.py"), REPOSITORY / "engine" / "gap.py"]
    found = {kind for path in sources for kind in re.findall(KIND, path.read_text())}
    assert len(found) >= 20
    for kind in found:
        assert f"`{kind}`" in page, kind


@pytest.mark.parametrize("code", sorted(KIND_OF_CODE))
def test_every_answer_of_the_broker_is_documented(code: str) -> None:
    page = (REPOSITORY / "docs" / "feed.md").read_text().replace("9997–9999", "9997, 9998, 9999")
    assert re.search(rf"\b(OPSP)?{code.removeprefix('OPSP')}\b", page)


@pytest.mark.parametrize("name", READMES)
def test_every_command_is_in_the_readme(name: str) -> None:
    page = (REPOSITORY / name).read_text()
    names = commands.list_commands(click.Context(commands))
    assert len(names) >= 13
    for command in names:
        assert f"pgmwatch {command}" in page, command


def test_every_command_says_what_it_does() -> None:
    def leaves(group: click.Group) -> list[click.Command]:
        context = click.Context(group)
        found = [group.get_command(context, name) for name in group.list_commands(context)]
        nested = [leaves(each) if isinstance(each, click.Group) else [each] for each in found if each is not None]
        return [command for each in nested for command in each]

    assert len(leaves(commands)) >= 17
    assert all(command.help for command in leaves(commands))


@pytest.mark.parametrize("name", READMES)
def test_both_readmes_have_the_same_blocks_of_commands(name: str) -> None:
    def blocks(page: str) -> list[str]:
        return [block.split("\n", 1)[1] for block in page.split("```")[1::2] if block.startswith(("sh", "toml"))]

    assert blocks((REPOSITORY / name).read_text()) == blocks((REPOSITORY / READMES[0]).read_text())


@pytest.mark.parametrize("name", READMES)
def test_the_examples_of_the_readme_work(name: str, tmp_path: Path) -> None:
    examples = [dedent(block.partition("toml\n")[2]) for block in (REPOSITORY / name).read_text().split("```")[1::2]]
    config, rule = (example for example in examples if example)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "readme.toml").write_text(rule)
    (tmp_path / "config.toml").write_text(config)
    secrets = {"KIS_APP_KEY": "TEST-KEY", "KIS_APP_SECRET": "TEST-SECRET", "SLACK_TOKENS": "TEST/TEST/TEST"}
    found = plan.make(tmp_path / "config.toml", secrets)
    assert (found.symbols, found.doubts) == (("005930", "000660", "042700"), [])
    assert set(found.notifiers) == {"terminal", "desk"}


def test_the_example_of_the_rules_page_works(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    page = (REPOSITORY / "docs" / "rules.md").read_text()
    (tmp_path / "rules" / "page.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    (tmp_path / "config.toml").write_text("")
    assert [rule.is_event for rule in plan.make(tmp_path / "config.toml", {}).rules] == [False, True]


def test_the_shipped_rules_are_beyond_doubt() -> None:
    found = plan.make(REPOSITORY / "config.toml", {})
    assert (len(found.rules), found.doubts) == (4, [])
