"""Data as a scenario spoils it: records and frames by themselves, and what a client on a socket gets."""

from base64 import b64decode
from collections.abc import Callable

import pytest
import trio
from Crypto.Cipher import AES
from simulator_client import EAGER, Client, a_broker, a_client, a_client_in_memory, approval_key, request
from simulator_faults import bare, faults
from trio.testing import MockClock

from engine.config.model import Simulator as Settings
from engine.kst import SECOND_NS, clock_time
from engine.simulator import wire
from engine.simulator.data import GARBAGE, Spoiler
from engine.simulator.faults import Faults
from engine.simulator.messages import Cipher
from engine.simulator.scenario import parse
from engine.simulator.server import Broker
from engine.simulator.wire import Raw

START = 1_700_000_000 * SECOND_NS
CIPHER = Cipher("0123456789abcdef", "abcdefghijklmnopqrstuvwxyzabcdef")
SAMSUNG = "005930^092237^1413444^109159646900^1189408^91931710200^-224036^-17227936700^65033^15475^-49558"
HYNIX = SAMSUNG.replace("005930", "000660")


def spoilt(*tables: str, records: tuple[str, ...] = (SAMSUNG, HYNIX), seed: int = 1) -> list[str | Raw]:
    """What becomes of these records, sent at once."""
    return spoiler(*tables, seed=seed).frames("H0STPGM0", records, CIPHER, START, encrypted=False)


def spoiler(*tables: str, seed: int = 1) -> Spoiler:
    return Spoiler(Faults(parse(faults(*tables)), seed, START).connection(1, START))


def one(*tables: str) -> str:
    (frame,) = spoilt(*tables)
    assert isinstance(frame, str)
    return frame


def bytes_of(frames: list[str | Raw]) -> bytes:
    (frame,) = frames
    assert isinstance(frame, Raw)
    return frame.data


def test_without_faults_frames_are_as_always() -> None:
    assert one('do = "trailing", at = "1h"') == f"0|H0STPGM0|002|{SAMSUNG}^{HYNIX}"


def test_appended_fields() -> None:
    extra = "^7^7"
    assert one('do = "extra-fields", count = 2, value = "7"') == f"0|H0STPGM0|002|{SAMSUNG}{extra}^{HYNIX}{extra}"


def test_frames_over_8_kb() -> None:
    assert len(one('do = "extra-fields", repeat = 9000')) > 8192 * 2


def test_trailing_separator() -> None:
    assert one('do = "trailing"') == f"0|H0STPGM0|002|{SAMSUNG}^{HYNIX}^"


@pytest.mark.parametrize(("by", "count"), [(1, "003"), (-1, "001"), (-2, "000"), (-9, "000"), (900, "902")])
def test_wrong_counts(by: int, count: str) -> None:
    assert one(f'do = "wrong-count", by = {by}') == f"0|H0STPGM0|{count}|{SAMSUNG}^{HYNIX}"


@pytest.mark.parametrize("value", ["", "(null)", "1_0", "９", "+1", "1.5", "-", "9" * 400])
def test_field_values(value: str) -> None:
    frame = one(f'do = "field", fields = ["buy_volume"], value = "{value}", symbols = ["000660"]')
    assert frame == f"0|H0STPGM0|002|{SAMSUNG}^{HYNIX.replace('1189408', value)}"


def test_a_field_by_chance_is_one_of_the_numbers() -> None:
    changed = set()
    for seed in range(200):
        (frame,) = spoilt('do = "field", value = "x"', records=(SAMSUNG,), seed=seed)
        fields = str(frame).split("|")[3].split("^")
        assert fields.count("x") == 1
        changed.add(fields.index("x"))
    assert changed == set(range(2, 11))


def test_falling_counters() -> None:
    (frame,) = spoilt('do = "falling", by = 0.5', records=(SAMSUNG,))
    fields = str(frame).split("^")
    assert fields[2:8] == ["706722", "54579823450", "594704", "45965855100", "-112018", "-8613968350"]


