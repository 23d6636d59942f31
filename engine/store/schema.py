"""How the database looked in each version, as steps from one to the next. Steps are added and never changed."""

APPLICATION_ID = 0x70676D77
"""`pgmw` in the file's header: a database of somebody else's under our name is not taken for an empty one."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE history (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL,
            rule TEXT,
            symbol TEXT,
            state TEXT NOT NULL,
            suppressed TEXT,
            line TEXT NOT NULL
        )
        """,
        "CREATE INDEX history_at ON history (at)",
        "CREATE INDEX history_rule ON history (rule, at)",
        "CREATE INDEX history_symbol ON history (symbol, at)",
        """
        CREATE TABLE standing (
            rule TEXT NOT NULL,
            symbol TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            day INTEGER NOT NULL,
            phase TEXT NOT NULL,
            since INTEGER NOT NULL,
            unmet_since INTEGER,
            told_at INTEGER,
            repeats INTEGER NOT NULL,
            sent INTEGER NOT NULL,
            sent_at INTEGER,
            PRIMARY KEY (rule, symbol)
        ) WITHOUT ROWID
        """,
        "CREATE TABLE progress (one INTEGER PRIMARY KEY CHECK (one = 1), mark INTEGER NOT NULL, checkpoint TEXT)",
    ),
)
"""The statements that lead from version n to n + 1, at place n. `PRAGMA user_version` is the version of a file."""

VERSION = len(MIGRATIONS)
