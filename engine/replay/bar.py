"""How far a replay is, on standard error where that is a terminal; and lines on standard output beside it."""

import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

_EVERY_S = 0.1
"""Between two drawings: the eye sees no more, and drawing is not what anybody waits for."""


class Bar:
    """Where both streams are terminals they are the same one, so lines wait for the bar to be taken away a moment."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._held: list[str] = []
        self._shares = out.isatty()
        self._drawn_at = 0.0
        self._bar = _bar(err) if err.isatty() else None
        self._task = None if self._bar is None else self._bar.add_task("")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self._release()

    def progress(self, done: int, total: int) -> None:
        """Bytes. A total of 0 is not known."""
        if self._bar is None or self._task is None or time.monotonic() - self._drawn_at < _EVERY_S:
            return
        self._drawn_at = time.monotonic()
        self._bar.update(self._task, completed=done, total=total or None)
        if self._held:
            self._bar.stop()
            self._release()
            self._bar.start()
        self._bar.refresh()

    def line(self, text: str) -> None:
        """One line for standard output."""
        if self._bar is not None and self._shares:
            self._held.append(text)
        else:
            self._out.write(f"{text}\n")

    def _release(self) -> None:
        self._out.writelines(f"{text}\n" for text in self._held)
        self._out.flush()
        self._held.clear()


def _bar(err: TextIO) -> Progress:
    """Drawn when there is something to draw: a thread of its own would take turns with the replay."""
    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(file=err),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
