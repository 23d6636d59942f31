from datetime import date, timedelta
from pathlib import Path

import pytest

from engine.config.load import Configuration, load, locale_of
from engine.config.model import Market, Source
from engine.errors import ConfigurationError
from engine.kst import DAY_NS, SECOND_NS, day_of, day_start
from engine.locale import Locale
from engine.problems import Problem
from engine.redact import redactor

REPOSITORY = Path(__file__).parents[2]
ACCOUNT = '[[feed.account]]\nname = "main"\napp_key = "${TEST_KEY}"\napp_secret = "${TEST_SECRET}"\n'
ENVIRONMENT = {"TEST_KEY": "TEST-APP-KEY", "TEST_SECRET": "TEST-APP-SECRET", "EMPTY": ""}


def configured(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Configuration:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, ENVIRONMENT if environ is None else environ)


def problems_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        configured(tmp_path, text, environ)
    for problem in caught.value.problems:
        assert problem.text(Locale.KO) != problem.text(Locale.EN)
    return list(caught.value.problems)


def test_the_shipped_file_is_fine() -> None:
    settings = load(REPOSITORY / "config.toml", {}).settings
    assert (settings.locale, settings.feed.source, settings.alerts.notify) == (
        Locale.KO,
        Source.SIMULATOR,
        ("terminal",),
    )


def test_every_key_of_the_page_is_read(tmp_path: Path) -> None:
    configuration = configured(
        tmp_path,
        """
locale = "en"
rules = "my-rules"
state = "my-state"
[session]
open = "08:30"
close = "16:00"
[calendar]
closed = ["2026-12-31", 2027-01-04]
hours = { "2026-11-19" = "10:00~16:30" }
[feed]
source = "kis"
rest_url = "https://openapi.koreainvestment.com:9443"
websocket_url = "ws://ops.koreainvestment.com:21000"
market = "NXT"
record = false
idle_timeout = "90s"
max_registrations = 40
backoff = { first = "5s", max = "2m", in_use = "90s", max_per_hour = 10 }
allow_other_host = false
replay = { files = [], speed = 2.0 }
retention = { days = 30, size = "5GB" }
[[feed.account]]
name = "main"
app_key = "${TEST_KEY}"
app_secret = "${TEST_SECRET}"
customer_type = "B"
[simulator]
symbols = 5
rate = 2.5
scenario = ""
seed = 7
[alerts]
notify = ["desk"]
ops = ["terminal"]
ttl = "10m"
digest = "0s"
heartbeat_url = ""
self_test = ""
daily_report = "15:50"
title = ""
message = ""
[notifiers.terminal]
kind = "terminal"
[notifiers.desk]
urls = ["slack://${SLACK}/#desk", "json://127.0.0.1/"]
rate = "30/h"
chart = true
[http]
listen = ""
[log]
level = "debug"
format = "json"
[symbols]
master_url = "https://127.0.0.1/master/"
""",
    )
    settings, feed = configuration.settings, configuration.settings.feed
    assert (feed.source, feed.market, feed.idle_timeout) == (Source.KIS, Market.NXT, timedelta(seconds=90))
    assert (feed.backoff.first, feed.backoff.max_per_hour) == (timedelta(seconds=5), 10)
    assert feed.account[0].app_key.get_secret_value() == "TEST-APP-KEY"
    assert (settings.simulator.rate, settings.simulator.seed) == (2.5, 7)
    assert (settings.alerts.self_test, settings.alerts.daily_report) == (None, (15 * 60 + 50) * 60 * SECOND_NS)
    assert settings.notifiers["desk"].rate == timedelta(minutes=2)
    assert settings.calendar.closed == (date(2026, 12, 31), date(2027, 1, 4))
    assert configuration.rules_folder == tmp_path / "my-rules"
    assert configuration.state_folder == tmp_path / "my-state" / "kis-NXT"
    assert configuration.notifiers(["terminal"]).keys() == {"terminal"}  # desk's SLACK is not set, and not wanted
    with pytest.raises(ConfigurationError) as caught:
        configuration.notifiers(["desk"])
    (problem,) = caught.value.problems
    assert (problem.key, problem.code, problem.detail) == ("notifiers.desk.urls[1]", "name-not-set", {"name": "SLACK"})


