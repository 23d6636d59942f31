"""`pgmwatch rules new`: a rule file from options, or from questions on a terminal."""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain, say_problems
from engine.errors import ConfigurationError
from engine.locale import Locale, Text
from engine.rules.model import METRICS, Operator, Severity

if TYPE_CHECKING:
    from engine.config.load import Configuration
    from engine.rules.load import World
    from engine.rules.new import Wanted

_NEEDED = ("name", "symbols", "metric", "operator")
_SCHEMA_IN_PLACE = "docs/schema/rules.json"
"""Where the repository has it, beside config.toml."""
_SCHEMA_BESIDE = ".schema.json"
"""Otherwise it is written here, in the rules folder; the loader reads no hidden files."""

_WRITTEN = Text("written: {path}", "저장했습니다: {path}")
_EXISTS = Text("{path} exists already; nothing was written", "{path} 파일이 이미 있어 저장하지 않았습니다")
_NOT_READ = Text(
    "{path} would not be read: a rule file lies in the rules folder ({folder}), its name ends with .toml, and neither "
    "it nor a folder above it starts with _ or . or is called tests",
    "{path}: 읽히지 않는 위치입니다. 규칙 파일은 규칙 폴더({folder}) 안에 있어야 하고 이름이 .toml로 끝나야 하며, "
    "파일이나 폴더 이름이 _ 또는 .으로 시작하거나 폴더 이름이 tests이면 안 됩니다",
)
_UNWRITABLE = Text("{path} cannot be written: {reason}", "{path}: 저장할 수 없습니다({reason})")
_MISSING = Text("missing: {options}", "필요한 옵션: {options}")
_ONE_OPERATOR = Text("give one of {options}", "{options} 중 하나만 쓰세요")

_ASK_NAME = Text("Name of the rule", "규칙 이름")
_ASK_SYMBOLS = Text(
    'Codes or Korean names, separated by commas ("*": all)', '종목코드 또는 종목명(쉼표로 구분, "*"는 전체)'
)
_ASK_METRIC = Text("What to measure", "지표")
_ASK_WINDOW = Text('Over which time ("30s", "5m"; empty: the day so far)', '기간("30s", "5m", 비우면 당일 누적)')
_ASK_OPERATOR = Text("How to compare", "비교 방법")
_ASK_THRESHOLD = Text('With what (30000, "3만주", "50억", 0.3)', "기준값(30000, 3만주, 50억, 0.3)")
_ASK_UPPER = Text("Up to", "상한")
_ASK_FOR = Text('How long it must hold ("30s"; empty: not at all)', '지속 시간("30s", 비우면 즉시)')
_ASK_COOLDOWN = Text('Least time between two messages ("5m"; empty: none)', '알림 최소 간격("5m", 비우면 없음)')


def _operators(command: Callable[..., int]) -> Callable[..., int]:
    """An option for each operator; the ranges take two values."""
    for operator in reversed(Operator):
        values: dict[str, Any] = {"nargs": 2, "metavar": "LO HI"} if operator.is_range else {"metavar": "X"}
        command = click.option(f"--{operator.replace('_', '-')}", operator.value, **values)(command)
    return command


