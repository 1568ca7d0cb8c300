"""Times exact search in faiss and retrieval scores in pytorch-metric-learning, and prints a line of JSON for each.

The same work as `target/debug/retrieval`, on the same rows. `search` finds the `--top` nearest references of every
query with `IndexFlatL2`, building the index included; `scores` ranks the queries among themselves (10 classes) for
precision at 1, R-precision and MAP@R with `AccuracyCalculator`, which searches with faiss.

    python retrieval.py --threads 2 --rounds 3
"""

import faiss
from common import embeddings, labels, parser, positive, report, time_rounds

CLASSES = 10


def arguments():
    args = parser(__doc__.splitlines()[0], ["search", "scores"])
    args.add_argument("--queries", type=positive, default=10_000, help="rows to search for and to score (10,000)")
    args.add_argument("--references", type=positive, default=60_000, help="rows to search in (60,000)")
    args.add_argument("--dimension", type=positive, default=128, help="numbers of a row (128)")
    args.add_argument("--top", type=positive, default=200, help="neighbours of each query (200)")
    parsed = args.parse_args()
    if parsed.top > parsed.references:
        args.error(f"--top {parsed.top} is more than there are --references, {parsed.references}")
    if parsed.queries < 2 * CLASSES:
        args.error(f"--queries must be at least {2 * CLASSES}: two rows of each class")
    return parsed


def search(args):
    queries, references = embeddings(args.queries, args.dimension, 1), embeddings(args.references, args.dimension, 2)

    def work():
        index = faiss.IndexFlatL2(args.dimension)
        index.add(references)
        return index.search(queries, args.top)

    seconds, (distances, _) = time_rounds(work, args.rounds)
    sizes = {"queries": args.queries, "dimension": args.dimension, "top": args.top}
    check = float(distances.mean(dtype="float64"))
    name = f"search.{args.references}"
    report(name, "faiss", "faiss-cpu", seconds, faiss.omp_get_max_threads(), check=check, **sizes)


def scores(args):
    # Not loaded for the search: a second pool of OpenMP threads would stand beside that of faiss.
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    rows = torch.from_numpy(embeddings(args.queries, args.dimension, 1))
    classes = torch.from_numpy(labels(args.queries, CLASSES))
    wanted = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=wanted, device=torch.device("cpu"))
    seconds, found = time_rounds(lambda: calculator.get_accuracy(rows, classes), args.rounds)
    sizes = {"queries": args.queries, "dimension": args.dimension, "classes": CLASSES}
    name, package = f"scores.{args.queries}", "pytorch-metric-learning"
    check = found["mean_average_precision_at_r"]
    report(name, package, package, seconds, torch.get_num_threads(), check=check, **sizes, **found)


def main():
    args = arguments()
    if args.threads is not None:
        faiss.omp_set_num_threads(args.threads)
    if "search" in args.only:
        search(args)
    if "scores" in args.only:
        scores(args)


if __name__ == "__main__":
    main()
