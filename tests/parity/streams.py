"""Seeded rule sets and recordings that aim at the hard places: small numbers, thresholds among them, odd times.

The same seed gives the same case. A case stays in pieces (rules of a file, lines), so that it can be made smaller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from page_recording import SECOND, at, seoul

CODES = ("005930", "000660", "042700", "0162Z0")
SESSIONS = (("09:00", "15:30"), ("09:00", "15:30"), ("08:00", "20:00"), ("00:01", "23:59"))
DATES = ("2026-11-20", "2026-11-20", "2026-11-23", "2026-11-21", "2026-12-02")
OTHER_HOURS = {"2026-12-02": ("10:00", "16:30")}
AMOUNTS = ("sell", "buy", "net", "total")
WINDOWS = (None, None, "1s", "2s", "3s", "5s", "10s", "30s", "1m", "60s", "90s", "2m", "5m", "1h")
RATIOS = (-1.0, -0.5, -0.2, 0.0, 0, 0.2, 0.25, 1 / 3, 0.5, 0.6, 1, 1.0)
FORWARD, BACKWARD = ("above", "at_least", "crosses_above"), ("below", "at_most", "crosses_below")
PLAIN = ("above", "above", "at_least", "below", "at_most", "outside", "inside")
CROSSINGS = ("crosses_above", "crosses_below")


@dataclass(frozen=True)
class Case:
    seed: int
    files: dict[str, tuple[str, ...]]
    """File name → pieces: what stands at the top, then one rule each."""
    lines: tuple[str, ...]
    session: tuple[str, str]
    hours: dict[str, tuple[str, str]]

    @property
    def texts(self) -> dict[str, str]:
        return {name: "\n".join(pieces) for name, pieces in self.files.items()}

    @property
    def recording(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def hours_of(self, date: str) -> tuple[str, str]:
        return self.hours.get(date, self.session)


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case dict():
            return "{ " + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(toml(part) for part in value) + "]"
    return str(value)


def case(seed: int) -> Case:
    random = Random(seed)
    session = random.choice(SESSIONS)
    date = random.choice(DATES)
    hours = {day: OTHER_HOURS[day] for day in OTHER_HOURS if random.random() < 0.9}
    open_time, close_time = hours.get(date, session)
    opening, closing = at(date, f"{open_time}:00"), at(date, f"{close_time}:00")
    start = random.choice(
        [
            opening - random.randrange(150) * SECOND,
            opening - random.randrange(150) * SECOND,
            opening + random.randrange(-5, 100) * SECOND,
            opening + random.randrange(-5, 100) * SECOND,
            opening,
            opening + random.randrange(60, 1800) * SECOND,
            opening + random.randrange(60, 1800) * SECOND,
            closing - random.randrange(180) * SECOND,
            at(date, "23:59:59") - random.randrange(150) * SECOND,
            at(date, "23:59:59") - random.randrange(150) * SECOND,
        ]
    )
    scale = random.choice([1, 1, 1_000, 10_000, 100_000_000, 10**15])
    codes = random.sample(CODES, random.randint(1, 3))
    files = Rules(random, codes, scale, start).files()
    lines = Lines(random, [*codes, "999999"][: random.randint(len(codes), 4)], scale, start, (opening, closing)).lines()
    return Case(seed, files, tuple(lines), session, hours)


class Rules:
    def __init__(self, random: Random, codes: list[str], scale: int, start: int) -> None:
        self.random = random
        self.codes = codes
        self.scale = scale
        self.start = start
        self.count = 0
        self.has_star = random.random() < 0.2
        """Some rule is for `"*"`; then the first names all, and only those for `"*"` exclude."""

    def files(self) -> dict[str, tuple[str, ...]]:
        names = self.random.choice([["a.toml"], ["b.toml", "a.toml"], ["c.toml", "a/b.toml", "B.toml"]])
        return {name: (self.top(), *(self.rule() for _ in range(self.random.randint(1, 3)))) for name in names}

    def top(self) -> str:
        random = self.random
        defaults: dict[str, object] = {}
        if random.random() < 0.2:
            defaults["cooldown"] = random.choice(["2s", "10s"])
        if random.random() < 0.2:
            defaults["severity"] = "critical"
        if random.random() < 0.1:
            defaults["labels"] = {"desk": "d"}
        group = random.sample(self.codes, random.randint(1, len(self.codes)))
        written = [f"{key} = {toml(value)}" for key, value in defaults.items()]
        return "\n".join((["[defaults]", *written] if written else []) + ["[groups]", f"g = {toml(group)}"])

    def rule(self) -> str:
        random = self.random
        self.count += 1
        if random.random() < 0.12:
            return self.pending_sum()
        is_event = random.random() < 0.3
        table: dict[str, object] = {"name": f"r{self.count}", **self.symbols(), **self.conditions(is_event=is_event)}
        if not is_event:
            table |= self.life()
        if random.random() < 0.5:
            table["cooldown"] = random.choice(["0s", "1s", "3s", "10s", "30s", "2m"])
        if random.random() < 0.3:
            table["max_per_day"] = random.randint(1, 4)
        if random.random() < 0.8:
            table["active"] = self.active()
        if random.random() < 0.1 and self.count > 1:
            table |= random.choice(
                [{"severity": "info"}, {"labels": {"x": "한글"}}, {"enabled": False}, {"labels": {}}]
            )
        return self.written(table)

    def pending_sum(self) -> str:
        """Over all symbols and soon met, so that there is something to start anew."""
        random = self.random
        table = {
            "name": f"r{self.count}", "symbols": self.codes, "aggregate": "sum",
            "metric": random.choice(["buy_resting", "total_volume", "sell_value"]),
            "at_least": random.randint(0, 20) * self.scale, "for": random.choice(["3s", "5s", "10s", "30s"]),
            "active": ["00:00~24:00"], "resolved": True,
        }  # fmt: skip
        return self.written(table)

    def written(self, table: Mapping[str, object]) -> str:
        return "\n".join(["[[rule]]", *(f"{key} = {toml(value)}" for key, value in table.items())]) + "\n"

    def symbols(self) -> dict[str, object]:
        random = self.random
        if self.has_star and self.count == 1:
            return {"symbols": self.codes}
        named = random.choice([
            random.sample(self.codes, random.randint(1, len(self.codes))),
            random.sample(self.codes, random.randint(1, len(self.codes))),
            ["@g"], ["@g"], ["@g", *self.codes], [*self.codes, "@g"],
        ])  # fmt: skip
        if self.has_star and random.random() < 0.5:
            named = random.choice([["*"], ["@g", "*"]])
        table: dict[str, object] = {"symbols": named}
        gone = random.choice(self.codes)
        if "@g" not in named and set(named) - {gone} and (not self.has_star or "*" in named) and len(self.codes) > 1:
            table |= random.choice([{}, {}, {"exclude": [gone]}])
        if random.random() < 0.35:
            table["aggregate"] = "sum"
        return table

    def life(self) -> dict[str, object]:
        random = self.random
        table: dict[str, object] = {}
        if random.random() < 0.5:
            table["for"] = random.choice(["1s", "2s", "3s", "5s", "10s"])
        if random.random() < 0.4:
            table["keep_firing_for"] = random.choice(["1s", "2s", "5s", "10s", "1m"])
        if random.random() < 0.4:
            table["repeat"] = random.choice(["1s", "2s", "5s", "30s"])
        if random.random() < 0.7:
            table["resolved"] = True
        return table

    def active(self) -> list[str]:
        """Spans that are awake, wake or fall asleep during the stream; none goes over midnight."""
        past = seoul(self.start)
        minute = past.hour * 60 + past.minute
        here = f"{clock(minute - 1)}~{clock(minute + self.random.randint(1, 6))}"
        later = f"{clock(minute + 2)}~{clock(minute + 4)}"
        night = ["00:00~00:30", "23:30~23:59"]
        everything = ["00:00~24:00"]
        return self.random.choice(
            [
                ["open~close"],
                ["open+1m~close-1m"],
                ["open-1m~close"],
                ["open-10h~close+10h"],
                [here],
                night,
                *[everything] * 4,
            ]
            + ([[f"{clock(minute)}~{clock(minute + 1)}", later]] if minute < 23 * 60 + 50 else [])
        )

    def conditions(self, *, is_event: bool) -> dict[str, object]:
        random = self.random
        if random.random() < 0.4:
            return self.condition(is_crossing=is_event)
        return self.group(2, is_event=is_event)

    def group(self, depth: int, *, is_event: bool) -> dict[str, object]:
        """One with a crossing in it, and none below a `none`, where the rule is an event's."""
        random = self.random
        logic = random.choice(["all", "any"] if is_event else ["all", "any", "none"])
        parts: list[object] = []
        for _ in range(random.randint(1, 3)):
            is_deep = depth > 1 and random.random() < 0.3
            parts.append(self.group(depth - 1, is_event=False) if is_deep else self.condition(is_crossing=False))
        if is_event:
            crossing = self.condition(is_crossing=True)
            nested: dict[str, object] = {"any": [crossing, self.condition(is_crossing=random.random() < 0.5)]}
            parts.insert(random.randint(0, len(parts)), random.choice([crossing, nested]))
        return {logic: parts}

    def condition(self, *, is_crossing: bool) -> dict[str, object]:
        random = self.random
        window = random.choice(WINDOWS)
        ratios = ["imbalance", "value_imbalance", *(["resting_imbalance"] if window is None else [])]
        metric = random.choice([
            *(f"{way}_volume" for way in AMOUNTS), "net_volume", "buy_volume", *(f"{way}_value" for way in AMOUNTS),
            "sell_resting", "buy_resting", "net_resting", *ratios, *ratios,
        ])  # fmt: skip
        operator = random.choice(CROSSINGS if is_crossing else PLAIN)
        table: dict[str, object] = {"metric": metric}
        if window is not None:
            table["window"] = window
        low, high = sorted((self.place(metric, window), self.place(metric, window)))
        if operator in ("outside", "inside"):
            return table | {operator: [self.spelled(low, metric), self.spelled(high, metric)]}
        has_reset = random.random() < 0.4
        limit, reset = (high, low) if operator in FORWARD else (low, high)
        table[operator] = self.spelled(limit, metric)
        if has_reset:
            table["reset"] = self.spelled(reset, metric)
        return table

    def place(self, metric: str, window: str | None) -> float:
        if "imbalance" in metric:
            return self.random.choice(RATIOS)
        if self.random.random() < 0.2:
            return 0
        most = 12 if window is not None or "resting" in metric else 40
        if self.random.random() < 0.05:
            return self.random.choice([0.5, 2.5, -0.5, 1e3, float(most * self.scale)])
        return self.random.randint(-5 if metric.startswith("net") else -1, most) * self.scale

    def spelled(self, value: float, metric: str) -> object:
        """As a number, or as a trader writes it."""
        if "imbalance" in metric or isinstance(value, float) or self.random.random() < 0.7:
            return value
        word, size = self.random.choice([("만", 10**4), ("억", 10**8), ("조", 10**12), ("", 1)])
        unit = self.random.choice(["", "원" if "value" in metric else "주"])
        return f"{Decimal(value) / size:f}{word}{unit}"


