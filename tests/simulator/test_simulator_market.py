from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kst import DAY_NS, KST, SECOND_NS, clock_time, day_number
from engine.record import Record
from engine.simulator import codes, market
from engine.simulator.market import Market, on_grid, price_tick

START = int(datetime(2026, 11, 20, 10, 0, tzinfo=KST).timestamp()) * SECOND_NS
MIDNIGHT = int(datetime(2026, 11, 21, 0, 0, tzinfo=KST).timestamp()) * SECOND_NS
STEP = SECOND_NS // 20


def a_market(*, symbols: int = 20, rate: float = 40, seed: int = 1, now: int = START) -> Market:
    return Market(codes.first(symbols), rate=rate, seed=seed, now=now)


def play(made_up: Market, *, start: int = START, seconds: float, step: int = STEP) -> list[tuple[int, Record]]:
    """Every record with the moment at which it was asked for."""
    return [
        (now, record)
        for now in range(start + step, start + int(seconds * SECOND_NS) + 1, step)
        for record in made_up.advance(now)
    ]


@given(
    seed=st.integers(),
    symbols=st.integers(1, 50),
    rate=st.floats(0.5, 400),
    start=st.integers(START, START + DAY_NS),
    steps=st.lists(st.integers(0, 3 * SECOND_NS), max_size=40),
)
def test_counters_never_fall_within_a_day_and_the_arithmetic_holds(
    seed: int, symbols: int, rate: float, start: int, steps: list[int]
) -> None:
    made_up = a_market(symbols=symbols, rate=rate, seed=seed, now=start)
    last: dict[tuple[str, bool], Record] = {}
    now = start
    for step in steps:
        now += step
        for record in made_up.advance(now):
            assert record.net_volume == record.buy_volume - record.sell_volume
            assert record.net_value == record.buy_value - record.sell_value
            assert record.net_resting == record.buy_resting - record.sell_resting
            assert min(record[2:6]) >= 0
            assert min(record.sell_resting, record.buy_resting) >= 0
            # A step is at most 3 s: stamps of 00:00:0x in it are of the day that `now` is in.
            today = day_number(now) == day_number(start) or record.time < "120000"
            before = last.get((record.symbol, today))
            if before is not None:
                assert record.time >= before.time
                assert all(a >= b for a, b in zip(record[2:6], before[2:6], strict=True))
                for side in ("sell", "buy"):
                    volume = getattr(record, f"{side}_volume") - getattr(before, f"{side}_volume")
                    value = getattr(record, f"{side}_value") - getattr(before, f"{side}_value")
                    if volume:
                        price, rest = divmod(value, volume)
                        assert rest == 0
                        assert price % price_tick(price) == 0
                    else:
                        assert value == 0
            last[record.symbol, today] = record


@given(seed=st.integers(), coarse=st.integers(1, 40))
@settings(max_examples=20)
def test_the_same_seed_gives_the_same_records_however_often_it_is_asked(seed: int, coarse: int) -> None:
    fine = [record for _, record in play(a_market(seed=seed), seconds=20)]
    again = [record for _, record in play(a_market(seed=seed), seconds=20)]
    seldom = [record for _, record in play(a_market(seed=seed), seconds=20, step=STEP * coarse)]
    assert fine == again
    assert fine[: len(seldom)] == seldom
    assert fine != [record for _, record in play(a_market(seed=seed + 1), seconds=20)]


@pytest.mark.parametrize(
    ("symbols", "rate", "seconds"), [(20, 40, 60), (1, 0.5, 600), (300, 5, 120), (20, 400, 20), (3000, 20_000, 1)]
)
def test_the_rate_holds_in_the_mean(symbols: int, rate: float, seconds: float) -> None:
    counts = [
        len(play(a_market(symbols=symbols, rate=rate, seed=seed), seconds=seconds)) / seconds / rate
        for seed in range(1, 6)
    ]
    assert all(0.8 < share < 1.2 for share in counts)
    assert 0.95 < sum(counts) / len(counts) < 1.05


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_newcomer_sees_something_at_once(seed: int) -> None:
    """Day totals cross zero, and back; the flow of 10 s is one-sided somewhere, and then no more."""
    records = play(a_market(seed=seed), seconds=120)
    crossings = sorted(_crossings(records))
    assert crossings[0][0] < 6
    assert _seen_again(crossings, within_s=15)
    starts, ends = _one_sided(records, window_s=10)
    assert starts[0] < 11
    assert ends[0] < 17
    for second in range(10, 120, 10):
        assert any(second <= at < second + 10 for at in starts), "nothing becomes one-sided"
        assert any(second <= at[0] < second + 10 for at in crossings), "nothing crosses"
    assert _one_sided(records, window_s=30)[0]


