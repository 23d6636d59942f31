"""One event ↔ one line."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recording_days import EVENTS, FIELDS, MORNING, RAW, framed, text

from engine.evaluation.engine import Engine
from engine.kis.protocol import TR_IDS, Data, MalformedFrameError, Protocol, recorded
from engine.kst import SECOND_NS
from engine.record import Record
from engine.recording.lines import Lines, line
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.session import Hours
from engine.stream import Alive, Down, Event, Frame, Start, Up

TR = TR_IDS[0]
WINDOWED = Condition("net_volume", Operator.ABOVE, 1, "5m", 300 * SECOND_NS)


def event(written: str) -> Event | None:
    return Lines().event(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (f"{MORNING} #up 005930,0162Z0", Up(MORNING, ("005930", "0162Z0"))),
        (f"{MORNING} #up *", Up(MORNING, ("*",))),
        (f"{MORNING} #down 005930", Down(MORNING, ("005930",))),
        (f"{MORNING} #start", Start(MORNING)),
        (f"{MORNING} #alive", Alive(MORNING)),
        (f"{MORNING} 0|{TR}|001|{FIELDS}", framed(MORNING, f"0|{TR}|001|{FIELDS}")),
    ],
)
def test_the_lines_of_a_recording(written: str, meant: Event) -> None:
    assert event(written) == meant
    assert line(meant) == written


def test_a_frame_holds_its_records_as_numbers() -> None:
    found = event(f"{MORNING} 0|{TR}|001|{FIELDS}")
    assert isinstance(found, Frame)
    assert found.records == (
        Record("005930", "092237", 1413444, 109159646900, 1189408, 91931710200, -224036, -17227936700, 65033, 15475,
               -49558),
    )  # fmt: skip


@given(EVENTS)
@settings(max_examples=300, deadline=None)
def test_every_event_comes_back_as_it_was(meant: Event) -> None:
    written = line(meant)
    assert written.splitlines() == [written]
    reader = Lines()
    assert reader.event(written) == meant
    assert not reader.unreadable


def live(raw: str) -> Data | str:
    """What the connection made of a frame when it came."""
    tr_id = "".join(raw.splitlines())[2:10]
    try:
        found = Protocol(tr_id if tr_id in TR_IDS else TR).receive(raw)
    except MalformedFrameError as error:
        return error.reason
    return found if isinstance(found, Data) else "tr-id"


MUTATIONS = ["", "^", "|", "\u2028", "\r", "x", "-", "9", "٣", "\x1c", "0x1", "^1", "_0", " "]


@given(RAW, st.data())
@settings(max_examples=500, deadline=None)
@example(f"0|{TR}|001|{FIELDS}", None)
def test_a_frame_is_read_as_it_was_decoded_live_also_a_damaged_one(raw: str, draw: st.DataObject | None) -> None:
    for _ in range(draw.draw(st.integers(0, 2)) if draw else 0):
        assert draw
        place = draw.draw(st.integers(2, len(raw)))
        raw = raw[:place] + draw.draw(st.sampled_from(MUTATIONS)) + raw[place + draw.draw(st.integers(0, 3)) :]
    meant = live(raw)
    reader = Lines()
    found = reader.event(f"{MORNING} {raw}")
    if isinstance(meant, Data):
        assert recorded(raw) == meant
        assert found == Frame(MORNING, meant.records, meant.text)
        assert dict(reader.dropped) == meant.dropped
        assert not reader.unreadable
    else:
        assert found == Alive(MORNING)
        assert reader.unreadable.total() == 1


def test_a_million_characters_and_a_million_records_are_refused_as_they_were_live() -> None:
    for raw in (f"0|{TR}|001|{FIELDS}" + "^" * 300_000, f"0|{TR}|999999|{FIELDS}"):
        with pytest.raises(MalformedFrameError) as refused:
            recorded(raw)
        assert refused.value.reason == live(raw)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("hello", "time"),
        (" 0|", "time"),
        ("-1 #alive", "time"),
        ("１ #alive", "time"),
        ("4000000000000000000 #alive", "time"),
        (f"4000000000000000000 0|{TR}|001|{FIELDS}", "time"),
        (f"9000000000000000000 0|{TR}|001|{FIELDS}", "time"),
        ("9300000000000000000 #alive", "time"),
        ("1_0 #alive", "time"),
        (f"0|{TR}|001|{FIELDS}", "time"),
    ],
)
def test_a_line_without_a_time_is_no_event(written: str, reason: str) -> None:
    reader = Lines()
    assert reader.event(written) is None
    assert dict(reader.unreadable) == {reason: 1}


@pytest.mark.parametrize("written", ["", "\r", "\n"])
def test_an_empty_line_is_nothing(written: str) -> None:
    reader = Lines()
    assert reader.event(written) is None
    assert not reader.unreadable.total()


def test_a_time_near_the_end_of_all_times_ended_a_replay_with_a_traceback() -> None:
    """On both ways to read a line: the last time that is taken is of the year 2096."""
    latest = 4 * 10**18 - 1
    assert event(f"{latest} 0|{TR}|001|{FIELDS}") == framed(latest, f"0|{TR}|001|{FIELDS}")
    assert event(f"{latest} #alive") == Alive(latest)
    engine = Engine([Rule("r", ("005930",), Group(Logic.ALL, (WINDOWED,)))], Hours(0, 1))
    for moment in (latest - 1, latest):
        engine.apply(event(f"{moment} 0|{TR}|001|{FIELDS}") or Alive(0))
        engine.advance(moment + 600 * SECOND_NS)
    for far in (2**62 - 1, 2**62, 2**62 + 1, 2**63 - 1):
        for rest in ("#alive", f"0|{TR}|001|{FIELDS}"):
            assert event(f"{far} {rest}") is None


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("#up 005930, 000660", "mark"),
        ("#up 삼성전자", "mark"),
        ("#up 005930,", "mark"),
        ("#start now", "mark"),
        ("#note a mark that a later version writes", "mark"),
        ("", "envelope"),
        (f"0|{TR}|001|005930^0922", "stride"),
        (f"0|{TR}|002|{FIELDS}", "stride"),
        (f"0|{TR}|000|{FIELDS}", "count"),
        (f"1|{TR}|001|AAAA", "flag"),
        (f"0|H0STCNT0|001|{FIELDS}", "tr-id"),
        ('{"header":{"tr_id":"PINGPONG"}}', "envelope"),
    ],
)
def test_a_line_that_is_not_understood_still_says_that_time_has_come(rest: str, reason: str) -> None:
    reader = Lines()
    assert reader.event(f"{MORNING} {rest}") == Alive(MORNING)
    assert dict(reader.unreadable) == {reason: 1}


def test_what_an_editor_does_to_a_file_changes_nothing() -> None:
    assert event(f"\ufeff{MORNING} #up 005930\r") == Up(MORNING, ("005930",))
    assert event(f"{MORNING} {text()}\r") == framed(MORNING, text())


def test_a_line_break_in_a_frame_does_not_make_two_lines_of_it() -> None:
    broken = Frame(MORNING, (), f"0|{TR}|001|{FIELDS}\n{MORNING} #start\u2028\x85\x1c")
    assert line(broken).splitlines() == [line(broken)]


def test_malformed_records_are_counted_and_cost_nothing_else() -> None:
    reader = Lines()
    bad = FIELDS.replace("1413444", "x")
    found = reader.event(f"{MORNING} 0|{TR}|002|{FIELDS}^{bad}")
    assert isinstance(found, Frame)
    assert len(found.records) == 1
    assert dict(reader.dropped) == {"number": 1}
