"""Secrets taken out of whatever is about to be printed. Who reads or receives a secret adds it here."""

import base64
import json
import sys
import traceback
from types import TracebackType
from urllib.parse import quote, quote_plus

_MIN_SECRET = 6
"""Shorter texts stand in ordinary words: taking them out would spoil the log and protect nothing."""


class Redactor:
    """Knows the secrets of this process; takes them out of text, in whatever form they would be printed."""

    def __init__(self) -> None:
        self._secrets: dict[str, set[str]] = {}
        self._forms: list[str] = []

    def add(self, secret: str, *, instead_of: str = "") -> None:
        """`instead_of` names a place that holds one secret at a time, such as an account's approval key."""
        if len(secret) < _MIN_SECRET:
            return
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
        forms |= {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
        forms |= {form for shift in range(3) for form in _base64_forms(secret.encode(), shift)}
        self._secrets[instead_of or secret] = forms
        self._forms = sorted(set().union(*self._secrets.values()), key=len, reverse=True)

    def clean(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "***")
        return text


def _base64_forms(raw: bytes, shift: int) -> tuple[str, str]:
    """How `raw` looks inside a longer base64 text, such as a login's, `shift` bytes after a multiple of three."""
    padded = bytes(shift) + raw
    start, end = -(-shift * 8 // 6), len(padded) * 8 // 6  # characters that depend on `raw` alone
    return base64.b64encode(padded).decode()[start:end], base64.urlsafe_b64encode(padded).decode()[start:end]


redactor = Redactor()
"""One for the process: a log line may come from anywhere in it."""


def print_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For `sys.excepthook`: a defect of ours prints its traceback, and even that shows no secret."""
    sys.stderr.write(redactor.clean("".join(traceback.format_exception(kind, error, trace))))
