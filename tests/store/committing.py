"""Commits batch after batch until it is killed, and says on stdout which are done.

As `python committing.py FILE FIRST`, in a process of its own. Batch n holds the notices n.0 … n.4, a tally of n, the
mark n and the checkpoint n, so that a part of one is told from the whole.
"""

import sys
from pathlib import Path

from delivery_samples import AT, a_notice, an_alert

from engine.evaluation.lifecycle import REST, Life, Phase, Tally
from engine.evaluation.standing import Standing
from engine.store.batch import Batch, Ending
from engine.store.database import Database

NOTICES = 5


def batch(number: int) -> Batch:
    at = AT + number
    return Batch(
        mark=at,
        notices=[
            a_notice(f"{number}.{each}", at=at, alert=an_alert(id=f"{number}.{each}", at=at)) for each in range(NOTICES)
        ],
        standings=[
            Standing("a", "005930", "f", Life(Phase.FIRING, at, told_at=at), Tally(number, at)),
            Standing("b", "005930", "f", REST, Tally(number, at)),
        ],
        endings=[Ending("c", "005930", at)],
        checkpoint=f"checkpoint {number} " + "x" * 5_000,
    )


def main(path: Path, first: int) -> None:
    database = Database.open(path).database
    number = first
    while True:
        database.commit(batch(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
