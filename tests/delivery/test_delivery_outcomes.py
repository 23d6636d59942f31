"""What was met → what came of it, row by row."""

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest

from engine.delivery import outcomes, reply_codes
from engine.delivery.outcomes import Seen, outcome_of
from engine.delivery.reply_codes import MAX_RETRY_AFTER_S, NOTHING, Meaning, Said
from engine.delivery.target import Delivered, Failed, Outcome, Refused, Unknown

# By status

THIS = [400, 413, 414, 422, 431]
TARGET = [401, 402, 403, 404, 405, 406, 407, 410, 411, 415, 416, 417, 426, 428, 451, 499]
LATER = [
    100,
    101,
    199,
    408,
    409,
    412,
    418,
    421,
    423,
    424,
    425,
    429,
    500,
    501,
    503,
    505,
    507,
    508,
    511,
    521,
    522,
    523,
    599,
]
LATER += [0, 600, 999]
MAYBE = [502, 504, 520, 524]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_a_yes_is_delivered(status: int) -> None:
    assert outcomes.of_reply(status, NOTHING) == Delivered()


@pytest.mark.parametrize("status", [300, 301, 304, 305, 308, 399])
def test_a_redirect_for_good_is_refused_but_not_for_certain(status: int) -> None:
    assert outcomes.of_reply(status, NOTHING, 30) == Refused(f"HTTP {status}, redirects are not followed")


@pytest.mark.parametrize("status", [302, 303, 307])
def test_a_redirect_for_now_may_follow_on_a_message_that_was_taken(status: int) -> None:
    """As a refusal, three seconds of a page that says "in maintenance" ended all that waited."""
    assert outcomes.of_reply(status, NOTHING, 30) == Unknown(f"HTTP {status}, redirects are not followed", 30)


@pytest.mark.parametrize("status", THIS)
def test_a_message_that_is_not_liked_is_refused_alone(status: int) -> None:
    assert outcomes.of_reply(status, NOTHING, 30) == Refused(f"HTTP {status}", only_this=True)


@pytest.mark.parametrize("status", TARGET)
def test_a_target_that_takes_nothing_refuses_but_a_roll_out_says_the_same(status: int) -> None:
    assert outcomes.of_reply(status, NOTHING, 0) == Refused(f"HTTP {status}")
    assert outcomes.of_reply(status, NOTHING, 30) == Failed(f"HTTP {status}", 30)  # who says when says "not now"


@pytest.mark.parametrize("status", LATER)
def test_what_may_be_well_again_is_tried_again_when_it_was_asked_to(status: int) -> None:
    assert outcomes.of_reply(status, NOTHING, 30) == Failed(f"HTTP {status}", 30)


@pytest.mark.parametrize("status", MAYBE)
def test_a_gateway_does_not_know_what_became_of_it(status: int) -> None:
    assert outcomes.of_reply(status, NOTHING, 30) == Unknown(f"HTTP {status}", 30)


# By what the body says