def test_hours(tmp_path: Path) -> None:
    def hours(text: str, when: date) -> tuple[int, int]:
        session = configured(tmp_path, text).hours().session(day_of(when))
        start = day_start(day_of(when))
        return (session.open - start) // (60 * SECOND_NS), (session.close - start) // (60 * SECOND_NS)

    live = '[feed]\nsource = "kis"\n' + ACCOUNT
    usual, exam = date(2026, 11, 18), date(2026, 11, 19)
    assert hours(live, usual) == (9 * 60, 15 * 60 + 30)
    assert hours(live.replace("\n", '\nmarket = "NXT"\n', 1), usual) == (8 * 60, 20 * 60)
    special = live + '[calendar]\nhours = { "2026-11-19" = "10:00~16:30" }\n[session]\nopen = "08:50"\n'
    assert hours(special, exam) == (10 * 60, 16 * 60 + 30)
    assert hours(special, usual) == (8 * 60 + 50, 15 * 60 + 30)
    assert hours(live + "[session]\nopen = '00:00'\nclose = '08:00'\n", usual) == (0, 8 * 60)
    assert hours("", usual) == (0, DAY_NS // (60 * SECOND_NS))  # the simulator's session is open around the clock


BAD = [
    ("locale = 'fr'", 1, "not-one-of", "locale"),
    ("[feed]\nsauce = 'kis'", 2, "unknown-key", "feed.sauce"),
    ("[feed]\nbackoff = { frist = '3s' }", 2, "unknown-key", "feed.backoff.frist"),
    ("[notifiers.rate]\nkind = 'terminal'\nlisten = ''", 3, "unknown-key", "notifiers.rate.listen"),
    ("[feed]\nidle_timeout = 60", 2, "not-text", "feed.idle_timeout"),
    ("[feed]\nidle_timeout = '0s'", 2, "not-positive", "feed.idle_timeout"),
    ("[feed]\nidle_timeout = '19s'", 2, "out-of-range", "feed.idle_timeout"),
    ("[feed]\nallow_other_host = true\nrest_url = 'http://example.com'", 3, "wrong-scheme", "feed.rest_url"),
    ("[feed]\nmax_registrations = 42", 2, "out-of-range", "feed.max_registrations"),
    ("[feed]\nrecord = 'yes'", 2, "not-boolean", "feed.record"),
    ("[feed]\nbackoff = { first = '2m' }", 2, "first-above-max", "feed.backoff.first"),
    ("[feed]\nsource = 'kis'", 1, "no-account", "feed"),
    ("[feed]\nsource = 'replay'", 1, "empty", "feed.replay.files"),
    ("[feed]\nsource = 'kis'\n" + ACCOUNT + ACCOUNT.replace("main", "b"), 9, "same-app-key", "feed.account[2].app_key"),
    ("[feed]\nsource = 'kis'\n" + ACCOUNT.replace("${TEST_KEY}", ""), 5, "empty", "feed.account[1].app_key"),
    ("rules = ''", 1, "empty", "rules"),
    ("rules = '${RULES'", 1, "not-a-name", "rules"),
    ("locale = 3", 1, "not-one-of", "locale"),
    ("[simulator]\nrate = 0", 2, "out-of-range", "simulator.rate"),
    ("[feed]\nwebsocket_url = 'ws://127.0.0.1:99999'", 2, "not-a-url", "feed.websocket_url"),
    ("[feed]\nrest_url = 'http://openapi.koreainvestment.com:9443'", 2, "wrong-scheme", "feed.rest_url"),
    ("[feed]\nrest_url = 'https://openapi.koreainvestment.com.example:9443'", 2, "other-host", "feed.rest_url"),
    ("[feed]\nrest_url = 'https://openapivts.koreainvestment.com:29443'", 2, "mock-host", "feed.rest_url"),
    ("[feed]\nwebsocket_url = 'ws://ops.koreainvestment.com:31000'", 2, "mock-host", "feed.websocket_url"),
    ("[feed]\nwebsocket_url = 'ops.koreainvestment.com'", 2, "not-a-url", "feed.websocket_url"),
    ("[feed]\nwebsocket_url = 'ws://127.0.0.1:x'", 2, "not-a-url", "feed.websocket_url"),
    ("[feed]\nwebsocket_url = 'ws://a..b:21000'\nallow_other_host = true", 2, "not-a-url", "feed.websocket_url"),
    ("[feed]\nwebsocket_url = 'ws://127.0.0.1:1/한'", 2, "not-a-url", "feed.websocket_url"),
    ("[session]\nopen = '00:00'\nclose = '00:00'", 2, "open-after-close", "session.open"),
    ("[session]\nopen = '9:00'", 2, "not-a-time", "session.open"),
    ("[session]\nopen = '16:00'", 2, "open-after-close", "session.open"),
    ("[calendar]\nclosed = ['2026-13-01']", 2, "not-a-date", "calendar.closed[1]"),
    ("[calendar]\nhours = { '2026-11-19' = '10:00' }", 2, "not-hours", "calendar.hours.2026-11-19"),
    ("[alerts]\nnotify = ['desk']", 2, "unknown-notifier", "alerts.notify[1]"),
    ("[notifiers.desk]\nrate = '20/m'", 1, "notifier-without-urls", "notifiers.desk"),
    ("[notifiers.terminal]\nkind = 'terminal'\nurls = ['json://[::1]']", 1, "terminal-with-urls", "notifiers.terminal"),
    ("[notifiers.terminal]\nkind = 'terminal'\nrate = '20'", 3, "not-a-rate", "notifiers.terminal.rate"),
    ("[http]\nlisten = '0.0.0.0:8765'", 2, "not-loopback", "http.listen"),
    ("[http]\nlisten = '127.0.0.1'", 2, "not-loopback", "http.listen"),
    ("[alerts]\nheartbeat_url = '${NOWHERE}'", 2, "name-not-set", "alerts.heartbeat_url"),
    ("[alerts]\nheartbeat_url = '${EMPTY}'", 2, "empty", "alerts.heartbeat_url"),
    ("[alerts]\nheartbeat_url = 'hc.example/x'", 2, "not-a-url", "alerts.heartbeat_url"),
    ("[alerts]\nheartbeat_url = 'https://hc.example/a b'", 2, "not-a-url", "alerts.heartbeat_url"),
    ("[alerts]\nheartbeat_url = 'https://hc.example/한'", 2, "not-a-url", "alerts.heartbeat_url"),
    ("[alerts]\nheartbeat_url = 'https://hc.example:x/'", 2, "not-a-url", "alerts.heartbeat_url"),
    ("[alerts]\nheartbeat_url = 'ftp://hc.example/x'", 2, "wrong-scheme", "alerts.heartbeat_url"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "code", "key"), BAD, ids=[f"{number}-{row[2]}" for number, row in enumerate(BAD)]
)
def test_each_mistake_is_one_located_problem(tmp_path: Path, text: str, line: int, code: str, key: str) -> None:
    if "[notifiers" in text and "terminal]" not in text:
        text += "\n[notifiers.terminal]\nkind = 'terminal'"
    (problem,) = problems_of(tmp_path, text)
    assert (problem.line, problem.code, problem.key) == (line, code, key)


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    found = problems_of(tmp_path, "locale = 'xx'\nstat = 's'\n[feed]\nsource = 'kis'\n[log]\nlevel = 3\n")
    assert [(problem.line, problem.code) for problem in found] == [
        (1, "not-one-of"),
        (2, "unknown-key"),
        (6, "not-one-of"),
    ]


def test_names_come_from_env_file_and_environment_wins(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text('TEST_KEY=from-file-TEST-KEY\nexport TEST_SECRET="TEST secret # not a comment"\n')
    env.chmod(0o600)
    text = "[feed]\nsource = 'kis'\n" + ACCOUNT
    (account,) = configured(tmp_path, text, {"TEST_KEY": "from-environment"}).settings.feed.account
    assert account.app_key.get_secret_value() == "from-environment"
    assert account.app_secret.get_secret_value() == "TEST secret # not a comment"


def test_a_name_that_is_not_set_says_which_key_wanted_it(tmp_path: Path) -> None:
    found = problems_of(tmp_path, "[feed]\nsource = 'kis'\n" + ACCOUNT, {"TEST_KEY": "x"})
    assert [(problem.line, problem.key) for problem in found] == [(6, "feed.account[1].app_secret")]
    assert "TEST_SECRET" in found[0].text(Locale.EN)


def test_only_what_is_used_is_resolved(tmp_path: Path) -> None:
    configured(tmp_path, "[feed]\nsource = 'simulator'\n" + ACCOUNT, {})


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o666])
def test_an_env_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / ".env").write_text("TEST_KEY=TEST\n")
    (tmp_path / ".env").chmod(mode)
    (problem,) = problems_of(tmp_path, "")
    assert problem.code == "others-can-read"
    assert f"chmod 600 {tmp_path / '.env'}" in problem.text(Locale.EN)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ('[feed]\nsource = "kis"\n' + ACCOUNT, False),
        ('[feed]\nsource = "kis"\n' + ACCOUNT.replace("${TEST_KEY}", "TEST-LITERAL-KEY"), True),
        ('[notifiers.terminal]\nkind = "terminal"\n[notifiers.a]\nurls = ["slack://TEST/A/B/#x"]', True),
        ('[notifiers.terminal]\nkind = "terminal"\n[notifiers.a]\nurls = ["slack://${TEST_KEY}/#x"]', False),
        ('[notifiers.terminal]\nkind = "terminal"\n[notifiers.a]\nurls = ["json://127.0.0.1:9/hook"]', False),
        ('[notifiers.terminal]\nkind = "terminal"\n[notifiers.a]\nurls = ["json://user:TEST@127.0.0.1:9/"]', True),
        ('[alerts]\nheartbeat_url = "https://hc.example/TEST-CANARY"', True),
        ('[alerts]\nheartbeat_url = "https://hc.example/${TEST_KEY}"', False),
    ],
)
def test_a_config_with_a_literal_secret_must_be_its_owners_alone(tmp_path: Path, text: str, refused: bool) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(0o644)
    if refused:
        with pytest.raises(ConfigurationError) as caught:
            load(path, ENVIRONMENT)
        assert [problem.code for problem in caught.value.problems] == ["others-can-read"]
        path.chmod(0o600)
    load(path, ENVIRONMENT)


