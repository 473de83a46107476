"""Loads the revision files of an environment and describes each: what it needs and what kind of change it makes."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import util
from alembic.script.revision import CycleDetected, RevisionError, RevisionMap
from alembic.util import CommandError

from migration_sidecar.protocol.reports import SendReport
from migration_sidecar.protocol.results import HistoryFacts, RevisionFacts
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts import integrity, load_errors, static_analysis
from migration_sidecar.worker.scripts.made_tables import made_by
from migration_sidecar.worker.scripts.script_directory import open_prepared_directory, script_directory, script_location
from migration_sidecar.worker.scripts.source_tree import SourceTree
from migration_sidecar.worker.time_limit import time_limit

NO_MIGRATION_FOLDER = "CM-303"

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory


def load_history(config: Config, report: SendReport, seconds: float = 0, folders: Sequence[str] = ()) -> HistoryFacts:
    """The result of an `inspect` job. Raises MigrationRefused (CM-302 to CM-304) with file and line of what is wrong.

    Loading runs the files. After `seconds` the file that is being loaded is refused; 0 means no limit. `folders` are
    the version_locations that env.py set, if any.
    """
    directory = open_script_directory(config, folders)
    try:
        return inspect_config(directory, report, seconds)
    except MigrationRefused as refusal:
        if not _may_need_env_py(refusal):
            raise
        with ExitStack() as stack:
            prepared = open_prepared_directory(config, stack)
            if prepared is None:
                raise  # the first error, without env.py, says more
            return inspect_config(prepared, report, seconds)


def _may_need_env_py(refusal: MigrationRefused) -> bool:
    """Whether it may be otherwise after env.py: a file raised an error, or no revision is where Alembic looks."""
    met = refusal.__context__
    is_error = isinstance(met, Exception) and not isinstance(met, (SyntaxError, CommandError, RevisionError))
    return is_error or refusal.facts["code"] == NO_MIGRATION_FOLDER


def inspect_config(directory: ScriptDirectory, report: SendReport, seconds: float = 0) -> HistoryFacts:
    """The same for a ScriptDirectory that is configured already, also called by a probe."""
    # Before any file runs, so that the service notices a change of one that never ends.
    report({"event": "folders", "folders": [str(folder) for folder in _folders(directory)]})
    env_file = load_errors.require_env_file(Path(directory.env_py_location))
    loading = _ImportWatch(report)
    with time_limit(seconds, lambda where: load_errors.load_timeout(where, seconds), report), loading.watched():
        scripts = _load(directory, loading)
    if not scripts:
        raise load_errors.no_revisions(_folders(directory))
    integrity.check_files(scripts)
    directory.revision_map = RevisionMap(lambda: scripts)
    try:
        heads = sorted(directory.get_heads())
    except CycleDetected as error:
        raise integrity.find_cycle(error.revisions, scripts) from None
    except (CommandError, RevisionError) as error:
        raise integrity.broken_file(str(error).splitlines()[0].rstrip(".") + ".") from None
    sources = {script.revision: Path(script.path).read_bytes() for script in scripts}
    trees = {revision: SourceTree.parsed(source) for revision, source in sources.items()}
    return {
        "heads": heads,
        "revisions": [describe(each, sources[each.revision], trees[each.revision]) for each in scripts],
        "makes": made_by(trees),
        "makes_version_table": "version_num" in env_file or "version_table_impl" in env_file,
    }


def open_script_directory(config: Config, folders: Sequence[str] = ()) -> ScriptDirectory:
    """Raises MigrationRefused (CM-303) if script_location names no usable folder."""
    try:
        return script_directory(config, folders)
    except Exception as error:
        name = Path(config.config_file_name or "alembic.ini").name
        raise load_errors.missing_folder(name, error, named=bool(script_location(config))) from None


def describe(script: Script, source: bytes, tree: SourceTree | None) -> RevisionFacts:
    """The facts about one loaded revision for a plan."""
    described = static_analysis.analyse_revision(source, tree)
    for name in ("upgrade", "downgrade"):
        if not hasattr(script.module, name):
            described["findings"].append({"kind": "missing", "action": name, "line": 1})
            described["reversible"] = False
    return {
        "id": script.revision,
        "message": (script.doc or "").strip(),
        "sha256": sha256(source).hexdigest(),
        "path": str(Path(script.path)),
        "down": list(script._versioned_down_revisions),
        "depends_on": list(script._resolved_dependencies),
        "labels": list(script._orig_branch_labels),
        **described,
    }


class _ImportWatch:
    """Reports each file before it is loaded, because a file may never end, or end the process."""

    def __init__(self, report: SendReport) -> None:
        self.report = report
        self.file: Path | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        alembic: Any = util
        load = alembic.load_python_file

        def reporting_load(folder: Any, name: Any) -> Any:
            self.file = Path(folder) / name
            self.report({"event": "loading", "file": self.file.name})
            return load(folder, name)

        alembic.load_python_file = reporting_load
        try:
            yield
        finally:
            alembic.load_python_file = load


def _load(directory: ScriptDirectory, loading: _ImportWatch) -> list[Script]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(directory._load_revisions())
    except MigrationRefused:
        raise
    except CycleDetected as error:
        raise load_errors.dependency_cycle(loading.file, error.revisions) from None
    except BaseException as error:  # a file may raise SystemExit
        raise load_errors.not_loaded(loading.file, error) from None


def _folders(directory: ScriptDirectory) -> list[Path]:
    return [Path(location).resolve() for location in directory._version_locations]
