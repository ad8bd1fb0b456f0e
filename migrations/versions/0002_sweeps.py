"""Sweeps and their trials, stored to be judged again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "sweeps",
        sa.Column("id", row_id, nullable=False, autoincrement=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("crash_points", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("verdicts", sa.JSON),
        sa.Column("baselines", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sweeps"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "trials",
        sa.Column("sweep_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text),
        sa.Column("seconds", sa.Float),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("judgement", sa.JSON),
        sa.Column("observation", sa.LargeBinary),
        sa.PrimaryKeyConstraint("sweep_id", "number", name="pk_trials"),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_trials_sweep_id"),
    )
    op.create_index("ix_trials_verdict", "trials", ["sweep_id", "round", "verdict"])


def downgrade() -> None:
    op.drop_table("trials")
    op.drop_table("sweeps")