@click.command()
@click.option("--name", default="", help="Unique over all rule files.")
@click.option("--symbols", multiple=True, help='Codes or Korean names, separated by commas, or "*".')
@click.option("--metric", type=click.Choice(sorted(METRICS)), default=None)
@click.option("--window", default="", help='Its change over the last "30s", "5m", …')
@_operators
@click.option("--reset", default="")
@click.option("--for", "for_", default="", help='Must hold this long: "30s".')
@click.option("--cooldown", default="", help='Least time between two messages: "5m".')
@click.option("--description", default="")
@click.option("--severity", type=click.Choice([each.value for each in Severity]), default=None)
@click.option("--notify", multiple=True, help="A notifier; may be given several times.")
@click.option("--resolved", is_flag=True, help="Tell when it is over.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="Within the rules folder; left out: by its name.")
@click.pass_obj
def rules_new(path: Path, /, file: Path | None, **given: Any) -> int:
    """Write a new rule file from options or, on a terminal, from questions. Never overwrites one."""
    from engine.config import load as config_load
    from engine.rules.new import file_name

    try:
        configuration = config_load.load(path, os.environ, accounts=False)
        locale = configuration.settings.locale
        world = _world(configuration)
        wanted = _wanted(given, locale)
        folder = configuration.rules_folder
        target = folder / (file or file_name(wanted.name))
        return _write(wanted, target, configuration, world)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION


def _world(configuration: "Configuration") -> "World":
    from engine.rules.load import World
    from engine.symbols import file as symbols_file

    settings = configuration.settings
    master, _ = symbols_file.load_or_builtin(configuration.master_file)
    return World(settings.notifiers, settings.alerts.notify, configuration.usual_session_ns, master)


def _wanted(given: dict[str, Any], locale: Locale) -> "Wanted":
    """What was asked for by options, completed by questions. Raises click.UsageError where nobody can be asked."""
    from engine.rules.new import Wanted

    found = [operator for operator in Operator if given[operator]]
    if len(found) > 1:
        raise click.UsageError(_ONE_OPERATOR.of(locale).format(options=_options(found)))
    known = {**given, "operator": found[0] if found else None}
    missing = [key for key in _NEEDED if not known[key]]
    if missing:
        if not _is_terminal():
            options = _options(Operator) if missing == ["operator"] else ", ".join(f"--{key}" for key in missing)
            raise click.UsageError(_MISSING.of(locale).format(options=options.replace("--operator", "--above …")))
        known |= _asked(known, locale)
    operator = known["operator"]
    threshold = known.get("threshold") or given[operator]
    return Wanted(
        name=known["name"],
        symbols=tuple(part.strip() for each in known["symbols"] for part in each.split(",") if part.strip()),
        metric=known["metric"],
        operator=operator,
        threshold=threshold if isinstance(threshold, tuple) else (threshold,),
        window=known["window"],
        reset=given["reset"],
        for_=known["for_"],
        cooldown=known["cooldown"],
        description=given["description"],
        severity=given["severity"] or "",
        notify=given["notify"],
        resolved=given["resolved"],
    )


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _options(operators: Any) -> str:
    return ", ".join(f"--{operator.replace('_', '-')}" for operator in operators)


def _asked(known: dict[str, Any], locale: Locale) -> dict[str, Any]:
    """Answers to what is not known yet, each looked at before the next question."""
    answers: dict[str, Any] = {}

    def ask(key: str, question: Text, check: str = "", **more: Any) -> None:
        if not known.get(key):
            answers[key] = click.prompt(question.of(locale), value_proc=_checked(check, locale), **more)

    ask("name", _ASK_NAME, "name")
    if not known["symbols"]:
        answers["symbols"] = (click.prompt(_ASK_SYMBOLS.of(locale)),)
    if not known["metric"]:
        click.echo("\n".join(_metric_lines(locale)))
        answers["metric"] = click.prompt(_ASK_METRIC.of(locale), type=click.Choice(sorted(METRICS)), show_choices=False)
    ask("window", _ASK_WINDOW, "window", default="", show_default=False)
    if not known["operator"]:
        answers["operator"] = operator = Operator(
            click.prompt(_ASK_OPERATOR.of(locale), type=click.Choice([each.value for each in Operator]))
        )
        ends = [_ASK_THRESHOLD, _ASK_UPPER] if operator.is_range else [_ASK_THRESHOLD]
        answers["threshold"] = tuple(
            click.prompt(each.of(locale), value_proc=_checked("above", locale)) for each in ends
        )
    operator = answers.get("operator") or known["operator"]
    if not operator.is_crossing:
        ask("for_", _ASK_FOR, "for", default="", show_default=False)
    ask("cooldown", _ASK_COOLDOWN, "cooldown", default="", show_default=False)
    return answers


def _metric_lines(locale: Locale) -> list[str]:
    from engine.delivery import words

    return [f"  {name:<18} {told.of(locale)}" for name, told in words.METRICS.items()]


def _checked(key: str, locale: Locale) -> Callable[[str], str]:
    """An answer as the loader would see it under `key`; what is wrong with it is said, and asked again."""
    from engine import toml
    from engine.rules.document import RuleTable
    from engine.rules.new import number
    from engine.validation import validate

    def check(answer: str) -> str:
        answer = answer.strip()
        value = number(answer) if key == "above" else answer
        found = (
            validate(RuleTable, {"name": "r", key: value}, toml.Document("", {}, {})) if answer or key == "name" else []
        )
        if isinstance(found, list) and found:
            raise click.BadParameter(found[0].message(locale))
        return answer

    return check


def _write(wanted: "Wanted", target: Path, configuration: "Configuration", world: "World") -> int:
    """The file, if it and all others are right together. Raises ConfigurationError if the folder is not there."""
    from engine import toml
    from engine.rules import new
    from engine.rules.doubts import doubts
    from engine.rules.load import load

    locale, folder = configuration.settings.locale, configuration.rules_folder
    inside = Path(os.path.relpath(target, folder))
    if ".." in inside.parts or not new.is_read(inside):
        complain(_NOT_READ.of(locale).format(path=target, folder=folder))
        return NO
    if os.path.lexists(target):
        complain(_EXISTS.of(locale).format(path=target))
        return NO
    schema = _schema_file(configuration)
    text = new.text(wanted, Path(os.path.relpath(schema, target.parent)).as_posix(), locale)
    try:
        rules = load(folder, world, toml.parse(text.encode(), str(target)))
    except ConfigurationError as error:
        say_problems(error.problems, configuration.path)
        return NO
    try:
        _put(text, target, schema)
    except FileExistsError:
        complain(_EXISTS.of(locale).format(path=target))
        return NO
    except OSError as error:
        complain(_UNWRITABLE.of(locale).format(path=target, reason=error.strerror or type(error).__name__))
        return NO
    click.echo(_WRITTEN.of(locale).format(path=target))
    say_problems([each for each in doubts(rules, world.master) if each.file == str(target)], configuration.path)
    return FINE


def _schema_file(configuration: "Configuration") -> Path:
    in_place = configuration.path.parent / _SCHEMA_IN_PLACE
    return in_place if in_place.is_file() else configuration.rules_folder / _SCHEMA_BESIDE


def _put(text: str, target: Path, schema: Path) -> None:
    """A daemon may be watching the folder: the file is there whole or not at all, and never in place of another."""
    from engine import files
    from engine import schema as schemas

    if schema.name == _SCHEMA_BESIDE:
        files.replace(schema, schemas.text(schemas.rules()).encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    try:
        os.link(draft, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
