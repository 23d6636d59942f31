"""What came of a send, through Apprise's own plugins and over real sockets, from receivers of good and of bad will."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import trio
from delivery_samples import AT, a_notice, deliveries, post
from pydantic import SecretStr
from receivers import Behaviour, Receiver, listening, reply, reset, self_signed, until
from test_delivery_deliver import build, delivering

from engine.delivery import apprise, replies, retry, trial
from engine.delivery.apprise import Service, open_service
from engine.delivery.outbox import Outbox
from engine.delivery.reply_codes import MAX_RETRY_AFTER_S
from engine.delivery.target import Address, Delivered, Failed, Message, Outcome, Refused, Unknown
from engine.locale import Locale
from engine.rules.model import Severity

MESSAGE = Message("title", "body", Severity.WARNING)
TELEGRAM = "tgram://123456789:abcdefg_hijklmnop"
SLACK = "slack://xoxb-1234-1234-abcdefghijklmnop/#desk"
DISCORD = "discord://012345678901234567/abcdefghijklmnop"


def service(url: str) -> Service:
    opened = open_service(SecretStr(url))
    assert opened is not None
    return opened


def says(status: int, body: Any, headers: str = "") -> Behaviour:
    return reply(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The last one for all that follow."""
    left = list(behaviours)

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(receiver, connection)

    return behave


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Callable[[Receiver], None]:
    """Slack, Telegram and Discord are where a receiver is."""

    def move(receiver: Receiver) -> None:
        here = f"http://127.0.0.1:{receiver.port}"
        monkeypatch.setattr("apprise.plugins.slack.NotifySlack.api_url", here + "/api/{}")
        monkeypatch.setattr("apprise.plugins.telegram.NotifyTelegram.notify_url", here + "/bot")
        monkeypatch.setattr("apprise.plugins.discord.NotifyDiscord.notify_url", here + "/webhooks")

    return move


Chat = Callable[[Receiver], None]


@pytest.mark.parametrize(
    ("url", "answer", "outcome"),
    [
        (TELEGRAM + "/1", says(200, {"ok": True}), Delivered()),
        (TELEGRAM + "/1", says(429, {"ok": False, "parameters": {"retry_after": 35}}), Failed("HTTP 429", 35)),
        (
            TELEGRAM + "/1",
            says(400, {"ok": False, "description": "chat not found"}),
            Refused("HTTP 400 chat_not_found", certain=True),
        ),
        (SLACK, says(200, {"ok": True, "channel": "C1"}), Delivered()),
        (
            SLACK,
            says(200, {"ok": False, "error": "channel_not_found"}),
            Refused("HTTP 200 channel_not_found", certain=True),
        ),
        (
            SLACK,
            says(200, {"ok": False, "error": "ratelimited"}, "Retry-After: 7\r\n"),
            Failed("HTTP 200 ratelimited", 7),
        ),
        (SLACK, says(200, {"ok": False, "error": "internal_error"}), Unknown("HTTP 200 internal_error")),
        (SLACK, says(200, b"<html>maintenance"), Unknown("not accepted")),
        (DISCORD, says(204, b""), Delivered()),
        (DISCORD, says(429, {"retry_after": 0.5, "global": False}), Failed("HTTP 429", 0.5)),
        (DISCORD, says(404, {"code": 10015}), Refused("HTTP 404 unknown_webhook", certain=True)),
    ],
)
def test_a_chat_service_is_understood(chat: Chat, url: str, answer: Behaviour, outcome: Outcome) -> None:
    with listening(answer) as receiver:
        chat(receiver)
        assert service(url).send(MESSAGE) == outcome
    assert len(receiver.requests) == 1


def test_of_two_chats_that_one_never_takes_the_other_hears_only_once(chat: Chat) -> None:
    with listening(
        in_turn(says(403, {"description": "Forbidden: bot was kicked"}), says(200, {"ok": True}))
    ) as receiver:
        chat(receiver)
        outcome = service(TELEGRAM + "/1/2").send(MESSAGE)
    assert outcome == Refused("in part: HTTP 403 bot_kicked", in_part=True, certain=True)


