"""Apprise against receivers that really listen."""

import json
import threading
import time
from typing import Any

import pytest
from apprise import Apprise
from pydantic import SecretStr
from receivers import endless, hang, listening, mail_server, reply, reset, trickle

from engine.delivery import replies
from engine.delivery.apprise import Service, open_service
from engine.delivery.reply_codes import MAX_RETRY_AFTER_S
from engine.delivery.target import Delivered, Failed, Message, Outcome, Refused, Unknown
from engine.rules.model import Severity

TITLE = "⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주"
BODY = "5분 순매수량 12만 3,456주 (기준 > 10만주)\n<b>Rule</b> & <!channel> <＠U1> *x* _y_"
MESSAGE = Message(TITLE, BODY, Severity.WARNING)


def service(url: str) -> Service:
    opened = open_service(SecretStr(url))
    assert opened is not None
    return opened


def test_a_web_hook_gets_title_text_and_severity_as_they_are() -> None:
    with listening(reply(200)) as hook:
        assert service(hook.url()).send(MESSAGE) == Delivered()
    (request,) = hook.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert (request.json["title"], request.json["message"], request.json["type"]) == (TITLE, BODY, "warning")


@pytest.mark.parametrize(
    ("severity", "resolved", "kind"),
    [
        (Severity.INFO, False, "info"),
        (Severity.WARNING, False, "warning"),
        (Severity.CRITICAL, False, "failure"),
        (Severity.CRITICAL, True, "success"),
    ],
)
def test_severity_becomes_the_colour_that_services_know(severity: Severity, resolved: bool, kind: str) -> None:
    with listening(reply(200)) as hook:
        service(hook.url()).send(Message("t", "b", severity, resolved=resolved))
    assert hook.requests[0].json["type"] == kind


def test_a_message_without_text_has_its_title_as_text_as_well() -> None:
    with listening(reply(200)) as hook:
        assert service(hook.url()).send(Message("only this", "", Severity.INFO)) == Delivered()
    assert (hook.requests[0].json["title"], hook.requests[0].json["message"]) == ("only this", "only this")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, Refused("HTTP 400", only_this=True)), (404, Refused("HTTP 404")), (429, Failed("HTTP 429"))],
)
def test_what_a_service_does_not_take_is_told_with_its_status(status: int, outcome: Outcome) -> None:
    with listening(reply(status)) as hook:
        assert service(hook.url()).send(MESSAGE) == outcome
    assert len(hook.requests) == 1


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("30", 30.0),
        ("99999999999", 3600.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("٣", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_a_service_that_says_when_to_come_back_is_heard(header: str, wait_s: float) -> None:
    with listening(reply(429, f"Retry-After: {header}\r\n".encode().decode("latin-1"))) as hook:
        assert service(hook.url()).send(MESSAGE) == Failed("HTTP 429", wait_s)


def test_a_date_to_come_back_at_is_heard() -> None:
    with listening(reply(503, "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT\r\n")) as hook:
        assert service(hook.url()).send(MESSAGE) == Failed("HTTP 503", MAX_RETRY_AFTER_S)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("query", ["", "?redirect=yes"])
def test_a_redirect_is_neither_followed_nor_taken_for_delivery(status: int, query: str) -> None:
    with listening(reply(200)) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.port}/stolen\r\n"
        with listening(reply(status, location)) as hook:
            outcome = service(hook.url(query=query)).send(MESSAGE)
    reason = f"HTTP {status}, redirects are not followed"
    assert outcome == (Unknown(reason) if status in (302, 303, 307) else Refused(reason))
    assert len(hook.requests) == 1
    assert elsewhere.requests == []


def test_a_plugin_that_follows_redirects_on_its_own_goes_nowhere() -> None:
    import requests

    with listening(reply(200)) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.port}/stolen\r\n"
        with listening(reply(302, location)) as hook:
            replies.install()
            answer = requests.post(f"http://127.0.0.1:{hook.port}/", data=b"x", allow_redirects=True, timeout=5)
    assert answer.status_code == 302
    assert elsewhere.requests == []


