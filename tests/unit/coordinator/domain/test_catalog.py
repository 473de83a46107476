"""The order of the fleet, and the catalogs that are refused."""

from pathlib import Path

import pytest

from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.request import read_request
from coordinator.errors import BadCatalog, ServiceWithoutDatabase, UnknownService

FLEET = '[fleet]\nname = "f"\naudit = "a"\n'


def service(name: str, *depends_on: str, database: str | None = None) -> str:
    listed = ", ".join(f'"{other}"' for other in depends_on)
    return f'[[services]]\nname = "{name}"\ndatabase = "{database or name + "_db"}"\ndepends_on = [{listed}]\n'


def renamed(name: str, *before: str) -> str:
    listed = ", ".join(f'"{other}"' for other in before)
    return service(name) + f"former_names = [{listed}]\n"


def left(name: str, when: str = "2026-03-01", reason: str = "its work is done") -> str:
    return f'[[former_services]]\nname = "{name}"\nleft = {when}\nreason = "{reason}"\n'


def names(text: str) -> list[str]:
    return [one.name for one in read_catalog(text).services]


def test_the_file_gives_the_order_and_the_audit_comes_first() -> None:
    assert names(FLEET + service("c") + service("b") + service("a")) == ["a", "c", "b"]


def test_a_dependency_pulls_a_service_behind_it_and_moves_nothing_else() -> None:
    assert names(FLEET + service("a") + service("b", "d") + service("c") + service("d")) == ["a", "c", "d", "b"]


def test_a_circle_is_shown_as_the_way_round() -> None:
    with pytest.raises(BadCatalog, match=r"b -> c -> d -> b|c -> d -> b -> c|d -> b -> c -> d"):
        read_catalog(FLEET + service("a") + service("b", "c") + service("c", "d") + service("d", "b"))


