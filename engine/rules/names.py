"""What an entry of `symbols` means: a code, or the stock that bears the name. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from engine.symbols.master import CODE, Master, labels

MAX_LOOKED_UP = 100
"""Unknown names of one reading that get candidates. A look costs up to a millisecond, a file may hold ten thousand, and
whoever has more than this is told so by their number."""


class Unclear(NamedTuple):
    """An entry that means no one code."""

    code: str
    """Of the problem, see engine.problems."""
    detail: Mapping[str, str]


class Names:
    """The meanings of one reading of all rule files: each entry is looked up once."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._unclear: dict[str, Unclear] = {}

    def meaning(self, entry: str) -> str | Unclear:
        """The code, or why it is none."""
        if CODE.fullmatch(entry):
            return entry
        codes = self._master.codes(entry)
        if len(codes) == 1:
            return codes[0]
        if entry not in self._unclear:
            self._unclear[entry] = self._why(entry, ambiguous=bool(codes))
        return self._unclear[entry]

    def _why(self, entry: str, *, ambiguous: bool) -> Unclear:
        looked_up = ambiguous or len(self._unclear) < MAX_LOOKED_UP
        likely = labels(self._master.candidates(entry)) if looked_up else ""
        if ambiguous:
            return Unclear("ambiguous-symbol", {"candidates": likely})
        if self._master.loaded is None:
            return Unclear("not-a-built-in-name", {"count": str(len(self._master)), "likely": likely})
        return Unclear("unknown-symbol", {"likely": likely})
