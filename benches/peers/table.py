"""Makes the table of ours against the peers from the lines of JSON that the programs print.

    python table.py rows loss conv4.train      names of the rows that these pick
    python table.py show lines.jsonl loss      the table of the rows that these pick, in Markdown

Line `n` of a work by one side and line `n` by the other are one round. A ratio is the speed of ours over the peer's in
a round; of several peers, the one with the least median time counts in every round.
"""

import argparse
import datetime
import json
import platform
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

TORCH = ("torch", "torch, channels last")
LIGHTLY = ("lightly, workers=0", "lightly, workers=2")
PML = ("pytorch-metric-learning",)
ML = ("metric-learn",)
SIZES = ("batch", "images", "queries", "dimension", "classes", "top", "rows", "features", "iterations")
# What both sides compute from equal inputs; float32 sums in different orders differ by less.
CHECK_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Row:
    """A work, who does it, and the speed (times the peer's) or the memory (bytes) to reach."""

    name: str
    text: str
    ours: str
    peers: tuple
    target: float = None
    most_bytes: int = None
    # As in the lines; the name, unless two rows share it.
    work: str = None


ROWS = [
    Row("conv4.train", "training step, conv4 width 64, 3x32x32, batch 128", "flex", TORCH, 1.2),
    Row("conv4.train_ndarray", "the same, NdArray against Flex", "ndarray", ("flex",), 0.9, work="conv4.train"),
    Row("resnet18.train", "training step, resnet18, small-image stem, batch 64", "flex", TORCH, 1.0),
    Row("conv4.inference", "inference, conv4", "flex", TORCH, 1.2),
    Row("resnet18.inference", "inference, resnet18", "flex", TORCH, 1.2),
    Row("simclr.epoch", "SimCLR epoch, 10,000 images, batch 256", "flex", LIGHTLY, 1.5),
    Row("search.60000", "exact top 200 of 10,000 queries in 60,000 x 128", "host", ("faiss",), 1.2),
    Row("search.1000000", "exact top 200 of 10,000 queries in 1,000,000 x 128", "host", (), most_bytes=2 << 30),
    Row("scores.10000", "Recall@K, MAP@R, R-precision, 10,000 x 128", "host", PML, 4.0),
    Row("loss.triplet_semihard", "triplet loss, semi-hard, 512 x 128, 64 classes", "flex", PML, 20.0),
    Row("loss.triplet_batch_hard", "triplet loss, batch-hard, 512 x 128, 64 classes", "flex", PML, 1.5),
    Row("loss.contrastive", "contrastive loss, 512 x 128, 64 classes", "flex", PML, 1.5),
    Row("loss.multi_similarity", "multi-similarity with its miner, 512 x 128, 64 classes", "flex", PML, 3.0),
    Row("loss.supcon", "SupCon, 512 x 128, 64 classes", "flex", PML, 1.0),
    Row("loss.nt_xent", "NT-Xent, 512 pairs x 128", "flex", ("lightly",), 1.5),
    Row("mahalanobis.lmnn", "LMNN, 10 steps, 5,000 x 50", "host", ML, 5.0),
    Row("mahalanobis.nca", "NCA, 10 steps, 5,000 x 50", "host", ML, 5.0),
    Row("mahalanobis.itml", "ITML, 1,000 pairs of 5,000 x 50, to its tolerance", "host", ML, 5.0),
]


class LinesError(Exception):
    """The lines do not make a table."""


