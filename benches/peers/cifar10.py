"""Trains SimCLR, MoCo, BYOL and SimSiam in PyTorch with lightly's losses on part of CIFAR-10; prints kNN accuracy.

The same budget as `compare run --config experiments/cifar10-small.toml`: 20,000 training images, the encoder resnet9 of
width 32, batch 128, SGD 0.06 with momentum 0.9, decay 5e-4 and a cosine, the views of lightly's CIFAR-10 benchmark, its
temperatures, queue and momentum. The score is the kNN classifier of that benchmark (k 200, temperature 0.1) on the
10,000 test images at the end of training, not the best of all epochs. Initial weights, order and views are drawn by
PyTorch.

    python cifar10.py --data DIR --epochs 3 --threads 2

DIR holds `train` and `test`, each with a folder of images for every class.
"""

import argparse
import copy
import json
import random
import time
from pathlib import Path

import torch
from common import positive
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.models.batchnorm import SplitBatchNorm
from lightly.models.modules.heads import (
    BYOLPredictionHead,
    BYOLProjectionHead,
    MoCoProjectionHead,
    ProjectionHead,
    SimCLRProjectionHead,
    SimSiamPredictionHead,
)
from lightly.models.utils import update_momentum
from lightly.utils.benchmarking.knn import knn_predict
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets
from torchvision.transforms import v2

RATE, MOMENTUM, DECAY = 0.06, 0.9, 5e-4
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
METHODS = ["untrained", "simclr", "moco", "byol", "simsiam"]


