"""`python -m tests.differential [CASES]`: compare many cases, on every processor; a million unless told."""

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.differential.comparison import compare

BATCH = 2000
FIRST = 1_000_000
"""behind those that the suite runs"""


def main(cases: int) -> None:
    batches = [range(FIRST + at, FIRST + min(at + BATCH, cases)) for at in range(0, cases, BATCH)]
    answers: Counter[str] = Counter()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as processes:
        for number, found in enumerate(processes.map(compare, batches), start=1):
            answers += found
            if number % 25 == 0:
                sys.stdout.write(f"{sum(answers.values()):>9} cases so far, no difference\n")
                sys.stdout.flush()
    for kind, number in sorted(answers.items(), key=lambda one: -one[1]):
        sys.stdout.write(f"{number:>9} {kind}\n")
    sys.stdout.write(f"{sum(answers.values()):>9} cases, no difference\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
