"""Headless Firefox, driven over WebDriver BiDi (w3.org/TR/webdriver-bidi), with the few calls of a Playwright page that
`whip_page` uses: Playwright drives a Firefox of its own only, which is no package."""

import asyncio
import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from harness.process import Process

START_S, ANSWER_S = 30, 30
MAX_MESSAGE = 1 << 24
# It talks to nobody but the test's servers, from this machine's own addresses, and its pages need no click to play.
PREFERENCES = {
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.autoplay.default": 0,
    # A microphone of its own, which hums: where there is no sound card, Firefox makes no sound of a page's.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.blocking_policy": 0,
    "media.gmp-manager.updateEnabled": False,
    "app.update.auto": False,
    "app.normandy.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "captivedetect.canonicalURL": "",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "services.settings.server": "data:,",
    "toolkit.telemetry.server": "",
}


def firefox() -> str:
    """Debian's Firefox, or the one that FIREFOX names."""
    found = os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
    assert found, "no Firefox: run `make setup`, or set FIREFOX=/path/to/it"
    return found


@contextmanager
def running(home: Path):
    """A browser for any number of pages; its profile and its log are in `home`."""
    profile = home / "profile"
    profile.mkdir(parents=True)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
    argv = [firefox(), "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    process = Process("firefox", argv, home)
    try:
        address = process.wait_for_log(r"WebDriver BiDi listening on (ws://\S+)", START_S)[1]
        link = Link(f"{address}/session")
        try:
            link.call("session.new", capabilities={})
            link.call("session.subscribe", events=["log.entryAdded"])
            yield Browser(link)
        finally:
            link.close()
    finally:
        process.stop()


class Link:
    """Commands and their answers over one WebSocket; events go to those who listen to their context."""

    def __init__(self, url: str):
        self.listeners: dict[str, list[Callable[[dict], None]]] = {}
        self._waiting: dict[int, asyncio.Future] = {}
        self._last = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._open(url))

    def call(self, method: str, **params) -> dict:
        """The result of one command; raises what the browser says against it."""
        answer = self._do(self._ask(method, params))
        if answer["type"] != "success":
            raise RuntimeError(f"{method}: {answer.get('message', answer)}")
        return answer["result"]

    def close(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_S)
        self._loop.close()

    def _do(self, what):
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(ANSWER_S)

    async def _open(self, url: str) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(url, max_msg_size=MAX_MESSAGE)
        self._reader = asyncio.create_task(self._read())

    async def _close(self) -> None:
        await self._socket.close()
        await self._session.close()
        await self._reader

    async def _ask(self, method: str, params: dict) -> dict:
        self._last += 1
        number, answer = self._last, self._loop.create_future()
        self._waiting[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await answer

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if said["type"] == "event":
                context = said["params"].get("source", {}).get("context", "")
                for listener in self.listeners.get(context, []):
                    listener(said["params"])
            elif answer := self._waiting.pop(said.get("id"), None):
                answer.set_result(said)
        for answer in self._waiting.values():
            answer.set_exception(ConnectionError("Firefox closed the connection"))


class Browser:
    def __init__(self, link: Link):
        self.link = link

    def new_page(self) -> "Page":
        return Page(self.link, self.link.call("browsingContext.create", type="tab")["context"])


class Page:
    """The part of Playwright's page that a publisher needs."""

    def __init__(self, link: Link, context: str):
        self.link, self.context = link, context

    def on(self, event: str, handler: Callable) -> None:
        """`event`: "console", whose handler gets something with a `text`; others never come."""
        if event == "console":
            said = lambda entry: handler(Entry(entry.get("text") or ""))  # noqa: E731
            self.link.listeners.setdefault(self.context, []).append(said)

    def goto(self, url: str) -> None:
        self.link.call("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, text: str, argument=None):
        """The value of an expression, or of a function of `argument`, as JSON has it."""
        given = json.dumps(argument)
        body = f"const what = ({text}); const value = await (typeof what === 'function' ? what({given}) : what);"
        script = f"(async () => {{ {body} return JSON.stringify(value === undefined ? null : value); }})()"
        answer = self.link.call(
            "script.evaluate", expression=script, target={"context": self.context}, awaitPromise=True
        )
        if answer["type"] == "exception":
            raise RuntimeError(re.sub(r"\s+", " ", answer["exceptionDetails"]["text"]))
        return json.loads(answer["result"]["value"])

    def close(self) -> None:
        self.link.listeners.pop(self.context, None)
        self.link.call("browsingContext.close", context=self.context)


class Entry:
    """A line of the console."""

    def __init__(self, text: str):
        self.text = text
