import base64
import json
import logging
import subprocess
import sys
from urllib.parse import quote

import pytest

from engine.log import JsonFormatter, TextFormatter
from engine.redact import Redactor, redactor

SECRET = "TEST/canary+key=5f1d&한글"


def test_a_secret_is_found_in_every_form_it_is_printed_in() -> None:
    cleaner = Redactor()
    cleaner.add(SECRET)
    raw = SECRET.encode()
    for form in (
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        *(base64.b64encode(b"user:"[:length] + raw + b"@host").decode() for length in range(6)),
        json.dumps(SECRET),
        json.dumps({"url": SECRET}, ensure_ascii=False),
    ):
        cleaned = cleaner.clean(f"before {form} after")
        assert "canary" not in cleaned
        assert "***" in cleaned
        assert len(cleaned) < len(form) + 13  # no half of it is left
        assert cleaned.startswith("before ")
        assert cleaned.endswith(" after")


def test_short_words_stay() -> None:
    cleaner = Redactor()
    cleaner.add("feed")
    cleaner.add("")
    assert cleaner.clean("feed up") == "feed up"


@pytest.fixture
def known() -> str:
    redactor.add(SECRET)
    return SECRET


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_no_line_of_the_log_holds_a_secret(formatter: logging.Formatter, known: str) -> None:
    try:
        raise ValueError(f"cannot reach {known}")
    except ValueError:
        record = logging.LogRecord(
            "engine.kis.feed", logging.ERROR, "f.py", 1, "lost url=%s\nmore", (known,), sys.exc_info()
        )
    line = formatter.format(record)
    assert "canary" not in line
    assert "ValueError: cannot reach ***" in line
    assert "kis.feed" in line


def test_a_foreign_line_break_does_not_start_a_line() -> None:
    record = logging.LogRecord("engine.kis.feed", logging.INFO, "f.py", 1, "said=%s", ("x\n2026 ERROR y\r",), None)
    assert TextFormatter().format(record).count("\n") == 0


def test_json_lines_are_json() -> None:
    record = logging.LogRecord("engine.daemon", logging.INFO, "f.py", 1, "started rules=%d", (4,), None)
    fields = json.loads(JsonFormatter().format(record))
    assert (fields["level"], fields["room"], fields["message"]) == ("info", "daemon", "started rules=4")
    assert fields["time"].endswith("+09:00")


@pytest.mark.parametrize("secret", ['TEST"quoted-wörd', "TEST\\back'slash", "TEST-한글-비밀번호"])
@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_secrets_with_quotes_and_hangul_are_found_too(formatter: logging.Formatter, secret: str) -> None:
    redactor.add(secret)
    for shown in (secret, json.dumps(secret, ensure_ascii=False), json.dumps(secret), repr(secret)):
        record = logging.LogRecord("engine.x", logging.INFO, "f.py", 1, "reason=%s", (shown,), None)
        line = formatter.format(record)
        assert "***" in line
        assert secret[4:] not in line.replace("\\", "")
        assert "wörd" not in line
        assert "비밀" not in line


def test_a_full_pipe_behind_standard_error_holds_nobody_up() -> None:
    """The daemon once stood still in a write to its log, and could not even be ended."""
    program = (
        "import logging, time; from engine import log; log.set_up('debug', 'text'); started = time.monotonic()\n"
        "for number in range(30_000): logging.info('line %d %s', number, 'x' * 200)\n"
        "print(time.monotonic() - started)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert float(process.stdout.readline()) < 20  # nobody has read a single line of the log
        assert process.wait(timeout=10) == 0


def test_what_is_logged_before_the_end_is_written() -> None:
    program = "import logging; from engine import log; log.set_up('info', 'text'); logging.info('last words')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ended.stderr.rstrip().endswith("last words")
