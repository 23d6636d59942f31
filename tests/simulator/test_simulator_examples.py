"""The scenarios that ship are played, by a client that stays on it whatever comes: every fault in them strikes."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulator_client import APP_KEY, EAGER, HANDSHAKE, request
from simulator_faults import Bare, faults
from trio.testing import MockClock

from engine.config.model import Simulator as Settings
from engine.simulator.keys import Granted
from engine.simulator.scenario import load, parse
from engine.simulator.server import Broker, Status

SCENARIOS = sorted((Path(__file__).parents[2] / "docs" / "scenarios").glob("*.toml"))
HOURS = {"stormy-day": 0.8, "flaky-network": 0.25, "broker-maintenance": 0.25, "schema-drift": 0.2, "rush-hour": 0.1}
POST = b"POST /oauth2/Approval HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
PAGE = SCENARIOS[0].parents[1] / "simulator.md"
EXAMPLES = dict(re.findall(r'^\| `do = "([a-z0-9-]+)"(.*?)` \|', PAGE.read_text(), re.MULTILINE))
PING = re.compile(rb'{"header":{"tr_id":"PINGPONG","datetime":"[0-9]+"}}')


@pytest.fixture(autouse=True)
def _coarse_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of scenarios in a second or two."""
    monkeypatch.setattr("engine.simulator.server.TICK_S", 0.5)
    monkeypatch.setattr("engine.simulator.connection._LOOK_S", 2.0)


async def stay_on_it(broker: Broker, until_s: float) -> None:
    """Ask for keys, connect and subscribe again and again, as no decent client would."""
    while trio.current_time() < until_s:
        with trio.move_on_after(until_s - trio.current_time()):
            await _ask_for_a_key(broker)
            await _session(broker)
        await trio.sleep(5)


async def _ask_for_a_key(broker: Broker) -> None:
    """Over a stream, for the faults of the endpoint; the key itself is had without."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker._endpoint.serve, theirs)
        await ours.send_all(POST)
        with trio.move_on_after(10):
            await ours.receive_some()
        await ours.aclose()
        nursery.cancel_scope.cancel()


async def _session(broker: Broker) -> None:
    """Subscribe, answer PINGPONG, stay two minutes or until the end; down to the bytes, for speed."""
    body = {"grant_type": "client_credentials", "appkey": APP_KEY, "secretkey": "s"}
    key = broker._endpoint._keys.ask(body, broker.now())
    assert isinstance(key, Granted)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker._serve, theirs)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await ours.send_all(HANDSHAKE)
            answer = b""
            with trio.move_on_after(10):
                answer = bytes(await ours.receive_some())
            if b" 101 " in answer:
                await _listen(Bare(ours), key.approval_key)
        await ours.aclose()
        nursery.cancel_scope.cancel()


async def _listen(client: Bare, key: str) -> None:
    for code in ("005930", "000660", "373220"):
        await client.send(request(key, code))
    with trio.move_on_after(120):
        while chunk := await client.stream.receive_some():
            for ping in PING.findall(chunk):
                await client.send(ping.decode())


async def played(broker: Broker, hours: float) -> Status:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker._tick)
        await stay_on_it(broker, hours * 3600)
        nursery.cancel_scope.cancel()
    return broker.status()


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_an_example_is_played(path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    status = await played(Broker(Settings(symbols=3, rate=3), EAGER, load(path)), HOURS.get(path.stem, 0.2))
    assert status.connections_opened > 1
    assert [kind for kind, count in status.faults.items() if not count] == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(EXAMPLES.items())), min_size=1, max_size=8), st.integers(1, 5))
def test_any_mix_of_faults_is_played_and_leaves_nothing_behind(mix: list[tuple[str, str]], seed: int) -> None:
    """With all that the page shows, a moment after the start: no error of ours, every place free in the end."""
    text = faults(*(f'do = "{kind}", at = "3s"' + re.sub(r', at = "[^"]*"', "", keys) for kind, keys in mix))
    text = text.replace("rate = 10000", "rate = 300")

    async def main() -> None:
        broker = Broker(Settings(symbols=3, rate=20, seed=seed), EAGER, parse(text))
        await played(broker, 0.005)
        await trio.testing.wait_all_tasks_blocked()
        status = broker.status()
        assert (status.connections, status.sessions, status.registrations) == (0, 0, 0)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def run_once(seed: int) -> Status:
    """A quarter of an hour of faults by chance."""
    text = faults(
        'do = "fin", since = "open", at = "20s", share = 0.5',
        'do = "handshake", how = "refuse", share = 0.3',
        'do = "answer", msg_cd = "OPSP8999", share = 0.3',
        'do = "answer-lost", share = 0.2',
        'do = "doubled", share = 0.1',
        'do = "trailing", share = 0.1',
    )

    async def main() -> Status:
        return await played(Broker(Settings(symbols=3, rate=3, seed=seed), EAGER, parse(text)), 0.25)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def test_the_same_seed_and_client_give_the_same_faults() -> None:
    once, again, other = run_once(1), run_once(1), run_once(2)
    assert all(once.faults.values())
    assert (once.faults, once.ended, once.frames) == (again.faults, again.ended, again.frames)
    assert once.faults != other.faults
