from engine.symbols.builtin import NAMES
from engine.symbols.master import BUILTIN, CODE
from engine.symbols.mst import name_of


def test_a_known_code_has_its_korean_name() -> None:
    assert BUILTIN.name("005930") == "삼성전자"
    assert BUILTIN.name("005380") == "현대차"
    assert BUILTIN.loaded is None


def test_codes_are_short_codes_and_names_are_told_apart() -> None:
    assert len(BUILTIN) == len(NAMES) <= 30
    assert all(CODE.fullmatch(code) for code in NAMES)
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(name == name_of(name) for name in NAMES.values())


def test_nobody_can_change_the_names() -> None:
    assert not hasattr(NAMES, "__setitem__")
