import fcntl
import os
import stat
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import files
from engine.errors import ConfigurationError
from engine.kst import DAY_NS, KST, SECOND_NS
from engine.locale import Locale
from engine.rules.model import Group, Logic, Rule
from engine.silences import file as module
from engine.silences.file import Entry, SilencesError, change, entries, entry, load
from engine.silences.model import Silence
from engine.symbols.master import BUILTIN, Master, Stock

NOW = int(datetime(2026, 11, 23, 9, tzinfo=KST).timestamp()) * SECOND_NS
HOUR = 3600 * SECOND_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "silences.toml"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def wrong(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(written(path, text), BUILTIN)
    return [problem.text(Locale.EN).removeprefix(f"{path}") for problem in caught.value.problems]


def add(path: Path, *silences: Silence, now: int = NOW) -> tuple[Entry, ...]:
    return change(path, BUILTIN, lambda old: [*old, *(entry(each, BUILTIN) for each in silences)], now)


def test_no_file_is_no_silence(path: Path) -> None:
    assert load(path, BUILTIN) == ()


def test_what_a_person_may_write(path: Path) -> None:
    text = """
[[silence]]
rule = "semis"
from = 2026-11-23T09:00:00
until = "2026-11-23T15:30"

[[silence]]
symbol = "삼성전자"
labels = { desk = "a", team = "b" }
from = 2026-11-23 00:00:00.5
until = 2026-11-23T15:00:00Z
comment = "earnings"

[[silence]]
symbol = "@semis"
until = "2026-11-23 10:00:30"

[[silence]]
all = true
until = 2026-11-24T00:00:00+09:00
"""
    midnight = NOW - 9 * HOUR
    assert load(written(path, text), BUILTIN) == (
        Silence(NOW, NOW + 6 * HOUR + HOUR // 2, rule="semis"),
        Silence(
            midnight + SECOND_NS // 2,
            midnight + DAY_NS,
            symbol="005930",
            labels=(("desk", "a"), ("team", "b")),
            comment="earnings",
        ),
        Silence(0, NOW + HOUR + 30 * SECOND_NS, symbol="@semis"),
        Silence(0, midnight + DAY_NS),
    )


def test_every_mistake_comes_at_once_with_its_line_and_key(path: Path) -> None:
    text = """
[[silence]]
rul = "semis"
until = 2026-11-23T15:30:00

[[silence]]
until = 2026-11-23T15:30:00

[[silence]]
rule = "a"
all = true
until = 2026-11-23T15:30:00

[[silence]]
rule = "a"
from = 2026-11-23T15:30:00
until = 2026-11-23T15:30:00

[[silence]]
rule = ""
until = "tomorrow"

[[silence]]
rule = "a"
until = 2026-11-23

[[silence]]
rule = "a"

[[silence]]
rule = "a"
labels = { desk = 1 }
until = "2026-02-30T10:00"
"""
    assert wrong(path, text) == [
        ':3: silence[1].rul: unknown key; did you mean "rule"?',
        ":6: silence[2]: needs a rule, a symbol or labels; to silence everything write all = true",
        ":11: silence[3].all: silences everything; leave out rule, symbol and labels, or leave out this",
        ":17: silence[4].until: must be after from",
        ":20: silence[5].rule: must not be empty",
        ':21: silence[5].until: "tomorrow" is no date and time; write 2026-11-23T09:00:00 (KST)',
        ':25: silence[6].until: "2026-11-23" is no date and time; write 2026-11-23T09:00:00 (KST)',
        ":27: silence[7].until: is required",
        ":32: silence[8].labels.desk: must be text",
        ':33: silence[8].until: "2026-02-30T10:00" is no date and time; write 2026-11-23T09:00:00 (KST)',
    ]


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00", "9999-12-31T23:59:59Z", "1"])
def test_times_beyond_all_calendars_are_mistakes(path: Path, end: str) -> None:
    assert len(wrong(path, f"[[silence]]\nall = true\nuntil = {end}\n")) == 1


@pytest.mark.parametrize("text", ["silence = 1", "[silence]\nrule = 'a'", "silences = []", "[[silence]\n", "\x80"])
def test_what_is_no_list_of_silences_is_a_mistake(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError):
        load(path, BUILTIN)


@pytest.mark.parametrize(
    ("symbol", "said"),
    [("삼성전지", "삼성전자(005930)"), ("@", "neither"), ("semis", "neither"), ("둘", "write the code")],
)
def test_a_symbol_that_means_nothing_or_two_is_a_mistake(path: Path, symbol: str, said: str) -> None:
    twins = (Stock("000001", "", "둘", "KOSPI", "ST"), Stock("000002", "", "둘", "KOSPI", "ST"))
    master = Master((*BUILTIN.stocks, *twins), date(2026, 11, 20))
    written(path, f'[[silence]]\nsymbol = "{symbol}"\nuntil = 2026-11-23T15:30:00\n')
    with pytest.raises(ConfigurationError) as caught:
        load(path, master)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (2, "silence[1].symbol")
    assert said in problem.text(Locale.EN)


def test_what_was_added_is_read_back_and_the_owners_alone(path: Path) -> None:
    silences = (
        Silence(NOW, NOW + HOUR, rule='a "quoted" one', comment="점심 # not a remark\n"),
        Silence(NOW, NOW + HOUR, symbol="삼성전자", labels=(("b c", "x"), ("a", "y"))),
        Silence(NOW, NOW + HOUR),
    )
    add(path, *silences)
    assert load(path, BUILTIN) == (
        silences[0],
        Silence(NOW, NOW + HOUR, None, "005930", silences[1].labels),
        silences[2],
    )
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
times = st.integers(NOW // 1000, NOW // 1000 + 10**12).map(lambda t: t * 1000)


@settings(max_examples=50)
@given(
    st.builds(
        lambda start, length, *rest: Silence(start, start + length * 1000, *rest),
        times,
        st.integers(1, 10**12),
        st.none() | words,
        st.sampled_from([None, "005930", "@semis"]),
        st.dictionaries(words, words, max_size=3).map(lambda found: tuple(found.items())),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    )
)
def test_whatever_is_silenced_is_written_so_that_it_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, silence: Silence
) -> None:
    path = tmp_path_factory.mktemp("any") / "silences.toml"
    add(path, silence)
    assert load(path, BUILTIN) == (silence,)


def test_a_person_may_add_below_what_the_command_wrote(path: Path) -> None:
    add(path, Silence(NOW, NOW + HOUR, rule="a", labels=(("k", "v"),)), Silence(NOW, NOW + HOUR, rule="b"))
    with path.open("a") as file:
        file.write('[[silence]]\nrule = "c"\nuntil = "2026-11-23T15:30"\n')
    assert [each.rule for each in load(path, BUILTIN)] == ["a", "b", "c"]


def test_what_a_person_wrote_stays_as_it_was_written(path: Path) -> None:
    written(path, '[[silence]]\nsymbol = "삼성전자"\nuntil = "2026-11-23T15:30"\n')
    add(path, Silence(NOW, NOW + HOUR, rule="a"))
    assert '[[silence]]\nsymbol = "삼성전자"\nuntil = "2026-11-23T15:30"\n' in path.read_text()


@pytest.mark.parametrize("text", ["[[silence]]\nrul = 'a'\n", "[[silence]\n", '[[silence]]\nsymbol = "x"\nuntil = 1\n'])
def test_a_file_with_a_mistake_is_never_overwritten(path: Path, text: str) -> None:
    written(path, text)
    with pytest.raises(ConfigurationError):
        add(path, Silence(NOW, NOW + HOUR, rule="a"))
    assert path.read_text() == text


def test_one_that_is_over_stays_a_day(path: Path) -> None:
    add(path, Silence(NOW, NOW + HOUR, rule="a"))
    assert len(add(path, now=NOW + HOUR + DAY_NS - 1)) == 1
    assert add(path, now=NOW + HOUR + DAY_NS) == ()
    assert load(path, BUILTIN) == ()


def test_what_changes_nothing_writes_nothing(path: Path) -> None:
    add(path, Silence(NOW, NOW + HOUR, rule="a"))
    before = path.stat().st_ino
    change(path, BUILTIN, lambda old: old, NOW)
    assert path.stat().st_ino == before


def test_only_so_many_are_allowed_whoever_writes_them(path: Path) -> None:
    many = [Silence(NOW, NOW + HOUR, rule=f"r{number}") for number in range(module.MAX_SILENCES + 1)]
    add(path, *many[:-1])
    before = path.read_bytes()
    with pytest.raises(ConfigurationError):
        add(path, many[-1])
    assert path.read_bytes() == before
    one = '[[silence]]\nall = true\nuntil = "2026-11-23T15:30"\n'
    (problem,) = wrong(path, one * (module.MAX_SILENCES + 1))
    assert problem == f":{3 * module.MAX_SILENCES + 1}: silence[501]: holds 501 silences; 500 are allowed"


def test_an_id_is_of_what_is_said_and_not_of_where_it_stands(path: Path) -> None:
    one, two = Silence(NOW, NOW + HOUR, rule="a"), Silence(NOW, NOW + HOUR, rule="b")
    first, second = add(path, one, two)
    assert first.id != second.id
    assert [each.id for each in entries(path, BUILTIN)] == [first.id, second.id]
    change(path, BUILTIN, lambda old: old[1:], NOW)
    assert [each.id for each in entries(path, BUILTIN)] == [second.id]
    assert entry(one, BUILTIN).id == "7c7c0a"  # this very one, in every process and version


def test_who_waits_too_long_for_the_lock_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TRIES", 2)
    path.parent.mkdir()
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(SilencesError) as caught:
            add(path, Silence(NOW, NOW + HOUR, rule="a"))
    finally:
        os.close(descriptor)
    assert "another command" in caught.value.text(Locale.EN)
    assert "다른 명령" in caught.value.text(Locale.KO)


def test_a_disk_that_refuses_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(path, Silence(NOW, NOW + HOUR, rule="a"))
    before = path.read_bytes()

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "replace", full)
    with pytest.raises(SilencesError, match="No space left"):
        add(path, Silence(NOW, NOW + HOUR, rule="b"))
    assert path.read_bytes() == before


def test_a_state_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(SilencesError):
        add(tmp_path / "state" / "silences.toml", Silence(NOW, NOW + HOUR, rule="a"))


WRITER = """
import sys
from pathlib import Path
from engine.silences.file import change, entry
from engine.silences.model import Silence
from engine.symbols.master import BUILTIN
path, who, now = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(15):
    one = entry(Silence(now, now + 10**12, rule=f"{who}.{number}"), BUILTIN)
    change(path, BUILTIN, lambda old: [*old, one], now)
"""


@pytest.mark.slow  # three processes write at once for a second
def test_commands_at_once_lose_nothing(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, str(who), str(NOW)], env=environment) for who in range(3)]
    assert [each.wait(60) for each in writers] == [0, 0, 0]
    found = {each.rule for each in load(path, BUILTIN)}
    assert found == {f"{who}.{number}" for who in range(3) for number in range(15)}


RULE = Rule("a", ("005930",), Group(Logic.ALL, ()), labels=(("desk", "x"), ("team", "y")))


@pytest.mark.parametrize(
    ("silence", "matches"),
    [
        (Silence(0, 1), True),
        (Silence(0, 1, rule="a"), True),
        (Silence(0, 1, rule="b"), False),
        (Silence(0, 1, symbol="005930"), True),
        (Silence(0, 1, symbol="000660"), False),
        (Silence(0, 1, rule="a", symbol="000660"), False),
        (Silence(0, 1, labels=(("team", "y"),)), True),
        (Silence(0, 1, labels=(("team", "y"), ("desk", "x"))), True),
        (Silence(0, 1, labels=(("team", "y"), ("desk", "z"))), False),
        (Silence(0, 1, labels=(("floor", "1"),)), False),
    ],
)
def test_all_that_is_given_must_fit(silence: Silence, matches: bool) -> None:
    assert silence.matches(RULE, "005930") is matches
