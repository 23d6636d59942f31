"""What the outbox tells the store, and what it makes of it after a restart or when a person asks."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from delivery_samples import AT, a_notice, post
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from engine.delivery import lane
from engine.delivery import outbox as outbox_module
from engine.delivery.message import Unsent
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Delivery, Kept, Status
from engine.delivery.retry import NEVER, Waiting
from engine.delivery.target import Address, Delivered, Failed, Outcome, Refused, Unknown
from engine.kst import SECOND_NS
from engine.rules.model import Severity

DESK, PHONE = Address("d", "desk[1] slack", ("desk",)), Address("p", "phone[1] telegram", ("phone", "night"))


@dataclass
class Shelf:
    """A store: what is put waits until `store`, and what was not stored is gone with the process."""

    stored_: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    waiting: list[Delivery] = field(default_factory=list)

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        self.waiting += deliveries

    async def stored(self) -> None:
        self.store()

    def store(self, notices: Sequence[Notice] = ()) -> None:
        self.notices.update((notice.id, notice) for notice in notices)
        self.stored_.update(((each.id, each.target), each) for each in self.waiting)
        self.waiting.clear()

    def kept(self) -> list[Kept]:
        return [Kept(self.notices[each.id], each) for each in self.stored_.values()]

    def undelivered(self) -> list[Kept]:
        return [each for each in self.kept() if each.delivery.status.is_open or each.delivery.unlisted]

    def statuses(self) -> dict[str, Status]:
        return {each.id: each.status for each in self.stored_.values()}


def shelved(*addresses: Address) -> tuple[Outbox, Shelf]:
    outbox, shelf = Outbox(addresses), Shelf()
    outbox.keep_in(shelf)
    return outbox, shelf


def posted(outbox: Outbox, shelf: Shelf, *notices: Notice, now: int = AT) -> None:
    """As the keeper does it: notices and whom they go to are stored together, then queued."""
    parcels = outbox.route(notices, now)
    shelf.keep([parcel.delivery(Status.QUEUED, now) for parcel in parcels])
    shelf.store(notices)
    outbox.take(notices, parcels, now)


def again(shelf: Shelf, *addresses: Address, now: int = AT) -> tuple[Outbox, Shelf]:
    """The next run, on what was stored."""
    outbox, next_shelf = Outbox(addresses), Shelf(dict(shelf.stored_), dict(shelf.notices))
    outbox.keep_in(next_shelf)
    outbox.resume(shelf.undelivered(), shelf.notices, now)
    next_shelf.store()
    return outbox, next_shelf


def test_every_step_of_a_delivery_is_told_to_the_store() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    assert shelf.statuses() == {"a": Status.QUEUED}
    batch = outbox.claim("d", AT + 1)
    assert [(each.status, each.at) for each in shelf.waiting] == [(Status.ATTEMPTING, AT + 1)]
    outbox.settle(batch, Unknown("no reply"), AT + 2)
    assert (shelf.waiting[-1].status, shelf.waiting[-1].may_repeat, shelf.waiting[-1].reason) == (
        Status.QUEUED,
        True,
        "no reply",
    )
    outbox.settle(outbox.claim("d", AT + 3), Delivered(), AT + 4)
    assert shelf.waiting[-1] == Delivery(
        *("a", "d", "desk[1] slack", Status.DELIVERED, AT + 4, AT), attempts=2, may_repeat=True
    )


def test_what_waited_when_the_process_ended_waits_again_and_what_was_in_flight_may_repeat() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("in flight"))
    outbox.claim("d", AT)
    shelf.store()
    posted(outbox, shelf, a_notice("waiting"))
    outbox, _ = again(shelf, DESK)
    parcels = {each.notice.id: each for each in outbox.claim("d", AT).parcels}
    assert {ident: (each.may_repeat, each.attempts) for ident, each in parcels.items()} == {
        "in flight": (True, 1),
        "waiting": (False, 0),
    }


def test_a_claim_that_was_not_stored_was_not_sent_either() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox.claim("d", AT)
    outbox, _ = again(shelf, DESK)
    assert not outbox.claim("d", AT).parcels[0].may_repeat


def test_what_is_stored_already_is_not_told_twice_after_a_restart() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox.settle(outbox.claim("d", AT), Delivered(), AT)
    shelf.store()
    outbox, shelf = again(shelf, DESK)
    assert outbox.route([a_notice("a")], AT) == ()
    assert outbox.waiting("d") is None


def test_a_target_is_known_by_its_address_and_not_by_its_place() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox, _ = again(shelf, PHONE, replace(DESK, name="desk[3] slack"))
    assert outbox.queued() == {"p": 0, "d": 1}


def test_what_was_for_a_target_that_is_gone_is_dead(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outbox, shelf = shelved(DESK, PHONE)
    posted(outbox, shelf, a_notice("a"), a_notice("b", notify=("phone",)))
    _, shelf = again(shelf, PHONE, now=AT + 7)
    assert shelf.statuses() == {"a": Status.VANISHED, "b": Status.QUEUED}
    assert shelf.stored_["a", "d"].at == AT + 7
    assert "resumed undelivered=1 vanished=1" in caplog.text


def test_what_was_given_up_is_listed_once_also_over_a_restart() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("old"))
    outbox.expire("d", 10, AT + 10)
    shelf.store()
    outbox, shelf = again(shelf, DESK)
    posted(outbox, shelf, a_notice("new"))
    batch = outbox.claim("d", AT)
    assert batch.unsent == Unsent(1, (a_notice("old"),))
    outbox.settle(batch, Delivered(), AT)
    shelf.store()
    assert shelf.statuses() == {"old": Status.EXPIRED, "new": Status.DELIVERED}
    outbox, shelf = again(shelf, DESK)
    assert outbox.waiting("d") is None
    posted(outbox, shelf, a_notice("newer"))
    assert outbox.claim("d", AT).unsent == Unsent()


def test_where_all_was_given_up_that_alone_is_told() -> None:
    """A target came back in the evening; that nine alerts had not arrived was said the next morning."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("old"))
    outbox.expire("d", 10, AT + 10)
    assert outbox.waiting("d") == Waiting(0, AT + 10, NEVER, critical=False)
    batch = outbox.claim("d", AT + 11)
    assert (batch.parcels, batch.unsent.total, batch.attempt) == ((), 1, 1)
    outbox.settle(batch, Failed("HTTP 503"), AT + 12)
    assert outbox.waiting("d") is not None
    outbox.settle(outbox.claim("d", AT + 13), Delivered(), AT + 14)
    assert outbox.waiting("d") is None


