"""A tiny HTTP server that keeps the webhooks livekit-server sends."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import wait


@dataclass
class Hook:
    """One delivered webhook: its event name, the body, and when it came."""

    event: str
    body: dict
    at: float

    @property
    def ingress_id(self) -> str:
        return self.body.get("ingressInfo", {}).get("ingressId", "")


class Webhooks:
    """Listens on a port that the OS picks; answers 200 to everything."""

    def __init__(self):
        hooks: list[Hook] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hooks.append(Hook(body["event"], body, time.time()))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.hooks = hooks
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def of(self, ingress_id: str, event: str | None = None) -> list[Hook]:
        """What came for this ingress so far, in order."""
        return [h for h in list(self.hooks) if h.ingress_id == ingress_id and event in (None, h.event)]

    def wait(self, ingress_id: str, event: str, within: float, count: int = 1) -> Hook:
        """Waits until `count` such hooks are there and returns the last one."""
        found = wait.until(
            lambda: (hooks := self.of(ingress_id, event))[count - 1 :] and hooks,
            within,
            lambda: f"{count} x {event} for {ingress_id}; came: {[h.event for h in self.of(ingress_id)]}",
        )
        return found[count - 1]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