SLACK: list[tuple[Any, Outcome]] = [
    ("ratelimited", Failed("HTTP 200 ratelimited")),
    ("service_unavailable", Failed("HTTP 200 service_unavailable")),
    ("request_timeout", Failed("HTTP 200 request_timeout")),
    ("internal_error", Unknown("HTTP 200 internal_error")),
    ("fatal_error", Unknown("HTTP 200 fatal_error")),
    ("msg_too_long", Refused("HTTP 200 msg_too_long", only_this=True, certain=True)),
    ("channel_not_found", Refused("HTTP 200 channel_not_found", certain=True)),
    ("invalid_auth", Refused("HTTP 200 invalid_auth", certain=True)),
    ("a_code_of_tomorrow", Failed("HTTP 200")),
    ("xoxb-token-of-ours", Failed("HTTP 200")),
    (None, Failed("HTTP 200")),
    (["ratelimited"], Failed("HTTP 200")),
]
REPLIES: list[tuple[int, Any, Outcome]] = [
    *((200, {"ok": False, "error": error}, outcome) for error, outcome in SLACK),
    (200, {"ok": True, "error": "invalid_auth"}, Delivered()),
    (200, {"ok": None, "error": "invalid_auth"}, Delivered()),
    (429, {"ok": False, "error_code": 429, "parameters": {"retry_after": 35}}, Failed("HTTP 429", 35)),
    (
        400,
        {"ok": False, "description": "Bad Request: chat not found"},
        Refused("HTTP 400 chat_not_found", certain=True),
    ),
    (
        400,
        {"ok": False, "description": "Bad Request: can't parse entities: unsupported start tag"},
        Refused("HTTP 400 markup_rejected", only_this=True, certain=True),
    ),
    (400, {"ok": False, "description": "Bad Request: new 123:secret"}, Refused("HTTP 400", only_this=True)),
    (
        403,
        {"ok": False, "description": "Forbidden: bot was blocked by the user"},
        Refused("HTTP 403 bot_blocked", certain=True),
    ),
    (401, {"ok": False, "error_code": 401, "description": "Unauthorized"}, Refused("HTTP 401")),
    (429, {"message": "You are being rate limited.", "retry_after": 1.5, "global": False}, Failed("HTTP 429", 1.5)),
    (
        429,
        {"message": "You are being rate limited.", "retry_after": 43323, "global": False},
        Failed("HTTP 429", 43.323),
    ),
    (404, {"message": "Unknown Webhook", "code": 10015}, Refused("HTTP 404 unknown_webhook", certain=True)),
    (400, {"code": 50035, "errors": {}}, Refused("HTTP 400 invalid_form_body", only_this=True, certain=True)),
    (429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 2500}, Failed("HTTP 429 m_limit_exceeded", 2.5)),
    (403, {"errcode": "M_FORBIDDEN", "error": "no"}, Refused("HTTP 403 m_forbidden", certain=True)),
    (403, {"errcode": "M_RESOURCE_LIMIT_EXCEEDED"}, Failed("HTTP 403 m_resource_limit_exceeded")),
    (401, {"errcode": "M_UNKNOWN_TOKEN", "soft_logout": True}, Refused("HTTP 401 m_unknown_token", certain=True)),
    (413, {"errcode": "M_TOO_LARGE"}, Refused("HTTP 413 m_too_large", only_this=True, certain=True)),
    (403, {"errcode": "M_SYT_SECRET"}, Refused("HTTP 403")),
    # one that may have been taken: as a failure it came a second time without a word
    (500, {"ok": False, "error": "internal_error"}, Unknown("HTTP 500 internal_error")),
    # a body does not overrule a status that says when
    (503, {"ok": False, "error": "invalid_auth"}, Failed("HTTP 503 invalid_auth")),
    (429, {"errcode": "M_FORBIDDEN"}, Failed("HTTP 429 m_forbidden")),
    (302, {"ok": False, "error": "ratelimited"}, Unknown("HTTP 302 ratelimited, redirects are not followed")),
]


@pytest.mark.parametrize(("status", "body", "outcome"), REPLIES)
def test_what_a_service_says_in_its_reply(status: int, body: Any, outcome: Outcome) -> None:
    assert outcomes.of_reply(status, reply_codes.read(json.dumps(body).encode())) == outcome


@pytest.mark.parametrize(
    ("status", "word", "outcome"),
    [
        (404, b"no_service", Refused("HTTP 404 no_service", certain=True)),
        (410, b"channel_is_archived\n", Refused("HTTP 410 channel_is_archived", certain=True)),
        (400, b"invalid_payload", Refused("HTTP 400 invalid_payload", only_this=True, certain=True)),
        (404, b"Not Found", Refused("HTTP 404")),
        (200, b"no_text", Delivered()),
        (503, b"no_service", Failed("HTTP 503 no_service")),
    ],
)
def test_a_hook_of_slacks_says_no_in_one_word(status: int, word: bytes, outcome: Outcome) -> None:
    assert outcomes.of_reply(status, reply_codes.read(word)) == outcome


def test_what_the_body_says_of_the_time_goes_before_the_header() -> None:
    assert outcomes.of_reply(429, Said(wait_s=5), 30) == Failed("HTTP 429", 5)


