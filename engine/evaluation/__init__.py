"""Records and time in, alerts out. Pure: no clock, no I/O, no logging, no tasks; `now` is always an argument.

The way of a record:

    engine.py       accepts it, or counts it as dropped; runs the ticks that are due before it
    series.py       the symbol's history of the day: what was known at which moment   (sums.py: of several symbols)
    watch.py        one rule on one symbol: metrics.py → conditions.py → lifecycle.py → Alert
    schedule.py     when a rule is awake          (quiet.py: when it is silenced)

What goes around it:

    roster.py       which rules look at which symbols; a reload builds another (fingerprint.py: who goes on as before)
    adoption.py     a longer history of a symbol, put before the one that is kept
    standing.py     what of a rule and symbol outlives the process   (checkpoint.py: all that does)
    explanation.py  why a rule is silent
"""