def clock(minute: int) -> str:
    minute = min(max(minute, 0), 24 * 60 - 1)
    return f"{minute // 60:02d}:{minute % 60:02d}"


class Lines:
    def __init__(self, random: Random, codes: list[str], scale: int, start: int, session: tuple[int, int]) -> None:
        self.random = random
        self.codes = codes
        self.scale = scale
        self.session = session
        self.t = start
        self.day = seoul(start).day
        self.counters: dict[str, list[int]] = {}
        self.times = [start]
        self.is_calm = random.random() < 0.4
        """Without corrections, disorder and lost connections: long windows live."""

    def lines(self) -> list[str]:
        random = self.random
        found: list[str] = []
        if random.random() < 0.7:
            self.t += random.choice([0, random.randrange(SECOND)])
            found.append(f"{self.t} #up {random.choice(['*', '*', self.some_codes()])}")
        if random.random() < 0.1:
            self.wait()
            found.append(f"{self.t} #up {random.choice(['*', self.some_codes()])}")
        for _ in range(random.choice([10, 30, 60, 100])):
            self.wait()
            written = self.t
            if random.random() < 0.04 and not self.is_calm:
                written -= random.choice([1, SECOND, 5 * SECOND])
            found.append(self.odd() if random.random() < 0.03 else f"{written} {self.content()}")
            self.times.append(self.t)
            if random.random() < 0.012 and not self.is_calm:
                minutes = random.choice([random.randint(1, 4), random.randrange(20, 60), random.randrange(1200, 3000)])
                self.t += minutes * 60 * SECOND
                found.append(f"{self.t} #start")
            if "#up" in found[-1] and random.random() < 0.15:
                self.t += random.choice([119, 120, 121, 125]) * SECOND
        return found

    def wait(self) -> None:
        random = self.random
        to_second = -self.t % SECOND
        edge = next((edge for edge in self.session if self.t < edge < self.t + 150 * SECOND), None)
        if edge is not None and random.random() < 0.1:
            self.t = edge
            return
        if random.random() < 0.2:
            # exactly so long after an earlier line: the ends of windows, of `for`, of a cooldown, of the grace
            after = random.choice([1, 2, 3, 5, 10, 10, 30, 60, 120]) * SECOND
            self.t = min((t + after for t in self.times if t + after >= self.t), default=self.t)
            return
        self.t += random.choice([
            0, 1, random.randrange(SECOND), random.randrange(SECOND), random.randrange(3 * SECOND),
            to_second, to_second, to_second + SECOND, to_second + random.randrange(4) * SECOND, SECOND,
            random.randrange(10 * SECOND), random.randrange(20) * SECOND if random.random() < 0.3 else 5 * SECOND,
            random.randint(100, 140) * SECOND if random.random() < 0.15 else 0,
        ])  # fmt: skip

    def some_codes(self) -> str:
        return ",".join(self.random.sample(self.codes, self.random.randint(1, len(self.codes))))

    def content(self) -> str:
        random = self.random
        if random.random() < (0.03 if self.is_calm else 0.16):
            who = random.choice(["*", self.some_codes(), self.some_codes()])
            if self.is_calm:
                return random.choice(["#alive", f"#up {who}"])
            return random.choice([f"#up {who}", f"#up {who}", f"#down {who}", f"#down {who}", "#start", "#alive"])
        return self.frame()

    def odd(self) -> str:
        """What is no frame and no mark, or no line at all."""
        good = self.frame()
        return self.random.choice([
            "", "x", "#alive", f"{self.t}", f"{self.t}x {good}", f" {self.t} {good}", f"{self.t} #", f"{self.t} #up",
            f"{self.t} #what", f"{self.t} {good[:-30]}", f"{self.t} PINGPONG", f"-{self.t} {good}",
            f"{self.t} {good.replace('|', '^')}", f"{self.t} 1{good[1:]}", f"{self.t} {good.replace('STPGM', 'STCNT')}",
        ])  # fmt: skip

    def frame(self) -> str:
        random = self.random
        count = random.choice([1, 1, 1, 1, 2, 3, 4])
        extra = random.choice(["x", "", "7^8"]) if random.random() < 0.1 else None
        rows = [self.row() + ("" if extra is None else f"^{extra}") for _ in range(count)]
        payload = "^".join(rows) + ("^" if random.random() < 0.05 else "")
        said = random.choice([count + 1, 0, -1, "", "x"]) if random.random() < 0.02 else f"{count:03d}"
        name = random.choice(["H0STPGM0"] * 8 + ["H0NXPGM0", "H0UNPGM0"])
        return f"0|{name}|{said}|{payload}"

    def row(self) -> str:
        """sell, sell_value, buy, buy_value, net, net_value, sell_resting, buy_resting, net_resting."""
        random, scale = self.random, self.scale
        if seoul(self.t).day != self.day:
            self.day = seoul(self.t).day
            self.counters = {}
        symbol = random.choice(self.codes)
        if symbol not in self.counters:
            start = random.choice([0, 0, 0, random.randint(0, 20), random.randint(0, 20), -random.randint(0, 5)])
            self.counters[symbol] = [
                start * scale,
                start * scale,
                random.choice([0, abs(start), -start]) * scale,
                0,
                0,
                0,
            ]
        counters = self.counters[symbol]
        if random.random() < 0.85:
            for place in range(4):
                counters[place] += random.choice([0, 0, 0, 1, 1, 2, 3, 5, 8]) * scale
            counters[4:] = [random.randint(0, 12) * scale, random.choice([0, random.randint(0, 12)]) * scale]
        if random.random() < 0.04 and not self.is_calm:
            counters[random.randrange(4)] -= random.choice([1, scale, 5 * scale, 30 * scale])
        if random.random() < 0.03 and not self.is_calm:
            counters[:4] = [0, 0, 0, 0]
        sell, sell_value, buy, buy_value, asked, bid = counters
        columns: list[object] = [
            sell, sell_value, buy, buy_value, buy - sell, buy_value - sell_value, asked, bid, bid - asked,
        ]  # fmt: skip
        if random.random() < 0.04:
            columns[random.randint(4, 8)] = random.randint(-5, 5) * scale
        if random.random() < 0.03:
            columns[random.randrange(9)] = random.choice(
                ["", "(null)", "-", "+1", "1.0", " 1", "--1", "٣", "1e3", "-0", "007"]
            )
        return "^".join([symbol, self.own_time(), *map(str, columns)])

    def own_time(self) -> str:
        random = self.random
        lag = (
            random.choice([0, 0, 0, 0, 0, 1, 2])
            if self.is_calm or random.random() < 0.9
            else random.choice([10, 3, -5])
        )
        if random.random() < 0.05:
            lag = random.choice([-59, -60, -61, -3600])
            if random.random() < 0.5:
                return random.choice(
                    ["250000", "096000", "090060", "9:00:00", "12345", "", "240000", "0900000", "٠٩٠٠٠٠"]
                )
        return f"{seoul(self.t - lag * SECOND):%H%M%S}"