def pick(names):
    """The rows of these names, or of these first parts of names; all rows for no names."""
    for name in names:
        if not any(_matches(row, name) for row in ROWS):
            raise LinesError(f"no row `{name}`; there are: {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if not names or any(_matches(row, name) for name in names)]


def _matches(row, name):
    return row.name == name or row.name.startswith(name + ".")


def who(line):
    """Ours say their backend, the peers their name."""
    return line.get("peer") or line["backend"]


def judge(row, lines):
    """The cells of a row."""
    work = row.work or row.name
    sides = {side: [line for line in lines if line["work"] == work and who(line) == side] for side in _all(row)}
    sides = {side: found for side, found in sides.items() if found}
    ours = sides.pop(row.ours, None)
    if ours is None or (row.peers and not sides):
        raise LinesError(f"{row.name}: {'the peer has' if ours else 'ours have'} no line")
    for side, found in sides.items():
        _check_alike(row, side, ours, found)
    mine = statistics.median(line["seconds"] for line in ours)
    if not row.peers:
        return _memory_cells(row, ours, mine)
    peer = min(sides, key=lambda side: statistics.median(line["seconds"] for line in sides[side]))
    theirs = statistics.median(line["seconds"] for line in sides[peer])
    ratios = [other["seconds"] / line["seconds"] for line, other in zip(ours, sides[peer], strict=True)]
    ratio = statistics.median(ratios)
    spread = f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    met = "yes" if ratio >= row.target else "no"
    return [row.text, duration(mine), f"{duration(theirs)} ({peer})", spread, f"{row.target:g}", met]


def _all(row):
    return (row.ours, *row.peers)


def _check_alike(row, side, ours, theirs):
    """Ratios of unequal works, or of unequal numbers of rounds or threads, mean nothing."""
    if len(ours) != len(theirs):
        raise LinesError(f"{row.name}: {len(ours)} rounds of {row.ours}, {len(theirs)} of {side}")
    for line, other in zip(ours, theirs, strict=True):
        for key in ("threads", *SIZES):
            if key in line and key in other and line[key] != other[key]:
                raise LinesError(f"{row.name}: {key} is {line[key]} of {row.ours}, {other[key]} of {side}")
        if "check" in line and "check" in other:
            here, there = line["check"], other["check"]
            if not abs(here - there) <= CHECK_TOLERANCE * abs(there):
                raise LinesError(f"{row.name}: {row.ours} computes {here}, {side} {there}: not the same work")


def _memory_cells(row, ours, seconds):
    peaks = [line["peak_bytes"] for line in ours]
    if None in peaks:
        memory, met = "memory unknown", "unknown"
    else:
        memory, met = f"{max(peaks) / (1 << 30):.2f} GiB", "yes" if max(peaks) <= row.most_bytes else "no"
    target = f"done, at most {row.most_bytes / (1 << 30):g} GiB"
    return [row.text, f"{duration(seconds)}, {memory}", "", "", target, met]


def duration(seconds):
    if seconds < 1e-3:
        return f"{1e6 * seconds:.3g} us"
    if seconds < 1:
        return f"{1e3 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def table(lines, rows, about):
    """The table and below it when, where and against what it was measured."""
    cells = [judge(row, lines) for row in rows]
    head = ["work", "ours", "peer", "ratio", "target", "met?"]
    text = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *cells]]
    threads = ", ".join(str(n) for n in sorted({line["threads"] for line in lines}))
    versions = ", ".join(sorted({line["version"] for line in lines if "version" in line}))
    facts = [*about, f"threads: {threads}"] + ([versions] if versions else [])
    meaning = "Ratio: the speed of ours over the peer's, median (least to greatest) of the rounds; times are medians."
    return "\n".join([*text, "", meaning, "", "; ".join(facts) + "."])


def cpu_model():
    """The processor's name, where Linux tells."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    rows = commands.add_parser("rows", help="names of rows")
    show = commands.add_parser("show", help="the table")
    show.add_argument("lines", type=Path, help="file of JSON lines")
    for command in (rows, show):
        command.add_argument("names", nargs="*", help="rows, by name or by the first part of it (all)")
    show.add_argument("--commit", help="of the workspace that was measured")
    args = parser.parse_args()
    try:
        rows = pick(args.names)
        if args.command == "rows":
            print(" ".join(row.name for row in rows))
            return
        lines = [json.loads(line) for line in args.lines.read_text().splitlines()]
        about = [datetime.date.today().isoformat(), cpu_model()] + ([f"commit {args.commit}"] if args.commit else [])
        print(table(lines, rows, about))
    except LinesError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
