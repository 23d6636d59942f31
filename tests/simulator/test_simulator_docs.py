"""docs/simulator.md tells what the simulator does, all of it."""

import json
import re
from pathlib import Path

from engine.simulator.desk import DROPPING
from engine.simulator.keys import DESCRIPTIONS
from engine.simulator.messages import TEXTS, Request, parse_request

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()


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
