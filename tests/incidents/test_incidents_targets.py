"""Targets that take no messages: what is told of them, when, to whom, and how seldom."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from incident_stage import at, kinds

from engine.config.model import Alerts
from engine.delivery.lane import TargetStatus
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Delivery, Status
from engine.delivery.target import Address, Delivered, Failed, Outcome, Refused, Unknown
from engine.delivery.words import reason
from engine.incidents.delivering import Delivering
from engine.incidents.targets import Found, Watch
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Severity

NOON = at("12:00")
TTL_S = 1800
DESK, PHONE = Address("d", "desk[1] slack", ("desk",)), Address("p", "phone[1] telegram", ("phone",))
TERMINAL = Address("t", "terminal", ("terminal",))
DOWN, OK = Failed("HTTP 503"), Delivered()


@dataclass
class Chats:
    """An outbox whose targets answer as they are told to, looked at every second."""

    addresses: Sequence[Address] = (DESK, TERMINAL)
    ops: tuple[str, ...] = ("terminal",)
    locale: Locale = Locale.EN
    now: int = NOON
    retry_s: int = 5
    answers: dict[str, Outcome | None] = field(default_factory=dict)
    """By target; None: it hangs."""
    got: dict[str, list[str]] = field(default_factory=dict)
    """Kinds, or ids of alerts, by target that took them."""
    told: list[Notice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.addresses)
        alerts = Alerts(ops=self.ops)  # ttl: 30 minutes
        self.watch = Delivering(alerts, self.locale)
        self._number = 0

    def fire(self, *notify: str) -> None:
        self._number += 1
        self.post([Notice(f"a{self._number}", self.now, Severity.WARNING, "t", "m", notify)])

    def post(self, notices: Sequence[Notice]) -> None:
        self.outbox.take(notices, self.outbox.route(notices, self.now), self.now)

    def run(self, seconds: int, lag_ns: int = 0) -> list[Notice]:
        """→ what was told in that time."""
        told: list[Notice] = []
        for _ in range(seconds):
            for status in self.outbox.status():
                self._attempt(status)
            new = self.watch.look(self.now, self.outbox.status(), lag_ns)
            self.post(new)
            told += new
            self.now += SECOND_NS
        self.told += told
        return told

    def _attempt(self, status: TargetStatus) -> None:
        target, answer = status.address.id, self.answers.get(status.address.id, OK)
        self.outbox.expire(target, TTL_S * SECOND_NS, self.now)
        waits = bool(status.queued) and not status.attempting
        is_early = status.last_error_at is not None and self.now - status.last_error_at < self.retry_s * SECOND_NS
        if not waits or (status.failing_since is not None and is_early) or not self.outbox.queued()[target]:
            return
        batch = self.outbox.claim(target, self.now)
        if answer is None:
            return
        self.outbox.settle(batch, answer, self.now)
        if isinstance(answer, Delivered):
            self.got.setdefault(target, []).extend(each.notice.kind or each.notice.id for each in batch.parcels)


def test_a_target_that_fails_for_a_minute_is_told_through_the_others_with_what_waits_and_until_when() -> None:
    chats = Chats()
    chats.answers["d"] = DOWN
    chats.fire("desk")
    chats.run(10)
    chats.fire("desk")
    assert chats.run(50) == []
    (failing,) = chats.run(30)
    assert (failing.kind, failing.severity, failing.at) == ("target-failing", Severity.WARNING, NOON + 60 * SECOND_NS)
    assert failing.title == "⚠️ pgmwatch · Messages do not arrive: desk[1] slack"
    assert failing.message == (
        "desk[1] slack: no message has arrived since 12:00:00 (1 min). HTTP 503. "
        "Waiting: 2; the first is given up at 12:30:00."
    )
    assert chats.got == {"t": ["target-failing"]}
    chats.answers["d"] = OK
    (back,) = chats.run(600)
    assert (back.kind, back.severity) == ("target-back", Severity.INFO)
    assert back.title == "✅ pgmwatch · Messages arrive again: desk[1] slack"
    assert back.message == (
        "desk[1] slack: none arrived for 1 min 30 s, from 12:00:00 to 12:01:30. Delivered since, and late: 2."
    )
    assert back.at == NOON + 100 * SECOND_NS
    assert chats.got == {"t": ["target-failing", "target-back"], "d": ["a1", "a2"]}


@pytest.mark.parametrize("answer", [DOWN, Unknown("no end within 40 s")])
def test_less_than_a_minute_is_nobody_s_business(answer: Outcome) -> None:
    chats = Chats()
    for _ in range(20):
        chats.answers["d"] = answer
        chats.fire("desk")
        chats.run(55)
        chats.answers["d"] = OK
        chats.run(6)
    assert chats.told == []


def test_what_is_given_up_meanwhile_is_told_at_the_end() -> None:
    chats = Chats()
    chats.answers["d"] = DOWN
    chats.fire("desk")
    chats.run(60)
    chats.fire("desk")
    chats.run(TTL_S - 30)
    chats.answers["d"] = OK
    chats.run(30)
    assert kinds(chats.told) == ["target-failing", "target-back"]
    assert chats.told[1].message.endswith("Delivered since, and late: 1. Given up: 1.")


def test_a_target_that_refuses_everything_is_told_after_ten_seconds() -> None:
    chats = Chats(locale=Locale.KO)
    chats.answers["d"] = Refused("invalid_auth <@channel>", certain=True)
    chats.fire("desk")
    assert chats.run(10) == []
    (failing,) = chats.run(1)
    assert failing.title == "⚠️ pgmwatch · 알림이 가지 않음: desk[1] slack"
    assert failing.message == (
        "desk[1] slack: 12:00:00부터 알림을 모두 거부하고 있습니다: invalid_auth <＠channel> "
        "거부 1건. `pgmwatch notify dead`에서 볼 수 있습니다."
    )
    chats.answers["d"] = OK
    chats.run(3600)
    chats.fire("desk")
    (back,) = chats.run(60)
    assert "거부 1건" in back.message
    assert kinds(chats.told) == ["target-failing", "target-back"]


def test_a_message_that_a_target_dislikes_is_told_once_in_ten_minutes() -> None:
    chats = Chats()
    for _ in range(10):
        chats.answers["d"] = Refused("too long", only_this=True)
        chats.fire("desk")
        chats.run(30)
        chats.answers["d"] = OK
        chats.fire("desk")
        chats.run(90)
    first, second = chats.told
    assert {first.kind, second.kind} == {"target-refused"}
    assert first.message.splitlines()[0] == "desk[1] slack: refused 1, and takes others. too long."
    assert second.message.startswith("desk[1] slack: refused 5,")
    assert second.at - first.at == 600 * SECOND_NS
    assert chats.watch.failing(chats.now) == ()


def test_a_hook_that_was_refused_with_404_and_then_failed_with_500_was_told_to_have_refused_with_500() -> None:
    chats = Chats()
    for answer in (Refused("HTTP 404", certain=True), Failed("HTTP 500"), OK):
        chats.answers["d"] = answer
        chats.fire("desk")
        chats.run(4)
    (refused,) = chats.told
    assert refused.kind == "target-refused"
    assert refused.message.splitlines()[0] == "desk[1] slack: refused 1, and takes others. HTTP 404."


def test_a_hook_that_is_rolled_out_is_nobody_s_business_and_one_that_is_gone_is_told_after_a_minute() -> None:
    chats = Chats()
    chats.answers["d"] = Refused("HTTP 404")
    chats.fire("desk")
    chats.run(50)
    chats.answers["d"] = OK
    chats.run(600)
    assert chats.told == []
    chats.answers["d"] = Refused("HTTP 404")
    chats.fire("desk")
    assert chats.run(60) == []
    (failing,) = chats.run(10)
    assert failing.kind == "target-failing"
    assert "no message has arrived since 12:10:50 (1 min). HTTP 404." in failing.message


def test_what_was_told_to_wait_and_is_refused_then_is_told_once_more() -> None:
    """A hook that is gone: tried again for a minute, it was told to have until half past, and nobody looked."""
    chats = Chats(retry_s=35)
    chats.answers["d"] = Refused("HTTP 404")
    for _ in range(4):
        chats.fire("desk")
        chats.run(70)
    waits, refused = chats.told
    assert (waits.kind, refused.kind) == ("target-failing", "target-failing")
    assert waits.message.endswith("HTTP 404. Waiting: 1; the first is given up at 12:30:00.")
    assert refused.message == (
        "desk[1] slack: no message has arrived since 12:00:00 (1 min 10 s). HTTP 404. "
        "Refused: 2; `pgmwatch notify dead` has them."
    )
    chats.answers["d"] = OK
    chats.fire("desk")
    chats.run(600)
    assert kinds(chats.told[2:]) == ["target-back"]


def test_refusals_that_the_end_of_an_incident_tells_of_are_not_told_again() -> None:
    chats = Chats()
    chats.answers["d"] = Refused("HTTP 403", certain=True)
    for _ in range(3):
        chats.fire("desk")
        chats.run(20)
    chats.answers["d"] = OK
    chats.fire("desk")
    chats.run(3600)
    assert kinds(chats.told) == ["target-failing", "target-back"]
    assert "Refused: 3;" in chats.told[1].message


def test_several_that_fail_at_once_are_one_message() -> None:
    chats = Chats(addresses=(DESK, PHONE, TERMINAL))
    chats.answers |= {"d": DOWN, "p": DOWN}
    chats.fire("desk")
    chats.run(20)
    chats.fire("phone")
    (failing,) = chats.run(600)
    assert failing.title.endswith("Messages do not arrive: desk[1] slack, phone[1] telegram")
    assert failing.message.count("\n") == 1
    chats.answers.clear()
    (back,) = chats.run(600)
    assert back.title.endswith("Messages arrive again: desk[1] slack, phone[1] telegram")


def test_a_line_that_comes_and_goes_is_told_once_in_ten_minutes() -> None:
    chats = Chats()
    for _ in range(30):
        chats.answers["d"] = DOWN
        chats.fire("desk")
        chats.run(65)
        chats.answers["d"] = OK
        chats.run(30)
    assert 8 <= len(chats.told) <= 12  # 47 minutes
    assert len(chats.told) == 2 * kinds(chats.told).count("target-failing")


def test_a_second_of_health_ends_nothing() -> None:
    chats = Chats(retry_s=1)
    chats.answers["d"] = DOWN
    chats.fire("desk")
    chats.run(70)
    for _ in range(20):
        chats.answers["d"] = OK
        chats.run(3)
        chats.answers["d"] = DOWN
        chats.fire("desk")
        chats.run(20)
    assert kinds(chats.told) == ["target-failing"]


def test_a_target_that_hangs_without_an_end_is_told() -> None:
    """A terminal may stop taking text for as long as it likes; its attempt has no deadline."""
    chats = Chats(ops=("desk",))
    chats.answers["t"] = None
    chats.fire("terminal")
    chats.run(62)
    (failing,) = chats.run(5)
    assert failing.message.startswith("terminal: has neither taken nor refused a message since 12:00:00")
    assert chats.got == {"d": ["target-failing"]}
    assert chats.watch.failing(chats.now) == ("terminal",)


@pytest.mark.parametrize(
    ("failing", "ops", "hears"),
    [
        ("d", ("terminal",), "t"),
        ("d", ("desk", "terminal"), "t"),
        ("d", ("desk",), "pt"),  # nobody else is named: whoever works
        ("t", ("terminal",), "dp"),
        ("dt", ("desk", "terminal"), "p"),
        ("dp", ("phone", "terminal"), "t"),
        ("dpt", ("desk",), ""),
    ],
)
def test_who_hears_of_it(failing: str, ops: tuple[str, ...], hears: str) -> None:
    chats = Chats(addresses=(DESK, PHONE, TERMINAL), ops=ops)
    chats.answers = dict.fromkeys(failing, DOWN)
    chats.fire("desk", "phone", "terminal")
    chats.run(70)
    assert "".join(target for target, got in sorted(chats.got.items()) if "target-failing" in got) == hears


def test_where_nothing_works_it_waits_for_what_works_first() -> None:
    chats = Chats(addresses=(DESK, PHONE), ops=("desk",))
    chats.answers |= {"d": DOWN, "p": DOWN}
    chats.fire("desk", "phone")
    chats.run(70)
    chats.answers.clear()
    chats.run(60)
    assert chats.got["d"] == ["a1", "target-failing", "target-back"]


def test_the_last_target_is_told_to_itself_once_it_works() -> None:
    chats = Chats(addresses=(DESK,), ops=("desk",))
    chats.answers["d"] = DOWN
    chats.fire("desk")
    chats.run(100)
    chats.answers.clear()
    chats.run(60)
    assert chats.got == {"d": ["a1", "target-failing", "target-back"]}


def test_what_waited_for_a_target_that_is_gone_is_told_by_name_and_number() -> None:
    chats = Chats()
    gone = [Delivery(f"a{n}", "x", "old[1] <!here> slack", Status.VANISHED, NOON, NOON) for n in range(7)]
    gone.append(Delivery("a1", "y", "ops[2] mail", Status.VANISHED, NOON, NOON))
    (notice,) = chats.watch.gone(NOON, gone)
    assert (notice.kind, notice.severity) == ("target-gone", Severity.WARNING)
    assert notice.title.endswith("Undelivered messages without a target: 8")
    assert "old[1] <!here> slack (7), ops[2] mail (1)" in notice.message
    assert "pgmwatch notify dead" in notice.message
    assert chats.watch.gone(NOON, []) == []


def test_a_database_that_takes_its_time_is_told_when_it_lasts_and_when_it_is_over() -> None:
    chats = Chats()
    assert chats.run(4, lag_ns=2 * SECOND_NS) == []
    (lag,) = chats.run(60, lag_ns=2 * SECOND_NS)
    assert (lag.kind, lag.severity) == ("store-lag", Severity.WARNING)
    assert lag.title == "⚠️ pgmwatch · Storing lags by 2.0 s"
    (over,) = chats.run(60)
    assert over.title == "✅ pgmwatch · Storing keeps up again"
    assert "It lagged by up to 2.0 s, from 12:00:00 to 12:01:13." in over.message


def test_a_disk_that_was_slow_at_each_alert_was_not_told_all_hour() -> None:
    """Commits of 4.5 s, one every ten: never five looks behind in a row."""
    chats = Chats()
    for _ in range(360):
        for lag_ns in (500_000_000, 1_500_000_000, 2_500_000_000, 3_500_000_000, 4_400_000_000):
            chats.run(1, lag_ns)
        chats.run(5)
    (lag,) = chats.told
    assert (lag.kind, lag.at) == ("store-lag", NOON + 11 * SECOND_NS)
    assert lag.message.startswith("Since 12:00:01 ")
    (over,) = chats.run(60)
    assert over.kind == "store-lag-over"
    assert "by up to 4.4 s, from 12:00:01 to 13:00:04" in over.message


def test_a_slow_store_now_and_then_is_nobody_s_business() -> None:
    chats = Chats()
    for _ in range(100):
        chats.run(4, 2 * SECOND_NS)
        chats.run(26)
    assert chats.told == []


def test_a_disk_that_is_slow_every_quarter_minute_does_not_chatter() -> None:
    chats = Chats()
    for _ in range(240):
        chats.run(4, 2 * SECOND_NS)
        chats.run(11)
    assert 6 <= len(chats.told) <= 12  # an hour
    assert kinds(chats.told) == ["store-lag", "store-lag-over"] * (len(chats.told) // 2)


def test_the_first_expiry_was_told_as_to_come_four_seconds_after_it() -> None:
    chats = Chats(locale=Locale.KO)
    status = replace(chats.outbox.status()[0], queued=2, failing_since=NOON - 3600 * SECOND_NS, last_error="HTTP 503")
    for seconds, words in (
        (-4, "곧 만료되기 시작합니다."),
        (30, "곧 만료되기 시작합니다."),
        (61, "첫 만료는 12:02:01입니다."),
    ):
        watch = Delivering(Alerts(), Locale.KO)
        told: list[Notice] = []
        for second in range(61):  # told at the last of them
            now = NOON + second * SECOND_NS
            expires = NOON + (60 + seconds - TTL_S) * SECOND_NS
            told += watch.look(now, [replace(status, oldest_at=expires)], 0)
        (failing,) = told
        assert failing.message.endswith(f"HTTP 503. 대기 2건, {words}")


def test_only_what_came_of_this_incident_is_counted() -> None:
    chats = Chats()
    for _ in range(2):
        for _ in range(5):  # while all is well
            chats.fire("desk")
            chats.run(10)
        chats.answers["d"] = DOWN
        chats.fire("desk")
        chats.run(TTL_S + 1)
        chats.fire("desk")
        chats.run(10)
        chats.answers["d"] = OK
        chats.run(20)
    assert kinds(chats.told) == ["target-failing", "target-back"] * 2
    assert all(back.message.endswith("late: 1. Given up: 1.") for back in chats.told[1::2])


def test_a_target_with_always_something_to_do_does_not_hang() -> None:
    watch, (status,) = Watch(TTL_S * SECOND_NS, 0), Outbox([DESK]).status()
    for second in range(600):
        busy = replace(status, queued=1, attempting=1, delivered=second // 50)
        assert watch.look(NOON + second * SECOND_NS, [busy]) == Found()


@pytest.mark.parametrize(("before", "patience"), [(None, 61), (DOWN, 59)])
def test_a_machine_that_slept_took_what_waited_for_a_target_that_does_not_work(
    before: Outcome | None, patience: int
) -> None:
    """Ten minutes had passed on the clock, and nobody had been there to send anything."""
    chats = Chats()
    chats.answers["d"] = before
    chats.fire("desk")
    chats.run(5)
    chats.now += 600 * SECOND_NS
    assert chats.run(patience) == []
    assert chats.watch.failing(chats.now - SECOND_NS) == ()
    (failing,) = chats.run(10)
    assert "since 12:00:00" in failing.message


def test_a_target_that_takes_something_again_fails_no_more_before_that_is_told() -> None:
    chats = Chats(retry_s=1)
    chats.answers["d"] = DOWN
    chats.fire("desk")
    chats.run(70)
    assert chats.watch.failing(chats.now) == ("desk[1] slack",)
    chats.answers["d"] = OK
    assert chats.run(3) == []
    assert chats.watch.failing(chats.now) == ()


def test_of_many_that_fail_at_once_ten_are_told_of_and_three_are_in_the_title() -> None:
    many = tuple(Address(f"d{number:02d}", f"desk[{number}]", ("desk",)) for number in range(12))
    chats = Chats(addresses=(*many, TERMINAL))
    chats.answers = {address.id: DOWN for address in many}
    chats.fire("desk")
    (failing,) = chats.run(70)
    assert failing.title.endswith("desk[0], desk[1], desk[2] and 9 more")
    assert len(failing.message.splitlines()) == 10
    chats.answers.clear()
    (back,) = chats.run(60)
    assert len(back.message.splitlines()) == 10


def test_what_waits_for_its_turn_at_a_slow_pace_does_not_hang() -> None:
    slow = replace(DESK, spacing_ns=180 * SECOND_NS)
    watch, (status,) = Watch(TTL_S * SECOND_NS, 0), Outbox([slow]).status()
    for second in range(900):
        waits = replace(status, queued=1, delivered=second // 180)
        assert watch.look(NOON + second * SECOND_NS, [waits]) == Found()


def test_another_one_that_fails_already_is_no_one_to_tell_it_by() -> None:
    chats = Chats(addresses=(DESK, PHONE, TERMINAL), ops=("desk",))
    chats.answers["d"] = DOWN
    chats.fire("desk")
    chats.run(70)
    chats.answers["p"] = DOWN
    chats.fire("phone")
    chats.run(70)
    assert chats.got["t"] == ["target-failing", "target-failing"]


def test_several_that_fail_and_are_named_for_it_read_of_it_when_they_are_back() -> None:
    chats = Chats(addresses=(DESK, PHONE, TERMINAL), ops=("desk", "phone", "terminal"))
    chats.answers |= {"d": DOWN, "p": DOWN}
    chats.fire("desk", "phone")
    chats.run(70)
    chats.answers.clear()
    chats.run(60)
    assert all(got[-2:] == ["target-failing", "target-back"] for got in chats.got.values())
    assert set(chats.got) == {"d", "p", "t"}


def test_why_a_target_fails_is_told_in_the_readers_language() -> None:
    chats = Chats(locale=Locale.KO)
    chats.answers["d"] = Failed("no connection")
    chats.fire("desk")
    (failing,) = chats.run(70)
    assert reason("no connection", Locale.KO) != "no connection"
    assert f"{reason('no connection', Locale.KO)}. " in failing.message
