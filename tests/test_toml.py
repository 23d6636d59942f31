import time
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError
from engine.locale import Locale
from engine.problems import TEXTS
from engine.toml import MAX_BYTES, key_text, parse, read

FILE = """\
locale = "ko"
a.b.c = 3
[feed]  # comment
source = "kis"
backoff = { first = "3s", max = 3 }
[[feed.account]]
name = "a"
[[feed.account]]
name = "b"
[feed.account.sub]
k = 1
[groups]
"한 글" = [ # comment
  "x",
  { y = 1 },
]
[[rule]]
all = [
  { metric = "net" }, # comment
  { any = [ { metric = "x" } ] },
]
"""


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("locale",), 1),
        (("a",), 2),
        (("a", "b", "c"), 2),
        (("feed",), 3),
        (("feed", "backoff", "max"), 5),
        (("feed", "account", 0, "name"), 7),
        (("feed", "account", 1), 8),
        (("feed", "account", 1, "sub", "k"), 11),
        (("groups", "한 글"), 13),
        (("groups", "한 글", 0), 14),
        (("groups", "한 글", 1, "y"), 15),
        (("rule", 0, "all", 0, "metric"), 19),
        (("rule", 0, "all", 1, "any", 0, "metric"), 20),
        (("rule", 0, "name"), 17),  # a missing key stands where its table does
        (("nothing",), None),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_key_has_its_line(location: tuple[str | int, ...], line: int | None, ending: str, mark: str) -> None:
    document = parse((mark + FILE.replace("\n", ending)).encode(), "f.toml")
    assert document.line(location) == line


@pytest.mark.parametrize(
    ("raw", "line", "code"),
    [
        (b"a = 1\nb = \n", 2, "not-toml"),
        (b"a = 1\nb = 2\na = 3", 3, "not-toml"),
        ("# 주석\nname = '삼성'".encode("cp949"), 1, "not-utf-8"),
        (b"a = 1\n\xff", 2, "not-utf-8"),
        (b"a = " + b"[" * 5000, None, "not-toml"),
        (b"x = 1\n" + b"a." * 20 + b"b = 1", 2, "key-too-deep"),
        (b"[" + b" a . " * 20 + b"b]", 1, "key-too-deep"),
        (b"x = { " + b'\'a.\'."\\".".' * 10 + b"b = 1 }", 1, "key-too-deep"),
    ],
)
def test_what_cannot_be_read_says_where(raw: bytes, line: int | None, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(raw, "f.toml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.code) == ("f.toml", line, code)
    assert problem.text(Locale.EN).startswith("f.toml")
    assert "{" not in problem.text(Locale.KO)


def test_dots_that_are_no_steps_of_a_key() -> None:
    dots = "a." * 60
    text = f"""x = "{dots}"  # {dots}\ny = '{dots}'\n'{dots}' = 1\n{dots[:38]}a = 1"""
    text += f'''\nz = """\n{dots}\n\\"""{dots}"\n{dots}"""''' + f"\nw = '''\n{dots}\n'''"
    assert list(parse(text.encode(), "f.toml").data) == ["x", "y", dots, "a", "z", "w"]


@pytest.mark.parametrize(
    "text",
    ["a." * 50_000 + "b = 1", "[" + "a." * 50_000 + "b]", "x = {" + "a." * 50_000 + "b = 1}", "." * 4_000_000],
    ids=["key", "header", "inline", "dots"],
)
def test_a_key_of_thousands_of_steps_took_all_memory(text: str) -> None:
    """81 s and 14 GB for 100 KB."""
    start = time.process_time()
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode(), "f.toml")
    assert caught.value.problems[0].line == 1
    assert time.process_time() - start < 5


def test_files_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "big.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, code in (("missing.toml", "no-file"), (".", "unreadable"), ("big.toml", "too-large")):
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path / name)
        assert [problem.code for problem in caught.value.problems] == [code]


@given(st.binary(max_size=200) | st.text(alphabet="a.=[]{}\"'\n# 1", max_size=80).map(str.encode))
def test_any_bytes_give_a_document_or_a_located_problem(raw: bytes) -> None:
    try:
        document = parse(raw, "f.toml")
    except ConfigurationError as error:
        assert error.problems
    else:
        assert all((key,) in document.lines for key in document.data)


def test_key_text_counts_as_people_do() -> None:
    assert key_text(("rule", 1, "all", 0, "above")) == "rule[2].all[1].above"


def test_both_languages_tell_the_same() -> None:
    for text in TEXTS.values():
        english, korean = ({field for _, field, _, _ in Formatter().parse(each) if field} for each in text)
        assert english == korean