WAITS: list[tuple[str, float]] = [
    ("35", 35),
    ("0.5", 0.5),
    ("0", 0),
    ("-5", 0),
    ("NaN", 0),
    ("Infinity", 0),
    ("-Infinity", 0),
    ("1e300", MAX_RETRY_AFTER_S),
    ("1e999", 0),
    ("9" * 400, MAX_RETRY_AFTER_S),
    ("9" * 5000, 0),  # Python reads no such number
    ('"35"', 0),
    ("true", 0),
    ("null", 0),
    ("[35]", 0),
    ('{"seconds": 35}', 0),
]


@pytest.mark.parametrize(("number", "wait_s"), WAITS)
def test_a_time_to_come_back_is_a_sane_number_or_nothing(number: str, wait_s: float) -> None:
    for body in (f'{{"retry_after": {number}}}', f'{{"parameters": {{"retry_after": {number}}}}}'):
        assert reply_codes.read(body.encode()).wait_s == wait_s
    in_ms = reply_codes.read(f'{{"retry_after_ms": {number}}}'.encode()).wait_s
    assert in_ms == (wait_s if wait_s in (0, MAX_RETRY_AFTER_S) else wait_s / 1000)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"no_service_of_ours",
        b"no_service and more",
        b"\xff",
        b"null",
        b'"ok"',
        b"[]",
        b"{",
        b'{"ok": false,',
        b"{'ok': False}",
        b"\xff\xfe{}",
        b'{"ok": "\xff"}',
        b"<html>{}</html>",
        b'{"a":' * 30_000,
        b'{"a":' + b"[" * 60_000,
        b'{"ok": false, "pad": "' + b"x" * reply_codes.MAX_READ_BYTES + b'"}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_nothing_of_the_kind_says_nothing(body: bytes) -> None:
    began = time.perf_counter()
    assert reply_codes.read(body) == NOTHING
    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize("wrong", [1, 1.5, True, None, "x", [], {}, {"retry_after": {}}])
@pytest.mark.parametrize(
    "key", ["ok", "error", "errcode", "code", "description", "parameters", "retry_after", "global"]
)
def test_a_field_of_another_kind_is_not_there(key: str, wrong: Any) -> None:
    said = reply_codes.read(json.dumps({key: wrong}).encode())
    assert (said.code, said.meaning, said.denied) == ("", None, False)


def test_a_code_that_is_told_stands_in_a_table_and_is_harmless() -> None:
    words = [*reply_codes.SLACK, *reply_codes.SLACK_HOOK, *(code.lower() for code in reply_codes.MATRIX)]
    words += [code for code, _ in (*reply_codes.DISCORD.values(), *reply_codes.TELEGRAM.values())]
    assert [word for word in words if not re.fullmatch("[a-z0-9_.-]{1,40}", word)] == []
    assert all(words == words.lower() for words in reply_codes.TELEGRAM)


# Mail

MAIL: list[tuple[int, bytes, bool, Outcome]] = [
    (550, b"no such mailbox", False, Refused("SMTP 550", certain=True)),
    (550, b"5.1.1 <kim@example.com> secret", False, Refused("SMTP 550 5.1.1", certain=True)),
    (554, b"5.7.1 spam", True, Refused("SMTP 554 5.7.1", only_this=True, certain=True)),
    (535, b"5.7.8 Username and Password not accepted", False, Refused("SMTP 535 5.7.8", certain=True)),
    (454, b"4.7.0 Too many login attempts", False, Failed("SMTP 454 4.7.0")),
    (421, b"4.3.2.1.secret", True, Failed("SMTP 421")),
    (451, b"", True, Failed("SMTP 451")),
    (354, b"", True, Failed("SMTP 354")),
    (-1, b"HTTP/1.1 400 Bad Request", True, Failed("no SMTP")),
    (0, b"", False, Failed("no SMTP")),
]


@pytest.mark.parametrize(("code", "text", "only_this", "outcome"), MAIL)
def test_what_a_mail_server_says(code: int, text: bytes, only_this: bool, outcome: Outcome) -> None:
    assert outcomes.refused_by_mail_server(code, text, only_this=only_this) == outcome
    unsure = outcomes.refused_by_mail_server(code, text, only_this=only_this, certain=False)
    assert unsure == (replace(outcome, certain=False) if isinstance(outcome, Refused) else outcome)


