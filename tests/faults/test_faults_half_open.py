"""A link that goes dead without a word, in a network namespace where this machine allows one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NAMESPACE = ["unshare", "--user", "--map-root-user", "--net"]


def namespaces_are_to_be_had() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return (
        subprocess.run([*NAMESPACE, "ip", "link", "set", "lo", "up"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not namespaces_are_to_be_had(), reason="needs unshare, ip and permission to make a namespace")
@pytest.mark.parametrize(
    "idle_s",
    [
        pytest.param(2, marks=pytest.mark.slow),  # the silence that counts as dead
        pytest.param(60, marks=pytest.mark.soak),
    ],
)
def test_a_half_open_link_is_noticed_within_the_idle_timeout(idle_s: int) -> None:
    ended = subprocess.run(
        [*NAMESPACE, sys.executable, str(TESTS / "faults" / "half_open.py"), str(idle_s)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": f"{TESTS.parent}:{TESTS / 'kis'}"},
        capture_output=True,
        check=True,
        timeout=idle_s + 60,
    )
    measured = json.loads(ended.stdout)
    print(measured)  # noqa: T201  what was measured, for who runs it with -s
    assert idle_s - 0.5 < measured["notice_s"] < idle_s + 2.5
    assert measured["back_s"] < 15  # the key, the connection and the subscription, with a back-off of a second before
