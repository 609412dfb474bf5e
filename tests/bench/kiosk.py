"""The real agent in a process that can be asked for its timings; otherwise as `python -m edge run`.

Reads `{"config": file, "cores": [...]}` as a line of JSON, says its page's address, and at the next line tells every result's
times (seconds of time.monotonic()) and ends.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from edge.agent import Agent
from edge.settings import Settings, load_settings


def main() -> None:
    """Run until told to tell."""
    plan = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, plan["cores"])
    agent = Agent(load_settings(Path(plan["config"]), Settings))
    agent.start()
    if agent.kiosk is None:
        raise SystemExit("the settings name no kiosk")
    print(agent.kiosk.url, flush=True)
    sys.stdin.readline()
    print(json.dumps([asdict(each) for each in agent.kiosk.timings()]), flush=True)
    agent.stop()


if __name__ == "__main__":
    main()
