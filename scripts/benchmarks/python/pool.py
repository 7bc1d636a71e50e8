"""The work of scaling.lus in lupa's bare states, in a ProcessPoolExecutor: python pool.py WORKERS N"""

import sys
from concurrent.futures import ProcessPoolExecutor

from lupa.lua55 import LuaRuntime

LOOP = "local n = ... local sum = 0 for i = 1, n * 100000 do sum = sum + i % 7 end return sum"


def compute(count: int) -> int:
    return int(LuaRuntime().execute(LOOP, count))


if __name__ == "__main__":
    workers, count = map(int, sys.argv[1:])
    with ProcessPoolExecutor(workers) as pool:
        sums = set(pool.map(compute, [count] * workers))
    if len(sums) != 1:
        sys.exit(f"the same work has given {sums}")
