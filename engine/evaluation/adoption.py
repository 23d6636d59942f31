"""A longer memory of the same symbol and date, put before one's own: for windows that look further back than before."""

from bisect import bisect_left
from dataclasses import replace

from engine.evaluation.series import NEVER, Known, fell


def merged(ours: Known, theirs: Known, until: int) -> Known:
    """Ours, with what came before it from theirs, who have heard all up to `until`.

    What both have heard we know ourselves. Where something would be missing between the two, ours stays as it is.
    """
    if theirs.latest is None or until < ours.whole_from:
        return ours
    if ours.latest is None:
        return theirs
    earlier = bisect_left(theirs.times, ours.times[0] if ours.times else NEVER)
    # A blindness that theirs saw no end of ended with our first record, unless we saw it as well.
    spans = {start: ours.first_at if end == NEVER else end for start, end in theirs.spans} | dict(ours.spans)
    longer = replace(
        ours,
        times=theirs.times[:earlier] + ours.times,
        records=theirs.records[:earlier] + ours.records,
        spans=tuple(sorted(spans.items())),
        whole_from=min(ours.whole_from, theirs.whole_from),
    )
    return _with_start(longer, ours, theirs) if theirs.first_at < ours.first_at else longer


def _with_start(longer: Known, ours: Known, theirs: Known) -> Known:
    """How the day began, when our first record was not the first."""
    corrected_at = max(ours.corrected_at, theirs.corrected_at)
    heard_less = theirs.latest_at < ours.first_at
    if heard_less and theirs.latest is not None and ours.records and fell(theirs.latest, ours.records[0]):
        corrected_at = max(corrected_at, ours.first_at)
    return replace(longer, first_at=theirs.first_at, zero_until=theirs.zero_until, corrected_at=corrected_at)
