"""A message in the form that a service shows: title bold, lines as they are, remarks set apart, within limits. Pure.

Whatever stands in a message is foreign: each form escapes it, so that markup in it is shown as it is written.
Apprise could split and convert as well, but its splitter cuts inside tags and counts code points, where Telegram counts
UTF-16 units and Matrix bytes.
"""

import html
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from engine.delivery.target import Message
from engine.rules.model import Severity
from engine.text import ELLIPSIS

MAX_PARTS = 4
"""A message split into more is not read, and each part is a request that counts against the service's rate."""
CUT = "… (이하 생략 · the rest is cut off)"
"""Forms know no locale, and hardly anybody ever sees this."""
PICTURE_NAME = "chart.png"

TELEGRAM_UNITS = 4096
"""Bot API, sendMessage: 1 to 4096 characters after entities parsing, in UTF-16 units. Ours are counted before it."""
DISCORD_UNITS = 2000
"""Webhook resource, `content`."""
SLACK_UNITS = 7_000
"""Slack takes 40,000 characters, but of an attachment's text it shows no more than some 8,000."""
MATRIX_BYTES = 20_000
"""An event has at most 65,536 bytes, JSON and all (client-server API, size limits). The text is in it twice, as HTML
and plain, and an encrypted room makes a third more of it."""
MAIL_BYTES = 96_000
"""Gmail hides what is beyond 102 KB of HTML; other programs take much more. The page around the lines has some 900
bytes, and the title twice: up to 3,000."""

_NUMBERED = " ({n}/{of})"
_RESOLVED_ACCENT = "#15803D"
_ACCENTS = {Severity.INFO: "#64748B", Severity.WARNING: "#D97706", Severity.CRITICAL: "#991B1B"}


