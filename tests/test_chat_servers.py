"""The imitations of chat services say no where the services do."""

from typing import Any

import pytest
import requests
from chat_servers import Answer, a_png, png_size
from slack_server import HOOK, Shown, shown, slack_server
from slack_server import TOKEN as BOT
from telegram_server import CHAT, TOKEN, BadRequestError, parse, telegram_server


def telegram(port: int, method: str = "sendMessage", token: str = TOKEN, **fields: Any) -> requests.Response:
    body: dict[str, Any] = {"chat_id": CHAT, **fields}
    return requests.post(f"http://127.0.0.1:{port}/bot{token}/{method}", json=body, timeout=5)


@pytest.mark.parametrize(
    ("html", "text", "styled"),
    [
        ("<b>굵게</b> &lt;b&gt; &amp; &#50557;", "굵게 <b> & 약", [("bold", "굵게")]),
        ("a & b &nosuch; &copy;", "a & b &nosuch; &copy;", []),
        ("<b>x<i>y</i></b>", "xy", [("bold", "xy"), ("italic", "y")]),
        ('<a href="https://example.com/?a=1&amp;b=2">here</a>', "here", [("text_link", "here")]),
        ('<span class="tg-spoiler">x</span><pre><code class="language-py">y</code></pre>', "xy", None),
        ("<blockquote expandable>q</blockquote>\n", "q", [("blockquote", "q")]),
        ("<b></b>nothing in it", "nothing in it", []),
        ("two\r\nlines\tand a tab", "two\nlines and a tab", []),
    ],
)
def test_what_telegram_makes_of_html(html: str, text: str, styled: list[tuple[str, str]] | None) -> None:
    parsed = parse(html, "HTML")
    assert parsed.text == text
    assert styled is None or parsed.styled == styled


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ("한 < 둘", 'Unsupported start tag "" at byte offset 4'),
        ("x<b", "Unclosed start tag at byte offset 1"),
        ("x<b ", 'Unclosed start tag "b" at byte offset 1'),
        ("1 < 2 > 1", 'Unsupported start tag "" at byte offset 2'),
        ("<p>x</p>", 'Unsupported start tag "p" at byte offset 0'),
        ("<!channel>", 'Unsupported start tag "!channel" at byte offset 0'),
        ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("<b x>y</b>", 'Expected equal sign in declaration of an attribute of the tag "b" at byte offset 0'),
        ("<span>y</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)
def test_what_telegram_does_not_take_for_html(html: str, complaint: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(html, "HTML")
    assert str(caught.value) == complaint


def test_telegram_counts_utf_16_after_markup() -> None:
    with telegram_server() as server:
        assert telegram(server.port, text="<b>" + "&lt;" * 4096 + "</b>", parse_mode="HTML").status_code == 200
        assert telegram(server.port, text="📈" * 2048).status_code == 200
        refused = telegram(server.port, text="📈" * 2048 + "x")
    assert refused.json() == {"ok": False, "error_code": 400, "description": "Bad Request: message is too long"}
    assert [len(text) for text in server.texts] == [4096, 2048]


def test_telegram_refuses_a_wrong_token_an_unknown_chat_and_an_empty_text() -> None:
    with telegram_server() as server:
        answers = [
            telegram(server.port, token="987654321:nobody-knows-it", text="x"),
            telegram(server.port, token="nonsense", text="x"),
            telegram(server.port, chat_id="77", text="x"),
            telegram(server.port, text=" <b></b>\n", parse_mode="HTML"),
            telegram(server.port, text="<x>", parse_mode="HTML"),
        ]
    assert [(answer.status_code, answer.json()["description"]) for answer in answers] == [
        (401, "Unauthorized"),
        (404, "Not Found"),
        (400, "Bad Request: chat not found"),
        (400, "Bad Request: message text is empty"),
        (400, 'Bad Request: can\'t parse entities: Unsupported start tag "x" at byte offset 0'),
    ]
    assert server.posts == []


def test_telegram_tells_how_long_to_wait_and_means_it() -> None:
    with telegram_server() as server:
        server.spacing_s = 30
        assert telegram(server.port, text="x").status_code == 200
        refused = telegram(server.port, text="y")
        server.hold_off(90)
        server.retry_after_in_header = False
        later = telegram(server.port, text="z")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "30"
    assert refused.json()["parameters"] == {"retry_after": 30}
    assert later.json()["description"] == "Too Many Requests: retry after 90"
    assert "Retry-After" not in later.headers


def test_telegram_takes_a_photo_with_a_caption_and_looks_at_both() -> None:
    with telegram_server() as server:
        url = f"http://127.0.0.1:{server.port}/bot{TOKEN}/sendPhoto"

        def photo(data: bytes, **fields: str) -> str:
            answer = requests.post(url, data={"chat_id": CHAT, **fields}, files={"photo": ("x.png", data)}, timeout=5)
            return str(answer.json().get("description", "taken"))

        assert photo(a_png(), caption="<b>그림</b> @desk", parse_mode="HTML") == "taken"
        assert photo(a_png()[:-1]) == "Bad Request: IMAGE_PROCESS_FAILED"
        assert photo(a_png(width=900, height=40)) == "Bad Request: PHOTO_INVALID_DIMENSIONS"
        assert photo(a_png(), caption="x" * 1025) == "Bad Request: message caption is too long"
    (post,) = server.posts
    assert (post.text, post.picture, post.pings) == ("그림 @desk", a_png(), ("@desk",))


def test_a_picture_is_a_png_only_if_it_is_whole() -> None:
    good = a_png(5, 3)
    assert png_size(good) == (5, 3)
    assert [png_size(bad) for bad in (b"", good[:40], good + b"x", good.replace(b"IDAT", b"IDAX"))] == [None] * 4


@pytest.mark.parametrize(
    ("text", "mrkdwn", "seen"),
    [
        ("&lt;!here&gt; &amp;amp; *x*", False, Shown("<!here> &amp; *x*")),
        ("<!here> <@U1|kim>", False, Shown("!here kim", ("<!here>", "<@U1>"))),
        ("*굵게* a*b*c _i_", True, Shown("굵게 a*b*c i", (), (("bold", "굵게"), ("italic", "i")))),
        ("<https://example.com|link>", True, Shown("link", (), (("link", "link"),))),
    ],
)
def test_what_slack_makes_of_its_markup(text: str, mrkdwn: bool, seen: Shown) -> None:
    assert shown(text, mrkdwn=mrkdwn) == seen


def test_slack_rings_a_plain_name_only_where_names_are_linked() -> None:
    assert shown("@here", mrkdwn=True).pings == ()
    assert shown("@here", mrkdwn=True, names=True).pings == ("@here",)


def test_a_slack_web_hook_says_no_in_one_word() -> None:
    with slack_server() as server:

        def hook(body: Any, path: str = HOOK) -> tuple[int, str]:
            answer = requests.post(f"http://127.0.0.1:{server.port}/services/{path}", json=body, timeout=5)
            return answer.status_code, answer.text

        assert hook({"text": "x"}) == (200, "ok")
        assert hook({"text": "x"}, "T1JJ3T3L2/A1BRTD4JD/wrong") == (404, "no_service")
        assert hook({"text": "x"}, "T2/A1BRTD4JD/wrong") == (404, "no_team")
        assert hook({"text": ""}) == (400, "no_text")
        assert hook([]) == (400, "invalid_payload")
        assert hook({"attachments": [{"text": "x"}] * 101}) == (400, "too_many_attachments")
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
        assert hook({"blocks": [section]}) == (400, "invalid_blocks")
        server.hold_off(60)
        refused = requests.post(f"http://127.0.0.1:{server.port}/services/{HOOK}", json={"text": "x"}, timeout=5)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        server.failing = Answer(410, b"channel_is_archived")
        assert hook({"text": "x"}) == (410, "channel_is_archived")
    assert server.texts == ["x"]


def test_slacks_web_api_says_no_with_200() -> None:
    with slack_server() as server:

        def api(token: str | None = BOT, **body: Any) -> requests.Response:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = f"http://127.0.0.1:{server.port}/api/chat.postMessage"
            return requests.post(url, json=body, headers=headers, timeout=5)

        answers = [
            api(None, channel="#desk", text="x"),
            api("xoxb-1", channel="#desk", text="x"),
            api(channel="#nowhere", text="x"),
            api(channel="#desk"),
            api(channel="#desk", text="x" * 40_001),
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.json()["error"] for answer in answers] == [
            "not_authed",
            "invalid_auth",
            "channel_not_found",
            "no_text",
            "msg_too_long",
        ]
        assert api(channel="#desk", text="x").json()["ok"] is True
        server.hold_off(7)
        refused = api(channel="#desk", text="x")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert refused.json() == {"ok": False, "error": "ratelimited"}


def test_slack_shows_a_file_once_all_three_steps_are_done() -> None:
    with slack_server() as server:
        api, login = f"http://127.0.0.1:{server.port}/api", {"Authorization": f"Bearer {BOT}"}
        offer: dict[str, Any] = {"filename": "x.png", "length": len(a_png())}
        offered = requests.get(f"{api}/files.getUploadURLExternal", params=offer, headers=login, timeout=5).json()
        share: dict[str, Any] = {"files": [{"id": offered["file_id"]}], "channel_id": "C0DESK123"}
        early = requests.post(f"{api}/files.completeUploadExternal", json=share, headers=login, timeout=5).json()
        short = requests.post(offered["upload_url"], files={"file": ("x.png", b"x")}, timeout=5)
        whole = requests.post(offered["upload_url"], files={"file": ("x.png", a_png())}, timeout=5)
        shared = requests.post(f"{api}/files.completeUploadExternal", json=share, headers=login, timeout=5).json()
    assert (early["error"], short.status_code, whole.text) == ("file_not_found", 400, f"OK - {len(a_png())}")
    assert shared["ok"] is True
    assert [post.picture for post in server.posts] == [a_png()]
