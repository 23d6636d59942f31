"""Simulator ↔ daemon ↔ receivers, each real: processes, sockets, a web hook and a mail server."""

import json
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import trio
from daemon_process import RULE, Pgmwatch, ended, free_ports, installed
from receivers import Receiver, hang, listening, mail_server, reply, until

REPOSITORY = Path(__file__).parents[2]
CANARY = "TEST-CANARY-5f1d"

SIMULATED = """
locale = "{locale}"
[simulator]
symbols = 3
rate = 60
[alerts]
notify = {notify}
digest = "0s"
[notifiers.terminal]
kind = "terminal"
"""

LIVE = """
locale = "en"
[feed]
source = "kis"
rest_url = "http://127.0.0.1:{rest}"
websocket_url = "ws://127.0.0.1:{websocket}"
backoff = {{ first = "1s", max = "2s" }}
[[feed.account]]
name = "main"
app_key = "${{TEST_KEY}}"
app_secret = "${{TEST_SECRET}}"
[simulator]
rate = 60
[alerts]
digest = "0s"
"""


def simulated(folder: Path, *, locale: str = "en", notify: tuple[str, ...] = ("terminal",), more: str = "") -> Pgmwatch:
    return installed(folder, SIMULATED.format(locale=locale, notify=json.dumps(notify)) + more, HOOK=CANARY)


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        ("ko", "삼성전자(005930)", ["기준 > 1주", "규칙: 거래 시작", "KST"]),
        ("en", "삼성전자(005930)", ["> 1 shares", "rule: 거래 시작", "KST"]),
    ],
)
async def test_an_alert_arrives_as_web_hook_as_mail_and_on_the_terminal(
    tmp_path: Path, locale: str, title: str, body: list[str]
) -> None:
    with listening(reply(200)) as hook, mail_server() as mailbox:
        more = f'[notifiers.hook]\nurls = ["{hook.url()}?key=${{HOOK}}"]\n'
        more += f'[notifiers.mail]\nurls = ["{mailbox.url("TEST-PASSWORD")}"]\n'
        pgmwatch = simulated(tmp_path, locale=locale, notify=("terminal", "hook", "mail"), more=more)
        async with pgmwatch.running("run") as daemon:
            await until(lambda: hook.requests and mailbox.mails, seconds=15)
            await pgmwatch.until("삼성전자")
            code, took_s = await ended(daemon, signal.SIGTERM)
        assert code == 0
        assert took_s < 10
        (request,), (mail,) = hook.requests, mailbox.mails
        content = mail.get_body()
        assert content is not None
        for found_title, found_body in (
            (request.json["title"], request.json["message"]),
            (str(mail["subject"]), content.get_content()),
            (pgmwatch.stdout, pgmwatch.stdout),
        ):
            assert title in found_title
            for part in body:
                assert part in found_body.replace("&gt;", ">")
    assert "alert firing" in pgmwatch.stderr
    assert pgmwatch.stderr.rstrip().endswith("daemon: ended")
    everything = pgmwatch.stdout + pgmwatch.stderr
    assert CANARY not in everything
    assert "TEST-PASSWORD" not in everything


async def test_a_hanging_target_delays_neither_another_nor_the_feed(tmp_path: Path) -> None:
    rules = "".join(RULE.replace("거래 시작", f"r{n}").replace("1주", f"{n}주") for n in range(1, 6))
    with listening(hang) as hanging, listening(reply(200)) as healthy:
        more = f'[notifiers.both]\nurls = ["{hanging.url()}", "{healthy.url()}"]\nrate = "100/s"\n'
        pgmwatch = simulated(tmp_path, notify=("both",), more=more)
        (tmp_path / "rules" / "test.toml").write_text(rules)
        async with pgmwatch.running("run") as daemon:
            await until(lambda: hanging.requests, seconds=15)
            await until(lambda: sum(each.json["message"].count("r5") for each in healthy.requests), seconds=5)
            before = await pgmwatch.ask("status")
            await trio.sleep(0.5)
            after = await pgmwatch.ask("status")
            code, took_s = await ended(daemon, signal.SIGTERM)
    assert after["feeds"][0]["records"] > before["feeds"][0]["records"] > 0
    by_name = {target["name"]: target for target in after["targets"]}
    assert by_name["both[2] json"]["delivered"] == 5
    assert by_name["both[1] json"]["delivered"] == 0
    assert (code, took_s < 10) == (0, True)
    assert "drained left=" in pgmwatch.stderr


