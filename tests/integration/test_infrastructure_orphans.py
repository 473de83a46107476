"""Whatever a fleet left behind is found by what proves that it is this fleet's, and nobody else's is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from scripts.infrastructure import fleet as fleet_module
from scripts.infrastructure import stop
from scripts.infrastructure.errors import RunsByHand, SidecarsEnded
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.quickstart import Progress
from scripts.infrastructure.quickstart import start as start_in_quickstart
from scripts.infrastructure.render import Rendering, configuration_of, read_fleet, render_fleet
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.status import status
from scripts.infrastructure.supervise import MARK_VARIABLE

SLEEP = ["-c", "import time; time.sleep(60)"]
FATAL = 'time="2026-11-22T19:36:07Z" level=fatal msg="Host registration lost" app_id=cds-task instance=x'

Pretend = Callable[..., psutil.Process]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Its applications are `python -c 'sleep'`, each with a number of its own; its launcher starts nothing."""
    (tmp_path / "tree").mkdir()
    settings = replace(Settings(), state=tmp_path / "state", dapr=tmp_path)
    rendering = Rendering(settings, root=tmp_path / "tree", free_ports=True)
    made = Fleet(settings, render_fleet(settings.state / "fleet", rendering))
    (tmp_path / "dapr").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "dapr").chmod(0o755)
    yield made
    made.program.stop()


@pytest.fixture
def pretend() -> Iterator[Pretend]:
    """A process with any argument list, folder and environment; ended when the test ends."""
    with ExitStack() as ended:

        def start(words: list[str], folder: Path, **environment: str) -> psutil.Process:
            child = subprocess.Popen(
                words, executable=sys.executable, cwd=folder, env={"PATH": os.environ["PATH"], **environment}
            )
            ended.callback(child.wait)
            ended.callback(child.kill)
            process = psutil.Process(child.pid)
            while not process.environ():  # none is seen for a moment after exec
                pass
            return process

        yield start


def sidecar(pretend: Pretend, fleet: Fleet, name: str, **environment: str) -> psutil.Process:
    configuration = str(configuration_of(fleet.file, name))
    return pretend(["/x/daprd", *SLEEP, "--app-id", name, "--config", configuration], fleet.file.parent, **environment)


def application(pretend: Pretend, fleet: Fleet, name: str, **environment: str) -> psutil.Process:
    """Python runs what is in the folder `uvicorn` there, which sleeps."""
    of = read_fleet(fleet.file)[name]
    (Path(of["appDirPath"]) / "uvicorn.py").write_text("import time\ntime.sleep(60)\n")
    return pretend(of["command"], Path(of["appDirPath"]), **{"APP_ID": name, **environment})


def launcher(pretend: Pretend, fleet: Fleet) -> psutil.Process:
    return pretend(["/x/dapr", *SLEEP, "run", "-f", "dapr.yaml"], fleet.file.parent)


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_stop_ends_every_sidecar_and_application_that_a_closed_terminal_left(fleet: Fleet, pretend: Pretend) -> None:
    """Before, only port 3500 was looked at, and one of twenty processes was named."""
    names = list(read_fleet(fleet.file))
    left = [start(pretend, fleet, name) for name in names for start in (sidecar, application)]
    assert fleet.stop()
    assert all(ended(process) for process in left)
    assert not fleet.stop()


def test_stop_ends_a_fleet_that_was_started_by_hand(fleet: Fleet, pretend: Pretend) -> None:
    processes = [launcher(pretend, fleet), sidecar(pretend, fleet, "cds-task")]
    assert fleet.stop()
    assert all(ended(process) for process in processes)


def test_no_process_of_another_fleet_is_ended(fleet: Fleet, pretend: Pretend, tmp_path: Path) -> None:
    """The same names, ports and commands: only files, folders and marks tell them apart."""
    name, elsewhere = "cds-task", tmp_path / "other"
    of = read_fleet(fleet.file)[name]
    other = Fleet(fleet.settings, render_fleet(elsewhere, Rendering(fleet.settings, root=elsewhere)))
    (elsewhere / "uvicorn.py").write_text("import time\ntime.sleep(60)\n")
    theirs = [
        sidecar(pretend, other, name),
        launcher(pretend, other),
        pretend(of["command"], elsewhere, APP_ID=name),
        pretend(["/x/vim", *SLEEP, "--config", str(fleet.file.parent / "dapr-config.yaml")], tmp_path),
        pretend(["/x/daprd", *SLEEP, "--app-id", name], tmp_path),
        sidecar(pretend, fleet, "somebody-elses-app"),
        sidecar(pretend, fleet, name, **{MARK_VARIABLE: "/another/state/dapr-run.pid"}),
        application(pretend, fleet, name, **{MARK_VARIABLE: "/another/state/dapr-run.pid"}),
        application(pretend, fleet, name, APP_ID=""),
    ]
    assert not fleet.stop()
    assert not [process.cmdline() for process in theirs if ended(process)]


