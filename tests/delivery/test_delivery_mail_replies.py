"""What came of a mail, from servers that say no at every step, and from such as do worse."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from pydantic import SecretStr
from receivers import mail_server

from engine.delivery import mail_replies
from engine.delivery.apprise import Service, open_service
from engine.delivery.target import Delivered, Failed, Message, Outcome, Refused, Unknown
from engine.rules.model import Severity

MESSAGE = Message("title", "body", Severity.WARNING)


def service(url: str) -> Service:
    opened = open_service(SecretStr(url))
    assert opened is not None
    return opened


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [
        ({}, Delivered()),
        ({"AUTH": "535 5.7.8 wrong"}, Refused("SMTP 535 5.7.8", certain=True)),
        ({"AUTH": "454 4.7.0 too many logins"}, Failed("SMTP 454 4.7.0")),
        ({"MAIL": "553 5.7.1 not yours"}, Refused("SMTP 553 5.7.1", certain=True)),
        ({"MAIL": "552 5.3.4 too large"}, Refused("SMTP 552 5.3.4", only_this=True, certain=True)),
        ({"MAIL": "421 4.3.2 closing"}, Failed("SMTP 421 4.3.2")),
        ({"RCPT": "550 5.1.1 nobody"}, Refused("SMTP 550 5.1.1", certain=True)),
        ({"RCPT": "450 4.2.0 greylisted"}, Failed("SMTP 450 4.2.0")),
        ({"DATA": "554 5.7.1 spam"}, Refused("SMTP 554 5.7.1", only_this=True, certain=True)),
        ({"DATA": "451 4.3.0 later"}, Failed("SMTP 451 4.3.0")),
    ],
    ids=str,
)
def test_a_mail_server_is_understood(refusal: dict[str, str], outcome: Outcome) -> None:
    with mail_server(says=refusal) as mailbox:
        assert service(mailbox.url("pw")).send(MESSAGE) == outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("550 5.1.1 nobody", Refused("in part: SMTP 550 5.1.1", in_part=True, certain=True)),
        ("450 4.2.0 greylisted", Unknown("in part: SMTP 450 4.2.0")),
    ],
)
@pytest.mark.parametrize("to", ["kim@example.com,lee@example.com", "lee@example.com&cc=kim@example.com"])
def test_a_mail_that_one_of_its_readers_gets_is_there_in_part(answer: str, outcome: Outcome, to: str) -> None:
    with mail_server(says={"RCPT kim@example.com": answer}) as mailbox:
        assert service(mailbox.url("pw", to=to)).send(MESSAGE) == outcome
    assert mailbox.recipients == ["lee@example.com"]


def test_a_mail_whose_verdict_is_lost_may_have_arrived() -> None:
    with mail_server(hangs_up=True) as mailbox:
        assert service(mailbox.url("pw")).send(MESSAGE) == Unknown("no reply")
    assert len(mailbox.mails) == 1


def test_a_mail_server_that_nobody_runs_took_nothing() -> None:
    with mail_server() as mailbox:
        pass
    assert service(mailbox.url("pw")).send(MESSAGE) == Failed("no connection")


@pytest.mark.parametrize("mode", ["ssl", "starttls"])
def test_a_mail_server_without_the_security_that_is_asked_for_gets_nothing(mode: str) -> None:
    with mail_server() as mailbox:
        url = f"mailtos://me:pw@example.com:{mailbox.port}?smtp=127.0.0.1&to=desk@example.com&mode={mode}"
        outcome = service(url).send(MESSAGE)
    assert outcome == (Failed("no connection") if mode == "ssl" else Refused("STARTTLS not offered"))
    assert mailbox.passwords == []


# Servers that follow a script

Ending = Callable[[socket.socket, threading.Event], None]


@contextmanager
def script(*answers: bytes, then: Ending) -> Iterator[str]:
    """Says these, one after each line it hears (and after each mail), then does as `then`. → a URL that leads there."""
    released = threading.Event()

    def run() -> None:
        with suppress(OSError), listener.accept()[0] as connection, connection.makefile("rb") as lines:
            for answer in answers:
                connection.sendall(answer)
                is_mail = answer.startswith(b"354")
                next((line for line in lines if not is_mail or line == b".\r\n"), None)
            then(connection, released)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"mailto://127.0.0.1:{listener.getsockname()[1]}?from=a@example.com&to=b@example.com&cto=0.3"
        finally:
            released.set()
            thread.join()


def closes(_: socket.socket, __: threading.Event) -> None:
    pass


def resets(connection: socket.socket, _: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def is_silent(_: socket.socket, released: threading.Event) -> None:
    released.wait(10)


def drips(line: bytes, pause_s: float = 0.02) -> Ending:
    def end(connection: socket.socket, released: threading.Event) -> None:
        while not released.wait(pause_s):
            connection.sendall(line)

    return end


HI, HELLO, OK, GO_ON = b"220 hi\r\n", b"250 hi\r\n", b"250 2.0.0 ok\r\n", b"354 go on\r\n"
TO_THE_DOT = (HI, HELLO, OK, OK, GO_ON)
ENDINGS: dict[str, Ending] = {
    "closes": closes,
    "resets": resets,
    "is silent": is_silent,
    "says lines for ever": drips(b"250-x\r\n"),
    "drips a line": drips(b"2"),
    "floods": drips(b"250-x\r\n" * 9000, 0),
}


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("steps", range(6))
def test_until_the_final_dot_nothing_was_taken_and_after_it_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, steps: int, how: str
) -> None:
    monkeypatch.setattr(mail_replies, "VERDICT_S", 0.3)
    with script(*TO_THE_DOT[:steps], then=ENDINGS[how]) as url:
        began = time.monotonic()
        outcome = service(url).send(MESSAGE)
    assert time.monotonic() - began < 2
    assert outcome == [*[Failed("no connection")], *[Failed("connection lost")] * 4, Unknown("no reply")][steps]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([b"554 5.7.1 go away\r\n"], Refused("SMTP 554 5.7.1")),
        ([HI, b"550 no\r\n", b"550 not you\r\n"], Refused("SMTP 550")),  # to who we say we are
        ([b"421 4.3.2 busy\r\n"], Failed("SMTP 421 4.3.2")),
        ([b"HTTP/1.1 400 Bad Request\r\n"], Failed("no SMTP")),
        ([*TO_THE_DOT, b"what?\r\n"], Unknown("no reply")),
        ([*TO_THE_DOT, b"250 2.0.0 taken\r\n"], Delivered()),
    ],
)
def test_what_a_scripted_server_says(answers: list[bytes], outcome: Outcome) -> None:
    with script(*answers, then=closes) as url:
        assert service(url).send(MESSAGE) == outcome


@pytest.mark.slow  # the server really takes longer than any other reply may
def test_a_server_that_looks_for_spam_has_longer_for_its_verdict() -> None:
    def looks(connection: socket.socket, released: threading.Event) -> None:
        released.wait(0.5)
        connection.sendall(OK)

    with script(*TO_THE_DOT, then=looks) as url:
        assert service(url).send(MESSAGE) == Delivered()
