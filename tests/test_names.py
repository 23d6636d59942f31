import pytest

from engine.names import NAMES


def test_a_known_code_has_its_korean_name() -> None:
    assert NAMES["005930"] == "삼성전자"
    assert NAMES["005380"] == "현대차"


def test_codes_are_short_codes_and_names_are_told_apart() -> None:
    assert len(NAMES) <= 30
    assert all(len(code) == 6 and code.isascii() and code.isalnum() for code in NAMES)
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(name == name.strip() and name.isprintable() for name in NAMES.values())


def test_nobody_can_change_the_names() -> None:
    with pytest.raises(TypeError):
        NAMES["005930"] = "another"  # type: ignore[index]  # what is tested: the mapping refuses it