BROKER: list[tuple[int, Outcome]] = [
    (128, Failed("MQTT 128")),
    (136, Failed("MQTT 136")),
    (156, Failed("MQTT 156")),
    (157, Refused("MQTT 157", certain=True)),
    (149, Refused("MQTT 149", only_this=True, certain=True)),
    (134, Refused("MQTT 134", certain=True)),
    (255, Refused("MQTT 255", certain=True)),
]


@pytest.mark.parametrize(("code", "outcome"), BROKER)
def test_what_a_broker_says(code: int, outcome: Outcome) -> None:
    assert outcomes.refused_by_broker(code) == outcome


# Several conversations, one outcome

YES = Delivered()
NOT_NOW, NOT_NOW_30 = Failed("a"), Failed("b", 30)
LOST = Unknown("no reply")
NEVER, NEVER_THIS = Refused("c"), Refused("d", only_this=True)
REVOKED = Refused("e", certain=True)

TOGETHER: list[tuple[list[Outcome], Outcome]] = [
    ([], Failed("not accepted")),
    ([YES], Unknown("not accepted")),
    ([NOT_NOW], NOT_NOW),
    ([NOT_NOW, NOT_NOW_30], Failed("a", 30)),
    ([YES, NOT_NOW_30], Unknown("in part: b", 30)),
    ([NOT_NOW, YES], Unknown("in part: a")),
    ([LOST], LOST),
    ([YES, LOST], LOST),
    ([LOST, NOT_NOW_30], Unknown("no reply", 30)),
    ([NOT_NOW_30, LOST], Unknown("no reply", 30)),
    ([LOST, NEVER], LOST),
    ([NEVER], NEVER),
    ([NEVER, NEVER_THIS], Refused("c", only_this=True)),
    ([REVOKED, REVOKED], REVOKED),
    ([REVOKED, NEVER], Refused("e")),
    ([NEVER, REVOKED], NEVER),
    ([YES, REVOKED], Refused("in part: e", in_part=True, certain=True)),
    ([NEVER, NOT_NOW_30], NOT_NOW_30),
    ([NOT_NOW_30, NEVER], NOT_NOW_30),
    ([YES, NEVER], Refused("in part: c", in_part=True)),
    ([NEVER_THIS, YES], Refused("in part: d", only_this=True, in_part=True)),
    ([YES, NEVER, NOT_NOW_30], Unknown("in part: b", 30)),
]


def _seen(met: list[Outcome]) -> Seen:
    seen = Seen()
    for each in met:
        seen.note(each)
    return seen


@pytest.mark.parametrize(("met", "outcome"), TOGETHER)
def test_several_conversations_are_one_outcome(met: list[Outcome], outcome: Outcome) -> None:
    assert outcome_of(_seen(met), success=False) == outcome


@pytest.mark.parametrize(
    ("met", "outcome"),
    [
        ([], YES),
        ([YES], YES),
        ([NOT_NOW, YES], YES),  # a picture of the service's own, which no message needs
        ([NEVER], NEVER),  # a redirect that the plugin takes for a yes
        ([LOST], LOST),
    ],
)
def test_a_plugin_that_says_yes_is_believed_unless_nothing_was_taken(met: list[Outcome], outcome: Outcome) -> None:
    assert outcome_of(_seen(met), success=True) == outcome


def test_a_hook_of_the_users_own_may_say_what_it_likes_with_a_200() -> None:
    seen = _seen([outcomes.of_reply(200, Said(denied=True))])
    seen.denied += 1
    assert outcome_of(seen, success=True) == YES


def test_what_cannot_be_seen_may_have_arrived() -> None:
    assert outcome_of(Seen(), success=False, watched=False) == Unknown("not accepted")
    assert outcome_of(Seen(), success=False, otherwise="ValueError") == Failed("ValueError")


def test_every_meaning_leads_somewhere() -> None:
    for meaning in Meaning:
        assert not isinstance(outcomes.of_reply(200, Said(meaning=meaning, denied=True)), Delivered)
