"""The broker's stock master files (종목코드 마스터, `*_code.mst`) → a Master.

One line a listing, cp949; decoded: short code [0:9], ISIN [9:21], Korean name [21:] up to a tail of fixed width, whose
first two characters are the kind of security. The tail's widths are those of the broker's own samples
(github.com/koreainvestment/open-trading-api, stocks_info). Pure.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from engine.errors import PgmwatchError
from engine.locale import Locale, Text
from engine.symbols.builtin import NAMES
from engine.symbols.master import CODE, Master, Stock
from engine.text import clean

TAILS = {"KOSPI": 227, "KOSDAQ": 221}
"""Characters behind the name."""

LEAST = 500
"""Listings of each market. In 2026-04 KOSPI had 920 stocks and 1,100 funds, KOSDAQ 1,800: less is a part."""
MAX_UNFIT = 0.02
"""Share of lines that may not fit. One odd listing must not cost all the others; a changed format must not pass."""
_LEAST_KNOWN = 0.5
"""Share of the built-in names that must be found alike. Companies change names one by one; a file in another encoding
changes all of them at once, as nearly any bytes mean something in cp949."""
_ANCHOR = "005930"
"""Samsung Electronics: no list of Korean stocks is without it."""

_SHORT_CODE = re.compile(r"[0-9A-Z]{6,9}", re.ASCII)
_ISIN = re.compile(r"[A-Z]{2}[0-9A-Z]{9}[0-9]", re.ASCII)
_GROUP = re.compile(r"[A-Z]{2}", re.ASCII)
_MAX_NAME = 100


class MasterError(PgmwatchError):
    """What was downloaded is no stock master."""

    def __init__(self, why: Text) -> None:
        super().__init__(why.en)
        self.why = why

    def text(self, locale: Locale) -> str:
        return self.why.of(locale)


class Parsed(NamedTuple):
    master: Master
    unfit: int
    """Lines that did not fit, few enough to go on without them."""


def parse(kospi: bytes, kosdaq: bytes, loaded: date) -> Parsed:
    """Both markets' files. Raises MasterError where they are not what they should be.

    Listings whose code has not six characters (ETNs, classes of funds) are left out: the feed takes no other codes.
    """
    found: dict[str, Stock] = {}
    unfit = 0
    for market, raw in (("KOSPI", kospi), ("KOSDAQ", kosdaq)):
        before = len(found)
        bad = sum(not _take(line, market, found) for line in _lines(raw))
        _check(market, raw, bad, len(found) - before)
        unfit += bad
    _check_names(found)
    return Parsed(Master(tuple(found.values()), loaded), unfit)


def _lines(raw: bytes) -> Iterator[bytes]:
    """No line end can be part of a character: the second byte of one is never below 0x41."""
    return (line.rstrip(b"\r") for line in raw.split(b"\n") if line.strip(b"\r\x1a\0 "))


def _take(raw: bytes, market: str, found: dict[str, Stock]) -> bool:
    """Whether a line fits; a listing that rules can name goes into `found`."""
    stock = _stock(raw, market)
    if stock is None or stock.code in found:
        return False
    if CODE.fullmatch(stock.code):
        found[stock.code] = stock
    return True


def _stock(raw: bytes, market: str) -> Stock | None:
    try:
        line = raw.decode("cp949")
    except UnicodeDecodeError:
        return None
    head, group = line[: -TAILS[market]], line[-TAILS[market] :][:2]
    code, isin, name = head[:9].rstrip(), head[9:21], name_of(head[21:])
    fits = name and _SHORT_CODE.fullmatch(code) and _ISIN.fullmatch(isin) and _GROUP.fullmatch(group)
    return Stock(code, isin, name, market, group) if fits else None


def name_of(written: str) -> str:
    """A name as a Master holds it."""
    return clean(unicodedata.normalize("NFC", written), _MAX_NAME)


def _check(market: str, raw: bytes, bad: int, listed: int) -> None:
    lines = sum(1 for _ in _lines(raw))
    if bad > lines * MAX_UNFIT:
        raise MasterError(
            Text(
                f"{market}: {bad:,} of {lines:,} lines do not have the broker's format",
                f"{market}: {lines:,}줄 중 {bad:,}줄이 종목 마스터 형식과 다릅니다",
            )
        )
    if listed < LEAST:
        raise MasterError(
            Text(
                f"{market}: only {listed:,} listings, at least {LEAST} are to be expected",
                f"{market}: 종목이 {listed:,}개뿐입니다. 최소 {LEAST}개는 있어야 합니다",
            )
        )


def _check_names(found: dict[str, Stock]) -> None:
    if _ANCHOR not in found:
        raise MasterError(Text(f"{_ANCHOR} is not in it", f"{_ANCHOR} 종목이 없습니다"))
    known = [code for code in NAMES if code in found]
    alike = sum(found[code].name == NAMES[code] for code in known)
    if alike < len(known) * _LEAST_KNOWN:
        raise MasterError(
            Text(
                f"only {alike} of {len(known)} well-known names are right: not cp949?",
                f"잘 알려진 종목명 {len(known)}개 중 {alike}개만 일치합니다. cp949가 아닐 수 있습니다",
            )
        )
