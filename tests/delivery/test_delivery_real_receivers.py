"""The whole way of a message, from the outbox to what its reader sees: real servers, or such as check what those do."""

import html
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from chat_servers import Answer, ChatServer, a_png
from delivery_samples import a_notice, a_rule, an_alert, deliveries, over, post
from environment import free_port
from matrix_server import Matrix, matrix_server
from mqtt_server import mqtt_broker, mqtt_url
from receivers import Security, mail_server, self_signed, until
from slack_server import Slack, slack_server
from telegram_server import TAGS, Telegram, telegram_server
from test_delivery_deliver import build, delivering, status

from engine.clock import Clock
from engine.delivery import message, retry
from engine.delivery.outbox import Outbox
from engine.delivery.target import Delivered, Message
from engine.locale import Locale
from engine.rules.model import Severity

TITLE = "⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주"
LINES = ["5분 순매수량 12만 3,456주 (기준 > 10만주)", "<b>rule</b> & <!channel> <＠U1> *x* _y_ `z`"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.05)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with matrix_server(tmp_path_factory.mktemp("matrix")) as server:
        yield server


def post_alert(store: Outbox, clock: Clock) -> None:
    """One with foreign text that would be markup, and would ring, were it not shown as it is."""
    now = clock.now()
    rule = a_rule(over("net_volume", 100_000, "5m"), description=LINES[1])
    post(store, [message.notice(an_alert(at=now, since=now), rule, "삼성전자", Locale.KO)], now)


async def delivered(store: Outbox, seconds: float = 10) -> None:
    await until(lambda: {each.status for each in deliveries(store).values()} == {"delivered"}, seconds)


def troubles(store: Outbox) -> int:
    """Attempts after which it was not known to have arrived."""
    return sum(each.failed + each.unknown + each.refused for each in store.status())


def slack_hook(stack: ExitStack) -> tuple[Slack, str]:
    server = stack.enter_context(slack_server())
    return server, server.webhook()


def slack_bot(stack: ExitStack) -> tuple[Slack, str]:
    server = stack.enter_context(slack_server())
    return server, server.bot()


def telegram(stack: ExitStack) -> tuple[Telegram, str]:
    server = stack.enter_context(telegram_server())
    return server, server.url()


def telegram_saying_it_in_json_only(stack: ExitStack) -> tuple[Telegram, str]:
    """How long to wait; as it arrives through a proxy that keeps headers to itself."""
    server, url = telegram(stack)
    server.retry_after_in_header = False
    return server, url


CHATS: list[Callable[[ExitStack], tuple[ChatServer, str]]] = [slack_hook, slack_bot, telegram]


def said(answer: Answer) -> bool:
    """Whether a chat service took what it was asked: Slack says no with 200."""
    return answer.status == 200 and b'"ok": false' not in answer.body


@pytest.mark.parametrize("open_chat", CHATS)
async def test_a_chat_shows_an_alert_as_it_was_written_and_rings_nobody(
    open_chat: Callable[[ExitStack], tuple[ChatServer, str]],
) -> None:
    with ExitStack() as stack:
        server, url = open_chat(stack)
        async with delivering(build(url).targets) as (store, clock):
            post_alert(store, clock)
            await delivered(store)
    (seen,) = server.posts
    assert [line for line in [TITLE, *LINES] if line not in seen.text] == []
    assert (seen.pings, seen.cut) == ((), False)
    assert {text for kind, text in seen.styled if kind in {"bold", "italic", "code"}} <= {TITLE}


@pytest.mark.slow  # a service that asks for two seconds is left alone for two seconds
@pytest.mark.parametrize("open_chat", [*CHATS, telegram_saying_it_in_json_only])
async def test_a_chat_that_asks_for_time_gets_it(open_chat: Callable[[ExitStack], tuple[ChatServer, str]]) -> None:
    with ExitStack() as stack:
        server, url = open_chat(stack)
        async with delivering(build(url).targets) as (store, clock):
            server.hold_off(2)
            post_alert(store, clock)
            await delivered(store)
    (first, no), (second, yes) = server.asked
    assert (no.status, said(yes)) == (429, True)
    assert second.at - first.at >= 1.9
    assert len(server.posts) == 1


@pytest.mark.parametrize("open_chat", CHATS)
async def test_what_is_too_long_for_a_chat_comes_in_pieces_and_none_is_cut(
    open_chat: Callable[[ExitStack], tuple[ChatServer, str]],
) -> None:
    lines = [f"{number:04}번째 줄 <{number}> & 가나다라마바사" for number in range(400)]
    with ExitStack() as stack:
        server, url = open_chat(stack)
        async with delivering(build(url).targets) as (store, clock):
            post(store, [a_notice(at=clock.now(), message="\n".join(lines))], clock.now())
            await delivered(store)
    shown = "".join(text.replace("\n", "") for text in server.texts)
    assert [line for line in lines if line not in shown] == []
    assert not any(seen.cut for seen in server.posts)