def _crossings(records: list[tuple[int, Record]]) -> list[tuple[float, str]]:
    crossings = []
    nets: dict[str, int] = {}
    for now, record in records:
        before = nets.get(record.symbol)
        if before is not None and (before <= 0 < record.net_volume or record.net_volume < 0 <= before):
            crossings.append(((now - START) / SECOND_NS, record.symbol))
        nets[record.symbol] = record.net_volume
    return crossings


def _seen_again(crossings: list[tuple[float, str]], *, within_s: float) -> bool:
    early = [symbol for at, symbol in crossings if at < within_s]
    return len(early) > len(set(early))


def _one_sided(records: list[tuple[int, Record]], *, window_s: int) -> tuple[list[float], list[float]]:
    """Seconds at which a symbol's imbalance over the window goes beyond 0.6 either way, and comes back."""
    history: dict[str, list[tuple[int, Record]]] = {}
    inside: dict[str, bool] = {}
    starts: list[float] = []
    ends: list[float] = []
    for now, record in records:
        past = history.setdefault(record.symbol, [])
        past.append((now, record))
        while len(past) > 1 and past[1][0] <= now - window_s * SECOND_NS:
            past.pop(0)
        before = past[0][1]
        if past[0][0] > now - window_s * SECOND_NS:
            continue
        bought, sold = record.buy_volume - before.buy_volume, record.sell_volume - before.sell_volume
        one_sided = abs(bought - sold) > 0.6 * (bought + sold)
        if one_sided != inside.get(record.symbol, False):
            (starts if one_sided else ends).append((now - START) / SECOND_NS)
        inside[record.symbol] = one_sided
    return starts, ends


def test_counters_start_again_at_korean_midnight() -> None:
    made_up = a_market(now=MIDNIGHT - 3 * SECOND_NS)
    before = [record for _, record in play(made_up, start=MIDNIGHT - 3 * SECOND_NS, seconds=3)]
    after = [record for _, record in play(made_up, start=MIDNIGHT, seconds=3)]
    assert before[-1].time == "235959"
    assert {record.time for record in before[-1:]} < {"235957", "235958", "235959"}
    fresh = [record for record in after if record.time < "000010"]
    assert fresh
    largest_before = min(record.buy_volume for record in before)
    assert all(record.buy_volume < largest_before / 2 for record in fresh)


def test_stamps_are_korean_time_and_repeat() -> None:
    records = play(a_market(), seconds=30)
    assert all(record.time in (clock_time(now), clock_time(now - STEP)) for now, record in records)
    stamps = [(record.symbol, record.time) for _, record in records]
    assert len(stamps) > len(set(stamps))


def test_time_away_is_not_made_up_for() -> None:
    made_up = a_market(rate=100)
    made_up.advance(START + SECOND_NS)
    assert len(made_up.advance(START + 3600 * SECOND_NS)) < 100 * market.CATCH_UP_NS / SECOND_NS * 1.5
    assert made_up.advance(START) == []


def test_a_code_that_joins_is_heard_within_two_rounds() -> None:
    made_up = a_market()
    assert made_up.join("0162Z0")
    assert made_up.join("0162Z0")
    assert len(made_up) == 21
    assert sum(record.symbol == "0162Z0" for _, record in play(made_up, seconds=10)) > 5


def test_the_market_takes_only_so_many_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "MAX_SYMBOLS", 21)
    made_up = a_market()
    assert made_up.join("0162Z0")
    assert not made_up.join("0163Z0")
    assert made_up.join("005930")


def test_codes_are_distinct_and_well_formed_and_the_largest_come_first() -> None:
    assert codes.first(3) == ["005930", "000660", "373220"]
    many = codes.first(3000)
    assert len(many) == len(set(many)) == 3000
    assert all(map(codes.is_well_formed, many))
    assert any(not code.isdigit() for code in many)
    assert not any(map(codes.is_well_formed, ["", "5930", "005930 ", "00593o", "٠٠٥٩٣٠", "0059300000", "삼성전자00"]))


@pytest.mark.parametrize(
    ("price", "quoted"),
    [(0.2, 1), (1_999.4, 1999), (2_003, 2005), (49_970, 49_950), (199_949, 199_900), (812_345, 812_000)],
)
def test_prices_are_on_the_exchanges_grid(price: float, quoted: int) -> None:
    assert on_grid(price) == quoted