def test_of_two_chats_the_one_that_took_the_markup_does_not_get_it_again_as_plain_text(chat: Chat) -> None:
    with listening(
        in_turn(says(200, {"ok": True}), says(400, {"description": "Bad Request: can't parse entities"}))
    ) as receiver:
        chat(receiver)
        outcome = service(TELEGRAM + "/1/2").send(MESSAGE)
    assert outcome == Refused("in part: HTTP 400 markup_rejected", only_this=True, in_part=True, certain=True)
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(("slow_s", "requests_"), [(20.0, 2), (0.0, 1)])
def test_a_service_that_took_long_for_the_text_gets_no_picture(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, slow_s: float, requests_: int
) -> None:
    monkeypatch.setattr(apprise, "SLOW_S", slow_s)
    with listening(says(200, {"ok": True})) as receiver:
        chat(receiver)
        assert service(TELEGRAM + "/1").send(replace(MESSAGE, picture=b"\x89PNG")) == Delivered()
    assert len(receiver.requests) == requests_


def test_a_pause_that_a_service_asks_for_is_kept_by_all_its_chats(chat: Chat) -> None:
    with listening(says(429, {"parameters": {"retry_after": 3}})) as receiver:
        chat(receiver)
        assert service(TELEGRAM + "/1/2/3").send(MESSAGE) == Failed("HTTP 429", 3)
    assert len(receiver.requests) == 1


def test_no_plugin_sleeps_for_as_long_as_a_service_likes(chat: Chat) -> None:
    """Discord's waits until the time in a header, and Matrix's for the milliseconds in a body."""
    headers = f"X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {int(time.time()) + 3600}\r\n"
    with listening(reply(204, headers, b"")) as receiver:
        chat(receiver)
        discord, began = service(DISCORD), time.monotonic()
        assert [discord.send(MESSAGE) for _ in range(2)] == [Delivered()] * 2
    with listening(says(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 3_600_000})) as receiver:
        matrix = service(f"matrix://token@127.0.0.1:{receiver.port}/!room:example.com?v=3")
        assert matrix.send(MESSAGE) == Failed("HTTP 429 m_limit_exceeded", 3600)
    assert len(receiver.requests) == 1
    assert time.monotonic() - began < 5


def _matrix(puts: Behaviour) -> Behaviour:
    def behave(receiver: Receiver, connection: socket.socket) -> None:
        line = receiver.requests[-1].line
        answer = puts if "/send/" in line else says(200, {"room_id": "!room:example.com", "user_id": "@a:example.com"})
        answer(receiver, connection)

    return behave


@pytest.mark.parametrize(
    ("puts", "outcome"),
    [
        (says(200, {"event_id": "$1"}), Delivered()),
        (says(403, {"errcode": "M_FORBIDDEN"}), Refused("HTTP 403 m_forbidden", certain=True)),
        (says(503, {}), Failed("HTTP 503")),
        (reset, Unknown("no reply")),
    ],
)
def test_what_only_prepares_for_a_message_is_no_part_of_it(puts: Behaviour, outcome: Outcome) -> None:
    with listening(_matrix(puts)) as receiver:
        matrix = service(f"matrix://token@127.0.0.1:{receiver.port}/!room:example.com?v=3")
        assert matrix.send(MESSAGE) == outcome
    assert len(receiver.requests) > 1


def test_a_question_without_an_answer_leaves_nothing_unknown() -> None:
    with listening(reset) as receiver:
        matrix = service(f"matrix://token@127.0.0.1:{receiver.port}/!room:example.com?v=3")
        assert matrix.send(MESSAGE) == Failed("no reply")


# Replies of bad will


def _raw(*pieces: bytes, pause_s: float = 0.0, again: bool = False) -> Behaviour:
    """Sends the pieces; `again`: the last one for ever."""

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            receiver.released.wait(pause_s)
        while again and not receiver.released.wait(pause_s):
            connection.sendall(pieces[-1])

    return behave


