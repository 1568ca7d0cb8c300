"""Times losses of pytorch-metric-learning and lightly, forward and backward, and prints a line of JSON for each.

The same work as `target/debug/losses`, on the same embeddings: distances, mining and loss, then the gradient with
respect to the embeddings. Embeddings are not of unit length; the losses normalise them. NT-Xent has `--batch` pairs.

    python losses.py --threads 2 --rounds 20
"""

import torch
from common import embeddings, labels, parser, positive, report, time_rounds
from lightly.loss import NTXentLoss
from pytorch_metric_learning import losses, miners

PML, LIGHTLY = "pytorch-metric-learning", "lightly"


def tuples(loss, miner=None):
    """A loss over the tuples of a labelled batch: mined, or all of them."""
    return lambda case: loss(case.rows, case.labels, miner(case.rows, case.labels) if miner else None)


def triplet(miner):
    return tuples(losses.TripletMarginLoss(margin=0.2), miner)


NT_XENT = NTXentLoss(temperature=0.2)

LOSSES = {
    "loss.triplet_semihard": (PML, triplet(miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard"))),
    "loss.triplet_batch_hard": (PML, triplet(miners.BatchHardMiner())),
    "loss.contrastive": (PML, tuples(losses.ContrastiveLoss(pos_margin=0, neg_margin=1))),
    "loss.multi_similarity": (
        PML,
        tuples(losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5), miners.MultiSimilarityMiner(epsilon=0.1)),
    ),
    "loss.supcon": (PML, tuples(losses.SupConLoss(temperature=0.1))),
    "loss.nt_xent": (LIGHTLY, lambda case: NT_XENT(case.rows, case.other_view)),
}


class Case:
    """What the losses take; both views carry gradients."""

    def __init__(self, args):
        rows = [torch.from_numpy(embeddings(args.batch, args.dimension, seed)) for seed in (1, 2)]
        self.rows, self.other_view = (view.requires_grad_() for view in rows)
        self.labels = torch.from_numpy(labels(args.batch, args.classes))

    def step(self, loss):
        """The value of the loss, its gradient computed."""
        self.rows.grad = self.other_view.grad = None
        value = loss(self)
        value.backward()
        return value.detach()


def arguments():
    args = parser(__doc__.splitlines()[0], list(LOSSES))
    args.add_argument("--batch", type=positive, default=512, help="embeddings, or pairs of them (512)")
    args.add_argument("--dimension", type=positive, default=128, help="numbers of an embedding (128)")
    args.add_argument("--classes", type=positive, default=64, help="classes of a batch (64)")
    parsed = args.parse_args()
    if parsed.classes < 2 or parsed.batch < 2 * parsed.classes:
        args.error("there must be two classes or more and two embeddings of each: check --batch and --classes")
    return parsed


def main():
    args = arguments()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    sizes = {"batch": args.batch, "dimension": args.dimension, "classes": args.classes}
    for name in args.only:
        package, loss = LOSSES[name]
        case = Case(args)
        seconds, value = time_rounds(lambda case=case, loss=loss: case.step(loss), args.rounds)
        report(name, package, package, seconds, torch.get_num_threads(), check=value.item(), **sizes)


if __name__ == "__main__":
    main()
