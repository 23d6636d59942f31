"""Answers as faults change them. Pure: text in, texts out."""

import json
from collections.abc import Sequence

from engine.simulator.kinds import AnswerDoubled, AnswerHeader, AnswerLost, OfAnswers

_TR_IDS = {"null-text": "(null)", "null": None, "empty": ""}


def changed(texts: Sequence[str], fault: OfAnswers) -> list[str]:
    """What becomes of an answer; lateness and order are the caller's."""
    match fault:
        case AnswerLost():
            return []
        case AnswerDoubled():
            return [each for text in texts for each in (text, text)]
        case AnswerHeader():
            return [_with_header(text, fault.form) for text in texts]
        case _:
            return list(texts)


def _with_header(text: str, form: str) -> str:
    document = json.loads(text)
    if form == "missing":
        document.pop("header", None)
    elif "header" in document:
        document["header"]["tr_id"] = _TR_IDS[form]
    return json.dumps(document, separators=(",", ":"))
