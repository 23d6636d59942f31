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
    from engine.rules.new import Wanted
    from engine.rules.reader import World

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
    'Codes or Korean names, separated by commas ("*": every stock that other rules name)',
    '종목코드 또는 종목명(쉼표로 구분, "*"는 다른 규칙에 나오는 모든 종목)',
)
_ASK_METRIC = Text("What to measure", "지표")
_ASK_WINDOW = Text('Over which time ("30s", "5m"; empty: the day so far)', '기간("30s", "5m", 비우면 당일 누적)')
_ASK_OPERATOR = Text("How to compare", "비교 방법")
_ASK_THRESHOLD = Text('With what (30000, "3만주", "50억", 0.3)', "기준값(30000, 3만주, 50억, 0.3)")
_ASK_LOWER = Text('From (30000, "3만주", "50억", 0.3)', "하한(30000, 3만주, 50억, 0.3)")
_ASK_UPPER = Text("Up to", "상한")
_ASK_FOR = Text('How long it must hold ("30s"; empty: not at all)', '지속 시간("30s", 비우면 즉시)')
_NEEDS_ANSWER = Text("an answer is needed", "입력이 필요합니다")
_CHOICES = Text("one of {choices}", "{choices} 중 하나를 쓰세요")
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
        world = _world(configuration)
        wanted = _wanted(given, file, configuration, world)
        target = configuration.rules_folder / (file or file_name(wanted.name))
        return _write(wanted, target, configuration, world)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION


def _world(configuration: "Configuration") -> "World":
    from engine.rules.reader import World
    from engine.symbols import file as symbols_file

    settings = configuration.settings
    master, _ = symbols_file.load_or_builtin(configuration.master_file)
    return World(settings.notifiers, settings.alerts.notify, configuration.usual_session_ns, master)


def _wanted(given: dict[str, Any], file: Path | None, configuration: "Configuration", world: "World") -> "Wanted":
    """What was asked for by options, completed by questions. Raises click.UsageError where nobody can be asked."""
    from engine.rules.new import Wanted, symbols_of

    locale = configuration.settings.locale
    found = [operator for operator in Operator if given[operator]]
    if len(found) > 1:
        raise click.UsageError(_ONE_OPERATOR.of(locale).format(options=_options(found)))
    threshold = given[found[0]] if found else ()
    known = {
        **{key: given[key] for key in ("name", "window", "reset", "for_", "cooldown", "description", "notify")},
        "symbols": symbols_of(given["symbols"]),
        "metric": given["metric"] or "",
        "operator": found[0] if found else None,
        "threshold": threshold if isinstance(threshold, tuple) else (threshold,),
        "severity": given["severity"] or "",
        "resolved": given["resolved"],
    }
    if missing := [key for key in _NEEDED if not known[key]]:
        if not _is_terminal():
            options = _options(Operator) if missing == ["operator"] else ", ".join(f"--{key}" for key in missing)
            raise click.UsageError(_MISSING.of(locale).format(options=options.replace("--operator", "--above …")))
        return _Questions(known, file, configuration, world).ask()
    return Wanted(**known)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _options(operators: Any) -> str:
    return ", ".join(f"--{operator.replace('_', '-')}" for operator in operators)


