"""The picture and the sound of WHIP clients that make their own: the clip's bar code, flash and beep, from nothing.

Only the standard library: Debian's Python runs it too, for GStreamer. The layout is that of `clip.py`.
"""

import math
from array import array

FPS = 30
SAMPLE_RATE = 48_000
CHANNELS = 2
# One packet of Opus.
BLOCK_SAMPLES = SAMPLE_RATE // 50
# The numbers start again where those of a clip do, so that the same meters read them.
LAP = 600
FLASH_FRAMES = 3
BLACK, WHITE = 16, 235
# Rows after which the background repeats, and by how many it moves with each picture.
PERIOD, SPEED = 128, 2


class Picture:
    """Pictures of one size (both sides even) in I420."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        rows = (bytes(40 + abs((x // 4 + y) % PERIOD - PERIOD // 2) * 2 for x in range(width)) for y in range(PERIOD))
        self.strip = b"".join(rows) * (height // PERIOD + 2)
        quarter = width // 2 * (height // 2)
        self.colours = [bytes([u]) * quarter + bytes([v]) * quarter for u, v in ((110, 150), (150, 110), (140, 140))]

    def frame(self, number: int) -> bytes:
        """The picture with this number."""
        width, height = self.width, self.height
        start = SPEED * number % PERIOD * width
        luma = bytearray(self.strip[start : start + width * height])
        bar = height // 20
        luma[: bar * width] = self._bar(number % LAP) * bar
        lamp = bytes([WHITE if number % FPS < FLASH_FRAMES else BLACK]) * (width // 4)
        for row in range(height * 3 // 4, height):
            luma[row * width : row * width + len(lamp)] = lamp
        return bytes(luma) + self.colours[number // FPS % len(self.colours)]

    def _bar(self, number: int) -> bytes:
        check = ((number & 15) + (number >> 4 & 15) + (number >> 8)) % 16
        cells = [1, 0, *(number >> bit & 1 for bit in range(12)), *(check >> bit & 1 for bit in range(4))]
        edges = [self.width * i // 20 for i in range(1, len(cells) + 2)]
        row = bytearray([BLACK]) * self.width
        for on, left, right in zip(cells, edges, edges[1:], strict=False):
            if on:
                row[left:right] = bytes([WHITE]) * (right - left)
        return bytes(row)


class Sound:
    """A quiet hum, and a 1 kHz beep of 50 ms from each full second on; 16 bit, interleaved."""

    def __init__(self):
        second = array("h")
        for i in range(SAMPLE_RATE):
            beep = 0.6 * math.sin(2 * math.pi * 1000 * i / SAMPLE_RATE) if i < SAMPLE_RATE // 20 else 0
            value = round(32767 * (beep + 0.02 * math.sin(2 * math.pi * 220 * i / SAMPLE_RATE)))
            second.extend([value] * CHANNELS)
        data, size = second.tobytes(), BLOCK_SAMPLES * CHANNELS * second.itemsize
        self.blocks = [data[at : at + size] for at in range(0, len(data), size)]

    def block(self, number: int) -> bytes:
        """20 ms of sound, the ones from `number * 20` ms on."""
        return self.blocks[number % len(self.blocks)]