def test_a_connection_that_nobody_takes_is_a_plain_failure() -> None:
    with listening(reply(200)) as gone:
        pass
    assert service(gone.url()).send(MESSAGE) == Failed("no connection")


def test_a_reply_that_never_comes_leaves_it_unknown() -> None:
    with listening(hang) as hook:
        assert service(hook.url(query="?rto=0.2")).send(MESSAGE) == Unknown("no reply")
    assert len(hook.requests) == 1


def test_a_connection_lost_after_the_request_leaves_it_unknown() -> None:
    with listening(reset) as hook:
        assert service(hook.url()).send(MESSAGE) == Unknown("no reply")


def test_a_reply_that_trickles_is_cut_off_and_its_status_counts() -> None:
    with listening(trickle) as hook:
        began = time.monotonic()
        assert service(hook.url(query="?rto=0.3")).send(MESSAGE) == Delivered()
    assert time.monotonic() - began < 2


def test_a_reply_without_end_is_cut_off_and_its_status_counts() -> None:
    with listening(endless) as hook:
        began = time.monotonic()
        assert service(hook.url()).send(MESSAGE) == Delivered()
    assert time.monotonic() - began < 5


def test_a_reply_is_read_up_to_its_limit() -> None:
    import requests

    with listening(endless) as hook:
        replies.install()
        body = requests.get(f"http://127.0.0.1:{hook.port}/", timeout=5).content
    assert len(body) == replies.MAX_REPLY_BYTES


def test_a_whole_reply_is_read_whole() -> None:
    import requests

    with listening(reply(200, body="한글 ".encode() * 1000)) as hook:
        replies.install()
        assert requests.get(f"http://127.0.0.1:{hook.port}/", timeout=5).text == "한글 " * 1000


def test_a_message_that_arrived_in_part_may_repeat() -> None:
    """Slack takes 35,000 characters at a time: the second piece is refused."""
    answers = iter([reply(200), reply(500)])

    def first_only(receiver: Any, connection: Any) -> None:
        next(answers)(receiver, connection)

    with listening(first_only) as hook, pytest.MonkeyPatch.context() as patch:
        patch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"http://127.0.0.1:{hook.port}")
        long = Message("t", "x" * 40_000, Severity.INFO)
        assert service("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ").send(long) == Unknown(
            "in part: HTTP 500"
        )


@pytest.mark.parametrize("query", ["?retry=5&wait=0", "?optional=yes", "?overflow=upstream&retry=3"])
def test_the_url_does_not_overrule_retries_or_what_counts_as_delivered(query: str) -> None:
    with listening(reply(503)) as hook:
        assert service(hook.url(query=query)).send(MESSAGE) == Failed("HTTP 503")
    assert len(hook.requests) == 1


def test_nothing_is_throttled_inside_the_plugin() -> None:
    with listening(reply(200)) as hook, pytest.MonkeyPatch.context() as patch:
        patch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"http://127.0.0.1:{hook.port}")
        slack = service("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#desk")
        began = time.monotonic()
        assert [slack.send(MESSAGE) for _ in range(3)] == [Delivered()] * 3
    assert time.monotonic() - began < 2  # Slack's own pace is 1.2 s a message


def test_no_thread_but_the_caller_sends() -> None:
    """Apprise's own pool is one for the process: eight hanging services would starve a healthy one."""
    with listening(reply(200)) as hook:
        before = set(threading.enumerate())
        assert service(hook.url()).send(MESSAGE) == Delivered()
        new = {thread.name for thread in set(threading.enumerate()) - before}
    assert all("process_request_thread" in name for name in new), new  # the receiver's own handler may still be ending


