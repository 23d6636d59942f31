"""Speed, as ratios: cases that do the same work take turns in one run, and the median of their ratios is what counts.

Absolute figures belong to the machine and the moment; a ratio holds on both.
"""
