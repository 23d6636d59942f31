"""A program that a test needs and does not find: said aloud at a desk, a failure in CI."""

import pytest
from environment import need


@pytest.fixture(autouse=True)
def _nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CI", raising=False)


def test_a_missing_program_skips_a_test_and_says_what_to_do() -> None:
    with pytest.raises(pytest.skip.Exception, match="no-such-broker is not here: apt-get install it"):
        need("no-such-broker", "apt-get install it")


def test_in_ci_a_missing_program_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-broker is not here"):
        need("no-such-broker", "apt-get install it")
