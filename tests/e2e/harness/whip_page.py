"""A page as a WHIP publisher, in Chromium or Firefox: it does it by fetch, see `pages/whip.js`."""

from playwright.sync_api import Page

from harness import firefox, wait
from harness.whip import START_S
from harness.whip_options import Options

# Of a picture of 640 x 360; others by area.
KBPS = 500
# For `candidates`.
ICE_TCP, IPV6 = r"^\S+ \d tcp ", r"^(\S+ ){4}[0-9a-f]*:[0-9a-f:]* "


class PagePublisher:
    """One page. VP8, VP9, H.264 or AV1 (VP8 or VP9 in Firefox as it is packaged); 1 to 3 rids; the methods of
    `whip.Client` and a few more."""

    def __init__(self, running, base: str, options: Options, **wishes):
        """`wishes`: true for `trickle`, `camera` (the browser's fake one, without frame numbers) and `microphone` (the
        browser's fake one, in place of the beeps); `groups`: simulcast without rids, Chromium only; `resourceAt`: the
        server that gets PATCH and DELETE, where it is another one than that of the POST; `candidates`: the
        only ones to use, both ways, such as `ICE_TCP`."""
        self.said: list[str] = []
        self.page: Page | firefox.Page = running.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(f"{base}/whip.html")
        self._until("!!window.whip", 10, "the page is there")
        width, height = options.size
        kbps = KBPS * width * height // (640 * 360)
        wishes |= {"width": width, "height": height, "kbps": kbps, "floor": 2 * kbps}
        wishes |= {"url": options.url, "key": options.key, "inPath": options.in_path, "only": options.only}
        self.page.evaluate("o => { whip.start(o) }", wishes | {"codec": options.codec, "layers": options.layers})
        self.over = False

    def _until(self, condition: str, within: float, what: str):
        said = lambda: f"{what}; the page said: {self.said[-8:]}, {self.log()[-20:]}"  # noqa: E731
        return wait.until(lambda: self.page.evaluate(condition), within, said)

    def log(self) -> list[str]:
        """What happened, with milliseconds since the page was opened."""
        return self.page.evaluate("window.whip?.log() ?? []")

    def wait_started(self, within: float = START_S) -> None:
        self._until("whip.connected()", within, "the media path")

    def refusal(self, within: float = START_S) -> int:
        return self._until("whip.refused()", within, "a refusal")

    def stats(self) -> dict:
        """Also `layers`: packets, width, PLI and NACK counts by rid, and `rtt` in seconds."""
        return self.page.evaluate("whip.stats()")

    def wait_sending(self, layers: int, within: float) -> None:
        """Until so many layers give pictures."""
        text = f"whip.stats().then(s => Object.values(s.layers).filter(l => l.fps > 0).length >= {layers})"
        self._until(text, within, f"{layers} layers are sent")

    def restart_ice(self) -> None:
        """New credentials and candidates by PATCH; the media path is another one then."""
        self.page.evaluate("whip.restart()")

    def wait_cut(self, within: float) -> None:
        """Until the browser itself has seen that nothing gets through any more."""
        self._until("!whip.connected()", within, "the media path is cut")

    def when(self, what: str) -> float:
        """The time of day, in seconds, of the newest line of the log with this text."""
        millis = next(text.split()[0] for text in reversed(self.log()) if what in text)
        return (self.page.evaluate("performance.timeOrigin") + int(millis)) / 1000

    def set_active(self, rid: str, active: bool) -> None:
        """Whether the layer with this rid is sent."""
        self.page.evaluate("([rid, active]) => whip.setActive(rid, active)", [rid, active])

    def set_scale(self, by: float) -> None:
        """The picture of the first layer by so many smaller than its source."""
        self.page.evaluate("by => whip.setScale(by)", by)

    def set_loudness(self, gain: float) -> None:
        """Of the tone between the beeps: 1 is full scale, 0.02 what it starts with."""
        self.page.evaluate("gain => whip.setLoudness(gain)", gain)

    def stop(self) -> None:
        if not self.over:
            self.over = True
            self.page.evaluate("whip.stop()")
            self.page.close()

    def kill(self) -> None:
        """The page goes without a word to the server's HTTP side."""
        if not self.over:
            self.over = True
            self.page.close()
