"""The stock master's two files, from the broker's server. Nothing that comes is trusted: not its size, not its zip."""

import io
import zipfile
import zlib

import httpx2
import trio

from engine.errors import PlaceError
from engine.locale import Text
from engine.text import clean

FILES = ("kospi_code.mst.zip", "kosdaq_code.mst.zip")

DEADLINE_S = 60.0
"""Over both files, name to last byte; the library's own timeouts are per read, and a trickle outlives them."""
MAX_ZIP = 8_000_000
"""Bytes, of each file. In 2026-04 they had 117 and 104 KB."""
MAX_UNPACKED = 32_000_000
"""Bytes, of each file. The same had 0.7 and 0.5 MB."""

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The only two that the zip module unpacks in steps, so that a limit holds."""
_ENCRYPTED = 0x1


class DownloadError(PlaceError):
    """There is no file, or not one that can be used."""


async def download(url: str, *, deadline_s: float = DEADLINE_S) -> tuple[bytes, bytes]:
    """The unpacked files of KOSPI and KOSDAQ from below `url`. Raises DownloadError."""
    base = url.rstrip("/")
    try:
        with trio.fail_after(deadline_s):
            packed = [await _get(f"{base}/{name}") for name in FILES]
    except trio.TooSlowError as error:
        why = Text(f"no whole reply within {deadline_s:g} s", f"{deadline_s:g}초 안에 다 받지 못했습니다")
        raise DownloadError(base, why) from error
    kospi, kosdaq = (unpacked(raw, f"{base}/{name}") for raw, name in zip(packed, FILES, strict=True))
    return kospi, kosdaq


async def _get(url: str) -> bytes:
    # trust_env: neither a proxy nor a certificate named by the environment has a part in this. close: one request.
    headers = {"accept-encoding": "identity", "connection": "close"}
    try:
        async with (
            httpx2.AsyncClient(
                verify=True, follow_redirects=False, trust_env=False, timeout=None, headers=headers
            ) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise DownloadError(url, Text(f"HTTP {response.status_code}", f"HTTP {response.status_code} 응답"))
            return await _read(url, response)
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:  # UnicodeError: no host's name
        raise DownloadError(url, _unreachable(error)) from error


async def _read(url: str, response: httpx2.Response) -> bytes:
    body = b""
    too_large = False
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if not too_large and len(body) > MAX_ZIP:
                too_large = True
                # Not by leaving the loop: that leaves a generator of the client's behind for the garbage collector.
                await response.extensions["network_stream"].aclose()
    except httpx2.ReadError:
        if not too_large:
            raise
    if too_large:
        raise DownloadError(url, _too_large(MAX_ZIP))
    return body


def unpacked(raw: bytes, url: str) -> bytes:
    """The one file in a zip. `url` is where it is from, for the DownloadError."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            if len(members) != 1:
                raise DownloadError(url, _NOT_ONE)
            if members[0].compress_type not in _PACKINGS or members[0].flag_bits & _ENCRYPTED:
                raise DownloadError(url, _UNUSUAL)
            with archive.open(members[0]) as member:
                content = member.read(MAX_UNPACKED + 1)
    # What zipfile raises for damaged archives; each of these came of changing or cutting a good one.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise DownloadError(url, _NO_ZIP) from error
    if len(content) > MAX_UNPACKED:
        raise DownloadError(url, _too_large(MAX_UNPACKED))
    return content


_NO_ZIP = Text("no whole zip file", "온전한 zip 파일이 아닙니다")
_NOT_ONE = Text("the zip must hold exactly one file", "zip 안에는 파일이 하나만 있어야 합니다")
_UNUSUAL = Text("the zip is encrypted or packed in an unusual way", "암호가 걸렸거나 드문 방식으로 압축된 zip입니다")


def _too_large(limit: int) -> Text:
    return Text(f"larger than {limit // 1_000_000} MB", f"{limit // 1_000_000} MB를 넘습니다")


def _unreachable(error: Exception) -> Text:
    reason = clean(f"{type(error).__name__} {_root(error)}")
    return Text(f"cannot be had: {reason}", f"받을 수 없습니다: {reason}")


def _root(error: BaseException) -> str:
    """What the first cause says: the client's own errors are mostly empty, and a bad certificate must be told."""
    said = ""
    cause: BaseException | None = error
    while cause is not None:
        said = str(cause) or said
        cause = cause.__cause__ or cause.__context__
    return said
