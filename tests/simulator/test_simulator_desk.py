import json

import pytest

from engine.kst import DAY_NS, SECOND_NS
from engine.simulator.desk import MAX_REGISTRATIONS, Answer, Desk, Session
from engine.simulator.keys import Granted, Keys
from engine.simulator.messages import Cipher

NOW = 1_800_000_000 * SECOND_NS
CIPHER = Cipher("0123456789abcdef", "abcdefghijklmnopqrstuvwxyzabcdef")


class Office:
    """A desk with its keys, and clients that say things to it."""

    def __init__(self, *, slot_kept_ns: int = 0, full: bool = False, encrypted: bool = False) -> None:
        self.keys = Keys(interval_ns=0)
        self.admitted: list[tuple[str, str]] = []
        self.full = full
        self.desk = Desk(self.keys, admit=self._admit, slot_kept_ns=slot_kept_ns, encrypted=encrypted)
        self.sessions = 0

    def _admit(self, tr_id: str, code: str) -> bool:
        self.admitted.append((tr_id, code))
        return not self.full

    def key(self, app_key: str = "TEST-APP-KEY", now: int = NOW) -> str:
        granted = self.keys.ask({"grant_type": "client_credentials", "appkey": app_key, "secretkey": "s"}, now)
        assert isinstance(granted, Granted)
        return granted.approval_key

    def session(self) -> Session:
        self.sessions += 1
        return Session(self.sessions, CIPHER)

    def say(
        self,
        session: Session,
        key: str,
        code: str = "005930",
        *,
        tr_type: str = "1",
        tr_id: str = "H0STPGM0",
        now: int = NOW,
    ) -> Answer:
        header = {"approval_key": key, "custtype": "P", "tr_type": tr_type, "content-type": "utf-8"}
        text = json.dumps({"header": header, "body": {"input": {"tr_id": tr_id, "tr_key": code}}})
        return self.desk.request(session, text, now)


def test_subscribe_twice_unsubscribe_twice() -> None:
    office = Office()
    key, session = office.key(), office.session()
    assert [office.say(session, key, tr_type=tr_type).msg_cd for tr_type in ("2", "1", "1", "2", "2", "1")] == [
        "OPSP0003",
        "OPSP0000",
        "OPSP0002",
        "OPSP0001",
        "OPSP0003",
        "OPSP0000",
    ]
    assert list(session.registrations) == [("H0STPGM0", "005930")]


def test_an_acknowledgement_carries_the_sessions_cipher_and_whether_it_is_used() -> None:
    for encrypted, flag in ((False, "N"), (True, "Y")):
        office = Office(encrypted=encrypted)
        answer = json.loads(office.say(office.session(), office.key()).text)
        assert answer["header"]["encrypt"] == flag
        assert answer["body"]["output"] == {"iv": CIPHER.iv, "key": CIPHER.key}


def test_the_forty_second_registration_is_refused_over_all_trs_together() -> None:
    office = Office()
    key, session = office.key(), office.session()
    for number in range(MAX_REGISTRATIONS):
        tr_id = ("H0STPGM0", "H0NXPGM0", "H0UNPGM0")[number % 3]
        assert office.say(session, key, f"{number:06d}", tr_id=tr_id).msg_cd == "OPSP0000"
    assert office.say(session, key, "999999").msg_cd == "OPSP0008"
    assert office.say(session, key, "000000").msg_cd == "OPSP0002"
    assert ("H0STPGM0", "999999") not in office.admitted
    assert office.say(session, key, "000000", tr_type="2").msg_cd == "OPSP0001"
    assert office.say(session, key, "999999").msg_cd == "OPSP0000"


def test_an_unknown_approval_key_is_refused_without_a_header_and_dropped() -> None:
    office = Office()
    answer = office.say(office.session(), "no key of ours")
    assert answer.msg_cd == "OPSP0011"
    assert answer.drops
    assert set(json.loads(answer.text)) == {"body"}


def test_a_key_may_expire_while_its_session_lives() -> None:
    office = Office()
    key, session = office.key(), office.session()
    assert office.say(session, key).msg_cd == "OPSP0000"
    assert office.say(session, key, "000660", now=NOW + 2 * DAY_NS).msg_cd == "OPSP0000"
    assert office.say(office.session(), key, now=NOW + 2 * DAY_NS).msg_cd == "OPSP0011"


def test_one_session_per_app_key_and_the_older_one_lives() -> None:
    office = Office()
    first, second = office.session(), office.session()
    assert office.say(first, office.key()).msg_cd == "OPSP0000"
    answer = office.say(second, office.key())
    assert answer.msg_cd == "OPSP8996"
    assert answer.drops
    assert json.loads(answer.text)["header"]["tr_id"] == "(null)"
    office.desk.leave(second, NOW, clean=False)
    assert office.say(first, first.approval_key or "", "000660").msg_cd == "OPSP0000"
    assert office.say(office.session(), office.key("ANOTHER-APP-KEY")).msg_cd == "OPSP0000"
    assert office.desk.sessions == 2


def test_two_approval_keys_of_one_app_key_serve_one_session_but_not_another_ones() -> None:
    office = Office()
    session = office.session()
    assert office.say(session, office.key()).msg_cd == "OPSP0000"
    assert office.say(session, office.key(), "000660").msg_cd == "OPSP0000"
    answer = office.say(session, office.key("ANOTHER-APP-KEY"), "035420")
    assert answer.msg_cd == "OPSP9994"
    assert answer.drops


@pytest.mark.parametrize("clean", [True, False])
def test_the_place_is_free_after_the_end_unless_it_is_kept(clean: bool) -> None:
    office = Office()
    first = office.session()
    office.say(first, office.key())
    office.desk.leave(first, NOW, clean=clean)
    office.desk.leave(first, NOW, clean=clean)
    assert office.say(office.session(), office.key()).msg_cd == "OPSP0000"


def test_a_place_may_be_kept_after_an_abnormal_end() -> None:
    office = Office(slot_kept_ns=18 * SECOND_NS)
    first = office.session()
    office.say(first, office.key())
    office.desk.leave(first, NOW, clean=False)
    assert office.say(office.session(), office.key(), now=NOW + 18 * SECOND_NS - 1).msg_cd == "OPSP8996"
    second = office.session()
    assert office.say(second, office.key(), now=NOW + 18 * SECOND_NS).msg_cd == "OPSP0000"
    office.desk.leave(second, NOW, clean=True)
    assert office.say(office.session(), office.key()).msg_cd == "OPSP0000"


def test_a_full_market_is_the_servers_failure() -> None:
    office = Office(full=True)
    session = office.session()
    answer = office.say(session, office.key())
    assert answer.msg_cd == "OPSP8999"
    assert not answer.drops
    assert session.registrations == {}


def test_a_malformed_request_leaves_the_session_alone() -> None:
    office = Office()
    key, session = office.key(), office.session()
    office.say(session, key)
    answer = office.desk.request(session, "not json", NOW)
    assert answer.msg_cd == "OPSP9999"
    assert not answer.drops
    assert answer.registration is None
    assert office.say(session, key, "000660").msg_cd == "OPSP0000"


def test_a_session_shows_no_key() -> None:
    office = Office()
    session = office.session()
    key = office.key()
    office.say(session, key)
    assert key not in repr(session)
    assert "TEST-APP-KEY" not in repr(session)
