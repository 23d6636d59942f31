"""The page on rules names all words of a template, and its examples work."""

from pathlib import Path

import pytest
from test_rules_load import rules_of

from engine import template

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()


@pytest.mark.parametrize("word", sorted({*template.VARIABLES, *template.FILTERS}))
def test_every_word_of_a_template_is_documented(word: str) -> None:
    section = PAGE.split("## Words of your own")[1]
    assert any(f"`{word}{end}" in section for end in ("`", "(", ".", "["))


def test_the_examples_are_read(tmp_path: Path) -> None:
    example = PAGE.split("## Words of your own")[1].split("```toml\n")[1].split("```")[0]
    assert all(rule.title and rule.message for rule in rules_of(tmp_path, page=example))


def test_the_limits_are_as_documented() -> None:
    assert (template.MAX_SOURCE, template.MAX_OUTPUT) == (4_096, 4_096)
    assert "up to 4,096 characters, its output up to 4 KB" in PAGE
