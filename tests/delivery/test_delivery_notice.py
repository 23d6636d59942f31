import json

from delivery_samples import AT, a_notice, a_rule, an_alert, over

from engine.alert import State, Suppression
from engine.delivery import message
from engine.delivery.notice import system_notice
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Severity


def test_an_alert_as_json_is_the_documented_line_to_the_byte() -> None:
    alert = an_alert(
        since=AT - 30 * SECOND_NS + 123_456_789,
        values=(("net_volume[5m]", 123456), ("imbalance[5m]", 0.4211), ("net_value", None)),
        labels=(("desk", "반도체"),),
    )
    notice = message.notice(alert, a_rule(), "삼성전자", Locale.EN)
    assert notice.to_json() == (
        '{"id":"a1","rule":"semis-program-buying","symbol":"005930","name":"삼성전자","state":"firing",'
        '"at":"2026-11-20T09:05:30.000000+09:00","since":"2026-11-20T09:05:00.123456+09:00","severity":"warning",'
        '"repeat":0,"suppressed":null,"values":{"net_volume[5m]":123456,"imbalance[5m]":0.4211,"net_value":null},'
        f'"title":{json.dumps(notice.title, ensure_ascii=False)},'
        f'"message":{json.dumps(notice.message, ensure_ascii=False)},"labels":{{"desk":"반도체"}}}}'
    )


def test_a_suppressed_resolution_says_so_in_json() -> None:
    alert = an_alert(state=State.RESOLVED, suppressed=Suppression.MAX_PER_DAY, repeat=3)
    line = json.loads(message.notice(alert, a_rule(), "", Locale.KO).to_json())
    assert (line["state"], line["suppressed"], line["repeat"]) == ("resolved", "max_per_day", 3)


def test_a_notice_of_the_daemon_needs_no_rule() -> None:
    notice = system_notice("feed-lost", AT, Severity.CRITICAL, title="No feed", message="since 09:05", notify=("desk",))
    assert notice.suppressed is None
    assert not notice.resolved
    assert json.loads(notice.to_json()) == {
        "id": f"feed-lost-{AT}",
        "system": "feed-lost",
        "at": "2026-11-20T09:05:30.000000+09:00",
        "severity": "critical",
        "title": "No feed",
        "message": "since 09:05",
    }


def test_what_fires_comes_first_then_the_most_severe_then_the_largest_then_the_oldest() -> None:
    resolved = message.notice(
        an_alert(id="r", state=State.RESOLVED, severity=Severity.CRITICAL), a_rule(), "", Locale.KO
    )
    notices = [
        a_notice("small", size=1.0),
        a_notice("info", severity=Severity.INFO, size=99.0),
        a_notice("large", size=5.0),
        a_notice("older", size=1.0, at=AT - 1),
        resolved,
        a_notice("critical", severity=Severity.CRITICAL),
    ]
    ordered = [notice.id for notice in sorted(notices, key=lambda notice: notice.urgency)]
    assert ordered == ["critical", "large", "older", "small", "info", "r"]


def test_size_is_how_far_beyond_the_threshold() -> None:
    assert message.notice(an_alert(), a_rule(), "", Locale.KO).size == 1.23456
    zero = a_rule(over("net_volume", 0, "5m"))
    assert message.notice(an_alert(), zero, "", Locale.KO).size == 0.0
    undefined = an_alert(values=(("net_volume[5m]", None),))
    assert message.notice(undefined, a_rule(), "", Locale.KO).size == 0.0
