"""Scenario files: what may be written, what is said of mistakes, and when a fault holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_faults import faults

from engine.errors import ConfigurationError
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.record import FIELDS
from engine.simulator import kinds
from engine.simulator.faults import MAX_WAITING_ANSWERS, Churn, ConnectionFaults, Faults
from engine.simulator.kinds import KINDS
from engine.simulator.scenario import MAX_FAULTS, load, parse

START = 1_700_000_000 * SECOND_NS
NEEDED = {
    "approval-error": 'code = "EGW00103"',
    "approval-status": "status = 503",
    "approval-body": 'form = "html"',
    "approval-slow": 'by = "5s"',
    "approval-end": 'how = "fin"',
    "handshake": 'how = "silent"',
    "slot-kept": 'keep = "90s"',
    "churn-block": 'connections = 10, within = "1m", block = "10m"',
    "answer": 'msg_cd = "OPSP8999"',
    "answer-late": 'by = "3s"',
    "answer-header": 'form = "missing"',
    "field": 'value = ""',
    "time-back": 'by = "5s"',
    "batch": "records = 20",
    "burst": "rate = 10000",
}
"""Keys that some kinds cannot do without."""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "storm.toml")
    return [problem.text(Locale.EN) for problem in caught.value.problems]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_written(kind: str) -> None:
    (fault,) = parse(faults(", ".join(filter(None, (f'do = "{kind}", at = "30s"', NEEDED.get(kind)))))).faults
    assert type(fault) is KINDS[kind]
    assert (fault.do, fault.at) == (kind, 30 * SECOND_NS)


@pytest.mark.parametrize("kind", NEEDED)
def test_what_a_kind_cannot_do_without_is_missed(kind: str) -> None:
    said = problems(faults(f'do = "{kind}"'))
    assert all(line.startswith("storm.toml:2: fault[1]") for line in said)
    assert all(line.endswith(": is required") for line in said)


def test_all_mistakes_at_once_with_their_places() -> None:
    text = """\
