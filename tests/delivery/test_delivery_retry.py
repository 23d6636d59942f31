import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.delivery.retry import Course, Pace, Waiting, delay_s, due_at
from engine.kst import SECOND_NS

PACE = Pace(spacing_ns=3 * SECOND_NS, digest_ns=2 * SECOND_NS, ttl_ns=1800 * SECOND_NS)


def waiting(since_s: int, *, critical: bool = False) -> Waiting:
    return Waiting(1, since_s * SECOND_NS, since_s * SECOND_NS, critical)


def news(at_s: int) -> Waiting:
    return Waiting(2, 50 * SECOND_NS, 50 * SECOND_NS, critical=True, newest_critical_at=at_s * SECOND_NS)


def test_the_delay_doubles_from_one_second_to_a_minute() -> None:
    assert [delay_s(failures, 0.0) for failures in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert delay_s(10_000, 0.0) == 60


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_jitter_takes_off_up_to_a_fifth_and_adds_nothing(failures: int, chance: float) -> None:
    assert 0.8 * delay_s(failures, 0.0) <= delay_s(failures, chance) <= delay_s(failures, 0.0)


@pytest.mark.parametrize(
    ("wait", "course", "due_s"),
    [
        (waiting(100), Course(), 102),  # collected for a digest
        (waiting(100, critical=True), Course(), 100),
        (waiting(100), Course(started_at=98 * SECOND_NS), 102),
        (waiting(100), Course(started_at=100 * SECOND_NS), 103),  # the rate
        (waiting(100, critical=True), Course(started_at=99 * SECOND_NS), 102),  # which critical keeps to
        (waiting(100, critical=True), Course(retry_at=160 * SECOND_NS), 160),
        (news(100), Course(99 * SECOND_NS, 9, retry_at=160 * SECOND_NS), 104),  # five seconds after the last attempt
        (news(100), Course(90 * SECOND_NS, 9, retry_at=150 * SECOND_NS), 95),  # so at once
        (news(100), Course(101 * SECOND_NS, 9, retry_at=160 * SECOND_NS), 160),  # it was tried already
        (news(100), Course(99 * SECOND_NS, 1, retry_at=101 * SECOND_NS), 102),
        (news(100), Course(99 * SECOND_NS, 9, retry_at=160 * SECOND_NS, asked_at=130 * SECOND_NS), 130),
    ],
)
def test_when_a_message_is_due(wait: Waiting, course: Course, due_s: int) -> None:
    assert due_at(wait, PACE, course) == due_s * SECOND_NS


def test_failures_in_a_row_count_and_one_success_forgets_them() -> None:
    course = Course(started_at=5).after_failure(10 * SECOND_NS, 0.0, 0.0)
    assert course == Course(5, 1, 11 * SECOND_NS, 10 * SECOND_NS)
    assert course.after_failure(20 * SECOND_NS, 0.0, 0.0) == Course(5, 2, 22 * SECOND_NS, 20 * SECOND_NS)
    assert course.after_success() == Course(5, 0, 0)


def test_what_the_service_asks_for_is_a_least_wait() -> None:
    assert Course().after_failure(0, 30.0, 0.0).retry_at == 30 * SECOND_NS
    assert Course(failures=9).after_failure(0, 30.0, 0.0).retry_at == 60 * SECOND_NS
