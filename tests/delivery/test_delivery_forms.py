"""Messages in the forms that services take: within their limits, shown as written, nothing of it markup."""

import html
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.delivery import forms
from engine.delivery.forms import CUT, Form, Part
from engine.delivery.target import Message
from engine.rules.model import Severity

TITLE = "⚠️ 삼성전자(005930) 5분 순매수량 12만 3,456주"
BODY = "5분 순매수량 12만 3,456주 (기준 > 10만주)\n<b>Rule</b> & <!channel> <@U1> *x* _y_ ~z~ `c` [a](http://b) #1"
REMARKS = ("2분 늦게 보냄", "앞선 메시지와 중복될 수 있음")
MESSAGE = Message(TITLE, BODY, Severity.WARNING, remarks=REMARKS)


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def unmarked(text: str) -> str:
    """What a reader of Discord's or Mattermost's markdown sees: our own marks gone, escapes undone."""
    lines = []
    for line in text.split("\n"):
        for mark in ("**", "*"):
            if line.startswith(mark) and line.endswith(mark) and len(line) > 2 * len(mark):
                line = line[len(mark) : -len(mark)]  # noqa: PLW2901  the marks around a whole line, if any
                break
        lines.append(re.sub(r"\\([^0-9A-Za-z\s])", r"\1", line))
    return "\n".join(lines)


def untagged(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text.replace("<br/>", "\n")))


def page_text(text: str) -> str:
    found = re.search(r"</h1>(.*)</div>", text, re.DOTALL)
    assert found is not None
    return untagged(found[1].replace("<br>", "\n"))


class Case:
    """A form, with what its service counts and what its readers see, both worked out independently."""

    def __init__(self, form: Form, limit: int, size: Callable[[Part], int], seen: Callable[[str], str]) -> None:
        self.form, self.limit, self.size, self.seen = form, limit, size, seen


CASES = {
    "telegram": Case(forms.telegram(), 4096, lambda part: utf16(part.body.replace("\n", "\r\n")), untagged),
    "slack": Case(forms.slack(35_000, 250), 8000, lambda part: utf16(html.escape(part.body, quote=False)), str),
    "matrix": Case(
        forms.matrix(),
        48_000,  # two thirds of an event's bytes, for what encryption adds
        lambda part: sum(len(json.dumps(text, ensure_ascii=False).encode()) for text in (part.body, part.plain)),
        untagged,
    ),
    "discord": Case(forms.markdown(2000), 2000, lambda part: utf16(part.body), unmarked),
    "mail": Case(forms.mail(250), 102_000, lambda part: len(part.body.encode()), page_text),
    "short text": Case(forms.plain(160, 0), 160, lambda part: utf16(part.body), str),
    "with a title": Case(forms.plain(300, 60), 300, lambda part: utf16(part.body), str),
    "shared with the title": Case(
        forms.plain(400, 60, shared=True), 400, lambda part: utf16(part.title + "\r\n" + part.body), str
    ),
}


@pytest.fixture(params=CASES, name="case")
def each_case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