@pytest.mark.skipif(os.getuid() != 0, reason="only root starts something as another user or in another network")
def test_neither_another_users_process_nor_one_in_another_network_is_ended(fleet: Fleet) -> None:
    words = ["--app-id", "cds-task", "--config", str(fleet.file.parent / "dapr-config.yaml")]
    daprd = ["bash", "-c", 'exec -a /x/daprd sh -c "read line" "$@"', "-", *words]
    with (
        subprocess.Popen(daprd, cwd="/", stdin=subprocess.PIPE, user=65534) as of_nobody,
        subprocess.Popen(["unshare", "--net", *daprd], cwd="/", stdin=subprocess.PIPE) as elsewhere,
        subprocess.Popen(daprd, cwd="/", stdin=subprocess.PIPE) as ours,
    ):
        processes = [psutil.Process(each.pid) for each in (of_nobody, elsewhere, ours)]
        while not all(each.cmdline()[:1] == ["/x/daprd"] for each in processes):
            pass
        assert fleet.stop()
        gone = [ended(each) for each in processes]
        for child in (of_nobody, elsewhere, ours):
            child.kill()
        assert gone == [False, False, True]


def test_the_same_files_under_other_spellings_are_still_this_fleet(fleet: Fleet, pretend: Pretend) -> None:
    """As the CLI is called from another folder, or through a symbolic link."""
    linked = fleet.file.parent.parent / "linked"
    linked.symlink_to(fleet.file.parent)
    left = [
        pretend(["daprd", *SLEEP, "--app-id=cds-task", "--config=fleet/../linked/dapr-config.yaml"], linked.parent),
        pretend(["dapr", *SLEEP, "run", "--run-file", "."], linked),
    ]
    assert fleet.stop()
    assert all(ended(process) for process in left)


def test_a_start_ends_what_a_killed_launcher_left(fleet: Fleet, pretend: Pretend) -> None:
    left = [sidecar(pretend, fleet, "cds-task"), application(pretend, fleet, "cds-client")]
    said: list[str] = []
    fleet.start(said.append)
    assert all(ended(process) for process in left)
    assert said == ["ending what an earlier start of this fleet left behind"]
    assert fleet.program.process() is not None


def test_a_start_leaves_a_fleet_alone_that_was_started_by_hand(fleet: Fleet, pretend: Pretend) -> None:
    process, beside = launcher(pretend, fleet), sidecar(pretend, fleet, "cds-task")
    with pytest.raises(RunsByHand, match=rf"started by hand: .*pid {process.pid}.*\./scripts/stop"):
        fleet.start()
    assert not ended(process)
    assert not ended(beside)


def test_scripts_stop_says_that_a_fleet_was_ended(
    fleet: Fleet, pretend: Pretend, capsys: pytest.CaptureFixture[str]
) -> None:
    process = sidecar(pretend, fleet, "cds-task")
    stop.stop_fleets(fleet.settings)
    assert capsys.readouterr().out == "the fleet stopped\n"
    assert ended(process)
    stop.stop_fleets(fleet.settings)
    assert capsys.readouterr().out == "no fleet of this checkout was running\n"


def marked(fleet: Fleet) -> dict[str, str]:
    return {MARK_VARIABLE: str(fleet.program.pid_file)}


def with_a_lost_sidecar(fleet: Fleet, pretend: Pretend) -> None:
    """The coordinator is whole, the application of cds-task has no sidecar any more."""
    fleet.start()
    for start in (sidecar, application):
        start(pretend, fleet, "migration-coordinator", **marked(fleet))
    application(pretend, fleet, "cds-task", **marked(fleet))
    with fleet.program.log.open("a") as log:
        log.write(f"{FATAL}\ntime=now level=info msg=later app_id=cds-client instance=y\n")


