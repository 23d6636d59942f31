"""Records and time in, alerts out. Pure: no clock, no I/O, no logging, no tasks; `now` is always an argument.

The way of a record:

    engine.py       accepts it, or counts it as dropped; runs the ticks that are due before it
    series.py       the symbol's history of the day: what was known at which moment   (sums.py: of several symbols)
    watch.py        one rule on one symbol: metrics.py → conditions.py → lifecycle.py → Alert
    schedule.py     when a rule is awake
"""
