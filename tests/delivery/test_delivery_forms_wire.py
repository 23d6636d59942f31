"""The forms of messages, and pictures, as services get them: real servers, or such as check what those check."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from chat_servers import Answer, Asked, ChatServer, Post, a_png, as_json, serving
from matrix_server import Matrix, matrix_server
from pydantic import SecretStr
from receivers import Mailbox, listening, mail_server, reply
from slack_server import slack_server
from telegram_server import telegram_server

from engine.delivery import pictures
from engine.delivery.apprise import Service, open_service
from engine.delivery.forms import CUT
from engine.delivery.target import Delivered, Failed, Message, Outcome, Refused, Unknown
from engine.rules.model import Severity

TITLE = "⚠️ <삼성전자>(005930) 12만 3,456주"
FOREIGN = [
    "5분 순매수량 12만 3,456주 (기준 > 10만주) 📈",
    "<b>rule</b> & <!channel> <@U1> @here *x* _y_ ~z~ `c` &amp;lt;",
    "</b></i> <a href='x'>y",
]
MESSAGE = Message(TITLE, "\n".join(FOREIGN), Severity.WARNING, remarks=("2분 늦게 보냄 <i>",))
PNG = a_png()
PICTURED = Message(TITLE, "text", Severity.CRITICAL, picture=PNG)
FORMATS = ["", "?format=text", "?format=html", "?format=markdown"]


def service(url: str) -> Service:
    opened = open_service(SecretStr(url))
    assert opened is not None
    return opened


def shown_at_telegram(text: str) -> str:
    return text.replace("\r\n", "\n")


@pytest.mark.parametrize("query", FORMATS)
def test_telegram_shows_a_bold_title_slanted_remarks_and_everything_foreign_as_it_is(query: str) -> None:
    with telegram_server() as telegram:
        assert service(telegram.url(query=query)).send(MESSAGE) == Delivered()
    (post,) = telegram.posts
    assert shown_at_telegram(post.text).split("\n") == [TITLE, *FOREIGN, "", "2분 늦게 보냄 <i>"]
    assert post.styled == (("bold", TITLE), ("italic", "2분 늦게 보냄 <i>"))


@pytest.mark.parametrize("query", FORMATS)
def test_slack_shows_everything_foreign_as_it_is_and_rings_for_nobody(query: str) -> None:
    with slack_server() as slack:
        for url in (slack.webhook(query=query), slack.bot(query=query)):
            assert service(url).send(MESSAGE) == Delivered()
    for post in slack.posts:
        assert post.text.split("\n") == [TITLE, *FOREIGN, "", "2분 늦게 보냄 <i>", "pgmwatch"]
        assert (post.pings, post.styled, post.cut) == ((), (), False)


def test_slack_is_not_sent_blocks_whatever_the_url_says() -> None:
    """Its phones say "no preview available" of blocks in an attachment."""
    with slack_server() as slack:
        service(slack.webhook(query="?blocks=yes")).send(MESSAGE)
    (attachment,) = slack.asked[0][0].fields["attachments"]
    assert attachment["title"] == TITLE.replace("<", "&lt;").replace(">", "&gt;")
    assert attachment["color"] == "#D97706"
    assert "blocks" not in attachment


@pytest.mark.parametrize("text", ["가" * 10_000, "😀" * 10_000, "<&>" * 5_000, "\n".join(["<b>줄</b> &"] * 2_000)])
def test_a_long_text_arrives_in_numbered_parts_that_the_service_takes(text: str) -> None:
    with telegram_server() as telegram, slack_server() as slack:
        message = Message("제목", text, Severity.INFO, remarks=("remark",))
        assert service(telegram.url()).send(message) == Delivered()
        assert service(slack.webhook()).send(message) == Delivered()
    posts: list[Post]
    for posts in (telegram.posts, slack.posts):
        assert 2 <= len(posts) <= 4
        assert [post.text.split("\n")[0].strip() for post in posts] == [
            f"제목 ({n}/{len(posts)})" for n in range(1, len(posts) + 1)
        ]
        assert not any(post.cut for post in posts)
        lines = [line for post in posts for line in shown_at_telegram(post.text).split("\n")[1:]]
        assert "remark" in lines
        whole = "".join(line for line in lines if line not in {"", "pgmwatch", "remark", CUT})
        assert text.replace("\n", "").startswith(whole)
        assert CUT in lines or whole == text.replace("\n", "")


def test_a_part_that_fails_after_one_arrived_may_repeat() -> None:
    with telegram_server() as telegram:
        telegram.spacing_s = 60
        outcome = service(telegram.url()).send(Message("t", "x" * 5000, Severity.INFO))
    assert len(telegram.posts) == 1
    assert isinstance(outcome, Unknown)
    assert outcome.retry_after_s > 50


def test_markup_that_a_service_rejects_is_sent_again_as_plain_text_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with telegram_server() as telegram:
        real = telegram.answer

        def dislike(asked: Asked) -> Answer:
            """What Telegram says to a tag that it does not know."""
            if "<" not in str(asked.fields["text"]):
                return real(asked)
            said = 'Bad Request: can\'t parse entities: Unsupported start tag "b" at byte offset 0'
            return as_json({"ok": False, "error_code": 400, "description": said}, 400)

        monkeypatch.setattr(telegram, "answer", dislike)
        assert service(telegram.url()).send(MESSAGE) == Delivered()
    assert telegram.statuses == [400, 200]
    (post,) = telegram.posts
    assert shown_at_telegram(post.text).split("\n")[0] == TITLE
    assert all(line in post.text for line in FOREIGN)
    assert post.styled == ()
    assert "markup refused target='telegram'" in caplog.text


def test_a_chat_that_is_not_there_is_not_asked_twice() -> None:
    with telegram_server() as telegram:
        assert isinstance(service(telegram.url("999")).send(MESSAGE), Refused)
    assert telegram.statuses == [400]


@pytest.mark.parametrize("kind", ["json", "gotify"])  # whose plugins know several formats, and one
@pytest.mark.parametrize("query", FORMATS)
def test_a_web_hook_gets_plain_text_whatever_the_url_says(kind: str, query: str) -> None:
    with listening(reply(200)) as hook:
        service(f"{kind}://127.0.0.1:{hook.port}/hook{query}").send(MESSAGE)
    sent = hook.requests[0].json
    assert (sent["title"], sent["message"]) == (TITLE, "\n".join([*FOREIGN, *MESSAGE.remarks]))


def test_a_template_of_the_users_own_gets_title_and_text_apart(tmp_path: Path) -> None:
    template = tmp_path / "slack.json"
    section = '{"type": "section", "text": {"type": "plain_text", "text": "%s"}}'
    template.write_text(f'{{"blocks": [{section % "A {{ app_title }}"}, {section % "B {{ app_body }}"}]}}')
    with slack_server() as slack:
        assert (
            service(slack.webhook(query=f"?template={template}")).send(Message("t", "b", Severity.INFO)) == Delivered()
        )
    assert slack.posts[0].text.split("\n") == ["A t", "B b"]
    with telegram_server() as telegram:
        service(telegram.url(query=f"?template={template}")).send(Message("t", "b", Severity.INFO))
    blocks = telegram.asked[0][0].fields["rich_message"]["blocks"]
    assert [block["text"]["text"] for block in blocks] == ["A t", "B b"]


# --- mail


def parts_of(mail: EmailMessage) -> dict[str, EmailMessage]:
    return {part.get_content_type(): part for part in mail.walk()}


@pytest.mark.parametrize("query", ["", "&format=text", "&format=html"])
def test_a_mail_has_html_with_its_severity_and_the_same_as_text(query: str) -> None:
    with mail_server() as mailbox:
        assert service(mailbox.url("pw") + query).send(MESSAGE) == Delivered()
    (mail,) = mailbox.mails
    assert mail["Subject"] == TITLE
    assert mail.get_content_type() == "multipart/alternative"
    parts = parts_of(mail)
    assert parts["text/plain"].get_content().splitlines() == [TITLE, *FOREIGN, "", "2분 늦게 보냄 <i>"]
    page = parts["text/html"].get_content()
    assert "&lt;b&gt;rule&lt;/b&gt; &amp; &lt;!channel&gt;" in page
    assert "#D97706" in page
    assert "<b>rule" not in page


def test_a_title_alone_arrives_as_subject_of_a_mail_and_as_title_of_a_hook() -> None:
    only = Message("✅ 알림 저장 재개", "", Severity.INFO)
    with mail_server() as mailbox, listening(reply(200)) as hook:
        assert service(mailbox.url("pw")).send(only) == Delivered()
        assert service(hook.url()).send(only) == Delivered()
    (mail,) = mailbox.mails
    assert mail["Subject"] == only.title
    assert parts_of(mail)["text/plain"].get_content().split() == only.title.split()
    assert (hook.requests[0].json["title"], hook.requests[0].json["message"]) == (only.title, only.title)


def test_a_mail_shows_its_picture_inside() -> None:
    with mail_server() as mailbox:
        target = service(mailbox.url("pw"))
        assert target.takes_pictures
        assert target.send(PICTURED) == Delivered()
    (mail,) = mailbox.mails
    assert mail.get_content_type() == "multipart/related"
    parts = parts_of(mail)
    assert parts["image/png"].get_payload(decode=True) == PNG
    assert parts["image/png"]["Content-ID"] == "<chart.png>"
    assert parts["text/html"].get_content().count('src="cid:chart.png"') == 1
    assert "image" not in parts["text/plain"].get_content().lower()


def test_a_mail_that_is_refused_goes_once_more_as_plain_text_without_its_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def small_only(mailbox: Mailbox, server: SMTP, session: Session, envelope: Envelope) -> str:
        return (
            "552 5.3.4 too big"
            if b"image/png" in (envelope.content or b"")
            else await real(mailbox, server, session, envelope)
        )

    real = Mailbox.handle_DATA
    monkeypatch.setattr(Mailbox, "handle_DATA", small_only)
    with mail_server() as mailbox:
        assert service(mailbox.url("pw")).send(PICTURED) == Delivered()
    (mail,) = mailbox.mails
    assert mail["Subject"] == TITLE
    assert (mail.get_content_type(), mail.get_content().split("\r\n")) == ("text/plain", [TITLE, "text", ""])


# --- pictures in chats


@contextmanager
def discord_server() -> Iterator["Discord"]:
    with serving(Discord()) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("apprise.plugins.discord.NotifyDiscord.notify_url", f"http://127.0.0.1:{server.port}/api")
        yield server


class Discord(ChatServer):
    """One web hook; takes at most 2000 characters and says how many more posts it takes."""

    URL = "discord://123456789012345678/TESTdiscordTOKEN-abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvw/"

    def answer(self, asked: Asked) -> Answer:
        text = str(asked.fields.get("content", ""))
        picture = next(iter(asked.files.values()), None)
        if not 0 < len(text) <= 2000 and picture is None:
            return as_json({"code": 50035, "message": "Invalid Form Body"}, 400)
        self.posts.append(Post("", text, picture=picture))
        reset = str(int(time.time()) + 3600)
        return as_json({}, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})


@pytest.mark.parametrize("query", FORMATS)
def test_discord_gets_markdown_that_shows_everything_foreign_as_it_is(query: str) -> None:
    with discord_server() as discord:
        assert service(Discord.URL + query).send(MESSAGE) == Delivered()
    assert discord.posts[0].text.split("\n") == [
        r"**⚠️ \<삼성전자\>(005930) 12만 3,456주**",
        r"5분 순매수량 12만 3,456주 (기준 \> 10만주) 📈",
        r"\<b\>rule\</b\> & \<!channel\> \<＠U1\> ＠here \*x\* \_y\_ \~z\~ \`c\` &amp;lt;",
        r"\</b\>\</i\> \<a href='x'\>y",
        "",
        r"*2분 늦게 보냄 \<i\>*",
    ]


def test_discord_is_not_waited_for_when_it_has_had_enough_for_now() -> None:
    """The plugin would sleep until the service takes more: an hour in this case."""
    with discord_server() as discord:
        target = service(Discord.URL)
        began = time.monotonic()
        assert target.send(PICTURED) == Delivered()
        assert target.send(PICTURED) == Delivered()
    assert time.monotonic() - began < 5
    assert [bool(post.picture) for post in discord.posts] == [False, True, False, True]


@pytest.mark.parametrize("query", FORMATS)
def test_mattermost_gets_the_same_markdown(query: str) -> None:
    with listening(reply(200)) as hook:
        url = f"mmost://127.0.0.1:{hook.port}/TESTtoken3xyz{query}"
        assert service(url).send(Message("T", "@here *x* a_b", Severity.INFO, remarks=("late",))) == Delivered()
    assert hook.requests[0].json["text"].splitlines() == ["**T**", r"＠here \*x\* a\_b", "", "*late*"]


@pytest.mark.parametrize("query", FORMATS)
def test_discord_takes_long_texts_full_of_names_of_emoji(query: str) -> None:
    with discord_server() as discord:
        assert service(Discord.URL + query).send(Message("t", ":a:b" * 1500, Severity.INFO)) == Delivered()
    assert len(discord.posts) == 4


def test_telegram_gets_the_text_first_and_then_the_picture() -> None:
    with telegram_server() as telegram:
        target = service(telegram.url())
        assert target.takes_pictures
        assert target.send(PICTURED) == Delivered()
    assert [(bool(post.text), post.picture) for post in telegram.posts] == [(True, None), (False, PNG)]


def test_slack_gets_the_text_once_and_then_the_picture_in_the_same_channel() -> None:
    with slack_server() as slack:
        target = service(slack.bot())
        assert target.takes_pictures
        assert [target.send(PICTURED) for _ in range(2)] == [Delivered()] * 2
    assert [post.picture for post in slack.posts] == [None, PNG, None, PNG]
    assert len({post.chat for post in slack.posts}) == 1


def test_a_web_hook_of_slacks_takes_no_picture() -> None:
    with slack_server() as slack:
        target = service(slack.webhook())
        assert not target.takes_pictures
        assert target.send(PICTURED) == Delivered()
    assert len(slack.asked) == 1


@pytest.mark.parametrize("url", ["json://127.0.0.1:9/", "mmost://127.0.0.1/TESTtoken3xyz", "ntfy://127.0.0.1/topic"])
def test_what_is_not_known_to_show_a_picture_takes_none(url: str) -> None:
    assert not service(url).takes_pictures


class Behind:
    """A chat service that takes the text and then does something else."""

    def __init__(self, server: ChatServer, monkeypatch: pytest.MonkeyPatch, then: Callable[[Asked], Answer]) -> None:
        real = server.answer

        def answer(asked: Asked) -> Answer:
            return then(asked) if server.posts else real(asked)

        monkeypatch.setattr(server, "answer", answer)


@pytest.mark.parametrize("status", [400, 413, 429, 500])
def test_a_picture_that_is_not_taken_is_a_line_in_the_log_and_nothing_else(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for server, url in (
        (telegram_server(), "tgram://123456789:TEST-telegram_TOKEN-abcdefghijklmno/12315544/"),
        (slack_server(), "slack://xoxb-1234-1234-TESTslackTOKEN/%23desk/"),
        (discord_server(), Discord.URL),
    ):
        with server as chat:
            Behind(chat, monkeypatch, lambda _: as_json({"ok": False}, status))
            target = service(url)
            target.name = "desk[1] chat"
            caplog.clear()
            assert target.send(PICTURED) == Delivered()
            (line,) = [record.getMessage() for record in caplog.records if record.name == pictures.__name__]
            assert line.startswith(f"picture not delivered target='desk[1] chat' reason='HTTP {status}")
            assert len(chat.posts) == 1


def test_a_picture_that_hangs_delays_its_text_a_little_and_the_next_message_not_at_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pictures.Gallery.show, "__defaults__", (0.2,))
    released = threading.Event()

    def hang(asked: Asked) -> Answer:
        if asked.files:
            released.wait(10)
        return as_json({"ok": True})

    with telegram_server() as telegram:
        Behind(telegram, monkeypatch, hang)
        # One at a time is the imitation's own; here the second text comes while the first picture hangs.
        monkeypatch.setattr(telegram, "take", telegram.answer)
        target = service(telegram.url())
        try:
            began = time.monotonic()
            assert target.send(PICTURED) == Delivered()
            assert target.send(PICTURED) == Delivered()
            assert time.monotonic() - began < 2
        finally:
            released.set()
    lines = [record.getMessage() for record in caplog.records if record.name == pictures.__name__]
    assert [line.partition("reason=")[2] for line in lines] == ["'no end within 0.2 s'", "'the last one hangs'"]


def test_a_text_that_is_not_delivered_sends_no_picture() -> None:
    with telegram_server() as telegram:
        telegram.hold_off(60)
        outcome: Outcome = service(telegram.url()).send(PICTURED)
        assert isinstance(outcome, Failed)
    assert len(telegram.asked) == 1


# --- Matrix: a real server


@pytest.fixture(scope="module", name="matrix")
def running_matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with matrix_server(tmp_path_factory.mktemp("matrix")) as server:
        yield server


@pytest.mark.parametrize("query", ["", "?format=text", "?format=markdown"])
def test_matrix_gets_html_and_the_same_as_text(matrix: Matrix, query: str) -> None:
    matrix.new_room()
    assert service(matrix.url(query=query)).send(MESSAGE) == Delivered()
    (content,) = matrix.messages()
    assert content["format"] == "org.matrix.custom.html"
    lines = content["formatted_body"].split("<br/>")
    assert lines[0] == "<b>⚠️ &lt;삼성전자&gt;(005930) 12만 3,456주</b>"
    assert lines[2].startswith("&lt;b&gt;rule&lt;/b&gt; &amp; &lt;!channel&gt;")
    assert lines[-1] == "<i>2분 늦게 보냄 &lt;i&gt;</i>"
    assert content["body"].split("\n") == [TITLE, *FOREIGN, "", "2분 늦게 보냄 <i>"]


@pytest.mark.parametrize("token", [False, True])
def test_matrix_shows_each_message_and_each_picture_once(matrix: Matrix, token: bool) -> None:
    """With an access token the plugin gives all its events one transaction id: the server would drop the second."""
    matrix.new_room()
    target = service(matrix.url(token=token))
    assert target.takes_pictures
    assert [target.send(PICTURED) for _ in range(2)] == [Delivered()] * 2
    messages = matrix.messages()
    assert [content["msgtype"] for content in messages] == ["m.text", "m.image", "m.text", "m.image"]
    assert matrix.media(messages[1]["url"]) == PNG
    assert messages[1]["info"]["mimetype"] == "image/png"


@pytest.mark.parametrize("text", ["가" * 30_000, '"\\' * 30_000, "😀" * 20_000])
def test_matrix_takes_a_text_of_any_length_in_parts(matrix: Matrix, text: str) -> None:
    matrix.new_room()
    assert service(matrix.url()).send(Message("t", text, Severity.INFO)) == Delivered()
    assert 2 <= len(matrix.messages()) <= 4