def test_the_audit_cannot_wait_for_anybody() -> None:
    with pytest.raises(BadCatalog, match="circle"):
        read_catalog(FLEET + service("a", "b") + service("b"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fleet = [", "not TOML"),
        ("", "fleet"),
        (FLEET, "services"),
        (FLEET + service("b"), "audit service a"),
        (FLEET + service("a") + service("a", database="x"), "service a more than once"),
        (FLEET + service("a") + service("b", database="a_db"), "database a_db more than once"),
        (FLEET + service("a") + service("b", "b"), "circle"),
        (FLEET + service("a") + service("b", "nobody"), "depends on nobody"),
        (FLEET + service("a") + '[[services]]\nname = "b"\n', "why it has none"),
        (FLEET + service("a") + '[[services]]\nname = "B/../x"\ndatabase = "b"\n', "services.1.name"),
        (FLEET + service("a") + "port = 1\n", "services.0.port"),
        (FLEET + service("a") + 'target = "base"\n', "services.0: .*neither a full revision id nor head"),
        (FLEET + service("a") + 'target = "main@-1"\n', "services.0: .*neither a full revision id nor head"),
        (FLEET + service("a") + "target = 1\n", "services.0.target"),
        (FLEET + service("a") + renamed("b", "a"), "service a more than once"),
        (FLEET + service("a") + renamed("b", "b"), "service b more than once"),
        (FLEET + service("a") + renamed("b", "c", "c"), "service c more than once"),
        (FLEET + service("a") + renamed("b", "c") + renamed("d", "c"), "service c more than once"),
        (FLEET + service("a") + left("a"), "service a more than once"),
        (FLEET + service("a") + left("z") + left("z"), "service z more than once"),
        (FLEET + service("a") + renamed("b", "z") + left("z"), "service z more than once"),
        (FLEET + service("a") + left("z", "2026-03-01T08:00:00"), "former_services.0.left"),
        (FLEET + service("a") + left("z", '"yesterday"'), "former_services.0.left"),
        (FLEET + service("a") + left("z", "9999-12-31"), "former_services.0"),
        (FLEET + service("a") + left("z", "9999-12-31T23:59:59-12:00"), "former_services.0"),
        (FLEET + service("a") + left("z", "0001-01-01T00:00:00+14:00"), "former_services.0"),
        (FLEET + service("a") + left("z", reason=""), "former_services.0.reason"),
        (FLEET + service("a") + renamed("b", "B c"), "services.1.former_names.0"),
    ],
)
def test_a_catalog_that_cannot_be_right_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(BadCatalog, match=says):
        read_catalog(text)


def test_a_request_chooses_in_migration_order_whatever_order_it_names() -> None:
    catalog = read_catalog(FLEET + service("a") + service("b", "c") + service("c"))
    asked = read_request({"services": ["b", "c", "a"]}, default_request_id="r")
    chosen = catalog.select(asked)
    assert [one.name for one in chosen] == ["a", "c", "b"]
    assert catalog.dependencies(chosen[2], chosen) == ["a", "c"]
    assert catalog.dependencies(chosen[2], chosen[2:]) == []
    assert catalog.dependencies(chosen[0], chosen) == []


def test_the_committed_catalog_is_the_fleet_of_nine() -> None:
    catalog = read_catalog((Path(__file__).parents[4] / "fleet.toml").read_text())
    assert len(catalog.databases) == 9
    assert catalog.databases[0].name == catalog.fleet.audit == "cas-audit"
    with pytest.raises(ServiceWithoutDatabase, match="it only calls other services"):
        catalog.find("bff-service")


@pytest.mark.parametrize(
    "name", ["CDS-CLIENT", "nope", "http://169.254.169.254", "cds-client/../x", "cds%2fclient", ""]
)
def test_a_name_is_found_exactly_or_not_at_all(name: str) -> None:
    catalog = read_catalog((Path(__file__).parents[4] / "fleet.toml").read_text())
    with pytest.raises(UnknownService):
        catalog.find(name)


def test_a_target_for_a_service_outside_the_catalog_is_refused() -> None:
    catalog = read_catalog(FLEET + service("a"))
    asked = read_request({"services": "all", "target": {"zz": "r1"}}, default_request_id="r")
    with pytest.raises(UnknownService):
        catalog.select(asked)


def test_whose_tables_are_other_peoples_is_said_in_the_catalog_or_in_a_request() -> None:
    catalog = read_catalog(FLEET + service("a") + service("b") + "beside_other_tables = true\n")
    for named, told in ([], ["b"]), (["a"], ["a", "b"]):
        asked = read_request({"services": "all", "beside_other_tables": named}, default_request_id="r")
        assert [each.name for each in catalog.select(asked) if each.is_beside_other_tables_in(asked)] == told
    asked = read_request({"services": "all", "beside_other_tables": ["zz"]}, default_request_id="r")
    with pytest.raises(UnknownService):
        catalog.select(asked)


@pytest.mark.parametrize("body", [{"services": ["old"]}, {"services": "all", "target": {"old": "heads"}}])
def test_a_former_name_is_answered_with_the_name_of_today(body: dict[str, object]) -> None:
    catalog = read_catalog(FLEET + service("a") + renamed("new", "older", "old"))
    with pytest.raises(UnknownService) as refused:
        catalog.select(read_request(body, default_request_id="r"))
    problem = refused.value.problem()
    assert (problem.code, problem.detail) == ("CM-201", "old is called new now.")


def test_records_know_a_service_by_all_its_names() -> None:
    catalog = read_catalog(FLEET + service("a") + renamed("new", "older", "old"))
    assert catalog.names_of("new") == {"new", "older", "old"}
    assert catalog.names_of("old") == {"old"}
    assert catalog.names_of("nobody") == {"nobody"}


def test_a_service_that_left_is_refused_with_when_and_why() -> None:
    catalog = read_catalog(FLEET + service("a") + left("old"))
    with pytest.raises(UnknownService) as refused:
        catalog.find("old")
    problem = refused.value.problem()
    assert (problem.code, problem.detail) == ("CM-201", "old has left the fleet (2026-03-01): its work is done.")


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("2026-03-01", "2026-03-02T00:00:00+00:00"),
        ("2026-03-01T08:30:00Z", "2026-03-01T08:30:00+00:00"),
        ("2026-03-01T08:30:00+02:00", "2026-03-01T06:30:00+00:00"),
    ],
)
def test_a_service_has_left_at_a_moment_or_at_the_end_of_a_day(when: str, until: str) -> None:
    (former,) = read_catalog(FLEET + service("a") + left("old", when)).former_services
    assert former.until.isoformat() == until


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ({}, "main@head"),
        ({"target": "head"}, "main@head"),
        ({"target": {"b": "heads"}}, "main@head"),
        ({"target": "heads"}, "heads"),
        ({"target": {"a": "heads"}}, "heads"),
        ({"target": {"a": "r1"}}, "r1"),
    ],
    ids=["nothing", "head", "for another", "heads for all", "heads for it", "a revision"],
)
def test_the_catalog_says_what_head_means_for_a_service(asked: dict[str, object], target: str) -> None:
    catalog = read_catalog(FLEET + service("a") + 'target = "main@head"\n' + service("b"))
    request = read_request({"services": "all", **asked}, default_request_id="r")
    assert catalog.find("a").target_in(request) == target


def test_where_the_catalog_says_nothing_the_service_is_asked_for_its_own_head() -> None:
    request = read_request({"services": "all"}, default_request_id="r")
    assert read_catalog(FLEET + service("a")).find("a").target_in(request) == "head"
