"""What quickstart tells its user to do next."""

from __future__ import annotations

import pytest

from scripts.infrastructure.postgres import Address
from scripts.infrastructure.quickstart import psql_command


@pytest.mark.parametrize(
    ("server", "command"),
    [
        (Address(), "PGPASSWORD=postgres psql -h localhost -U postgres -d cds_client -c '\\dt'"),
        (Address(port=5433), "PGPASSWORD=postgres psql -h localhost -p 5433 -U postgres -d cds_client -c '\\dt'"),
        (
            Address("db.example", user="an admin", password="secret"),
            "PGPASSWORD=\"$POSTGRES_PASSWORD\" psql -h db.example -U 'an admin' -d cds_client -c '\\dt'",
        ),
    ],
)
def test_the_command_to_look_into_a_database_works_as_it_stands_and_shows_no_password_of_the_users(
    server: Address, command: str
) -> None:
    assert psql_command(server) == command
