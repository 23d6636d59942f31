"""The words of a user's own: what they may say, and that nothing in them can do harm."""

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from delivery_samples import AT, a_rule, an_alert, over
from hypothesis import given
from hypothesis import strategies as st

from engine import template
from engine.alert import State
from engine.config import load as config_load
from engine.delivery import message
from engine.errors import ConfigurationError
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Operator, Rule
from engine.template import MAX_DEPTH, MAX_FAULTS, MAX_OUTPUT, MAX_SOURCE, TemplateFailedError, faults, render

KO, EN = Locale.KO, Locale.EN
RULE = a_rule(
    over("net_volume", 100_000, "5m"),
    over("imbalance", 0.3, "5m"),
    description="반도체로 프로그램 매수",
    labels=(("team", "semis"), ("items", "a label of that name")),
)
VALUES = (("net_volume[5m]", 123_456), ("imbalance[5m]", 0.4211))


def said(source: str, locale: Locale = KO, rule: Rule = RULE, **more: Any) -> str:
    """What an alert of the rule says in these words; they have passed the check."""
    assert faults(source, rule) == []
    alert = an_alert(**{"since": AT - 30 * SECOND_NS, "values": VALUES, "labels": rule.labels, **more})
    failures: list[tuple[str, str, str]] = []
    words = message.Templates(message=source, failed=lambda *failure: failures.append(failure))
    body = message.compose(alert, rule, "삼성전자", locale, words)[1]
    assert failures == []
    return body


def codes(source: str, rule: Rule | None = RULE) -> list[str]:
    return [fault.code for fault in faults(source, rule)]


@pytest.mark.parametrize(
    ("source", "korean", "english"),
    [
        ("{{ stock }}|{{ name }}|{{ symbol }}", "삼성전자(005930)|삼성전자|005930", None),
        ("{{ rule }}|{{ description }}", "semis-program-buying|반도체로 프로그램 매수", None),
        ("{{ state }}|{{ firing }}|{{ resolved }}|{{ repeat }}", "firing|True|False|0", None),
        ("{{ severity }} {{ sign }}", "warning ⚠️", None),
        ("{{ at }}", "2026-11-20T09:05:30.000000+09:00", None),
        ("{{ at | date }} {{ at | clock }} {{ since | clock }}", "2026-11-20 09:05:30 09:05:00", None),
        ("{{ record_time }}|{{ lasted }}|{{ lasted | duration }}", "09:05:29|30|30초", "09:05:29|30|30 s"),
        ("{{ metric }} {{ window }} {{ operator }}", "net_volume 5m above", None),
        ("{{ value }} > {{ threshold }}", "123456 > 100000", None),
        ("{{ threshold_to }}|{{ reset }}", "값 없음|값 없음", "no value|no value"),
        ("{{ value | amount }}|{{ value | exact }}", "12만 3,456|123,456", "123.46K|123,456"),
        ("{{ metric_text }} {{ value_text }}", "5분 순매수량 12만 3,456주", "net buy volume over 5 min 123.46K shares"),
        ("{{ threshold_text }}", "> 10만주", "> 100K shares"),
        ('{{ values["imbalance[5m]"] | percent }}', "+42.1%", None),
        ('{{ values["imbalance[5m]"] | percent(2) }}', "+42.11%", None),
        ('{{ values["imbalance[5m]"] | round(2) }}', "0.42", None),
        ("{{ labels.team }} {{ labels['team'] | upper }}", "semis SEMIS", None),
        ("{{ labels.items }}", "a label of that name", None),
        ("{{ labels.desk | default('–') }}", "–", None),
        ("{{ (value - threshold) | amount if value is not none else '?' }}", "2만 3,456", "23.46K"),
        ("{% if value is none %}?{% elif value > 2 %}many{% endif %}", "many", None),
        ("{% if severity in ['critical', 'warning'] %}!{% endif %}", "!", None),
        ("a{# no one reads this #}b {{ 'x' ~ 'y' }}", "ab xy", None),
        ("a{{ 'x' if resolved }}", "a", None),
        ("{% raw %}{{ not_one }}{% endraw %}", "{{ not_one }}", None),
        ("  a\n{% if firing %}\n\nb\n{% endif %}\n", "a\n\nb", None),
        ("[{{ title }}]", "[⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주]", None),
    ],
)
def test_what_can_be_said(source: str, korean: str, english: str | None) -> None:
    assert said(source) == korean
    assert said(source, EN) == english or english is None