def test_falling_leaves_alone_what_is_no_number() -> None:
    frame = one('do = "field", fields = ["sell_volume"], value = "x"', 'do = "falling"')
    assert frame.count("^x^109159646900^") == 2


def test_doubled_records() -> None:
    assert one('do = "doubled", symbols = ["005930"]') == f"0|H0STPGM0|003|{SAMSUNG}^{SAMSUNG}^{HYNIX}"


def test_times_out_of_order() -> None:
    assert one('do = "time-back", by = "40s", symbols = ["005930"]').startswith("0|H0STPGM0|002|005930^092157^")


def test_time_back_over_midnight() -> None:
    (frame,) = spoilt('do = "time-back", by = "1m"', records=(SAMSUNG.replace("092237", "000010"),))
    assert "^235910^" in str(frame)


def test_equal_times() -> None:
    kept = spoiler('do = "time-frozen", at = "1s", for = "10s", every = "20s"')
    moments = [START + at * SECOND_NS for at in (0, 5, 9, 15, 22, 25)]
    frames = [kept.frames("H0STPGM0", [SAMSUNG], CIPHER, at, encrypted=False) for at in moments]
    stamps = [str(frame).split("^")[1] for (frame,) in frames]
    first, second = clock_time(moments[1]), clock_time(moments[4])
    assert stamps == ["092237", first, first, "092237", second, second]


@pytest.mark.parametrize("size", [1, 2, 7, 20, 200])
def test_so_many_records_a_frame(size: int) -> None:
    held = spoiler(f'do = "batch", records = {size}, for = "1m"')
    records = [SAMSUNG.replace("092237", f"{number:06d}") for number in range(450)]
    frames: list[str | Raw] = []
    for at in range(0, 450, 9):
        frames += held.frames("H0STPGM0", records[at : at + 9], CIPHER, START, encrypted=False)
    counts = [str(frame).split("|")[2] for frame in frames]
    assert set(counts) == {f"{size:03d}"}
    after = held.frames("H0STPGM0", [HYNIX], CIPHER, START + 61 * SECOND_NS, encrypted=False)
    everything = "".join(str(frame) for frame in frames + after)
    assert everything.count("005930^") == 450, "records were lost, or held for ever"


def test_what_waits_for_a_batch_does_not_outlive_its_registration() -> None:
    held = spoiler('do = "batch", records = 3')
    assert held.frames("H0STPGM0", [SAMSUNG, HYNIX], CIPHER, START, encrypted=False) == []
    held.forget("H0STPGM0", "005930")
    (frame,) = held.frames("H0STPGM0", [HYNIX, HYNIX], CIPHER, START, encrypted=False)
    assert frame == f"0|H0STPGM0|003|{HYNIX}^{HYNIX}^{HYNIX}"


def test_frames_out_of_order() -> None:
    kept = spoiler('do = "out-of-order"')
    assert kept.frames("H0STPGM0", [SAMSUNG], CIPHER, START, encrypted=False) == []
    assert kept.frames("H0STPGM0", [HYNIX], CIPHER, START, encrypted=False) == [
        f"0|H0STPGM0|001|{HYNIX}",
        f"0|H0STPGM0|001|{SAMSUNG}",
    ]


@pytest.mark.parametrize(("broken", "readable"), [("false", True), ("true", False)])
def test_encrypted_frames(broken: str, readable: bool) -> None:
    flag, _, count, payload = one(f'do = "encrypted", broken = {broken}').split("|")
    aes = AES.new(CIPHER.key.encode(), AES.MODE_CBC, CIPHER.iv.encode())
    plain = aes.decrypt(b64decode(payload, validate=True))
    assert (flag, count) == ("1", "002")
    assert plain.startswith(SAMSUNG.encode()) == readable


def test_garbage_comes_beside_the_data() -> None:
    data, stray = spoilt('do = "garbage", text = "{\\"header\\":"')
    assert (data, stray) == (f"0|H0STPGM0|002|{SAMSUNG}^{HYNIX}", '{"header":')
    assert {spoilt('do = "garbage"', seed=seed)[1] for seed in range(200)} == set(GARBAGE)


