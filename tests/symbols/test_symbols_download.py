"""The two files over real sockets: what may come instead, and that none of it holds us up or gets in."""

import io
import socket
import ssl
import struct
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from Crypto.Util.asn1 import DerBitString, DerInteger, DerObject, DerObjectId, DerSequence, DerSetOf
from receivers import Behaviour, Receiver, endless, hang, listening, reply, reset, trickle
from symbols_masters import both, good_site, site, zipped

from engine.locale import Locale
from engine.symbols import download
from engine.symbols.download import DownloadError

GOOD = zipped(b"kospi")


def address(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/common/master"


async def refused(behaviour: Behaviour, *, deadline_s: float = 10) -> str:
    with listening(behaviour) as receiver:
        started = time.monotonic()
        with pytest.raises(DownloadError) as caught:
            await download.download(address(receiver), deadline_s=deadline_s)
        assert time.monotonic() - started < deadline_s + 5
        assert caught.value.text(Locale.EN) == str(caught.value)
        assert caught.value.text(Locale.KO).startswith(str(caught.value.place))
        return str(caught.value).removeprefix(address(receiver))


@pytest.mark.parametrize("slash", ["", "/"])
async def test_both_files_unpacked(slash: str) -> None:
    with listening(good_site()) as receiver:
        assert await download.download(address(receiver) + slash) == both()
    assert [each.line.split()[:2] for each in receiver.requests] == [
        ["GET", "/common/master/kospi_code.mst.zip"],
        ["GET", "/common/master/kosdaq_code.mst.zip"],
    ]


async def test_what_is_stored_unpacked_is_taken_too() -> None:
    with listening(site(zipped(b"a", packing=zipfile.ZIP_STORED), zipped(b"b"))) as receiver:
        assert await download.download(address(receiver)) == (b"a", b"b")


@pytest.mark.parametrize("status", [204, 400, 403, 404, 500, 503])
async def test_other_statuses(status: int) -> None:
    expected = f"/kospi_code.mst.zip: HTTP {status}"
    assert await refused(reply(status, body=b"" if status == 204 else GOOD)) == expected


async def test_a_redirect_is_not_followed() -> None:
    with listening(good_site()) as elsewhere:
        target = f"Location: {address(elsewhere)}/kospi_code.mst.zip\r\n"
        assert await refused(reply(302, target)) == "/kospi_code.mst.zip: HTTP 302"
    assert elsewhere.requests == []


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]


def smaller_than_it_is(content: bytes) -> bytes:
    """A zip that says of its file that it is one byte long."""
    raw = zipped(content)
    return raw.replace(struct.pack("<I", len(content)), struct.pack("<I", 1))


DIRECTORY = GOOD.index(b"PK\x01\x02")
VERSION_NEEDED, FLAGS = DIRECTORY + 6, DIRECTORY + 8
DATA = 30 + len("0.mst")


def flagged(bits: int) -> bytes:
    """With flags, as the directory has them, that the zip module does not take."""
    flags = struct.unpack_from("<H", GOOD, FLAGS)[0] | bits
    return GOOD[:FLAGS] + struct.pack("<H", flags) + GOOD[FLAGS + 2 :]


def beginning_before_its_begin() -> bytes:
    """The end record has the directory a byte later than it is, so the file would lie at -1."""
    at = GOOD.index(b"PK\x05\x06") + 16
    return GOOD[:at] + struct.pack("<I", DIRECTORY + 1) + GOOD[at + 4 :]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>maintenance</body></html>",
        GOOD[:-10],
        GOOD[: len(GOOD) // 2],
        flipped(GOOD, 38),
        zipped(b"kospi" * 100)[:40] + bytes(60),
        smaller_than_it_is(b"k" * 70_000),
        GOOD[:DATA] + b"\x07" + GOOD[DATA + 1 :],
        flagged(0x20),
        flagged(0x40),
        GOOD[:VERSION_NEEDED] + b"\xff" + GOOD[VERSION_NEEDED + 1 :],
        beginning_before_its_begin(),
        flagged(0x800).replace(b"0.mst", b"\xff.mst"),
    ],
    ids=[
        "empty",
        "html",
        "torn",
        "half",
        "flipped",
        "zeros",
        "lying",
        "no-such-block",
        "patch",
        "strong-encryption",
        "version-25",
        "negative-offset",
        "name-not-utf-8",
    ],
)
async def test_what_is_no_whole_zip(body: bytes) -> None:
    assert await refused(reply(200, body=body)) == "/kospi_code.mst.zip: no whole zip file"


async def test_the_second_file_counts_as_much_as_the_first() -> None:
    assert await refused(site(GOOD, b"PK")) == "/kosdaq_code.mst.zip: no whole zip file"


def encrypted() -> bytes:
    """The flag alone: who meets it would have to ask for a password."""
    raw = bytearray(zipped(b"kospi"))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + offset] |= 1
    return bytes(raw)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (zipped(), "the zip must hold exactly one file"),
        (zipped(b"a", b"b"), "the zip must hold exactly one file"),
        (zipped(b"a", packing=zipfile.ZIP_LZMA), "the zip is encrypted or packed in an unusual way"),
        (encrypted(), "the zip is encrypted or packed in an unusual way"),
    ],
)
async def test_unusual_zips(body: bytes, reason: str) -> None:
    assert await refused(reply(200, body=body)) == f"/kospi_code.mst.zip: {reason}"