def test_secrets_cannot_be_printed(tmp_path: Path) -> None:
    text = (
        "[feed]\nsource = 'kis'\n"
        + ACCOUNT
        + "[notifiers.terminal]\nkind='terminal'\n[notifiers.a]\nurls=['slack://${S}']\n"
    )
    configuration = configured(tmp_path, text, {**ENVIRONMENT, "S": "TEST-CANARY"})
    notifiers = configuration.notifiers(["a"])
    settings = configuration.settings
    printed = f"{configuration!r}{settings!r}{settings}{notifiers!r}{vars(settings.feed)}"
    assert "TEST-APP-KEY" not in printed
    assert "TEST-CANARY" not in printed
    assert notifiers["a"].urls[0].get_secret_value() == "slack://TEST-CANARY"


def test_a_wrong_value_beside_a_secret_does_not_show_it(tmp_path: Path) -> None:
    text = "[feed]\nsource = 'kis'\n" + ACCOUNT.replace('"${TEST_KEY}"', "12345678") + "customer_type = 'X'\n"
    found = problems_of(tmp_path, text)
    assert [problem.code for problem in found] == ["not-text", "not-one-of"]
    assert "12345678" not in "".join(problem.text(Locale.EN) for problem in found)


def test_other_hosts_only_when_allowed(tmp_path: Path) -> None:
    text = "[feed]\nrest_url = 'https://gateway.example:1'\nwebsocket_url = 'wss://gateway.example:2'\n"
    assert [problem.code for problem in problems_of(tmp_path, text)] == ["other-host", "other-host"]
    configured(tmp_path, text + "allow_other_host = true\n")
    configured(tmp_path, "[feed]\nrest_url = 'http://127.0.0.1:1'\nwebsocket_url = 'ws://localhost:2'\n")