def test_other_trs_come_beside_the_data() -> None:
    _, stray = spoilt('do = "other-tr", tr_id = "H0STASP0"')
    assert str(stray).startswith("0|H0STASP0|001|005930^")
    assert len(str(stray).split("^")) == 46


def test_invalid_utf8_in_one_number() -> None:
    data = bytes_of(spoilt('do = "bad-utf8"', records=(SAMSUNG,)))
    with pytest.raises(UnicodeDecodeError):
        data[2:].decode()
    assert data.count(b"^") == 10
    assert b"^\xb0\xa1\xff" in data


def test_fragments_make_up_the_message() -> None:
    data, payload, opcodes, ends = bytes_of(spoilt('do = "fragments", pieces = 3')), b"", [], []
    while data:
        opcodes.append(data[0] & 15)
        ends.append(data[0] >> 7)
        payload, data = payload + data[2 : 2 + data[1]], data[2 + data[1] :]
    assert payload.decode() == f"0|H0STPGM0|002|{SAMSUNG}^{HYNIX}"
    assert (opcodes, ends) == ([1, 0, 0], [0, 0, 1])


def test_faults_add_up() -> None:
    data = bytes_of(spoilt('do = "trailing"', 'do = "bad-utf8"', 'do = "segments", size = 7', 'do = "wrong-count"'))
    assert data.startswith(b"\x81\x7e")
    assert b"|003|" in data
    assert data.endswith(b"^")


def test_a_share_of_the_frames_by_the_seed() -> None:
    def struck(seed: int) -> list[bool]:
        kept = spoiler('do = "trailing", share = 0.25', seed=seed)
        frames = [kept.frames("H0STPGM0", [SAMSUNG], CIPHER, START, encrypted=False)[0] for _ in range(400)]
        return [str(frame).endswith("^") for frame in frames]

    assert struck(1) == struck(1) != struck(2)
    assert 60 < sum(struck(1)) < 140


def test_what_one_fault_decides_hangs_on_no_other() -> None:
    def struck(*more: str) -> list[bool]:
        kept = spoiler('do = "trailing", share = 0.5', *more)
        frames = [kept.frames("H0STPGM0", [SAMSUNG], CIPHER, START, encrypted=False)[0] for _ in range(50)]
        return [str(frame).endswith("^") for frame in frames]

    assert struck() == struck('do = "wrong-count", share = 0.5')


# On sockets.


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('do = "fragments", pieces = 4', lambda text: text.startswith("0|H0STPGM0|0")),
        ('do = "segments"', lambda text: text.startswith("0|H0STPGM0|0")),
        ('do = "batch", records = 13', lambda text: text.startswith("0|H0STPGM0|013|")),
        ('do = "batch", records = 1', lambda text: text.startswith("0|H0STPGM0|001|")),
        ('do = "extra-fields", repeat = 9000', lambda text: len(text) > 9000),
        ('do = "encrypted"', lambda text: text.startswith("1|H0STPGM0|0")),
    ],
)
async def test_what_a_client_gets(table: str, expected: Callable[[str], bool]) -> None:
    async with a_broker(scenario=faults(table), rate=2_000) as (_, addresses), a_client(addresses) as client:
        await client.ask()
        for _ in range(5):
            assert expected(await client.data())


