"""What a feed hands over so that a restart knows of it, and what it says of itself."""

import pytest
import trio
from kis_broker import Broker, Peer, answer, data, good_answer
from kis_desk import SETTINGS, A, B, Desk, chatter, desk, failing, lines, waits
from pydantic import SecretStr
from trio.testing import MockClock

from engine.config.model import Backoff
from engine.kis.approval import ApprovalError, AskedTooOftenError, CredentialsRefusedError
from engine.kis.backoff import HOUR_NS, Ending, Memory, State
from engine.kis.status import Phase
from engine.kst import SECOND_NS

REFUSED = CredentialsRefusedError("EGW00103", "EGW00103")
NOW = 1_800_000_000 * SECOND_NS


async def refuse() -> SecretStr:
    raise REFUSED


async def leave(peer: Peer) -> None:
    await peer.stream.aclose()


async def hang(_memory: Memory) -> bool:
    await trio.sleep_forever()


async def full(_memory: Memory) -> bool:
    return False


# -- remembering


async def test_an_attempt_is_kept_before_it_is_made(autojump_clock: MockClock) -> None:
    kept_before: list[int] = []

    async def slowly(memory: Memory) -> bool:
        kept_before.append(len(made.approvals))
        await trio.sleep(0.5)
        return True

    async with desk(Broker(after=chatter), remember=slowly) as made:
        await made.up()
        assert kept_before == [0, 1]
        assert [(len(memory.state.attempts), memory.approved) for memory in made.memories] == [(1, False), (1, True)]
        assert made.approvals == [0.5]
        assert made.status.approved


async def test_endings_refusals_and_proofs_are_kept(autojump_clock: MockClock) -> None:
    errors: list[ApprovalError] = [REFUSED, AskedTooOftenError("EGW00133", "EGW00133")]

    async def approve() -> SecretStr:
        if errors:
            raise errors.pop(0)
        return SecretStr("TEST-APPROVAL-KEY")

    async def trade(peer: Peer) -> None:
        for _ in range(70):
            await peer.say(data(A))
            await trio.sleep(1)
        await peer.stream.aclose()

    async with desk(Broker(after=trade), [A], approve=approve) as made:
        await made.until(lambda: made.status.last_ending is Ending.LOST, 400)
        await made.until(lambda: len(made.memories) == 8)
    assert [(m.state.failures, m.state.denied, m.approved, len(m.state.attempts)) for m in made.memories] == [
        (0, False, False, 1),  # attempt
        (1, True, False, 1),  # refused
        (1, True, False, 2),
        (2, True, False, 2),  # too often says nothing of the credentials
        (2, True, False, 3),
        (2, False, True, 3),  # a key
        (0, False, True, 3),  # a minute of data
        (1, False, True, 3),  # lost
    ]


async def test_a_refusal_outlives_a_restart(autojump_clock: MockClock) -> None:
    async with desk(Broker(), approve=refuse) as made:
        await made.until(lambda: made.status.refused)
    kept = made.memories[-1]
    assert kept.state.denied
    async with desk(Broker(), memory=kept) as again:
        await trio.testing.wait_all_tasks_blocked()
        assert (again.status.refused, again.status.approved) == (True, False)
        assert again.status.next_attempt == kept.state.not_before
        await trio.sleep(50)
        assert not again.approvals
        await trio.sleep(15)
        assert len(again.approvals) == 1
        assert (again.status.refused, again.status.approved) == (False, True)


async def test_a_refusal_of_last_week_says_nothing_until_it_is_asked_again(autojump_clock: MockClock) -> None:
    """The daemon ended at each start, for ever, without asking once: nothing took the refusal back."""
    past = Memory(State(refused=1, not_before=NOW - SECOND_NS, denied=True))
    answers = [trio.Event(), trio.Event()]

    async def approve() -> SecretStr:
        await answers.pop(0).wait()
        raise REFUSED

    asked, _ = answers[:]
    async with desk(Broker(), memory=past, approve=approve, start=NOW) as made:
        await made.until(lambda: made.approvals)
        assert not made.status.refused
        asked.set()
        await made.until(lambda: made.status.refused)
        assert made.status.next_attempt is not None
        assert made.status.next_attempt - NOW > 299 * SECOND_NS  # it does count
        await made.until(lambda: len(made.approvals) == 2, 400)
        assert made.status.refused  # of this run: also while it is asked again


