"""WHIP over HTTPS, and in a cluster: a load balancer may give any server the PATCH and the DELETE of a session."""

import subprocess

import pytest
from harness import broadcast, ports

PICTURE_S = 20
FREEZE_S = 1
ENDED_S = 5


@pytest.fixture
def certificate(tmp_path):
    """Certificate and key of 127.0.0.1, which nobody vouches for."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    made += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def test_another_server_passes_on_the_restart_and_the_end(stack, room, join, publish, another):
    other = another("sluicegate-other")
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, "chromium", codec="vp8", page={"trickle": True, "resourceAt": other.whip_url})
    client.wait_started()
    viewer = join(stack, room)
    viewer.wait_frame(PICTURE_S, w=640)
    mark = viewer.mark()
    client.restart_ice()
    viewer.wait_frame(PICTURE_S, viewer.mark(), count=60)
    print(f"over the restart: {viewer.longest_gap(mark):.2f} s still; {client.log()[-12:]}")
    assert viewer.longest_gap(mark) <= FREEZE_S
    log = client.log()
    assert any("PATCH 204" in text for text in log) and any("PATCH 200" in text for text in log)
    client.stop()
    assert not cast.wait_ended(ENDED_S).error
    cast.wait_left()


def test_a_browser_publishes_over_https(stack, room, join, publish, another, certificate, chromium):
    port = ports.tcp()
    cert, key = map(str, certificate)
    server = another("sluicegate-tls", whip_tls_port=port, tls_cert_file=cert, tls_key_file=key)
    cast = broadcast.make(stack, room, server, kind="WHIP", enable_transcoding=False)
    trusting = chromium[0].new_context(ignore_https_errors=True)
    client = publish(cast, "chromium", url=f"https://127.0.0.1:{port}/w", codec="vp8", page={"browser": trusting})
    client.wait_started()
    join(stack, room).wait_moving(PICTURE_S)
    client.stop()
    cast.wait_ended(ENDED_S)
    cast.wait_left()
    trusting.close()
