"""System alerts about what the daemon reads and writes while it runs: rule files, silences, recording, database. Pure.

Each is told once when it goes wrong, once more when it goes wrong in another way, and once when it is right again.
"""

from collections.abc import Sequence
from enum import StrEnum

from engine.delivery.message import sign
from engine.delivery.notice import Notice, system_notice
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.problems import Problem
from engine.rules.model import Severity
from engine.text import unpinged

MAX_NAMED = 5
"""Errors that one message shows; `pgmwatch check` has them all."""
MAX_REASON = 200
_FINE_NS = 10 * SECOND_NS
"""A disk that is nearly full takes something now and then."""
_BETWEEN_NS = 600 * SECOND_NS
"""From one message of a disk's trouble to the next, where it was over in between: it must not fill a chat."""
AGAIN_NS = 60 * SECOND_NS
"""Least time between two messages of one kind: who edits a file saves it many times, and sees the errors in `check`."""


class What(StrEnum):
    """What can be in trouble; also the kind of its message."""

    RULES = "rules-refused"
    SILENCES = "silences-refused"
    NOTHING = "rules-none"
    PAST = "recording-unread"
    RECORDING = "recording-stopped"
    STORE = "store-stopped"
    SET_ASIDE = "database-set-aside"
    """For good, as the next: nothing ends it."""
    UNREAD = "store-unread"


_OVER = {
    What.RULES: "rules-read",
    What.SILENCES: "silences-read",
    What.NOTHING: "rules-some",
    What.PAST: "recording-read",
    What.RECORDING: "recording-goes-on",
    What.STORE: "store-goes-on",
}
_SEVERITIES = {
    What.STORE: Severity.CRITICAL,
    What.NOTHING: Severity.CRITICAL,
    What.SET_ASIDE: Severity.CRITICAL,
    What.UNREAD: Severity.CRITICAL,
}
_TITLES = {
    What.RULES: Text("Rules not taken over: {count} errors", "규칙 변경을 적용하지 못함: 오류 {count}건"),
    What.SILENCES: Text("Silences not taken over: {count} errors", "무음 설정을 적용하지 못함: 오류 {count}건"),
    What.NOTHING: Text("Nothing is watched", "감시하는 규칙 없음"),
    What.PAST: Text("Today's recording was not used", "오늘 기록을 쓰지 못함"),
    What.RECORDING: Text("Recording stopped", "기록 중단"),
    What.STORE: Text("Alerts are not stored", "알림을 저장하지 못함"),
    What.SET_ASIDE: Text("The database was set aside", "데이터베이스를 새로 만듦"),
    What.UNREAD: Text("The database cannot be read", "데이터베이스를 읽지 못함"),
}
_TITLES_OVER = {
    What.RULES: Text("Rules are right again", "규칙 오류 해결"),
    What.SILENCES: Text("Silences are right again", "무음 설정 오류 해결"),
    What.NOTHING: Text("Rules are in force again", "규칙 적용 재개"),
    What.PAST: Text("Today's recording is used again", "오늘 기록을 다시 씀"),
    What.RECORDING: Text("Recording goes on", "기록 재개"),
    What.STORE: Text("Alerts are stored again", "알림 저장 재개"),
}
_WHAT_IT_MEANS = {
    What.RULES: Text(
        "Nothing changed: the rules that were in force go on. `pgmwatch check` shows every error.",
        "바뀐 것은 없습니다. 이전 규칙이 그대로 동작합니다. 모든 오류는 `pgmwatch check`로 볼 수 있습니다.",
    ),
    What.SILENCES: Text(
        "Nothing changed: the silences that were in force go on.",
        "바뀐 것은 없습니다. 이전 무음 설정이 그대로 적용됩니다.",
    ),
    What.NOTHING: Text(
        "No rule is in force. {reason}",
        "적용 중인 규칙이 하나도 없습니다. {reason}",
    ),
    What.PAST: Text(
        "Windows that reach back behind this start are not known: {reason}",
        "이번 시작 이전에 걸친 기간 값은 알 수 없습니다: {reason}",
    ),
    What.RECORDING: Text(
        "Rules and alerts go on. After a restart, windows that reach into the hole are not known: {reason}",
        "규칙과 알림은 계속 동작합니다. 다시 시작하면 기록이 빈 구간에 걸친 기간 값은 알 수 없습니다: {reason}",
    ),
    What.STORE: Text(
        "Alerts go out as before. Should pgmwatch end before they are stored, the next start may repeat what was sent, "
        "and lose what still waits for a target: {reason}",
        "알림은 그대로 나갑니다. 저장되기 전에 pgmwatch가 끝나면 다음 시작에서 보낸 알림이 반복되거나 "
        "아직 보내지 못한 알림이 없어질 수 있습니다: {reason}",
    ),
    What.SET_ASIDE: Text(
        "{reason} A fresh one was made. Alerts from before this start, and how often they came, are in the old file "
        "only; what still waited for a target has not been sent. Where rules stand follows from today's recording.",
        "{reason} 새로 만들었습니다. 이번 시작 이전의 알림과 횟수는 옮겨 둔 파일에만 있고, 보내지 못하고 있던 알림은 "
        "나가지 않습니다. 규칙의 상태는 오늘 기록에서 다시 계산합니다.",
    ),
    What.UNREAD: Text(
        "Alerts from before this start are not known, and what still waited for a target is sent only after a start "
        "that can read it. Where rules stand follows from today's recording. {reason}",
        "이번 시작 이전의 알림을 알 수 없고, 보내지 못하고 있던 알림은 데이터베이스를 읽을 수 있을 때 다시 시작해야 "
        "나갑니다. 규칙의 상태는 오늘 기록에서 다시 계산합니다. {reason}",
    ),
}
_MORE = Text("… and {count} more", "… 외 {count}건")


