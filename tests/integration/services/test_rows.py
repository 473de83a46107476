"""What the histories do to rows that are there already."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER, alembic

CLIENT = """
INSERT INTO clients (client_number, client_type, legal_name, domicile_country)
VALUES ('C00000001', 'person', 'Ada', 'CH'), ('C00000002', 'trust', 'Ada''s trust', 'LI')
"""
DOCUMENT = """
INSERT INTO documents (client_id, title, file_name, content_type, byte_size, sha256, storage_uri, uploaded_by)
SELECT gen_random_uuid(), title, 'a.pdf', 'application/pdf', 1, repeat('0', 64), 's3://' || title, 'ada'
FROM unnest(ARRAY['Passport', 'Mandate 2024', 'Photo']) AS title
"""
PRODUCT = """
INSERT INTO products (name, issuer_name, asset_class, currency, risk_class)
VALUES ('A fund', 'Issuer', 'fund', 'CHF', 3), ('A share', 'Issuer', 'equity', 'CHF', 5)
"""
RELATIONSHIP = """
INSERT INTO relationships (client_id, employee_id, role, valid_from)
SELECT '00000000-0000-0000-0000-000000000001', employee, 'primary', since
FROM (VALUES ('old', date '2020-01-01'), ('new', date '2024-01-01')) AS primaries (employee, since)
"""
RISK_PROFILE = """
INSERT INTO risk_profiles (client_id, profile_version, tolerance, maximum_risk_class, horizon_years,
                           maximum_loss_percent, status, signed_at)
VALUES (gen_random_uuid(), 1, 'balanced', 4, 10, 20, 'in_force', '2024-05-06T07:00:00Z')
"""
MAPPINGS = """
WITH plugin AS (
    INSERT INTO plugins (name, version, vendor, base_url) VALUES ('mail', '1', 'us', 'http://mail') RETURNING plugin_id
)
INSERT INTO event_mappings (tenant_id, plugin_id, source_event_type, target_event_type)
SELECT 'zurich', plugin_id, 'client.created', target FROM plugin, unnest(ARRAY['mail.sent', 'mail.filed']) AS target
"""
TASK = "INSERT INTO tasks (title, task_type, created_by) VALUES ('Renew', 'kyc', 'ada'), ('Call', 'call', 'ada')"

BACKFILLS = [
    ("client_service", "client_0003", CLIENT, "SELECT segment FROM clients", ["private", "institutional"]),
    (
        "document_service",
        "document_0001",
        DOCUMENT,
        "SELECT category FROM documents",
        ["identification", "contract", "other"],
    ),
    (
        "product_service",
        "product_0002",
        PRODUCT,
        "SELECT sustainability FROM products",
        ["article_6", "not_applicable"],
    ),
    (
        "relationship_service",
        "relationship_0002",
        RELATIONSHIP,
        "SELECT employee_id || ' ' || (valid_to IS NULL) || ' ' || booking_centre FROM relationships",
        ["old false ZRH", "new true ZRH"],
    ),
    (
        "riskprofile_service",
        "riskprofile_0005",
        RISK_PROFILE,
        "SELECT review_due::text FROM risk_profiles",
        ["2026-05-06"],
    ),
    (
        "rmbrain_mainapp",
        "mainapp_0003",
        MAPPINGS,
        "SELECT target_event_type || ' ' || priority || ' ' || is_enabled"
        " FROM event_mappings JOIN tenant_plugins USING (tenant_id, plugin_id)",
        ["mail.sent 10 false", "mail.filed 20 false"],
    ),
    ("task_service", "task_0002", TASK, "SELECT title || urgency FROM tasks", ["Renew4", "Call3"]),
]


@pytest.mark.parametrize(
    ("folder", "revision", "rows", "question", "answers"), BACKFILLS, ids=[case[0] for case in BACKFILLS]
)
def test_existing_rows_are_filled_and_survive_the_way_back(
    folder: str, revision: str, rows: str, question: str, answers: list[str], database: Database
) -> None:
    alembic(BY_FOLDER[folder], database, "upgrade", revision)
    execute(database, rows)
    for _ in range(2):
        alembic(BY_FOLDER[folder], database, "upgrade", "head")
        assert sorted(execute(database, question)) == sorted((answer,) for answer in answers)
        alembic(BY_FOLDER[folder], database, "downgrade", revision)


def test_events_handled_before_the_canonical_structure_are_still_known_after_it(database: Database) -> None:
    service = BY_FOLDER["document_service"]
    alembic(service, database, "upgrade", "document_0002")
    execute(database, "INSERT INTO processed_events VALUES ('e1', '2024-05-06 07:08:09'), ('e2', NULL)")
    alembic(service, database, "upgrade", "document_0003")
    question = "SELECT event_id, source, processed_at = '2024-05-06T07:08:09Z' FROM processed_events ORDER BY 1"
    assert execute(database, question) == [("e1", "before-canonical", True), ("e2", "before-canonical", False)]
    execute(database, "INSERT INTO processed_events (event_id, source, event_type) VALUES ('e1', 'crm', 'x')")
    alembic(service, database, "downgrade", "document_0002")
    assert execute(database, "SELECT event_id FROM processed_events ORDER BY 1") == [("e1",), ("e2",)]


def test_a_rule_added_not_valid_binds_new_rows_and_is_checked_on_old_ones_by_the_next_revision(
    database: Database,
) -> None:
    service = BY_FOLDER["product_service"]
    alembic(service, database, "upgrade", "product_0002")
    execute(database, PRODUCT + "; UPDATE products SET ongoing_charges_percent = 21 WHERE asset_class = 'fund'")
    alembic(service, database, "upgrade", "product_0004")
    with pytest.raises(psycopg.errors.CheckViolation):
        execute(database, "UPDATE products SET ongoing_charges_percent = 21 WHERE asset_class = 'equity'")
    with pytest.raises(AssertionError, match="upgrade head"):
        alembic(service, database, "upgrade", "head")
    execute(database, "UPDATE products SET ongoing_charges_percent = 2")
    alembic(service, database, "upgrade", "head")


def execute(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []
