"""`pgmwatch replay`, as a user runs it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from replay_home import RULES, SAMSUNG, Home, line, mark

SOME = [mark("09:00:00", "#start"), mark("09:00:00", "#up 005930"), line("09:00:01.5", 50), line("09:00:02.25", 150)]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def told(stdout: str) -> list[tuple[Any, ...]]:
    found = [json.loads(each) for each in stdout.splitlines()]
    return [(each["state"], each["at"][11:26], each["suppressed"]) for each in found]


def test_an_alert_is_one_line_of_json_just_as_the_daemon_stores_it(home: Home) -> None:
    code, stdout, stderr = home.run("replay", home.record("day.txt", SOME), "--json")
    assert (code, stderr) == (0, "")
    (found,) = [json.loads(each) for each in stdout.splitlines()]
    assert list(found) == [
        "id", "rule", "symbol", "name", "state", "at", "since", "severity", "repeat", "suppressed", "values", "title",
        "message", "labels",
    ]  # fmt: skip
    assert (found["rule"], found["symbol"], found["name"]) == ("buys", SAMSUNG, "삼성전자")
    assert (found["at"], found["values"]) == ("2026-11-20T09:00:02.250000+09:00", {"net_volume": 150})


@pytest.mark.parametrize("frames", [1, 3])
def test_a_compressed_recording_says_the_same(home: Home, frames: int) -> None:
    plain = home.run("replay", home.record("day.txt", SOME), "--json")
    assert home.run("replay", home.record("day.zst", SOME, frames=frames), "--json") == plain


def test_all_tr_ids_are_read(home: Home) -> None:
    lines = [line("09:00:01", 50, tr="H0NXPGM0"), line("09:00:02", 150, tr="H0UNPGM0")]
    assert len(told(home.run("replay", home.record("day.txt", lines), "--json")[1])) == 1


def test_files_are_read_in_the_order_of_their_first_time(home: Home) -> None:
    first, second = home.record("z.txt", SOME[:3]), home.record("a.zst", SOME[3:], frames=1)
    assert home.run("replay", second, first, "--json") == home.run("replay", home.record("day.txt", SOME), "--json")


def test_overlap_and_a_file_named_twice_are_told_also_beside_json(home: Home) -> None:
    first, second = home.record("a.txt", SOME), home.record("b.txt", SOME)
    code, _, stderr = home.run("replay", first, second, second, "--json")
    assert code == 0
    assert stderr.splitlines() == [
        f"{second}: named twice, read once",
        "2 lines are earlier than one before them: do the files overlap, or is one out of order?",
    ]


def test_what_is_suppressed_comes_with_all_only(home: Home) -> None:
    lines = [*SOME, line("09:00:03", 50), line("09:00:04", 150)]
    path = home.record("day.txt", lines)
    assert told(home.run("replay", path, "--json")[1]) == [
        ("firing", "09:00:02.250000", None),
        ("resolved", "09:00:03.000000", None),
    ]
    assert told(home.run("replay", path, "--json", "--all")[1])[2:] == [("firing", "09:00:04.000000", "cooldown")]


def test_the_last_tick_is_the_first_whole_second_at_or_after_the_last_line(home: Home) -> None:
    held = RULES.replace("above = 100", 'above = 100\nfor = "2s"')
    home.rules("rules", held)
    lines = [line("09:00:01", 150), mark("09:00:02.000000001", "#alive")]
    assert told(home.run("replay", home.record("day.txt", lines), "--json")[1]) == [("firing", "09:00:03.000000", None)]
    lines[-1] = mark("09:00:02", "#alive")
    assert told(home.run("replay", home.record("day.txt", lines), "--json")[1]) == []


def test_ticks_come_between_the_lines(home: Home) -> None:
    home.rules("rules", '[[rule]]\nname = "r"\nsymbols = ["005930"]\nmetric = "net_volume"\nabove = 1\nrepeat = "1s"\n')
    lines = [line("09:00:01", 150), mark("09:00:02.5", "#alive")]
    assert [at for _, at, _ in told(home.run("replay", home.record("day.txt", lines), "--json")[1])] == [
        "09:00:01.000000",
        "09:00:02.000000",
        "09:00:03.000000",
    ]


def test_a_market_has_hours_and_the_simulator_has_none(home: Home) -> None:
    path = home.record("day.txt", [line("07:00:01", 50), line("07:00:02", 150)])
    assert len(told(home.run("replay", path, "--json")[1])) == 1
    home.configure('[feed]\nsource = "kis"\n[[feed.account]]\nname = "a"\napp_key = "${NO}"\napp_secret = "${NO}"\n')
    assert home.run("replay", path, "--json") == (0, "", "")


def test_neither_account_nor_secret_of_a_notifier_is_needed(home: Home) -> None:
    home.configure('[notifiers.desk]\nurls = ["slack://${NOT_SET}/#desk"]\n[alerts]\nnotify = ["desk"]\n')
    assert home.run("replay", home.record("day.txt", SOME), "--json")[0] == 0


def test_people_get_a_line_and_a_sum(home: Home) -> None:
    code, stdout, stderr = home.run("replay", home.record("day.txt", [*SOME, mark("09:00:03", "#nonsense")]))
    assert code == 0
    assert stdout.startswith("2026-11-20 09:00:02 ⚠️ 삼성전자(005930) net buy volume today 150 shares (> 100 shares)")
    assert "2 records, 1 alerts, 0 suppressed, 1 malformed lines, 0." in stderr


def test_people_are_told_in_their_language(tmp_path: Path) -> None:
    home = Home(tmp_path, locale="ko")
    _, stdout, stderr = home.run("replay", home.record("day.txt", SOME))
    assert "당일 순매수량 150주" in stdout
    assert "레코드 2건, 알림 1건" in stderr


def test_other_rules_than_the_configured_ones(home: Home) -> None:
    other = home.rules("other", RULES.replace("buys", "other").replace("100", "10"))
    _, stdout, _ = home.run("replay", home.record("day.txt", SOME), "--rules", str(other), "--json")
    assert [json.loads(each)["rule"] for each in stdout.splitlines()] == ["other"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rules", "{bad}"], "a.toml:5: rule[1].metric"),
        (["--against", "{bad}"], "a.toml:5: rule[1].metric"),
        (["--rules", "{none}"], "no such folder"),
    ],
    ids=str,
)
def test_bad_rules_are_told_with_file_and_line(home: Home, options: list[str], said: str) -> None:
    bad = home.rules("bad", RULES.replace("net_volume", "net_volum"))
    filled = [each.format(bad=bad, none=home.folder / "none") for each in options]
    code, stdout, stderr = home.run("replay", home.record("day.txt", SOME), *filled)
    assert (code, stdout) == (2, "")
    assert said in stderr


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"x = 1\n", "is no recording")])
def test_what_is_no_recording_is_told_in_a_sentence(home: Home, content: bytes | None, said: str) -> None:
    path = home.folder / "other.txt"
    if content is not None:
        path.write_bytes(content)
    code, stdout, stderr = home.run("replay", str(path), "--json")
    assert (code, stdout) == (2, "")
    assert said in stderr
    assert stderr.count("\n") == 1


def test_head_ends_it_quietly(home: Home) -> None:
    lines = [line(f"09:{n // 60:02d}:{n % 60:02d}", 150 * (n % 2)) for n in range(3_000)]
    home.rules("rules", RULES.replace('cooldown = "1m"', ""))
    command = (
        f'"{sys.executable}" -m engine --config "{home.config}" replay "{home.record("d", lines)}" --json | head -1'
    )
    found = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (found.stdout.count("\n"), found.stderr) == (1, "")


def test_the_bar_is_on_the_terminal_of_standard_error_only(home: Home) -> None:
    lines = [line(f"{9 + n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}", 150) for n in range(5_000)]
    command = [
        sys.executable,
        "-m",
        "engine",
        "--config",
        str(home.config),
        "replay",
        home.record("d", lines),
        "--json",
    ]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.stdout is not None
        assert len(told(process.stdout.read().decode())) == 1
    os.close(ours)
    assert b"%" in shown
    assert b"5,000 records, 1 alerts" in shown


def _read(descriptor: int) -> bytes:
    """What is on the terminal; nothing once the other side is closed, which Linux tells by an error."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
