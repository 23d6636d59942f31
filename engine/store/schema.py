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
    (
        # What sending needs besides the line: whom it goes to, and how it is told among others.
        "ALTER TABLE history ADD COLUMN letter TEXT",
        """
        CREATE TABLE delivery (
            id TEXT NOT NULL,
            target TEXT NOT NULL,
            name TEXT NOT NULL,
            status TEXT NOT NULL,
            at INTEGER NOT NULL,
            due_from INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            may_repeat INTEGER NOT NULL,
            unlisted INTEGER NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (id, target)
        ) WITHOUT ROWID
        """,
        # Nearly all are delivered; what a start and `notify dead` look for are the few others.
        "CREATE INDEX delivery_undelivered ON delivery (status) WHERE status NOT IN ('delivered', 'discarded')",
        "CREATE TRIGGER history_forgotten AFTER DELETE ON history BEGIN DELETE FROM delivery WHERE id = old.id; END",
    ),
)
"""The statements that lead from version n to n + 1, at place n. `PRAGMA user_version` is the version of a file."""

VERSION = len(MIGRATIONS)