def test_a_sidecar_that_is_gone_is_named_with_its_last_line(
    fleet: Fleet, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, the whole of 180 seconds were waited, and no reason was given."""
    monkeypatch.setattr(fleet_module, "SECONDS_TO_APPEAR", 0.3)
    with_a_lost_sidecar(fleet, pretend)
    with pytest.raises(SidecarsEnded, match=r"cds-task.*have ended.*Host registration lost(.|\n)*\./scripts/stop") as e:
        fleet.wait(timeout_seconds=60)
    assert "cds-task" in e.value.names
    assert "migration-coordinator" not in e.value.names


def test_the_last_line_is_found_where_the_committed_fleet_has_it(fleet: Fleet, pretend: Pretend) -> None:
    with_a_lost_sidecar(fleet, pretend)
    document = fleet.file.read_text().replace("daprdLogDestination: console", "daprdLogDestination: file")
    fleet.file.write_text(document)
    logs = fleet.file.parent / read_fleet(fleet.file)["cas-audit"]["appDirPath"] / ".dapr" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "cas-audit_daprd_20261122183606.log").write_text("an older start\n")
    (logs / "cas-audit_daprd_20261122193606.log").write_text(f"before\n{FATAL}\n\n")
    lost = fleet.lost_sidecars()
    assert lost is not None
    assert lost.names[0] == "cas-audit"
    assert lost.why.endswith(f"cas-audit_daprd_20261122193606.log: {FATAL}")


def test_quickstart_starts_a_fleet_anew_whose_sidecars_are_gone(
    fleet: Fleet, pretend: Pretend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_lost_sidecar(fleet, pretend)
    before = fleet.program.process()
    monkeypatch.setattr(Fleet, "wait", lambda *_: None)
    start_in_quickstart(fleet, Progress(0.0))
    after = fleet.program.process()
    assert before is not None
    assert after is not None
    assert before != after
    assert "Host registration lost" in capsys.readouterr().out


def test_status_says_why_a_fleet_is_not_healthy(fleet: Fleet, pretend: Pretend) -> None:
    infrastructure = Infrastructure(fleet.settings)
    assert [row.name for row in status(infrastructure)] == ["postgres", "redis", "placement", "scheduler"]
    with_a_lost_sidecar(fleet, pretend)
    row = status(infrastructure)[-1]
    assert (row.name, row.state) == ("fleet", "unhealthy")
    assert "have ended" in row.why
    assert json.dumps(vars(row))


def test_status_names_the_logs_of_a_fleet_that_was_started_by_hand(fleet: Fleet, pretend: Pretend) -> None:
    """Before, it named the log of a quickstart that had been stopped, or that there never was."""
    fleet.start()
    ours = sidecar(pretend, fleet, "migration-coordinator", **marked(fleet))
    assert status(Infrastructure(fleet.settings))[-1].log == str(fleet.program.log)
    fleet.stop()
    assert ended(ours)
    launcher(pretend, fleet)
    row = status(Infrastructure(fleet.settings))[-1]
    home = fleet.file.parent / read_fleet(fleet.file)["migration-coordinator"]["appDirPath"]
    assert (row.name, row.log) == ("fleet", str(home.resolve() / ".dapr" / "logs"))


def test_an_application_that_another_file_started_in_the_same_folder_is_not_of_this_fleet(
    fleet: Fleet, pretend: Pretend
) -> None:
    """Before, a healthy fleet on servers of one's own was shown a second time, as one that lost its sidecar."""
    of = read_fleet(fleet.file)["migration-coordinator"]
    home = Path(of["appDirPath"])
    (home / "uvicorn.py").write_text("import time\ntime.sleep(60)\n")
    start = f"import subprocess, time; subprocess.Popen({of['command']!r}); time.sleep(60)"
    for file, found in (("other.yaml", []), (str(fleet.file), ["migration-coordinator"])):
        parent = pretend(["/x/dapr", "-c", start, "run", "-f", file], home, APP_ID="migration-coordinator")
        while not (children := [each for each in parent.children() if each.cmdline()[1:] == of["command"][1:]]):
            pass
        try:
            assert list(fleet.processes.find().applications) == found
        finally:
            children[0].kill()


def test_a_fleet_that_is_still_starting_has_lost_nothing(fleet: Fleet, pretend: Pretend) -> None:
    fleet.start()
    assert fleet.lost_sidecars() is None
    for name in ("migration-coordinator", "cas-audit"):
        sidecar(pretend, fleet, name, **marked(fleet))
        assert fleet.lost_sidecars() is None
        application(pretend, fleet, name, **marked(fleet))
        assert fleet.lost_sidecars() is None