OK = b"HTTP/1.1 200 OK\r\n"
ADVERSARIAL: dict[str, tuple[Behaviour, Outcome]] = {
    "a head that drips for ever": (_raw(OK, b"X", pause_s=0.05, again=True), Unknown("no reply")),
    "a status line that drips": (_raw(b"H", b"T", pause_s=0.05, again=True), Unknown("no reply")),
    "a thousand lines of head": (_raw(OK, *[b"X: y\r\n"] * 1000, b"\r\n"), Unknown("no reply")),
    "a line of head without end": (_raw(OK, b"X" * 65536, again=True), Unknown("no reply")),
    "1xx for ever": (_raw(b"HTTP/1.1 100 Continue\r\n\r\n", again=True), Unknown("no reply")),
    "another protocol": (_raw(b"220 mail.example.com ESMTP\r\n"), Unknown("no reply")),
    "nothing at all": (_raw(), Unknown("no reply")),
    "a torn body": (_raw(OK, b"Content-Length: 100\r\n\r\nx"), Delivered()),
    "a torn chunk": (_raw(OK, b"Transfer-Encoding: chunked\r\n\r\nff\r\nx"), Delivered()),
    "no number for a chunk": (_raw(OK, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), Delivered()),
    "a body that is no gzip": (_raw(OK, b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz"), Delivered()),
    "a body that drips": (_raw(OK, b"Content-Length: 99999\r\n\r\n", b"x", pause_s=0.05, again=True), Delivered()),
    "JSON too deep": (says(500, b'{"a":' * 20_000), Failed("HTTP 500")),
    "JSON without end": (_raw(b"HTTP/1.1 500 X\r\n\r\n", b'{"a":' * 20_000, again=True), Failed("HTTP 500")),
    "a pause of a string": (says(429, {"retry_after": "35"}), Failed("HTTP 429")),
    "a pause before now": (says(429, {"retry_after": -35}), Failed("HTTP 429")),
    "a pause that is no number": (says(429, b'{"retry_after": NaN}'), Failed("HTTP 429")),
    "a pause for ever": (says(429, b'{"retry_after": 1e300}'), Failed("HTTP 429", MAX_RETRY_AFTER_S)),
    "a pause in a zone of its own": (
        reply(200, f"Retry-After: Mon, 01 Jan 2024 00:00:00 +{'9' * 17}\r\n"),
        Delivered(),
    ),
    "a status of its own": (says(299, b""), Delivered()),
    "a status beyond all": (_raw(b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"), Failed("HTTP 999")),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_reply_of_bad_will_is_classed_in_time(name: str) -> None:
    behaviour, outcome = ADVERSARIAL[name]
    with listening(behaviour) as hook:
        began = time.monotonic()
        assert service(hook.url(query="?rto=0.3")).send(MESSAGE) == outcome
    assert time.monotonic() - began < 2
    assert len(hook.requests) == 1


def test_tls_that_breaks_after_the_request_is_no_failed_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for one: what the service had got came a second time without a word."""
    context, taken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), bytearray()
    context.load_cert_chain(certificate := self_signed(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def take_and_break() -> None:
        secure = context.wrap_socket(listener.accept()[0], server_side=True)
        while b"body" not in taken and (more := secure.recv(65536)):
            taken.extend(more)
        with socket.socket(fileno=secure.detach()) as broken:
            broken.sendall(b"no TLS at all\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=take_and_break, daemon=True)
        thread.start()
        assert service(f"jsons://127.0.0.1:{listener.getsockname()[1]}").send(MESSAGE) == Unknown("no reply")
        thread.join(5)
    assert b"body" in taken


def test_a_token_that_a_reply_repeats_is_in_no_reason() -> None:
    secret = "xoxb-s3cr3t"
    bodies = [{"ok": False, "error": secret}, {"errcode": secret}, {"description": f"chat {secret}"}, {"code": secret}]
    for body in bodies:
        with listening(says(400, body)) as hook:
            outcome = service(hook.url(f"/{secret}")).send(MESSAGE)
        assert outcome == Refused("HTTP 400", only_this=True)


def test_the_plugin_still_reads_what_was_read_before_it() -> None:
    body = json.dumps({"ok": True, "text": "한글 " * 1000}).encode()
    with listening(reply(200, body=body)) as hook:
        replies.install()
        address = f"http://127.0.0.1:{hook.port}/"
        assert requests.get(address, timeout=5).json() == json.loads(body)
        with requests.get(address, timeout=5, stream=True) as response:
            assert b"".join(response.iter_content(100)) == body


def test_outside_of_an_attempt_nothing_is_noted() -> None:
    with listening(reply(429)) as hook:
        service(hook.url())
        assert [requests.get(f"http://127.0.0.1:{hook.port}/", timeout=5).status_code for _ in range(2)] == [429, 429]


# To the end of the way


async def test_a_hook_behind_a_roll_out_lost_what_waited_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.01)
    with listening(in_turn(reply(404), reply(401), reply(302), reply(301), reply(200))) as hook:
        async with delivering(build(hook.url()).targets) as (store, clock):
            post(store, [a_notice(at=clock.now())], clock.now())
            await until(lambda: store.status()[0].delivered == 1)
            (status,) = store.status()
    assert (status.failed, status.unknown, status.refused) == (3, 1, 0)
    assert ["중복될 수 있음" in each.json["message"] for each in hook.requests] == [False, False, False, True, True]


async def test_a_chat_that_says_it_is_gone_is_asked_once_for_each_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.01)
    kicked = says(403, {"ok": False, "description": "Forbidden: bot was kicked from the group chat"})
    with listening(in_turn(kicked, kicked, reply(200))) as hook:
        async with delivering(build(hook.url()).targets) as (store, clock):
            for number, status in enumerate(["refused", "refused", "delivered"], start=1):
                post(store, [a_notice(f"n{number}", at=clock.now())], clock.now())
                await until(lambda: [each.status for each in deliveries(store).values()][-1] == status)  # noqa: B023
                await trio.sleep(0.05)
                assert len(hook.requests) == number
            (status_,) = store.status()
    assert (status_.refused, status_.delivered, status_.queued) == (2, 1, 0)


async def test_of_a_digest_only_the_alert_that_a_service_dislikes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.01)

    def dislikes_n5(receiver: Receiver, connection: socket.socket) -> None:
        told = receiver.requests[-1].json
        reply(400 if "of n5" in told["title"] + told["message"] else 200)(receiver, connection)

    with listening(dislikes_n5) as hook:
        async with delivering(build(hook.url()).targets) as (store, clock):
            post(store, [a_notice(f"n{number}", at=clock.now()) for number in range(8)], clock.now())
            await until(lambda: all(each.status in ("delivered", "refused") for each in deliveries(store).values()))
            ends = {ident: each.status for (ident, _), each in deliveries(store).items()}
            repeats = [each for each in deliveries(store).values() if each.may_repeat]
    assert [ident for ident, status in ends.items() if status == "refused"] == ["n5"]
    assert len(ends) == 8
    assert repeats == []
    told = [each.json["title"] + each.json["message"] for each in hook.requests]
    taken = [each for each in told if "of n5" not in each]
    assert [sum(f"of n{number}" in each for each in taken) for number in range(8)] == [1, 1, 1, 1, 1, 0, 1, 1]


async def test_a_trial_says_that_it_was_refused() -> None:
    with listening(reply(403)) as hook:
        (english,) = await trial.send(build(hook.url()).targets, Locale.EN)
        (korean,) = await trial.send(build(hook.url()).targets, Locale.KO)
    assert (english.delivered, english.outcome) == (False, "refused: HTTP 403")
    assert (korean.delivered, korean.outcome) == (False, "거부됨: HTTP 403")


@pytest.mark.parametrize(
    ("answer", "said"),
    [(reply(200), "전송됨"), (reply(503), "실패: HTTP 503"), (reset, "도착 여부를 알 수 없음: 응답 없음")],
)
async def test_a_trial_said_delivered_and_failed_to_a_korean_reader(answer: Behaviour, said: str) -> None:
    with listening(answer) as hook:
        (result,) = await trial.send(build(hook.url()).targets, Locale.KO)
    assert result.outcome == said


@pytest.mark.parametrize("in_part", [True, False])
def test_what_a_service_took_in_part_and_gets_again_in_halves_may_repeat(in_part: bool) -> None:
    outbox = Outbox([Address("desk", "desk[1] json", ("desk",))])
    post(outbox, [a_notice("a"), a_notice("b")], AT)
    outbox.settle(outbox.claim("desk", AT), Refused("HTTP 400", only_this=True, in_part=in_part), AT)
    assert [each.may_repeat for each in deliveries(outbox).values()] == [in_part] * 2
