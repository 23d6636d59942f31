"""The stock master: which codes there are, what they are called, and what an unknown name may have meant. Pure."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import NamedTuple

from engine.symbols.builtin import NAMES

CODE = re.compile(r"(?=.*[0-9])[0-9A-Z]{6}", re.ASCII)
"""A short code. One letter or more is possible (`0162Z0`), six letters are a name."""

MAX_CANDIDATES = 5
"""More than this nobody reads in an error."""

_MAX_COMPARED = 40
"""Characters of what was written that are compared with names; the longest name in the broker's file has twenty."""
_LEAST_LIKENESS = 0.35
"""Of 1. 삼성전지 and 삼성전자 are alike by 0.6, 현대자동차 and 현대차 too; two of five syllables alone give less."""
_STOCK = "ST"


class Stock(NamedTuple):
    """One listing."""

    code: str
    isin: str
    """Twelve characters; empty where it is not known."""
    name: str
    """Korean, as on the exchange; NFC, one line, nothing that a terminal would obey."""
    market: str
    """`KOSPI` or `KOSDAQ`."""
    group: str
    """The exchange's kind of security: ST stock, EF ETF, EW ELW, RT REIT, DR depositary receipt, …"""

    @property
    def label(self) -> str:
        return f"{self.name}({self.code})"


@dataclass(frozen=True)
class Master:
    """All listings that are known. Nothing here changes once made; what is looked up is prepared at the first look."""

    stocks: tuple[Stock, ...]
    """Each code once."""
    loaded: date | None = None
    """The KST date on which it was downloaded; None: the few names that come with the program."""

    def __len__(self) -> int:
        return len(self.stocks)

    def __contains__(self, code: object) -> bool:
        return code in self._by_code

    def name(self, code: str) -> str:
        """The Korean name, empty where it is not known."""
        stock = self._by_code.get(code)
        return stock.name if stock else ""

    def label(self, code: str) -> str:
        """`삼성전자(005930)`, or the code alone."""
        stock = self._by_code.get(code)
        return stock.label if stock else code

    def codes(self, name: str) -> tuple[str, ...]:
        """The codes that bear exactly this name, in whichever of Unicode's ways its syllables are written."""
        return self._codes_by_name.get(unicodedata.normalize("NFC", name).strip(), ())

    def find(self, text: str, limit: int | None = None) -> list[Stock]:
        """What a person may mean by a part of a code or name, best first; case and spaces do not count."""
        wanted = _squeezed(text)
        if not wanted:
            return []
        ranked = (
            (rank, *_importance(stock), stock)
            for stock, key in self._keys
            if (rank := _rank(wanted, stock.code.casefold(), key)) is not None
        )
        return [stock for *_, stock in sorted(ranked)][:limit]

    def candidates(self, name: str) -> tuple[Stock, ...]:
        """Up to five that a name may have meant which is not one code's: those that bear it, else the most alike.

        The first look prepares what it needs: 20 ms for 4,000 names, or up to 200 on a machine that has much to do; the
        next ones take less than one. Who must not stand still for so long looks once in a thread before.
        """
        if bearers := self.codes(name):
            return tuple(self._by_code[code] for code in bearers[:MAX_CANDIDATES])
        written = _squeezed(name[:_MAX_COMPARED])
        by_code = [self._by_code[code] for code in _codes_meant(written.upper()) if code in self._by_code]
        return tuple(dict.fromkeys([*by_code, *self._alike(written)]))[:MAX_CANDIDATES]

    def _alike(self, written: str) -> list[Stock]:
        """By pairs of neighbouring characters that both have: a thousandth of what a letter-by-letter look costs."""
        pairs = _pairs(written)
        shared = Counter(index for pair in pairs for index in self._with_pair.get(pair, ()))
        ranked = []
        for index, count in shared.items():
            stock, key = self._keys[index]
            likeness = 2 * count / (len(pairs) + len(key) + 1)  # pairs of a key: one more than characters
            if likeness >= _LEAST_LIKENESS:
                ranked.append((-likeness, *_importance(stock), stock))
        return [stock for *_, stock in sorted(ranked)[:MAX_CANDIDATES]]

    @cached_property
    def _by_code(self) -> Mapping[str, Stock]:
        return {stock.code: stock for stock in self.stocks}

    @cached_property
    def _codes_by_name(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for stock in self.stocks:
            found[stock.name] = (*found.get(stock.name, ()), stock.code)
        return found

    @cached_property
    def _keys(self) -> tuple[tuple[Stock, str], ...]:
        return tuple((stock, _squeezed(stock.name)) for stock in self.stocks)

    @cached_property
    def _with_pair(self) -> Mapping[str, list[int]]:
        found = defaultdict(list)
        for index, (_, key) in enumerate(self._keys):
            for pair in _pairs(key):
                found[pair].append(index)
        return dict(found)


BUILTIN = Master(tuple(Stock(code, "", name, "KOSPI", _STOCK) for code, name in NAMES.items()))
"""What is known before a master was downloaded. All of them are listed on KOSPI."""


class Changes(NamedTuple):
    """What a newer master says that an older one did not."""

    new: tuple[Stock, ...]
    gone: tuple[Stock, ...]
    renamed: tuple[tuple[Stock, Stock], ...]
    """Before and after."""


def changes(before: Master, after: Master) -> Changes:
    """By code, in the order of the masters."""
    was = {stock.code: stock for stock in before.stocks}
    return Changes(
        tuple(stock for stock in after.stocks if stock.code not in was),
        tuple(stock for stock in before.stocks if stock.code not in after),
        tuple(
            (was[stock.code], stock)
            for stock in after.stocks
            if stock.code in was and was[stock.code].name != stock.name
        ),
    )


def labels(stocks: Iterable[Stock]) -> str:
    """`삼성전자(005930), 삼성전기(009150)`."""
    return ", ".join(stock.label for stock in stocks)


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).casefold().split())


def _pairs(text: str) -> set[str]:
    """Neighbours, the two ends being neighbours of nothing."""
    framed = f"\n{text}\n"
    return {framed[at : at + 2] for at in range(len(framed) - 1)}


def _importance(stock: Stock) -> tuple[bool, int, str]:
    """A stock before the funds and warrants on it, a short name before a long one."""
    return stock.group != _STOCK, len(stock.name), stock.code


def _rank(wanted: str, code: str, name: str) -> int | None:
    if wanted in (code, name):
        return 0
    if code.startswith(wanted):
        return 1
    if name.startswith(wanted):
        return 2
    return 3 if wanted in name else None


def _codes_meant(written: str) -> tuple[str, ...]:
    """The exchange writes A before codes of stocks, spreadsheets lose leading zeros, and hands lose the shift key."""
    return written, written.removeprefix("A"), written.zfill(6)
