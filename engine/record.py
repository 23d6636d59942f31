"""One record of the program-trading feed, and the names of its fields.

The only thing that the feed, the simulator and the evaluation share: what the broker calls H0STPGM0, eleven columns.
"""

from typing import NamedTuple


class Record(NamedTuple):
    """One line of program trading for one stock, in the broker's column order.

    Volumes and resting quantities are shares, values are won. `sell_*` and `buy_*` add up over the day; the resting
    fields are levels. The net fields are the broker's own: they are never derived here.
    """

    symbol: str
    """Short code: six ASCII letters and digits for a stock (`005930`, `0162Z0`), a few more for other securities."""
    time: str
    """HHMMSS, KST, without a date."""
    sell_volume: int
    sell_value: int
    buy_volume: int
    buy_value: int
    net_volume: int
    net_value: int
    sell_resting: int
    buy_resting: int
    net_resting: int


FIELDS = Record._fields