class Part(NamedTuple):
    """One request's worth of a message."""

    title: str
    """Plain text, for the service's own field; empty where the title stands in the body."""
    body: str
    """Never empty."""
    plain: str = ""
    """All of it as plain text, should the service not like the markup; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Dress:
    """How a service marks text."""

    escape: Callable[[str], str] = str
    bold: tuple[str, str] = ("", "")
    slanted: tuple[str, str] = ("", "")
    newline: str = "\n"
    size: Callable[[str], int] = len
    """Of text as it is sent, in what the service counts. Never less than the number of characters."""

    @property
    def marks(self) -> bool:
        """Whether anything of it could be disliked as markup."""
        return bool(self.bold[0])


class _Line(NamedTuple):
    text: str
    remark: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """How a service takes a message."""

    dress: Dress
    body_max: int
    """As `dress.size` counts."""
    title_max: int = 0
    """Of a title in a field of its own; 0: it is the first line of the body."""
    shared: bool = False
    """The title in its own field counts as part of the body."""
    apart: bool = True
    """An empty line stands before the remarks."""
    max_parts: int = MAX_PARTS
    repeats: bool = True
    """A title without a text is also the text: the service shows an empty one badly, or takes none."""
    page: Callable[[Message, str, str], str] | None = None
    """Makes a whole page of title and body, which may be empty."""

    def parts(self, message: Message) -> list[Part]:
        """The message in at most `max_parts`, each within the limits; what is cut off is marked."""
        lines = _lines(message, apart=self.apart)
        if not lines and self.title_max and not self.repeats:
            return [self._part(message, "", [_Line(message.title)])]
        if not lines and self.title_max and self.page is None:
            lines = [_Line(message.title)]
        title = _clipped(message.title, self.title_max, self.dress.size) if self.title_max else message.title
        room = self._room(title)
        if _length(lines, self.dress, room) <= room:
            return [self._part(message, title, lines)]
        # Half of a body for its title at most: a title that long comes with a body that must not be crowded out.
        most = (self.title_max or self.body_max // 2) - self.dress.size(_numbered(1, 1))
        title = _clipped(message.title, most, self.dress.size)
        room = self._room(title + _numbered(1, 1))
        pages = _pages(lines, room, self.dress, self.max_parts) or [[]]
        names = [title + _numbered(n, len(pages)) for n in range(1, len(pages) + 1)] if len(pages) > 1 else [title]
        return [self._part(message, name, page) for name, page in zip(names, pages, strict=True)]

    def _room(self, title: str) -> int:
        """What the lines may take besides the title."""
        if self.title_max:
            return self.body_max - (self.dress.size(title + "\r\n") if self.shared else 0)
        return self.body_max - _cost(self._head(title), self.dress)

    def _head(self, title: str) -> str:
        return self.dress.escape(title).join(self.dress.bold)

    def _part(self, message: Message, title: str, lines: Sequence[_Line]) -> Part:
        inside = title if not self.title_max else ""
        head = [self._head(inside)] if inside else []
        body = self.dress.newline.join([*head, *(_rendered(line, self.dress) for line in lines)])
        page = self.page(message, title, body) if self.page else body
        # A page shows the title, and so does what goes in its place.
        top = title if self.page else inside
        plain = "\n".join([*([top] if top else []), *(line.text for line in lines)])
        return Part(title if self.title_max else "", page, plain if self.dress.marks else "")


def accent(severity: Severity, *, resolved: bool = False) -> str:
    """The colour of a bar beside a message, `#rrggbb`.

    Never of a value: red is *up* and blue *down* to a Korean trader. So information is grey and not the usual blue;
    critical may be red, because a dark red beside a sign of alarm says no direction, and no other colour says alarm.
    """
    return _RESOLVED_ACCENT if resolved else _ACCENTS[severity]


def plain(body_max: int, title_max: int, *, shared: bool = False) -> Form:
    """For everything that is not known better: plain text, remarks below the body. Limits in UTF-16 units."""
    return Form(_PLAIN, body_max, title_max, shared=shared, apart=False, repeats=not shared)


def slack(body_max: int, title_max: int) -> Form:
    """The title of an attachment is bold, its text shown literally.

    Slack's mrkdwn has no escape for `*`, `_`, `~` and the backtick, which rule names and templates may contain; an
    attachment whose `mrkdwn_in` does not name its text is not formatted at all. Of that text only `&`, `<`, `>` mean
    something, and Apprise makes entities of them (they count): `<!channel>` stays text.
    """
    return Form(_SLACK, min(body_max, SLACK_UNITS), title_max, repeats=False)


def telegram() -> Form:
    return Form(_TELEGRAM, TELEGRAM_UNITS)


def matrix() -> Form:
    """For `formatted_body`; Apprise makes the plain `body` beside it."""
    return Form(_MATRIX, MATRIX_BYTES)


def markdown(body_max: int) -> Form:
    """Discord and Mattermost: both take everything for markdown, and a backslash before punctuation for an escape."""
    return Form(_MARKDOWN, body_max)


def mail(title_max: int) -> Form:
    """The title is the subject, and the heading of the page: who forwards or prints a mail keeps only that.

    Apprise makes the text part beside the HTML.
    """
    return Form(_MAIL, MAIL_BYTES, title_max, max_parts=1, page=_mail_page)


def _mail_page(message: Message, title: str, body: str) -> str:
    """No colour but the bar's, so that a program in dark mode can choose its own; nothing is fetched from anywhere."""
    bar = accent(message.severity, resolved=message.resolved)
    shown = html.escape(title)
    heading = f'<h1 style="margin:0 0 8px;font-size:18px;line-height:1.4">{shown}</h1>'
    picture = f'<p><img src="cid:{PICTURE_NAME}" alt="{shown}" style="max-width:100%;height:auto"></p>'
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        '</head><body style="margin:0;padding:12px">'
        f'<div style="border-left:5px solid {bar};padding:2px 0 2px 12px;font-family:sans-serif;font-size:16px;'
        f'line-height:1.5;overflow-wrap:anywhere">{heading}{body}</div>'
        f"{picture if message.picture else ''}</body></html>"
    )


def _lines(message: Message, *, apart: bool) -> list[_Line]:
    body = [_Line(line) for line in message.body.split("\n")] if message.body else []
    remarks = [_Line(line, remark=True) for line in message.remarks if line]
    return [*body, *([_Line("")] if apart and body and remarks else []), *remarks]