def test_a_list_that_is_refused_is_not_tried_for_ever() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("old"))
    outbox.expire("d", 10, AT + 10)
    outbox.settle(outbox.claim("d", AT + 11), Refused("HTTP 404", certain=True), AT + 12)
    assert outbox.waiting("d") is None
    shelf.store()
    assert not shelf.stored_["old", "d"].unlisted


def test_what_is_refused_is_dead_and_the_next_is_tried() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"), a_notice("b"))
    outbox.settle(outbox.claim("d", AT), Refused("HTTP 404", certain=True), AT)
    shelf.store()
    assert shelf.statuses() == {"a": Status.REFUSED, "b": Status.REFUSED}
    posted(outbox, shelf, a_notice("c"))
    assert len(outbox.claim("d", AT).parcels) == 1
    assert outbox.status()[0].failing_since == AT


def test_a_refusal_that_may_pass_counts_as_a_failure_for_a_minute() -> None:
    """A web hook was rolled out, and answered 404 for three seconds: the four alerts that fell into them were gone."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    for second in (0, 1, 30, 59):
        assert outbox.settle(outbox.claim("d", AT), Refused("HTTP 404"), AT + second * SECOND_NS) == Failed("HTTP 404")
    assert outbox.queued() == {"d": 1}
    assert outbox.settle(outbox.claim("d", AT), Refused("HTTP 404"), AT + 60 * SECOND_NS) == Refused("HTTP 404")
    posted(outbox, shelf, a_notice("b"))
    outbox.settle(outbox.claim("d", AT), Refused("HTTP 404"), AT + 70 * SECOND_NS)
    shelf.store()
    assert shelf.statuses() == {"a": Status.REFUSED, "b": Status.REFUSED}
    (desk,) = outbox.status()
    assert (desk.refused, desk.failed, desk.last_refusal) == (2, 4, "HTTP 404")


@pytest.mark.parametrize("between", [Delivered(), Failed("HTTP 503"), Unknown("no reply")])
def test_the_minute_counts_from_the_first_refusal_in_a_row(between: Outcome) -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox.settle(outbox.claim("d", AT), Refused("HTTP 404"), AT)
    outbox.settle(outbox.claim("d", AT), between, AT + 50 * SECOND_NS)
    posted(outbox, shelf, a_notice("b"))
    outbox.settle(outbox.claim("d", AT), Refused("HTTP 404"), AT + 70 * SECOND_NS)
    assert outbox.status()[0].refused == 0


def test_what_nobody_is_there_to_be_told_of_is_not_looked_at_for_ever() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("old"))
    outbox.expire("d", 10, AT + 10)
    shelf.store()
    _, shelf = again(shelf, PHONE)
    assert shelf.undelivered() == []
    assert shelf.statuses() == {"old": Status.EXPIRED}


@pytest.mark.parametrize(("count", "most"), [(8, 10), (100, 30)])
def test_one_that_cannot_be_told_takes_no_other_with_it(count: int, most: int) -> None:
    """A web hook refused a digest of eight because of a character in one of them, and all eight were lost."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, *(a_notice(f"n{number}") for number in range(count)))
    attempts = 0
    while outbox.waiting("d") is not None:
        batch = outbox.claim("d", AT)
        attempts += 1
        poisoned = any(parcel.notice.id == "n5" for parcel in batch.parcels)
        outbox.settle(batch, Refused("HTTP 400", only_this=True) if poisoned else Delivered(), AT)
    shelf.store()
    refused = [ident for ident, status in shelf.statuses().items() if status is Status.REFUSED]
    assert refused == ["n5"]
    assert attempts <= most


