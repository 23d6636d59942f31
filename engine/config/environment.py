"""`${NAME}` in text values: from the environment, or from a `.env` file beside config.toml."""

import os
import re
import stat
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from engine.problems import Problem
from engine.toml import Document, Location

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_environment(folder: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """The variables that `${NAME}` may name. The process's own win over the file's, as everywhere."""
    path = folder / ".env"
    if not os.path.lexists(path):
        return dict(environ), []
    try:
        problem = readable_by_others(path)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return dict(environ), [Problem(str(path), None, "", "unreadable", {"reason": error.strerror or "?"})]
    except UnicodeDecodeError:
        return dict(environ), [Problem(str(path), None, "", "not-utf-8")]
    bindings = list(parse_stream(StringIO(text)))
    wrong = [Problem(str(path), each.original.line, "", "bad-env-line") for each in bindings if each.error]
    found = {each.key: each.value for each in bindings if each.key and each.value is not None}
    return {**found, **environ}, wrong + ([problem] if problem else [])


def readable_by_others(path: Path) -> Problem | None:
    """A file with secrets must be its owner's alone."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Problem(str(path), None, "", "others-can-read", {"path": str(path)})
    return None


def resolve(value: Any, environment: Mapping[str, str], document: Document, at: Location) -> tuple[Any, list[Problem]]:
    """`value` with every `${NAME}` replaced; a problem, at the key that wanted it, for each name that is not set."""
    if isinstance(value, str):
        names = dict.fromkeys(PLACEHOLDER.findall(value))
        missing = [document.problem(at, "name-not-set", name=name) for name in names if name not in environment]
        if "${" in PLACEHOLDER.sub("", value):
            missing.append(document.problem(at, "not-a-name"))
        return PLACEHOLDER.sub(lambda match: environment.get(match[1], ""), value), missing
    if isinstance(value, tuple):
        pairs = [resolve(inner, environment, document, (*at, index)) for index, inner in enumerate(value)]
        return tuple(inner for inner, _ in pairs), [problem for _, problems in pairs for problem in problems]
    if isinstance(value, dict):
        resolved = {key: resolve(inner, environment, document, (*at, key)) for key, inner in value.items()}
        problems = [problem for _, found in resolved.values() for problem in found]
        return {key: inner for key, (inner, _) in resolved.items()}, problems
    return value, []