def test_language_of_errors_about_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for text, locale in (("locale = 'en'\nx = 1", Locale.EN), ("locale = 'xx'", Locale.KO), ("locale = ", Locale.KO)):
        path.write_text(text)
        assert locale_of(path) is locale
    path.unlink()
    assert locale_of(path) is Locale.KO


def test_names_of_accounts_differ(tmp_path: Path) -> None:
    found = problems_of(tmp_path, "[feed]\nsource = 'kis'\n" + ACCOUNT + ACCOUNT)
    assert [(problem.line, problem.code) for problem in found] == [(8, "named-twice"), (9, "same-app-key")]


def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path) -> None:
    text = "locale = '${S}'\n[feed]\nmarket = '${S}'\nidle_timeout = '${S}'\n[simulator]\n[alerts]\nttl = '${S}'\n"
    found = problems_of(tmp_path, text, {"S": "TEST-CANARY"})
    assert len(found) == 4
    found += problems_of(tmp_path, "[alerts]\nnotify = ['${S}']\n", {"S": "TEST-CANARY"})
    for problem in found:
        assert "TEST-CANARY" not in problem.text(Locale.EN) + problem.text(Locale.KO)
        assert "${S}" in problem.text(Locale.EN)


def test_the_terminal_is_always_there(tmp_path: Path) -> None:
    text = "[alerts]\nnotify = ['a']\n[notifiers.a]\nurls = ['json://127.0.0.1:9/']\n"
    assert set(configured(tmp_path, text).settings.notifiers) == {"terminal", "a"}


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [("A=1\nthis is no assignment ] [\nB=2\n", "bad-env-line", 2), ("A=\udcff", "not-utf-8", None)],
)
def test_an_env_file_with_a_wrong_line(tmp_path: Path, content: str, code: str, line: int | None) -> None:
    (tmp_path / ".env").write_bytes(content.encode(errors="surrogateescape"))
    (tmp_path / ".env").chmod(0o600)
    assert [(problem.code, problem.line) for problem in problems_of(tmp_path, "")] == [(code, line)]