def test_the_built_in_words_can_be_added_to() -> None:
    built_in = message.compose(an_alert(values=VALUES), RULE, "삼성전자", KO)[1]
    assert said("{{ message }}\nsee the desk's page", since=AT) == built_in + "\nsee the desk's page"


def test_a_resolved_alert_without_values() -> None:
    nothing = tuple((key, None) for key, _ in VALUES)
    shown = "{{ lasted | duration }}: {{ value | amount }} {{ value | percent }} {{ value_text }}"
    assert (
        said("{% if resolved %}" + shown + "{% endif %}", state=State.RESOLVED, values=nothing)
        == "30초: 값 없음 값 없음 값 없음"
    )


def test_a_range_has_two_thresholds() -> None:
    rule = a_rule(over("net_value", (-5, 7), None, Operator.OUTSIDE))
    assert said("{{ threshold }} {{ threshold_to }}", rule=rule, values=(("net_value", 9),)) == "-5 7"


@pytest.mark.parametrize(
    "source",
    [
        "{% for c in 'abc' %}{{ c }}{% endfor %}",
        "{{ 2 * 2 }}",
        "{{ 2 ** 2 }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ 7 % 2 }}",
        "{% set x = 1 %}",
        "{% set x %}a{% endset %}",
        "{% macro m() %}{% endmacro %}",
        "{% call x() %}{% endcall %}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% with x = 1 %}{% endwith %}",
        "{% filter upper %}a{% endfilter %}",
        "{% autoescape true %}{% endautoescape %}",
        "{{ rule.upper() }}",
        "{{ title.__class__ }}",
        "{{ labels.__class__ }}",
        "{{ labels._private }}",
        "{{ values.x.y }}",
        "{{ title[0] }}",
        "{{ title[::-1] }}",
        "{{ values[rule] }}",
        "{{ labels['a'].b }}",
        "{{ {} }}",
        "{{ 'x'.join('ab') }}",
        "{{ range(9) }}",
        "{{ lipsum() }}",
        "{{ ''.__class__ }}",
        "{{ (1).real }}",
        "{{ 1e999 }}",
    ],
)
def test_what_is_forbidden(source: str) -> None:
    assert codes(source) == ["template-forbidden"]
    assert codes(source, None) == ["template-forbidden"]


@pytest.mark.parametrize(
    ("source", "code", "line", "nearest"),
    [
        ("{{ valeu }}", "template-unknown-variable", 1, "value"),
        ("\n\n{{ Stock }}", "template-unknown-variable", 3, "stock"),
        ("{% if false %}\n{{ valeu }}{% endif %}", "template-unknown-variable", 2, "value"),
        ("{{ self }}", "template-unknown-variable", 1, ""),
        ("{{ cycler }}", "template-unknown-variable", 1, ""),
        ("{{ value | amonut }}", "template-unknown-filter", 1, "amount"),
        ("{{ value | center(99999) }}", "template-unknown-filter", 1, None),
        ("{{ value | format }}", "template-unknown-filter", 1, None),
        ("{{ rule | replace('a', 'aa') }}", "template-unknown-filter", 1, None),
        ("{% if value is divisibleby 3 %}{% endif %}", "template-unknown-test", 1, None),
        ("{{ labels.taem }}", "template-unknown-label", 1, "team"),
        ('{{ values["net_volume[3m]"] }}', "template-unknown-key", 1, "net_volume[5m]"),
        ("a\n{{ value", "template-broken", 2, None),
        ("a\n{% if %}", "template-broken", 2, None),
        ("{% if firing %}", "template-broken", 1, None),
        ("{% trans %}", "template-broken", 1, None),
        ("{{ '\\ud800\\q' | }}", "template-broken", 1, None),
        ("\n{{ value / 0 if value is not none else 0 }}", "template-fails", 2, None),
        ("{{ rule + 1 }}", "template-fails", 1, None),
        ("{{ value + 1 }}", "template-fails-undefined", 1, None),
        ("{{ 1.5 | round(-999999999) }}", "template-fails", 1, None),
        ("{{ rule | amount }}", "template-fails", 1, None),
        ("{{ (1e308 + 1e308) | amount }}", "template-fails", 1, None),
        ("{{ " + "(" * 900 + "1" + ")" * 900 + " }}", "template-broken", None, None),
        ("{{ " + "1+" * 900 + "1 }}", "template-broken", None, None),
        ("{{ " + "not " * 900 + "1 }}", "template-broken", None, None),
        ("{% if firing %}" * 150 + "{% endif %}" * 150, "template-broken", None, None),
        ("x" * 4097, "too-long", None, None),
    ],
)
def test_what_is_wrong_is_found_when_it_is_loaded(
    source: str, code: str, line: int | None, nearest: str | None
) -> None:
    (fault,) = faults(source, RULE)
    assert (fault.code, fault.line) == (code, line)
    assert nearest is None or fault.detail["nearest"] == nearest