def views():
    return v2.Compose(
        [
            v2.ToImage(),
            v2.RandomResizedCrop(32, scale=(0.08, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
            v2.RandomGrayscale(0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def plain():
    return v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])


class Views(Dataset):
    """Two views of every image."""

    def __init__(self, images):
        self.images, self.transform = images, views()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index][0]
        return self.transform(image), self.transform(image)


class ConvNorm(nn.Sequential):
    """Convolution, batch norm (in `parts` parts where there are any) and ReLU."""

    def __init__(self, channels, out, parts):
        norm = SplitBatchNorm(out, parts) if parts else nn.BatchNorm2d(out)
        super().__init__(nn.Conv2d(channels, out, 3, padding=1, bias=False), norm, nn.ReLU(inplace=True))


class Resnet9(nn.Module):
    """The nine layers of nearfar's `resnet9`; features: 8 x width."""

    def __init__(self, width, parts=0):
        super().__init__()

        def pair(c):
            return nn.Sequential(ConvNorm(c, c, parts), ConvNorm(c, c, parts))

        self.stem, self.layer1 = ConvNorm(3, width, parts), ConvNorm(width, 2 * width, parts)
        self.residual1, self.layer2 = pair(2 * width), ConvNorm(2 * width, 4 * width, parts)
        self.layer3, self.residual3 = ConvNorm(4 * width, 8 * width, parts), pair(8 * width)

    def forward(self, x):
        x = F.max_pool2d(self.layer1(self.stem(x)), 2)
        x = x + self.residual1(x)
        x = F.max_pool2d(self.layer3(F.max_pool2d(self.layer2(x), 2)), 2)
        return (x + self.residual3(x)).mean((2, 3))


class Method(nn.Module):
    """An encoder with its heads; `forward` is the loss of a batch of two views."""

    layout = torch.channels_last  # the faster one on CPUs

    def __init__(self, width, parts=0):
        super().__init__()
        self.encoder = Resnet9(width, parts)

    def before(self):
        """What happens ahead of the loss."""


class SimClr(Method):
    def __init__(self, width):
        super().__init__(width)
        self.head, self.loss = SimCLRProjectionHead(8 * width, 512, 128), NTXentLoss(temperature=0.5)

    def forward(self, a, b):
        return self.loss(self.head(self.encoder(a)), self.head(self.encoder(b)))


class Moco(Method):
    layout = torch.contiguous_format  # all that SplitBatchNorm takes

    def __init__(self, width):
        super().__init__(width, parts=8)
        self.head = MoCoProjectionHead(8 * width, 512, 128)
        self.loss = NTXentLoss(temperature=0.1, memory_bank_size=(4096, 128))
        self.keys = copy.deepcopy(nn.ModuleList([self.encoder, self.head])).requires_grad_(False)

    def before(self):
        update_momentum(self.encoder, self.keys[0], 0.99)
        update_momentum(self.head, self.keys[1], 0.99)

    def forward(self, a, b):
        def one_way(query, key):
            with torch.no_grad():
                order = torch.randperm(len(key))
                k = self.keys[1](self.keys[0](key[order]))[order.argsort()]
            return self.loss(self.head(self.encoder(query)), k)

        return 0.5 * (one_way(a, b) + one_way(b, a))


class Byol(Method):
    def __init__(self, width):
        super().__init__(width)
        self.head, self.predictor = BYOLProjectionHead(8 * width, 1024, 256), BYOLPredictionHead(256, 1024, 256)
        self.target = copy.deepcopy(nn.ModuleList([self.encoder, self.head])).requires_grad_(False)
        self.loss = NegativeCosineSimilarity()

    def before(self):
        update_momentum(self.encoder, self.target[0], 0.99)
        update_momentum(self.head, self.target[1], 0.99)

    def forward(self, a, b):
        p = [self.predictor(self.head(self.encoder(x))) for x in (a, b)]
        with torch.no_grad():
            z = [self.target[1](self.target[0](x)) for x in (a, b)]
        return 0.5 * (self.loss(p[0], z[1]) + self.loss(p[1], z[0]))


class SimSiam(Method):
    def __init__(self, width):
        super().__init__(width)
        # Two layers, as in the paper's CIFAR appendix and lightly's benchmark.
        self.head = ProjectionHead(
            [(8 * width, 2048, nn.BatchNorm1d(2048), nn.ReLU()), (2048, 2048, nn.BatchNorm1d(2048, affine=False), None)]
        )
        self.predictor, self.loss = SimSiamPredictionHead(2048, 512, 2048), NegativeCosineSimilarity()

    def forward(self, a, b):
        z = [self.head(self.encoder(x)) for x in (a, b)]
        p = [self.predictor(x) for x in z]
        return 0.5 * (self.loss(p[0], z[1].detach()) + self.loss(p[1], z[0].detach()))


def part(images, count):
    """The same number of images of every class."""
    each, chosen = count // len(images.classes), []
    for c in range(len(images.classes)):
        of_class = [i for i, (_, label) in enumerate(images.samples) if label == c]
        chosen += random.sample(of_class, each)
    # Decoded once: JPEG files are slow to read again every epoch.
    return [(images[i][0].copy(), images.samples[i][1]) for i in chosen]


@torch.inference_mode()
def features(method, images):
    encoder = method.encoder.eval()
    transform = plain()
    batches = [torch.stack([transform(x) for x, _ in images[i : i + 500]]) for i in range(0, len(images), 500)]
    return F.normalize(torch.cat([encoder(b.contiguous(memory_format=method.layout)) for b in batches]), dim=1)


def train(method, images, args):
    keep = args.workers > 0
    loader = DataLoader(
        Views(images), args.batch, shuffle=True, drop_last=True, num_workers=args.workers, persistent_workers=keep
    )
    method.to(memory_format=method.layout).train()
    weights = [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(weights, RATE, MOMENTUM, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    for _ in range(args.epochs):
        for a, b in loader:
            method.before()
            a, b = (x.contiguous(memory_format=method.layout) for x in (a, b))
            loss = method(a, b)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with `train` and `test`")
    parser.add_argument("--methods", default=",".join(METHODS), help="by commas")
    parser.add_argument("--images", type=positive, default=20_000)
    parser.add_argument("--epochs", type=positive, default=3)
    parser.add_argument("--batch", type=positive, default=128)
    parser.add_argument("--width", type=positive, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=positive)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    random.seed(args.seed)
    source = datasets.ImageFolder(args.data / "train")
    images = part(source, args.images)
    test = [(image.copy(), label) for image, label in datasets.ImageFolder(args.data / "test")]
    built = {"untrained": Method, "simclr": SimClr, "moco": Moco, "byol": Byol, "simsiam": SimSiam}
    for name in args.methods.split(","):
        torch.manual_seed(args.seed)
        method = built[name](args.width)
        start = time.perf_counter()
        if name != "untrained":
            train(method, images, args)
        seconds = time.perf_counter() - start
        bank, queries = features(method, images), features(method, test)
        classes = torch.tensor([label for _, label in images])
        found = knn_predict(queries, bank.T.contiguous(), classes, len(source.classes), 200, 0.1)[:, 0]
        accuracy = (found == torch.tensor([label for _, label in test])).float().mean().item()
        line = {"method": name, "knn": round(accuracy, 4), "train_seconds": round(seconds, 1), "epochs": args.epochs}
        print(json.dumps(line | {"seed": args.seed, "images": len(images), "width": args.width}), flush=True)


if __name__ == "__main__":
    main()
