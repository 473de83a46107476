"""What older replicas, stored rows and people who look into pg_locks know stays as it is."""

from __future__ import annotations

from migration_sidecar.contract.messages import OperationRequest
from migration_sidecar.protocol.lock_key import DDL_LOCK, LOCK_CLASS, OPERATION_CLASS, START_UP_CLASS, lock_key


def test_the_numbers_of_advisory_locks_stay() -> None:
    assert (LOCK_CLASS, OPERATION_CLASS, START_UP_CLASS, DDL_LOCK) == (19785, 19786, 19787, (19785, 0))
    assert lock_key("alembic_version", "") == {"class_id": 19785, "object_id": 285493415}


def test_the_digest_by_which_a_repeat_is_known_stays() -> None:
    request = OperationRequest(operation_id="op-1", target="head", requested_by="ada")
    assert request.digest == "b2d6376a3f168e0df43ca469140bab0e40215a184008e1e3cdc878412a27b381"


def test_a_field_that_release_0_2_refuses_is_left_out_of_what_it_reads_until_it_is_used() -> None:
    request = OperationRequest(operation_id="op-1", target="head")
    assert "beside_other_tables" not in request.model_dump(exclude=request.newer)
    used = request.model_copy(update={"beside_other_tables": True})
    assert used.model_dump(exclude=used.newer)["beside_other_tables"] is True


def test_the_patterns_of_the_wire_stay() -> None:
    properties = OperationRequest.model_json_schema()["properties"]
    assert properties["requested_by"]["pattern"] == r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    assert properties["request_id"]["anyOf"][0]["pattern"] == r"^[A-Za-z0-9_-]{1,64}$"
