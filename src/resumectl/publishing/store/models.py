"""resumectl's tables: publishers, batches, messages, failures, deliveries, processes; sweeps, trials.

Definitions only: what is asked of them stands in `records`. The migrations build these
tables; a test holds the two against each other.
"""

import sqlalchemy as sa

# The newest migration; a test holds it against migrations/versions. Known here so that a
# command can tell an outdated database without importing Alembic.
SCHEMA_REVISION = "0002"
# Alembic's own table, under a name that does not meet an application's in a shared file.
VERSION_TABLE = "resumectl_version"

# SQLite numbers rows by itself only in a column declared INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

publishers = sa.Table(
    "publishers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # also the id of its workflow
    sa.Column("publisher", sa.Text, sa.ForeignKey("publishers.name"), nullable=False, index=True),
    sa.Column("guarantee", sa.Text, nullable=False),
    sa.Column("expected", sa.Integer, nullable=False),  # messages, numbered from 1
    sa.Column("delay_s", sa.Float, nullable=False),  # how long each delivery takes
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("batch_id", sa.Text, sa.ForeignKey("batches.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("body", sa.JSON, nullable=False),
)

# Messages that could not be delivered, and why. Few, so that they are found without reading
# the many that were.
failures = sa.Table(
    "failures",
    metadata,
    sa.Column("batch_id", sa.Text, sa.ForeignKey("batches.id"), primary_key=True),
    sa.Column("message_number", sa.Integer, primary_key=True),
    sa.Column("error", sa.Text, nullable=False),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("executor_id", sa.Text, nullable=False),
    sa.Column("app_version", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("started_at_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_at_ms", sa.BigInteger),
    sa.Column("how", sa.Text),  # how it ended; NULL while it runs, and for ever if it was killed
)

# One row a delivery: this message reached the outside world, once more.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("message_number", sa.Integer, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("publisher", sa.Text, nullable=False),
    sa.Column("workflow_id", sa.Text, nullable=False),
    # No foreign key: on PostgreSQL each delivery would lock its process's row, and ten of them at
    # once the same one (10,000 messages, one run each: 79 a second with the key, 85 without).
    sa.Column("process_id", sa.BigInteger, nullable=False),
    sa.Column("local_count", sa.Integer, nullable=False),  # the publisher's own, in this process
    sa.Column("global_count", sa.Integer, nullable=False),  # the process's, in this process
    sa.Column("delivered_at_ms", sa.BigInteger, nullable=False),
    sa.Column("idempotency_key", sa.Text, unique=True),  # NULL where none is promised
    sa.Column("ignored", sa.Integer, nullable=False, server_default="0"),  # later attempts
    # Both questions that `state` asks are answered from an index alone.
    sa.Index("ix_deliveries_message", "batch_id", "message_number", "ignored"),
    sa.Index("ix_deliveries_process", "process_id", "publisher", "local_count", "global_count"),
    sqlite_autoincrement=True,
)

# What the lab is to run, and what it observed; see lab/archive.
sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("scenario", sa.Text, nullable=False),
    sa.Column("specification", sa.JSON, nullable=False),  # see lab/specification
    sa.Column("started_at_ms", sa.BigInteger, nullable=False),
    sa.Column("crash_points", sa.Integer, nullable=False),  # of the newest round
    sa.Column("seconds", sa.Float),  # NULL until it has ended
    sa.Column("verdicts", sa.JSON),  # likewise
    sa.Column("baselines", sa.LargeBinary, nullable=False),  # observations, compressed
    sqlite_autoincrement=True,
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("sweep_id", sa.BigInteger, sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # in the order of the plans, from 1
    sa.Column("round", sa.Integer, nullable=False),  # as many as its plan has crashes
    sa.Column("plan", sa.Text, nullable=False),
    # NULL until it has been run; the large last, so that counting reads none of it.
    sa.Column("verdict", sa.Text),
    sa.Column("seconds", sa.Float),
    sa.Column("ended_at_ms", sa.BigInteger),
    sa.Column("judgement", sa.JSON),
    sa.Column("observation", sa.LargeBinary),  # compressed
    sa.Index("ix_trials_verdict", "sweep_id", "round", "verdict"),
)