async def test_segments_are_single_bytes_on_the_wire(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    sent: list[int] = []
    broker = Broker(Settings(symbols=1), EAGER, parse(faults('do = "segments"')))
    async with a_client_in_memory(broker) as client:
        (connection,) = broker._connections
        stream = connection._websocket._stream
        send_all = stream.send_all

        async def watched(data: bytes | bytearray | memoryview) -> None:
            sent.append(len(data))
            await send_all(data)

        monkeypatch.setattr(stream, "send_all", watched)
        await client.ask()
        await client.data()
    assert sent.count(1) > 50


async def test_after_unsubscribing_nothing_comes_out_of_a_batch(autojump_clock: MockClock) -> None:
    broker = Broker(Settings(symbols=1), EAGER, parse(faults('do = "batch", records = 400')))
    async with a_client_in_memory(broker) as client:
        await client.ask("005930")
        await trio.sleep(5)
        await client.ask("005930", tr_type="2")
        await client.ask("000660")
        assert "005930" not in await _long_wait(client)


async def _long_wait(client: Client) -> str:
    """A frame, past any PINGPONG."""
    with trio.fail_after(120):
        while "PINGPONG" in (text := str(await client.socket.get_message())):
            await client.socket.send_message(text)
    return text


async def test_binary_messages() -> None:
    async with a_broker(scenario=faults('do = "binary"'), rate=400) as (_, addresses), a_client(addresses) as client:
        await client.ask()
        while not isinstance(message := await client.socket.get_message(), bytes):
            pass
        assert len(message) == 64


async def test_bytes_that_are_no_utf8_reach_the_client() -> None:
    async with a_broker(scenario=faults('do = "bad-utf8"'), rate=400) as (_, addresses), bare(addresses) as client:
        await client.send(request(await approval_key(addresses)))
        await client.until(b"^\xb0\xa1\xff")


async def test_a_header_of_a_tebibyte() -> None:
    text = faults('do = "huge-header", since = "subscribed"')
    async with a_broker(scenario=text, rate=400) as (broker, addresses), bare(addresses) as client:
        await client.send(request(await approval_key(addresses)))
        await client.until(b"\x81\x7f" + (2**40).to_bytes(8))
        assert broker.status().faults == {"huge-header": 1}


async def test_a_burst_at_its_rate(autojump_clock: MockClock) -> None:
    text = faults('do = "burst", rate = 2000, since = "subscribed", at = "1s", for = "3s"')
    broker = Broker(Settings(rate=1), EAGER, parse(text))
    async with a_client_in_memory(broker) as client:
        await client.ask("005930")
        await client.ask("000660")
        frames: list[tuple[float, str]] = []
        with trio.move_on_after(6):
            while True:
                message = await client.socket.get_message()
                frames.append((trio.current_time(), str(message)))
    burst = [text for at, text in frames if text.startswith("0|H0STPGM0|001|")]
    assert 5_800 < len(burst) < 6_200
    assert min(at for at, _ in frames[:-5]) > 0.5
    assert {text.split("|")[3][:6] for text in burst} == {"005930", "000660"}
    volumes = [int(text.split("^")[4]) for text in burst if "|005930^" in text]
    assert volumes == sorted(volumes)
    assert broker.status().frames == len([text for _, text in frames if text.startswith("0|")])


@pytest.mark.slow  # a second of real time: whether the machine keeps up is the question
async def test_ten_thousand_frames_a_second_on_a_socket() -> None:
    text = faults('do = "burst", rate = 10000, since = "subscribed", for = "1s"')
    async with a_broker(scenario=text, rate=1) as (broker, addresses), bare(addresses) as client:
        await client.send(request(await approval_key(addresses)))
        received = 0
        with trio.move_on_after(1.5):
            while True:
                received += (await client.stream.receive_some(1 << 20)).count(b"\x81")
        assert broker.status().frames > 7_500
        assert received > 7_500


@pytest.mark.parametrize(
    ("length", "header"), [(125, b"\x81\x7d"), (126, b"\x81\x7e\0\x7e"), (65_536, b"\x81\x7f\0\0\0\0\0\1\0\0")]
)
def test_lengths_in_frame_headers(length: int, header: bytes) -> None:
    assert wire.frame(b"x" * length) == header + b"x" * length


async def test_a_ghost_stays_one_in_a_burst(autojump_clock: MockClock) -> None:
    text = faults('do = "burst", rate = 100', 'do = "ghost", symbols = ["005930"]')
    broker = Broker(Settings(rate=1), EAGER, parse(text))
    async with a_client_in_memory(broker) as client:
        await client.ask("005930")
        await client.ask("000660")
        assert {(await client.data()).split("|")[3][:6] for _ in range(50)} == {"000660"}
