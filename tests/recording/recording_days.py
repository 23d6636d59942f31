"""Made-up events for recordings: frames, and the times in them."""

from datetime import datetime

from hypothesis import strategies as st

from engine.kis.protocol import TR_IDS, recorded
from engine.kst import KST, SECOND_NS
from engine.recording.reader import Tally, events
from engine.stream import Alive, Down, Event, Frame, Start, Up

FIELDS = "005930^092237^1413444^109159646900^1189408^91931710200^-224036^-17227936700^65033^15475^-49558"


def at(text: str) -> int:
    """`2026-11-20T09:00:00`, KST, in ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=KST).timestamp()) * SECOND_NS


MORNING = at("2026-11-20T09:00:00")


def text(number: int = 0, symbol: str = "005930", tr_id: str = TR_IDS[0]) -> str:
    return f"0|{tr_id}|001|{symbol}^092237^{number}^{FIELDS.split('^', 3)[3]}"


def frame(t: int, number: int = 0, symbol: str = "005930") -> Frame:
    return framed(t, text(number, symbol))


def framed(t: int, raw: str) -> Frame:
    data = recorded(raw)
    return Frame(t, data.records, data.text)


def frames(count: int, start: int = MORNING, step: int = SECOND_NS // 10) -> list[Event]:
    return [frame(start + number * step, number) for number in range(count)]


def read(*paths: object, tally: Tally | None = None) -> list[Event]:
    return list(events(paths, tally=tally))  # type: ignore[arg-type]


TIMES = st.integers(0, 4 * 10**18 - 1)
CODES = st.from_regex(r"[0-9A-Z]{6}", fullmatch=True)
SYMBOLS = st.lists(CODES | st.just("*"), max_size=4).map(tuple)
NUMBERS = st.integers(-(10**18) + 1, 10**18 - 1)
CLOCKS = st.builds("{:02d}{:02d}{:02d}".format, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
ROWS = st.builds(
    lambda code, clock, numbers, more: "^".join([code, clock, *map(str, numbers), *more]),
    CODES,
    CLOCKS | st.just("250000"),
    st.lists(NUMBERS, min_size=9, max_size=9),
    st.just([]),
)
RAW = st.builds(
    lambda tr_id, rows, end: f"0|{tr_id}|{len(rows):03d}|{'^'.join(rows)}{end}",
    st.sampled_from(TR_IDS),
    st.lists(ROWS, min_size=1, max_size=4),
    st.sampled_from(["", "^"]),
)
EVENTS = st.one_of(
    st.builds(framed, TIMES, RAW),
    st.builds(Up, TIMES, SYMBOLS),
    st.builds(Down, TIMES, SYMBOLS),
    st.builds(Start, TIMES),
    st.builds(Alive, TIMES),
)
