"""Telegram's Bot API, imitated: `with telegram_server() as telegram: ... telegram.url()`.

Rules from core.telegram.org/bots/api ("Formatting options", "sendMessage", "sendPhoto", "Making requests") and, for
what the manual leaves open, from the server's own public source (tdlib/td, MessageEntity.cpp): which tags there are,
the words of each complaint with its byte offset, that an unknown `&name` stays as it is, that `@name` rings.
Only HTML and no markup at all are imitated; another parse_mode is answered with 501: no test can take it for success.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from chat_servers import Answer, Asked, ChatServer, Post, as_json, png_size, serving

TOKEN = "123456789:TEST-telegram_TOKEN-abcdefghijklmno"
CHAT = "12315544"
MAX_TEXT = 4096
MAX_CAPTION = 1024
"""Both in UTF-16 units, after markup is resolved."""
MAX_PHOTO_BYTES = 10 << 20
MAX_PHOTO_SIDES = 10_000
MAX_PHOTO_RATIO = 20

TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
    "span": "spoiler", "a": "text_link", "tg-emoji": "custom_emoji", "code": "code", "pre": "pre",
    "blockquote": "blockquote",
}  # fmt: skip
_CHARACTERS = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(?:(?P<name>lt|gt|amp|quot)(?![A-Za-z])|#(?P<ten>[0-9]{1,7})|#x(?P<hex>[0-9A-Fa-f]{1,6}));?")
_OPENING = re.compile(r"<(?P<tag>[^\s>]*)")
_ATTRIBUTE = re.compile(
    r"""\s*(?P<name>[^\s=>]+)(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[\w.-]+)(?=[\s>])))?"""
)
_CLOSING = re.compile(r"</(?P<tag>[^\s>]*)\s*>")
_CONTROLS = re.compile(r"[\0-\x09\x0b-\x1f]")
_MENTION = re.compile(r"(?<!\w)@[A-Za-z0-9_]{3,32}(?!\w)")


class BadRequestError(Exception):
    """What Telegram says to a request that it does not take."""


@dataclass
class Parsed:
    """A text as readers see it, and what in it is shown in which style."""

    text: str
    styled: list[tuple[str, str]] = field(default_factory=list)


def units(text: str) -> int:
    """Telegram counts UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


@dataclass
class _Open:
    tag: str
    begin: int
    argument: str = ""


class _Html:
    """Telegram's HTML, which is not a browser's: a few tags, each closed in its turn, and every `<` is one of them."""

    def __init__(self, html: str) -> None:
        self._html = html
        self._at = 0
        self._out = ""
        self._open: list[_Open] = []
        self._styled: list[tuple[int, str, str]] = []

    def parse(self) -> Parsed:
        while self._at < len(self._html):
            self._step()
        if self._open:
            raise BadRequestError(f'Can\'t find end tag corresponding to start tag "{self._open[-1].tag}"')
        return Parsed(self._out, [(kind, text) for _, kind, text in sorted(self._styled, key=lambda each: each[0])])

    def _step(self) -> None:
        if self._html.startswith("</", self._at):
            self._close()
        elif self._html[self._at] == "<":
            self._begin()
        elif (reference := _REFERENCE.match(self._html, self._at)) is not None:
            self._out += _character(reference)
            self._at = reference.end()
        else:
            self._out += self._html[self._at]
            self._at += 1

    def _offset(self) -> int:
        return len(self._html[: self._at].encode())

    def _begin(self) -> None:
        found = _OPENING.match(self._html, self._at)
        assert found is not None
        tag = found["tag"].lower()
        if found.end() == len(self._html):
            raise BadRequestError(f"Unclosed start tag at byte offset {self._offset()}")
        if tag not in TAGS:
            raise BadRequestError(f'Unsupported start tag "{tag}" at byte offset {self._offset()}')
        opened, at = _Open(tag, len(self._out)), found.end()
        while (attribute := _ATTRIBUTE.match(self._html, at)) is not None:
            self._keep(opened, attribute)
            at = attribute.end()
        if tag == "span" and opened.argument != "tg-spoiler":
            raise BadRequestError(f'Tag "span" must have class "tg-spoiler" at byte offset {self._offset()}')
        at += len(self._html[at:]) - len(self._html[at:].lstrip())
        if not self._html.startswith(">", at):
            raise BadRequestError(f'Unclosed start tag "{tag}" at byte offset {self._offset()}')
        self._open.append(opened)
        self._at = at + 1

    def _keep(self, opened: _Open, attribute: re.Match[str]) -> None:
        value = attribute["double"] or attribute["single"] or attribute["bare"] or ""
        if not value and not (opened.tag == "blockquote" and attribute["name"] == "expandable"):
            raise BadRequestError(
                f'Expected equal sign in declaration of an attribute of the tag "{opened.tag}"'
                f" at byte offset {self._offset()}"
            )
        if attribute["name"] in {"href", "class", "emoji-id"}:
            opened.argument = _REFERENCE.sub(_character, value)

    def _close(self) -> None:
        if not self._open:
            raise BadRequestError(f"Unexpected end tag at byte offset {self._offset()}")
        found = _CLOSING.match(self._html, self._at)
        if found is None:
            raise BadRequestError(f"Unclosed end tag at byte offset {self._offset()}")
        opened = self._open.pop()
        if found["tag"] and found["tag"].lower() != opened.tag:
            raise BadRequestError(
                f"Unmatched end tag at byte offset {self._offset()},"
                f' expected "</{opened.tag}>", found "</{found["tag"].lower()}>"'
            )
        self._at = found.end()
        inside = self._out[opened.begin :]
        if inside:  # a tag around nothing is nothing
            self._styled.append((opened.begin, TAGS[opened.tag], inside))