async def test_a_chat_that_is_gone_does_not_hold_up_another() -> None:
    with slack_server() as slack, telegram_server() as telegram:
        slack.failing = Answer(410, b"channel_is_archived")
        async with delivering(build(slack.webhook(), telegram.url()).targets) as (store, clock):
            post_alert(store, clock)
            await until(lambda: telegram.posts)
            await until(lambda: status(store, "desk[2] telegram").delivered == 1)
    assert slack.posts == []
    assert status(store, "desk[1] slack").delivered == 0


async def test_an_alert_arrives_over_mqtt(tmp_path: Path) -> None:
    with mqtt_broker(tmp_path) as broker:
        async with delivering(build(broker.url()).targets) as (store, clock):
            post_alert(store, clock)
            await delivered(store)
            await until(lambda: broker.heard)
    (heard,) = broker.heard
    assert [line for line in [TITLE, *LINES] if line not in heard.splitlines()] == []


async def test_an_alert_waits_for_an_mqtt_broker_that_is_down(tmp_path: Path) -> None:
    port = free_port()
    async with delivering(build(mqtt_url(port)).targets) as (store, clock):
        post_alert(store, clock)
        await until(lambda: troubles(store))
        assert sum(store.queued().values()) == 1
        with mqtt_broker(tmp_path, port) as broker:
            await delivered(store)
            await until(lambda: broker.heard)
    assert TITLE in broker.heard[0]


@pytest.mark.slow  # Apprise waits a second for the broker's answer to the greeting
async def test_an_alert_is_not_lost_with_an_mqtt_broker_that_hangs_and_dies(tmp_path: Path) -> None:
    """Once it was: with `qos=0`, which is what a URL means that says nothing, what is written counts as delivered."""
    port = free_port()
    async with delivering(build(mqtt_url(port)).targets) as (store, clock):
        with mqtt_broker(tmp_path, port) as broker:
            post(store, [a_notice("first", at=clock.now())], clock.now())
            await delivered(store)
            os.kill(broker.pid, signal.SIGSTOP)
            post(store, [a_notice("second", at=clock.now())], clock.now())
            await until(lambda: store.status()[0].attempting or store.status()[0].delivered == 2)
            await trio.sleep(0.3)  # it is written, and nobody has read it
            os.kill(broker.pid, signal.SIGKILL)
        with mqtt_broker(tmp_path, port) as broker:
            await delivered(store, 30)
            await until(lambda: any("message of second" in each for each in broker.heard))


@pytest.mark.slow  # the first of these starts the server: two seconds
@pytest.mark.xdist_group("matrix")
@pytest.mark.parametrize("token", [False, True], ids=["password", "access token"])
async def test_a_matrix_room_shows_every_alert(matrix: Matrix, token: bool) -> None:
    """Of two ways to none or one: a room's id that names no server got one, and all had the same transaction id."""
    matrix.new_room()
    async with delivering(build(matrix.url(token=token)).targets) as (store, clock):
        post_alert(store, clock)
        await delivered(store)
        for number in range(3):
            post(store, [a_notice(f"n{number}", at=clock.now())], clock.now())
            await delivered(store)
    first, *rest = matrix.messages()
    assert [line for line in [TITLE, *LINES] if line not in first["body"]] == []
    assert [f"message of n{number}" in each["body"] for number, each in enumerate(rest)] == [True] * 3


@pytest.mark.slow  # a server that takes one message a second takes a second for each
@pytest.mark.xdist_group("matrix")
async def test_a_matrix_server_that_asks_for_time_gets_it(matrix: Matrix) -> None:
    matrix.new_room()
    matrix.limit(1)
    try:
        async with delivering(build(matrix.url()).targets) as (store, clock):
            for number in range(3):
                post(store, [a_notice(f"n{number}", at=clock.now())], clock.now())
                await delivered(store)
    finally:
        matrix.limit(0)
    assert len(matrix.messages()) == 3
    assert store.status()[0].failed <= 3  # one a message; none where a busy machine took a second for each by itself


PICTURE = a_png(800, 400)


def shown_with(picture: bytes) -> Message:
    return Message(TITLE, "\n".join(LINES), Severity.WARNING, picture=picture)


@pytest.mark.parametrize("open_chat", [slack_bot, telegram])
async def test_a_chat_shows_the_picture_of_an_alert(open_chat: Callable[[ExitStack], tuple[ChatServer, str]]) -> None:
    with ExitStack() as stack:
        server, url = open_chat(stack)
        (target,) = build(url).targets
        assert target.takes_pictures
        assert await target.send(shown_with(PICTURE)) == Delivered()
    assert [seen.picture for seen in server.posts if seen.picture] == [PICTURE]
    assert "".join(server.texts).count(LINES[1]) == 1


