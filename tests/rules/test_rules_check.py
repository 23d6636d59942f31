"""`pgmwatch check --json` as an editor reads it."""

import json
from pathlib import Path

from click.testing import CliRunner

from engine.commands.check import check


def test_each_problem_is_a_line_with_all_that_an_editor_needs(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    text = '[[rule]]\nname = "r"\nsymbols = ["005930"]\nmetric = "net_volum"\nabove = 1\ncool_down = "1m"\n'
    (tmp_path / "rules" / "a.toml").write_text(text + 'message = """\n{{ valeu }}"""\n')
    (tmp_path / "config.toml").write_text('locale = "en"\n')
    result = CliRunner().invoke(check, ["--json"], obj=tmp_path / "config.toml", standalone_mode=False)
    assert result.return_value == 1
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(each["line"], each["key"], each["code"]) for each in found] == [
        (4, "rule[1].metric", "not-one-of"),
        (6, "rule[1].cool_down", "unknown-key"),
        (8, "rule[1].message", "template-unknown-variable"),
    ]
    assert {each["file"] for each in found} == {str(tmp_path / "rules" / "a.toml")}
    assert found[1]["message"] == 'unknown key; did you mean "cooldown"?'