async def test_a_key_takes_the_refusal_back(autojump_clock: MockClock) -> None:
    async def approve() -> SecretStr:
        if len(made.approvals) == 1:
            raise REFUSED
        return SecretStr("TEST-APPROVAL-KEY")

    async with desk(Broker(after=chatter), approve=approve) as made:
        await made.until(lambda: made.status.refused)
        await made.until(lambda: made.status.phase is Phase.UP, 100)
        assert not made.status.refused


async def test_the_first_key_after_a_refusal_is_remembered(autojump_clock: MockClock) -> None:
    past = Memory(State(refused=1, not_before=NOW - SECOND_NS, denied=True), approved=True)
    async with desk(Broker(), memory=past, start=NOW) as made:
        await made.up()
        assert not made.memories[-1].state.denied


async def test_attempts_of_a_clock_that_was_ahead_hold_for_an_hour(autojump_clock: MockClock) -> None:
    year = 365 * 24 * HOUR_NS
    past = Memory(State(attempts=(NOW + year,) * 20, not_before=NOW + year))
    async with desk(Broker(), memory=past, start=NOW) as made:
        await trio.sleep(3590)
        assert not made.approvals
        await trio.sleep(20)
        assert len(made.approvals) == 1


async def test_a_clean_end_right_after_the_attempt_leaves_it_counted(autojump_clock: MockClock) -> None:
    async with desk(Broker()) as made:
        await made.until(lambda: made.approvals)
    assert len(made.memories[0].state.attempts) == 1


# -- a disk that keeps nothing