lines_of_text = st.text(
    st.one_of(
        st.sampled_from("<>&*_~`|[]()#@:-+.\\\"'/ \n"),
        st.sampled_from(["한", "국", "📈", "😀", "\u200d", "é"]),
        st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]),
    )
)
# Long enough to be split, and to be cut.
texts = st.one_of(
    lines_of_text,
    *(st.builds(str.__mul__, lines_of_text, st.integers(*times)) for times in ((2, 300), (1000, 5000), (5000, 10_000))),
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    title = draw(lines_of_text.filter(lambda text: text.strip() != "")).replace("\n", " ")
    remarks = tuple(draw(st.lists(lines_of_text.map(lambda text: text.replace("\n", " ")), max_size=4)))
    return Message(title, draw(texts), draw(st.sampled_from(Severity)), remarks=remarks)


@settings(max_examples=60, deadline=None)  # a long text may wait for a processor that others use
@given(messages())
@pytest.mark.parametrize("name", CASES)
def test_any_text_gives_parts_within_the_limits(name: str, message: Message) -> None:
    case = CASES[name]
    parts = case.form.parts(message)
    assert 1 <= len(parts) <= case.form.max_parts
    for part in parts:
        assert part.body
        assert case.size(part) <= case.limit
        assert utf16(part.title) <= case.form.title_max


@settings(max_examples=60, deadline=None)  # a long text may wait for a processor that others use
@given(messages())
@pytest.mark.parametrize("name", CASES)
def test_any_text_is_read_as_it_was_written(name: str, message: Message) -> None:
    """Up to where it is cut, and but for the marks of the parts: no character is lost, added or taken for markup."""
    case = CASES[name]
    parts = case.form.parts(message)
    wanted = "".join([*message.body.split("\n"), *message.remarks])
    if not wanted and case.form.title_max and name != "mail":
        wanted = message.title
    if name == "discord":
        wanted = wanted.replace("@", "＠")
    read = ""
    for part in parts:
        seen = case.seen(part.body)
        read += "".join(seen.split("\n") if case.form.title_max else seen.split("\n")[1:])
    cut = read.find(CUT)
    assert wanted.startswith(read[:cut]) if cut >= 0 else read == wanted


@settings(max_examples=60, deadline=None)  # a long text may wait for a processor that others use
@given(messages())
@pytest.mark.parametrize("name", ["telegram", "matrix", "mail"])
def test_tags_are_closed_in_each_part(name: str, message: Message) -> None:
    for part in CASES[name].form.parts(message):
        open_tags: list[str] = []
        for closing, tag in re.findall(r"<(/?)(b|i|div|p|h1)\b[^>]*>", part.body):
            if closing:
                assert open_tags.pop() == tag
            else:
                open_tags.append(tag)
        assert open_tags == []


def test_telegram_gets_bold_title_literal_lines_and_slanted_remarks() -> None:
    (part,) = forms.telegram().parts(MESSAGE)
    assert part.title == ""
    assert part.body.split("\n") == [
        f"<b>{TITLE}</b>",
        "5분 순매수량 12만 3,456주 (기준 &gt; 10만주)",
        "&lt;b&gt;Rule&lt;/b&gt; &amp; &lt;!channel&gt; &lt;@U1&gt; *x* _y_ ~z~ `c` [a](http://b) #1",
        "",
        "<i>2분 늦게 보냄</i>",
        "<i>앞선 메시지와 중복될 수 있음</i>",
    ]
    assert part.plain == "\n".join([TITLE, BODY, "", *REMARKS])


def test_discord_reads_nothing_in_the_text_as_markup_or_mention() -> None:
    body = "*x* _y_ ~~z~~ `c` ||s|| [a](http://b) <@1> @everyone :smile: \\*\n# head\n- list\n1. one\n> quote"
    (part,) = forms.markdown(2000).parts(Message("T*", body, Severity.INFO, remarks=("_late_",)))
    assert part.body.split("\n") == [
        r"**T\***",
        r"\*x\* \_y\_ \~\~z\~\~ \`c\` \|\|s\|\| \[a\](http://b) \<＠1\> ＠everyone \:smile: " + r"\\\*",
        r"\# head",
        r"\- list",
        r"1\. one",
        r"\> quote",
        "",
        r"*\_late\_*",
    ]


def test_discord_keeps_an_address_that_can_be_clicked() -> None:
    (part,) = forms.markdown(2000).parts(Message("t", "https://example.com/a_b?c_d=1 _x_", Severity.INFO))
    assert part.body.split("\n")[1] == r"https://example.com/a_b?c_d=1 \_x\_"


def test_plain_text_has_its_remarks_right_below_as_web_hooks_know_it() -> None:
    (part,) = forms.plain(32_768, 250).parts(MESSAGE)
    assert part == Part(TITLE, "\n".join([BODY, *REMARKS]))


def test_a_title_without_a_text_is_shown_once_in_a_chat(case: Case) -> None:
    (part,) = case.form.parts(Message("only this", "", Severity.INFO))
    shown = [part.title, html.unescape(re.sub(r"<[^>]*>", "", part.body)).strip("*")]
    twice = case in (CASES["mail"], CASES["with a title"])
    assert shown == ["only this" if twice else "", "only this"]


def test_a_system_alert_that_is_only_a_title_had_an_empty_subject() -> None:
    only = Message("✅ pgmwatch · 알림 저장 재개", "", Severity.INFO)
    (mail,) = forms.mail(250).parts(only)
    assert mail.title == mail.plain == only.title
    assert page_text(mail.body) == ""  # below a heading that says it
    (hook,) = forms.plain(32_768, 250).parts(only)
    assert hook == Part(only.title, only.title)
    (remarked,) = forms.plain(32_768, 250).parts(Message(only.title, "", Severity.INFO, remarks=("late",)))
    assert remarked == Part(only.title, "late")


def test_a_mails_page_did_not_name_the_stock() -> None:
    title = '⚠️ "삼성" <전자>(005930) & 5분 순매수량'
    (part,) = forms.mail(250).parts(Message(title, BODY, Severity.INFO, picture=b"png"))
    (heading,) = re.findall(r"<h1[^>]*>(.*)</h1>", part.body)
    (alt,) = re.findall(r'<img[^>]* alt="([^"]*)"', part.body)
    assert html.unescape(heading) == html.unescape(alt) == title
    assert "<전자>" not in part.body
    assert part.plain.split("\n")[0] == title


def test_a_text_that_fits_exactly_is_one_part_and_one_character_more_are_two() -> None:
    form = forms.plain(100, 20)
    assert [len(form.parts(Message("t", "x" * size, Severity.INFO))) for size in (98, 99)] == [1, 2]


def test_a_split_message_is_numbered_and_breaks_between_lines() -> None:
    lines = [f"{n:03} " + "가" * 50 for n in range(100)]
    parts = forms.telegram().parts(Message("제목", "\n".join(lines), Severity.INFO, remarks=("late",)))
    assert [part.body.split("\n")[0] for part in parts] == ["<b>제목 (1/2)</b>", "<b>제목 (2/2)</b>"]
    assert [line for part in parts for line in part.body.split("\n")[1:]] == [*lines, "", "<i>late</i>"]
    assert [part.plain.split("\n")[0] for part in parts] == ["제목 (1/2)", "제목 (2/2)"]


def test_what_is_too_long_for_four_parts_is_cut_and_still_says_that_it_may_repeat() -> None:
    parts = forms.telegram().parts(Message("t", "😀" * 10_000, Severity.INFO, remarks=REMARKS))
    assert len(parts) == forms.MAX_PARTS
    assert parts[-1].body.split("\n")[-3:] == [f"<i>{CUT}</i>", *(f"<i>{line}</i>" for line in REMARKS)]
    assert not any(CUT in part.body for part in parts[:-1])


def test_a_title_too_long_for_its_field_is_cut_with_a_mark() -> None:
    (part,) = forms.plain(1000, 20).parts(Message("abcdefgh " * 10, "body", Severity.INFO))
    assert part.title == "abcdefgh abcdefgh a…"


def test_a_mail_is_a_page_with_the_colour_of_its_severity_and_nothing_from_elsewhere() -> None:
    colours = set()
    for severity in Severity:
        for resolved in (False, True):
            (part,) = forms.mail(250).parts(
                Message(TITLE, BODY, severity, remarks=REMARKS, resolved=resolved, picture=b"png")
            )
            colours.add(forms.accent(severity, resolved=resolved))
            assert f"border-left:5px solid {forms.accent(severity, resolved=resolved)}" in part.body
            assert re.findall(r'(?:src|href)="([^"]*)"', part.body) == ["cid:chart.png"]
            assert "url(" not in part.body
            assert not re.search(r"<(?:script|style|link)", part.body)
    assert len(colours) == 4
    assert "img" not in forms.mail(250).parts(MESSAGE)[0].body


def test_a_hundred_thousand_lines_are_laid_out_in_no_time() -> None:
    """Only what can be sent is looked at closely."""
    message = Message("t", "\n".join(["*_~`<&>" * 10] * 100_000), Severity.INFO)
    for case in CASES.values():
        assert len(case.form.parts(message)) == case.form.max_parts


def test_remarks_that_are_too_long_do_not_double_the_body() -> None:
    """Where 160 characters are all that a service takes, the second part began with the first one's line again."""
    case = CASES["short text"]
    message = Message("0" * 72, "body", Severity.INFO, remarks=("1" * 79, "2" * 79))
    assert sum(part.body.count("body") for part in case.form.parts(message)) == 1