def test_words_for_every_rule_can_count_on_no_label_and_no_value() -> None:
    assert codes("{{ labels.team }}", None) == ["template-unasked"]
    assert codes('{{ values["net_volume[5m]"] }}', None) == ["template-unasked"]
    assert codes("{% if labels.team is defined %}{{ labels.team }}{% endif %}{{ value_text }}", None) == []


@pytest.mark.parametrize("source", ["{{ title }}" * 300, "가" * 4096, "{{ '가' ~ title ~ title }}" * 160])
def test_the_output_is_cut_at_its_limit_between_two_characters(source: str) -> None:
    out = said(source)
    assert MAX_OUTPUT - 10 < len(out.encode()) <= MAX_OUTPUT
    assert out.endswith("…")
    assert "\ufffd" not in out


def test_what_comes_out_is_clean_and_calls_nobody() -> None:
    source = "{{ '\\x1b[31m' }}@here {{ name }}\r\n{{ '\\u202e\\ud800' }}{{ labels.team }}"
    rule = a_rule(labels=(("team", "<!channel> @all\n"),))
    given_words = message.Templates(title=source, message=source)
    alert = an_alert(labels=rule.labels)
    title, body = message.compose(alert, rule, "삼성\x07@channel", KO, given_words)
    assert body == "[31m＠here 삼성 ＠channel\n\ufffd<!channel> ＠all"
    assert title == "[31m＠here 삼성 ＠channel \ufffd<!channel> ＠all"


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("[alerts]\ntitle = '{{ valeu }}'", 2, "template-unknown-variable"),
        ('[alerts]\nmessage = """\n{{ stock }}\n{{ labels.team }}\n"""', 4, "template-unasked"),
        ("[alerts]\nmessage = '{% for x in values %}'", 2, "template-broken"),
        ("[alerts]\ntitle = '{{ stock }}'\nmessage = '{{ message }}'", None, ""),
    ],
)
def test_the_words_of_config_toml_are_tried_when_it_is_read(
    tmp_path: Path, text: str, line: int | None, code: str
) -> None:
    (tmp_path / "config.toml").write_text(text)
    found: list[tuple[int | None, str]] = []
    try:
        config_load.load(tmp_path / "config.toml", {})
    except ConfigurationError as error:
        found = [(problem.line, problem.code) for problem in error.problems]
    assert found == ([(line, code)] if code else [])


FRAGMENTS = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        " value ",
        " title ",
        " labels",
        ".team",
        "|",
        "amount",
        "upper",
        "if ",
        "endif",
        "else",
        " ~ ",
        " + ",
        " - ",
        " * ",
        " / ",
        "(",
        ")",
        "[",
        "]",
        "'a'",
        "1",
        " for x in ",
        "endfor",
        "set x = ",
        "__class__",
        ".",
        "\n",
    ]
)


@given(st.lists(FRAGMENTS | st.text(max_size=3), max_size=25).map("".join))
def test_any_text_is_refused_or_gives_words(source: str) -> None:
    found = faults(source, RULE)
    given_values = template.variables(
        an_alert(values=VALUES, labels=RULE.labels),
        RULE,
        message.headline(an_alert(values=VALUES), RULE),
        template.Spoken("", "005930", "⚠️", "title", "message"),
        KO,
    )
    try:
        out = render(source, given_values, KO)
    except TemplateFailedError:
        assert found
    else:
        assert len(out.encode()) <= MAX_OUTPUT