def bomb(size: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.mst", "w") as member:
        for _ in range(size // 1_000_000):
            member.write(bytes(1_000_000))
    return packed.getvalue()


async def test_a_zip_bomb_is_not_unpacked() -> None:
    raw = bomb(200_000_000)
    assert len(raw) < 300_000
    started = time.process_time()
    assert await refused(reply(200, body=raw)) == "/kospi_code.mst.zip: larger than 32 MB"
    assert time.process_time() - started < 1


def test_no_more_of_a_zip_bomb_is_held_than_may_be_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_UNPACKED", 1_000_000)
    raw = bomb(50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(DownloadError, match="larger than 1 MB"):
            download.unpacked(raw, "")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


async def test_an_endless_reply_is_cut() -> None:
    assert await refused(endless) == "/kospi_code.mst.zip: larger than 8 MB"


@pytest.mark.parametrize("behaviour", [hang, trickle])
async def test_the_deadline_is_over_everything(behaviour: Behaviour) -> None:
    assert await refused(behaviour, deadline_s=0.3) == ": no whole reply within 0.3 s"


def torn(_: Receiver, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + GOOD)


def garbage(_: Receiver, connection: socket.socket) -> None:
    connection.sendall(b"\x00\x01 this is no HTTP\r\n\r\n")


@pytest.mark.parametrize("behaviour", [reset, torn, garbage, lambda *_: None], ids=["reset", "torn", "garbage", "fin"])
async def test_connections_that_end_or_talk_nonsense(behaviour: Behaviour) -> None:
    assert (await refused(behaviour)).startswith("/kospi_code.mst.zip: cannot be had: ")


def whole_but_reset(_: Receiver, connection: socket.socket) -> None:
    """A zip is there to its last byte, and more was announced."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + GOOD)
    time.sleep(0.2)  # a reset takes along what was not read yet
    reset(_, connection)


async def test_a_reply_that_was_reset_is_not_taken_for_a_whole_one() -> None:
    assert (await refused(whole_but_reset)).startswith("/kospi_code.mst.zip: cannot be had: ReadError")


@pytest.mark.parametrize(
    "url", ["https://new.real..download/", f"https://{64 * 'a'}.kr/", "https://a.kr/\x00", "https://a.kr:x/"]
)
async def test_an_address_that_is_none_is_told(url: str) -> None:
    """It ended in a traceback."""
    with pytest.raises(DownloadError, match="cannot be had"):
        await download.download(url)


async def test_nobody_listens() -> None:
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener[0].socket.getsockname()[1]
    await listener[0].aclose()
    with pytest.raises(DownloadError, match="cannot be had: ConnectError"):
        await download.download(f"http://127.0.0.1:{port}/")


async def test_a_proxy_of_this_machine_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(reply(502)) as proxy, listening(good_site()) as receiver:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await download.download(address(receiver)) == both()
    assert proxy.requests == []


async def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    with speaking_tls(tmp_path) as port, pytest.raises(DownloadError, match="self-signed certificate"):
        await download.download(f"https://localhost:{port}/common/master/", deadline_s=5)


@contextmanager
def speaking_tls(folder: Path) -> Iterator[int]:
    """A server that a client reaches which does not look at certificates."""
    key = ECC.generate(curve="P-256")
    (folder / "key.pem").write_text(key.export_key(format="PEM"))
    (folder / "cert.pem").write_text(ssl.DER_cert_to_PEM_cert(self_signed(key)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def shake_hands(_: Receiver, connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).close()

    with listening_raw(shake_hands) as port:
        yield port


@contextmanager
def listening_raw(behaviour: Behaviour) -> Iterator[int]:
    """As `listening`, for a client that speaks no HTTP yet."""

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            try:
                behaviour(Receiver(behaviour), connection)
            except OSError:
                return  # the client hung up, as it should

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def self_signed(key: ECC.EccKey) -> bytes:
    """The least X.509 certificate for `localhost`, DER."""
    algorithm = DerSequence([DerObjectId("1.2.840.10045.4.3.2").encode()])  # ECDSA with SHA-256
    common_name = DerSequence([DerObjectId("2.5.4.3").encode(), DerObject(0x0C, b"localhost").encode()])
    name = DerSequence([DerSetOf([common_name.encode()]).encode()])
    times = [DerObject(0x17, text).encode() for text in (b"200101000000Z", b"491231235959Z")]
    public = key.public_key().export_key(format="DER")
    parts = [DerInteger(1), algorithm, name, DerSequence(times), name]
    body = DerSequence([part.encode() for part in parts] + [public]).encode()
    signature = DSS.new(key, "fips-186-3", encoding="der").sign(SHA256.new(body))
    return DerSequence([body, algorithm.encode(), DerBitString(signature).encode()]).encode()
