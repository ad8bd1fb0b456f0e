"""Define resumectl's tables.

The queries are in `records`. The migrations create these tables, and a test compares the two.
"""

import sqlalchemy as sa

# The newest migration; a test compares it with migrations/versions. It is known here for commands
# to recognise an outdated database without importing Alembic.
SCHEMA_REVISION = "0002"
# Alembic's own table, under a name that no application's table has.
VERSION_TABLE = "resumectl_version"

# SQLite numbers rows automatically only in a column declared INTEGER.
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
    sa.Column("id", sa.Text, primary_key=True),  # also the id of the batch's workflow
    sa.Column("publisher", sa.Text, sa.ForeignKey("publishers.name"), nullable=False, index=True),
    sa.Column("guarantee", sa.Text, nullable=False),
    sa.Column("expected", sa.Integer, nullable=False),  # messages, numbered from 1
    sa.Column("delay_s", sa.Float, nullable=False),  # duration of each delivery
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("batch_id", sa.Text, sa.ForeignKey("batches.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("body", sa.JSON, nullable=False),
)

# Messages that could not be delivered, and why. They are few, and found without reading the many
# deliveries.
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

# One row for each delivery: the message reached the outside world once more.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("message_number", sa.Integer, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("publisher", sa.Text, nullable=False),
    sa.Column("workflow_id", sa.Text, nullable=False),
    # No foreign key: on PostgreSQL each delivery would lock the row of its process, often ten at
    # once the same row (10,000 messages, one run each: 79 per second with the key, 85 without).
    sa.Column("process_id", sa.BigInteger, nullable=False),
    sa.Column(
        "local_count", sa.Integer, nullable=False
    ),  # deliveries of the publisher in this process
    sa.Column(
        "global_count", sa.Integer, nullable=False
    ),  # deliveries of all publishers in this process
    sa.Column("delivered_at_ms", sa.BigInteger, nullable=False),
    sa.Column("idempotency_key", sa.Text, unique=True),  # NULL if the guarantee needs none
    # Further attempts with the same key.
    sa.Column("ignored", sa.Integer, nullable=False, server_default="0"),
    # `state` reads both of its counts from these indexes alone.
    sa.Index("ix_deliveries_message", "batch_id", "message_number", "ignored"),
    sa.Index("ix_deliveries_process", "process_id", "publisher", "local_count", "global_count"),
    sqlite_autoincrement=True,
)

# Sweeps and their trials; `runner.sweep_store` reads and writes them.
sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),  # `model.sweep_spec`
    sa.Column("started_at_ms", sa.BigInteger, nullable=False),
    sa.Column("crash_points", sa.Integer, nullable=False),  # all of the program
    sa.Column("seconds", sa.Float),  # duration; NULL until the sweep has ended
    sa.Column("verdicts", sa.JSON),  # number of trials by verdict; NULL until the sweep has ended
    sa.Column("baselines", sa.LargeBinary, nullable=False),  # observations, compressed
    sqlite_autoincrement=True,
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("sweep_id", sa.BigInteger, sa.ForeignKey("sweeps.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # in the order of the crash plans, from 1
    sa.Column("round", sa.Integer, nullable=False),  # the number of crashes in its plan
    sa.Column("plan", sa.Text, nullable=False),
    # NULL until the trial has run. The large columns are last: counting does not read them.
    sa.Column("verdict", sa.Text),
    sa.Column("seconds", sa.Float),
    sa.Column("ended_at_ms", sa.BigInteger),
    sa.Column("judgement", sa.JSON),
    sa.Column("observation", sa.LargeBinary),  # compressed
    sa.Index("ix_trials_verdict", "sweep_id", "round", "verdict"),
)
