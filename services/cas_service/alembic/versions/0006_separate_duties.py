"""Separate duties: four roles, an owner that nobody logs in as, and readers held to their services"""

from alembic import context, op

revision = "audit_0006"
down_revision = "audit_0005"
branch_labels = None
depends_on = None

# Roles belong to the whole server, and other databases make and drop the same ones at the same time: a GRANT keeps
# the role until this transaction ends, and all take and drop them in the order of their names.
# Since PostgreSQL 15 an owner needs CREATE in the schema to be given a table there.
MAKE_ROLES = """
DO $$
DECLARE
    role text;
    lacking text := '';
BEGIN
    FOREACH role IN ARRAY ARRAY['cas_ingest', 'cas_owner', 'cas_reader', 'cas_witness'] LOOP
        LOOP
            BEGIN
                EXECUTE concat('GRANT USAGE ON SCHEMA audit TO ', role);
                EXIT;
            EXCEPTION WHEN undefined_object THEN
                BEGIN
                    EXECUTE concat('CREATE ROLE ', role);
                EXCEPTION
                    WHEN duplicate_object OR unique_violation THEN NULL;
                    WHEN insufficient_privilege THEN
                        lacking := concat(lacking, 'CREATE ROLE ', role, '; ');
                        EXIT;
                END;
            END;
        END LOOP;
        CONTINUE WHEN to_regrole(role) IS NULL OR pg_has_role(role, 'USAGE');
        BEGIN
            EXECUTE concat('GRANT ', role, ' TO ', quote_ident(current_user));
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END;
    END LOOP;
    IF to_regrole('cas_owner') IS NULL OR NOT pg_has_role('cas_owner', 'USAGE') THEN
        lacking := concat(lacking, 'GRANT cas_owner, cas_ingest, cas_reader, cas_witness TO ',
            quote_ident(current_user), '; ');
    END IF;
    IF to_regrole('cas_owner') IS NOT NULL THEN
        BEGIN
            GRANT ALL ON SCHEMA public TO cas_owner;
        EXCEPTION WHEN insufficient_privilege THEN NULL;
        END;
    END IF;
    IF to_regrole('cas_owner') IS NULL OR NOT has_schema_privilege('cas_owner', 'public', 'CREATE') THEN
        lacking := concat(lacking, 'GRANT ALL ON SCHEMA public TO cas_owner; ');
    END IF;
    IF lacking <> '' THEN
        RAISE EXCEPTION USING
            MESSAGE = concat('The audit needs roles, as administrator run: ', rtrim(lacking, '; ')),
            HINT = 'Run that once in this database, then migrate again.',
            ERRCODE = 'insufficient_privilege';
    END IF;
END
$$
"""

READER_SERVICES = """
CREATE TABLE audit.reader_services (
    reader name NOT NULL,
    service text NOT NULL,
    PRIMARY KEY (reader, service)
)
"""

# Who logged in counts, whatever role was set since, and that role, and every group of either: who is listed by a group
# is held like all of it. A superuser is a member of everything only by name. Who is not listed is held to no service.
HELD_TO = """
SELECT held.service FROM audit.reader_services AS held WHERE held.reader IN (session_user, current_user)
OR pg_has_role(current_user, to_regrole(quote_ident(held.reader))::oid, 'MEMBER')
OR pg_has_role(session_user, to_regrole(quote_ident(held.reader))::oid, 'MEMBER')
    AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)
"""

# A subquery is asked once for a statement, not once for a row.
READ_POLICY = f"""
CREATE POLICY services_of_reader ON public.audit_events FOR SELECT USING (
    NOT EXISTS ({HELD_TO}) OR service = ANY (ARRAY({HELD_TO}))
)
"""

# append_events writes by it. And whoever has the owner's rights meets the triggers instead of finding no rows: a
# change is refused aloud, not silently without effect.
OWNER_POLICY = """
CREATE POLICY owner ON public.audit_events
USING ((SELECT pg_has_role('cas_owner', 'USAGE'))) WITH CHECK ((SELECT pg_has_role('cas_owner', 'USAGE')))
"""

# No security_barrier: the policy is one already, and with two an index would no longer give the order of seq.
EVENTS = """
CREATE VIEW audit.events AS
SELECT event.*, audit.payload_text(event) AS payload FROM public.audit_events AS event
"""

TABLES = ("TABLE public.audit_events", "TABLE audit.chain_head", "TABLE audit.retired_events")
ENCODING = (
    "FUNCTION audit.timestamp_text(timestamptz)",
    "FUNCTION audit.payload_text(public.audit_events)",
    "FUNCTION audit.payload_hash(public.audit_events)",
    "FUNCTION audit.event_hash(public.audit_events)",
)
WRITING = (
    "FUNCTION audit.append_events(jsonb)",
    "FUNCTION audit.append(jsonb)",
    "FUNCTION audit.incoming(jsonb)",
    "FUNCTION audit.conflict(public.audit_events, public.audit_events)",
    "FUNCTION audit.refuse_change()",
)
OWNED_BEFORE = ("SCHEMA audit", *TABLES, *ENCODING, *WRITING)
OWNED = (*OWNED_BEFORE, "TABLE audit.reader_services", "VIEW audit.events")

# A role that has a member, an object or a right anywhere is somebody else's too.
DROP_ROLES = """
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['cas_ingest', 'cas_owner', 'cas_reader', 'cas_witness'] LOOP
        EXECUTE concat('REVOKE ALL ON SCHEMA audit, public FROM ', role);
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_auth_members AS other
            WHERE other.roleid = to_regrole(role) AND other.member <> quote_ident(current_user)::regrole
        );
        BEGIN
            EXECUTE concat('DROP ROLE ', role);
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR lock_not_available THEN NULL;
        END;
    END LOOP;
END
$$
"""


def upgrade() -> None:
    op.execute(MAKE_ROLES)
    op.execute(READER_SERVICES)
    op.execute(READ_POLICY)
    op.execute(OWNER_POLICY)
    op.execute("ALTER TABLE public.audit_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    op.execute(EVENTS)
    for each in OWNED:
        op.execute(f"ALTER {each} OWNER TO cas_owner")
    for each in (*ENCODING, *WRITING):
        op.execute(f"REVOKE ALL ON {each} FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION audit.append_events(jsonb) TO cas_ingest")
    op.execute("GRANT SELECT ON audit.events TO cas_reader, cas_witness")
    for each in ENCODING:
        op.execute(f"GRANT EXECUTE ON {each} TO cas_reader, cas_witness")


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    op.execute("DROP VIEW audit.events")
    op.execute("ALTER TABLE public.audit_events DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    op.execute("DROP POLICY owner ON public.audit_events")
    op.execute("DROP POLICY services_of_reader ON public.audit_events")
    op.execute("DROP TABLE audit.reader_services")
    for each in ENCODING:
        op.execute(f"REVOKE ALL ON {each} FROM cas_reader, cas_witness")
        op.execute(f"GRANT EXECUTE ON {each} TO PUBLIC")
    op.execute("REVOKE ALL ON FUNCTION audit.append_events(jsonb) FROM cas_ingest")
    for each in WRITING[1:]:
        op.execute(f"GRANT EXECUTE ON {each} TO PUBLIC")
    for each in OWNED_BEFORE:
        op.execute(f"ALTER {each} OWNER TO CURRENT_USER")
    op.execute(DROP_ROLES)
