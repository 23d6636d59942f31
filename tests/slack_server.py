"""Slack's incoming web hooks and Web API, imitated: `with slack_server() as slack: ... slack.webhook(), slack.bot()`.

Rules from docs.slack.dev: "Sending messages using incoming webhooks" and the 2016 changelog of their errors,
"Formatting message text", chat.postMessage, files.getUploadURLExternal, files.completeUploadExternal, "Rate limits",
Block Kit reference. The Web API says no with HTTP 200 and `"ok": false`; a web hook says it with a status and one word.
A file sent to a web hook is not there at all.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from chat_servers import Answer, Asked, ChatServer, Post, as_json, serving

HOOK = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TOKEN = "xoxb-1234-1234-TESTslackTOKEN"
CHANNEL = "C0DESK123"
MAX_TEXT = 40_000
MAX_ATTACHMENT_TEXT = 8_000
"""Not documented; seen by many: what is beyond is not shown."""
MAX_ATTACHMENTS = 100
MAX_BLOCKS = 50
_BLOCK_TEXTS = {"header": 150, "section": 3000, "context": 2000}

_CONTROL = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_STYLES = re.compile(
    r"(?<![\w*_~`])(?:(?P<bold>\*[^\s*](?:[^*\n]*[^\s*])?\*)|(?P<italic>_[^\s_](?:[^_\n]*[^\s_])?_)"
    r"|(?P<strike>~[^\s~](?:[^~\n]*[^\s~])?~)|(?P<code>`[^`\n]+`))(?![\w*_~`])"
)
_NAMES = re.compile(r"(?<!\w)@(?:channel|here|everyone)\b")


@dataclass
class Shown:
    """What readers see of one piece of text."""

    text: str
    pings: tuple[str, ...] = ()
    styled: tuple[tuple[str, str], ...] = ()
    cut: bool = False

    def __bool__(self) -> bool:
        return bool(self.text)


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def shown(text: str, *, mrkdwn: bool, limit: int = MAX_TEXT, names: bool = False) -> Shown:
    """Slack's markup resolved. `<!here>` and `<@U…>` ring with mrkdwn off, too; `@here` only where names are linked."""
    pings: list[str] = []
    styled: list[tuple[str, str]] = []

    def resolve(found: re.Match[str]) -> str:
        what, label = found[1], found[2]
        if what.startswith(("@", "!")):
            pings.append(f"<{what}>")
        else:
            styled.append(("link", label or what))
        return label or what

    cut = text[:limit]
    resolved = _CONTROL.sub(resolve, cut)
    if names:
        pings += _NAMES.findall(resolved)
    if mrkdwn:
        styled += [(str(each.lastgroup), _unescaped(each[0][1:-1])) for each in _STYLES.finditer(resolved)]
        resolved = _STYLES.sub(lambda each: each[0][1:-1], resolved)
    return Shown(_unescaped(resolved), tuple(pings), tuple(styled), cut != text)


class BadPayloadError(Exception):
    """A payload that Slack does not take; the word that it says."""


def read(payload: Mapping[str, Any]) -> list[Shown]:
    """What readers see of a payload, piece by piece."""
    names = bool(payload.get("link_names")) or payload.get("parse") == "full"
    pieces = [shown(str(payload.get("text") or ""), mrkdwn=payload.get("mrkdwn", True), names=names)]
    pieces += _blocks(payload.get("blocks") or [])
    attachments = payload.get("attachments") or []
    if not isinstance(attachments, list) or not all(isinstance(each, dict) for each in attachments):
        raise BadPayloadError("invalid_attachments")
    if len(attachments) > MAX_ATTACHMENTS:
        raise BadPayloadError("too_many_attachments")
    for attachment in attachments:
        pieces += _attachment(attachment, names=names)
    if not any(pieces):
        raise BadPayloadError("no_text")
    return [piece for piece in pieces if piece]


def _attachment(attachment: Mapping[str, Any], *, names: bool) -> Iterator[Shown]:
    formatted = attachment.get("mrkdwn_in") or ()
    for key in ("pretext", "title", "text"):
        text = str(attachment.get(key) or "")
        yield shown(text, mrkdwn=key in formatted, limit=MAX_ATTACHMENT_TEXT, names=names)
    for entry in attachment.get("fields") or ():
        for key in ("title", "value"):
            yield shown(str(entry.get(key) or ""), mrkdwn="fields" in formatted, names=names)
    yield from _blocks(attachment.get("blocks") or [])
    yield shown(str(attachment.get("footer") or ""), mrkdwn=False)


def _blocks(blocks: Any) -> Iterator[Shown]:
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS:
        raise BadPayloadError("invalid_blocks")
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in {*_BLOCK_TEXTS, "divider"}:
            raise BadPayloadError("invalid_blocks")
        texts = [*block.get("fields", []), *block.get("elements", []), *([block["text"]] if "text" in block else [])]
        if not texts and kind != "divider":
            raise BadPayloadError("invalid_blocks")
        for each in texts:
            yield _block_text(each, plain_only=kind == "header", limit=_BLOCK_TEXTS[kind])


def _block_text(text: Any, *, plain_only: bool, limit: int) -> Shown:
    kinds = {"plain_text"} if plain_only else {"plain_text", "mrkdwn"}
    if not isinstance(text, dict) or text.get("type") not in kinds or not 0 < len(str(text.get("text", ""))) <= limit:
        raise BadPayloadError("invalid_blocks")
    if text["type"] == "plain_text":
        return Shown(_unescaped(text["text"]))
    return shown(text["text"], mrkdwn=True)


