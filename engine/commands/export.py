"""`pgmwatch export`: recordings for other programs."""

from importlib.util import find_spec
from pathlib import Path

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, NO, complain
from engine.locale import Text

_NEEDS = Text("export needs pyarrow; run: pip install 'pgmwatch[export]'",
              "export에는 pyarrow가 필요합니다. 실행: pip install 'pgmwatch[export]'")  # fmt: skip
_SAME = Text("{path} is one of the recordings", "{path}: 내보낼 기록 파일과 같은 파일입니다")
_FAILED = Text("{path}: cannot be written: {reason}", "{path}: 쓸 수 없습니다: {reason}")
_DONE = Text("{path}: {rows:,} records", "{path}: 레코드 {rows:,}개")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.parquet")
@click.pass_obj
def export(path: Path, files: tuple[Path, ...], target: Path) -> int:
    """Recordings as one Parquet file with typed columns."""
    from engine.config.load import locale_of
    from engine.recording import reader

    locale = locale_of(path)
    if find_spec("pyarrow") is None:
        complain(_NEEDS.of(locale))
        return BAD_CONFIGURATION
    from engine.recording import parquet

    if target.exists() and any(file.exists() and target.samefile(file) for file in files):
        complain(_SAME.of(locale).format(path=target))
        return BAD_CONFIGURATION
    tally = reader.Tally()
    try:
        rows = parquet.write(target, reader.events(files, tally=tally), [file.name for file in files])
    except reader.UnreadableRecordingError as error:
        complain(error.text(locale))
        return BAD_CONFIGURATION
    except OSError as error:
        complain(_FAILED.of(locale).format(path=target, reason=error.strerror or type(error).__name__))
        return NO
    for words in tally.words(locale):
        complain(words)
    click.echo(_DONE.of(locale).format(path=target, rows=rows))
    return FINE
