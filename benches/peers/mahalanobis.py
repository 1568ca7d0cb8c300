"""The same work as the program `mahalanobis`, with metric-learn: LMNN, NCA and ITML.

    python mahalanobis.py --threads 2
    python mahalanobis.py --rows 600 --rounds 1
    python mahalanobis.py --only mahalanobis.rca,mahalanobis.sdml     other learners, from classes, without a check

Rows come from a fixed formula: noise from a hash of the position, uniform in [-2, 2), and 1.5 more in every feature whose
number leaves the rest `class` when divided by the classes. ITML gets pairs and bounds that ours gets too.
"""

import os
import warnings

import common
import metric_learn as ml
import numpy as np
from threadpoolctl import threadpool_limits

COMPARED = ("mahalanobis.lmnn", "mahalanobis.nca", "mahalanobis.itml")
OTHERS = tuple(f"mahalanobis.{name}" for name in ("covariance", "rca", "lfda", "mlkr", "mmc", "lsml", "sdml", "scml"))
NEIGHBORS = 3


def arguments():
    parser = common.parser(__doc__.splitlines()[0], COMPARED + OTHERS)
    parser.set_defaults(only=COMPARED)
    parser.add_argument("--rows", type=common.positive, default=5000)
    parser.add_argument("--features", type=common.positive, default=50)
    parser.add_argument("--classes", type=common.positive, default=5)
    parser.add_argument("--iterations", type=common.positive, default=10, help="steps of LMNN, NCA and MLKR (10)")
    parser.add_argument("--no-warmup", dest="warmup", action="store_false", help="no round before the first timed one")
    args = parser.parse_args()
    if args.classes < 2 or args.rows < 4 * args.classes or args.rows % args.classes:
        parser.error("--rows must be four or more of each of two or more classes, as many of each")
    return args


def rows(count, features, classes):
    """Rows `[count, features]` in double precision, holding what single precision can hold, and their classes."""
    unit = (common.embeddings(count, features, 0) + np.float32(1)) / np.float32(2)
    x = np.float32(4) * unit - np.float32(2)
    y = common.labels(count, classes)
    x += np.float32(1.5) * (np.arange(features)[None] % classes == y[:, None])
    return x.astype(np.float64), y


def words(seed, count, limit):
    """Words of SplitMix64, each below its limit."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z.reshape(-1, len(limit)) % np.array(limit, dtype=np.uint64)).astype(np.int64)


def pairs(count, classes, each):
    """`each` pairs of equal classes, then as many of different ones; the same as `benches::shared_pairs`."""
    a, step = words(3, 2 * each, (count, count // classes - 1)).T
    same = np.stack([a, (a + classes * (1 + step)) % count], 1)
    a, step, other = words(4, 3 * each, (count, count // classes, classes - 1)).T
    different = np.stack([a, (a + classes * step + 1 + other) % count], 1)
    return np.concatenate([same, different]), np.repeat([1, -1], each)


def squared(a, b):
    return (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T


def lmnn_objective(x, y, components):
    """`(1 - mu) pull + mu push` with `mu = 1/2`, over the target neighbours of the input space."""
    total, z = 0.0, x @ components.T
    for c in np.unique(y):
        own, rest = np.flatnonzero(y == c), np.flatnonzero(y != c)
        near = squared(x[own], x[own])
        np.fill_diagonal(near, np.inf)
        targets = own[np.argsort(near, axis=1)[:, :NEIGHBORS]]
        pull = ((z[own][:, None] - z[targets]) ** 2).sum(-1)
        far = squared(z[own], z[rest])
        total += 0.5 * pull.sum()
        total += 0.5 * sum(np.maximum(0, 1 + pull[:, [t]] - far).sum() for t in range(NEIGHBORS))
    return float(total)


def nca_objective(x, y, components):
    """The expected number of rows that pick a neighbour of their class."""
    total, z = 0.0, x @ components.T
    for first in range(0, len(x), 500):
        block = np.arange(first, min(first + 500, len(x)))
        distances = squared(z[block], z)
        distances[np.arange(len(block)), block] = np.inf
        p = np.exp(distances.min(1, keepdims=True) - distances)
        total += ((p * (y[block][:, None] == y)).sum(1) / p.sum(1)).sum()
    return float(total)


def learner(name, iterations):
    return {
        # Its loop begins to count at 2 and ends before `max_iter`.
        "lmnn": lambda: ml.LMNN(init="identity", n_neighbors=NEIGHBORS, min_iter=1, max_iter=iterations + 2, convergence_tol=0),
        "nca": lambda: ml.NCA(init="identity", max_iter=iterations, tol=0),
        "mlkr": lambda: ml.MLKR(init="identity", max_iter=iterations),
        "itml": lambda: ml.ITML(prior="identity"),
        "covariance": lambda: ml.Covariance(),
        "rca": lambda: ml.RCA_Supervised(random_state=0),
        "lfda": lambda: ml.LFDA(k=7),
        "mmc": lambda: ml.MMC_Supervised(random_state=0),
        "lsml": lambda: ml.LSML_Supervised(random_state=0),
        "sdml": lambda: ml.SDML_Supervised(balance_param=1e-4, random_state=0),
        "scml": lambda: ml.SCML_Supervised(random_state=0),
    }[name]()


def main():
    args = arguments()
    warnings.simplefilter("ignore")
    threadpool_limits(args.threads)
    x, y = rows(args.rows, args.features, args.classes)
    tuples, same = pairs(args.rows, args.classes, 20 * args.classes**2)
    objectives = {"lmnn": lmnn_objective, "nca": nca_objective}
    for work in args.only:
        name = work.split(".")[1]

        def fit():
            model = learner(name, args.iterations)
            if name == "itml":
                return model.fit(x[tuples], same, bounds=np.array([2.0, 3.5]) * args.features)
            return model.fit(x, y.astype(float) if name == "mlkr" else y)

        seconds, model = common.time_rounds(fit, args.rounds, args.warmup)
        more = {}
        if name in objectives:
            more["check"] = objectives[name](x, y, np.eye(args.features))
            more["objective"] = objectives[name](x, y, model.components_)
        elif name == "itml":
            more["check"] = float(np.trace(model.get_mahalanobis_matrix()))
        sizes = {"rows": args.rows, "features": args.features, "classes": args.classes, "iterations": args.iterations}
        common.report(work, "metric-learn", "metric-learn", seconds, args.threads or os.cpu_count(), **more, **sizes)


if __name__ == "__main__":
    main()