titel = "x"
[[fault]]
do = "resett"
[[fault]]
do = "silence"
at = 3
whatt = 1
[[fault]]
at = "1s"
[[fault]]
do = "no-data"
symbols = ["5930", "005930"]
share = 2.0
[[fault]]
do = "field"
value = ""
fields = ["sell_volumee"]
[[fault]]
do = "wrong-count"
by = 0
[[fault]]
do = "huge-header"
size = 9223372036854775808
[[fault]]
do = 7
"""
    said = problems(text.replace('titel = "x"\n', "\n"))
    assert said[0].startswith('storm.toml:3: fault[1].do: resett is not one of "approval-error", ')
    assert said[0].endswith('; did you mean "reset"?')
    assert said[1:] == [
        'storm.toml:6: fault[2].at: must be text such as "30s"',
        "storm.toml:7: fault[2].whatt: unknown key",
        "storm.toml:8: fault[3].do: is required",
        'storm.toml:12: fault[4].symbols[1]: "5930" is neither a six-character code nor a known stock name',
        "storm.toml:13: fault[4].share: 2.0 is out of range; must be ≤ 1",
        (
            f"storm.toml:17: fault[5].fields[1]: sell_volumee is not one of {', '.join(FIELDS)}; "
            'did you mean "sell_volume"?'
        ),
        "storm.toml:20: fault[6].by: 0 is out of range; must be ≠ 0",
        "storm.toml:23: fault[7].size: 9223372036854775808 is out of range; must be ≤ 9.22337e+18",
        "storm.toml:25: fault[8].do: must be text",
    ]
    assert problems(text) == ["storm.toml:1: titel: unknown key", *said]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("times = 3", "fault[1].every: is required"),
        ('every = "1m"', "fault[1].for: is required"),
        ('every = "1m", for = "1m"', "fault[1].for: 1m is out of range; must be < every (1m)"),
        ('every = "0s", for = "1s"', "fault[1].every: must be longer than 0s"),
        ('at = "1.5s"', 'fault[1].at: "1.5s" is no duration; write "45s", "5m" or "1h30m"'),
        ("limit = 0", "fault[1].limit: 0 is out of range; must be ≥ 1"),
        ("share = 0.0", "fault[1].share: 0.0 is out of range; must be > 0"),
        ('since = "opn"', 'fault[1].since: opn is not one of "start", "open", "subscribed"; did you mean "open"?'),
    ],
)
def test_keys_that_do_not_go_together(table: str, said: str) -> None:
    assert problems(faults(f'do = "silence", {table}')) == [f"storm.toml:2: {said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fault = 3", "storm.toml:1: fault: must be a list: [ … ], or [[ … ]] for a list of tables"),
        ("fault = [3]", "storm.toml:1: fault[1]: must be a table"),
        ("[fault]\ndo = 3", "storm.toml:1: fault: must be a list: [ … ], or [[ … ]] for a list of tables"),
        (faults(*['do = "fin"'] * (MAX_FAULTS + 1)), "storm.toml:1: fault: 1001 is out of range; must be ≤ 1000"),
        (
            faults('do = "extra-fields", count = 50, repeat = 100000'),
            "storm.toml:2: fault[1].repeat: 5000000 is out of range; must be ≤ 100000",
        ),
        (faults('do = "fin", for = "1s"'), 'storm.toml:2: fault[1].for: unknown key; did you mean "do"?'),
    ],
)
def test_files_that_are_none(text: str, said: str) -> None:
    assert [line.replace('; did you mean "do"?', "") for line in problems(text)] == [
        said.replace('; did you mean "do"?', "")
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "storm.toml")
    assert caught.value.problems[0].code == "no-file"


def test_an_empty_scenario_is_one() -> None:
    assert parse("").faults == ()


toml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from([*KINDS]), st.data())
def test_whatever_a_key_holds_is_taken_or_refused_in_words(kind: str, data: st.DataObject) -> None:
    keys = [field.alias or name for name, field in KINDS[kind].model_fields.items() if name != "do"]
    key = data.draw(st.sampled_from(keys))
    value: Any = data.draw(toml_values.filter(lambda value: value is not None))
    try:
        text = faults(f'do = "{kind}", {key} = {_toml(value)}')
        parse(text)
    except ConfigurationError as error:
        assert [problem.text(locale) for problem in error.problems for locale in Locale]


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return json.dumps(value)
        case _:
            return str(value)


# When a fault holds.


def holding(table: str, until_s: int = 100) -> list[int]:
    (fault,) = parse(faults(f'do = "silence", {table}')).faults
    assert isinstance(fault, kinds.Lasting)
    return [second for second in range(until_s) if fault.holding(second * SECOND_NS) is not None]


@pytest.mark.parametrize(
    ("table", "seconds"),
    [
        ('at = "0s"', [*range(100)]),
        ('at = "97s"', [97, 98, 99]),
        ('at = "10s", for = "3s"', [10, 11, 12]),
        ('at = "10s", for = "2s", every = "30s"', [10, 11, 40, 41, 70, 71]),
        ('at = "10s", for = "2s", every = "30s", times = 2', [10, 11, 40, 41]),
        ('for = "1500ms", every = "50s"', [0, 1, 50, 51]),
    ],
)
def test_when_a_lasting_fault_holds(table: str, seconds: list[int]) -> None:
    assert holding(table) == seconds


def connection(*tables: str, opened_s: float = 0) -> ConnectionFaults:
    return Faults(parse(faults(*tables)), 1, START).connection(1, START + int(opened_s * SECOND_NS))


@pytest.mark.parametrize(
    ("table", "opened_s", "seconds"),
    [
        ('at = "3s"', 0, [3]),
        ('at = "3s"', 5, []),
        ('at = "3s", every = "4s"', 5, [7, 11, 15]),
        ('at = "3s", every = "4s", times = 2', 5, [7]),
        ('at = "3s", since = "open"', 5, [8]),
        ('since = "open"', 5, [5]),
        ('at = "1s", since = "open", every = "2s", times = 3', 5, [6, 8, 10]),
        ('at = "1s", since = "open", every = "2s", limit = 2', 5, [6, 8]),
        ('at = "0s", since = "subscribed"', 5, [7]),
        ('at = "2s", since = "subscribed", every = "5s"', 5, [9, 14]),
    ],
)
def test_moments_come_once_each(table: str, opened_s: int, seconds: list[int]) -> None:
    met = connection(f'do = "reset", {table}', opened_s=opened_s)
    found = []
    for tenth in range(opened_s * 10, 175):
        now = START + tenth * SECOND_NS // 10
        if tenth == 70:
            met.subscribed(now)
        found += [tenth / 10 for _ in met.moments(now)]
    assert found == seconds


def test_a_late_look_finds_the_moment_all_the_same() -> None:
    met = connection('do = "fin", at = "3s"')
    assert len(list(met.moments(START + 60 * SECOND_NS))) == 1
    assert list(met.moments(START + 61 * SECOND_NS)) == []


def test_the_limit_is_shared_by_all_connections_and_the_share_is_not() -> None:
    scenario = parse(faults('do = "ghost", share = 0.5, limit = 30'))
    everyone = Faults(scenario, 1, START)
    struck = [[everyone.connection(n, START).ghost("005930", START) for n in range(200)].count(True)]
    assert struck == [30]
    assert everyone.played() == {"ghost": 30}
    first = [Faults(scenario, 1, START).connection(n, START).ghost("005930", START) for n in range(50)]
    again = [Faults(scenario, 1, START).connection(n, START).ghost("005930", START) for n in reversed(range(50))]
    assert first == again[::-1]
    assert 10 < first.count(True) < 40


def test_a_state_is_decided_once_a_round() -> None:
    scenario = parse(faults('do = "silence", share = 0.5, for = "10s", every = "20s"'))
    kinds_of_rounds = set()
    for number in range(20):
        met = Faults(scenario, 1, START).connection(number, START)
        first = {met.silent(START + second * SECOND_NS) for second in range(10)}
        second = {met.silent(START + second * SECOND_NS) for second in range(20, 30)}
        assert len(first) == len(second) == 1
        kinds_of_rounds.add((*first, *second))
    assert len(kinds_of_rounds) == 4


def test_what_is_told_is_told_once_a_round_and_place() -> None:
    told: list[tuple[str, str]] = []
    everyone = Faults(
        parse(faults('do = "ghost", for = "5s", every = "10s"')), 1, START, lambda *said: told.append(said)
    )
    for number in (1, 2):
        met = everyone.connection(number, START)
        for second in (0, 1, 2, 11):
            met.ghost("005930", START + second * SECOND_NS)
    assert told == [("ghost", "connection=1")] * 2 + [("ghost", "connection=2")] * 2
    assert everyone.played() == {"ghost": 8}


def test_late_answers_do_not_pile_up() -> None:
    met = connection('do = "answer-late", by = "1h"')
    early = [met.answer("{}", "005930", START, subscribe=True) for _ in range(MAX_WAITING_ANSWERS + 5)]
    assert sum(map(len, early)) == 5


def test_blocks_count_what_is_recent() -> None:
    (fault,) = parse(faults('do = "churn-block", connections = 3, within = "10s", block = "1m"')).faults
    assert isinstance(fault, kinds.ChurnBlock)
    churn = Churn(fault)
    for second in (0, 4, 8, 12, 16):  # three in ten seconds, always
        assert not churn.count("connections", START + second * SECOND_NS)
    assert churn.count("connections", START + 17 * SECOND_NS)
    assert not churn.count("connections", START + 18 * SECOND_NS), "a block is not made longer by knocking"
    assert churn.blocked(START + 76 * SECOND_NS)
    assert not churn.blocked(START + 77 * SECOND_NS)
    assert churn.blocks == 1


def test_a_burst_keeps_its_rate_and_makes_up_for_a_second_at_most() -> None:
    met = connection('do = "burst", rate = 30')
    assert sum(met.burst(START + tick * SECOND_NS // 20) for tick in range(21)) == 30
    assert met.burst(START + 100 * SECOND_NS) == 30
