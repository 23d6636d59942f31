"""Disks that come and go: what is told of them, and how seldom."""

import pytest
from incident_stage import at, kinds

from engine.delivery.notice import Notice
from engine.incidents.upkeep import Upkeep, What
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.problems import Problem
from engine.rules.model import Severity

NOON = at("12:00")


def told(*troubled: tuple[int, int], what: What = What.RECORDING) -> list[Notice]:
    """Of an hour in which a disk takes nothing in these spans of seconds."""
    upkeep, found = Upkeep(Locale.EN, ("terminal",)), []
    for second in range(3600):
        reason = "No space left on device" if any(begin <= second < end for begin, end in troubled) else None
        found += upkeep.disk(what, reason, NOON + second * SECOND_NS)
        assert bool(upkeep.troubled(what)) == (reason is not None)  # `status` knows at once
    return found


@pytest.mark.parametrize("what", [What.RECORDING, What.STORE])
def test_a_disk_that_is_full_is_told_at_once_and_that_it_is_not_when_that_lasts(what: What) -> None:
    began, over = told((100, 200), what=what)
    assert (began.kind, began.at) == (what, NOON + 100 * SECOND_NS)
    assert (over.severity, over.at) == (Severity.INFO, NOON + 210 * SECOND_NS)


def test_a_disk_at_its_limit_filled_the_chat() -> None:
    """It took something every twenty seconds: 359 messages in an hour."""
    assert kinds(told(*((begin, begin + 10) for begin in range(0, 3600, 20)))) == ["recording-stopped"]


def test_a_disk_that_comes_and_goes_by_the_minute_is_told_once_in_ten_minutes() -> None:
    found = kinds(told(*((begin, begin + 30) for begin in range(0, 3600, 60))))
    assert found == ["recording-stopped", "recording-goes-on"] * 6


def test_a_file_called_at_room_rang_in_a_matrix_room() -> None:
    upkeep = Upkeep(Locale.EN, ("desk",))
    found = upkeep.problems(What.RULES, [Problem("rules/@room.toml", 3, "@here", "unknown-key")], NOON)
    found += upkeep.trouble(What.RECORDING, "state/@room: No space left on device", NOON)
    assert len(found) == 2
    assert not any("@" in notice.message for notice in found)
    assert "＠room.toml:3" in found[0].message
