"""What a WHIP client is told when it starts, the same for all of them."""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How to publish to `url` (the endpoint, without the key)."""

    url: str
    key: str
    # vp8, h264, vp9 or av1, as far as the client has it.
    codec: str = "h264"
    size: tuple[int, int] = (640, 360)
    # Simulcast by rid with so many layers, each half as wide and high as the one above it.
    layers: int = 1
    # The key as the last part of the path instead of a bearer token.
    in_path: bool = False
    # "audio" or "video": nothing else is offered.
    only: str | None = None
    # H.264 packets that are none among the others, with aiortc.
    garbage: bool = False
    # Its sound begins so much later than its pictures, with aiortc.
    late_sound_s: float = 0

    def arguments(self) -> list[str]:
        """For a child process, see `parse`."""
        size = "x".join(map(str, self.size))
        flags = ["--codec", self.codec, "--size", size, "--layers", str(self.layers)]
        flags += ["--in-path"] * self.in_path + ["--only", str(self.only)] * bool(self.only)
        flags += ["--garbage"] * self.garbage + ["--late-sound-s", str(self.late_sound_s)]
        return [self.url, self.key, *flags]


def parse() -> Options:
    """The options of this process's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--codec", default="h264")
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))), default=(640, 360))
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--in-path", action="store_true")
    parser.add_argument("--only", choices=["audio", "video"])
    parser.add_argument("--garbage", action="store_true")
    parser.add_argument("--late-sound-s", type=float, default=0)
    return Options(**vars(parser.parse_args()))