def _pages(lines: Sequence[_Line], room: int, dress: Dress, most: int) -> list[list[_Line]]:
    """At most so many. Where that is too few the body is cut: the remarks say whether it is late or may repeat."""
    pages = list(islice(_filled(lines, room, dress), most + 1))
    if len(pages) <= most:
        return pages
    tail = next(_filled([_Line(CUT, remark=True), *(line for line in lines if line.remark)], room // 2, dress))
    taken = sum(_cost(_rendered(line, dress), dress) for line in tail)
    kept = list(islice(_filled((line for line in lines if not line.remark), room, dress), most))
    if len(kept) < most:  # it is the remarks that are too long
        return [*kept, tail]
    return [*kept[:-1], [*next(_filled(kept[-1], room - taken, dress), []), *tail]]


def _filled(lines: Iterable[_Line], room: int, dress: Dress) -> Iterator[list[_Line]]:
    """Pages as full as whole lines make them; only a line that is too long for any page is broken."""
    page: list[_Line] = []
    used = 0
    for line in lines:
        for piece in _broken(line, room, dress):
            cost = _cost(_rendered(piece, dress), dress)
            if page and used + cost > room:
                yield page
                page, used = [], 0
            page.append(piece)
            used += cost
    if page:
        yield page


def _broken(line: _Line, room: int, dress: Dress) -> Iterator[_Line]:
    rest = line.text

    def cost(length: int) -> int:
        return _cost(_rendered(_Line(rest[:length], line.remark), dress), dress)

    while len(rest) > room or cost(len(rest)) > room:
        # Nothing becomes shorter when it is escaped: no more than `room` characters can fit.
        fitting = max(1, bisect_right(range(1, min(len(rest), room) + 1), room, key=cost))
        yield _Line(rest[:fitting], line.remark)
        rest = rest[fitting:]
    yield _Line(rest, line.remark)


def _length(lines: Iterable[_Line], dress: Dress, limit: int) -> int:
    """Of all lines as they are sent; anything beyond `limit` once that is passed."""
    total = 0
    for line in lines:
        total += len(line.text) if len(line.text) > limit else _cost(_rendered(line, dress), dress)
        if total > limit:
            break
    return total


def _rendered(line: _Line, dress: Dress) -> str:
    shown = dress.escape(line.text)
    return shown.join(dress.slanted) if line.remark and line.text.strip() else shown


def _cost(rendered: str, dress: Dress) -> int:
    """With its line end, for which Telegram gets two characters."""
    return dress.size(rendered) + max(2, dress.size(dress.newline))


def _clipped(text: str, limit: int, size: Callable[[str], int]) -> str:
    """The beginning of a line, marked where something is missing."""
    if size(text) <= limit:
        return text
    fitting = bisect_right(range(1, len(text) + 1), limit - size(ELLIPSIS), key=lambda length: size(text[:length]))
    return text[:fitting].rstrip() + ELLIPSIS


def _numbered(n: int, of: int) -> str:
    return _NUMBERED.format(n=n, of=of)


def _utf16(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _entities(text: str) -> str:
    return html.escape(text, quote=False)


# What Discord and Mattermost read as markup, and at the start of a line as heading, quote or list.
_INLINE = re.compile(r"[\\`*_~|\[\]<>]|:(?=[A-Za-z0-9_+-]+:)")
_AT_START = re.compile(r"^(\s*)(?:([#+-])|(\d+)([.)]))")
# An address that ends in none of them is made a link before anything in it could be markup.
_LINK = re.compile(r"(https?://[A-Za-z0-9./?&=%#+,;:_-]*[A-Za-z0-9/])")


def _unmarked(text: str) -> str:
    """`text` as markdown that shows it as it is written, and rings for nobody."""
    pieces = _LINK.split(text.replace("@", "＠"))  # every other one is an address
    pieces[::2] = [_INLINE.sub(r"\\\g<0>", piece) for piece in pieces[::2]]
    return _AT_START.sub(lambda found: f"{found[1]}{found[3] or ''}\\{found[2] or found[4]}", "".join(pieces))


def _matrix_bytes(text: str) -> int:
    """In JSON, where a quote or a backslash takes two."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


_PLAIN = Dress(size=_utf16)
_SLACK = Dress(size=lambda text: _utf16(_entities(text)))
_TELEGRAM = Dress(_entities, ("<b>", "</b>"), ("<i>", "</i>"), size=_utf16)
_MATRIX = Dress(_entities, ("<b>", "</b>"), ("<i>", "</i>"), newline="<br/>", size=_matrix_bytes)
_MARKDOWN = Dress(_unmarked, ("**", "**"), ("*", "*"), size=_utf16)
_MAIL = Dress(
    html.escape,
    ("<b>", "</b>"),
    ('<i style="opacity:.75">', "</i>"),
    newline="<br>",
    size=lambda text: len(text.encode("utf-8", "replace")),
)
