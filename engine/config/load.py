"""config.toml → settings that can be used, or everything that is wrong with it.

Only what is used is resolved, so in two steps: `load` reads, validates and checks the file, with the accounts if the
source needs them; `Configuration.notifiers` fills in the URLs of those that `[alerts]` and the rules turn out to name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from engine import session, template, toml
from engine.config.environment import PLACEHOLDER, read_environment, readable_by_others, resolve
from engine.config.model import REAL_REST_HOST, REAL_WEBSOCKET_HOST, Notifier, Settings, Source
from engine.errors import ConfigurationError
from engine.kst import DAY_NS, day_of
from engine.locale import Locale
from engine.loopback import is_loopback
from engine.problems import Problem, nearest
from engine.redact import redactor
from engine.toml import Document
from engine.trading_days import MarketHours
from engine.units import duration_text
from engine.validation import validate

_TOKEN = re.compile(r"[A-Za-z0-9_+-]{20}", re.ASCII)
"""Slack's, Telegram's and Discord's tokens have a run of 24 or more; host names and channels hardly ever do."""

_TOKEN_AS_IN_A_PATH = re.compile(r"[A-Za-z0-9_+-]{16,}", re.ASCII)
"""What services of this kind tell their callers apart by: a UUID, or 22 characters."""

LEAST_IDLE = timedelta(seconds=20)
"""Of `idle_timeout`: where no data flows the broker is heard every ten seconds, and one PINGPONG may be late."""
MOCK_HOSTS = ("openapivts.koreainvestment.com", "ops.koreainvestment.com:31000")
"""The broker's paper-trading servers. They do not offer program trading: a feed from there would stay silent."""


@dataclass(frozen=True)
class Configuration:
    """A config.toml that has passed every check. Its repr shows no secret: secrets are SecretStr."""

    path: Path
    settings: Settings
    document: Document
    environment: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<Configuration {self.path}>"  # `environment` holds secrets

    @property
    def rules_folder(self) -> Path:
        return self.path.parent / self.settings.rules

    @property
    def state_folder(self) -> Path:
        """One folder for each source and market: a simulator's numbers never touch real ones."""
        feed = self.settings.feed
        return self.path.parent / self.settings.state / f"{feed.source}-{feed.market}"

    @property
    def replayed_files(self) -> tuple[Path, ...]:
        """What is played where the source is `replay`."""
        return tuple(self.path.parent / name for name in self.settings.feed.replay.files)

    @property
    def recordings_folder(self) -> Path:
        """A file of each day's frames."""
        return self.state_folder / "recordings"

    @property
    def scenario(self) -> Path | None:
        """The file of faults that the simulator plays, if any."""
        written = self.settings.simulator.scenario
        return self.path.parent / written if written else None

    @property
    def master_file(self) -> Path:
        """The stock master: one for all sources and markets."""
        return self.path.parent / self.settings.state / "symbols.json"

    @property
    def silences_file(self) -> Path:
        """What people have silenced: one for all sources and markets."""
        return self.path.parent / self.settings.state / "silences.toml"

    @property
    def heartbeat_url(self) -> SecretStr | None:
        """What is called while all is well; None: nothing, or nothing that a simulated market may call."""
        url = self.settings.alerts.heartbeat_url
        return url if url.get_secret_value() and not self.is_heartbeat_withheld else None

    @property
    def is_heartbeat_withheld(self) -> bool:
        """There is one, but the market is simulated and it is not on this machine: who listens would be misled."""
        url = _split(self.settings.alerts.heartbeat_url.get_secret_value())
        is_real = self.settings.feed.source is Source.KIS
        return not is_real and url is not None and not is_loopback(url.hostname or "")

    @property
    def usual_session_ns(self) -> tuple[int, int]:
        """Open and close of a day on which nothing is special, in nanoseconds from KST midnight."""
        return _usual_session_ns(self.settings)

    def hours(self) -> session.Hours:
        """Trading hours. A simulated session is open around the clock."""
        if self.settings.feed.source is Source.SIMULATOR:
            return session.Hours(0, DAY_NS)
        return self.market_hours()

    def market_hours(self) -> MarketHours:
        """The hours of the market that `[session]` and `[calendar]` describe, whatever the source."""
        calendar = self.settings.calendar
        special = {day_of(when): span for when, span in calendar.hours.items()}
        closed = frozenset(map(day_of, calendar.closed))
        return MarketHours(*self.usual_session_ns, special, market=self.settings.feed.market, closed=closed)

    def notifiers(self, names: Iterable[str]) -> dict[str, Notifier]:
        """The named notifiers, with their URLs. Raises ConfigurationError where a name is not set."""
        problems: list[Problem] = []
        found = {}
        for name in dict.fromkeys(names):
            notifier = self.settings.notifiers[name]
            urls = tuple(
                self._reveal(url, ("notifiers", name, "urls", index), problems)
                for index, url in enumerate(notifier.urls)
            )
            found[name] = notifier.model_copy(update={"urls": urls})
        if problems:
            raise ConfigurationError(problems)
        return found

    def secrets(self) -> frozenset[str]:
        """Every text that must not be printed: what accounts, notifier URLs and the heartbeat hold or name."""
        data = self.document.data
        accounts = data.get("feed", {}).get("account", ())
        written = [account[key] for account in accounts for key in ("app_key", "app_secret")]
        written += [url for notifier in data.get("notifiers", {}).values() for url in notifier.get("urls", ())]
        written.append(data.get("alerts", {}).get("heartbeat_url", ""))
        found = set(written)
        for text in written:
            found |= {self.environment[name] for name in PLACEHOLDER.findall(text) if name in self.environment}
        heartbeat = self.settings.alerts.heartbeat_url.get_secret_value()
        found.add(heartbeat)
        if parts := _split(heartbeat):  # a client may print the place without the host
            found.update(_TOKEN_AS_IN_A_PATH.findall(f"{parts.path}?{parts.query}"))
        return frozenset(found)

    def _reveal(self, secret: SecretStr, at: toml.Location, problems: list[Problem]) -> SecretStr:
        value, missing = resolve(secret.get_secret_value(), self.environment, self.document, at)
        problems += missing
        if not missing and not value:
            problems.append(self.document.problem(at, "empty"))
        return SecretStr(value)


