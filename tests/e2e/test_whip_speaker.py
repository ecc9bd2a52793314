"""Who speaks, as livekit-server tells it: by the levels that the publisher writes into its packets (RFC 6464)."""

from harness import broadcast

# livekit-server looks each 0.4 s, and smooths over two of them.
TOLD_S = 10
# livekit-server asks for -35 dB in 40 % of the time: these are -13 dB, and -37 dB with 50 ms of beep each second.
LOUD, QUIET = 0.3, 0.02


def test_a_publisher_whose_sound_is_loud_speaks(stack, room, join, publish):
    cast = broadcast.make_whip(stack, room)
    client = publish(cast, "chromium", codec="vp8")
    client.wait_started()
    cast.wait_live()
    viewer = join(stack, room)
    viewer.wait("beep", TOLD_S)
    assert not viewer.select("speakers", where=lambda e: e["who"]), "it is quiet"
    for gain, speakers in [(LOUD, [cast.identity]), (QUIET, []), (LOUD, [cast.identity])]:
        mark = viewer.mark()
        client.set_loudness(gain)
        viewer.wait("speakers", TOLD_S, lambda e, who=speakers: e["who"] == who, mark)
