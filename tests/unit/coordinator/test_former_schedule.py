"""The order of a run in histories of releases before 0.3, against a naive model.

Whoever is reached over any way, named or left out, must have arrived.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.domain.catalog import Catalog
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.request import MigrationRequest, read_request
from coordinator.domain.step import StepState
from coordinator.workflow.former import RunSchedule, ScheduledStep, StepReport

AUDIT = "audit"
ENDS = [StepState.SUCCEEDED, StepState.UNCHANGED, StepState.FAILED, StepState.NEEDS_ATTENTION]


class Case(NamedTuple):
    depends_on: dict[str, list[str]]
    named: list[str]
    max_parallel: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Without circles, because each depends on earlier ones only; in the file they stand in any order."""
    names = [f"s{number}" for number in range(draw(st.integers(3, 7)))]
    depends_on = {
        name: draw(st.lists(st.sampled_from(names[:place]), min_size=1, max_size=2, unique=True)) if place else []
        for place, name in enumerate(names)
    }
    order = draw(st.permutations(names))
    named = draw(st.lists(st.sampled_from([AUDIT, *names]), min_size=1, unique=True))
    return Case({name: depends_on[name] for name in order}, named, draw(st.integers(1, 4)))


def catalog_of(case: Case) -> Catalog:
    text = f'[fleet]\nname = "f"\naudit = "{AUDIT}"\n[[services]]\nname = "{AUDIT}"\ndatabase = "{AUDIT}"\n'
    for name, others in case.depends_on.items():
        text += f'[[services]]\nname = "{name}"\ndatabase = "{name}"\ndepends_on = {others}\n'.replace("'", '"')
    return read_catalog(text)


def reached(depends_on: dict[str, list[str]], name: str) -> set[str]:
    found = {AUDIT} - {name}
    for other in depends_on.get(name, []):
        found |= {other} | reached(depends_on, other)
    return found


def course_of(catalog: Catalog, request: MigrationRequest) -> RunSchedule:
    chosen = catalog.select(request)
    legs = [
        ScheduledStep(service=one.name, after=catalog.dependencies(one, chosen), state=StepState.PENDING)
        for one in chosen
    ]
    return RunSchedule(legs=legs, max_parallel=request.max_parallel)


@settings(max_examples=300)
@given(cases(), st.data())
def test_nothing_starts_before_all_that_it_depends_on_through_whatever_service(case: Case, data: st.DataObject) -> None:
    asked = {"services": case.named, "max_parallel": case.max_parallel}
    course = course_of(catalog_of(case), read_request(asked, default_request_id="r"))
    began: list[str] = []
    while services := course.next():
        states = {leg.service: leg.state for leg in course.legs}
        for service in services:
            missing = {
                other for other in reached(case.depends_on, service) & set(case.named) if not states[other].at_target
            }
            assert not missing, f"{service} began before {missing}"
            began.append(service)
        # Any of those under way ends first, in any way.
        running = [StepReport(service=service, state=StepState.RUNNING) for service in services]
        ended = data.draw(st.sampled_from(services))
        course = course.with_reports(running).with_reports(
            [StepReport(service=ended, state=data.draw(st.sampled_from(ENDS)))]
        )
    assert all(leg.state is not StepState.RUNNING for leg in course.legs)
    if all(leg.state.at_target for leg in course.legs):
        assert set(began) == set(case.named)


def test_the_order_holds_through_a_service_that_the_request_leaves_out() -> None:
    case = Case({"client": [], "product": ["client"], "task": ["product"]}, ["client", "task"], 2)
    catalog = catalog_of(case)
    chosen = catalog.select(read_request({"services": case.named}, default_request_id="r"))
    assert catalog.dependencies(chosen[1], chosen) == ["client"]
