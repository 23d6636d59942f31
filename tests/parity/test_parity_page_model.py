"""The second implementation against the page: a small worked example a sentence, the alerts worked out by hand.

Each example goes through the product as well, so that nobody has to ask of which of the two it is true.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from page_model import replay
from page_recording import SECOND, at, records
from page_rules import duration, load, number
from parity_desk import by_product
from streams import Case

DATE = "2026-11-20"
A, B = "005930", "000660"


def ns(time: str, date: str = DATE) -> int:
    """`09:10:00.5` → ns."""
    whole, _, part = time.partition(".")
    return at(date, whole) + int(f"0.{part or 0}"[2:].ljust(9, "0"))


def row(time: str, symbol: str = A, /, *, own: str = "", **fields: int) -> str:
    """The columns of one record; net fields follow from the others, unless given."""
    get = fields.get
    columns = [
        get("sell", 0), get("sell_value", 0), get("buy", 0), get("buy_value", 0),
        get("net", get("buy", 0) - get("sell", 0)), get("net_value", get("buy_value", 0) - get("sell_value", 0)),
        get("asked", 0), get("bid", 0), get("bid", 0) - get("asked", 0),
    ]  # fmt: skip
    return "^".join([symbol, own or time[:8].replace(":", ""), *map(str, columns)])


def rec(time: str, symbol: str = A, /, *, own: str = "", date: str = DATE, **fields: int) -> str:
    """A line with a frame of one record."""
    return f"{ns(time, date)} 0|H0STPGM0|001|{row(time, symbol, own=own, **fields)}"


def frame(time: str, *rows: str) -> str:
    return f"{ns(time)} 0|H0STPGM0|{len(rows):03d}|{'^'.join(rows)}"


def mark(time: str, what: str, date: str = DATE) -> str:
    return f"{ns(time, date)} #{what}"


def rule(rest: str, name: str = "r", symbols: str = f'["{A}"]') -> str:
    return f'[[rule]]\nname = "{name}"\nsymbols = {symbols}\n{rest}\n'


def alerts(rules: str | dict[str, str], *lines: str) -> list[dict[str, object]]:
    """By both."""
    files = {"rules.toml": rules} if isinstance(rules, str) else rules
    pieces: dict[str, tuple[str, ...]] = {name: ("", text) for name, text in files.items()}
    case = Case(0, pieces, lines, ("09:00", "15:30"), {"2026-11-19": ("10:00", "16:30")})
    said = replay(case.texts, case.recording, case.hours_of)
    with TemporaryDirectory() as folder:
        assert by_product(case, Path(folder)) == [json.dumps(alert, ensure_ascii=False) for alert in said]
    return said


def told(rules: str, *lines: str) -> list[str]:
    """`firing 09:10:05 (since 09:10:00)`, as short as it goes."""
    said = []
    for alert in alerts(rules, *lines):
        when, since = (str(alert[key])[11:].removesuffix("+09:00").removesuffix(".000000") for key in ("at", "since"))
        words = [str(alert["state"]), when]
        words += [f"(since {since})"] if since != when else []
        words += [f"#{alert['repeat']}"] if alert["repeat"] else []
        words += [f"no: {alert['suppressed']}"] if alert["suppressed"] else []
        said.append(" ".join(words))
    return said


OVER = 'metric = "buy_volume"\nabove = 10'
FLOW = 'metric = "buy_volume"\nwindow = "10s"\nabove = 10'
UP = 'metric = "net_volume"\ncrosses_above = 0'


# thresholds, units, frames


def test_units_are_exact() -> None:
    assert [number(text) for text in ("3만", "3만주", "-1.5조", "50억원", "0.00001만")] == [
        30_000, 30_000, -1_500_000_000_000, 5_000_000_000, number("0.1"),
    ]  # fmt: skip
    assert duration("1h30m") == 5400 * SECOND


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (f"0|H0STPGM0|001|{row('09:10:00')}", 1),
        (f"0|H0NXPGM0|1|{row('09:10:00')}", 1),
        (f"0|H0UNPGM0|002|{row('09:10:00')}^{row('09:10:00')}", 2),
        (f"0|H0UNPGM0|002|{row('09:10:00')}^x^{row('09:10:00')}^", 2),  # an appended field, an empty one at the end
        (f"0|H0STPGM0|002|{row('09:10:00')}^{row('09:10:00')}^", 2),  # does not divide until the empty one is dropped
        (f"0|H0STPGM0|002|{row('09:10:00')}^{row('09:10:00')}^x", 0),
        (f"0|H0STPGM0|002|{row('09:10:00')}", 0),
        (f"0|H0STPGM0|000|{row('09:10:00')}", 0),
        (f"1|H0STPGM0|001|{row('09:10:00')}", 0),
        (f"0|H0STCNT0|001|{row('09:10:00')}", 0),
        (f"0|H0STPGM0|001|{row('09:10:00', sell=5).replace('^5^', '^+5^')}", 0),
        (f"0|H0STPGM0|001|{row('09:10:00', sell=5).replace('^5^', '^^')}", 0),
        (f"0|H0STPGM0|001|{row('09:10:00', sell=5).replace('^5^', '^-5^')}", 1),
        (f"0|H0STPGM0|001|{row('09:10:00', own='096000')}", 0),
        (f"0|H0STPGM0|001|{row('09:10:00', own='091100')}", 1),  # 60 s ahead
        (f"0|H0STPGM0|001|{row('09:10:00', own='091101')}", 0),
        (f"0|H0STPGM0|002|{row('09:10:00', own='091101')}^{row('09:10:00')}", 1),  # the others of its frame are kept
    ],
)
def test_frames(content: str, count: int) -> None:
    assert len(records(content, ns("09:10:00"))) == count


def test_symbols_as_resolved_and_files_by_name() -> None:
    rules = load(
        {
            "b.toml": '[groups]\ng = ["1", "2"]\n' + rule(OVER, "b", '["2", "@g"]'),
            "a.toml": rule(OVER, "a", '["*"]\nexclude = ["2"]') + rule(OVER, "off", '["9"]\nenabled = false'),
        }
    )
    assert [(r.name, [subject.name for subject in r.subjects]) for r in rules] == [("a", ["1"]), ("b", ["2", "1"])]


def test_a_sum_is_called_as_its_group_or_as_its_rule() -> None:
    groups = '[groups]\ng = ["1"]\n'
    one = load({"a.toml": groups + rule(OVER, "a", '["@g"]\naggregate = "sum"')})
    two = load({"a.toml": groups + rule(OVER, "a", '["@g", "2"]\naggregate = "sum"')})
    assert [one[0].subjects[0].name, two[0].subjects[0].name] == ["@g", "a"]


# life


def test_a_value_over_the_threshold_fires_at_once_with_all_that_an_alert_says() -> None:
    assert alerts(rule(OVER + '\nlabels = { desk = "1" }'), rec("09:10:00.5", buy=11)) == [
        {
            "rule": "r", "symbol": A, "state": "firing", "at": "2026-11-20T09:10:00.500000+09:00",
            "since": "2026-11-20T09:10:00.500000+09:00", "severity": "warning", "repeat": 0, "suppressed": None,
            "values": {"buy_volume": 11}, "labels": {"desk": "1"},
        }
    ]  # fmt: skip


def test_for_counts_from_the_record_and_is_seen_at_the_first_tick_after_it() -> None:
    assert told(rule(OVER + '\nfor = "5s"'), rec("09:10:00.5", buy=11), mark("09:10:20", "alive")) == [
        "firing 09:10:06 (since 09:10:00.500000)"
    ]


def test_a_record_exactly_at_the_end_of_for_is_soon_enough() -> None:
    lines = (rec("09:10:00.5", buy=11), rec("09:10:05.5", buy=12))
    assert told(rule(OVER + '\nfor = "5s"'), *lines) == ["firing 09:10:05.500000 (since 09:10:00.500000)"]


def test_not_met_while_pending_ends_it() -> None:
    lines = (rec("09:10:00", bid=11), rec("09:10:03", bid=10), rec("09:10:04", bid=11), mark("09:10:20", "alive"))
    assert told(rule('metric = "buy_resting"\nabove = 10\nfor = "5s"'), *lines) == ["firing 09:10:09 (since 09:10:04)"]


def test_resolved_at_the_first_evaluation_that_is_not_met() -> None:
    lines = (rec("09:10:00", bid=11), rec("09:10:03.5", bid=10))
    assert told(rule('metric = "buy_resting"\nabove = 10\nresolved = true'), *lines) == [
        "firing 09:10:00", "resolved 09:10:03.500000 (since 09:10:00)",
    ]  # fmt: skip


def test_keep_firing_for_runs_from_the_first_not_met_and_met_again_cancels_it() -> None:
    lines = (
        rec("09:10:00", bid=11), rec("09:10:02", bid=1), rec("09:10:04", bid=11), rec("09:10:06", bid=1),
        rec("09:10:08", bid=2), mark("09:10:20", "alive"),
    )  # fmt: skip
    text = rule('metric = "buy_resting"\nabove = 10\nresolved = true\nkeep_firing_for = "5s"')
    assert told(text, *lines) == ["firing 09:10:00", "resolved 09:10:11 (since 09:10:00)"]


def test_undefined_ends_a_pending_one_and_leaves_a_firing_one_whose_clock_runs_on() -> None:
    # known from 09:10:12 on (first record at :02); the correction at :22 makes the window undefined until 09:10:32
    flow = 'metric = "buy_volume"\nwindow = "10s"\nbelow = 5'
    lines = (
        rec("09:10:02", buy=100), rec("09:10:18", buy=200), rec("09:10:22", buy=150), rec("09:10:30", buy=180),
        mark("09:10:50", "alive"),
    )  # fmt: skip
    # :12 change 0 → firing; :18 change 100 → first not met; undefined in [22, 32); :32 change since :22 is 30: not met
    assert told(rule(flow + '\nresolved = true\nkeep_firing_for = "6s"'), *lines) == [
        "firing 09:10:12", "resolved 09:10:32 (since 09:10:12)", "firing 09:10:40",
    ]  # fmt: skip
    # pending since :12 is ended at :18; at :40 the change since :30 is 0
    assert told(rule(flow + '\nfor = "8s"'), *lines) == ["firing 09:10:48 (since 09:10:40)"]


def test_a_correction_undefines_and_so_ends_what_is_pending() -> None:
    flow = 'metric = "buy_volume"\nwindow = "5s"\nabove = -1\nfor = "4s"'
    lines = (rec("09:10:00", buy=100), rec("09:10:07", buy=90), mark("09:10:30", "alive"))
    assert told(rule(flow), *lines) == ["firing 09:10:16 (since 09:10:12)"]


def test_cooldown_is_suppressed_and_sent_when_it_is_over_if_still_firing_and_met() -> None:
    lines = (rec("09:10:00", bid=11), rec("09:10:02", bid=1), rec("09:10:04", bid=11), mark("09:10:20", "alive"))
    text = rule('metric = "buy_resting"\nabove = 10\nresolved = true\ncooldown = "10s"')
    assert told(text, *lines) == [
        "firing 09:10:00", "resolved 09:10:02 (since 09:10:00)", "firing 09:10:04 no: cooldown",
        "firing 09:10:10 (since 09:10:04)",
    ]  # fmt: skip


def test_a_firing_that_was_never_sent_has_no_resolved_and_no_repeats() -> None:
    lines = (
        rec("09:10:00", bid=11), rec("09:10:02", bid=1), rec("09:10:04", bid=11), rec("09:10:08", bid=1),
        mark("09:10:20", "alive"),
    )  # fmt: skip
    text = rule('metric = "buy_resting"\nabove = 10\nresolved = true\ncooldown = "10s"\nrepeat = "3s"')
    assert told(text, *lines) == [
        "firing 09:10:00", "resolved 09:10:02 (since 09:10:00)", "firing 09:10:04 no: cooldown",
    ]  # fmt: skip


def test_max_per_day_counts_what_was_sent_and_one_reason_giving_way_to_another_says_nothing() -> None:
    lines = (rec("09:10:00", bid=11), rec("09:10:02", bid=1), rec("09:10:04", bid=11), mark("09:10:20", "alive"))
    text = rule('metric = "buy_resting"\nabove = 10\ncooldown = "5s"\nmax_per_day = 1')
    assert told(text, *lines) == ["firing 09:10:00", "firing 09:10:04 no: cooldown"]
    text = rule('metric = "buy_resting"\nabove = 10\nmax_per_day = 1')
    assert told(text, *lines) == ["firing 09:10:00", "firing 09:10:04 no: max_per_day"]


def test_repeats_while_firing_and_met_from_the_last_message() -> None:
    lines = (rec("09:10:00.5", bid=11), rec("09:10:09.7", bid=1), rec("09:10:12", bid=11), mark("09:10:14", "alive"))
    text = rule('metric = "buy_resting"\nabove = 10\nkeep_firing_for = "1m"\nrepeat = "4s"\ncooldown = "1h"')
    assert told(text, *lines) == [
        "firing 09:10:00.500000", "firing 09:10:05 (since 09:10:00.500000) #1",
        "firing 09:10:09 (since 09:10:00.500000) #2", "firing 09:10:13 (since 09:10:00.500000) #3",
    ]  # fmt: skip


# conditions


@pytest.mark.parametrize(
    ("operator", "levels", "held"),
    [
        ("above = 5", [5, 6], [6]),
        ("at_least = 5", [4, 5], [5]),
        ("below = 5", [5, 4], [4]),
        ("at_most = 5", [6, 5], [5]),
        ("outside = [3, 5]", [3, 5, 2, 4, 6], [2, 6]),
        ("inside = [3, 5]", [2, 3, 6, 5, 2, 4], [3, 5, 4]),
        ("above = 5\nreset = 3", [5, 6, 4, 5, 3, 4, 6], [6, 6]),
        ("at_least = 5\nreset = 3", [5, 4, 3, 4, 2, 4, 5], [5, 5]),
        ("below = 5\nreset = 7", [5, 4, 6, 7, 6, 4], [4, 4]),
        ("at_most = 5\nreset = 7", [6, 5, 7, 8, 7, 5], [5, 5]),
        ("crosses_above = 5", [6, 5, 6, 7, 5, 6], [6, 6]),
        ("crosses_below = 5", [4, 5, 4, 3, 5, 4], [4, 4]),
        ("crosses_above = 5\nreset = 3", [5, 6, 4, 6, 3, 6], [6, 6]),
        ("crosses_below = 5\nreset = 7", [5, 4, 6, 4, 7, 4], [4, 4]),
    ],
)
def test_operators(operator: str, levels: list[int], held: list[int]) -> None:
    lines = [rec(f"09:10:{second:02d}", bid=level) for second, level in enumerate(levels)]
    said = alerts(rule(f'metric = "buy_resting"\n{operator}'), *lines)
    assert [alert["values"] for alert in said] == [{"buy_resting": level} for level in held]


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        ("sell_volume", 10), ("buy_volume", 30), ("net_volume", 20), ("total_volume", 40), ("imbalance", 0.5),
        ("sell_value", 100), ("buy_value", 200), ("net_value", 100), ("total_value", 300),
        ("value_imbalance", 100 / 300), ("sell_resting", 1), ("buy_resting", 3), ("net_resting", 2),
        ("resting_imbalance", 0.5),
    ],
)  # fmt: skip
def test_metrics(metric: str, shown: float) -> None:
    line = rec("09:10:00", sell=10, buy=30, sell_value=100, buy_value=200, asked=1, bid=3)
    assert [alert["values"] for alert in alerts(rule(f'metric = "{metric}"\nabove = 0'), line)] == [{metric: shown}]


def test_a_ratio_over_nothing_is_zero_and_net_fields_are_as_given() -> None:
    assert alerts(rule('metric = "imbalance"\nat_most = 0'), rec("09:10:00"))[0]["values"] == {"imbalance": 0.0}
    given = alerts(rule('metric = "imbalance"\nabove = 0'), rec("09:10:00", buy=10, net=5))
    assert given[0]["values"] == {"imbalance": 0.5}


def test_a_windowed_ratio_with_a_negative_part_is_undefined_but_a_windowed_total_is_not() -> None:
    lines = (mark("08:50:00", "up *"), rec("09:10:00", buy=10, sell=-2))
    assert told(rule('metric = "imbalance"\nwindow = "1m"\nabove = -9'), *lines) == []
    assert told(rule('metric = "total_volume"\nwindow = "1m"\nabove = -9'), *lines) == ["firing 09:10:00"]


def test_values_stand_once_a_key_in_written_order_and_null_where_undefined() -> None:
    text = rule(
        'any = [{ metric = "buy_volume", window = "60s", above = 1 }, { metric = "buy_volume", above = 1 },'
        '{ all = [{ metric = "buy_volume", below = 9 }, { metric = "buy_volume", window = "1m", above = 2 }] }]'
    )
    values = alerts(text, rec("09:10:00", buy=5))[0]["values"]
    assert isinstance(values, dict)
    assert list(values.items()) == [("buy_volume[60s]", None), ("buy_volume", 5), ("buy_volume[1m]", None)]


@pytest.mark.parametrize(
    ("logic", "parts", "fires"),
    [
        ("all", "TT", True), ("all", "TU", False), ("any", "TU", True), ("any", "FU", False), ("none", "FF", True),
        ("none", "FU", False), ("none", "TU", False),
    ],
)  # fmt: skip
def test_three_values(logic: str, parts: str, fires: bool) -> None:
    written = {
        "T": '{ metric = "buy_volume", above = 1 }', "F": '{ metric = "buy_volume", below = 1 }',
        "U": '{ metric = "buy_volume", window = "1m", above = 1 }',
    }  # fmt: skip
    text = rule(f"{logic} = [{', '.join(written[part] for part in parts)}]")
    assert bool(told(text, rec("09:10:00", buy=5))) is fires


def test_an_event_is_told_each_time_and_needs_a_defined_value_before() -> None:
    lines = (rec("09:10:00", buy=5), rec("09:10:01", buy=5, sell=5), rec("09:10:02.2", buy=6, sell=5))
    assert told(rule(UP), *lines) == ["firing 09:10:02.200000"]


def test_an_event_within_cooldown_or_beyond_max_per_day_is_suppressed() -> None:
    lines = [
        rec(f"09:10:{second:02d}", buy=20 + second // 2 * 2, sell=20 + (second + 1) // 2 * 2 - 1) for second in range(8)
    ]
    # net: 1, -1+…: below zero at odd seconds, above at even ones
    assert told(rule(UP + '\ncooldown = "4s"'), *lines) == [
        "firing 09:10:02", "firing 09:10:04 no: cooldown", "firing 09:10:06",
    ]  # fmt: skip
    assert told(rule(UP + "\nmax_per_day = 1"), *lines)[1:] == [
        "firing 09:10:04 no: max_per_day", "firing 09:10:06 no: max_per_day",
    ]  # fmt: skip


def test_a_met_event_rule_without_a_crossing_at_that_moment_says_nothing() -> None:
    text = rule('any = [{ metric = "net_volume", crosses_above = 0 }, { metric = "buy_volume", above = 1 }]')
    lines = (rec("09:10:00", buy=5, sell=6), rec("09:10:01", buy=7, sell=6), rec("09:10:02", buy=8, sell=6))
    assert told(text, *lines) == ["firing 09:10:01"]


def test_nothing_crosses_zero_at_the_open_but_resting_levels_may() -> None:
    lines = (
        rec("08:59:00"),
        rec("09:00:01", buy=5, bid=5),
        rec("09:00:02", buy=5, sell=6),
        rec("09:00:03", buy=7, sell=6),
    )
    assert told(rule(UP), *lines) == ["firing 09:00:03"]
    sleepless = 'metric = "net_resting"\ncrosses_above = 0\nactive = ["08:00~15:30"]'
    assert told(rule(sleepless), *lines) == ["firing 09:00:01"]


def test_memories_stay_while_undefined() -> None:
    flow = 'metric = "buy_volume"\nwindow = "5s"\ncrosses_above = 10'
    lines = (
        mark("09:09:00", "up *"), rec("09:10:00", buy=1), mark("09:10:08", "down *"), rec("09:10:20", buy=50),
        mark("09:10:30", "alive"),
    )  # fmt: skip
    # 0 at :05…:07; windows start inside the blindness (8, 20) until :25, when the change since :20 is 0 again
    assert told(rule(flow), *lines) == []
    more = (*lines[:4], rec("09:10:22", buy=70), mark("09:10:30", "alive"))
    assert told(rule(flow), *more) == ["firing 09:10:25"]


# windows


def test_a_window_is_known_when_a_record_lies_before_it() -> None:
    lines = (rec("09:10:00", buy=100), rec("09:10:09", buy=111), mark("09:10:20", "alive"))
    assert told(rule(FLOW + "\nresolved = true"), *lines) == ["firing 09:10:10", "resolved 09:10:19 (since 09:10:10)"]


def test_counters_start_the_day_at_zero_for_windows_that_begin_before_the_open() -> None:
    flow = 'metric = "buy_volume"\nwindow = "1m"\nabove = 10'
    assert told(rule(flow), rec("09:00:59.9", buy=11)) == ["firing 09:00:59.900000"]
    assert told(rule(flow), rec("09:01:00.5", buy=11)) == []  # starts after the open, and nobody knows since when
    late = rec("10:00:59.9", buy=11, date="2026-11-19")
    assert told(rule(flow), late) == ["firing 10:00:59.900000"]  # that date's open


def test_a_symbol_subscribed_since_before_the_open_has_a_known_start() -> None:
    late = rec("09:05:00", buy=11)
    assert told(rule(FLOW), mark("08:59:59", f"up {A}"), late) == ["firing 09:05:00"]
    assert told(rule(FLOW), mark("08:59:59", "up *"), late) == ["firing 09:05:00"]
    assert told(rule(FLOW), mark("09:00:00", f"up {A}"), late) == []
    assert told(rule(FLOW), mark("08:59:59", f"up {B}"), late) == []
    assert told(rule(FLOW), mark("08:59:58", "up *"), mark("08:59:59", "down *"), mark("09:00:00", "up *"), late) == []
    assert told(rule(FLOW), mark("08:59:58", "up *"), mark("09:01:00", "start"), late) == []
    assert told(rule(FLOW), mark("08:59:58", "up *"), mark("09:01:00", f"down {B}"), late) == ["firing 09:05:00"]


def test_a_first_record_before_the_open_makes_the_start_known() -> None:
    text = rule(FLOW + '\nactive = ["08:00~15:30"]')
    assert told(text, rec("08:59:00", buy=11)) == ["firing 08:59:00"]
    assert told(rule(FLOW), rec("08:59:55"), rec("09:00:02", buy=11)) == ["firing 09:00:02"]


def test_the_change_of_a_resting_level_needs_a_record_before_the_window() -> None:
    flow = 'metric = "buy_resting"\nwindow = "10s"\nabove = 10'
    lines = (mark("08:50:00", "up *"), rec("09:00:01", bid=11), rec("09:00:11", bid=22))
    assert told(rule(flow), *lines) == ["firing 09:00:11"]


def test_equal_receive_times_stand_in_order_and_a_lower_one_counts_as_the_last() -> None:
    lines = (rec("09:10:10", bid=1), rec("09:10:09", bid=11, own="091010"))
    assert told(rule('metric = "buy_resting"\nabove = 10'), *lines) == ["firing 09:10:10"]


def test_records_of_one_frame_are_evaluated_one_after_the_other() -> None:
    line = frame("09:10:00", row("09:10:00", bid=11), row("09:10:00", bid=1), row("09:10:00", bid=12))
    said = told(rule('metric = "buy_resting"\nabove = 10\nresolved = true'), line)
    assert said == ["firing 09:10:00", "resolved 09:10:00", "firing 09:10:00"]


def test_a_record_out_of_order_is_none() -> None:
    lines = (rec("09:10:10", bid=1), rec("09:10:11", bid=11, own="091009"), rec("09:10:12", bid=12, own="091010"))
    assert told(rule('metric = "buy_resting"\nabove = 10'), *lines) == ["firing 09:10:12"]


def test_a_correction_empties_the_memories() -> None:
    held = 'metric = "buy_volume"\nabove = 10\nreset = 5\nresolved = true'
    fall = (rec("09:10:00", buy=11), rec("09:10:01", buy=8))
    assert told(rule(held), *fall) == ["firing 09:10:00", "resolved 09:10:01 (since 09:10:00)"]
    lines = (
        rec("09:10:00", buy=1, sell=2),
        rec("09:10:01", buy=1),
        rec("09:10:02", buy=2, sell=3),
        rec("09:10:03", buy=4, sell=3),
    )
    assert told(rule(UP), *lines) == ["firing 09:10:03"]


# order


def test_a_frame_at_a_whole_second_comes_before_its_tick_and_the_last_tick_after_the_last_line() -> None:
    text = rule('metric = "buy_resting"\nabove = 10\nfor = "1s"')
    assert told(text, rec("09:10:00", bid=11), rec("09:10:01", bid=1)) == []
    assert told(text, rec("09:10:00", bid=11), mark("09:10:00.1", "alive")) == ["firing 09:10:01 (since 09:10:00)"]
    assert told(text, rec("09:10:00", bid=11)) == []


def test_alerts_of_one_tick_stand_by_file_rule_and_symbol() -> None:
    flow = 'metric = "buy_resting"\nwindow = "5s"\nat_least = 0'
    files = {
        "b.toml": rule(flow, "b1", f'["{B}", "{A}"]') + rule(flow, "b2"),
        "a.toml": rule(flow, "a1", f'["{A}", "{B}"]'),
    }
    lines = [rec("09:10:00"), rec("09:10:00", B), mark("09:10:09", "alive")]
    said = [(alert["rule"], alert["symbol"]) for alert in alerts(files, *lines)]
    assert said == [("a1", A), ("a1", B), ("b1", B), ("b1", A), ("b2", A)]


# sums


def both(rest: str) -> str:
    return f'[groups]\ng = ["{A}", "{B}"]\n' + rule(f'aggregate = "sum"\n{rest}', symbols='["@g"]')


def test_a_sum_is_over_those_with_a_record() -> None:
    said = alerts(both(OVER), rec("09:10:00", buy=6), rec("09:10:01", B, buy=5))
    assert [(alert["symbol"], alert["at"], alert["values"]) for alert in said] == [
        ("@g", "2026-11-20T09:10:01.000000+09:00", {"buy_volume": 11})
    ]


def test_a_window_of_a_sum_needs_every_member_that_has_a_record() -> None:
    lines = (rec("09:10:00", buy=6), rec("09:10:05", B, buy=5), rec("09:10:12", buy=66), mark("09:10:20", "alive"))
    assert told(both(FLOW), *lines) == ["firing 09:10:15"]


def test_a_first_record_with_unknown_start_empties_the_memories_of_a_sum() -> None:
    lines = (rec("09:10:00", buy=1, sell=2), rec("09:10:01", B, buy=5))
    assert told(both(UP), *lines) == []
    assert told(both(UP), mark("08:59:00", f"up {B}"), *lines) == ["firing 09:10:01"]


def test_a_first_record_exactly_at_the_open_did_not_come_before_it() -> None:
    text = both(UP + '\nactive = ["08:00~15:30"]')
    before = rec("08:59:00", buy=1, sell=2)
    assert told(text, before, rec("09:00:00", B, buy=5)) == []
    assert told(text, before, rec("08:59:59.9", B, buy=5)) == ["firing 08:59:59.900000"]


# blindness


def test_blind_until_the_next_record_and_what_was_pending_starts_anew() -> None:
    text = rule(OVER + '\nfor = "5s"')
    lines = (rec("09:10:00", buy=11), mark("09:10:02", "down *"), rec("09:10:10.5", buy=12), mark("09:10:20", "alive"))
    assert told(text, *lines) == ["firing 09:10:16 (since 09:10:10.500000)"]


def test_blind_until_two_minutes_after_the_up_that_names_it() -> None:
    text = rule(OVER + '\nfor = "5s"')
    lines = (
        rec("09:10:00", buy=11),
        mark("09:10:02", "down *"),
        mark("09:10:10.5", f"up {A}"),
        mark("09:20:00", "alive"),
    )
    assert told(text, *lines) == ["firing 09:12:16 (since 09:12:11)"]
    assert told(text, *lines[:2], mark("09:10:10.5", f"up {B}"), lines[3]) == []
    again = (*lines[:3], mark("09:12:10.4", f"down {A}"), lines[3])
    assert told(text, *again) == []


def test_one_without_a_record_that_day_cannot_be_blind() -> None:
    lines = (mark("09:09:00", f"down {B}"), rec("09:10:00", buy=11), mark("09:10:20", "alive"))
    assert told(both(OVER + '\nfor = "5s"'), *lines) == ["firing 09:10:05 (since 09:10:00)"]


def test_a_window_that_starts_inside_a_blind_span_is_undefined_and_its_ends_are_not_inside() -> None:
    flow = 'metric = "buy_volume"\nwindow = "10s"\nat_least = 0'
    lines = (rec("09:10:10", buy=0), mark("09:10:20", "down *"), rec("09:10:25", buy=100), mark("09:10:50", "alive"))
    # known from :25 to :30, whose window starts at the loss, and again from :35, whose window starts at the record
    assert told(rule(flow + '\nfor = "5s"'), *lines) == ["firing 09:10:30 (since 09:10:25)"]
    assert told(rule(flow + '\nfor = "6s"'), *lines) == ["firing 09:10:41 (since 09:10:35)"]


def test_start_makes_all_blind_since_the_line_before_and_skips_the_ticks_between() -> None:
    text = rule(OVER + '\nfor = "5s"')
    lines = (rec("09:10:00", buy=11), mark("09:10:10", "start"), mark("09:10:20", "alive"))
    assert told(text, *lines) == []
    assert told(text, *lines, rec("09:10:21", buy=12), mark("09:10:30", "alive")) == [
        "firing 09:10:26 (since 09:10:21)"
    ]


def test_a_restart_is_a_gap_for_what_was_pending_also_before_any_blindness_has_ended() -> None:
    text = both(OVER + '\nfor = "5s"')
    lines = (rec("09:10:00", buy=11), mark("09:10:02", "start"), rec("09:10:06", B, buy=2), rec("09:10:11", B, buy=3))
    assert told(text, *lines) == ["firing 09:10:11 (since 09:10:06)"]
    assert told(text, lines[0], mark("09:10:02", "down *"), lines[2]) == ["firing 09:10:06 (since 09:10:00)"]


def test_a_sum_sleeps_at_ticks_while_a_member_is_blind_but_records_of_the_others_evaluate_it() -> None:
    lines = (
        rec("09:10:00", buy=1), rec("09:10:00", B, buy=1), mark("09:10:01", f"down {A}"), rec("09:10:02", B, buy=20),
        rec("09:10:09", B, buy=20), rec("09:10:10", buy=1), mark("09:10:30", "alive"),
    )  # fmt: skip
    assert told(both(OVER + '\nfor = "5s"'), *lines) == ["firing 09:10:09 (since 09:10:02)"]
    assert told(both(OVER + '\nfor = "8s"'), *lines) == ["firing 09:10:18 (since 09:10:10)"]


def test_a_sleep_that_the_daemon_slept_through_forgets_nothing() -> None:
    text = rule('metric = "buy_resting"\nabove = 10\nresolved = true\nactive = ["09:00~09:05", "09:10~15:30"]')
    lines = (rec("09:04:00", bid=11), mark("09:12:00", "start"), rec("09:12:01", bid=1))
    assert told(text, *lines) == ["firing 09:04:00", "resolved 09:12:01 (since 09:04:00)"]
    assert told(text, lines[0], mark("09:12:00", "alive"), lines[2]) == [
        "firing 09:04:00", "firing 09:10:00", "resolved 09:12:01 (since 09:10:00)",
    ]  # fmt: skip


# dates and hours


def test_a_new_date_starts_empty() -> None:
    text = rule(OVER + '\nactive = ["00:00~00:10", "23:00~23:59"]\nmax_per_day = 1')
    lines = (
        rec("23:58:00", buy=11), rec("00:00:05", buy=5, date="2026-11-21"), rec("00:00:06", buy=12, date="2026-11-21"),
    )  # fmt: skip
    assert told(text, *lines) == ["firing 23:58:00", "firing 00:00:06"]


def test_a_rule_sleeps_outside_its_spans_and_forgets_at_the_first_tick_outside() -> None:
    text = rule(OVER + '\nresolved = true\nactive = ["open+5m~09:06", "09:07~close"]')
    lines = (
        rec("09:04:59.5", buy=11), rec("09:05:30", buy=12), rec("09:06:30", buy=12), mark("09:07:05", "alive"),
    )  # fmt: skip
    assert told(text, *lines) == ["firing 09:05:00", "firing 09:07:00"]
    assert told(text + 'cooldown = "1h"', *lines) == ["firing 09:05:00", "firing 09:07:00 no: cooldown"]


def test_a_line_without_a_time_is_none() -> None:
    assert told(rule(OVER), "", "x", "#up *", "12x", rec("09:10:00", buy=11)) == ["firing 09:10:00"]
