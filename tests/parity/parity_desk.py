"""One case through both implementations, and what is left of it when everything that is not needed is taken away."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import page_model
import zstandard
from click.testing import CliRunner
from page_recording import lines
from streams import Case

from engine.cli import commands

CONFIG = """\
rules = "rules"
state = "state"
[session]
open = "{open}"
close = "{close}"
[calendar]
hours = {{ {hours} }}
[feed]
source = "kis"
rest_url = "https://127.0.0.1:1"
websocket_url = "ws://127.0.0.1:1"
[[feed.account]]
name = "main"
app_key = "PStest-parity"
app_secret = "test-parity"
"""
NOT_COMPARED = ("id", "name", "title", "message")

Alerts = list[str]


@dataclass(frozen=True)
class Difference:
    """The first place at which the two lists differ, with what led to it."""

    case: Case
    place: int
    before: Alerts
    page: str
    product: str

    def __str__(self) -> str:
        rules = "\n".join(f"# {name}\n{text}" for name, text in self.case.texts.items())
        return "\n".join([
            f"seed {self.case.seed}, session {self.case.session}, hours {self.case.hours}",
            rules, "# recording", self.case.recording, f"# alert {self.place}; the two before it:", *self.before,
            f"page:    {self.page}", f"product: {self.product}",
        ])  # fmt: skip


def by_page(case: Case) -> Alerts:
    return [
        json.dumps(alert, ensure_ascii=False) for alert in page_model.replay(case.texts, case.recording, case.hours_of)
    ]


def written(case: Case, folder: Path) -> list[str]:
    """One recording is as good as its two halves in any order, where their first times say which is which; so is a
    compressed one."""
    cut = case.seed % max(len(case.lines), 1)
    halves = ["".join(f"{line}\n" for line in half) for half in (case.lines[:cut], case.lines[cut:])]
    begins = [line.t for half in halves for line in lines(half)[:1]]
    paths = [folder / "first", folder / "second"]
    is_clear = len(begins) == 2 and begins[0] < begins[1]
    if case.seed % 3 == 0 or not is_clear:
        paths[0].write_text(case.recording, encoding="utf-8")
        return [str(paths[0])]
    if case.seed % 3 == 1:
        paths[0].write_bytes(b"".join(zstandard.compress(half.encode()) for half in halves))
        return [str(paths[0])]
    for path, half in zip(paths, halves, strict=True):
        path.write_text(half, encoding="utf-8")
    return [str(path) for path in reversed(paths)]


def by_product(case: Case, folder: Path) -> Alerts:
    """Through the command, in this process. A refusal comes as one line that no model says."""
    rules = folder / "rules"
    shutil.rmtree(rules, ignore_errors=True)
    for name, text in case.texts.items():
        (rules / name).parent.mkdir(parents=True, exist_ok=True)
        (rules / name).write_text(text, encoding="utf-8")
    config = folder / "config.toml"
    hours = ", ".join(f'"{date}" = "{opens}~{closes}"' for date, (opens, closes) in case.hours.items())
    config.write_text(CONFIG.format(open=case.session[0], close=case.session[1], hours=hours), encoding="utf-8")
    config.chmod(0o600)
    run = CliRunner().invoke(commands, [
        "--config", str(config), "replay", *written(case, folder), "--rules", str(rules), "--json", "--all",
    ], standalone_mode=False)  # fmt: skip
    if run.exception is not None or run.return_value:
        return [f"exit {run.return_value}: {run.stderr}{run.exception or ''}"]
    alerts = [json.loads(line) for line in run.stdout.splitlines()]
    return [
        json.dumps({key: value for key, value in alert.items() if key not in NOT_COMPARED}, ensure_ascii=False)
        for alert in alerts
    ]


def difference(case: Case, folder: Path) -> Difference | None:
    page, product = by_page(case), by_product(case, folder)
    for place in range(max(len(page), len(product))):
        said, heard = (alerts[place] if place < len(alerts) else "nothing" for alerts in (page, product))
        if said != heard:
            return Difference(case, place, page[max(place - 2, 0) : place], said, heard)
    return None


def shrunk(found: Difference, folder: Path) -> Difference:
    """A difference still, with as few lines and rules as can be found quickly. A refusal is left as it is."""
    if found.product.startswith("exit "):
        return found

    def still(case: Case) -> Difference | None:
        new = difference(case, folder)
        return None if new is None or new.product.startswith("exit ") else new

    changed = True
    while changed:
        changed = False
        for smaller in (smaller_rules, smaller_lines):
            best = reduce(found, smaller, still)
            changed = changed or best is not found
            found = best
    return found


def reduce(
    found: Difference, smaller: Callable[[Case], Iterator[Case]], still: Callable[[Case], Difference | None]
) -> Difference:
    """Takes the first smaller case that differs still, until there is none."""
    while True:
        for case in smaller(found.case):
            new = still(case)
            if new is not None:
                found = new
                break
        else:
            return found


def smaller_rules(case: Case) -> Iterator[Case]:
    for name, pieces in case.files.items():
        for place in range(1, len(pieces)):
            left = (*pieces[:place], *pieces[place + 1 :])
            yield replace(case, files={key: part for key, part in {**case.files, name: left}.items() if len(part) > 1})
            rows = pieces[place].split("\n")
            for row in range(1, len(rows)):
                if rows[row].partition(" ")[0] in OPTIONAL:
                    fewer = "\n".join([*rows[:row], *rows[row + 1 :]])
                    yield replace(case, files={**case.files, name: (*pieces[:place], fewer, *pieces[place + 1 :])})


OPTIONAL = (
    "for", "keep_firing_for", "cooldown", "max_per_day", "repeat", "resolved", "active", "severity", "labels",
    "exclude", "aggregate",
)  # fmt: skip
"""Keys of a rule without which it is one still."""


def smaller_lines(case: Case) -> Iterator[Case]:
    size = max(len(case.lines) // 2, 1)
    while True:
        for start in range(0, len(case.lines), size):
            yield replace(case, lines=(*case.lines[:start], *case.lines[start + size :]))
        if size == 1:
            return
        size //= 2
