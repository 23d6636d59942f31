"""Whether a secret stands anywhere it must not: in what a daemon printed, and in every file that it keeps.

The secrets of an installation are read from its config.toml. Each is looked for as it is, quoted for a URL, in base64
as a part of a longer text, and in hex; recordings unpacked, databases as their file and as their rows.
"""

import base64
import re
import sqlite3
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

import zstandard

LEAST = 8
"""Shorter words, such as a room's or a user's name, may stand anywhere by themselves."""


class Searched(NamedTuple):
    """How much was looked through, and where what was found."""

    bytes: int
    places: int
    found: tuple[str, ...]

    def __add__(self, other: object) -> "Searched":
        assert isinstance(other, Searched)
        return Searched(self.bytes + other.bytes, self.places + other.places, self.found + other.found)


def forms(secret: str) -> dict[str, bytes]:
    """How a secret may be written, by name."""
    raw = secret.encode()
    named = {"raw": raw, "quoted": quote(secret).encode(), "quoted whole": quote(secret, safe="").encode()}
    named |= {"quoted plus": quote_plus(secret).encode(), "unquoted": unquote(secret).encode()}
    named |= {"hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    for shift in range(3):
        named[f"base64 +{shift}"] = _inner(base64.b64encode, raw, shift)
        named[f"base64url +{shift}"] = _inner(base64.urlsafe_b64encode, raw, shift)
    return named


def _inner(encode: Any, raw: bytes, shift: int) -> bytes:
    """The characters that depend on nothing but `raw`, `shift` bytes after a multiple of three."""
    text = encode(bytes(shift) + raw)
    whole: bytes = text[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
    return whole


def searched(secrets: Iterable[str], places: Mapping[str, bytes]) -> Searched:
    wanted = {secret: forms(secret) for secret in secrets}
    found = [
        f"{place}: {secret[:4]}… ({name}): …{_around(content, form)}…"
        for place, content in places.items()
        for secret, named in wanted.items()
        for name, form in named.items()
        if form in content
    ]
    return Searched(sum(map(len, places.values())), len(places), tuple(found))


def _around(content: bytes, form: bytes) -> str:
    at = content.index(form)
    return content[max(0, at - 60) : at + len(form) + 20].decode(errors="replace")


def secrets_of(config: str, environ: Mapping[str, str]) -> set[str]:
    """What config.toml holds or names that nobody may see; nothing where it is not TOML."""
    try:
        read = tomllib.loads(config)
    except tomllib.TOMLDecodeError:
        return set()
    accounts = read.get("feed", {}).get("account", [])
    written = [account.get(name, "") for account in accounts for name in ("app_key", "app_secret")]
    urls = [url for notifier in read.get("notifiers", {}).values() for url in notifier.get("urls", [])]
    urls.append(read.get("alerts", {}).get("heartbeat_url", ""))
    parts = {part for url in urls for part in _parts(_resolved(url, environ))}
    return {each for each in {_resolved(text, environ) for text in written} | parts if len(each) >= LEAST}


def _resolved(text: str, environ: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: environ.get(match[1], ""), text)


def _parts(url: str) -> Iterator[str]:
    """The URL, and of it what lets somebody in: its login, its path, its options."""
    yield url
    yield url.partition("://")[2]
    split = urlsplit(url)
    yield split.password or ""
    if len(re.findall(r"\d", split.path)) and len(split.path) > LEAST + 4:  # a path of plain words is an address
        yield split.path.strip("/")
    yield from (value for name, value in parse_qsl(split.query) if name not in ("to", "smtp", "from"))
    if split.scheme in ("slack", "tgram", "discord"):
        yield from split.netloc.split(":")
        yield from split.path.split("/")


def kept(folder: Path) -> dict[str, bytes]:
    """Every file below, and what is in it."""
    places: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = str(path.relative_to(folder))
            places[name] = path.read_bytes()
            if path.suffix == ".zst":
                places[f"{name} unpacked"] = _unpacked(places[name])
            if places[name].startswith(b"SQLite format 3"):
                places[f"{name} rows"] = _rows(path)
    return places


def _unpacked(packed: bytes) -> bytes:
    """As far as it goes: the last frame may be torn."""
    unpacked = b""
    with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
        try:
            while piece := reader.read(1 << 20):
                unpacked += piece
        except zstandard.ZstdError:
            pass
    return unpacked


def _rows(path: Path) -> bytes:
    """What can be read of it, log and all."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return "\n".join(connection.iterdump()).encode()
    except sqlite3.Error:
        return b""


def open_to_others(folder: Path) -> list[str]:
    """What in a state folder others than its owner may look into."""
    every = [folder, *sorted(folder.rglob("*"))] if folder.is_dir() else []
    return [
        f"{path.name} {stat.S_IMODE(found.st_mode):o}"
        for path in every
        if stat.S_IMODE((found := path.lstat()).st_mode) & 0o077
    ]