def test_a_target_that_took_a_half_is_told_all_that_waits_at_once() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, *(a_notice(f"n{number}") for number in range(8)))
    outbox.settle(outbox.claim("d", AT), Refused("HTTP 400", only_this=True), AT)
    half = outbox.claim("d", AT)
    assert len(half.parcels) == 4
    outbox.settle(half, Delivered(), AT)
    posted(outbox, shelf, a_notice("next"))
    assert len(outbox.claim("d", AT).parcels) == 5


def test_the_failing_of_a_target_is_told_through_another_one_whoever_it_is() -> None:
    outbox = Outbox([DESK, PHONE])
    post(outbox, [a_notice("a", notify=("desk", "phone"), besides="d")], AT)
    assert outbox.queued() == {"d": 0, "p": 1}
    post(outbox, [a_notice("b", notify=("desk",), besides="d")], AT)
    assert outbox.queued() == {"d": 0, "p": 2}
    alone = Outbox([DESK])
    post(alone, [a_notice("c", notify=("desk",), besides="d")], AT)
    assert alone.queued() == {"d": 0}


def test_what_is_dead_can_be_sent_after_all_and_gets_a_ttl_of_its_own() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"), a_notice("b"))
    outbox.expire("d", 10, AT + 10)
    shelf.store()
    dead = [each for each in shelf.kept() if each.notice.id == "a"]
    assert outbox.revive(dead, AT + 100) == 1
    assert outbox.expire("d", 10, AT + 109) == 0
    batch = outbox.claim("d", AT + 109)
    assert [parcel.notice.id for parcel in batch.parcels] == ["a"]
    assert [notice.id for notice in batch.unsent.named] == ["b"]


def test_what_was_for_a_target_that_is_gone_goes_to_the_present_ones_of_its_notifiers() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    new = Address("n", "desk[1] telegram", ("desk",))
    outbox, shelf = again(shelf, new)
    assert outbox.revive(shelf.kept(), AT + 5) == 1
    shelf.store()
    assert {key: each.status for key, each in shelf.stored_.items()} == {
        ("a", "d"): Status.DISCARDED,
        ("a", "n"): Status.QUEUED,
    }