def filled(unit: str, before: str = "", after: str = "") -> str:
    """As much of it as a template may hold."""
    return before + unit * ((MAX_SOURCE - len(before) - len(after)) // len(unit)) + after


HEAVY = a_rule(
    *(over("net_volume", 100_000, f"{minute}m") for minute in range(1, 201)),
    name="a" * 40 + "b" + "a" * 39,
    description="a" * 1_999 + "b",
    labels=(("l", "a" * 199 + "b"), *((f"{number:02}".ljust(80, "x"), "ab" * 100) for number in range(49))),
)
WORST = {
    "concat": filled("~message", "{{ message", " }}"),
    "concats": filled("==(message~message~message~message)", "{{ 1 if 1", " }}"),
    "search": filled("{{rule in message}}"),
    "search in a lot": "{{ (" + "message~" * 240 + "'q') in (" + "message~" * 240 + "'') }}",
    "list": filled("message,", "{{ [", "] }}"),
    "filters": filled("~message", "{{ (message", ")" + " | upper" * 15 + " }}"),
    "outputs": filled("{{at}}"),
    "sums": filled("{{1+1}}"),
    "tests": filled("{{at is none}}"),
    "digits": filled("{{1e308|percent(9)}}"),
    "duration": filled("{{1e308|duration}}"),
    "ifs": filled("{%if 1%}{%endif%}"),
    "elifs": filled("{%elif 1%}", "{% if 1 %}", "{%endif%}"),
    "lines": filled("x\n"),
    "unknown": filled("{{q}}"),
    "unknown filters": filled("{{1|q}}"),
    "unknown labels": filled("{{labels.q}}"),
    "unknown values": filled("{{values.q}}"),
    "forbidden": filled("{{1*1}}"),
    "brackets": filled("[", "{{ "),
    "a number": filled("f", "{{ 0x", " }}"),
    "digits of a number": filled("9", "{{ ", " | exact }}"),
    "escapes": filled("\\", '{{ "'),
}


@pytest.mark.parametrize("source", WORST.values(), ids=WORST.keys())
def test_whatever_a_template_does_takes_milliseconds_and_little_memory(source: str) -> None:
    """Measured: 60 ms to load and 10 ms to say, most of it Python's own compiler."""
    assert len(source) <= MAX_SOURCE
    start = time.process_time()
    found = faults(source, HEAVY)
    assert time.process_time() - start < 0.6
    assert len(found) <= MAX_FAULTS
    alert = an_alert(labels=HEAVY.labels, values=tuple((each.key, 1) for each in HEAVY.when.conditions()))
    start = time.process_time()
    message.compose(alert, HEAVY, "삼성전자", KO, message.Templates(message=source))
    assert time.process_time() - start < 0.1 or found
    tracemalloc.start()
    message.compose(alert, HEAVY, "삼성전자", KO, message.Templates(message=source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_number_of_more_digits_than_python_writes_ended_the_daemon() -> None:
    source = "{{ 0x" + "f" * 4_000 + " }}"
    assert codes(source) == codes(source, None) == ["too-large-a-number"]
    assert [fault.code for fault in template.faults_as_written(source)] == ["too-large-a-number"]
    with pytest.raises(TemplateFailedError):
        render(source, {}, KO)
    assert codes("{{ 1_000_000_000_000_000_001 }}") == codes("{{ -1000000000000000001 }}") == ["too-large-a-number"]
    assert said("{{ 1_000_000_000_000_000_000 }}") == "1" + "0" * 18


@pytest.mark.parametrize("source", ["{{ labels }}", "{{ values }}", "{{ labels ~ 'x' }}", "{% if values %}{% endif %}"])
def test_a_table_is_only_there_to_be_looked_up_in(source: str) -> None:
    assert codes(source) == codes(source, None) == ["template-needs-key"]


def test_expressions_nest_as_deep_as_is_said() -> None:
    deepest = MAX_DEPTH - 2  # within the text, and within its output
    assert codes("{{ " + "not " * deepest + "1 }}") == []
    assert codes("{{ " + "not " * (deepest + 1) + "1 }}") == ["template-broken"]


def test_a_label_is_one_line_wherever_it_stands() -> None:
    rule = a_rule(labels=(("team", "a\n\n@b"),))
    assert said("{{ labels.team }}{{ ' same' if labels.team == 'a ＠b' }}", rule=rule) == "a ＠b same"


def test_behind_the_list_of_variables_there_is_nothing_to_be_had() -> None:
    assert template._environment(KO).globals == {}


def test_what_fits_exactly_is_not_cut() -> None:
    given_words = {"message": "x" * MAX_OUTPUT}
    assert render("{{ message }}", given_words, KO) == "x" * MAX_OUTPUT
    assert render("{{ message }}y", given_words, KO) == "x" * (MAX_OUTPUT - 3) + "…"
    korean = render("가" + "x" * (MAX_OUTPUT - 6) + "가", {}, KO)
    assert korean == "가" + "x" * (MAX_OUTPUT - 6) + "가"


def test_what_is_cut_off_is_not_looked_at_first() -> None:
    given_words = {"message": "\n@" * (MAX_OUTPUT // 2)}
    start = time.process_time()
    render(filled("~message", "{{ message", " }}"), given_words, KO)
    assert time.process_time() - start < 0.2  # 15 ms, and over a second for all of it
