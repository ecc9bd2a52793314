"""`make demo`: a LiveKit room with a live picture in it, on loopback, until Ctrl-C.

Starts Redis, livekit-server and Sluicegate, creates an RTMP ingress through LiveKit's API, pushes a test picture to it
(or a file, or waits for an encoder), and serves a page that shows the room. Ends what it started, and nothing else.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests/e2e"))

from google.protobuf.json_format import MessageToDict  # noqa: E402
from harness import ports, sources  # noqa: E402
from harness.api import Api, status_name  # noqa: E402
from harness.process import Process  # noqa: E402
from harness.stack import API_KEY, API_SECRET, NEVER_FULL, Livekit, Redis, Server, Sluicegate, livekit_binary  # noqa: E402

ROOM = "demo"
# Taken when they are free, so that a saved OBS profile works the next time.
RTMP_PORT = 1935
WHIP_PORT = 8080
LIVEKIT_PORT = 7880
PAGE_PORT = 8088
# How often it is looked whether something that should run has ended.
CHECK_S = 0.5

WEB = REPO / "web"
VENDOR = WEB / "node_modules/livekit-client/dist"


class Page:
    """Serves web/, livekit-client under vendor/, and what the page asks about the room and the ingress."""

    def __init__(self, port: int, answers: dict):
        handler = partial(PageHandler, answers, directory=str(WEB))
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class PageHandler(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def __init__(self, answers: dict, *args, **named):
        self.answers = answers
        super().__init__(*args, **named)

    def do_GET(self):
        answer = self.answers.get(self.path)
        if answer is None:
            return super().do_GET()
        body = json.dumps(answer()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def translate_path(self, path: str) -> str:
        path = path.split("?")[0]
        return str(VENDOR / Path(path).name) if path.startswith("/vendor/") else super().translate_path(path)

    def log_message(self, *_):
        pass


class Demo:
    """Everything that runs, in the order in which it was started."""

    def __init__(self, options: argparse.Namespace, logs: Path, undo: ExitStack):
        self.options, self.logs, self.undo = options, logs, undo
        self.processes: list[Process] = []
        self.rtmp_port, self.whip_port = ports.preferred(RTMP_PORT), ports.preferred(WHIP_PORT)

    def start(self) -> None:
        redis = self.run(Redis(self.logs))
        livekit = Livekit(self.logs, redis, self.rtmp_port, None, port=ports.preferred(LIVEKIT_PORT))
        self.livekit = self.run(livekit)
        # Encoder, server and viewer share one machine here: it is never as idle as a server's should be.
        config = {"whip_port": self.whip_port, "cpu_cost": NEVER_FULL}
        self.run(Sluicegate("sluicegate", self.logs, redis, livekit, self.rtmp_port, **config))
        self.api = Api(livekit.http, API_KEY, API_SECRET)
        self.undo.callback(self.api.stop)
        self.ingress = self.api.create(ROOM, participant_name="Studio")
        self.browsers = {way: self.browser(way, way == "transcoded") for way in ("passed", "transcoded")}
        self.page = self.run(
            Page(ports.preferred(PAGE_PORT), {"/session.json": self.session, "/state.json": self.state})
        )

    def browser(self, way: str, transcode: bool) -> dict:
        """An ingress for the page that goes live."""
        names = {"participant_identity": f"browser-{way}", "participant_name": "Browser"}
        ingress = self.api.create(ROOM, kind="WHIP", enable_transcoding=transcode, **names)
        return {"url": f"http://127.0.0.1:{self.whip_port}/w", "key": ingress.stream_key}

    def run(self, part):
        """Starts a part; it is stopped at the end even if it never gets ready."""
        self.undo.callback(part.stop)
        part.start()
        if isinstance(part, Server):
            self.processes.append(part.process)
        return part

    def push(self, url: str) -> None:
        source = self.options.source
        if source == "none":
            return
        pusher = sources.test_picture(url, self.logs) if source == "test" else sources.file(url, source, self.logs)
        self.undo.callback(partial(pusher.stop, signal.SIGINT))
        self.processes.append(pusher)

    def session(self) -> dict:
        token = self.api.viewer_token(ROOM, f"viewer-{secrets.token_hex(4)}")
        server, key = self.ingress.url, self.ingress.stream_key
        room = {"room": ROOM, "url": self.livekit.url, "token": token}
        return room | {"server": server, "key": key, "whip": self.browsers}

    def state(self) -> dict:
        state = self.api.state(self.ingress.ingress_id)
        return MessageToDict(state, preserving_proto_field_name=True) | {"status": status_name(state)}

    def introduce(self) -> None:
        print(f"\n  OBS server   {self.ingress.url}\n  Stream key   {self.ingress.stream_key}")
        print(f"  Watch it at  {self.page.url}\n  Go live at   {self.page.url}live.html\n")
        print(f"  Logs are in {self.logs}; Ctrl-C ends it all.\n", flush=True)

    def wait(self) -> str:
        """Returns what ended by itself; until then only a signal ends this."""
        stop = threading.Event()
        while True:
            for process in self.processes:
                if not process.alive():
                    return f"{process.name} ended with {process.popen.returncode}\n{process.tail(15)}"
            stop.wait(CHECK_S)


def build(profile: str) -> None:
    """Builds the two binaries and tells the harness where they are."""
    if profile != "none":
        flags = ["--profile", "dev" if profile == "debug" else profile]
        subprocess.run(["cargo", "build", "--workspace", "--bins", *flags], cwd=REPO, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
        os.environ["SLUICEGATE_BIN_DIR"] = str(target / profile)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--profile", default="release", help="cargo profile; `none`: SLUICEGATE_BIN_DIR has the binaries"
    )
    parser.add_argument("--source", default="test", help="`test`, `none`, or a media file that is pushed in a loop")
    options = parser.parse_args()
    if options.source not in ("test", "none") and not Path(options.source).is_file():
        parser.error(f"SOURCE is neither `test` nor `none` nor a file: {options.source}")
    return options


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def main() -> int:
    options = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    livekit_binary()
    with ExitStack() as undo:
        try:
            build(options.profile)
            logs = Path(tempfile.mkdtemp(prefix="sluicegate-demo-"))
            undo.callback(shutil.rmtree, logs / "redis", ignore_errors=True)
            demo = Demo(options, logs, undo)
            demo.start()
            demo.introduce()
            demo.push(f"{demo.ingress.url}/{demo.ingress.stream_key}")
            print(f"demo: {demo.wait()}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            # A second Ctrl-C must not leave half of it running.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print("\ndemo: ending what was started", flush=True)
            return 0
        except subprocess.CalledProcessError as error:
            return error.returncode


if __name__ == "__main__":
    sys.exit(main())
