"""What `symbols update` and `symbols find` show: as data (their --json) and as lines in the user's language. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from engine.locale import Locale, Text
from engine.problems import LIKE_IT
from engine.symbols.master import Changes, Master, Stock, labels
from engine.symbols.update import Update
from engine.text import clean

_MAX_LISTED = 50
"""Lines that a terminal gets of what was found; --json has all."""
_MAX_NAMED = 20
"""Stocks that one line names."""

_LOADED = Text("{count:,} stocks ({markets}) of {loaded}", "종목 {count:,}개({markets}), {loaded} 기준")
_CHANGED = Text(
    "since {since}: {new} new, {gone} gone, {renamed} renamed",
    "{since} 이후: 신규 {new}개, 제외 {gone}개, 종목명 변경 {renamed}개",
)
_NEW = Text("  new: {stocks}", "  신규: {stocks}")
_GONE = Text("  gone: {stocks}", "  제외: {stocks}")
_RENAMED = Text("  renamed: {stocks}", "  종목명 변경: {stocks}")
_AND_MORE = Text(" and {count:,} more", " 외 {count:,}개")
_UNFIT = Text(
    "{count} lines of the broker's files could not be read and were left out",
    "증권사 파일에서 읽을 수 없는 {count}줄을 제외했습니다",
)
_FROM_NEXT_START = Text(
    "a daemon that is running uses it from its next start on", "실행 중인 데몬에는 다음에 시작할 때 적용됩니다"
)
_MORE = Text(
    "… and {count:,} more; write more of the name, or use --json", "… 외 {count:,}개. 더 길게 쓰거나 --json을 쓰세요"
)
_NOTHING = Text('no stock is like "{text}"', '"{text}"에 맞는 종목이 없습니다')
_BUILT_IN = Text(
    "only the {count} built-in names are known; pgmwatch symbols update loads all",
    "내장된 종목명 {count}개만 찾습니다. 전체는 pgmwatch symbols update로 받습니다",
)
_GROUPS = {
    "ST": Text("stock", "주식"),
    "EF": Text("ETF", "ETF"),
    "FE": Text("foreign ETF", "해외 ETF"),
    "EW": Text("ELW", "ELW"),
    "RT": Text("REIT", "리츠"),
    "DR": Text("depositary receipt", "예탁증서"),
    "FS": Text("foreign stock", "외국주권"),
    "IF": Text("infrastructure fund", "인프라펀드"),
    "MF": Text("mutual fund", "뮤추얼펀드"),
    "SC": Text("ship fund", "선박펀드"),
    "BC": Text("beneficiary certificate", "수익증권"),
    "SW": Text("warrant", "신주인수권증권"),
    "SR": Text("subscription right", "신주인수권증서"),
}
"""As the broker's header file for the master lists them; another code is shown as it is."""


def of_update(update: Update) -> dict[str, Any]:
    new, gone, renamed = update.changes
    return {
        "stocks": len(update.master),
        "markets": _markets(update.master),
        "loaded": _iso(update.master.loaded),
        "since": _iso(update.since),
        "new": [stock._asdict() for stock in new],
        "gone": [stock._asdict() for stock in gone],
        "renamed": [{"code": after.code, "from": before.name, "to": after.name} for before, after in renamed],
        "unfit": update.unfit,
    }


def update_lines(update: Update, locale: Locale) -> list[str]:
    markets = ", ".join(f"{market} {count:,}" for market, count in _markets(update.master).items())
    loaded = _iso(update.master.loaded)
    lines = [_LOADED.of(locale).format(count=len(update.master), markets=markets, loaded=loaded)]
    if update.since:
        lines += _change_lines(update.changes, str(update.since), locale)
    if update.unfit:
        lines.append(_UNFIT.of(locale).format(count=update.unfit))
    return [*lines, _FROM_NEXT_START.of(locale)]


def _change_lines(changes: Changes, since: str, locale: Locale) -> list[str]:
    counts = {name: f"{len(stocks):,}" for name, stocks in changes._asdict().items()}
    lines = [_CHANGED.of(locale).format(since=since, **counts)]
    renamed = [f"{before.name} → {after.label}" for before, after in changes.renamed]
    for text, stocks in (
        (_NEW, [stock.label for stock in changes.new]),
        (_GONE, [stock.label for stock in changes.gone]),
        (_RENAMED, renamed),
    ):
        if stocks:
            lines.append(text.of(locale).format(stocks=_some(stocks, locale)))
    return lines


def _some(stocks: Sequence[str], locale: Locale) -> str:
    more = len(stocks) - _MAX_NAMED
    return ", ".join(stocks[:_MAX_NAMED]) + (_AND_MORE.of(locale).format(count=more) if more > 0 else "")


def found_lines(found: Sequence[Stock], locale: Locale) -> list[str]:
    lines = [f"{stock.code}  {stock.name}  {stock.market} {_group(stock.group, locale)}" for stock in found]
    more = len(lines) - _MAX_LISTED
    return lines if more <= 0 else [*lines[:_MAX_LISTED], _MORE.of(locale).format(count=more)]


def nothing_found(text: str, master: Master, locale: Locale) -> str:
    near = master.candidates(text)
    like = LIKE_IT.of(locale).format(likely=labels(near)) if near else ""
    return _NOTHING.of(locale).format(text=clean(text)) + like


def built_in_names(master: Master, locale: Locale) -> str:
    return _BUILT_IN.of(locale).format(count=len(master))


def _group(code: str, locale: Locale) -> str:
    return _GROUPS[code].of(locale) if code in _GROUPS else clean(code)


def _markets(master: Master) -> dict[str, int]:
    return dict(Counter(stock.market for stock in master.stocks))


def _iso(when: date | None) -> str | None:
    return None if when is None else when.isoformat()
