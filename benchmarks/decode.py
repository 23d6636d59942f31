"""Frames to records: ours with every check, against splitting and converting alone."""

from collections.abc import Callable, Iterator
from random import Random

from benchmarks.measure import Case
from engine.kis.protocol import Protocol

RECORDS = 40_000


def frames(per_frame: int) -> list[str]:
    random = Random(1)
    found = []
    for _ in range(RECORDS // per_frame):
        rows = []
        for _ in range(per_frame):
            sell, buy = random.randrange(10**6), random.randrange(10**6)
            numbers = (
                sell,
                sell * 70_000,
                buy,
                buy * 70_000,
                buy - sell,
                (buy - sell) * 70_000,
                65_033,
                15_475,
                -49_558,
            )
            rows.append("^".join(["005930", "092237", *map(str, numbers)]))
        found.append(f"0|H0STPGM0|{per_frame:03d}|" + "^".join(rows))
    return found


def cases() -> Iterator[Case]:
    for per_frame in (1, 4, 20):
        texts = frames(per_frame)
        name = f"decode, {per_frame} a frame"
        yield Case(name, "split and int, no checks", RECORDS, _ours(texts), _floor(texts))


def _ours(texts: list[str]) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        receive = Protocol("H0STPGM0").receive
        return lambda: [receive(text) for text in texts]

    return make


def _floor(texts: list[str]) -> Callable[[], Callable[[], object]]:
    def decode(text: str) -> list[tuple[str, str, list[int]]]:
        fields = text.split("|", 3)[3].split("^")
        return [
            (fields[at], fields[at + 1], [int(number) for number in fields[at + 2 : at + 11]])
            for at in range(0, len(fields), 11)
        ]

    return lambda: lambda: [decode(text) for text in texts]
