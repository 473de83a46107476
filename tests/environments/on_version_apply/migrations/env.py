from alembic import context
from sqlalchemy import Column, DateTime, MetaData, String, Table, engine_from_config, func, pool

config = context.config
audit = Table(
    config.get_section("audit")["table"],
    MetaData(),
    Column("step", String(200)),
    Column("at", DateTime, server_default=func.now()),
)


def record(ctx, step, heads, run_args, **kw):
    """Told by Alembic after each step; it hangs a row of its own into the same transaction."""
    audit.create(ctx.connection, checkfirst=True)
    direction = "up" if step.is_upgrade else "down"
    ctx.connection.execute(audit.insert().values(step=f"{direction} {step.up_revision_id}"))


def write_down(ctx, step, heads, run_args, **kw):
    assert set(heads) <= {each.revision for each in ctx.script.walk_revisions()}


connectable = engine_from_config(
    config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool, future=True
)
with connectable.connect() as connection:
    context.configure(
        connection=connection, on_version_apply=[record, write_down], transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations(reason="release")