@pytest.mark.parametrize("remember", [full, hang])
async def test_what_cannot_be_kept_waits_for_its_share_of_the_hour(
    remember: object, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk a crash loop connected as often as it crashed."""
    async with desk(Broker(after=chatter), remember=remember) as made:
        await trio.sleep(179)
        assert not made.approvals
        await trio.sleep(20)
        assert len(made.approvals) == 1
        await made.up()
    assert lines(caplog, "feed memory account=main kept=no") == ["feed memory account=main kept=no"]


async def test_while_it_waits_for_its_share_the_next_attempt_is_shown(autojump_clock: MockClock) -> None:
    """It was shown as due, for up to an hour."""
    async with desk(Broker(after=chatter), remember=full, start=NOW) as made:
        await made.until(lambda: made.feed.status().attempts_last_hour != 0)
        await trio.sleep(10)
        assert made.status.phase is Phase.WAITING
        assert made.status.next_attempt == NOW + HOUR_NS // 20
        assert not made.status.is_kept
        await made.until(lambda: made.approvals, 200)
        assert made.status.next_attempt is None


async def test_while_an_attempt_is_written_down_the_next_one_is_now(autojump_clock: MockClock) -> None:
    """It was counted already, and the one after it shown: with one an hour, an hour later."""
    settings = SETTINGS.model_copy(update={"backoff": Backoff(max_per_hour=1)})
    async with desk(Broker(), remember=hang, start=NOW, settings=settings) as made:
        await trio.sleep(1)
        assert made.status.next_attempt == NOW


async def test_on_a_full_disk_each_attempt_keeps_away_from_the_one_before(autojump_clock: MockClock) -> None:
    async with desk(Broker(after=leave), remember=full) as made:
        await made.until(lambda: len(made.approvals) == 4, 1000)
    assert waits(made) == pytest.approx([180] * 3, abs=1)


async def test_an_attempt_that_waited_for_its_share_is_kept_as_of_when_it_is_made(autojump_clock: MockClock) -> None:
    async def remember(_memory: Memory) -> bool:
        return len(made.memories) > 1

    known = Memory(approved=True)  # or the key would be a reason to keep it
    async with desk(Broker(after=chatter), remember=remember, memory=known, start=NOW) as made:
        await made.until(lambda: made.approvals, 200)
        (kept,) = made.memories[1].state.attempts
        assert (kept - NOW) / SECOND_NS == pytest.approx(180, abs=0.1)
        assert made.feed.backoff.attempts == (kept,)


async def test_the_attempts_that_were_kept_count_into_the_share(autojump_clock: MockClock) -> None:
    past = Memory(State(attempts=tuple(NOW - SECOND_NS * n for n in range(10, 0, -1))))
    async with desk(Broker(after=chatter), remember=full, memory=past, start=NOW) as made:
        await trio.sleep(359)
        assert not made.approvals
        await trio.sleep(20)
        assert len(made.approvals) == 1


async def test_a_session_that_lasted_is_back_at_once_also_on_a_full_disk(autojump_clock: MockClock) -> None:
    async def last(peer: Peer) -> None:
        for _ in range(30):
            await trio.sleep(10)
            await peer.say(data(A))
        await peer.stream.aclose()

    async with desk(Broker(after=last), [A], remember=full) as made:
        await made.until(lambda: len(made.approvals) == 3, 2000)
    assert waits(made) == pytest.approx([303, 303], abs=1)


async def test_when_there_is_room_again_it_is_said_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    answers = [False, True]

    async def remember(_memory: Memory) -> bool:
        return answers.pop(0) if answers else True

    async with desk(Broker(after=chatter), remember=remember) as made:
        await made.until(lambda: made.status.phase is Phase.UP, 300)
    assert lines(caplog, "feed memory") == ["feed memory account=main kept=no", "feed memory account=main kept=yes"]


@pytest.mark.parametrize("after_s", [0.0, 1.0, 10.0, 170.0])
async def test_a_disk_that_hangs_does_not_hold_the_end(after_s: float, autojump_clock: MockClock) -> None:
    async with desk(Broker(), remember=hang) as made:
        await trio.sleep(after_s)
        began = trio.current_time()
        made.feed.stop()
        await made.until(lambda: made.status.phase is Phase.STOPPED)
        assert trio.current_time() - began < 1


# -- asking again


async def test_repeated_requests_need_a_round_that_was_kept(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    keeps = True

    async def remember(memory: Memory) -> bool:
        return keeps or not memory.state.rounds

    codes = {A: "OPSP0007"}
    broker = Broker(answers=failing(codes), after=chatter)
    async with desk(broker, [A, B], remember=remember) as made:
        await made.up()
        keeps = False
        await trio.sleep(300)
        assert broker.asked().count(A) == 1
        assert made.status.unanswered == (A,)
        keeps = True
        await made.until(lambda: broker.asked().count(A) == 2, 120)
        assert len(made.memories[-1].state.rounds) >= 1


async def test_when_the_rounds_are_spent_nothing_is_asked_again_until_the_hour_frees_one(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    past = Memory(State(rounds=(NOW - 3000 * SECOND_NS, NOW - 2 * SECOND_NS, NOW - SECOND_NS)))
    broker = Broker(answers=failing({A: "OPSP0007"}), after=chatter)
    async with desk(broker, [A, B], memory=past, start=NOW) as made:
        await made.up()
        await trio.sleep(590)
        assert broker.asked() == [A, B]
        assert made.status.unanswered == (A,)
        await trio.sleep(20)
        assert broker.asked() == [A, B, A]
        await trio.sleep(3600)
        assert broker.asked().count(A) > 5
    assert len(lines(caplog, "feed requests spent account=main")) == 1


async def test_a_round_is_as_many_requests_as_there_are_registrations(autojump_clock: MockClock) -> None:
    requests: list[int] = []

    async def remember(memory: Memory) -> bool:
        if len(memory.state.rounds) > len(requests):
            requests.append(len(broker.requests))
        return True

    broker = Broker(answers=failing({A: "OPSP0007", B: "OPSP0007"}), after=chatter)
    settings = SETTINGS.model_copy(update={"max_registrations": 3})
    async with desk(broker, [A, B], remember=remember, settings=settings):
        await trio.sleep(600)
    assert requests == [2, 5, 8]


async def test_what_is_answered_while_the_round_is_written_down_is_not_asked_again(autojump_clock: MockClock) -> None:
    async def remember(memory: Memory) -> bool:
        if memory.state.rounds:
            await broker.say(answer("OPSP0000", A))
            await trio.sleep(1)
        return True

    broker = Broker(answers=lambda request: [] if A in str(request) else good_answer(request), after=chatter)
    async with desk(broker, [A, B], remember=remember) as made:
        await made.up()
        assert broker.asked() == [A, B]


# -- status


async def test_up_and_down_since(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, start=NOW) as made:
        assert (made.status.up_since, made.status.down_since) == (None, NOW)
        await made.up()
        up_since = made.status.up_since
        assert up_since is not None
        assert 0 < up_since - NOW < SECOND_NS
        assert made.status.down_since is None
        await trio.sleep(100)
        assert made.status.up_since == up_since
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: made.status.up_since is None)
        lost = made.status.down_since
        assert lost is not None
        assert lost - NOW == pytest.approx(100 * SECOND_NS, rel=0.02)
        broker.after = leave  # opens, and is lost before it is up
        await made.until(lambda: len(broker.opened) == 3)
        assert made.status.down_since == lost
        broker.after = chatter
        await made.up()
        assert made.status.down_since is None


async def test_a_dead_line_was_dead_before_it_was_found_out(autojump_clock: MockClock) -> None:
    """The wait of a minute was not counted, so that an outage of 65 s was one of 5 s, and nobody was told."""

    async def once(peer: Peer) -> None:
        await trio.sleep(30)
        await peer.say(data(A))

    broker = Broker(after=once, polite=False)
    async with desk(broker, start=NOW) as made:
        await made.up()
        await made.until(lambda: made.status.up_since is None, 200)
        assert made.clock.now() - NOW > 89 * SECOND_NS
        assert made.status.down_since is not None
        assert made.status.down_since - NOW == pytest.approx(30 * SECOND_NS, rel=0.02)


async def test_a_connection_that_was_silent_from_birth_is_a_loss_of_its_own(autojump_clock: MockClock) -> None:
    """All of them were dated back to the last frame of an earlier one, and so taken for the same loss."""
    broker = Broker(answers=lambda request: good_answer(request) if len(broker.opened) == 1 else [], polite=False)
    async with desk(broker, start=NOW) as made:
        await made.up()
        lost = set()
        while len(broker.opened) < 5:
            await trio.sleep(1)
            lost.add(made.status.down_since)
        assert len(lost - {None}) >= 3


async def test_proven_is_this_connection(autojump_clock: MockClock) -> None:
    async def trade(peer: Peer) -> None:
        while True:
            await peer.say(data(A))
            await trio.sleep(1)

    broker = Broker(after=trade)
    async with desk(broker, [A]) as made:
        await made.up()
        assert not made.status.proven
        await made.until(lambda: made.status.proven, 70)
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: len(broker.opened) == 2)
        await made.up()
        assert not made.status.proven


async def test_drift_is_shown_by_the_number_of_fields(autojump_clock: MockClock) -> None:
    async with desk(Broker(after=chatter), [A]) as made:
        await made.up()
        await made.broker.say(data(A) + "^1", data(A) + "^1^2", data(A) + "^1")
        await made.until(lambda: made.status.records == 3)
        assert (made.status.appended, made.status.drifted) == ((1, 2), 3)


async def test_while_it_is_in_use_elsewhere_it_was_never_up(autojump_clock: MockClock) -> None:
    made: Desk
    async with desk(Broker(answers=lambda _: [answer("OPSP8996", None)]), start=NOW) as made:
        await trio.sleep(1000)
        assert made.status.down_since == NOW
        assert made.status.last_ending is Ending.IN_USE
        made.broker.answers = good_answer
        await made.until(lambda: made.status.up_since, 400)
