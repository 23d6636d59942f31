"""Which rules look at which symbols: built whole beside the one in force, then put in its place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.evaluation.fingerprint import fingerprint
from engine.evaluation.schedule import Schedule
from engine.evaluation.series import LookbackKey, Series
from engine.evaluation.sums import Sum
from engine.evaluation.watch import Changes, Note, Watch, lookbacks_of
from engine.rules.model import Rule

Members = tuple[str, ...]


@dataclass(slots=True)
class Roster:
    series: dict[str, Series]
    """Also those that no rule looks at any more: a symbol that comes back today finds its history."""
    sums: dict[Members, Sum] = field(default_factory=dict)
    schedules: list[Schedule] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    """In the order of rules, then symbols."""
    watching: dict[str, list[Watch]] = field(default_factory=dict)
    """By symbol, in the same order."""

    def attach(self) -> None:
        """From now on these sums, and no others, hear of what their members hear; windows nobody asks for are gone."""
        for series in self.series.values():
            series.totals = []
        of_sums: dict[Members, list[Rule]] = {members: [] for members in self.sums}
        for watch in self.watches:
            if watch.rule.aggregate is not None:
                of_sums[watch.rule.symbols].append(watch.rule)
        for members, total in self.sums.items():
            total.attach()
            total.keep_lookbacks(_lookbacks(of_sums[members]))
        for symbol, watches in self.watching.items():
            if watches:
                self.series[symbol].keep_lookbacks(_lookbacks(watch.rule for watch in watches))

    def forget_unwatched(self) -> None:
        """A new date: what nobody looks at has no history to keep."""
        for symbol in [symbol for symbol, watches in self.watching.items() if not watches]:
            del self.watching[symbol], self.series[symbol]


def build(
    rules: Sequence[Rule], known: Mapping[str, Series], sums: Mapping[Members, Sum], note: Note, changes: Changes
) -> Roster:
    """Watches for all enabled rules, over the series and sums that are `known` already, and new ones."""
    roster = Roster(dict(known), watching={symbol: [] for symbol in known})
    for rule in rules:
        if rule.enabled:
            _add(roster, rule, sums, note, changes)
    return roster


def _add(roster: Roster, rule: Rule, sums: Mapping[Members, Sum], note: Note, changes: Changes) -> None:
    schedule = Schedule(rule.active)
    roster.schedules.append(schedule)
    definition = fingerprint(rule)

    def watch(symbol: str, subject: Series | Sum, members: Iterable[Series]) -> None:
        made = Watch(rule, symbol, subject, schedule, fingerprint=definition, note=note, changes=changes)
        roster.watches.append(made)
        for member in members:
            roster.watching.setdefault(member.symbol, []).append(made)

    members = [roster.series.setdefault(symbol, Series(symbol)) for symbol in rule.symbols]
    if rule.aggregate is None:
        for member in members:
            watch(member.symbol, member, [member])
    else:
        total = roster.sums.get(rule.symbols) or sums.get(rule.symbols) or Sum(members)
        roster.sums[rule.symbols] = total
        watch(rule.aggregate, total, members)


def _lookbacks(rules: Iterable[Rule]) -> set[LookbackKey]:
    return {key for rule in rules for key in lookbacks_of(rule)}
