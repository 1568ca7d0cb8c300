"""Times metric-learn's Mahalanobis learners and prints one line of JSON for each.

The same rows as `cargo bench -p benches --bench mahalanobis`, from a fixed formula: noise from a hash of the position,
uniform in [-2, 2), and 1.5 more in every feature whose number leaves the rest `class` when divided by the classes.

    python mahalanobis.py --learners lmnn,nca,itml --threads 2

Settings are those of the bench: NCA and MLKR run 10 iterations, all others their defaults.
"""

import argparse
import json
import os
import sys
import time
import warnings

LEARNERS = ("covariance", "rca", "lfda", "lmnn", "nca", "mlkr", "itml", "mmc", "lsml", "sdml", "scml")


def rows(count, features, classes):
    """Rows `[count, features]` in double precision, holding what single precision can hold, and their classes."""
    import numpy as np

    # splitmix64 of the position
    h = (np.arange(count * features, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    unit = (h >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    x = (np.float32(4) * unit - np.float32(2)).reshape(count, features)
    y = np.arange(count) % classes
    x += np.float32(1.5) * (np.arange(features)[None] % classes == y[:, None])
    return x.astype(np.float64), y


def learner(name):
    import metric_learn as ml

    return {
        "covariance": lambda: ml.Covariance(),
        "rca": lambda: ml.RCA_Supervised(random_state=0),
        "lfda": lambda: ml.LFDA(k=7),
        "lmnn": lambda: ml.LMNN(init="identity"),
        "nca": lambda: ml.NCA(init="identity", max_iter=10),
        "mlkr": lambda: ml.MLKR(init="identity", max_iter=10),
        "itml": lambda: ml.ITML_Supervised(random_state=0),
        "mmc": lambda: ml.MMC_Supervised(random_state=0),
        "lsml": lambda: ml.LSML_Supervised(random_state=0),
        "sdml": lambda: ml.SDML_Supervised(balance_param=1e-4, random_state=0),
        "scml": lambda: ml.SCML_Supervised(random_state=0),
    }[name]()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", default=",".join(LEARNERS), help="names separated by commas")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    names = args.learners.split(",")
    unknown = [name for name in names if name not in LEARNERS]
    if unknown:
        parser.error(f"unknown learner {unknown[0]}; there are {', '.join(LEARNERS)}")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(args.threads)  # read when numpy is imported, which is below
    warnings.simplefilter("ignore")
    x, y = rows(args.rows, args.features, args.classes)
    for name in names:
        model = learner(name)
        start = time.perf_counter()
        try:
            model.fit(x, y.astype(float) if name == "mlkr" else y)
        except Exception as error:  # a learner that fails on these rows has no time
            print(f"{name}: {error!r}", file=sys.stderr)
            continue
        seconds = time.perf_counter() - start
        line = {"learner": name, "rows": args.rows, "features": args.features, "classes": args.classes}
        print(json.dumps({**line, "threads": args.threads, "seconds": round(seconds, 4)}), flush=True)


if __name__ == "__main__":
    main()