async def test_live_against_a_simulator_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    rest, websocket = free_ports(2)
    simulate = ("simulate", "--rest-port", str(rest), "--websocket-port", str(websocket))
    (tmp_path / "broker").mkdir()
    broker = installed(tmp_path / "broker", "[simulator]\nrate = 60\n")
    config = LIVE.format(rest=rest, websocket=websocket)
    pgmwatch = installed(tmp_path, config, TEST_KEY=CANARY, TEST_SECRET=CANARY + "-secret")
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("feed lost account=main")  # nobody is there yet
        async with broker.running("simulate", *simulate[1:]):
            await pgmwatch.until("feed subscribed account=main up=1")
            await pgmwatch.until("alert firing")
            first = (await pgmwatch.ask("status"))["feeds"][0]["records"]
        await pgmwatch.until("feed lost account=main", count=2)
        async with broker.running("simulate", *simulate[1:]):
            await pgmwatch.until("feed subscribed account=main up=1", count=2)
            with trio.fail_after(10):
                while (await pgmwatch.ask("status"))["feeds"][0]["records"] <= first:
                    await trio.sleep(0.1)
            code, took_s = await ended(daemon, signal.SIGINT)
            await broker.until("closed reason=closed")  # unsubscribed and said goodbye
    assert (code, took_s < 10) == (130, True)
    everything = pgmwatch.stdout + pgmwatch.stderr + broker.stdout + broker.stderr
    assert CANARY not in everything


