"""The broker's stock master files as its server would give them, made up here; and a server that gives them."""

import io
import socket
import zipfile

from receivers import Behaviour, Receiver, reply

from engine.symbols.builtin import NAMES
from engine.symbols.mst import TAILS

Listing = tuple[str, str, str]
"""Short code, name, group."""

KNOWN: tuple[Listing, ...] = tuple((code, name, "ST") for code, name in NAMES.items())
KOSDAQ: tuple[Listing, ...] = (("247540", "에코프로비엠", "ST"), ("0162Z0", "가상바이오", "ST"))

COUNT = 520
"""Lines of a made-up market."""


def line(listing: Listing, market: str = "KOSPI") -> bytes:
    """The name padded to 40 bytes, as in the broker's header file; behind it mostly numbers and blanks."""
    code, name, group = listing
    isin = f"KR7{code[:6]}003"
    head = code.ljust(9).encode() + isin.encode() + name.encode("cp949").ljust(40)
    return head + (group + "1002700130000 NN Y").ljust(TAILS[market] - 1).encode() + b"N"


def fillers(market: str, count: int) -> list[Listing]:
    first = 700_000 if market == "KOSPI" else 800_000
    return [(f"{first + number}", f"가상{market}{number}", "ST") for number in range(count)]


def mst(market: str, *listings: Listing, count: int = COUNT, end: bytes = b"\n") -> bytes:
    """A market's file: these listings, and as many others as make it whole."""
    everything = [*listings, *fillers(market, max(0, count - len(listings)))]
    return b"".join(line(each, market) + end for each in everything)


def both(*more: Listing) -> tuple[bytes, bytes]:
    return mst("KOSPI", *KNOWN, *more), mst("KOSDAQ", *KOSDAQ)


def zipped(*members: bytes, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", packing) as archive:
        for number, content in enumerate(members):
            archive.writestr(f"{number}.mst", content)
    return packed.getvalue()


def site(kospi: bytes, kosdaq: bytes) -> Behaviour:
    """Gives these bytes as the two files, and 404 for anything else."""
    files = {"/common/master/kospi_code.mst.zip": kospi, "/common/master/kosdaq_code.mst.zip": kosdaq}

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        path = receiver.requests[-1].line.split()[1]
        found = files.get(path)
        reply(200 if found is not None else 404, body=found or b"")(receiver, connection)

    return behave


def good_site(*more: Listing) -> Behaviour:
    kospi, kosdaq = both(*more)
    return site(zipped(kospi), zipped(kosdaq))
