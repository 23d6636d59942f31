"""A longer memory of the same symbol and date, put before one's own: for windows that look further back than before."""

from bisect import bisect_left
from dataclasses import replace

from engine.evaluation.series import NEVER, Known, fell, heard_on


def merged(ours: Known, theirs: Known, until: int) -> Known:
    """Ours, with what came before it from theirs, who have heard all up to `until`.

    What both have heard we know ourselves. Where something would be missing between the two, ours stays as it is.
    """
    if until < ours.whole_from:
        return ours
    # What was lost and found since then, for want of a record of ours, has had no effect yet. Of a mark at that very
    # moment nobody knows whether they have heard it; to hear it twice changes nothing.
    theirs = heard_on(theirs, [mark for mark in ours.marks if mark[0] >= until])
    if ours.latest is None:
        return theirs
    if theirs.latest is None:
        return _with_their_marks(ours, theirs)
    earlier = bisect_left(theirs.times, ours.times[0] if ours.times else NEVER)
    # A blindness that theirs saw no end of ended with our first record, unless we saw it as well.
    ended = min(ours.first_at, theirs.blind_until)
    spans = {start: ended if end == NEVER else end for start, end in theirs.spans} | dict(ours.spans)
    longer = replace(
        ours,
        times=theirs.times[:earlier] + ours.times,
        records=theirs.records[:earlier] + ours.records,
        spans=tuple(sorted(spans.items())),
        whole_from=min(ours.whole_from, theirs.whole_from),
        up_since=ours.up_since if ours.marked else theirs.up_since,
    )
    return _with_start(longer, ours, theirs) if theirs.first_at <= ours.first_at else longer


def _with_start(longer: Known, ours: Known, theirs: Known) -> Known:
    """How the day began, when our first record was not the first, or we did not know that it counted from zero."""
    corrected_at = max(ours.corrected_at, theirs.corrected_at)
    heard_less = theirs.latest_at < ours.first_at
    if heard_less and theirs.latest is not None and ours.records and fell(theirs.latest, ours.records[0]):
        corrected_at = max(corrected_at, ours.first_at)
    return replace(longer, first_at=theirs.first_at, zero_until=theirs.zero_until, corrected_at=corrected_at)


def _with_their_marks(ours: Known, theirs: Known) -> Known:
    """No record came before ours; but they know of marks from before us, and whether it was subscribed at the open."""
    before_open = theirs.up_since is not None and theirs.up_since < theirs.zero_until  # the open: they have no record
    return replace(
        ours,
        zero_until=NEVER if before_open else ours.zero_until,
        up_since=ours.up_since if ours.marked else theirs.up_since,
    )
