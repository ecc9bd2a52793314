"""What a session does when two busy loops take the machine from it, and when they are gone."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from bench import clips
from bench.case import HONEST_S, Figures, Options
from bench.clips import Recipe
from bench.joins import live
from bench.session import first_picture
from bench.stage import Cannot, Stage
from bench.steady import SETTLE_S, seen

LOOPS = 2
STARVED_S = 60
# After the loops have ended, before the session has to be well again.
RECOVERY_S = 10
# Until they are stopped, or whoever started them is gone without having done so.
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"


class Loops:
    """Processes that do nothing but use CPU."""

    def __init__(self):
        quiet = {"stdin": subprocess.DEVNULL, "start_new_session": True}
        argv = [sys.executable, "-c", BUSY, str(os.getpid())]
        self.processes = [subprocess.Popen(argv, **quiet) for _ in range(LOOPS)]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Starved:
    """Latency while starved and 10 s after; the longest silence, where the clip is never silent."""

    name: str = "starved"
    title: str = f"720p30, 3 layers, HIGH watched, {LOOPS} busy loops for {STARVED_S} s"
    recipe: Recipe = clips.HD

    def recipes(self) -> list[Recipe]:
        return [self.recipe]

    def run(self, stage: Stage, options: Options) -> Figures:
        session = live(stage, self.recipe, options)
        viewer = session.viewer("high")
        first_picture(viewer, w=self.recipe.width)
        time.sleep(options.settle(SETTLE_S))

        sound, mark = viewer.stats("audio"), viewer.mark()
        loops = stage.add(Loops())
        time.sleep(STARVED_S if options.seconds >= HONEST_S else options.seconds)
        loops.stop()
        recipe = options.recipe(self.recipe)
        starved = seen(session.pusher, viewer.frames(mark), recipe)
        time.sleep(options.settle(RECOVERY_S))

        again = viewer.mark()
        time.sleep(options.seconds)
        after = seen(session.pusher, viewer.frames(again), recipe)
        silences = [event["quiet"] for event in viewer.select("audio", mark)]
        if not silences:
            raise Cannot("no sound came while starved")
        made_up = viewer.stats("audio")["concealed_ms"] - sound["concealed_ms"]
        heard = viewer.select("audio")[-1]["seconds"] - viewer.select("audio", mark)[0]["seconds"]
        session.end()
        return starved | {
            "after": after["p95"],
            "silence": 1000 * max(silences),
            "concealed": 100 * made_up / (1000 * heard),
        }


CASES = [Starved()]
