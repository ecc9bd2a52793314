"""GStreamer's RTSP server with what it is told to serve, run by Debian's Python: JSON lines out.

    /usr/bin/python3 tests/e2e/harness/rtsp_child.py [--udp] [--login USER:PASSWORD] PATH LAUNCH [PATH LAUNCH ...]

LAUNCH is a pipeline whose payloaders are pay0, pay1. Events: listening (port), playing (path), closed.
`--udp`: packets come by UDP only. `--login`: digest authentication.
"""

import argparse
import json
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ROLE = "viewer"


def say(event: str, **fields) -> None:
    sys.stdout.write(json.dumps({"e": event, "t": time.time(), **fields}) + "\n")
    sys.stdout.flush()


def factory(launch: str, udp: bool, login: bool) -> GstRtspServer.RTSPMediaFactory:
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(f"( {launch} )")
    trans = GstRtsp.RTSPLowerTrans
    made.set_protocols(trans.UDP if udp else trans.UDP | trans.TCP)
    if login:
        allowed = GstRtspServer.RTSPPermissions()
        allowed.add_permission_for_role(ROLE, "media.factory.access", True)
        allowed.add_permission_for_role(ROLE, "media.factory.construct", True)
        made.set_permissions(allowed)
    return made


def auth(login: str) -> GstRtspServer.RTSPAuth:
    user, _, password = login.partition(":")
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    made = GstRtspServer.RTSPAuth()
    made.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    made.add_digest(user, password, token)
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--udp", action="store_true")
    parser.add_argument("--login")
    parser.add_argument("mounts", nargs="+")
    options = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    if options.login:
        server.set_auth(auth(options.login))
    for path, launch in zip(options.mounts[::2], options.mounts[1::2], strict=True):
        server.get_mount_points().add_factory(path, factory(launch, options.udp, bool(options.login)))

    def connected(_, client):
        client.connect("play-request", lambda _, context: say("playing", path=context.uri.abspath))
        client.connect("closed", lambda _: say("closed"))

    server.connect("client-connected", connected)
    if server.attach(None) == 0:
        raise SystemExit("cannot listen")
    say("listening", port=server.get_bound_port())
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
