from uuid import UUID

import pytest

from engine.kst import DAY_NS, SECOND_NS
from engine.simulator import keys
from engine.simulator.keys import Granted, Keys, Refused

NOW = 1_800_000_000 * SECOND_NS
ACCOUNTS = {"TEST-APP-KEY": "TEST-SECRET"}


def body(**changes: object) -> dict[str, object]:
    return {"grant_type": "client_credentials", "appkey": "TEST-APP-KEY", "secretkey": "TEST-SECRET"} | changes


def test_a_key_is_a_uuid_and_good_for_a_day() -> None:
    desk = Keys()
    granted = desk.ask(body(), NOW)
    assert isinstance(granted, Granted)
    assert str(UUID(granted.approval_key)) == granted.approval_key
    assert len(granted.approval_key) == 36
    assert desk.app_key_of(granted.approval_key, NOW + DAY_NS - 1) == "TEST-APP-KEY"
    assert desk.app_key_of(granted.approval_key, NOW + DAY_NS) is None
    assert desk.app_key_of("never issued", NOW) is None
    assert granted.approval_key not in repr(granted)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (None, "EGW00101"),
        ([], "EGW00101"),
        ({}, "EGW00115"),
        (body(grant_type=""), "EGW00115"),
        (body(grant_type="password"), "EGW00116"),
        (body(appkey=None), "EGW00102"),
        (body(appkey=""), "EGW00102"),
        (body(appkey=5), "EGW00103"),
        (body(appkey="ANOTHER"), "EGW00103"),
        ({"grant_type": "client_credentials", "appkey": "TEST-APP-KEY", "appsecret": "TEST-SECRET"}, "EGW00104"),
        (body(secretkey=["TEST-SECRET"]), "EGW00105"),
        (body(secretkey="wrong"), "EGW00105"),
    ],
)
def test_refusals(asked: object, code: str) -> None:
    assert Keys(ACCOUNTS).ask(asked, NOW) == Refused(code)


def test_without_accounts_anything_not_empty_will_do() -> None:
    assert isinstance(Keys().ask(body(appkey="x", secretkey="y"), NOW), Granted)
    assert Keys().ask(body(appkey=""), NOW) == Refused("EGW00102")


def test_one_key_a_second_for_each_app_key() -> None:
    desk = Keys()
    assert isinstance(desk.ask(body(), NOW), Granted)
    assert desk.ask(body(), NOW + SECOND_NS - 1) == Refused("EGW00133")
    assert isinstance(desk.ask(body(appkey="ANOTHER"), NOW), Granted)
    assert isinstance(desk.ask(body(), NOW + SECOND_NS), Granted)


def test_a_refusal_does_not_count_as_asking() -> None:
    desk = Keys(ACCOUNTS)
    assert desk.ask(body(secretkey="wrong"), NOW) == Refused("EGW00105")
    assert isinstance(desk.ask(body(), NOW), Granted)
    assert desk.ask(body(), NOW + SECOND_NS // 2) == Refused("EGW00133")
    assert isinstance(desk.ask(body(), NOW + SECOND_NS), Granted)


def test_every_code_has_its_description() -> None:
    assert all(text.endswith((".", "요.")) for text in keys.DESCRIPTIONS.values())


def test_memory_is_bounded_and_the_oldest_key_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MAX_KEYS", 2)
    numbers = iter(range(10))
    desk = Keys(interval_ns=0, new_key=lambda: f"key-{next(numbers)}")
    for _ in range(3):
        desk.ask(body(), NOW)
    assert desk.app_key_of("key-0", NOW) is None
    assert desk.app_key_of("key-1", NOW) == "TEST-APP-KEY"
    assert desk.app_key_of("key-2", NOW) == "TEST-APP-KEY"
