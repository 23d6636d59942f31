"""The made-up market: program trading that is lively from its first second. Pure; the moment is passed in.

Records come in *moments*: a basket of one to twenty records at one instant, then a pause that makes up for it, so that
`rate` holds in the mean. What happens depends on the seed, the start and the codes that joined only: asking every
50 ms or once a second gives the same records.

Each stock leans to buying or selling for a while, then turns. How long is its pace, by its place in the list: every
fourth is *fast* and starts with its day's net close to zero, on its way across; every fourth is *slow*. So a newcomer's
first rule has something to say within seconds and takes it back soon after. At the start four buy, four sell, and so
on: of every pace both sides are there, whatever the seed.
"""

from collections.abc import Iterable, Sequence
from random import Random

from engine.kst import DAY_NS, SECOND_NS, clock_time, day_number
from engine.record import Record

MAX_SYMBOLS = 10_000
"""Codes that clients may bring in, all told: a stock costs about 300 bytes and is never forgotten."""
LARGEST_MOMENT = 20
"""Records of one instant: as many as one frame of the broker was seen to carry."""
CATCH_UP_NS = 2 * SECOND_NS
"""After a longer absence (a suspended machine) what lies further back never happened, instead of coming as a burst."""

_PACES_S = ((5.0, 9.0), (9.0, 18.0), (14.0, 24.0), (30.0, 60.0))
"""Seconds until a stock turns, from fast to slow: windows of 10 s and of 30 s both find one that leans throughout."""
_PRICE_LIMIT = 0.3
"""KRX: a price moves at most 30 % from the day's base."""
_TICKS = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))


def price_tick(price: int) -> int:
    """The KRX step (won) at this price, as it is since 2023."""
    return next((tick for below, tick in _TICKS if price < below), 1_000)


def on_grid(price: float) -> int:
    """The nearest price that can be quoted, won."""
    tick = price_tick(int(price))
    return max(1, round(price / tick) * tick)


