"""Refuse changes of audit_events

UPDATE, DELETE and TRUNCATE, by whomever.
"""

from alembic import op

revision = "audit_0003"
down_revision = "audit_0002"
branch_labels = None
depends_on = None

REFUSE_CHANGE = """
CREATE FUNCTION audit.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = concat(TG_OP, ' of ', TG_TABLE_SCHEMA, '.', TG_TABLE_NAME, ' is refused: the audit is append-only'),
        HINT = 'Append a correcting event through audit.append_events.',
        ERRCODE = 'insufficient_privilege';
END
$$
"""

ROWS = """
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON public.audit_events
FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()
"""

# What every revision from here on asks before it takes anything back. Anchors outlive the events they sign, and are
# looked for where their table is. The lock keeps an event from coming between the look and the end of the downgrade.
REFUSE_TO_TAKE_BACK = """
DO $$
DECLARE
    kept text;
    found boolean;
BEGIN
    LOCK TABLE public.audit_events IN SHARE ROW EXCLUSIVE MODE;
    FOREACH kept IN ARRAY ARRAY['public.audit_events', 'audit.anchors'] LOOP
        CONTINUE WHEN to_regclass(kept) IS NULL;
        EXECUTE concat('SELECT EXISTS (SELECT FROM ', kept, ')') INTO found;
        IF found THEN
            RAISE EXCEPTION 'the audit holds events or anchors, and is not taken back while it does'
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Leave it at its revision; only an audit that holds nothing yet can be downgraded.';
        END IF;
    END LOOP;
END
$$
"""

# Row triggers do not see TRUNCATE.
TRUNCATION = """
CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON public.audit_events
FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()
"""


def upgrade() -> None:
    op.execute(REFUSE_CHANGE)
    op.execute(ROWS)
    op.execute(TRUNCATION)
    # ALWAYS: also for a session that calls itself a replica, where ordinary triggers are silent.
    op.execute("ALTER TABLE public.audit_events ENABLE ALWAYS TRIGGER refuse_change")
    op.execute("ALTER TABLE public.audit_events ENABLE ALWAYS TRIGGER refuse_truncation")


def downgrade() -> None:
    op.execute(REFUSE_TO_TAKE_BACK)
    op.execute("DROP TRIGGER refuse_truncation ON public.audit_events")
    op.execute("DROP TRIGGER refuse_change ON public.audit_events")
    op.execute("DROP FUNCTION audit.refuse_change()")