def load(path: Path, environ: Mapping[str, str], *, accounts: bool = True) -> Configuration:
    """Read and check a config.toml. Raises ConfigurationError with everything that is wrong.

    `accounts` False: for who does not connect; the broker's keys may then be missing. Secrets are known to the redactor
    from here on.
    """
    document = toml.read(path)
    environment, problems = read_environment(path.parent, environ)
    data, missing = _resolve_what_is_used(document, environment, accounts=accounts)
    problems = problems or missing  # an unusable .env is why names are missing
    settings = validate(Settings, data, document)
    if isinstance(settings, list):
        raise ConfigurationError(_ordered(problems + settings))
    told = {problem.key for problem in problems}
    problems += [problem for problem in _check(settings, document) if problem.key not in told]
    if _holds_literal_secret(document.data) and (problem := readable_by_others(path)):
        problems.append(problem)
    if problems:
        raise ConfigurationError(_ordered(problems))
    configuration = Configuration(path, settings, document, environment)
    for secret in configuration.secrets():
        redactor.add(secret)
    return configuration


def locale_of(path: Path) -> Locale:
    """Language for errors about this very file: what it says of itself, if that much can be read."""
    try:
        return Locale(str(toml.read(path).data.get("locale", Locale.KO)))
    except (ConfigurationError, ValueError):
        return Locale.KO


def _ordered(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file, problem.line or 0))


def _resolve_what_is_used(
    document: Document, environment: Mapping[str, str], *, accounts: bool
) -> tuple[Any, list[Problem]]:
    """Everything but the notifiers, whose users are not known yet, and accounts that are not in use."""
    data, aside = dict(document.data), {}
    if "notifiers" in data:
        aside["notifiers"] = data.pop("notifiers")
    feed = data.get("feed")
    if isinstance(feed, dict) and not (accounts and resolve(feed.get("source"), environment, document, ())[0] == "kis"):
        data["feed"] = {key: value for key, value in feed.items() if key != "account"}
    resolved, problems = resolve(data, environment, document, ())
    if isinstance(feed, dict) and "account" in feed:
        resolved["feed"].setdefault("account", feed["account"])
    return resolved | aside, problems


def _usual_session_ns(settings: Settings) -> tuple[int, int]:
    written = settings.session
    open_ns, close_ns = settings.feed.market.hours_ns
    return open_ns if written.open is None else written.open, close_ns if written.close is None else written.close


def _check(settings: Settings, document: Document) -> Iterator[Problem]:
    """What a single key cannot know: whether names exist, addresses are safe, parts fit together."""
    yield from _check_names(settings, document)
    yield from _check_feed(settings, document)
    yield from _check_addresses(settings, document)
    yield from _check_templates(settings, document)
    open_ns, close_ns = _usual_session_ns(settings)
    if open_ns >= close_ns:
        yield document.problem(("session", "open"), "open-after-close")


def _check_templates(settings: Settings, document: Document) -> Iterator[Problem]:
    for key in ("title", "message"):
        source = getattr(settings.alerts, key)
        for fault in template.faults(source) if source else ():
            yield document.problem_within(("alerts", key), fault.line, fault.code, **fault.detail)


def _check_names(settings: Settings, document: Document) -> Iterator[Problem]:
    for key in ("notify", "ops"):
        for index, name in enumerate(getattr(settings.alerts, key)):
            if name not in settings.notifiers:
                detail = {"nearest": nearest(name, settings.notifiers), "known": ", ".join(sorted(settings.notifiers))}
                yield document.problem(("alerts", key, index), "unknown-notifier", found=name, **detail)
    yield from _check_accounts(settings, document)