def test_an_env_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "nowhere")
    assert [problem.code for problem in problems_of(tmp_path, "")] == ["unreadable"]


def test_an_unsafe_env_file_is_told_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TEST_KEY=TEST\nTEST_SECRET=TEST\n")
    (tmp_path / ".env").chmod(0o644)
    found = problems_of(tmp_path, "[feed]\nsource = 'kis'\n" + ACCOUNT, {})
    assert [problem.code for problem in found] == ["others-can-read"]


@pytest.mark.parametrize(
    ("text", "called", "withheld"),
    [
        ("", False, False),
        ("[alerts]\nheartbeat_url = 'http://127.0.0.1:8/x'", True, False),
        ("[alerts]\nheartbeat_url = 'http://[::1]:8/x'", True, False),
        ("[alerts]\nheartbeat_url = 'https://hc.example/x'", False, True),
        (
            "[feed]\nsource = 'replay'\nreplay = { files = ['a'] }\n[alerts]\nheartbeat_url = 'https://hc/x'",
            False,
            True,
        ),
        ("[feed]\nsource = 'kis'\n" + ACCOUNT + "[alerts]\nheartbeat_url = 'https://hc.example/x'", True, False),
    ],
)
def test_a_simulated_market_calls_nobody_who_would_be_misled(
    tmp_path: Path, text: str, called: bool, withheld: bool
) -> None:
    configuration = configured(tmp_path, text)
    assert (configuration.heartbeat_url is not None, configuration.is_heartbeat_withheld) == (called, withheld)


def test_what_the_address_of_the_heartbeat_names_is_a_secret_however_short_it_is(tmp_path: Path) -> None:
    configuration = configured(tmp_path, "[alerts]\nheartbeat_url = 'https://${WHO}@hc.example/'", {"WHO": "TEST-7"})
    assert "TEST-7" in configuration.secrets()


@pytest.mark.parametrize("written", ["https://hc.example/ping/TEST-CANARY-0123456789", "https://hc.example/${PING}"])
def test_the_address_of_the_heartbeat_is_taken_out_of_whatever_is_printed(tmp_path: Path, written: str) -> None:
    configured(tmp_path, f"[alerts]\nheartbeat_url = '{written}'", {"PING": "TEST-CANARY-0123456789"})
    whole = "https://hc.example/ping/TEST-CANARY-0123456789"
    assert "CANARY" not in redactor.clean(f"GET {whole} failed; /ping/TEST-CANARY-0123456789")
