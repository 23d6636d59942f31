"""From config.toml's notifiers to real receivers, through store, workers and threads."""

import base64
import contextlib
import io
import logging
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from urllib.parse import quote

import pytest
import trio
from delivery_samples import a_notice, a_rule, an_alert, deliveries, post
from pydantic import SecretStr
from receivers import Receiver, hang, listening, mail_server, reply, trickle, until

from engine.clock import Clock
from engine.config.model import Alerts, Notifier
from engine.delivery import deliver, message, replies, retry
from engine.delivery.lane import TargetStatus
from engine.delivery.outbox import Outbox
from engine.delivery.target import Target
from engine.delivery.threads import MAX_THREADS, ThreadTarget
from engine.locale import Locale
from engine.rules.model import Severity

FAST = Notifier.model_construct(kind="apprise", rate=timedelta(0))


def notifier(*urls: str) -> Notifier:
    return FAST.model_copy(update={"urls": tuple(SecretStr(url) for url in urls)})


def build(*urls: str, loopback_only: bool = False) -> deliver.Targets:
    return deliver.build_targets({"desk": notifier(*urls)}, loopback_only=loopback_only)


@asynccontextmanager
async def delivering(targets: Sequence[Target], drain_s: float = 1) -> AsyncIterator[tuple[Outbox, Clock]]:
    store, clock, stop = Outbox([]), Clock(), trio.Event()
    alerts = Alerts.model_construct(digest=timedelta(0), ttl=timedelta(minutes=30))
    delivery = deliver.Delivery(store, clock, alerts=alerts, locale=Locale.KO)
    delivery.add(targets)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(delivery.run, stop, drain_s=lambda: drain_s))
        yield store, clock
        stop.set()


def status(store: Outbox, name: str) -> TargetStatus:
    return next(each for each in store.status() if each.address.name == name)


async def test_an_alert_reaches_a_web_hook_and_a_mailbox_in_korean() -> None:
    with listening(reply(200)) as hook, mail_server() as mailbox:
        built = build(hook.url(), mailbox.url("test-password"))
        async with delivering(built.targets) as (store, clock):
            now = clock.now()
            alert = an_alert(at=now, since=now)
            post(store, [message.notice(alert, a_rule(), "삼성전자", Locale.KO)], now)
            await until(lambda: hook.requests and mailbox.mails)
            await until(lambda: not sum(store.queued().values()))
    title = "⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주"
    assert hook.requests[0].json["title"] == title
    assert mailbox.mails[0]["Subject"] == title
    assert [target.address.name for target in built.targets] == ["desk[1] json", "desk[2] e-mail"]
    assert {each.name: each.status for each in deliveries(store).values()} == {
        "desk[1] json": "delivered",
        "desk[2] e-mail": "delivered",
    }


async def test_a_hanging_receiver_delays_neither_another_nor_the_one_who_commits() -> None:
    with listening(hang) as hanging, listening(reply(200)) as healthy:
        built = build(hanging.url(query="?rto=60"), healthy.url())
        async with delivering(built.targets, drain_s=0.1) as (store, clock):
            for number in range(20):
                began = time.monotonic()
                post(store, [a_notice(f"n{number}", at=clock.now())], clock.now())
                assert time.monotonic() - began < 0.5
                await until(lambda: not store.queued()[built.targets[1].address.id], seconds=5)
        assert len(hanging.requests) == 1
        assert status(store, "desk[1] json").queued == 20
        assert status(store, "desk[1] json").last_error == "interrupted"


async def test_a_receiver_that_always_hangs_holds_three_threads_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.05)
    with listening(hang) as hanging:
        built = build(hanging.url(query="?rto=60"))
        target = built.targets[0]
        assert isinstance(target, ThreadTarget)
        impatient = ThreadTarget(target.address, target._send, deadline_s=0.05)
        before = threading.active_count()
        async with delivering([impatient], drain_s=0.1) as (store, clock):
            post(store, [a_notice(at=clock.now())], clock.now())
            await until(lambda: len(hanging.requests) == MAX_THREADS, seconds=8)
            await trio.sleep(0.2)
            handlers = MAX_THREADS
            assert threading.active_count() <= before + MAX_THREADS + handlers
            assert impatient.stuck == MAX_THREADS
            assert status(store, "desk[1] json").unknown == MAX_THREADS
            hanging.behaviour = reply(200)
            hanging.released.set()
            await until(lambda: status(store, "desk[1] json").delivered == 1, seconds=8)
    assert "중복될 수 있음" in hanging.requests[-1].json["message"]


async def test_a_receiver_that_recovers_gets_what_waited_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.2)
    with listening(reply(503)) as hook:
        built = build(hook.url())
        async with delivering(built.targets) as (store, clock):
            post(store, [a_notice("first", at=clock.now())], clock.now())
            await until(lambda: status(store, "desk[1] json").failed)
            post(store, [a_notice("worse", at=clock.now(), severity=Severity.CRITICAL)], clock.now())
            hook.behaviour = reply(200)
            await until(lambda: status(store, "desk[1] json").delivered == 2)
    assert [request.json["title"] for request in hook.requests] == ["title of first", "title of worse 외 1건"]


