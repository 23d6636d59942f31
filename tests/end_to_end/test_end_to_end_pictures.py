"""Simulator ↔ daemon ↔ mail server: the picture that an alert comes with."""

import json
import signal
from email.message import EmailMessage
from pathlib import Path

import pytest
from daemon_process import Pgmwatch, ended, installed
from PIL import Image
from receivers import Mailbox, mail_server, until

CONFIG = """
locale = "ko"
[simulator]
symbols = 3
rate = 60
[alerts]
notify = ["desk"]
digest = "0s"
[notifiers.desk]
urls = [{url}]
chart = true
"""
RULES = """
[[rule]]
name = "거래가 이어짐"
symbols = ["005930"]
metric = "total_volume"
above = "1주"
for = "12s"
active = ["00:00~24:00"]
"""


def daemon(folder: Path, mailbox: Mailbox) -> Pgmwatch:
    return installed(folder, CONFIG.format(url=json.dumps(mailbox.url("test-password"))), RULES)


def pictures(mail: EmailMessage) -> list[bytes]:
    return [part.get_content() for part in mail.walk() if part.get_content_type() == "image/png"]


@pytest.mark.slow
async def test_an_alert_goes_with_a_picture_of_the_time_before_it(tmp_path: Path) -> None:
    """A rule that must hold for 12 s: two or three looks lie before its alert."""
    with mail_server() as mailbox:
        desk = daemon(tmp_path, mailbox)
        async with desk.running("run", "--notify", "desk") as process:
            await until(lambda: mailbox.mails, 40)
            await ended(process, signal.SIGTERM)
        assert "pictures of rules=1 tracks=1" in desk.stderr
    (picture,) = pictures(mailbox.mails[0])
    (tmp_path / "picture.png").write_bytes(picture)
    with Image.open(tmp_path / "picture.png") as image:
        assert image.size == (1000, 560)


async def test_a_notifier_is_tried_with_a_sample(tmp_path: Path) -> None:
    with mail_server() as mailbox:
        code, _, stderr = await daemon(tmp_path, mailbox).run("notify", "test", "desk")
    assert (code, stderr) == (0, "")
    assert len(pictures(mailbox.mails[0])) == 1