class _Stock:
    """Volumes and resting quantities in shares, values in won; `lean` in [-1, 1]: above zero programs buy."""

    __slots__ = (
        "base",
        "buy_resting",
        "buy_value",
        "buy_volume",
        "lean",
        "lot",
        "pace",
        "price",
        "sell_resting",
        "sell_value",
        "sell_volume",
        "side",
        "symbol",
        "turns_at",
    )

    def __init__(self, symbol: str, place: int, random: Random) -> None:
        self.symbol = symbol
        self.pace = place % 4
        self.base = self.price = on_grid(10 ** random.uniform(4.3, 5.8))
        self.lot = max(5, int(random.uniform(0.5, 2.0) * 30_000_000 / self.price))
        self.side = 1 if place // 4 % 2 == 0 else -1
        self.lean = self.side * random.uniform(0.8, 0.95)
        self.turns_at = 0
        self.sell_volume = self.sell_value = self.buy_volume = self.buy_value = 0
        self.sell_resting = int(self.lot * random.uniform(10, 40))
        self.buy_resting = int(self.lot * random.uniform(10, 40))

    def open_in_the_day(self, random: Random, records_per_s: float) -> None:
        """Give it a day so far. A fast one stands two to five seconds of its own flow short of zero."""
        volume = int(self.lot * random.uniform(500, 3_000))
        if self.pace == 0:
            net = -self.side * int(self.lot * records_per_s * random.uniform(2, 5)) - self.side
        else:
            net = int(volume * random.uniform(-0.05, 0.05))
        self.buy_volume = volume + max(net, 0)
        self.sell_volume = volume + max(-net, 0)
        self.buy_value = self.buy_volume * self.price
        self.sell_value = self.sell_volume * self.price

    def new_day(self) -> None:
        self.sell_volume = self.sell_value = self.buy_volume = self.buy_value = 0
        self.base = self.price

    def turn(self, t: int, random: Random) -> None:
        """Lean another way from `t` on. A fast stock turns towards a day's net of zero, so it keeps crossing it."""
        low, high = _PACES_S[self.pace]
        first = self.turns_at == 0
        self.turns_at = t + int(random.uniform(low, high) * SECOND_NS)
        if first:
            return
        net = self.buy_volume - self.sell_volume
        if self.pace == 0 and net:
            self.side = -1 if net > 0 else 1
        elif random.random() < 0.25:
            self.lean = random.uniform(-0.3, 0.3)
            return
        else:
            self.side = -self.side
        self.lean = self.side * random.uniform(0.8, 0.95)

    def trade(self, t: int, stamp: str, random: Random) -> Record:
        """One execution report at `t`."""
        if t >= self.turns_at:
            self.turn(t, random)
        lean = self.lean
        chance = random.random()
        lot = self.lot
        # Some reports are large: a basket order worked off at once. They never go against the lean.
        major = 1 + int(lot * (0.5 + random.random()) * (6 if chance < 0.03 else 1))
        strength = lean if lean > 0 else -lean
        minor = int(major * (1 - strength) / (1 + strength) * (0.5 + random.random()))
        if chance > 0.85:
            self._move(random.random() < 0.5 + 0.3 * lean)
        price = self.price
        bought, sold = (major, minor) if lean > 0 else (minor, major)
        self.buy_volume += bought
        self.buy_value += bought * price
        self.sell_volume += sold
        self.sell_value += sold * price
        self.sell_resting = self._resting(self.sell_resting, random.random())
        self.buy_resting = self._resting(self.buy_resting, random.random())
        return Record(
            self.symbol,
            stamp,
            self.sell_volume,
            self.sell_value,
            self.buy_volume,
            self.buy_value,
            self.buy_volume - self.sell_volume,
            self.buy_value - self.sell_value,
            self.sell_resting,
            self.buy_resting,
            self.buy_resting - self.sell_resting,
        )

    def _resting(self, level: int, chance: float) -> int:
        """A level wanders, and is drawn back to some twenty-five lots."""
        return max(0, level + int((chance - 0.5) * 4 * self.lot) + (25 * self.lot - level) // 32)

    def _move(self, up: bool) -> None:
        # Below a band's edge the smaller step holds: from 50,000 won one step down is 49,950.
        price = self.price + price_tick(self.price) if up else self.price - price_tick(self.price - 1)
        if abs(price - self.base) <= self.base * _PRICE_LIMIT:
            self.price = price


class Market:
    """Everything that happened, asked for in steps: `advance(now)` gives the records since the last call.

    `rate` is records a second over all codes, of which there is one at least. Times are nanoseconds since the epoch;
    a `now` that falls gives nothing.
    """

    def __init__(self, symbols: Iterable[str], *, rate: float, seed: int, now: int) -> None:
        # The seed is no secret: repeatability is the point.
        self._random = Random(seed)  # noqa: S311  a made-up market keeps no secret
        self._rate = rate
        self._largest = int(min(LARGEST_MOMENT, max(1.0, rate / 2)))
        self._next = now
        self._day = day_number(now)
        self._stamp_at = -1
        self._stamp = ""
        codes = list(dict.fromkeys(symbols))
        self._stocks: dict[str, _Stock] = {}
        for code in codes:
            self._add(code, rate / len(codes))
        self._deck: list[_Stock] = []

    def __len__(self) -> int:
        return len(self._stocks)

    def join(self, symbol: str) -> bool:
        """Take a code into the market, if it is not in it; False if there are too many already."""
        if symbol in self._stocks:
            return True
        if len(self._stocks) >= MAX_SYMBOLS:
            return False
        self._add(symbol, self._rate / (len(self._stocks) + 1))
        # Into what is left of this round: a newcomer is heard about as soon as everybody else.
        self._deck.insert(self._random.randrange(len(self._deck) + 1), self._stocks[symbol])
        return True

    def advance(self, now: int) -> list[Record]:
        """The records of (last call, now], in order; at most `CATCH_UP_NS` of them back."""
        self._next = max(self._next, now - CATCH_UP_NS)
        records: list[Record] = []
        while self._next <= now:
            self._moment(self._next, records)
        return records

    def trades(self, symbols: Sequence[str], count: int, now: int, random: Random) -> list[Record]:
        """So many more records at this instant, of these symbols in turn, which must be in the market.

        They move the totals and draw from `random` alone: what the market would have drawn stays as it was.
        """
        stamp = clock_time(now)
        stocks = [self._stocks[symbol] for symbol in symbols]
        return [stocks[at % len(stocks)].trade(now, stamp, random) for at in range(count)]

    def _add(self, code: str, records_per_s: float) -> None:
        stock = _Stock(code, len(self._stocks), self._random)
        stock.open_in_the_day(self._random, records_per_s)
        self._stocks[code] = stock

    def _moment(self, t: int, records: list[Record]) -> None:
        day, second = day_number(t), t // SECOND_NS
        if day != self._day:
            self._day = day
            for stock in self._stocks.values():
                stock.new_day()
        if second != self._stamp_at:
            self._stamp_at = second
            self._stamp = clock_time(t)
        random, stamp = self._random, self._stamp
        size = self._size()
        records.extend([self._draw().trade(t, stamp, random) for _ in range(size)])
        self._next = t + max(1, int(size / self._rate * (0.5 + random.random()) * SECOND_NS))

    def _size(self) -> int:
        chance = self._random.random()
        if chance < 0.6:
            return 1
        return self._random.randint(1, min(4, self._largest) if chance < 0.85 else self._largest)

    def _draw(self) -> _Stock:
        """Every stock once a round, in an order of its own each round."""
        if not self._deck:
            self._deck = list(self._stocks.values())
            self._random.shuffle(self._deck)
        return self._deck.pop()


assert CATCH_UP_NS < DAY_NS, "or a day could pass without its reset"