async def test_markup_that_telegram_takes_no_more_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TAGS, "b")
    with telegram_server() as server:
        async with delivering(build(server.url()).targets) as (store, clock):
            post_alert(store, clock)
            await delivered(store)
    (seen,) = server.posts
    assert [line for line in [TITLE, *LINES] if line not in seen.text] == []
    assert server.statuses == [400, 200]


async def test_a_slack_web_hook_is_sent_no_picture_as_it_would_show_none() -> None:
    with slack_server() as slack:
        (target,) = build(slack.webhook()).targets
        assert not target.takes_pictures
        assert await target.send(shown_with(PICTURE)) == Delivered()
    assert len(slack.asked) == len(slack.posts) == 1


@pytest.mark.slow  # the first of these starts the server: two seconds
@pytest.mark.xdist_group("matrix")
@pytest.mark.parametrize("token", [False, True], ids=["password", "access token"])
async def test_a_matrix_room_shows_the_picture_of_an_alert_and_its_text_as_html(matrix: Matrix, token: bool) -> None:
    matrix.new_room()
    (target,) = build(matrix.url(token=token)).targets
    assert target.takes_pictures
    for _ in range(2):
        assert await target.send(shown_with(PICTURE)) == Delivered()
    messages = matrix.messages()
    texts = [each for each in messages if each["msgtype"] == "m.text"]
    pictures = [each for each in messages if each["msgtype"] == "m.image"]
    assert [matrix.media(each["url"]) for each in pictures] == [PICTURE] * 2
    assert [each["format"] for each in texts] == ["org.matrix.custom.html"] * 2
    assert all(html.escape(line, quote=False) in texts[0]["formatted_body"] for line in [TITLE, *LINES])
    assert all(line in texts[0]["body"] for line in [TITLE, *LINES])


async def test_a_mail_has_a_text_a_page_and_the_picture_inside_it() -> None:
    with mail_server() as mailbox:
        (target,) = build(mailbox.url("test-password")).targets
        assert await target.send(shown_with(PICTURE)) == Delivered()
    (mail,) = mailbox.mails
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert page is not None
    assert all(line in text.get_content() for line in LINES)
    assert all(html.escape(line, quote=False) in page.get_content() for line in LINES)
    (picture,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert picture.get_content() == PICTURE
    assert f"cid:{picture['Content-ID'].strip('<>')}" in page.get_content()


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.SMTPS])
async def test_a_mail_server_with_a_certificate_that_nobody_signed_gets_no_password(
    security: Security, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="mail.log")  # aiosmtpd prints the traceback of a failed handshake
    with mail_server(security=security, certificate=self_signed(tmp_path)) as mailbox:
        async with delivering(build(mailbox.url("test-password", security)).targets) as (store, clock):
            post_alert(store, clock)
            await until(lambda: troubles(store))
    assert (mailbox.passwords, mailbox.sessions, mailbox.mails) == ([], 0, [])


@pytest.mark.parametrize("step", ["AUTH", "MAIL", "RCPT", "DATA"])
async def test_a_mail_that_is_put_off_at_any_step_comes_later(step: str) -> None:
    with mail_server(says={step: "451 4.3.0 later"}) as mailbox:
        async with delivering(build(mailbox.url("test-password")).targets) as (store, clock):
            post_alert(store, clock)
            await until(lambda: troubles(store))
            assert mailbox.mails == []
            mailbox.says.clear()
            await delivered(store)
    (mail,) = mailbox.mails
    assert mail["Subject"] == TITLE


@pytest.mark.parametrize("step", ["AUTH", "MAIL", "RCPT", "DATA"])
async def test_a_mail_that_is_refused_for_good_at_any_step_is_not_sent_again(step: str) -> None:
    with mail_server(says={step: "554 5.7.1 never"}) as mailbox:
        async with delivering(build(mailbox.url("test-password")).targets) as (store, clock):
            post_alert(store, clock)
            await until(lambda: not sum(store.queued().values()))
            logins = len(mailbox.passwords)
            await trio.sleep(0.2)  # as long as four first retries
    assert [each.status for each in deliveries(store).values()] == ["refused"]
    assert (len(mailbox.passwords), mailbox.mails) == (logins, [])


async def test_a_mail_server_that_hangs_up_on_a_whole_mail_gets_it_again_with_a_word_of_warning() -> None:
    with mail_server(hangs_up=True) as mailbox:
        async with delivering(build(mailbox.url("test-password")).targets) as (store, clock):
            post_alert(store, clock)
            await until(lambda: troubles(store))
            mailbox.hangs_up = False
            await delivered(store)
    first, second = (mail.get_body(("plain",)) for mail in mailbox.mails)
    assert [mail["Subject"] for mail in mailbox.mails] == [TITLE, TITLE]
    assert first is not None
    assert second is not None
    assert "중복될 수 있음" not in first.get_content()
    assert "중복될 수 있음" in second.get_content()
