"""A config.toml that is right, and can hardly be meant."""

from pathlib import Path

import pytest

from engine import plan
from engine.locale import Locale
from engine.ops import overview

ACCOUNT = '[[feed.account]]\nname = "main"\napp_key = "TEST-APP-KEY"\napp_secret = "TEST-APP-SECRET"\n'
NOTIFIERS = '[notifiers.desk]\nurls = ["json://127.0.0.1:9/"]\n[notifiers.screen]\nkind = "terminal"\n'
RULE = '[[rule]]\nname = "r"\nsymbols = ["005930"]\nmetric = "net_volume"\nabove = 1\n'


def planned(folder: Path, alerts: str, *, source: str = "kis", rule: str = RULE) -> plan.Plan:
    (folder / "rules").mkdir()
    (folder / "rules" / "a.toml").write_text(rule)
    path = folder / "config.toml"
    path.write_text(f'[feed]\nsource = "{source}"\n{ACCOUNT}[alerts]\n{alerts}\n{NOTIFIERS}')
    path.chmod(0o600)
    return plan.make(path, {})


def test_who_had_gone_live_as_the_readme_said_never_heard_on_slack_that_the_feed_was_lost(tmp_path: Path) -> None:
    made = planned(tmp_path, 'notify = ["terminal", "desk"]\nops = ["terminal", "screen"]')
    (doubt,) = made.doubts
    assert (doubt.code, doubt.key, doubt.line) == ("ops-unheard", "alerts.ops", 9)
    place = f"{tmp_path / 'config.toml'}:9: alerts.ops"
    assert doubt.text(Locale.EN).startswith(f"{place}: no notifier beyond the terminal ")
    assert doubt.text(Locale.EN).endswith("name another one here: desk")
    assert doubt.text(Locale.KO).endswith("터미널 밖에서 받는 곳이 없습니다. 여기에 추가하세요: desk")
    lines = overview.plan_lines(overview.of_plan(made, ["terminal"], []), made.master, Locale.KO)
    assert lines[-1] == doubt.text(Locale.KO)


def test_without_a_word_on_ops_the_doubt_is_about_the_table(tmp_path: Path) -> None:
    (doubt,) = planned(tmp_path, 'notify = ["desk"]').doubts
    assert (doubt.code, doubt.line) == ("ops-unheard", 7)


def test_a_notifier_that_only_a_rule_names_is_one_as_well(tmp_path: Path) -> None:
    (doubt,) = planned(tmp_path, "", rule=RULE + 'notify = ["desk"]\n').doubts
    assert doubt.detail["names"] == "desk"


@pytest.mark.parametrize(
    ("alerts", "source"),
    [
        ('notify = ["terminal", "desk"]\nops = ["terminal", "desk"]', "kis"),
        ('notify = ["screen"]', "kis"),  # nobody sits anywhere else
        ('notify = ["terminal", "desk"]', "simulator"),
    ],
)
def test_what_is_no_doubt(tmp_path: Path, alerts: str, source: str) -> None:
    assert planned(tmp_path, alerts, source=source).doubts == []
