"""Prints docs/errors.md: python -m migration_sidecar.contract.problem_catalogue.reference_page > docs/errors.md"""

from __future__ import annotations

from migration_sidecar.contract.problem_catalogue.catalogue import SECTIONS
from migration_sidecar.contract.problem_catalogue.kind import ProblemKind

INTRODUCTION = """\
# Error codes

<!-- Made by `python -m migration_sidecar.contract.problem_catalogue.reference_page`; edit migration_sidecar/contract/problem_catalogue. -->

Every refusal and failure has a code, the same through every door: HTTP, events, `coordinator`, `migration-sidecar`, readiness, run records,
audit. With it come one sentence each: what, why, and what to do (`title`, `detail`, `next_step`). A code never changes its meaning, and has
one title. The next step below is the general one; an answer may have a more special one.

What PostgreSQL, a driver or Python said stands apart, in `server_message`: for whoever reads the answer, and never in the audit.

`again` is `retryable` in the answer: the same call may work later without anybody changing anything. `HTTP` is the status of an answer that
is this problem; without one the problem stands inside an operation, a plan or a run. `exit` is the exit code of a command that ends with it;
where an operation was carried out, its state decides.
"""  # noqa: E501 - prose
HEAD = "| code | what | when | do | HTTP | again | exit |\n|---|---|---|---|---|---|---|"


def page() -> str:
    """The whole page, as docs/errors.md has to be."""
    parts = [f"## {heading}\n\n{HEAD}\n" + "\n".join(map(_row, kinds)) for heading, kinds in SECTIONS.items()]
    return INTRODUCTION + "\n" + "\n\n".join(parts) + "\n"


def _row(kind: ProblemKind) -> str:
    again = "yes" if kind.retryable else ""
    cells = (kind.code, kind.title, kind.when, kind.next_step, str(kind.status or ""), again, str(kind.exit_code))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
