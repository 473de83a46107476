"""Runs the command `adopt` and prints its answer."""

from __future__ import annotations

import getpass
import os
from collections import Counter
from collections.abc import Collection

import typer

from migration_sidecar.adoption.adopt import Adoption, AdoptionRequest, AdoptionState
from migration_sidecar.adoption.adopt import adopt as carry_out
from migration_sidecar.adoption.catalog_diff import Difference
from migration_sidecar.adoption.revision_search import Matches, matches
from migration_sidecar.cli.options import Options
from migration_sidecar.cli.output import escape, first_line, out, print_json, print_problem, remarks
from migration_sidecar.contract.errors import NotAdopted
from migration_sidecar.contract.messages import Problem
from migration_sidecar.engine.engine import Engine

HEADLINES = {
    AdoptionState.ADOPTED: "[green]adopted[/], at {at}",
    AdoptionState.ALREADY: "[green]unchanged[/], at {at}",
    AdoptionState.SAME: "[green]the same[/] as {at}; nothing was stamped",
    AdoptionState.DIFFERENT: "[red]different[/] from {at} in {count}; nothing was stamped",
}
WITHIN = ("column", "constraint", "index", "not-null-name", "sequence", "trigger", "comment", "policy")


def adopt(options: Options, revision: str | None, leaving: Collection[str], *, dry_run: bool) -> None:
    """Ends the program with 0 (adopted or the same), 1 (different or refused) or 2 (the revision must be named)."""
    wish = AdoptionRequest(revision or "", f"{getpass.getuser()}@{os.uname().nodename}", dry_run, frozenset(leaving))

    async def ask(engine: Engine) -> Adoption | Matches | Problem:
        try:
            return await (carry_out if revision else matches)(engine, wish, _print_progress)
        except NotAdopted as error:
            return error.problem

    answer = options.ask(ask)
    if isinstance(answer, Problem):
        print_problem(answer, as_json=options.as_json)
    elif options.as_json:
        print_json(answer)
    elif isinstance(answer, Adoption):
        _print(answer)
    else:
        _print_matches(answer)
    raise typer.Exit(_exit_code(answer))


def _exit_code(answer: Adoption | Matches | Problem) -> int:
    if isinstance(answer, Matches) or (isinstance(answer, Problem) and answer.code == "CM-203"):
        return 2  # the revision must be named
    return 1 if isinstance(answer, Problem) or answer.state is AdoptionState.DIFFERENT else 0


def _print_progress(sentence: str) -> None:
    remarks.print(escape(sentence))


def _print(adoption: Adoption) -> None:
    for line in _lines(adoption.differences):
        out.print(line, soft_wrap=True)
    at, count = ", ".join(adoption.revisions) or "base", len(adoption.differences)
    headline = HEADLINES[adoption.state].format(at=escape(at), count="one thing" if count == 1 else f"{count} things")
    out.print(f"{escape(adoption.service)}: {headline}")
    if adoption.given:
        out.print(f"  given beforehand: {escape(', '.join(adoption.given))}", soft_wrap=True)
    if adoption.objects:
        out.print(
            f"  {adoption.objects} facts compared; not looked at: {', '.join(adoption.not_looked_at) or 'none'}.",
            soft_wrap=True,
        )
        out.print(f"  {adoption.not_compared}", soft_wrap=True)


def _print_matches(answer: Matches) -> None:
    for each in answer.matches:
        count = each.differences
        how_far = "[green]the same[/]" if not count else "1 difference" if count == 1 else f"{count} differences"
        out.print(f"{each.revision}  {how_far}  {first_line(each.message)}", soft_wrap=True)
    same = [each.revision for each in answer.matches if not each.differences]
    advice = (
        f"Adopt it with --revision {same[-1]}." if same else "It is none of them; see with --revision what differs."
    )
    remarks.print(f"{escape(answer.service)}: {advice}")


def _lines(differences: list[Difference]) -> list[str]:
    """The lines for all differences. A missing table has one line, with the number of the objects that belong to it."""
    whole = {each.object for each in differences if each.kind == "table" and _is_one_sided(each)}
    lines = []
    for each in differences:
        owner = each.object.rpartition(".")[0]
        if each.kind in WITHIN and owner in whole:
            continue
        lines += _described(each, _count_children(each, differences) if each.object in whole else "")
    return lines


def _is_one_sided(each: Difference) -> bool:
    return each.in_database is None or each.in_revision is None


def _count_children(table: Difference, differences: list[Difference]) -> str:
    within = [each for each in differences if each.object.startswith(f"{table.object}.") and each.kind in WITHIN]
    inside = Counter(each.kind for each in within)
    return f" (with {', '.join(f'{count} {kind}' for kind, count in sorted(inside.items()))})" if inside else ""


def _described(each: Difference, children: str) -> list[str]:
    name = f"[bold]{each.kind} {escape(each.object)}[/]"
    if each.in_revision is None:
        return [f"{name}: only in the database{children}"]
    if each.in_database is None:
        return [f"{name}: only in the revision{children}"]
    return [name, *_definition_lines("database", each.in_database), *_definition_lines("revision", each.in_revision)]


def _definition_lines(who: str, text: str) -> list[str]:
    first, *rest = escape(text).splitlines() or ["(plain)"]
    return [f"  {who}  {first or '(plain)'}", *(f"            {line}" for line in rest)]
