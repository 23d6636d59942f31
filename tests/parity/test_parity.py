"""The product's replay against the second implementation, to the byte, on seeded cases.

`PARITY_SEEDS=5000 PARITY_FIRST=100000 pytest -m soak tests/parity` looks further than `make test` does.
"""

import os
from pathlib import Path

import pytest
from parity_desk import by_page, difference, shrunk
from streams import case

from engine.evaluation import series

SEEDS = 60
"""Some ten seconds; each block of ten seeds is a test, so that two processes share them."""
SOAK_FIRST = int(os.environ.get("PARITY_FIRST", "1000"))
SOAK_SEEDS = int(os.environ.get("PARITY_SEEDS", "600"))


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a thousand records the product drops what no window needs any more; there are fewer here, so at once."""
    monkeypatch.setattr(series, "_TIDY_FROM", 4)


def agree_on(seed: int, folder: Path) -> None:
    found = difference(case(seed), folder)
    if found is not None:
        pytest.fail(str(shrunk(found, folder)), pytrace=False)


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_both_say_the_same(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 10):
        agree_on(seed, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SOAK_FIRST, SOAK_FIRST + SOAK_SEEDS, 50))
def test_both_say_the_same_at_length(first: int, tmp_path: Path) -> None:
    for seed in range(first, min(first + 50, SOAK_FIRST + SOAK_SEEDS)):
        agree_on(seed, tmp_path)


def test_the_cases_are_worth_comparing() -> None:
    """Most seeds give alerts, and all kinds of them come."""
    told = [by_page(case(seed)) for seed in range(SEEDS)]
    everything = "\n".join(line for lines in told for line in lines)
    assert sum(map(bool, told)) > SEEDS * 2 / 3
    for word in ('"resolved"', '"cooldown"', '"max_per_day"', '"@g"', "null}", "0.5", '"repeat": 3'):
        assert word in everything, word
