"""Stock codes of the simulated market: the largest real ones first, then made-up ones. No names here."""

import re

# fmt: off
LARGEST = (
    "005930", "000660", "373220", "207940", "005380", "000270", "068270", "005490", "035420", "105560",
    "055550", "012330", "028260", "066570", "035720", "051910", "006400", "003670", "086790", "042700",
    "012450", "329180", "034020", "015760", "009540", "032830", "033780", "017670", "010130", "096770",
)
# fmt: on

_WELL_FORMED = re.compile(r"[0-9A-Z]{6,9}", re.ASCII)


def is_well_formed(code: str) -> bool:
    """Six characters for a stock, up to nine for other securities: digits and capital letters (`0162Z0`)."""
    return _WELL_FORMED.fullmatch(code) is not None


def first(count: int) -> list[str]:
    """The codes of a market of this size. Every sixteenth made-up one holds a letter, as new listings do."""
    codes = list(LARGEST[:count])
    number = 0
    while len(codes) < count:
        number += 1
        code = f"{number:04d}Z0" if number % 16 == 0 else f"{200_000 + 10 * number:06d}"
        if code not in LARGEST:
            codes.append(code)
    return codes
