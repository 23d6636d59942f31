"""Writing a file so that a reader finds the old one or the new one, and nothing in between."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the file's place, the owner's alone (0600); whole or not at all, also when the power goes.

    One writer at a time. Raises OSError; the old file then stands as it was.
    """
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # of a writer that was killed, with whatever mode it had
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
