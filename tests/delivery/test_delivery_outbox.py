import logging

import pytest
from delivery_samples import AT, a_notice, an_alert, deliveries, post
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.alert import Suppression
from engine.delivery import outbox
from engine.delivery.message import Unsent
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Batch, Delivery, Status
from engine.delivery.retry import Waiting
from engine.delivery.target import Address, Delivered, Failed, Outcome, Refused, Unknown
from engine.rules.model import Severity

DESK, PHONE = Address("d", "desk[1] slack", ("desk",)), Address("p", "phone[1] telegram", ("phone", "night"))


def two() -> Outbox:
    return Outbox([DESK, PHONE])


def ids(batch: Batch) -> list[str]:
    return [parcel.notice.id for parcel in batch.parcels]


def test_a_notice_waits_once_for_each_target_of_its_notifiers() -> None:
    store = two()
    post(store, [a_notice("a"), a_notice("b", notify=("desk", "phone", "night"))], AT)
    assert store.queued() == {"d": 2, "p": 1}
    assert ids(store.claim("p", AT)) == ["b"]


def test_a_suppressed_alert_is_kept_and_not_sent() -> None:
    store = two()
    post(store, [a_notice("a", alert=an_alert(suppressed=Suppression.COOLDOWN))], AT)
    assert store.queued() == {"d": 0, "p": 0}
    count, (told,) = store.happenings(0)
    assert isinstance(told, Notice)
    assert (count, told.id) == (1, "a")
    assert store.unrouted == 0


def test_the_same_id_is_told_once() -> None:
    store = two()
    post(store, [a_notice("a")], AT)
    store.settle(store.claim("d", AT), Delivered(), AT)
    post(store, [a_notice("a")], AT + 1)
    assert store.waiting("d") is None


def test_a_claim_takes_everything_most_urgent_first_and_nothing_twice() -> None:
    store = two()
    post(store, [a_notice("a"), a_notice("b", severity=Severity.CRITICAL)], AT)
    assert ids(store.claim("d", AT)) == ["b", "a"]
    assert store.waiting("d") is None
    assert store.queued()["d"] == 2
    assert deliveries(store)["a", "d"].status is Status.ATTEMPTING


def test_what_is_delivered_is_done_and_says_when() -> None:
    store = two()
    post(store, [a_notice("a")], AT)
    store.settle(store.claim("d", AT + 1), Delivered(), AT + 2)
    assert deliveries(store) == {
        ("a", "d"): Delivery("a", "d", "desk[1] slack", Status.DELIVERED, AT + 2, AT, attempts=1)
    }
    (desk, _) = store.status()
    assert (desk.delivered, desk.queued, desk.last_delivered_at, desk.failing_since) == (1, 0, AT + 2, None)


@pytest.mark.parametrize(("outcome", "may_repeat"), [(Failed("HTTP 503"), False), (Unknown("no reply"), True)])
def test_what_is_not_delivered_waits_again_before_what_came_since(outcome: Failed | Unknown, may_repeat: bool) -> None:
    store = two()
    post(store, [a_notice("a")], AT)
    batch = store.claim("d", AT)
    post(store, [a_notice("b")], AT + 1)
    store.settle(batch, outcome, AT + 2)
    again = store.claim("d", AT + 3)
    assert [(p.notice.id, p.attempts, p.may_repeat) for p in again.parcels] == [("a", 1, may_repeat), ("b", 0, False)]
    assert again.attempt == 2
    (desk, _) = store.status()
    assert (desk.failed, desk.unknown) == ((0, 1) if may_repeat else (1, 0))
    assert (desk.last_error, desk.last_error_at, desk.failing_since) == (outcome.reason, AT + 2, AT + 2)


def test_what_may_have_arrived_once_may_have_arrived_for_good() -> None:
    store = two()
    post(store, [a_notice("a")], AT)
    store.settle(store.claim("d", AT), Unknown("no reply"), AT)
    store.settle(store.claim("d", AT), Failed("HTTP 503"), AT)
    assert store.claim("d", AT).parcels[0].may_repeat


def test_what_is_too_old_expires_and_the_next_delivery_lists_it_once(caplog: pytest.LogCaptureFixture) -> None:
    store = two()
    post(store, [a_notice("old"), a_notice("new", at=AT + 5)], AT)
    assert store.expire("d", 10, AT + 9) == 0
    assert store.expire("d", 10, AT + 10) == 1
    assert "expired target='desk[1] slack' notices=1 first_id=old" in caplog.text
    batch = store.claim("d", AT + 11)
    assert ids(batch) == ["new"]
    assert (batch.unsent.total, [notice.id for notice in batch.unsent.named]) == (1, ["old"])
    store.settle(batch, Failed("HTTP 503"), AT + 12)
    again = store.claim("d", AT + 13)
    assert again.unsent.total == 1
    store.settle(again, Delivered(), AT + 14)
    post(store, [a_notice("next")], AT + 15)
    assert store.claim("d", AT + 16).unsent == Unsent()
    statuses = {ident: each.status for (ident, _), each in deliveries(store).items()}
    assert statuses == {"old": Status.EXPIRED, "new": Status.DELIVERED, "next": Status.ATTEMPTING}


