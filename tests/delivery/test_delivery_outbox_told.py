"""What the outbox says of its targets to who watches over them."""

from delivery_samples import AT, a_notice, post

from engine.delivery.lane import TargetStatus
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Kept, Status
from engine.delivery.target import Address, Delivered, Failed, Outcome, Refused

DESK = Address("d", "desk[1] slack", ("desk",))


def after(*outcomes: Outcome, notices: int = 1) -> TargetStatus:
    """Attempts of all that waits, a second apart."""
    outbox = Outbox([DESK])
    post(outbox, [a_notice(f"n{number}") for number in range(notices)], AT)
    for second, outcome in enumerate(outcomes, 1):
        outbox.settle(outbox.claim("d", AT), outcome, AT + second)
    return outbox.status()[0]


def test_a_target_that_dislikes_one_message_does_not_fail() -> None:
    """A heartbeat would stop for a weekend because of Friday's last alert."""
    found = after(Refused("too long", only_this=True))
    assert (found.refused, found.last_error, found.failing_since) == (1, "too long", None)
    assert after(Refused("revoked")).failing_since == AT + 1
    assert after(Failed("HTTP 500"), Refused("too long", only_this=True)).failing_since == AT + 1
    assert after(Refused("too long", only_this=True), Delivered(), notices=2).failing_since is None


def test_the_oldest_is_known_while_it_waits_and_while_it_is_attempted() -> None:
    outbox = Outbox([DESK])
    assert outbox.status()[0].oldest_at is None
    post(outbox, [a_notice("old")], AT)
    oldest = outbox.status()[0].oldest_at
    assert oldest == a_notice("old").at
    batch = outbox.claim("d", AT)
    assert outbox.status()[0].oldest_at == oldest
    outbox.settle(batch, Delivered(), AT)
    assert outbox.status()[0].oldest_at is None


def test_what_has_no_target_any_more_is_handed_back_at_the_start() -> None:
    before = Outbox([DESK])
    parcels = before.route([a_notice("a")], AT)
    kept = [Kept(parcel.notice, parcel.delivery(Status.QUEUED, AT)) for parcel in parcels]
    (gone,) = Outbox([Address("p", "phone", ("desk",))]).resume(kept, (), AT + 5)
    assert (gone.id, gone.name, gone.status) == ("a", "desk[1] slack", Status.VANISHED)
    assert Outbox([DESK]).resume(kept, (), AT + 5) == []
