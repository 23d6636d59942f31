"""Who may import whom. The pure rooms know no clock, socket or thread; the edges do not know each other."""

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "engine"

SHARED = {
    "alert", "errors", "gap", "kst", "locale", "loopback", "problems", "record", "redact", "session", "stream", "text",
    "units", "delivery.words", "rules.model", "silences.model", "config.model", "kis.slots", "symbols.builtin",
    "symbols.master",
}  # fmt: skip
"""Frozen models and small helpers: anyone may import these, and they import only each other."""

ROOMS: dict[str, set[str]] = {
    # pure
    "toml": set(),
    "validation": {"toml"},
    "clock": set(),
    "files": set(),
    "log": set(),
    "template": set(),
    "rules": {"template", "toml", "validation"},
    "schema": {"config", "rules", "schema_words"},
    "schema_words": set(),
    "config": {"template", "toml", "trading_days", "validation"},
    "symbols": {"config", "files"},
    "trading_days": set(),
    "watching": {"rules"},
    "silences": {"files", "rules", "toml", "validation"},
    "evaluation": set(),
    # edges
    "kis": {"clock"},
    "simulator": {"clock", "toml", "validation"},
    "delivery": {"clock", "template"},
    "charts": {"delivery", "evaluation", "in_force"},
    "recording": {"kis"},
    "store": {"delivery", "evaluation"},
    "ops": {"delivery", "evaluation", "plan"},
    # what looks at them
    "heartbeat": {"incidents", "kis"},
    "incidents": {"delivery", "evaluation", "kis"},
    # what joins them
    "attempts": {"files", "kis"},
    "plan": {"config", "rules", "symbols", "toml"},
    "evaluator": {"clock", "evaluation"},
    "ready": {"charts", "config", "delivery", "plan", "simulator"},
    "replay": {"clock", "config", "delivery", "evaluation", "kis", "recording", "rules", "symbols", "validation"},
    "rule_tests": {"evaluation", "ops", "recording", "replay", "rules", "toml", "validation"},
    "status": {"delivery", "evaluation", "kis"},
    "in_force": {"plan"},
    "following": {"watching"},
    "restart": {"evaluation", "store"},
    "keeper": {"delivery", "evaluation", "recording", "store"},
    "state_files": {"config", "delivery", "recording", "store"},
    "stopping": set(),
    "evaluating": {
        "clock", "delivery", "evaluation", "evaluator", "in_force", "keeper", "plan", "recording", "restart",
        "state_files", "store",
    },
    "upstream": {"attempts", "clock", "config", "kis"},
    "edited": {
        "clock", "delivery", "evaluating", "following", "incidents", "ready", "replay", "silences", "toml", "upstream",
        "watching",
    },
    "answers": {
        "clock", "delivery", "edited", "evaluating", "evaluation", "heartbeat", "incidents", "ops", "replay",
        "state_files", "status", "store", "undelivered", "upstream",
    },
    "undelivered": {"clock", "delivery", "keeper", "ops", "store"},
    "daemon": {
        "answers", "charts", "clock", "delivery", "edited", "evaluating", "heartbeat", "incidents", "ops", "ready",
        "replay", "simulator", "state_files", "stopping", "store", "upstream",
    },
    "commands": {
        "config", "daemon", "delivery", "evaluation", "files", "log", "ops", "ready", "recording", "replay", "rules",
        "rule_tests", "schema", "silences", "simulator", "state_files", "store", "symbols", "toml", "validation",
    },
    "cli": {"commands"},
    "__main__": {"cli"},
}  # fmt: skip
"""Room → the rooms that it may import, besides the shared ones and itself."""

PURE = [
    "alert", "charts/draw", "charts/figure", "charts/sample", "charts/scale", "charts/trace",
    "commands/past", "config/model", "delivery/forms", "delivery/message", "delivery/notice",
    "delivery/outcomes", "delivery/parcel", "delivery/reply_codes", "delivery/retry", "delivery/words", "evaluation",
    "heartbeat/signs", "in_force", "incidents/coverage", "incidents/delivery_words", "incidents/drift",
    "incidents/gaps", "incidents/lag", "incidents/lag_words", "incidents/outage", "incidents/reading",
    "incidents/silence", "incidents/targets", "incidents/upkeep", "incidents/words", "kis/backoff", "kis/budget",
    "kis/ghosts", "kis/protocol", "kis/registrations", "kis/silence", "kis/slots", "kis/status", "kst", "locale",
    "ops/dead", "ops/history", "ops/overview", "ops/rule_list", "ops/why", "problems", "record", "recording/lines",
    "recording/retention", "recording/upstream", "replay/against", "replay/moment", "replay/run", "replay/words",
    "restart", "rule_tests/document", "rule_tests/judge", "rule_tests/series", "rules/document", "rules/model",
    "rules/names", "session", "silences/document", "silences/model", "silences/moments", "simulator/answers",
    "simulator/codes", "simulator/data", "simulator/desk", "simulator/faults", "simulator/keys", "simulator/kinds",
    "simulator/market", "simulator/messages", "simulator/scenario", "simulator/wire", "store/batch", "store/rows",
    "store/schema", "stream", "symbols/builtin", "symbols/master", "symbols/mst", "template", "text", "trading_days",
    "units",
]  # fmt: skip
IMPURE = {"trio", "time", "socket", "threading", "logging", "os", "subprocess", "asyncio", "httpx2", "apprise"}

FOREIGN = {
    "apprise": {"delivery/apprise.py"},
    "trio_websocket": {"kis/websocket.py"},
    "wsproto": {"kis/websocket.py", "simulator/websocket.py"},
    "h11": {"simulator/approval.py", "kis/websocket.py"},
    "httpx2": {"heartbeat/call.py", "kis/approval.py", "symbols/download.py"},
    "holidays": {"trading_days.py"},
    "jinja2": {"template.py"},
    "tree_sitter": {"toml.py"},
    "dotenv": {"config/environment.py"},
    "rich": {"replay/bar.py"},
    "zstandard": {"recording/reader.py", "recording/repair.py", "recording/writer.py"},
    "pyarrow": {"recording/parquet.py"},
    "PIL": {"charts/draw.py"},
}
"""Library → the files that may import it: each is wrapped once."""

FILES = sorted(ENGINE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            module = node.module or ""
            for alias in node.names:
                below = f"{module}.{alias.name}"
                is_module = (ENGINE.parent / below.replace(".", "/")).with_suffix(".py").exists()
                found.add(below if is_module else module)
    return found


def room_of(module: str) -> str:
    """`rules.model` → itself as it is shared; `rules.load` → `rules`."""
    return module if module in SHARED else module.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_arrows_point_one_way(path: Path) -> None:
    module = ".".join(path.relative_to(ENGINE).with_suffix("").parts)
    room = room_of(module)
    if room == "__init__" or path.name == "__init__.py":
        assert imports(path) == set()
        return
    allowed = SHARED | (set() if room in SHARED else ROOMS[room] | {room})
    for name in imports(path):
        if name.startswith("engine."):
            assert room_of(name.removeprefix("engine.")) in allowed, f"{module} may not import {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_each_library_is_wrapped_once(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    for library, homes in FOREIGN.items():
        assert library not in tops or str(path.relative_to(ENGINE)) in homes


@pytest.mark.parametrize("place", PURE)
def test_the_pure_parts_know_no_clock_and_no_socket(place: str) -> None:
    files = sorted((ENGINE / place).rglob("*.py")) or [(ENGINE / place).with_suffix(".py")]
    for path in files:
        assert not {name.split(".")[0] for name in imports(path)} & IMPURE, path
