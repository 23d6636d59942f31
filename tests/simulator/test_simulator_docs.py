"""docs/simulator.md tells what the simulator does, all of it."""

import json
import re
from pathlib import Path

import pytest
from simulator_faults import faults

from engine.simulator.desk import DROPPING
from engine.simulator.keys import DESCRIPTIONS
from engine.simulator.kinds import KINDS, Fault
from engine.simulator.messages import TEXTS, Request, parse_request
from engine.simulator.scenario import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "simulator.md").read_text()
FAULTS = dict(re.findall(r'^\| `(do = "([a-z0-9-]+)".*?)` \|', PAGE, re.MULTILINE))
FAULT_ROWS = {kind: example for example, kind in FAULTS.items()}


def keys(kind: type[Fault]) -> set[str]:
    return {field.alias or name for name, field in kind.model_fields.items()}


def test_every_code_is_documented_and_no_other() -> None:
    assert set(re.findall(r"OPSP[0-9]{4}", PAGE)) == set(TEXTS)
    assert set(re.findall(r"EGW[0-9]{5}", PAGE)) == set(DESCRIPTIONS)


def test_what_drops_a_connection_is_documented() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| OPSP")]
    dropping = {code for row in rows if row.endswith("| dropped |") for code in re.findall(r"OPSP[0-9]{4}", row)}
    assert dropping == set(DROPPING) <= set(TEXTS)


def test_the_session_of_the_page_could_take_place() -> None:
    said = [line[2:] for line in PAGE.splitlines() if line.startswith("> {")]
    heard = [line[2:] for line in PAGE.splitlines() if line.startswith("< ")]
    requests = [text for text in said if "PINGPONG" not in text]
    assert len(requests) == 3
    assert all(isinstance(parse_request(text), Request) for text in requests)
    for text in heard:
        if text.startswith("{"):
            json.loads(text)
        else:
            _, _, count, payload = text.split("|", 3)
            assert len(payload.split("^")) == 11 * int(count)


def test_every_fault_is_documented_and_no_other() -> None:
    assert set(FAULT_ROWS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_fault_can_be_played_and_its_keys_are_told(kind: str) -> None:
    (fault,) = parse(faults(FAULT_ROWS[kind])).faults
    assert type(fault) is KINDS[kind]
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f'| `do = "{kind}"')]
    common = PAGE.split("## Scenarios")[1].split("###")[0]
    section = PAGE[: PAGE.index(row)].rsplit("###", 1)[1] + row
    for key in keys(KINDS[kind]):
        assert f"| `{key}` |" in common or key in re.findall(r"[a-z_0-9]+", section), key


@pytest.mark.parametrize(
    "kind",
    [
        "approval-error", "approval-slow", "handshake", "close", "huge-header", "extra-fields", "wrong-count",
        "encrypted", "fragments", "segments", "other-tr",
    ],
)  # fmt: skip
def test_examples_of_these_faults_show_the_defaults(kind: str) -> None:
    (fault,) = parse(faults(FAULT_ROWS[kind])).faults
    fields = KINDS[kind].model_fields
    optional = [name for name in fault.model_fields_set if name != "do" and not fields[name].is_required()]
    assert optional
    for name in optional:
        assert getattr(fault, name) == fields[name].default, name


@pytest.mark.parametrize("path", sorted((DOCS / "scenarios").glob("*.toml")), ids=lambda path: path.stem)
def test_the_scenarios_are_named_by_the_page(path: Path) -> None:
    assert f"(scenarios/{path.name})" in PAGE


def test_the_scenario_of_the_page_can_be_played() -> None:
    (text,) = re.findall(r"```toml\n(description.*?)```", PAGE, re.DOTALL)
    assert [fault.do for fault in parse(text).faults] == ["reset", "silence", "field"]