def test_what_was_for_several_targets_goes_to_each_present_one_once_and_to_none_that_has_it() -> None:
    """A list of URLs in which one was replaced: who kept his place would have got it a second time."""
    outbox, shelf = shelved(DESK, Address("o", "desk[2] json", ("desk",)), Address("k", "desk[3] json", ("desk",)))
    posted(outbox, shelf, a_notice("a"))
    new = Address("n", "desk[1] telegram", ("desk",))
    outbox, shelf = again(shelf, new, Address("k", "desk[3] json", ("desk",)))
    dead = [each for each in shelf.kept() if each.delivery.status.is_dead]
    assert [each.delivery.target for each in dead] == ["d", "o"]
    assert outbox.revive(dead, AT + 5, {("a", "k")}) == 1
    assert dict(outbox.queued()) == {"n": 1, "k": 1}


@pytest.mark.parametrize("next_", [DESK, Address("n", "desk[1] slack", ("desk",))])
def test_what_was_in_flight_to_a_target_that_is_gone_may_repeat_when_it_is_sent_after_all(next_: Address) -> None:
    """Killed in the midst of a send, started without that URL, and then with it again, or with a newer token."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox.claim("d", AT)
    shelf.store()
    _, shelf = again(shelf, PHONE)
    assert [(each.attempts, each.may_repeat) for each in shelf.stored_.values()] == [(1, True)]
    outbox, shelf = again(shelf, next_)
    assert outbox.revive(shelf.kept(), AT) == 1
    assert outbox.claim(next_.id, AT).parcels[0].may_repeat


def test_what_nobody_serves_any_more_stays_dead() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox, shelf = again(shelf, PHONE)
    assert outbox.revive(shelf.kept(), AT + 5) == 0
    shelf.store()
    assert shelf.statuses() == {"a": Status.VANISHED}


def test_what_a_person_discards_is_neither_sent_nor_listed() -> None:
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox.expire("d", 10, AT + 10)
    shelf.store()
    outbox.discard(shelf.kept(), AT + 11)
    shelf.store()
    assert shelf.statuses() == {"a": Status.DISCARDED}
    assert outbox.waiting("d") is None
    assert again(shelf, DESK)[0].waiting("d") is None


class NothingStoredIsLost(RuleBasedStateMachine):
    """Killed at any moment: what was stored arrives, and what arrives again says that it may."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox, self.shelf = shelved(DESK)
        self.arrived: list[tuple[str, bool]] = []
        self.now = AT
        self.made = 0

    @rule(count=st.integers(1, 4), seen=st.sampled_from(["stored", "killed before", "killed after"]))
    def post(self, count: int, seen: str) -> None:
        self.now += 1
        notices = [a_notice(f"n{self.made + number}", at=self.now) for number in range(count)]
        self.made += count
        if seen == "killed before":
            self.outbox.route(notices, self.now)
            self._killed()
            return
        posted(self.outbox, self.shelf, *notices, now=self.now)
        if seen == "killed after":
            self._killed()

    @precondition(lambda self: self.outbox.waiting("d") is not None)
    @rule(
        outcome=st.sampled_from([Delivered(), Failed("no"), Unknown("who knows"), None]),
        arrives=st.booleans(),
        stored_after=st.booleans(),
    )
    def attempt(self, outcome: Outcome | None, arrives: bool, stored_after: bool) -> None:
        """None: killed in the attempt."""
        self.now += 1
        batch = self.outbox.claim("d", self.now)
        self.shelf.store()  # the worker waits for that
        if isinstance(outcome, Delivered) or (arrives and not isinstance(outcome, Failed)):
            self.arrived += [(parcel.notice.id, parcel.may_repeat) for parcel in batch.parcels]
        if outcome is None:
            self._killed()
            return
        self.outbox.settle(batch, outcome, self.now)
        if stored_after:
            self.shelf.store()

    @precondition(lambda self: self.outbox.waiting("d") is not None)
    @rule()
    def killed_between_claim_and_store(self) -> None:
        self.outbox.claim("d", self.now)
        self._killed()

    @rule()
    def killed(self) -> None:
        self._killed()

    def _killed(self) -> None:
        self.outbox, self.shelf = again(self.shelf, DESK, now=self.now)

    def teardown(self) -> None:
        self._killed()
        while self.outbox.waiting("d") is not None:
            batch = self.outbox.claim("d", self.now)
            self.arrived += [(parcel.notice.id, parcel.may_repeat) for parcel in batch.parcels]
            self.outbox.settle(batch, Delivered(), self.now)
        assert {ident for ident, _ in self.arrived} == set(self.shelf.notices)
        for ident in self.shelf.notices:
            marks = [may_repeat for name, may_repeat in self.arrived if name == ident]
            assert all(marks[1:]), (ident, marks)