def test_what_overflows_is_the_least_urgent_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    store = Outbox([DESK], max_queued=3)
    notices = [a_notice(f"w{number}", at=AT + number) for number in range(3)]
    post(store, [*notices, a_notice("info", severity=Severity.INFO, at=AT + 9)], AT)
    post(store, [a_notice("critical", severity=Severity.CRITICAL)], AT)
    assert "dropped target='desk[1] slack' notices=1 first_id=info" in caplog.text
    assert sorted(ids(store.claim("d", AT))) == ["critical", "w1", "w2"]
    (desk,) = store.status()
    assert desk.dropped == 2
    assert deliveries(store)["w0", "d"].status is Status.DROPPED


def test_a_full_queue_is_cut_back_a_tenth_at_a_time_so_that_a_commit_stays_cheap() -> None:
    store = Outbox([DESK], max_queued=100)
    queued = []
    for number in range(125):
        post(store, [a_notice(f"n{number}")], AT + number)
        queued.append(store.queued()["d"])
    assert queued[109:112] == [110, 100, 101]
    assert max(queued) == 110
    (desk,) = store.status()
    assert desk.queued + desk.dropped == 125


def test_what_waits_in_short_follows_the_queue() -> None:
    store = Outbox([DESK])
    post(store, [a_notice("a", at=AT - 5), a_notice("b", severity=Severity.CRITICAL)], AT)
    assert store.waiting("d") == Waiting(2, AT, AT - 5, critical=True, newest_critical_at=AT)
    batch = store.claim("d", AT)
    post(store, [a_notice("c", at=AT + 1)], AT + 2)
    assert store.waiting("d") == Waiting(1, AT + 2, AT + 1, critical=False)
    store.settle(batch, Failed("HTTP 503"), AT + 3)
    assert store.waiting("d") == Waiting(3, AT, AT - 5, critical=True, newest_critical_at=AT)
    store.expire("d", 1, AT + 1)
    assert store.waiting("d") == Waiting(1, AT + 2, AT + 1, critical=False)


def test_a_notifier_without_a_target_is_reported_once_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store = two()
    post(
        store,
        [a_notice("a", notify=("gone",)), a_notice("b", notify=("gone",)), a_notice("c", notify=("gone", "desk"))],
        AT,
    )
    assert caplog.text.count("unrouted notifier='gone'") == 1
    assert store.unrouted == 2
    assert store.queued()["d"] == 1


def test_what_happened_is_told_from_any_moment_on_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_HAPPENINGS", 3)
    store = Outbox([DESK])
    assert store.happenings(0) == (0, ())
    post(store, [a_notice("a")], AT)
    seen, (notice, queued) = store.happenings(0)
    assert (seen, notice) == (2, a_notice("a"))
    assert isinstance(queued, Delivery)
    store.claim("d", AT)
    post(store, [a_notice("b")], AT + 1)
    count, last = store.happenings(seen)
    assert (count, [each.id for each in last]) == (5, ["a", "b", "b"])
    assert store.happenings(0)[1] == last
    assert store.happenings(99) == (5, ())


async def test_a_commit_wakes_the_targets_it_concerns_and_no_other() -> None:
    store = two()
    desk, phone = store.changed("d"), store.changed("p")
    post(store, [a_notice("a")], AT)
    assert desk.is_set()
    assert not phone.is_set()
    assert not store.changed("d").is_set()


OUTCOMES = (
    Delivered(),
    Failed("no"),
    Refused("never", certain=True),
    Refused("not this", only_this=True),
    Unknown("who knows"),
)


class EveryNoticeIsAccountedFor(RuleBasedStateMachine):
    """Whatever happens in whatever order, a notice is in exactly one place."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Outbox([DESK], max_queued=4)
        self.now = AT
        self.made = 0
        self.batch: Batch | None = None

    @rule(count=st.integers(1, 6), severity=st.sampled_from(list(Severity)))
    def commit(self, count: int, severity: Severity) -> None:
        self.now += 1
        post(self.store, [self._new(severity) for _ in range(count)], self.now)

    def _new(self, severity: Severity) -> Notice:
        self.made += 1
        return a_notice(f"n{self.made}", severity=severity, at=self.now)

    @rule()
    def claim(self) -> None:
        if self.batch is None and self.store.waiting("d") is not None:
            self.batch = self.store.claim("d", self.now)

    @rule(outcome=st.sampled_from(OUTCOMES))
    def settle(self, outcome: Outcome) -> None:
        if self.batch is not None:
            self.store.settle(self.batch, outcome, self.now)
            self.batch = None

    @rule(ttl=st.integers(0, 5))
    def expire(self, ttl: int) -> None:
        self.store.expire("d", ttl, self.now)

    @invariant()
    def accounted(self) -> None:
        (desk,) = self.store.status()
        assert desk.queued + desk.attempting + desk.delivered + desk.refused + desk.expired + desk.dropped == self.made
        assert desk.queued <= 4
        waiting = self.store.waiting("d")
        assert (waiting.count if waiting else 0) == desk.queued
        shown = [each.status for each in deliveries(self.store).values()]
        assert shown.count(Status.QUEUED) == desk.queued
        assert shown.count(Status.ATTEMPTING) == desk.attempting
        assert shown.count(Status.DELIVERED) == desk.delivered
        assert shown.count(Status.REFUSED) == desk.refused
        assert shown.count(Status.EXPIRED) == desk.expired
        assert shown.count(Status.DROPPED) == desk.dropped


EveryNoticeIsAccountedFor.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
test_every_notice_is_accounted_for = EveryNoticeIsAccountedFor.TestCase