def test_telegram_shows_markup_in_the_text_as_text() -> None:
    with listening(reply(200, body=b"{}")) as hook, pytest.MonkeyPatch.context() as patch:
        patch.setattr("apprise.plugins.telegram.NotifyTelegram.notify_url", f"http://127.0.0.1:{hook.port}/bot")
        assert service("tgram://123456789:abcdefg_hijklmnop/12315544/").send(MESSAGE) == Delivered()
    sent = hook.requests[0].json
    assert sent["parse_mode"] == "HTML"
    assert "&lt;b&gt;Rule&lt;/b&gt; &amp; &lt;!channel&gt;" in sent["text"]
    assert sent["text"].startswith(f"<b>{TITLE}</b>")


def test_slack_shows_markup_and_mentions_in_the_text_as_text() -> None:
    with listening(reply(200)) as hook, pytest.MonkeyPatch.context() as patch:
        patch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"http://127.0.0.1:{hook.port}")
        service("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#desk").send(MESSAGE)
    sent = hook.requests[0].json
    assert sent["mrkdwn"] is False
    (attachment,) = sent["attachments"]
    assert "&lt;b&gt;Rule&lt;/b&gt; &amp; &lt;!channel&gt;" in attachment["text"]
    assert attachment["footer"] == "pgmwatch"
    assert "apprise" not in json.dumps(sent).lower()


def test_a_plugin_that_raises_is_a_failure_by_its_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(Apprise, "notify", broken)
    assert service("json://127.0.0.1:1/").send(MESSAGE) == Failed("ZeroDivisionError")


def test_a_plugin_that_raises_inside_apprise_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr("apprise.plugins.custom_json.NotifyJSON.send", broken)
    assert service("json://127.0.0.1:1/").send(MESSAGE) == Failed("not accepted")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "nosuch://x",
        "tgram://bad",
        "slack://",
        "json://127.0.0.1/, json://127.0.0.1/b",
        "mailto://nobody",
    ],
)
def test_a_url_that_apprise_does_not_take_is_refused(url: str) -> None:
    assert open_service(SecretStr(url)) is None


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("json://127.0.0.1:80/", True),
        ("jsons://localhost/x", True),
        ("json://[::1]:80/", True),
        ("xml://127.8.9.1/", True),
        ("form://LOCALHOST/", True),
        ("json://127.example.com/", False),
        ("json://0.0.0.0/", False),
        ("json://10.0.0.1/", False),
        ("json://localhost.example.com/", False),
        ("json://user:127.0.0.1@example.com/127.0.0.1", False),
        ("mailto://me:pw@example.com?smtp=127.0.0.1", True),
        ("mailto://127.0.0.1:2525?from=a@example.com&to=b@example.com", True),
        ("mailto://127.0.0.1?smtp=mail.example.com&from=a@example.com", False),
        ("mailto://me:pw@gmail.com", False),
        ("mailto://me:pw@localhost?smtp=smtp.gmail.com", False),
        ("mailto://me:pw@example.com?smtp=127.0.0.1&wkd=yes", False),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#localhost", False),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", False),
        ("ntfy://localhost", False),
    ],
)
def test_only_what_surely_stays_on_this_machine_counts_as_loopback(url: str, loopback: bool) -> None:
    assert service(url).loopback is loopback


def test_a_mail_arrives_with_korean_intact() -> None:
    with mail_server() as mailbox:
        assert service(mailbox.url("test-password")).send(MESSAGE) == Delivered()
    (arrived,) = mailbox.mails
    assert arrived["Subject"] == TITLE
    assert arrived["To"] == "desk@example.com"
    assert arrived["From"] == "pgmwatch <trader@example.com>"
    text = arrived.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == [TITLE, *BODY.splitlines()]
    assert mailbox.passwords == [b"test-password"]


def test_a_mail_that_the_server_will_not_have_is_refused() -> None:
    with mail_server(refuse=True) as mailbox:
        assert service(mailbox.url("test-password")).send(MESSAGE) == Refused("SMTP 550", only_this=True, certain=True)
