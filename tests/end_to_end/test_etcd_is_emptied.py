"""Finding 6: one POST to the scheduler's database (etcd) halted all runs, and nothing said so.

A web page cannot find the database any more. A user of the machine can: then the coordinator and `infra status` say
that nothing is carried out, and after `infra up` each run goes on where it was.
"""

from __future__ import annotations

import stat
from collections import Counter

import httpx
import psutil
import pytest

from scripts.infrastructure.control_plane import EMPTIED
from scripts.infrastructure.status import status
from tests.end_to_end.ground import SERVICES, Ground
from tests.end_to_end.test_nobody_drives import is_ready, within

# As in the finding. A page may send this type to another origin without a question.
EVERYTHING = '{"key":"AA==","range_end":"AA=="}'
AS_A_PAGE = {"content-type": "text/plain", "origin": "http://evil.example", "sec-fetch-site": "cross-site"}


def delete_everything(host: str, port: int) -> httpx.Response:
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return httpx.post(f"{url}/v3/kv/deleterange", content=EVERYTHING, headers=AS_A_PAGE, timeout=5)


def addresses_of_the_machine() -> set[str]:
    found = {each.address.partition("%")[0] for some in psutil.net_if_addrs().values() for each in some}
    return {each for each in found if each.count(":") != 5 and ("." in each or ":" in each)}  # 5 colons: of a MAC


def rows(ground: Ground) -> dict[str, tuple[str, str]]:
    return {row.name: (row.state, row.why) for row in status(ground.infrastructure)}


def test_the_request_of_the_finding_reaches_no_database(ground: Ground) -> None:
    plane = ground.infrastructure.control_plane
    file = ground.infrastructure.settings.state / "scheduler" / "etcd-address"
    guessed = {"127.0.0.1", "localhost", "127.0.1.1", "127.1.1.1", "0.0.0.0", "::1", *addresses_of_the_machine()}
    assert file.read_text() not in guessed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for host in guessed:
        with pytest.raises(httpx.ConnectError):
            delete_everything(host, plane.ports.scheduler_etcd_client)
    assert delete_everything("127.0.0.1", plane.ports.scheduler_etcd_peer).status_code == 404
    assert not plane.is_emptied()
    assert rows(ground)["scheduler"] == ("healthy", "")


def test_after_whoever_finds_it_has_emptied_it_this_is_told_and_no_run_is_lost(slow_product: Ground) -> None:
    ground, plane = slow_product, slow_product.infrastructure.control_plane
    assert within(30, lambda: is_ready(ground) is True)
    ground.ask("POST", "/migrations", json={"services": "all", "request_id": "under-way"})
    ground.run_when("under-way", lambda run: run["state"] == "running")
    found = (plane.settings.state / "scheduler" / "etcd-address").read_text()
    assert delete_everything(found, plane.ports.scheduler_etcd_client).status_code == 200
    ground.ask("POST", "/migrations", json={"services": "all", "request_id": "afterwards"})
    assert rows(ground)["scheduler"] == ("unhealthy", EMPTIED)
    assert within(75, lambda: is_ready(ground) is False)
    ground.run_when("afterwards", lambda run: "does not move" in (run["waiting_for"] or ""), 75)
    ground.infrastructure.up()
    assert rows(ground)["scheduler"] == ("healthy", "")
    for request in ("under-way", "afterwards"):
        assert ground.ended(request, 180)["state"] == "succeeded"
    assert within(60, lambda: is_ready(ground) is True)
    for database in ("cds_product", "cds_task"):
        assert set(Counter(ground.applied(database)).values()) == {1}
    assert len(ground.ask("GET", "/migrations/under-way").json()["steps"]) == len(SERVICES)
