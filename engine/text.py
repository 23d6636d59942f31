"""Text that others wrote, made fit to stand in a line of ours: stock names, rule names, the broker's words."""

import re
import unicodedata

ELLIPSIS = "…"

# Joiners carry meaning in several scripts and in emoji; every other format character (category Cf: bidi overrides and
# isolates, zero-width spaces, soft hyphens, tags) can only hide or reorder what is read.
_KEPT_FORMAT = frozenset("\u200c\u200d")
_BREAKS = frozenset({"Cc", "Zl", "Zp"})
_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[@\w.-]+")


def clean(text: str, limit: int = 200) -> str:
    """One line: no control characters, line breaks or bidi overrides, at most `limit` characters.

    Half a surrogate pair, which no encoding can carry, becomes U+FFFD.
    """
    line = _SPACES.sub(" ", "".join(map(_fit, text))).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + ELLIPSIS


def unpinged(text: str, limit: int = 200) -> str:
    """`clean`, and unable to call anybody: chats without an escape (Discord, Mattermost) ring for any `@here`.

    The full-width sign reads the same and rings nowhere.
    """
    return clean(text, limit).replace("@", "＠")


def printable(text: str) -> str:
    """Several lines, each `clean` but of any length: the last guard before a terminal, whose escapes are commands."""
    return "\n".join(clean(line, limit=len(line) + 1) for line in text.split("\n"))


def quoted(text: str) -> str:
    """A value for a log line: bare where it is one plain word, else `clean` and in quotes."""
    return text if _WORD.fullmatch(text) else '"' + clean(text).replace('"', "'") + '"'


def _fit(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BREAKS:
        return " "
    if category == "Cf":
        return character if character in _KEPT_FORMAT else ""
    return "\ufffd" if category == "Cs" else character