class _Questions:
    """Asks for what is not known yet.

    Each answer is looked at before the next question, as the loader would see it among all other rules. A wrong one is
    asked again, a right one never.
    """

    def __init__(
        self, known: dict[str, Any], file: Path | None, configuration: "Configuration", world: "World"
    ) -> None:
        """Ends the command where no answer could make a rule: what is there has mistakes, or an option is wrong."""
        from engine.rules.load import load

        self._known = known
        self._file = file
        self._folder = configuration.rules_folder
        self._locale = configuration.settings.locale
        self._world = world
        try:
            self._others = load(self._folder, world)
        except ConfigurationError as error:
            say_problems(error.problems, configuration.path)
            raise click.exceptions.Exit(NO) from None
        if wrong := self._wrong({}) or (file is not None and self._misplaced(file)):
            complain(wrong)
            raise click.exceptions.Exit(NO)

    def ask(self) -> "Wanted":
        from engine.rules.new import Wanted, symbols_of

        self._one("name", _ASK_NAME)
        self._one("symbols", _ASK_SYMBOLS, lambda typed: symbols_of([typed]))
        if not self._known["metric"]:
            click.echo("\n".join(_metric_lines(self._locale)))
        self._one("metric", _ASK_METRIC)
        self._one("window", _ASK_WINDOW, needed=False)
        if self._known["operator"] is None:
            self._compared()
        if not self._known["operator"].is_crossing:
            self._one("for_", _ASK_FOR, needed=False)
        self._one("cooldown", _ASK_COOLDOWN, needed=False)
        return Wanted(**self._known)

    def _compared(self) -> None:
        choices = ", ".join(Operator)
        question = Text(*(f"{each} ({choices})" for each in _ASK_OPERATOR))
        while True:
            typed = self._typed(question)
            if typed not in list(Operator):
                self._complain(_CHOICES.of(self._locale).format(choices=choices))
            elif wrong := self._wrong({"operator": Operator(typed), "threshold": self._any_threshold(typed)}):
                self._complain(wrong)
            else:
                break
        operator = self._known["operator"] = Operator(typed)
        if not operator.is_range:
            self._one("threshold", _ASK_THRESHOLD, lambda typed: (typed,))
            return
        self._one("threshold", _ASK_LOWER, lambda typed: (typed, typed))
        low = self._known.pop("threshold")[0]
        self._known["threshold"] = ()
        self._one("threshold", _ASK_UPPER, lambda typed: (low, typed))

    def _one(
        self, key: str, question: Text, meant: Callable[[str], Any] = lambda typed: typed, *, needed: bool = True
    ) -> None:
        while not self._known[key]:
            typed = self._typed(question)
            if not typed and not needed:
                return
            wrong = self._wrong({key: meant(typed)}) if typed else _NEEDS_ANSWER.of(self._locale)
            if wrong:
                self._complain(wrong)
            else:
                self._known[key] = meant(typed)

    def _typed(self, question: Text) -> str:
        answer: str = click.prompt(question.of(self._locale), default="", show_default=False)
        return answer.strip()

    def _complain(self, wrong: str) -> None:
        click.echo(f"  {wrong}")

    def _wrong(self, answer: dict[str, Any]) -> str:
        """What is wrong with the rule so far, with this answer; empty if nothing is."""
        from engine.rules.new import Wanted, file_name, problem

        known = {**self._known, **answer}
        if known["operator"] is None or not known["threshold"]:
            known |= {"operator": Operator.ABOVE, "threshold": self._any_threshold(Operator.ABOVE)}
        in_won = any(each.rstrip().endswith("원") for each in (*known["threshold"], known["reset"]))
        known["metric"] = known["metric"] or ("net_value" if in_won else "net_volume")
        known["symbols"] = known["symbols"] or ("005930",)
        others = self._others if known["name"] else ()
        known["name"] = known["name"] or "?"
        found = problem(Wanted(**known), self._world, others)
        if found is not None:
            about = found.key.partition(".")[2].partition("[")[0]
            if about == known["operator"] and self._known["reset"] in known["threshold"]:
                about = "reset"  # which stands in for a threshold that nobody has given yet
            asked = ("for" if key == "for_" else key for key in (*answer, known["operator"]))
            return found.message(self._locale) if about in ("", *asked) else f"{about}: {found.message(self._locale)}"
        return self._misplaced(Path(file_name(known["name"]))) if "name" in answer and self._file is None else ""

    def _any_threshold(self, operator: str) -> tuple[str, ...]:
        """One that goes with a reset that was given."""
        return (self._known["reset"] or "0",) * (2 if Operator(operator).is_range else 1)

    def _misplaced(self, file: Path) -> str:
        return _misplaced(self._folder / file, self._folder, self._locale)


def _metric_lines(locale: Locale) -> list[str]:
    from engine.delivery import words

    return [f"  {name:<18} {told.of(locale)}" for name, told in words.METRICS.items()]


def _misplaced(target: Path, folder: Path, locale: Locale) -> str:
    """Why nothing can be written there; empty if it can."""
    from engine.rules import new

    inside = Path(os.path.relpath(target, folder))
    if ".." in inside.parts or not new.is_read(inside):
        return _NOT_READ.of(locale).format(path=target, folder=folder)
    return _EXISTS.of(locale).format(path=target) if os.path.lexists(target) else ""


def _write(wanted: "Wanted", target: Path, configuration: "Configuration", world: "World") -> int:
    """The file, if it and all others are right together. Raises ConfigurationError if the folder is not there."""
    from engine import toml
    from engine.rules import new
    from engine.rules.doubts import doubts
    from engine.rules.load import load

    locale, folder = configuration.settings.locale, configuration.rules_folder
    if wrong := _misplaced(target, folder, locale):
        complain(wrong)
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
