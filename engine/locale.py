"""Text for people, in the two languages that it exists in."""

from enum import StrEnum
from typing import NamedTuple


class Locale(StrEnum):
    KO = "ko"
    EN = "en"


class Text(NamedTuple):
    """One text in both languages; `{name}` stands for the same value in either."""

    en: str
    ko: str

    def of(self, locale: Locale) -> str:
        return self.ko if locale is Locale.KO else self.en
