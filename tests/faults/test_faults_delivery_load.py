"""Delivery when nearly everything hangs, and when alerts come by the thousand: who is well does not feel it."""

import random
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import trio
from fault_delivering import Played, delivering, hooks
from fault_hooks import Hook, hooked
from receivers import Receiver, hang, listening, trickle, until

from engine.delivery import lane
from engine.delivery.target import Failed
from engine.delivery.threads import MAX_THREADS
from engine.evaluation.lifecycle import Life, Phase, Tally
from engine.evaluation.standing import Standing
from engine.keeper import Trouble, Work
from engine.rules.model import Severity
from engine.stream import Frame, Start


def nth(values: list[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


class Pulse:
    """How late a task comes that wants to run each 5 ms."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    async def run(self) -> None:
        while True:
            wanted = trio.current_time() + 0.005
            await trio.sleep_until(wanted)
            self.late_s.append(trio.current_time() - wanted)


def trickle_of_a_head(receiver: Receiver, connection: socket.socket) -> None:
    """Never comes to the end of its headers."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not receiver.released.wait(0.05):
        connection.sendall(b"X-A: b\r\n")


@contextmanager
def never_accepted() -> Iterator[str]:
    """The kernel takes the connection and the request; nobody is there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"json://127.0.0.1:{listener.getsockname()[1]}/"


@contextmanager
def not_even_connected() -> Iterator[str]:
    """A queue that is full: the handshake is never answered."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as listener, ExitStack() as stack:
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield f"json://127.0.0.1:{listener.getsockname()[1]}/"


ALERTS = 250
HUNG = 8


async def latencies_alone(folder: Path) -> list[float]:
    """What a healthy target takes with nobody beside it, on this machine, now."""
    put_at = {}
    with hooked(Hook()) as hook:
        (well,) = hooks([hook.url])
        (folder / "alone").mkdir()
        async with delivering(folder / "alone", [well]) as made:
            for number in range(ALERTS // 2):
                put_at[f"n-{number}"] = time.monotonic()
                made.keeper.put(Work(notices=[made.alert(f"n-{number}")], mark=made.clock.now()))
                await trio.sleep(0.02)
            await until(lambda: made.status(well).delivered == len(put_at))
    return [told.at - put_at[ident] for told in hook.told for ident in told.idents]


@pytest.mark.slow  # alerts come one at a time, so that each has a latency of its own
async def test_eight_targets_that_hang_cost_a_ninth_no_tenth_of_a_second(tmp_path: Path) -> None:
    with ExitStack() as stack:
        healthy = stack.enter_context(hooked(Hook()))
        urls = [stack.enter_context(listening(each)).url(query="?rto=60") for each in (hang, hang, trickle, trickle)]
        urls += [stack.enter_context(listening(trickle_of_a_head)).url(query="?rto=60") for _ in range(2)]
        urls += [stack.enter_context(never_accepted()) + "?rto=60", stack.enter_context(not_even_connected())]
        assert len(set(urls)) == HUNG
        hung, (well,) = hooks(urls, deadline_s=0.5), hooks([healthy.url])
        alone = await latencies_alone(tmp_path)
        threads, pulse, put_at = threading.active_count(), Pulse(), {}
        async with delivering(tmp_path, [*hung, well]) as made, trio.open_nursery() as nursery:
            nursery.start_soon(pulse.run)
            before_mb = resident_mb()
            for number in range(ALERTS):
                put_at[f"n-{number}"] = time.monotonic()
                made.keeper.put(Work(notices=[made.alert(f"n-{number}")], mark=made.clock.now()))
                await trio.sleep(0.02)
            await until(lambda: made.status(well).delivered == ALERTS)
            own_threads = sum(thread.name in {each.address.name for each in hung} for thread in threading.enumerate())
            grown_mb = resident_mb() - before_mb
            assert sum(made.status(each).delivered for each in hung) == 0
            assert all(made.status(each).queued + made.status(each).attempting == ALERTS for each in hung)
            nursery.cancel_scope.cancel()
    took_s = [told.at - put_at[ident] for told in healthy.told for ident in told.idents]
    figures = (
        f"alone_p99={nth(alone, 99):.4f} p50={nth(took_s, 50):.4f} p99={nth(took_s, 99):.4f}"
        f" max={max(took_s):.4f} late={max(pulse.late_s):.4f}"
    )
    print(figures, f"threads={own_threads} of {threads} grown_mb={grown_mb:.1f}")  # noqa: T201  for who runs it with -s
    assert len(took_s) == ALERTS
    assert nth(took_s, 99) < max(0.1, 2 * nth(alone, 99)), figures  # a machine can be too busy to tell
    assert nth(pulse.late_s, 99) < max(0.05, nth(alone, 99)), figures
    assert own_threads <= HUNG * MAX_THREADS
    assert grown_mb < 50


RATE = 1_000
SECONDS = 10
LINES_PER_ALERT = 5
STEP_S = 0.01


def a_frame(at: int, number: int) -> Frame:
    symbol = f"{200_000 + number % 500:06d}"
    fields = f"{symbol}^101010^0^0^{number}^{number}^{number}^{number}^5^9^4"
    return Frame(at, (), f"0|H0STPGM0|001|{fields}")


@pytest.mark.slow  # ten seconds of alerts are ten seconds
async def test_a_thousand_alerts_a_second_are_stored_as_they_come_and_hold_nobody_up(tmp_path: Path) -> None:
    """With their lines and standings, one target that takes them and one that never does."""
    well, dead = Played("well"), Played("dead", lambda _: Failed("no connection"))
    chance, puts_s, lags_s, queued = random.Random(1), [], [], []
    pulse, commits = Pulse(), 0
    async with delivering(tmp_path, [well, dead], digest_s=0.5) as made, trio.open_nursery() as nursery:
        commit = made.database.commit

        def counted(*given: object) -> None:
            nonlocal commits
            commits += 1
            commit(*given)  # type: ignore[arg-type]  # as it was called

        vars(made.database)["commit"] = counted
        nursery.start_soon(pulse.run)
        made.keeper.put(Work([Start(made.clock.now())]))
        began_s, number = trio.current_time(), 0
        while number < RATE * SECONDS:
            now, due = made.clock.now(), int((trio.current_time() - began_s) * RATE) + 1
            numbers = range(number, min(due, RATE * SECONDS))
            number = numbers.stop
            work = Work(
                [a_frame(now, each) for each in range(LINES_PER_ALERT * len(numbers))],
                [made.alert(f"n-{each}", chance.choice([*Severity])) for each in numbers],
                [standing(each, now) for each in numbers],
                mark=now,
            )
            put_s = time.perf_counter()
            made.keeper.put(work)
            puts_s.append(time.perf_counter() - put_s)
            lags_s.append(made.keeper.lag_s())
            queued.append(max(made.outbox.queued().values()))
            await trio.sleep(STEP_S)
        took_s = trio.current_time() - began_s
        await until(lambda: made.status(well).delivered == RATE * SECONDS)
        await made.keeper.caught_up()
        assert made.keeper.trouble == Trouble()
        nursery.cancel_scope.cancel()
        (stored,) = made.asked("SELECT count(*) FROM history")[0]
        reached = dict(made.asked("SELECT status, count(*) FROM delivery WHERE target = 'well' GROUP BY status"))
        unreached = dict(made.asked("SELECT status, count(*) FROM delivery WHERE target = 'dead' GROUP BY status"))
    figures = (
        f"alerts_s={RATE * SECONDS / took_s:.0f} commits_s={commits / took_s:.0f} lag_p99={nth(lags_s, 99):.3f}"
        f" lag_max={max(lags_s):.3f} put_p99={nth(puts_s, 99):.5f} put_max={max(puts_s):.4f}"
        f" late_p99={nth(pulse.late_s, 99):.4f} late_max={max(pulse.late_s):.4f} queued={max(queued)}"
    )
    print(figures, reached, unreached)  # noqa: T201  for who runs it with -s
    assert stored == RATE * SECONDS
    assert reached == {"delivered": RATE * SECONDS}
    assert sum(unreached.values()) == RATE * SECONDS
    assert unreached["dropped"] > 0
    assert max(queued) <= lane.MAX_QUEUED * 1.1 + RATE
    assert nth(lags_s, 99) < 1.0, figures
    assert nth(puts_s, 99) < 0.02, figures
    assert nth(pulse.late_s, 99) < 0.1, figures


def standing(number: int, at: int) -> Standing:
    return Standing("rule", f"{200_000 + number % 500:06d}", "f", Life(Phase.FIRING, at, told_at=at), Tally(1, at))
