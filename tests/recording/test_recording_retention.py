"""Which recordings are too many."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recording.retention import Kept, superfluous

TODAY = date(2026, 11, 20)


def days(*sizes: int) -> list[Kept]:
    """Files of yesterday, the day before …"""
    return [Kept(TODAY - timedelta(days=1 + back), size) for back, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("files", "keep_days", "size", "gone"),
    [
        ([], 60, 100, []),
        (days(10, 10, 10), 60, 30, []),
        (days(10, 10, 10), 3, 100, days(10, 10, 10)[2:]),
        (days(10, 10, 10), 1, 100, days(10, 10, 10)[::-1]),
        (days(10, 10, 10), 60, 29, days(10, 10, 10)[2:]),
        (days(10, 10, 10), 60, 9, days(10, 10, 10)[::-1]),
        ([Kept(TODAY, 1000), *days(1)], 60, 500, days(1)),  # today's stays, even where it is too large alone
        ([Kept(TODAY, 1000)], 0, 0, []),
        ([Kept(TODAY + timedelta(days=3), 10)], 1, 100, []),  # a clock was wrong: not old
    ],
)
def test_by_age_then_by_size(files: list[Kept], keep_days: int, size: int, gone: list[Kept]) -> None:
    assert list(superfluous(files, TODAY, keep_days, size)) == gone


@given(
    st.dictionaries(st.integers(-5, 90).map(lambda back: TODAY - timedelta(days=back)), st.integers(0, 100)),
    st.integers(1, 70),
    st.integers(0, 2000),
)
def test_no_more_goes_than_must(sizes: dict[date, int], keep_days: int, size: int) -> None:
    files = [Kept(day, bytes_) for day, bytes_ in sizes.items()]
    gone = list(superfluous(files, TODAY, keep_days, size))
    left = [file for file in files if file not in gone]
    assert TODAY not in {file.day for file in gone}
    assert gone == sorted(gone)
    assert all(file.day == TODAY or (TODAY - file.day).days < keep_days for file in left)
    assert sum(file.size for file in left) <= size or {file.day for file in left} <= {TODAY}
    if gone and (TODAY - gone[-1].day).days < keep_days:  # it went for its size: with it, it was too much
        assert sum(file.size for file in left) + gone[-1].size > size
