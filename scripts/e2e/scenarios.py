"""Scenarios: each on a stack of its own, with a line for each that says whether it held."""

import argparse
import signal
import sys
import time

from stack import Failure, Services, Stack

SCENARIOS = {}


def scenario(number, title, needs=()):
    """Registers what follows under that number; `needs` names servers that it ends, which must be ours to end."""
    def register(run):
        SCENARIOS[number] = (title, needs, run)
        return run
    return register


def run(number, services, scale):
    """One scenario on a stack of its own; whether it held."""
    title, needs, run_it = SCENARIOS[number]
    started, stack = time.monotonic(), None
    try:
        stack = Stack(services, number)
        taboo = [server for server in needs if not services.is_ours(server)]
        if taboo:
            print(f"skip   {number:<2} {title}: {', '.join(taboo)} runs in a container, or is not ours", flush=True)
            return True
        figures = run_it(stack, scale)
    except Failure as failure:
        print(f"FAILED {number:<2} {title}: {failure} ({time.monotonic() - started:.0f} s)", flush=True)
        return False
    finally:
        if stack:
            stack.close()
    print(f"ok     {number:<2} {title}: {'; '.join(figures)} ({time.monotonic() - started:.0f} s)", flush=True)
    return True


def main(name, scale):
    """Runs those that are asked for; `scale` is made with whether it is to be quick."""
    # An exception like any other: what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", required=True)
    parser.add_argument("--binaries", required=True)
    parser.add_argument("--only", default=",".join(sorted(SCENARIOS)))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    chosen = [number for number in sorted(SCENARIOS) if any(number.startswith(word) for word in wanted if word)]
    if not chosen:
        parser.error(f"--only: some of {', '.join(sorted(SCENARIOS))}")
    services, how_much = Services(arguments.state, arguments.binaries), scale(arguments.quick)
    held = [run(number, services, how_much) for number in chosen]
    print(f"{name}: {held.count(True)} of {len(held)} hold", flush=True)
    raise SystemExit(0 if all(held) else 1)
