"""`python -m tests.differential`: compare many cases, on every processor; a million unless told."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.differential.comparison import compare

BATCH = 2000
FIRST = 1_000_000
"""behind those that the suite runs"""


def main(cases: int, first: int, processes: int) -> None:
    batches = [range(first + at, first + min(at + BATCH, cases)) for at in range(0, cases, BATCH)]
    answers: Counter[str] = Counter()
    with ProcessPoolExecutor(processes) as pool:
        for number, found in enumerate(pool.map(compare, batches), start=1):
            answers += found
            if number % 25 == 0:
                sys.stdout.write(f"{sum(answers.values()):>9} cases so far, no difference\n")
                sys.stdout.flush()
    for kind, number in sorted(answers.items(), key=lambda one: -one[1]):
        sys.stdout.write(f"{number:>9} {kind}\n")
    taken = time.process_time() + sum(os.times()[2:4])
    sys.stdout.write(f"{sum(answers.values()):>9} cases from {first} on, no difference; {taken:.0f} s of CPU\n")


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    options.add_argument("cases", nargs="?", type=int, default=1_000_000)
    options.add_argument("--first", type=int, default=FIRST, metavar="SEED", help="seed of the first case")
    options.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    given = options.parse_args()
    main(given.cases, given.first, given.processes)