def _check_accounts(settings: Settings, document: Document) -> Iterator[Problem]:
    names: set[str] = set()
    keys: set[str] = set()
    for index, account in enumerate(settings.feed.account):
        at = ("feed", "account", index)
        if account.name in names:
            yield document.problem((*at, "name"), "named-twice", found=account.name)
        names.add(account.name)
        for key in ("app_key", "app_secret"):
            if not getattr(account, key).get_secret_value():
                yield document.problem((*at, key), "empty")
        app_key = account.app_key.get_secret_value()
        if app_key and app_key in keys:
            yield document.problem((*at, "app_key"), "same-app-key")
        keys.add(app_key)


def _check_feed(settings: Settings, document: Document) -> Iterator[Problem]:
    feed = settings.feed
    if feed.source is Source.REPLAY and not feed.replay.files:
        yield document.problem(("feed", "replay", "files"), "empty")
    if feed.source is Source.KIS and not feed.account:
        yield document.problem(("feed",), "no-account")
    if feed.idle_timeout < LEAST_IDLE:
        found, allowed = duration_text(feed.idle_timeout.total_seconds()), f"≥ {LEAST_IDLE.total_seconds():g}s"
        yield document.problem(("feed", "idle_timeout"), "out-of-range", found=found, allowed=allowed)
    if feed.backoff.first > feed.backoff.max:
        yield document.problem(("feed", "backoff", "first"), "first-above-max")


def _check_addresses(settings: Settings, document: Document) -> Iterator[Problem]:
    feed = settings.feed
    for key, schemes, real in (
        ("rest_url", ("https",), REAL_REST_HOST),
        ("websocket_url", ("ws", "wss"), REAL_WEBSOCKET_HOST),
    ):
        url = _split(getattr(feed, key))
        if url is None or not _is_plain(url):
            yield document.problem(("feed", key), "not-a-url")
        elif _is_mock(url):
            yield document.problem(("feed", key), "mock-host")
        elif is_loopback(url.hostname or "") and url.scheme in (*schemes, "http" if key == "rest_url" else "ws"):
            continue
        elif not is_loopback(url.hostname or "") and url.hostname != real and not feed.allow_other_host:
            yield document.problem(("feed", key), "other-host", real=real)
        elif url.scheme not in schemes:  # app keys travel there: in clear text on this machine only
            yield document.problem(("feed", key), "wrong-scheme", allowed=", ".join(schemes))
    yield from _check_heartbeat(settings, document)
    listen = settings.http.listen
    if listen and ((url := _split(f"//{listen}")) is None or not url.port or not is_loopback(url.hostname or "")):
        yield document.problem(("http", "listen"), "not-loopback")


def _check_heartbeat(settings: Settings, document: Document) -> Iterator[Problem]:
    at = ("alerts", "heartbeat_url")
    if not (written := settings.alerts.heartbeat_url.get_secret_value()):
        if document.data.get("alerts", {}).get("heartbeat_url"):  # a `${NAME}` without a value
            yield document.problem(at, "empty")
        return
    url = _split(written)
    if url is None or not _is_plain(url) or not written.isprintable() or " " in written:
        yield document.problem(at, "not-a-url")
    elif url.scheme not in ("http", "https"):
        yield document.problem(at, "wrong-scheme", allowed="http, https")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts if parts.hostname else None


def _is_plain(url: SplitResult) -> bool:
    """ASCII, with a host whose labels DNS can carry."""
    labels = (url.hostname or "").rstrip(".").split(".")
    return url.geturl().isascii() and (":" in labels[0] or all(0 < len(label) < 64 for label in labels))


def _is_mock(url: SplitResult) -> bool:
    return url.hostname in MOCK_HOSTS or f"{url.hostname}:{url.port}" in MOCK_HOSTS


def _holds_literal_secret(data: Mapping[str, Any]) -> bool:
    """A key, or an address with a token in it, written out instead of named. `data` has been validated."""
    accounts = data.get("feed", {}).get("account", ())
    urls = [url for notifier in data.get("notifiers", {}).values() for url in notifier.get("urls", ())]
    urls.append(data.get("alerts", {}).get("heartbeat_url", ""))
    return any(
        not PLACEHOLDER.search(account[key]) for account in accounts for key in ("app_key", "app_secret")
    ) or any(map(_is_literal_secret_url, urls))


def _is_literal_secret_url(url: str) -> bool:
    """What is left without its `${NAME}`s holds a password, something as long as a token, or all of a foreign place."""
    left = PLACEHOLDER.sub("", url)
    login, at, _ = left.partition("://")[2].rpartition("@")
    password = bool(at) and bool(login.partition(":")[2])
    if password or _TOKEN.search(left):
        return True
    parts = _split(url)
    return bool(url) and left == url and (parts is None or not is_loopback(parts.hostname or ""))
