"""The schemas for editors say what the loader says, as far as a schema can."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # has no annotations
from pydantic import BaseModel
from test_rules_load import BAD, WORLD
from test_rules_misuse import FINE, MISUSES

from engine import schema
from engine.commands.schema import schema as command
from engine.config import load as config_load
from engine.config import model
from engine.errors import ConfigurationError
from engine.rules import document
from engine.rules.load import load_files
from engine.rules.model import METRICS, Operator
from engine.schema_words import KEYS

REPOSITORY = Path(__file__).parents[2]
MADE = {"rules": schema.rules, "config": schema.config}
SHIPPED = [REPOSITORY / "config.toml", *sorted((REPOSITORY / "rules").glob("*.toml"))]
SEEN = {
    "unknown-key",
    "not-text",
    "not-list",
    "not-table",
    "not-integer",
    "not-boolean",
    "duration-not-text",
    "not-positive",
    "not-a-duration",
    "not-an-amount",
    "not-a-threshold",
    "not-active-hours",
    "several-operators",
    "several-conditions",
    "no-operator",
    "no-metric",
    "no-condition",
    "window-not-allowed",
    "reset-without-use",
    "too-large-a-number",
    "not-one-of",
    "not-a-time",
    "percent",
    "code-not-text",
}
"""Mistakes that an editor underlines while they are typed."""
UNSEEN = {"above = nan", "reset = nan", "inside = [nan", 'name = " "', '"99999999999조"'}
"""… but for these, which JSON cannot say, or no pattern without look-ahead."""


def complaints(kind: str, data: Any) -> list[Any]:
    as_json = json.loads(json.dumps(data, default=lambda value: value.isoformat()))  # as editors turn TOML into JSON
    return list(Draft4Validator(MADE[kind]()).iter_errors(as_json))


@pytest.mark.parametrize("kind", MADE)
def test_the_files_are_what_the_models_give(kind: str) -> None:
    written = (REPOSITORY / "docs" / "schema" / f"{kind}.json").read_text()
    assert written == schema.text(MADE[kind]()), f"pgmwatch schema {kind} > docs/schema/{kind}.json"
    assert CliRunner().invoke(command, [kind], standalone_mode=False).output == written


@pytest.mark.parametrize("kind", MADE)
def test_only_what_draft_4_has(kind: str) -> None:
    made = MADE[kind]()
    Draft4Validator.check_schema(made)
    text = json.dumps(made)
    for later in ("$defs", '"const"', '"null"', "(?", "propertyNames", "prefixItems", "examples", '"if"'):
        assert later not in text
    assert '"exclusiveMinimum": true' in text or kind == "rules"  # a boolean, before Draft 6


def models() -> list[type[BaseModel]]:
    tables = [getattr(module, name) for module in (model, document) for name in vars(module)]
    classes = [each for each in tables if isinstance(each, type) and issubclass(each, BaseModel)]
    return [each for each in classes if each not in (BaseModel, model.Table, document.Table)]


def test_every_key_is_explained_in_both_languages_and_nothing_else_is() -> None:
    keys = {f"{each.__name__}.{field.alias or name}" for each in models() for name, field in each.model_fields.items()}
    assert set(KEYS) == keys
    assert all(told.en and re.search("[가-힣]|KRX", told.ko) for told in KEYS.values())


def test_hover_and_completion_are_there_at_every_key() -> None:
    for made in (schema.rules(), schema.config()):
        for table in [made, *made["definitions"].values()]:
            assert all(each["description"] for each in table["properties"].values())
    entry = schema.rules()["definitions"]["Entry"]["properties"]
    assert set(entry["metric"]["enum"]) == METRICS
    assert set(Operator) <= set(entry)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_name_their_schema_and_fit_it(path: Path) -> None:
    first = path.read_text().split("\n", 1)[0]
    assert first.startswith("#:schema ")
    named = (path.parent / first.removeprefix("#:schema ")).resolve()
    kind = "config" if path.name == "config.toml" else "rules"
    assert named == REPOSITORY / "docs" / "schema" / f"{kind}.json"
    assert complaints(kind, tomllib.loads(path.read_text())) == []


@pytest.mark.parametrize("text", FINE, ids=range(len(FINE)))
def test_what_the_loader_takes_the_schema_takes(text: str) -> None:
    assert complaints("rules", tomllib.loads(text)) == []


@pytest.mark.parametrize("text", [row[0] for row in [*BAD, *MISUSES] if row[2] in SEEN])
def test_common_misuses_are_seen_while_they_are_typed(text: str) -> None:
    if not any(part in text for part in UNSEEN):
        assert complaints("rules", tomllib.loads(text))


numbers = st.one_of(
    st.integers(-(10**19), 10**19),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["3만", "3만주", "-1.5조", "50억원", " 1,234 ", "x", "", "30%"]),
    st.booleans(),
)
durations = st.one_of(st.from_regex(r"[0-9]{0,3}[hms]?[0-9]{0,3}[hms]?", fullmatch=True), st.just(5))
moments = st.sampled_from(["09:05", "24:00", "25:00", "open", "open+5m", "close-1h10m", "close-", "open+5", " 09:00"])
spans = st.lists(st.one_of(st.builds("{}~{}".format, moments, moments), st.just("x")), max_size=2)
conditions: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda base, more: {**base, **more},
    st.fixed_dictionaries({"metric": st.sampled_from([*sorted(METRICS), "x"])}),
    st.one_of(
        st.dictionaries(
            st.sampled_from([*Operator, "reset"]).map(str),
            st.one_of(numbers, st.lists(numbers, max_size=3)),
            max_size=2,
        ),
        st.fixed_dictionaries({"inside": st.lists(numbers, min_size=2, max_size=2)}, optional={"window": durations}),
        st.fixed_dictionaries({"above": numbers}, optional={"window": durations, "reset": numbers}),
    ),
)
entries = st.recursive(
    conditions,
    lambda inner: st.dictionaries(st.sampled_from(["all", "any", "none"]), st.lists(inner, max_size=2), max_size=2),
    max_leaves=4,
)
rule_tables = st.builds(
    lambda base, entry, more: {**base, **entry, **more},
    st.fixed_dictionaries({"name": st.text(max_size=90), "symbols": st.just(["005930"])}),
    entries,
    st.fixed_dictionaries(
        {},
        optional={
            "for": durations,
            "cooldown": durations,
            "repeat": durations,
            "active": spans,
            "max_per_day": st.integers(-1, 3),
            "severity": st.sampled_from(["info", "critical", "bad"]),
            "labels": st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
            "aggregate": st.sampled_from(["sum", "avg"]),
            "chart": st.booleans(),
            "title": st.just("{{ stock }}"),
        },
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(table=rule_tables)
def test_the_schema_is_never_stricter_than_the_loader(tmp_path: Path, table: dict[str, Any]) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(tomli_w.dumps({"rule": [table]}).encode(errors="replace"))
    try:
        load_files([path], WORLD)
    except ConfigurationError:
        return
    assert complaints("rules", tomllib.loads(path.read_text())) == []


CONFIGS = [
    'locale = "${LOCALE}"\n[feed]\nmarket = "${MARKET}"\nidle_timeout = "${IDLE}"',
    '[calendar]\nclosed = [2026-11-19, "2026-11-20"]\nhours = { "2026-11-23" = "10:00~16:30" }',
    '[alerts]\nself_test = ""\ntitle = "{{ sign }} {{ stock }}"\n[http]\nlisten = ""',
    '[notifiers.desk]\nurls = ["json://127.0.0.1"]\nrate = "20/m"\n[feed]\nretention = { days = 3, size = "20 GB" }',
    "[simulator]\nrate = 0.5\nsymbols = 3000",
]


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_what_the_configuration_takes_its_schema_takes(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    config_load.load(tmp_path / "config.toml", {"LOCALE": "en", "MARKET": "NXT", "IDLE": "30s"})
    assert complaints("config", tomllib.loads(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        'local = "ko"',
        'locale = "fr"',
        "[feed]\nidle_timeout = 60",
        '[feed]\nidle_timeout = "0s"',
        '[feed]\nmarket = "KOSPI"',
        '[session]\nopen = "9"',
        "[simulator]\nrate = 0",
        "[simulator]\nsymbols = 3001",
        '[notifiers.x]\nrate = "20"',
        '[feed.retention]\nsize = "20"',
        "[[feed.account]]\nname = 'a'",
        '[log]\nlevel = "loud"',
        "[calendar]\nclosed = ['x']",
    ],
)
def test_common_mistakes_in_the_configuration_are_seen(text: str) -> None:
    assert complaints("config", tomllib.loads(text))
