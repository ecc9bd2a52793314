"""Offers of real clients with mistakes in them, the same ones for a seed."""

import random
import re
from pathlib import Path

FIXTURES = sorted((Path(__file__).resolve().parents[3] / "crates/rtc/testdata/whip").glob("*.sdp"))
UFRAG, PASSWORD = "Zk3t", "P2uYro0UCOQ4zxjKXaWCBui1"
MOST_CHANGES = 6
HUGE = [b"0", b"-1", b"255", b"256", b"65536", b"4294967296", b"18446744073709551616", b"9" * 400]
ODD = [b"a=", b"=", b"", b"m=", b"m=video 9 UDP/TLS/RTP/SAVPF", b"a=mid:", b"a=simulcast:send ~,;;,", b"a=rid: send"]
ODD += [b"a=ssrc-group:SIM 0 0", b"a=extmap:0 x", b"a=ice-lite", b"a=setup:holdconn", b"a=group:BUNDLE", b"\x00"]
LONG = 60_000


def offer(path: Path) -> bytes:
    """What a fixture's client offers."""
    text = path.read_text().replace("\n", "\r\n").replace("{ufrag}", UFRAG).replace("{pwd}", PASSWORD)
    return text.replace("{fingerprint}", ":".join(["A0"] * 32)).encode()


def mutant(seed: int, number: int) -> tuple[str, bytes]:
    """The name of its fixture and the offer; each fixture in turn, from one change to `MOST_CHANGES`."""
    dice = random.Random(f"{seed} {number}")
    path = FIXTURES[number % len(FIXTURES)]
    lines = offer(path).split(b"\r\n")[:-1]
    for _ in range(dice.randint(1, MOST_CHANGES)):
        if lines:
            dice.choice(CHANGES)(dice, lines)
    end = dice.choices([b"\r\n", b"\n", b"\r"], [18, 2, 1])[0]
    return path.stem, b"".join(line + end for line in lines)


def _drop(dice: random.Random, lines: list[bytes]) -> None:
    first = dice.randrange(len(lines))
    del lines[first : first + dice.choice([1, 1, 1, 2, 5])]


def _repeat(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    lines[at:at] = [lines[at]] * dice.choice([1, 1, 2, 300])


def _truncate(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
    if dice.random() < 0.3:
        del lines[at + 1 :]


def _flip(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    line = bytearray(lines[at])
    for _ in range(dice.choice([1, 1, 4]) if line else 0):
        line[dice.randrange(len(line))] ^= 1 << dice.randrange(8)
    lines[at] = bytes(line)


def _number(dice: random.Random, lines: list[bytes]) -> None:
    places = [(at, found) for at, line in enumerate(lines) for found in re.finditer(rb"\d+", line)]
    if places:
        at, found = dice.choice(places)
        lines[at] = lines[at][: found.start()] + dice.choice(HUGE) + lines[at][found.end() :]


def _swap(dice: random.Random, lines: list[bytes]) -> None:
    """Two lines of the same kind, as a rule of two m-lines."""
    kind = dice.choice(lines).split(b":")[0]
    same = [at for at, line in enumerate(lines) if line.split(b":")[0] == kind]
    one, other = (same[0], same[-1]) if len(same) > 1 else dice.choices(range(len(lines)), k=2)
    lines[one], lines[other] = lines[other], lines[one]


def _move(dice: random.Random, lines: list[bytes]) -> None:
    lines.insert(dice.randrange(len(lines)), lines.pop(dice.randrange(len(lines))))


def _insert(dice: random.Random, lines: list[bytes]) -> None:
    lines.insert(dice.randrange(len(lines) + 1), dice.choice([*ODD, b"a=x:" + b"y" * LONG]))


CHANGES = [_drop, _drop, _repeat, _truncate, _flip, _flip, _number, _number, _swap, _move, _insert]