def _character(reference: re.Match[str]) -> str:
    if reference["name"]:
        return _CHARACTERS[reference["name"]]
    code = int(reference["ten"]) if reference["ten"] else int(reference["hex"], 16)
    return chr(code) if 0 < code < 0x10FFFF else reference[0]


def parse(text: str, mode: str) -> Parsed:
    text = _CONTROLS.sub(" ", text.replace("\r", ""))
    parsed = _Html(text).parse() if mode.upper() == "HTML" else Parsed(text)
    return Parsed(parsed.text.strip(), parsed.styled)  # Telegram shows no space around a text


class Telegram(ChatServer):
    """One bot, and the chats that it may write to."""

    def __init__(self, chats: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.chats = dict(chats or {CHAT: "desk"})
        self.retry_after_in_header = True
        """Telegram's own server says it in both places; a proxy may leave only the JSON."""

    def url(self, chat: str = CHAT, *, token: str = TOKEN, query: str = "") -> str:
        return f"tgram://{token}/{chat}/{query}"

    def answer(self, asked: Asked) -> Answer:
        _, bot, method, *rest = [*asked.path.split("/"), "", ""]
        if not re.fullmatch(r"bot[0-9]+:[\w-]{3,}", bot) or any(rest):
            return _refused(404, "Not Found")
        if bot != f"bot{TOKEN}":
            return _refused(401, "Unauthorized")
        try:
            return self._call(method.lower(), asked)
        except BadRequestError as error:
            return _refused(400, f"Bad Request: {error}")

    def _call(self, method: str, asked: Asked) -> Answer:
        if method not in {"sendmessage", "sendphoto", "senddocument"}:
            return _refused(404, "Not Found")
        mode = str(asked.fields.get("parse_mode", ""))
        if mode.upper() not in {"", "HTML"}:
            return _refused(501, f"parse_mode {mode} is not imitated")
        chat = str(asked.fields.get("chat_id", ""))
        if chat not in self.chats:
            raise BadRequestError("chat not found" if chat else "chat_id is empty")
        post = _text(asked, chat, mode) if method == "sendmessage" else _media(asked, chat, mode, method[4:])
        if wait_s := self.wait_s(chat, asked.at):
            return self._too_many(wait_s)
        self.posts.append(post)
        return as_json({"ok": True, "result": {"message_id": len(self.posts), "chat": {"id": chat}}})

    def _too_many(self, wait_s: int) -> Answer:
        answer = _refused(429, f"Too Many Requests: retry after {wait_s}", retry_after=wait_s)
        header = {"Retry-After": str(wait_s)} if self.retry_after_in_header else {}
        return Answer(answer.status, answer.body, {**answer.headers, **header})


def _text(asked: Asked, chat: str, mode: str) -> Post:
    parsed = _parsed(str(asked.fields.get("text", "")), mode)
    if not parsed.text:
        raise BadRequestError("message text is empty")
    if units(parsed.text) > MAX_TEXT:
        raise BadRequestError("message is too long")
    return _post(asked, chat, parsed)


def _media(asked: Asked, chat: str, mode: str, kind: str) -> Post:
    data = asked.files.get(kind)
    if data is None:
        raise BadRequestError(f"there is no {kind} in the request")
    if not data:
        raise BadRequestError("file must be non-empty")
    if kind == "photo":
        _check_photo(data)
    parsed = _parsed(str(asked.fields.get("caption", "")), mode)
    if units(parsed.text) > MAX_CAPTION:
        raise BadRequestError("message caption is too long")
    return _post(asked, chat, parsed, data)


def _check_photo(data: bytes) -> None:
    size = png_size(data)
    if size is None or len(data) > MAX_PHOTO_BYTES:
        raise BadRequestError("IMAGE_PROCESS_FAILED" if size is None else "file is too big for a photo")
    if sum(size) > MAX_PHOTO_SIDES or max(size) > MAX_PHOTO_RATIO * min(size):
        raise BadRequestError("PHOTO_INVALID_DIMENSIONS")


def _parsed(text: str, mode: str) -> Parsed:
    try:
        return parse(text, mode)
    except BadRequestError as error:
        raise BadRequestError(f"can't parse entities: {error}") from error


def _post(asked: Asked, chat: str, parsed: Parsed, picture: bytes | None = None) -> Post:
    pings = tuple(_MENTION.findall(parsed.text))
    return Post(chat, parsed.text, pings, tuple(parsed.styled), picture, at=asked.at)


def _refused(status: int, description: str, **parameters: int) -> Answer:
    more = {"parameters": parameters} if parameters else {}
    return as_json({"ok": False, "error_code": status, "description": description, **more}, status)


@contextmanager
def telegram_server(chats: Mapping[str, str] | None = None) -> Iterator[Telegram]:
    """Apprise's Telegram URLs lead here while the block lasts."""
    with serving(Telegram(chats)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("apprise.plugins.telegram.NotifyTelegram.notify_url", f"http://127.0.0.1:{server.port}/bot")
        yield server