def test_a_url_that_is_not_accepted_is_named_by_its_place_only() -> None:
    built = build("json://127.0.0.1/", "tgram://TEST-SECRET-TOKEN")
    assert built.refused == (("desk", 1),)
    assert "TEST-SECRET" not in repr(built)
    assert [target.address.name for target in built.targets] == ["desk[1] json"]


def test_with_the_simulator_nothing_leaves_this_machine() -> None:
    built = build(
        "json://127.0.0.1/", "json://example.com/", "tgram://123456789:abcdefg_hijklmnop/1/", loopback_only=True
    )
    assert [target.address.name for target in built.targets] == ["desk[1] json"]
    assert built.withheld == ("desk[2] json", "desk[3] telegram")
    assert built.refused == ()


def test_with_the_simulator_a_notifier_may_be_let_out_by_name() -> None:
    notifiers = {"desk": notifier("json://example.com/"), "phone": notifier("json://example.com/")}
    built = deliver.build_targets(notifiers, loopback_only=True, unrestricted=["phone"])
    assert [(target.address.name, target.address.notifiers) for target in built.targets] == [
        ("phone[1] json", ("phone",))
    ]
    assert built.withheld == ("desk[1] json",)


def test_one_url_in_two_notifiers_is_one_target_at_the_slower_rate() -> None:
    slow = notifier("json://127.0.0.1/").model_copy(update={"rate": timedelta(seconds=60)})
    built = deliver.build_targets({"desk": notifier("json://127.0.0.1/"), "night": slow})
    (target,) = built.targets
    assert target.address.notifiers == ("desk", "night")
    assert target.address.spacing_ns == 60 * 10**9


def test_a_target_is_known_by_its_url_and_not_by_its_place() -> None:
    first, second = build("json://127.0.0.1/a", "json://127.0.0.1/b").targets
    moved, again = build("json://127.0.0.1/b", "json://127.0.0.1/a").targets
    assert (first.address.id, second.address.id) == (again.address.id, moved.address.id)


def test_the_terminal_keeps_no_rate_unless_asked() -> None:
    plain, asked = Notifier(kind="terminal"), Notifier.model_validate({"kind": "terminal", "rate": "1/m"})
    (free,) = deliver.build_targets({"terminal": plain}, stdout=io.StringIO()).targets
    (paced,) = deliver.build_targets({"terminal": asked}, stdout=io.StringIO()).targets
    assert (free.address.spacing_ns, paced.address.spacing_ns) == (0, 60 * 10**9)


# a password that looks different in every form it may take
SECRET = "TEST-S3cr3t/pass w@rd+x"


def _forms() -> list[str]:
    raw = SECRET.encode()
    login = base64.b64encode(b"trader:" + raw).decode()
    return [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        base64.b64encode(raw).decode().rstrip("="),
        base64.b64encode(b"\0trader\0" + raw).decode().rstrip("="),
        login.rstrip("="),
        "TEST-S3cr3t",
    ]


def _everything_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("apprise", "urllib3", "urllib3.connectionpool", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)


async def test_no_secret_of_a_url_reaches_a_log_or_a_repr(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At DEBUG: hooks that take, refuse, redirect, trickle, hang or are gone, a mailbox, and URLs that are wrong."""
    monkeypatch.setattr(replies, "REPLY_S", 0.2)
    _everything_at_debug(caplog)
    printed = io.StringIO()
    login = f"trader:{quote(SECRET, safe='')}@"
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stderr(printed))
        stack.enter_context(contextlib.redirect_stdout(printed))
        hooks: list[Receiver] = [
            stack.enter_context(listening(each))
            for each in (reply(200), reply(403), reply(302, "Location: /x\r\n"), trickle, hang)
        ]
        with listening(reply(200)) as gone:
            pass
        mailbox = stack.enter_context(mail_server())
        path = f"/{quote(SECRET, safe='')}"
        urls = [each.url(path, login=login, query="?rto=0.1") for each in (*hooks, gone)]
        urls += [mailbox.url(quote(SECRET, safe="")), f"tgram://{SECRET}", f"slack://{quote(SECRET, safe='')}/a/b"]
        built = build(*urls)
        _everything_at_debug(caplog)
        async with delivering(built.targets, drain_s=0.2) as (store, clock):
            post(store, [a_notice(at=clock.now())], clock.now())
            await until(
                lambda: all(each.delivered or each.failed or each.unknown or each.refused for each in store.status())
            )
        assert len(built.refused) == 2
        assert hooks[0].requests[0].headers["authorization"].startswith("Basic ")
        assert mailbox.passwords == [SECRET.encode()]
    shown = repr(
        [built, *built.targets, store, store.status(), store.happenings(0), [vars(each) for each in built.targets]]
    )
    everything = caplog.text + printed.getvalue() + shown
    assert "delivered target='desk[1] json'" in caplog.text
    assert [form for form in _forms() if form in everything] == []