SET_ASIDE = Text(
    "The database could not be used and was set aside as {name}.",
    "데이터베이스를 쓸 수 없어 {name}(으)로 옮겨 두었습니다.",
)


class Upkeep:
    """What is in trouble now. `notify`: names of the notifiers for system alerts."""

    def __init__(self, locale: Locale, notify: Sequence[str]) -> None:
        self._locale = locale
        self._notify = tuple(notify)
        self._now: dict[What, tuple[str, ...]] = {}
        self._told: dict[What, tuple[tuple[str, ...], int]] = {}
        self._fine: dict[What, int] = {}
        """Since when a disk's trouble that was told is no more."""
        self._began: dict[What, int] = {}
        """When a disk's trouble was last told to begin."""

    def problems(self, what: What, problems: Sequence[Problem], now: int) -> list[Notice]:
        """A file of the user was read: with these errors, or none."""
        return self._look(what, tuple(problem.text(self._locale) for problem in problems), now)

    def trouble(self, what: What, reason: str | None, now: int) -> list[Notice]:
        """Something of ours is as it should be (None) or is not."""
        return self._look(what, () if reason is None else (reason,), now)

    def disk(self, what: What, reason: str | None, now: int) -> list[Notice]:
        """A file of ours can be written (None) or cannot, by itself and maybe for a moment; call it every second."""
        is_told = what in self._told
        if reason is None:
            is_early = is_told and now - self._fine.setdefault(what, now) < _FINE_NS
        else:
            self._fine.pop(what, None)
            is_early = not is_told and now - self._began.get(what, now - _BETWEEN_NS) < _BETWEEN_NS
        if is_early:
            self._now[what] = () if reason is None else (reason,)
            return []
        found = self.trouble(what, reason, now)
        if found and not is_told:
            self._began[what] = now
        return found

    def troubled(self, what: What) -> tuple[str, ...]:
        """Why it is in trouble, a line each; empty: it is not."""
        return self._now.get(what, ())

    def _look(self, what: What, reasons: tuple[str, ...], now: int) -> list[Notice]:
        self._now[what] = reasons
        told, at = self._told.get(what, ((), 0))
        if not reasons:
            self._told.pop(what, None)
            return [self._over(what, now)] if told else []
        if reasons == told or (told and now - at < AGAIN_NS):
            return []
        self._told[what] = (reasons, now)
        return [self._wrong(what, reasons, now)]

    def _wrong(self, what: What, reasons: Sequence[str], now: int) -> Notice:
        severity = _SEVERITIES.get(what, Severity.WARNING)
        title = _TITLES[what].of(self._locale).format(count=len(reasons))
        meaning = _WHAT_IT_MEANS[what].of(self._locale)
        if what in (What.RULES, What.SILENCES):
            lines = [*map(_shown, reasons[:MAX_NAMED])]
            if len(reasons) > MAX_NAMED:
                lines.append(_MORE.of(self._locale).format(count=len(reasons) - MAX_NAMED))
            return self._notice(what, now, severity, title, "\n".join([*lines, meaning]))
        return self._notice(what, now, severity, title, meaning.format(reason=_shown(reasons[0])))

    def _over(self, what: What, now: int) -> Notice:
        title = _TITLES_OVER[what].of(self._locale)
        return self._notice(_OVER[what], now, Severity.INFO, title, "", resolved=True)

    def _notice(
        self, kind: str, now: int, severity: Severity, title: str, message: str, *, resolved: bool = False
    ) -> Notice:
        shown = f"{sign(severity, resolved=resolved)} pgmwatch · {title}"
        return system_notice(str(kind), now, severity, title=shown, message=message, notify=self._notify)


def _shown(reason: str) -> str:
    """A path or a name in it is of the user's choice, and a file may be called `@room`."""
    return unpinged(reason, MAX_REASON)
