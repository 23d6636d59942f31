import json
from base64 import b64decode
from datetime import datetime
from typing import Any

import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from engine.kst import KST, SECOND_NS
from engine.record import Record
from engine.simulator import messages
from engine.simulator.messages import Cipher, Malformed, Request, parse_request

CIPHER = Cipher("96de248bda413d58", "npudbpdylbqfsndkjgvknsjgsveanbca")


def a_request() -> dict[str, Any]:
    return {
        "header": {"approval_key": "TEST-APPROVAL", "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
        "body": {"input": {"tr_id": "H0STPGM0", "tr_key": "005930"}},
    }


def altered(path: str, value: object) -> str:
    """A request with one part replaced, or left out (`...`)."""
    request = a_request()
    *parents, last = path.split("/")
    where = request
    for parent in parents:
        where = where[parent]
    if value is ...:
        del where[last]
    else:
        where[last] = value
    return json.dumps(request)


def test_a_request_as_the_broker_documents_it_is_read() -> None:
    assert parse_request(json.dumps(a_request())) == Request("TEST-APPROVAL", True, "H0STPGM0", "005930")
    assert parse_request(altered("header/tr_type", "2")) == Request("TEST-APPROVAL", False, "H0STPGM0", "005930")
    assert parse_request(altered("header/custtype", "B")) == Request("TEST-APPROVAL", True, "H0STPGM0", "005930")
    assert isinstance(parse_request(altered("body/input/tr_key", "0162Z0")), Request)
    assert isinstance(parse_request(altered("body/input/tr_id", "H0UNPGM0")), Request)


@pytest.mark.parametrize(
    ("text", "msg_cd"),
    [
        ("", "OPSP9999"),
        ("{", "OPSP9999"),
        ("[]", "OPSP9999"),
        ("[" * 10_000, "OPSP9999"),
        ("1" * 10_000, "OPSP9999"),
        ("{}", "OPSP9998"),
        (altered("header", ...), "OPSP9998"),
        (altered("header", "P"), "OPSP9998"),
        (altered("header/content-type", ...), "OPSP9998"),
        (altered("header/content-type", "euc-kr"), "OPSP9998"),
        (altered("header/approval_key", ...), "OPSP9996"),
        (altered("header/approval_key", ""), "OPSP9996"),
        (altered("header/approval_key", 17), "OPSP9996"),
        (altered("header/custtype", ...), "OPSP9997"),
        (altered("header/custtype", "X"), "OPSP8998"),
        (altered("header/custtype", ["P"]), "OPSP8998"),
        (altered("header/tr_type", ...), "OPSP8997"),
        (altered("header/tr_type", "0"), "OPSP8997"),
        (altered("header/tr_type", 1), "OPSP8997"),
        (altered("body", ...), "OPSP9992"),
        (altered("body", []), "OPSP9992"),
        (altered("body/input", ...), "OPSP9991"),
        (altered("body/input", "005930"), "OPSP9991"),
        (altered("body/input/tr_id", ...), "OPSP8991"),
        (altered("body/input/tr_id", "H0STCNT0"), "OPSP8991"),
        (altered("body/input/tr_id", {}), "OPSP8991"),
        (altered("body/input/tr_key", ...), "OPSP9990"),
        (altered("body/input/tr_key", ""), "OPSP8993"),
        (altered("body/input/tr_key", 5930), "OPSP8993"),
        (altered("body/input/tr_key", "5930"), "OPSP8992"),
        (altered("body/input/tr_key", "삼성전자"), "OPSP8992"),
        (altered("body/input/tr_key", "\ud800" * 6), "OPSP8992"),
    ],
)
def test_what_is_wrong_with_a_request_decides_its_code(text: str, msg_cd: str) -> None:
    outcome = parse_request(text)
    assert isinstance(outcome, Malformed)
    assert outcome.msg_cd == msg_cd
    answer = json.loads(messages.answer(msg_cd, outcome.tr_id, outcome.tr_key))
    assert answer["body"]["msg_cd"] == msg_cd
    assert answer["body"]["rt_cd"] in ("1", "9")
    assert set(answer["header"]) == {"tr_id", "tr_key", "encrypt"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    path=st.sampled_from(
        ["header", "body", "body/input", "body/input/tr_id", "body/input/tr_key"]
        + [f"header/{name}" for name in ("approval_key", "custtype", "tr_type", "content-type")]
    ),
    value=json_values,
)
def test_no_json_upsets_the_reader(path: str, value: object) -> None:
    outcome = parse_request(altered(path, value))
    assert isinstance(outcome, (Request, Malformed))
    if isinstance(outcome, Malformed):
        assert len(messages.answer(outcome.msg_cd, outcome.tr_id, outcome.tr_key)) < 1_000


@given(st.text())
def test_no_text_upsets_the_reader(text: str) -> None:
    assert parse_request(text) == Malformed("OPSP9999") or text.strip().startswith("{")
    assert not messages.is_pingpong(text)


def test_an_acknowledgement_is_the_brokers_to_the_byte() -> None:
    text = messages.acknowledgement("OPSP0000", "H0STPGM0", "005930", CIPHER, encrypted=False)
    assert text == (
        '{"header":{"tr_id":"H0STPGM0","tr_key":"005930","encrypt":"N"},"body":{"rt_cd":"0","msg_cd":"OPSP0000",'
        '"msg1":"SUBSCRIBE SUCCESS","output":{"iv":"96de248bda413d58","key":"npudbpdylbqfsndkjgvknsjgsveanbca"}}}'
    )


def test_refusals_are_the_brokers_to_the_byte() -> None:
    assert messages.answer("OPSP8996", None, None) == (
        '{"header":{"tr_id":"(null)","tr_key":"","encrypt":"N"},'
        '"body":{"rt_cd":"9","msg_cd":"OPSP8996","msg1":"ALREADY IN USE appkey"}}'
    )
    assert messages.answer("OPSP0011", "H0STPGM0", "005930") == (
        '{"body":{"rt_cd":"1","msg_cd":"OPSP0011","msg1":"invalid approval : NOT FOUND"}}'
    )


def test_pingpong_is_the_brokers_to_the_byte() -> None:
    now = int(datetime(2023, 5, 2, 22, 19, 24, tzinfo=KST).timestamp()) * SECOND_NS
    text = messages.pingpong(now)
    assert text == '{"header":{"tr_id":"PINGPONG","datetime":"20230502221924"}}'
    assert messages.is_pingpong(text)
    assert not messages.is_pingpong(json.dumps(a_request()))


def test_a_data_frame_is_the_brokers_to_the_byte() -> None:
    record = Record(
        "005930", "092237", 1413444, 109159646900, 1189408, 91931710200, -224036, -17227936700, 65033, 15475, -49558
    )
    fields = "005930^092237^1413444^109159646900^1189408^91931710200^-224036^-17227936700^65033^15475^-49558"
    text = messages.record_text(record)
    assert messages.data_frame("H0STPGM0", [text]) == f"0|H0STPGM0|001|{fields}"
    assert messages.data_frame("H0STPGM0", [text, text]) == f"0|H0STPGM0|002|{fields}^{fields}"


def test_an_encrypted_frame_can_be_read_with_the_sessions_key() -> None:
    flag, tr_id, count, payload = messages.data_frame("H0STPGM0", ["a^1", "b^2"], CIPHER).split("|")
    assert (flag, tr_id, count) == ("1", "H0STPGM0", "002")
    plain = AES.new(CIPHER.key.encode(), AES.MODE_CBC, CIPHER.iv.encode()).decrypt(b64decode(payload, validate=True))
    assert plain == b"a^1^b^2" + bytes([9]) * 9


def test_keys_do_not_show_where_a_request_is_printed() -> None:
    assert "TEST-APPROVAL" not in repr(parse_request(json.dumps(a_request())))
    assert CIPHER.key not in repr(CIPHER)
