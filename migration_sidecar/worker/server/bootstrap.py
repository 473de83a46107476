"""The program of the forkserver, started by its path: makes this package, and nothing beside it, importable."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
NAME = "migration_sidecar"


def main() -> None:
    """Loads the package `migration_sidecar` from where this file is and runs the forkserver."""
    # Python puts the folder of the program first in sys.path; its modules would hide others of the same name.
    if sys.path and sys.path[0] == str(PACKAGE / "worker" / "server"):
        del sys.path[0]
    spec = spec_from_file_location(NAME, PACKAGE / "__init__.py", submodule_search_locations=[str(PACKAGE)])
    if spec is None or spec.loader is None:
        raise ImportError(NAME)
    package = module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    from migration_sidecar.worker.server import forkserver

    forkserver.main()


if __name__ == "__main__":
    main()
