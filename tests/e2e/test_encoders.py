"""`sluicegate encoders` on this machine, and a server that was told which encoder to use."""

import json
import os
import subprocess

from harness import broadcast
from harness.stack import program


def encoders(*arguments: str) -> str:
    env = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    command = [*program(), "encoders", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=True).stdout


def test_software_is_found_and_what_is_missing_has_a_reason():
    found = {line["encoder"]: line for line in json.loads(encoders("--json"))}
    for name, place in {"x264": 1, "openh264": 2, "vp8": 1}.items():
        line = found[name]
        assert line["found"] and line["picture_ms"] > 0, line
        if not any(other["kind"] == "hardware" and "place" in other for other in found.values()):
            assert line["place"] == place, line
    for line in found.values():
        assert line["found"] or ("place" not in line and f"no element {line['element']}" in line["why"]), line
    table = encoders()
    for name in found:
        assert any(line.startswith(f"{name} ") for line in table.splitlines()), table


def test_a_server_uses_the_encoder_that_it_was_told(stack, room, join, push, another):
    server = another("openh264", encoders=["openh264"])
    server.process.wait_for_log("encoders tried .*openh264", 1)
    cast = broadcast.make(stack, room, server=server)
    push(cast.url).wait_started()
    join(stack, room).wait_frame(20, w=1280)
