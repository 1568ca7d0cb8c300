"""What the peers' programs share: inputs, arguments, timing, and the line of JSON that each work ends with.

A line says which work, by whom (`peer`), the median of its `seconds`, the sizes, and where there is one a `check`: a
number that both sides compute from the same inputs, so that equal work is seen to be equal.
"""

import argparse
import importlib.metadata
import json
import statistics
import time

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_ROWS_AT_ONCE = 65_536


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def not_negative(text):
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {value}")
    return value


def parser(description, works):
    """A parser with the arguments that all programs have."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--rounds", type=positive, default=7, help="timed rounds of each work (7)")
    parser.add_argument("--threads", type=positive, help="CPU threads (the libraries' default)")
    if len(works) > 1:
        parser.add_argument("--only", type=lambda text: _names(text, works), default=works, help="works, by commas")
    return parser


def _names(text, works):
    names = text.split(",")
    for name in names:
        if name not in works:
            raise argparse.ArgumentTypeError(f"no work `{name}`; there are: {', '.join(works)}")
    return names


def embeddings(rows, cols, seed):
    """`[rows, cols]` float32, uniform in [-1, 1): SplitMix64, the same numbers as `benches::shared_embeddings`."""
    out = np.empty((rows, cols), np.float32)
    with np.errstate(over="ignore"):
        for first in range(0, rows, _ROWS_AT_ONCE):
            block = out[first : first + _ROWS_AT_ONCE]
            start = first * cols + 1
            z = np.uint64(seed) + np.arange(start, start + block.size, dtype=np.uint64) * _STEP
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
            # 24 bits fit a float32: no value is rounded.
            top = (z >> np.uint64(40)).astype(np.float32)
            block[:] = (top * np.float32(2**-23) - np.float32(1)).reshape(block.shape)
    return out


def labels(items, classes):
    """`0, 1, .., classes - 1, 0, 1, ..`: every class equally often when `classes` divides `items`."""
    return np.arange(items) % classes


def time_rounds(work, rounds, warmup=True):
    """Seconds of every round, behind one that is not timed unless `warmup` is off, and the last result."""
    if warmup:
        work()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return seconds, result


def report(work, peer, package, seconds, threads, **more):
    """Prints the line of one work."""
    line = {"work": work, "peer": peer, "seconds": statistics.median(seconds), "rounds": len(seconds)}
    line |= more | {"threads": threads, "version": f"{package} {importlib.metadata.version(package)}"}
    print(json.dumps(line), flush=True)
