"""What `check` and `status` print, in both languages."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from engine import plan
from engine.heartbeat.signs import What
from engine.kis.slots import spread
from engine.locale import Locale
from engine.ops import overview
from engine.symbols.master import BUILTIN, Master, Stock

RULES = """\
[[rule]]
name = "first"
symbols = ["005930", "000660", "0162Z0"]
metric = "net_volume"
above = 1
[[rule]]
name = "second"
symbols = ["005380", "0162Z0"]
metric = "net_volume"
above = 1
[[rule]]
name = "off"
enabled = false
symbols = ["0162Z0", "005380"]
metric = "net_volume"
above = 1
"""
ACCOUNT = '[[feed.account]]\nname = "{name}"\napp_key = "{name}-app-key"\napp_secret = "TEST-SECRET"\n'


def planned(folder: Path, feed: str, rules: str = RULES) -> plan.Plan:
    (folder / "rules").mkdir()
    (folder / "rules" / "a.toml").write_text(rules)
    (folder / "config.toml").write_text(feed)
    (folder / "config.toml").chmod(0o600)
    return plan.make(folder / "config.toml", {})


def test_which_rule_misses_which_symbols(tmp_path: Path) -> None:
    made = planned(tmp_path, "[feed]\nmax_registrations = 2\n")
    found = overview.of_plan(made, ["terminal"], [])
    assert found["not_covered"] == ["0162Z0", "005380"]
    assert [rule["not_covered"] for rule in found["rules"]] == [["0162Z0"], ["005380", "0162Z0"], []]
    assert overview.plan_lines(found, made.master, Locale.EN) == [
        "source simulator, market KRX",
        "3 rules",
        "  first: 3 symbols, to terminal",
        "    not covered: 0162Z0",
        "  second: 2 symbols, to terminal",
        "    not covered: 현대차(005380), 0162Z0",
        "  off: switched off",
        "4 registrations needed, 2 available (1 × 2)",
        "not covered: 0162Z0, 현대차(005380)",
        "stock names: 30 built in; pgmwatch symbols update loads all",
        "messages go to terminal",
    ]
    korean = overview.plan_lines(found, made.master, Locale.KO)
    assert korean[3] == "    감시하지 못하는 종목: 0162Z0"
    assert korean[9] == "종목명: 내장된 30개. 전체는 pgmwatch symbols update로 받습니다"


def test_symbols_are_spread_over_accounts_as_the_daemon_does(tmp_path: Path) -> None:
    accounts = ACCOUNT.format(name="one") + ACCOUNT.format(name="two")
    made = planned(tmp_path, '[feed]\nsource = "kis"\nmax_registrations = 1\n' + accounts)
    found = overview.of_plan(made, [], [])
    assert found["registrations"] == {"needed": 4, "available": 2}
    assert tuple(found["not_covered"]) == spread(made.symbols, ["one", "two"], 1).left_out == ("0162Z0", "005380")


def test_enough_room_is_not_worth_a_line(tmp_path: Path) -> None:
    made = planned(tmp_path, "")
    found = overview.of_plan(made, ["terminal"], [])
    assert [rule["not_covered"] for rule in found["rules"]] == [[], [], []]
    lines = overview.plan_lines(found, made.master, Locale.EN)
    assert not [line for line in lines if "not covered" in line]
    assert lines[-1] == "all is well"


def test_a_long_list_is_cut_for_people_only(tmp_path: Path) -> None:
    codes = [f"{number:06d}" for number in range(100_000, 100_030)]
    rules = RULES.replace('["005930", "000660", "0162Z0"]', str(codes).replace("'", '"'))
    made = planned(tmp_path, "[feed]\nmax_registrations = 5\n", rules)
    found = overview.of_plan(made, [], [])
    assert len(found["rules"][0]["not_covered"]) == 25
    line = overview.plan_lines(found, made.master, Locale.EN)[3]
    assert line == "    not covered: " + ", ".join(codes[5:15]) + " and 15 more"
    assert overview.plan_lines(found, made.master, Locale.KO)[3].endswith("100014 외 15개")


def test_a_downloaded_master_shows_its_size_and_date(tmp_path: Path) -> None:
    made = planned(tmp_path, "")
    found = {**overview.of_plan(made, [], []), "master": {"stocks": 2_712, "loaded": "2026-11-20"}}
    assert "stock names: 2,712 of 2026-11-20" in overview.plan_lines(found, made.master, Locale.EN)
    assert "종목명: 2,712개(2026-11-20 기준)" in overview.plan_lines(found, made.master, Locale.KO)


def status() -> dict[str, Any]:
    feed = {
        "account": "main", "phase": "up", "records": 3, "malformed": {}, "dropped": {}, "last_record_age_s": 1,
        "next_attempt": None, "last_error": "", "silent_since": None, "left_out": [], "rejected": {}, "unanswered": [],
        "ghosts": [],
        "symbols": [{"symbol": "247540", "subscribed": True, "last_record_age_s": 1}],
    }  # fmt: skip
    state = {"phase": "firing", "rule": "r", "symbol": "@semis\x1b[2J", "since": "2026-11-20T09:05:30.000000+09:00",
             "blind": False}  # fmt: skip
    return {
        "daemon": {
            "version": "1",
            "up_s": 3,
            "source": "simulator",
            "market": "KRX",
            "config_changed": False,
            "recovering": False,
        },
        "troubles": [],
        "silences": 0,
        "not_covered": [],
        "feeds": [feed],
        "evaluation": {"rules": 1, "dropped": {"early": 2}, "corrections": 5, "lag_ms": 0, "states": [state]},
        "store_lag_ms": 0,
        "heartbeat": None,
        "targets": [],
        "dead": 0,
    }


@pytest.mark.parametrize("locale", Locale)
def test_status_names_stocks_by_the_master_and_lets_no_escape_through(locale: Locale) -> None:
    master = Master((*BUILTIN.stocks, Stock("247540", "", "에코프로비엠", "KOSDAQ", "ST")), date(2026, 11, 20))
    lines = overview.status_lines(status(), master, locale)
    assert [line for line in lines if line.startswith("  에코프로비엠(247540) ")]
    assert [line for line in lines if "@semis [2J" in line]
    assert "\x1b" not in "".join(lines)
    assert [line for line in overview.status_lines(status(), BUILTIN, locale) if line.startswith("  247540 ")]


def test_status_says_what_a_feed_does_not_see() -> None:
    found = status()
    found["not_covered"] = ["207940"]
    found["evaluation"]["states"][0]["blind"] = True
    found["feeds"][0] |= {
        "next_attempt": "2026-11-20T10:07:00.000000+09:00",
        "silent_since": "2026-11-20T10:05:30.000000+09:00",
        "left_out": ["005930"],
        "rejected": {"000660": "OPSP8992"},
        "unanswered": ["035420"],
        "ghosts": [f"{number:06d}" for number in range(100_000, 100_012)],
    }
    lines = overview.status_lines(found, BUILTIN, Locale.EN)
    assert "  no data since 10:05:30" in lines
    assert "  next attempt 10:07:00" in lines
    assert "not covered: 삼성바이오로직스(207940)" in lines
    assert [line for line in lines if line.endswith("since 09:05:30 (not seen now)")]
    assert "  beyond the broker's limit: 삼성전자(005930)" in lines
    assert "  rejected by the broker: SK하이닉스(000660)" in lines
    assert "  not confirmed by the broker: NAVER(035420)" in lines
    (ghosts,) = [line for line in lines if "without any data today" in line]
    assert ghosts.endswith("100009 and 2 more")
    (evaluation,) = [line for line in lines if line.startswith("rules:")]
    assert "2 records not used, 5 corrections" in evaluation
    assert not [line for line in overview.status_lines(status(), BUILTIN, Locale.EN) if "broker" in line]


def test_status_says_what_targets_refused_and_that_messages_wait_for_a_person() -> None:
    target = {
        "name": "desk[1] slack", "queued": 1, "delivered": 5, "failed": 2, "unknown": 1, "refused": 4, "expired": 3,
        "failing_since": "2026-11-20T10:05:30.000000+09:00", "last_error": "HTTP 403\x1b",
    }  # fmt: skip
    found = {**status(), "targets": [target], "dead": 1_007}
    assert overview.status_lines(found, BUILTIN, Locale.EN)[-2:] == [
        "target desk[1] slack: 5 delivered, 1 waiting, 3 attempts failed, 4 refused, 3 expired; HTTP 403",
        "undeliverable messages: 1,007 (pgmwatch notify dead)",
    ]
    assert overview.status_lines(found, BUILTIN, Locale.KO)[-1] == "보내지 못한 메시지: 1,007건(pgmwatch notify dead)"
    found["targets"] = [{**target, "last_error": "no reply"}]
    assert overview.status_lines(found, BUILTIN, Locale.KO)[-2].endswith("; 응답 없음")
    for nothing in (0, None):  # None: the database does not say
        assert "undeliverable" not in overview.status_lines({**found, "dead": nothing}, BUILTIN, Locale.EN)[-1]


def test_status_says_when_the_heartbeat_was_heard_and_why_it_is_held_back() -> None:
    def line(**heartbeat: object) -> list[str]:
        found = status()
        found["heartbeat"] = {"last": None, "error": "", "ailments": [], **heartbeat}
        lines = overview.status_lines(found, BUILTIN, Locale.EN)
        return [each for each in lines if each.startswith("heartbeat")]

    assert line() == ["heartbeat: last heard never"]
    assert line(last="2026-11-20T10:05:30.000000+09:00", error="HTTP 404\x1b") == [
        "heartbeat: last heard 2026-11-20 10:05:30; HEARTBEAT NOT HEARD: HTTP 404"
    ]
    ailments = [{"what": "feed-down", "detail": "main"}, {"what": "lag", "detail": ""}]
    assert line(ailments=ailments) == ["heartbeat: last heard never; HELD BACK: feed main is down, evaluation lags"]


@pytest.mark.parametrize("what", What)
def test_every_ailment_has_its_words(what: What) -> None:
    found = status()
    found["heartbeat"] = {"last": None, "error": "", "ailments": [{"what": what, "detail": "x"}]}
    assert "HELD BACK: " in "".join(overview.status_lines(found, BUILTIN, Locale.EN))


def test_status_says_when_the_database_takes_its_time() -> None:
    assert not [line for line in overview.status_lines(status(), BUILTIN, Locale.EN) if "storing" in line]
    assert "storing lags 1,200 ms" in overview.status_lines({**status(), "store_lag_ms": 1200}, BUILTIN, Locale.EN)


@pytest.mark.parametrize(
    ("host", "found", "line"),
    [
        ("127.0.0.1:8", "called", "heartbeat: called every minute while all is well"),
        ("hc.example", "withheld", "heartbeat: not called, as the market is simulated and the address is not on this"),
    ],
)
def test_check_says_whether_the_heartbeat_would_be_called(tmp_path: Path, host: str, found: str, line: str) -> None:
    made = planned(tmp_path, f"[alerts]\nheartbeat_url = 'https://{host}/TEST-CANARY-0123456789'\n")
    data = overview.of_plan(made, [], [])
    assert data["heartbeat"] == found
    lines = overview.plan_lines(data, made.master, Locale.EN)
    assert [each for each in lines if each.startswith(line)]
    assert "CANARY" not in str(data) + str(lines)
