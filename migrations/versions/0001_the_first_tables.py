"""The first tables: publishers, batches, messages, failures, processes, deliveries.

Revises nothing: the first. Written out in full, never from `models`, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "publishers",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_publishers"),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("publisher", sa.Text, nullable=False),
        sa.Column("guarantee", sa.Text, nullable=False),
        sa.Column("expected", sa.Integer, nullable=False),
        sa.Column("delay_s", sa.Float, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sa.ForeignKeyConstraint(["publisher"], ["publishers.name"], name="fk_batches_publisher"),
    )
    op.create_index("ix_batches_publisher", "batches", ["publisher"])
    op.create_table(
        "messages",
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "number", name="pk_messages"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_messages_batch_id"),
    )
    op.create_table(
        "failures",
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("message_number", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "message_number", name="pk_failures"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_failures_batch_id"),
    )
    op.create_table(
        "processes",
        sa.Column("id", row_id, autoincrement=True, nullable=False),
        sa.Column("executor_id", sa.Text, nullable=False),
        sa.Column("app_version", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("how", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", row_id, autoincrement=True, nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("message_number", sa.Integer, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("publisher", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("process_id", sa.BigInteger, nullable=False),
        sa.Column("local_count", sa.Integer, nullable=False),
        sa.Column("global_count", sa.Integer, nullable=False),
        sa.Column("delivered_at_ms", sa.BigInteger, nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("ignored", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("idempotency_key", name="uq_deliveries_idempotency_key"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_message", "deliveries", ["batch_id", "message_number", "ignored"]
    )
    op.create_index(
        "ix_deliveries_process",
        "deliveries",
        ["process_id", "publisher", "local_count", "global_count"],
    )


def downgrade() -> None:
    for table in ("deliveries", "processes", "failures", "messages", "batches", "publishers"):
        op.drop_table(table)