class Slack(ChatServer):
    """One workspace with one web hook, one bot, and the channels that it may write to."""

    def __init__(self, channels: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.channels = dict(channels or {CHANNEL: "desk"})
        self._uploads: dict[str, tuple[int, bytes | None]] = {}

    def webhook(self, *, hook: str = HOOK, query: str = "") -> str:
        return f"slack://{hook}/{query}"

    def bot(self, channel: str = "desk", *, token: str = TOKEN, query: str = "") -> str:
        return f"slack://{token}/%23{channel}/{query}"

    def answer(self, asked: Asked) -> Answer:
        _, room, rest = asked.path.split("/", 2) if asked.path.count("/") > 1 else ("", "", "")
        if room == "services":
            return self._hook(rest, asked)
        if room == "upload":
            return self._upload(rest, asked)
        return self._api(rest, asked) if room == "api" else Answer(404, b"")

    def _hook(self, hook: str, asked: Asked) -> Answer:
        if hook != HOOK:
            return Answer(404, b"no_service" if hook.startswith(HOOK.partition("/")[0]) else b"no_team")
        if not asked.fields:
            return Answer(400, b"invalid_payload")
        try:
            pieces = read(asked.fields)
        except BadPayloadError as error:
            return Answer(400, str(error).encode())
        if wait_s := self.wait_s(CHANNEL, asked.at):
            return self._too_many(wait_s, {"ok": False, "error": "rate_limited", "retry_after": wait_s})
        self._show(CHANNEL, pieces, asked)
        return Answer(200, b"ok")

    def _api(self, method: str, asked: Asked) -> Answer:
        said = asked.headers.get("authorization", "")
        if said != f"Bearer {TOKEN}":
            return _no("invalid_auth" if said else "not_authed")
        if method == "chat.postMessage":
            return self._post(asked)
        if method == "files.getUploadURLExternal":
            return self._offer(asked)
        if method == "files.completeUploadExternal":
            return self._share(asked)
        return _no("users_not_found" if method == "users.lookupByEmail" else "unknown_method")

    def _channel(self, named: str) -> str | None:
        ids = {f"#{name}": channel for channel, name in self.channels.items()}
        return named if named in self.channels else ids.get(f"#{named.removeprefix('#')}")

    def _post(self, asked: Asked) -> Answer:
        channel = self._channel(str(asked.fields.get("channel", "")))
        if channel is None:
            return _no("channel_not_found")
        try:
            pieces = read(asked.fields)
        except BadPayloadError as error:
            return _no(str(error))
        if len(str(asked.fields.get("text") or "")) > MAX_TEXT:
            return _no("msg_too_long")
        if wait_s := self.wait_s(channel, asked.at):
            return self._too_many(wait_s, {"ok": False, "error": "ratelimited"})
        self._show(channel, pieces, asked)
        return as_json({"ok": True, "channel": channel, "ts": f"{len(self.posts)}.000100"})

    def _offer(self, asked: Asked) -> Answer:
        length = str(asked.fields.get("length", ""))
        if not length.isdigit() or int(length) == 0 or not asked.fields.get("filename"):
            return _no("invalid_arguments")
        ident = f"F{len(self._uploads):08}"
        self._uploads[ident] = (int(length), None)
        return as_json({"ok": True, "file_id": ident, "upload_url": f"http://127.0.0.1:{self.port}/upload/{ident}"})

    def _upload(self, ident: str, asked: Asked) -> Answer:
        """Raw bytes, or one file in parts; of the length that was said before."""
        if ident not in self._uploads:
            return Answer(404, b"")
        length, _ = self._uploads[ident]
        data = next(iter(asked.files.values()), asked.body)
        if len(data) != length:
            return Answer(400, b"length mismatch")
        self._uploads[ident] = (length, data)
        return Answer(200, b"OK - %d" % length)

    def _share(self, asked: Asked) -> Answer:
        channel = self._channel(str(asked.fields.get("channel_id", "")))
        files = [str(each.get("id")) for each in asked.fields.get("files", [])]
        if channel is None:
            return _no("channel_not_found")
        if not files or any(self._uploads.get(ident, (0, None))[1] is None for ident in files):
            return _no("file_not_found")
        if wait_s := self.wait_s(f"files {channel}", asked.at):
            return self._too_many(wait_s, {"ok": False, "error": "ratelimited"})
        comment = shown(str(asked.fields.get("initial_comment") or ""), mrkdwn=True)
        for ident in files:
            _, data = self._uploads.pop(ident)
            self.posts.append(Post(channel, comment.text, comment.pings, comment.styled, data, at=asked.at))
        return as_json({"ok": True, "files": [{"id": ident} for ident in files]})

    def _show(self, channel: str, pieces: Iterable[Shown], asked: Asked) -> None:
        pieces = list(pieces)
        pings = tuple(ping for piece in pieces for ping in piece.pings)
        styled = tuple(style for piece in pieces for style in piece.styled)
        text = "\n".join(piece.text for piece in pieces)
        self.posts.append(Post(channel, text, pings, styled, cut=any(piece.cut for piece in pieces), at=asked.at))

    def _too_many(self, wait_s: int, body: Mapping[str, object]) -> Answer:
        return as_json(body, 429, {"Retry-After": str(wait_s)})


def _no(error: str) -> Answer:
    return as_json({"ok": False, "error": error})


@contextmanager
def slack_server(channels: Mapping[str, str] | None = None) -> Iterator[Slack]:
    """Apprise's Slack URLs lead here while the block lasts."""
    with serving(Slack(channels)) as server, pytest.MonkeyPatch.context() as patch:
        base = f"http://127.0.0.1:{server.port}"
        patch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"{base}/services")
        patch.setattr("apprise.plugins.slack.NotifySlack.api_url", f"{base}/api/{{}}")
        yield server
