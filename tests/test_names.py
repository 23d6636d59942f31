import pytest

from engine.names import NAMES, name_of


def test_a_known_code_has_its_korean_name() -> None:
    assert name_of("005930") == "삼성전자"
    assert name_of("005380") == "현대차"


@pytest.mark.parametrize("code", ["0162Z0", "", "삼성전자", "5930"])
def test_an_unknown_code_is_its_own_name(code: str) -> None:
    assert name_of(code) == code


def test_codes_are_short_codes_and_names_are_told_apart() -> None:
    assert len(NAMES) <= 30
    assert all(len(code) == 6 and code.isascii() and code.isalnum() for code in NAMES)
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(name == name.strip() and name.isprintable() for name in NAMES.values())


def test_nobody_can_change_the_names() -> None:
    with pytest.raises(TypeError):
        NAMES["005930"] = "another"  # type: ignore[index]  # what is tested: the mapping refuses it