async def test_the_shipped_configuration_alerts_within_15_seconds(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text((REPOSITORY / "config.toml").read_text())
    (tmp_path / "rules").mkdir()
    for path in (REPOSITORY / "rules").glob("*.toml"):
        (tmp_path / "rules" / path.name).write_text(path.read_text())
    pgmwatch = Pgmwatch(tmp_path, {})
    started = time.monotonic()
    async with pgmwatch.running("run"):
        with trio.fail_after(15):
            while "순매수 전환" not in pgmwatch.stdout:  # an alert, and not only its line in the log
                await trio.sleep(0.02)
    assert time.monotonic() - started < 15


async def test_status_says_what_the_daemon_does_and_that_none_runs(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path)
    code, stdout, stderr = await pgmwatch.run("status")
    assert (code, stdout) == (1, "")
    assert "no daemon is running" in stderr
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing")
        status = await pgmwatch.ask("status")
        code, stdout, _ = await pgmwatch.run("status")
        assert code == 0
        assert "1/1 symbols" in stdout
        assert "firing 거래 시작 삼성전자(005930)" in stdout
        code, _, stderr = await pgmwatch.run("run")
        assert code == 2
        assert "another pgmwatch daemon is running" in stderr
        control = tmp_path / "state" / "simulator-KRX" / "control.sock"
        assert (control.stat().st_mode & 0o777, control.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        await ended(daemon, signal.SIGTERM)
    assert not control.exists()
    (feed,), (state,) = status["feeds"], status["evaluation"]["states"]
    assert (feed["phase"], feed["malformed"], feed["symbols"][0]["subscribed"]) == ("up", {}, True)
    assert (state["rule"], state["phase"]) == ("거래 시작", "firing")
    assert state["values"]["total_volume"] > 1


async def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    with listening(hang) as hanging:
        pgmwatch = simulated(tmp_path, notify=("a",), more=f'[notifiers.a]\nurls = ["{hanging.url()}"]\n')
        async with pgmwatch.running("run") as daemon:
            await until(lambda: hanging.requests, seconds=15)
            daemon.send_signal(signal.SIGINT)
            await pgmwatch.until("ending signal=SIGINT")
            code, took_s = await ended(daemon, signal.SIGINT)
    assert code == 130
    assert took_s < 2


async def test_mistakes_end_with_their_place_and_not_with_a_traceback(tmp_path: Path) -> None:
    pgmwatch = installed(tmp_path, 'locale = "en"\nstat = "x"\n', RULE + 'x = "5m"\n')
    both = 'config.toml:2: stat: unknown key; did you mean "state"?\nrules/test.toml:8: rule[1].x: unknown key\n'
    assert await pgmwatch.run("run") == (2, "", both)
    (tmp_path / "config.toml").write_text('locale = "en"\n')
    code, stdout, stderr = await pgmwatch.run("check")
    assert (code, stdout, stderr) == (1, "", "rules/test.toml:8: rule[1].x: unknown key\n")
    code, stdout, _ = await pgmwatch.run("check", "--json")
    assert code == 1
    assert json.loads(stdout) == {
        "file": "rules/test.toml",
        "line": 8,
        "key": "rule[1].x",
        "code": "unknown-key",
        "message": "unknown key",
    }
    code, _, stderr = await pgmwatch.run("--config", "nowhere.toml", "run")
    assert (code, "Traceback" in stderr) == (2, False)
    assert (await pgmwatch.run("no-such-command"))[0] == 2
    notifiers = '[notifiers.terminal]\nkind = "terminal"\n[notifiers.a]\nurls = ["${U}"]\n'
    (tmp_path / "config.toml").write_text(f'locale = "en"\n[alerts]\nops = ["a"]\n{notifiers}')
    (tmp_path / "rules" / "test.toml").write_text(RULE)
    code, _, stderr = await Pgmwatch(tmp_path, {**pgmwatch.environ, "U": f"nonsense://{CANARY}"}).run("check")
    assert (code, CANARY in stderr) == (1, False)
    assert stderr.startswith("config.toml:7: notifiers.a.urls[1]: ")


async def test_check_says_what_would_be_watched(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path)
    code, stdout, stderr = await pgmwatch.run("check")
    assert (code, stderr) == (0, "")
    assert "거래 시작: 1 symbols, to terminal" in stdout
    assert "1 registrations needed, 41 available" in stdout
    found = await pgmwatch.ask("check")
    assert found["registrations"] == {"needed": 1, "available": 41}


async def test_with_a_simulated_market_nothing_leaves_the_machine_unless_told_to(tmp_path: Path) -> None:
    more = '[notifiers.far]\nurls = ["json://user:TEST@pgmwatch.invalid/hook"]\n'
    pgmwatch = simulated(tmp_path, notify=("terminal", "far"), more=more)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until('target withheld name="far')
        await pgmwatch.until("alert firing")
        assert [target["name"] for target in (await pgmwatch.ask("status"))["targets"]] == ["terminal"]
        await ended(daemon, signal.SIGTERM)
    code, _, stderr = await pgmwatch.run("run", "--notify", "nobody")
    assert (code, 'no notifier is named "nobody"' in stderr) == (2, True)


async def test_notify_test_sends_a_real_message_and_says_what_came_of_it(tmp_path: Path) -> None:
    with listening(reply(200)) as healthy, listening(reply(500)) as broken:
        more = f'[notifiers.fine]\nurls = ["{healthy.url()}"]\n'
        more += f'[notifiers.both]\nurls = ["{healthy.url()}", "{broken.url()}?key=${{HOOK}}"]\n'
        pgmwatch = simulated(tmp_path, more=more)
        assert await pgmwatch.run("notify", "test", "fine") == (0, "fine[1] json: delivered\n", "")
        code, stdout, stderr = await pgmwatch.run("notify", "test", "both")
        assert (code, stderr) == (1, "")
        assert stdout.startswith("both[1] json: delivered\nboth[2] json: failed: ")
        assert CANARY not in stdout
        code, _, stderr = await pgmwatch.run("notify", "test", "fin")
        assert code == 2
    assert stderr.startswith('config.toml: no notifier is named "fin"; did you mean "fine"?')
    assert healthy.requests[0].json["title"] == "pgmwatch test message"


async def test_sighup_ends_nothing(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path)
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing")
        daemon.send_signal(signal.SIGHUP)
        await trio.sleep(1)
        assert (await pgmwatch.ask("status"))["feeds"][0]["phase"] == "up"
        assert (await ended(daemon, signal.SIGTERM))[0] == 0


async def test_our_own_refusals_are_sentences(tmp_path: Path) -> None:
    """Trio wraps what ends a nursery in a group; a user must not see that."""
    pgmwatch = simulated(tmp_path)
    for arguments, told in (
        (("--listen", "0.0.0.0"), "listens on this machine only"),
        (("--rest-port", "1", "--websocket-port", "99999"), "cannot listen on"),
    ):
        code, stdout, stderr = await pgmwatch.run("simulate", *arguments)
        assert (code, stdout, "Traceback" in stderr) == (2, "", False)
        assert told in stderr
    deep = installed(tmp_path, f'locale = "en"\nstate = "{"x" * 150}"\n')
    code, stdout, stderr = await deep.run("run")
    assert (code, stdout, "Traceback" in stderr) == (2, "", False)
    assert "too long for a socket" in stderr


async def test_commands_that_do_not_connect_need_no_key(tmp_path: Path) -> None:
    with listening(reply(200)) as hook:
        config = LIVE.format(rest=1, websocket=1) + f'[notifiers.hook]\nurls = ["{hook.url()}"]\n'
        config += '[notifiers.terminal]\nkind = "terminal"\n'
        pgmwatch = installed(tmp_path, config)
        assert (await pgmwatch.run("status"))[0] == 1  # no daemon: but not 2
        assert (await pgmwatch.run("notify", "test", "hook"))[0] == 0
        code, _, stderr = await pgmwatch.run("check")
        assert (code, stderr.count("TEST_KEY"), stderr.count("TEST_SECRET")) == (1, 1, 1)


async def test_what_waits_for_its_digest_is_still_told_at_the_end(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path)
    config = (tmp_path / "config.toml").read_text().replace('digest = "0s"', 'digest = "5m"')
    (tmp_path / "config.toml").write_text(config)
    (tmp_path / "rules" / "test.toml").write_text(RULE.replace('severity = "critical"\n', ""))
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing")
        assert pgmwatch.stdout == ""
        assert (await ended(daemon, signal.SIGTERM))[0] == 0
    assert "삼성전자(005930)" in pgmwatch.stdout
    assert "drained left=0" in pgmwatch.stderr


@pytest.mark.slow  # the receiver really takes two seconds, longer than the least that delivery gets
async def test_a_message_in_flight_at_the_end_may_arrive(tmp_path: Path) -> None:
    def slowly(receiver: Receiver, connection: socket.socket) -> None:
        receiver.released.wait(2)
        reply(200)(receiver, connection)

    with listening(slowly) as hook:
        pgmwatch = simulated(tmp_path, notify=("a",), more=f'[notifiers.a]\nurls = ["{hook.url()}"]\n')
        async with pgmwatch.running("run") as daemon:
            await until(lambda: hook.requests, seconds=15)
            code, took_s = await ended(daemon, signal.SIGTERM)
    assert (code, took_s < 10) == (0, True)
    assert "delivered target='a[1] json'" in pgmwatch.stderr
    assert "drained left=0" in pgmwatch.stderr


async def test_foreign_text_cannot_command_a_terminal(tmp_path: Path) -> None:
    name = 'name = "x\\u001b[31mRED\\u0007 \\"y\\nnext\\u202e"'
    pgmwatch = simulated(tmp_path)
    (tmp_path / "rules" / "test.toml").write_text(RULE.replace('name = "거래 시작"', name))
    outputs = [(await pgmwatch.run("check"))[1]]
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing")
        outputs.append((await pgmwatch.run("status"))[1])
        await ended(daemon, signal.SIGTERM)
    outputs += [pgmwatch.stdout, pgmwatch.stderr]
    (tmp_path / "rules" / "test.toml").write_text(RULE + '"\\u001b[2Jkey" = 1\n')
    outputs.append((await pgmwatch.run("check"))[2])
    for output in outputs:
        assert "RED" in output or "key" in output
        assert not set(output) & {"\x1b", "\x07", "\u202e", "\r"}
    assert 'rule="x' in pgmwatch.stderr


async def test_a_secret_is_taken_out_of_the_log_wherever_it_comes_from(tmp_path: Path) -> None:
    with listening(reply(200)) as hook:
        more = f'[notifiers.hook]\nurls = ["{hook.url()}?key=${{HOOK}}"]\n'
        pgmwatch = simulated(tmp_path, notify=("hook",), more=more)
        (tmp_path / "rules" / "test.toml").write_text(RULE.replace("거래 시작", f"leak {CANARY}"))
        pgmwatch.given_away = frozenset({CANARY})  # history and messages have a rule's name as it is
        async with pgmwatch.running("run") as daemon:
            await pgmwatch.until("alert firing")
            await ended(daemon, signal.SIGTERM)
    assert 'rule="leak ***"' in pgmwatch.stderr
    assert CANARY not in pgmwatch.stderr


async def test_symbols_beyond_the_slots_are_named(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path, more="[feed]\nmax_registrations = 1\n")
    (tmp_path / "rules" / "test.toml").write_text(RULE.replace('["005930"]', '["005930", "000660"]'))
    assert (await pgmwatch.ask("check"))["not_covered"] == ["000660"]
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("symbols not covered count=1 symbols=000660")
        await pgmwatch.until("alert firing")
        await ended(daemon, signal.SIGTERM)


@pytest.mark.parametrize(("redirected", "code"), [(">&-", 0), ("> /dev/full", 1), ("| true", 1)])
async def test_nowhere_to_write_is_no_traceback(tmp_path: Path, redirected: str, code: int) -> None:
    pgmwatch = simulated(tmp_path)
    command = f"set -o pipefail; {sys.executable} -m engine check {redirected}"
    ended_ = await trio.run_process(
        ["bash", "-c", command], cwd=tmp_path, env=pgmwatch.environ, check=False, capture_stderr=True
    )
    assert ended_.returncode == code
    assert b"Traceback" not in ended_.stderr


async def test_a_terminal_that_lacks_a_sign_was_shown_a_traceback(tmp_path: Path) -> None:
    """Titles begin with signs that EUC-KR does not have: `alerts` ended at the first of them."""
    pgmwatch = simulated(tmp_path)
    (tmp_path / "rules" / "test.toml").write_text(RULE.replace("거래 시작", "🚨 거래 ⚠"))
    environ = {**pgmwatch.environ, "PYTHONIOENCODING": "euc-kr"}
    for more in ((), ("--json",)):
        found = await trio.run_process(
            pgmwatch.command("check", *more),
            cwd=tmp_path, env=environ, check=False, capture_stdout=True, capture_stderr=True,
        )  # fmt: skip
        assert (found.returncode, found.stderr) == (0, b"")
        assert "\\ud83d\\udea8 거래 \\u26a0" in found.stdout.decode("euc-kr")
    assert json.loads(found.stdout.decode("euc-kr"))["rules"][0]["name"] == "🚨 거래 ⚠"


async def test_check_says_what_can_hardly_be_meant(tmp_path: Path) -> None:
    pgmwatch = simulated(tmp_path)
    rule = RULE.replace("total_volume", "imbalance").replace('"1주"', "30")
    (tmp_path / "rules" / "test.toml").write_text(rule)
    code, stdout, _ = await pgmwatch.run("check")
    assert code == 0
    assert "rules/test.toml:1: 거래 시작: imbalance lies between -1 and 1, so above never holds" in stdout
    assert "all is well" not in stdout
    (tmp_path / "rules" / "test.toml").write_text("")
    assert "nothing is watched" in (await pgmwatch.run("check"))[1]


@pytest.mark.slow  # the process is really stopped for longer than the 3 s that count as an absence
async def test_a_stopped_process_takes_what_waited_for_a_gap(tmp_path: Path) -> None:
    rule = RULE.replace('above = "1주"', 'window = "4s"\nabove = "1주"').replace("total_volume", "buy_volume")
    pgmwatch = simulated(tmp_path)
    (tmp_path / "rules" / "test.toml").write_text(rule + 'resolved = true\nkeep_firing_for = "1h"\ncooldown = "0s"\n')
    async with pgmwatch.running("run") as daemon:
        await pgmwatch.until("alert firing")
        daemon.send_signal(signal.SIGSTOP)
        await trio.sleep(4.5)
        daemon.send_signal(signal.SIGCONT)
        await pgmwatch.until("evaluation away seconds=")
        (state,) = (await pgmwatch.ask("status"))["evaluation"]["states"]
        assert state["phase"] == "firing"  # no news is not good news
        assert state["values"] == {"buy_volume[4s]": None}  # the window starts in the gap
        await trio.sleep(5)
        (state,) = (await pgmwatch.ask("status"))["evaluation"]["states"]
        assert state["values"]["buy_volume[4s]"] is not None
        await ended(daemon, signal.SIGTERM)
