"""The state that other tests keep in memory behaves as Dapr's does."""

import pytest

from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.ports import DocumentStore
from tests.document_store_contract import DocumentStoreContract, fresh
from tests.unit.coordinator.fakes import START, MemoryDocuments


class TestDocumentsInMemory(DocumentStoreContract):
    @pytest.fixture
    def store(self) -> DocumentStore:
        return MemoryDocuments()

    @pytest.fixture
    def run(self) -> Run:
        return Run.accept(read_request({"services": "all"}, default_request_id=fresh()), START)
