"""`pgmwatch symbols update` and `find`, `check` with a stock master, as their users run them."""

import fcntl
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from receivers import Behaviour, Receiver, endless, listening, reply
from symbols_masters import COUNT, KNOWN, both, good_site, mst, site, zipped

from engine.cli import commands

RULE = '[[rule]]\nname = "r"\nsymbols = {symbols}\nmetric = "net_volume"\nabove = 1\n'


class Home:
    """A folder with a config.toml, and the commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.master = folder / "state" / "symbols.json"
        (folder / "rules").mkdir()
        self.configure("http://127.0.0.1:1/")
        self.rule('["005930"]')

    def configure(self, url: str, more: str = "", *, locale: str = "en") -> None:
        text = f'locale = "{locale}"\n{more}\n[symbols]\nmaster_url = "{url}"\n'
        (self.folder / "config.toml").write_text(text)

    def rule(self, symbols: str) -> None:
        (self.folder / "rules" / "a.toml").write_text(RULE.format(symbols=symbols))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        result: Result = CliRunner().invoke(
            commands, ["--config", str(self.folder / "config.toml"), *arguments], standalone_mode=False
        )
        assert result.exception is None, result.exception
        return result.return_value, result.stdout, result.stderr

    def update(self, behaviour: Behaviour, *arguments: str, locale: str = "en") -> tuple[int, str, str]:
        with listening(behaviour) as receiver:
            self.configure(master_url(receiver), locale=locale)
            code, stdout, stderr = self.run("symbols", "update", *arguments)
            return code, stdout, stderr.replace(str(receiver.port), "PORT")


def master_url(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/common/master/"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_the_first_update_says_how_many(home: Home) -> None:
    code, stdout, stderr = home.update(good_site())
    assert (code, stderr) == (0, "")
    first, second = stdout.splitlines()
    assert first.startswith(f"{2 * COUNT:,} stocks (KOSPI {COUNT}, KOSDAQ {COUNT}) of 20")
    assert second == "a daemon that is running uses it from its next start on"
    assert home.master.stat().st_mode & 0o777 == 0o600


def renamed() -> Behaviour:
    """Two new ones, one renamed, and two of the made-up ones gone for them."""
    known = [(code, "현대자동차" if code == "005380" else name, group) for code, name, group in KNOWN]
    more = [("069500", "KODEX 200", "EF"), ("005935", "삼성전자우", "ST")]
    return site(zipped(mst("KOSPI", *known, *more)), zipped(both()[1]))


def test_a_later_update_says_what_changed(home: Home) -> None:
    home.update(good_site())
    code, stdout, _ = home.update(renamed())
    assert code == 0
    lines = stdout.splitlines()
    assert lines[1].endswith(": 2 new, 2 gone, 1 renamed")
    assert lines[2:5] == [
        "  new: KODEX 200(069500), 삼성전자우(005935)",
        "  gone: 가상KOSPI488(700488), 가상KOSPI489(700489)",
        "  renamed: 현대차 → 현대자동차(005380)",
    ]


def test_an_update_as_json(home: Home) -> None:
    home.update(good_site())
    code, stdout, _ = home.update(renamed(), "--json")
    found = json.loads(stdout)
    assert (code, found["stocks"], found["markets"]) == (0, 2 * COUNT, {"KOSPI": COUNT, "KOSDAQ": COUNT})
    assert found["renamed"] == [{"code": "005380", "from": "현대차", "to": "현대자동차"}]
    assert [each["code"] for each in found["new"]] == ["069500", "005935"]
    assert (len(found["gone"]), found["unfit"], found["since"]) == (2, 0, found["loaded"])


@pytest.mark.parametrize(
    ("behaviour", "english", "korean"),
    [
        (reply(404), "kospi_code.mst.zip: HTTP 404", "HTTP 404 응답"),
        (reply(200, body=b"<html></html>"), "no whole zip file", "온전한 zip 파일이 아닙니다"),
        (reply(302, "Location: http://127.0.0.1:1/\r\n"), "HTTP 302", "HTTP 302 응답"),
        (endless, "larger than 8 MB", "8 MB를 넘습니다"),
        (site(zipped(b"<html></html>"), zipped(b"")), "1 of 1 lines", "1줄 중 1줄"),
        (site(zipped(both()[0]), zipped(both()[1][:-100])), None, None),
        (site(zipped(both()[0]), zipped(b"")), "KOSDAQ: only 0 listings", "KOSDAQ: 종목이 0개뿐입니다"),
    ],
    ids=["404", "html", "redirect", "endless", "zipped-html", "last-line-torn", "empty"],
)
def test_a_failed_update_keeps_the_old_file(
    home: Home, behaviour: Behaviour, english: str | None, korean: str | None
) -> None:
    home.update(good_site())
    before = home.master.read_bytes()
    for locale, expected in (("en", english), ("ko", korean)):
        code, stdout, stderr = home.update(behaviour, locale=locale)
        if expected is None:  # one torn line of 520 is no reason to refuse the others
            assert (code, "1" in stdout.splitlines()[-2]) == (0, True)
            continue
        assert (code, stdout) == (1, "")
        assert stderr.startswith("pgmwatch: ")
        assert expected in stderr
        assert home.master.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told(home: Home) -> None:
    (home.folder / "state").write_text("a file")
    code, _, stderr = home.update(good_site())
    assert (code, stderr) == (1, f"pgmwatch: {home.master}: cannot be written: File exists\n")


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://example.com/master/", "must start with https"),
        ("ftp://example.com/master/", "must start with https"),
        ("file:///etc/passwd", "is no URL with a host"),
        ("nonsense", "is no URL with a host"),
        ("https://example.com:99999/", "is no URL with a host"),
        ("", "is no URL with a host"),
        ("https://new.real..download/", "is no URL with a host"),
        (f"https://{64 * 'a'}.example.com/", "is no URL with a host"),
        ("https://.example.com/", "is no URL with a host"),
    ],
)
def test_names_come_over_tls_or_from_this_machine(home: Home, url: str, wrong: str) -> None:
    home.configure(url)
    code, stdout, stderr = home.run("symbols", "update")
    assert (code, stdout) == (2, "")
    assert stderr.startswith(f"{home.folder / 'config.toml'}:4: symbols.master_url: {wrong}")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://trader:hunter2@example.com:8443/master/", "https://example.com:8443"),
        ("https://hunter2@example.com/", "https://example.com"),
        ("https://trader:hunter2@@example.com/", "https://example.com"),
        ("http://trader:hunter2@127.0.0.1:1/", "http://127.0.0.1:1"),
        ("http://trader:hunter2@example.com/", "https"),
        ("https://trader:hunter2@new.real..download/", None),
    ],
)
def test_a_login_in_the_address_is_refused_and_not_shown(home: Home, url: str, allowed: str | None) -> None:
    """It stood in every error that named the address."""
    home.configure(url)
    code, stdout, stderr = home.run("symbols", "update")
    assert (code, stdout) == (2, "")
    assert "hunter2" not in stderr
    wrong = f"must start with {allowed}" if allowed else "is no URL with a host and a port up to 65535"
    assert stderr == f"{home.folder / 'config.toml'}:4: symbols.master_url: {wrong}\n"


def test_another_update_that_is_running_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.symbols.update._PAUSE_S", 0.001)
    home.update(good_site())
    before = home.master.read_bytes()
    descriptor = os.open(home.master.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for locale, told in (("en", "another update is running"), ("ko", "다른 업데이트가 진행 중입니다")):
            code, stdout, stderr = home.update(renamed(), locale=locale)
            assert (code, stdout) == (1, "")
            assert stderr.startswith(f"pgmwatch: {home.master}: {told}")
    finally:
        os.close(descriptor)
    assert home.master.read_bytes() == before


def test_find(home: Home) -> None:
    home.update(good_site(("069500", "KODEX 200", "EF"), ("005935", "삼성전자우", "ST")))
    assert home.run("symbols", "find", "삼성전자") == (
        0,
        "005930  삼성전자  KOSPI stock\n005935  삼성전자우  KOSPI stock\n",
        "",
    )
    code, stdout, _ = home.run("symbols", "find", "kodex200", "--json")
    assert (code, [json.loads(line) for line in stdout.splitlines()]) == (
        0,
        [{"code": "069500", "isin": "KR7069500003", "name": "KODEX 200", "market": "KOSPI", "group": "EF"}],
    )


def test_find_finds_nothing(home: Home) -> None:
    home.update(good_site())
    assert home.run("symbols", "find", "삼성전지", "--json") == (1, "", "")
    code, stdout, stderr = home.run("symbols", "find", "삼성전지")
    assert (code, stdout) == (1, "")
    assert stderr.startswith('pgmwatch: no stock is like "삼성전지"; like it: 삼성전자(005930)')


def test_find_lists_no_more_than_a_screen(home: Home) -> None:
    home.update(good_site())
    lines = home.run("symbols", "find", "가상")[1].splitlines()
    assert (len(lines), lines[-1].startswith("… and ")) == (51, True)
    assert len(home.run("symbols", "find", "가상", "--json")[1].splitlines()) > 900


def test_before_the_first_update_the_built_in_names_are_found_and_it_is_said(home: Home) -> None:
    code, stdout, stderr = home.run("symbols", "find", "SK하이닉스")
    assert (code, stdout) == (0, "000660  SK하이닉스  KOSPI stock\n")
    assert stderr == "pgmwatch: only the 30 built-in names are known; pgmwatch symbols update loads all\n"


def test_rules_may_use_every_downloaded_name(home: Home) -> None:
    home.rule('["에코프로비엠"]')
    code, _, stderr = home.run("check")
    assert code == 1
    assert "neither a six-character code nor one of the 30 built-in stock names; pgmwatch symbols update" in stderr
    home.update(good_site())
    code, stdout, _ = home.run("check")
    assert code == 0
    assert f"stock names: {2 * COUNT:,} of 20" in stdout
    assert json.loads(home.run("check", "--json")[1])["rules"][0]["symbols"] == ["247540"]


def test_an_unknown_name_shows_what_was_likely_meant(home: Home) -> None:
    home.update(good_site(("005935", "삼성전자우", "ST"), ("009150", "삼성전기", "ST"), ("700600", "가나", "ST")))
    home.rule('["삼성전지", "가나다라마바사"]')
    code, _, stderr = home.run("check")
    first, second = stderr.splitlines()
    assert code == 1
    assert first.startswith(
        f'{home.folder}/rules/a.toml:3: rule[1].symbols[1]: "삼성전지" is neither a six-character code nor a known '
        "stock name; like it: 삼성전자(005930), 삼성전기(009150), 삼성전자우(005935), "
    )
    assert second.endswith("known stock name; like it: 가나(700600)")


def test_a_code_that_the_master_does_not_have_is_a_doubt(home: Home) -> None:
    home.rule('["005930", "999999"]')
    assert "999999" not in home.run("check")[1]
    home.update(good_site())
    code, stdout, _ = home.run("check")
    assert code == 0
    assert "rules/a.toml:1: r: not in the stock master of 20" in stdout
    assert "all is well" not in stdout


def test_a_broken_master_is_a_doubt_as_long_as_the_rules_resolve(home: Home) -> None:
    home.update(good_site())
    home.master.write_bytes(home.master.read_bytes()[:-100])
    code, stdout, _ = home.run("check")
    assert code == 0
    assert f"{home.master}: is no usable stock master (damaged), so only the built-in names are known" in stdout
    code, stdout, stderr = home.run("symbols", "find", "삼성SDI")
    assert (code, stdout.split()[0]) == (0, "006400")
    assert "run: pgmwatch symbols update" in stderr
    home.rule('["에코프로비엠"]')
    code, _, stderr = home.run("check")
    assert code == 1
    assert "is no usable stock master (damaged)" in stderr.splitlines()[0]
    assert "에코프로비엠" in stderr.splitlines()[1]
    assert home.update(good_site())[0] == 0
    assert home.run("check")[0] == 0


def test_names_are_known_also_where_config_toml_is_wrong(home: Home) -> None:
    """Or an unknown key in config.toml would make every name in the rules look wrong."""
    home.update(good_site())
    home.rule('["에코프로비엠"]')
    home.configure("", "nonsense = 3")
    _, _, stderr = home.run("check")
    assert [line.partition("config.toml:")[2] for line in stderr.splitlines()] == ["2: nonsense: unknown key"]


def test_check_says_which_rule_misses_what(home: Home) -> None:
    (home.folder / "rules" / "b.toml").write_text(
        RULE.format(symbols='["005930", "000660", "005380"]').replace('"r"', '"second"')
        + RULE.format(symbols='["*"]').replace('"r"', '"off"')
        + "enabled = false\n"
    )
    home.configure("", "[feed]\nmax_registrations = 2")
    code, stdout, _ = home.run("check")
    assert code == 0
    lines = stdout.splitlines()
    at = lines.index("  second: 3 symbols, to terminal")
    assert lines[at + 1] == "    not covered: 현대차(005380)"
    assert stdout.count("    not covered") == 1
    found = json.loads(home.run("check", "--json")[1])
    assert {rule["name"]: rule["not_covered"] for rule in found["rules"]} == {"r": [], "second": ["005380"], "off": []}
    assert found["not_covered"] == ["005380"]
    assert found["master"] == {"stocks": 30, "loaded": None}