NothingStoredIsLost.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
test_nothing_stored_is_lost = NothingStoredIsLost.TestCase


def test_what_was_refused_after_a_part_of_it_was_taken_may_repeat_when_it_is_sent_after_all() -> None:
    """A picture was taken and its text was not; sent again on request, it came a second time without a word."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("n1"))
    outbox.settle(outbox.claim("d", AT), Refused("no", in_part=True), AT)
    shelf.store()
    outbox.revive([each for each in shelf.kept() if each.delivery.status.is_dead], AT)
    (parcel,) = outbox.claim("d", AT).parcels
    assert parcel.may_repeat


def test_of_what_was_given_up_the_newest_are_listed_and_no_start_finds_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane, "MAX_UNSENT", 3)
    outbox, shelf = shelved(DESK)
    for number in range(5):
        posted(outbox, shelf, a_notice(f"n{number}", at=AT + number))
        outbox.expire("d", 1, AT + number + 1)
    shelf.store()
    assert outbox.claim("d", AT + 9).unsent.total == 3
    assert [each.notice.id for each in shelf.undelivered()] == ["n2", "n3", "n4"]
    assert set(shelf.statuses().values()) == {Status.EXPIRED}


def test_of_what_is_known_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_KNOWN", 3)
    outbox, _ = shelved(DESK)
    outbox.route([a_notice(f"n{number}") for number in range(5)], AT)
    assert [parcel.notice.id for parcel in outbox.route([a_notice(f"n{number}") for number in range(2, 5)], AT)] == []
    assert len(outbox.route([a_notice("n0")], AT)) == 1


def test_what_waits_from_an_earlier_day_is_known_as_well() -> None:
    """The ids that a start is given are the day's; what it goes on with may be older."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    outbox = Outbox([DESK])
    outbox.resume(shelf.undelivered(), (), AT)
    assert outbox.route([a_notice("a")], AT) == ()


def test_a_list_of_which_nobody_knows_is_repeated_less_and_less_and_says_so() -> None:
    """A web hook took everything and answered 302: it got "not sent in time: 1" every minute, 1,409 times a day."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("old"))
    outbox.expire("d", 10, AT + 10)
    now, sent = AT + 10, 0
    while now < AT + 24 * 3600 * SECOND_NS:
        waiting = outbox.waiting("d")
        assert waiting is not None
        now = max(now + 60 * SECOND_NS, waiting.first_committed_at)
        batch = outbox.claim("d", now)
        assert batch.unsent.may_repeat is (sent > 0)
        outbox.settle(batch, Unknown("HTTP 302"), now)
        sent += 1
    assert sent <= 14
    outbox.settle(outbox.claim("d", now), Delivered(), now)
    assert outbox.waiting("d") is None


def test_a_refusal_of_long_ago_is_no_part_of_the_minute() -> None:
    """A web hook was gone in the morning; three hours later a blip of three seconds cost the next alert."""
    outbox, shelf = shelved(DESK)
    posted(outbox, shelf, a_notice("a"))
    for second in (0, 30, 60):
        outbox.settle(outbox.claim("d", AT), Refused("HTTP 404"), AT + second * SECOND_NS)
    assert outbox.status()[0].refused == 1
    posted(outbox, shelf, a_notice("b"))
    later = AT + 3 * 3600 * SECOND_NS
    assert outbox.settle(outbox.claim("d", later), Refused("HTTP 404"), later) == Failed("HTTP 404")


def test_news_are_news_from_when_they_may_be_sent() -> None:
    """An alert was made before an attempt began and stored after it: it waited out the pause, for a minute."""
    outbox, shelf = shelved(DESK)
    critical = a_notice("a", severity=Severity.CRITICAL)
    parcels = outbox.route([critical], AT)
    shelf.store([critical])
    outbox.take([critical], parcels, AT + 20)
    waiting = outbox.waiting("d")
    assert waiting is not None
    assert (waiting.first_committed_at, waiting.newest_critical_at) == (AT + 20, AT + 20)
