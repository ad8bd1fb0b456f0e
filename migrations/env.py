"""Run resumectl's migrations, on the database that resumectl itself would use.

Alembic executes this file; `resumectl.publishing.store.migration` does so too, with a connection of its own
in the attributes of the configuration, so that it decides about locks and transactions.
"""

from alembic import context

from resumectl.publishing.store.migration import configure_and_run, run_on_own_connection

connection = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit(
        "resumectl: --sql is not supported, for the migrations look at the database; "
        "next: run  alembic upgrade head  against a copy"
    )
if connection is not None:
    configure_and_run(connection)
else:
    run_on_own_connection()
