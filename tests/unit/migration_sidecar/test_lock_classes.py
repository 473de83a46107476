"""The numbers of our advisory locks are a contract: older replicas and people who look into pg_locks know them."""

from migration_sidecar.protocol.lock_key import DDL_LOCK, LOCK_CLASS, OPERATION_CLASS, START_UP_CLASS, lock_key


def test_the_numbers_stay() -> None:
    assert (LOCK_CLASS, OPERATION_CLASS, START_UP_CLASS, DDL_LOCK) == (19785, 19786, 19787, (19785, 0))
    assert lock_key("alembic_version", "") == {"class_id": 19785, "object_id": 285493415}
