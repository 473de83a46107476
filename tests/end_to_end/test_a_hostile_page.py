"""A real browser on this machine shows a hostile page, which tries everything that a page can send."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.infrastructure.render import read_fleet
from tests.end_to_end.ground import COORDINATOR, Ground

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
PAGE_HOST = "evil.example"  # the browser is told that this is 127.0.0.1, as an attacker's name server would say
SECONDS = 60.0
REFUSED = {401, 403, 404, 405, 415}

# As a page may send without asking first: text, no type at all, a form; then with asking, which is refused.
PAGE = """<!doctype html><title>hostile</title><form id="f" method="post" enctype="text/plain" target="frame">
<input name='{"services": "all", "request_id": "from-a-page", "x": "' value='"}'></form><iframe name="frame"></iframe>
<script>
const targets = %s;
async function attack() {
  for (const [method, url, body] of targets) {
    const sent = body === null ? {} : {body: JSON.stringify(body)};
    for (const options of [
      {mode: 'no-cors', ...sent},
      {mode: 'no-cors', ...(body === null ? {} : {body: new Blob([JSON.stringify(body)])})},
      {mode: 'cors', headers: {'content-type': 'application/json'}, ...sent},
    ]) {
      try { await fetch(url, {method: method, ...options}); } catch (refused) {}
    }
    if (method === 'POST') { const f = document.getElementById('f'); f.action = url; f.submit(); }
    await new Promise(done => setTimeout(done, 50));
  }
  await fetch('/done', {method: 'POST', body: 'done'});
}
attack();
</script>"""


class Attacker(ThreadingHTTPServer):
    """Serves the page, and is told by it when everything was tried."""

    def __init__(self, targets: list[list[Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = (PAGE % json.dumps(targets)).encode()
        self.is_done = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{PAGE_HOST}:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Attacker

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(204)
        self.end_headers()
        self.server.is_done.set()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def attacker(targets: list[list[Any]]) -> Iterator[Attacker]:
    with Attacker(targets) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def targets_of(ground: Ground) -> list[list[Any]]:
    fleet = read_fleet(ground.fleet.file)
    request = {"services": "all", "request_id": "from-a-page"}
    event = {"specversion": "1.0", "id": "from-a-page", "source": "s", "type": "t", "data": request}
    down = {"operation_id": "from-a-page", "action": "downgrade", "target": "client_0001"}
    forged = {"events": [{"event_id": "00000000-0000-4000-8000-000000000001", "event_type": "migration.requested"}]}
    app, daprd = (f"http://127.0.0.1:{fleet[COORDINATOR][port]}" for port in ("appPort", "daprHTTPPort"))
    through = f"{daprd}/v1.0/invoke/{COORDINATOR}/method"
    targets: list[list[Any]] = []
    for base in (app, through, app.replace("127.0.0.1", PAGE_HOST)):
        targets += [["POST", f"{base}/migrations", request], ["POST", f"{base}/plans", request]]
        targets += [["POST", f"{base}/events/migrate-requested", event], ["GET", f"{base}/audit/events", None]]
    for query in ("", "?metadata.rawPayload=true"):
        targets.append(["POST", f"{daprd}/v1.0/publish/pubsub/migrate.requested{query}", request])
    targets.append(["POST", f"{daprd}/v1.0/state/statestore", [{"key": "run-from-a-page", "value": {}}]])
    targets.append(["GET", f"{daprd}/v1.0/state/statestore/index-of-runs", None])
    targets.append(["POST", f"{daprd}/v1.0/shutdown", None])
    for name, path, body in (
        ("cds-client", "/migrations/operations", down),
        ("cas-audit", "/migrations/operations", {**down, "target": "audit_0005"}),
        ("cas-audit", "/audit/events", forged),
    ):
        port = fleet[name]["appPort"]
        targets += [["POST", f"http://{host}:{port}{path}", body] for host in ("127.0.0.1", PAGE_HOST)]
        targets.append(["POST", f"{daprd}/v1.0/invoke/{name}/method{path}", body])
    return targets


def browse(server: Attacker, folder: Path) -> dict[str, list[int]]:
    """Shows the page until it has tried everything. By address: the statuses that the browser's own log has."""
    log = folder / "net.json"
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--log-net-log={log}"]
    command += [f"--user-data-dir={folder}/profile", f"--host-resolver-rules=MAP {PAGE_HOST} 127.0.0.1", server.url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            assert server.is_done.wait(SECONDS), "the page did not try everything"
            time.sleep(1)
        finally:
            browser.terminate()
    return statuses_in(_read(log.read_text()))


def _read(text: str) -> dict[str, Any]:
    """The log of a browser that was ended may lack its end."""
    try:
        log: dict[str, Any] = json.loads(text)
    except ValueError:
        log = json.loads(text.rstrip().rstrip(",") + "]}")
    return log


def statuses_in(log: dict[str, Any]) -> dict[str, list[int]]:
    kinds = log["constants"]["logEventTypes"]
    started, answered = kinds["URL_REQUEST_START_JOB"], kinds["HTTP_TRANSACTION_READ_RESPONSE_HEADERS"]
    urls: dict[int, str] = {}
    found: dict[str, list[int]] = {}
    for event in log["events"]:
        source, facts = event["source"]["id"], event.get("params", {})
        if event["type"] == started and "url" in facts:
            urls[source] = facts["url"]
            found.setdefault(facts["url"], [])
        elif event["type"] == answered and source in urls:
            status = str(facts["headers"][0]).split(" ")[1]
            found[urls[source]].append(int(status))
    return found


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine: apt-get install chromium")
def test_a_page_in_a_real_browser_changes_nothing_and_reads_nothing(ground: Ground, tmp_path: Path) -> None:
    ground.publish({"request_id": "before-the-page", "services": "all"})
    assert ground.ended("before-the-page")["state"] == "succeeded"
    revisions = {name: ground.revision(name) for name in ("cds_client", "cas_audit")}
    targets = targets_of(ground)
    with attacker(targets) as server:
        found = browse(server, tmp_path)
        own = server.url
    answers = {url: statuses for url, statuses in found.items() if not url.startswith(own)}
    sent = {url for _, url, _ in targets}
    assert sent <= answers.keys()
    assert all(answers[url] for url in sent), answers
    assert {status for statuses in answers.values() for status in statuses} <= REFUSED, answers
    assert ground.ask("GET", "/migrations/from-a-page").status_code == 404
    assert revisions == {name: ground.revision(name) for name in revisions}
    assert [each for each in ground.audit("from-a-page") if each["event_type"] != "migration.rejected"] == []
