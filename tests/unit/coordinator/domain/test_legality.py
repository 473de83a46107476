"""The table of verbs in docs/policies.md is the one that the code has."""

from pathlib import Path

from coordinator.domain.commands.command import Verb
from coordinator.domain.commands.legality import LEGAL

DOCUMENT = (Path(__file__).parents[4] / "docs" / "policies.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> list[list[str]]:
    section = DOCUMENT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:2] == "| "]


def test_the_documented_table_of_verbs_is_the_one_that_holds() -> None:
    table = [row for row in rows_of("Verbs") if row[0].startswith("`") and "taking back" not in row[0]]
    columns = [(Verb.PAUSE,), (Verb.RESUME,), (Verb.CANCEL,), (Verb.RETRY,), (Verb.APPROVE, Verb.REJECT)]
    documented: dict[str, set[Verb]] = {}
    for states, *cells in table:
        legal = {verb for verbs, cell in zip(columns, cells, strict=True) if cell.startswith("yes") for verb in verbs}
        documented |= dict.fromkeys([state.strip(" `") for state in states.split(",")], legal)
    assert documented == {state.value: set(verbs) for state, verbs in LEGAL.items()}
