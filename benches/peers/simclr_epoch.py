"""Times a whole epoch of SimCLR in PyTorch and lightly and prints one line of JSON.

The same work as `target/debug/simclr_epoch`: the first 10,000 training images of Fashion-MNIST, two views of each
(random resized crop from 0.3, flip, brightness and contrast 0.4), conv4 and a projector to 128, NT-Xent at temperature
0.2, AdamW at 1e-3; batches of 256, so 39 steps. Views are made by PyTorch's data loader: in `--workers` processes, or
in the process itself with 0. The defaults, 2 workers and the channels-last layout, are what was fastest on two cores
(4,096 images: 8.5 s; without workers 10.0 s). Starting the workers belongs to the epoch. A short epoch goes before,
untimed.

    python simclr_epoch.py --threads 2 --rounds 3
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from common import not_negative, parser, positive, report, time_rounds
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import ProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from train_step import Conv4

SIZE = 28
HIDDEN, OUTPUT = 256, 128
DATASETS = Path(__file__).parents[2] / "datasets"


class Views(Dataset):
    """Two views of every image."""

    def __init__(self, pixels):
        self.images = [Image.fromarray(image) for image in pixels]
        mean, std = (pixels / 255).mean(), (pixels / 255).std()
        # The recipe of the head-to-head comparison: `Recipe::peers` in nearfar-core.
        self.transform = SimCLRTransform(
            input_size=SIZE,
            min_scale=0.3,
            hf_prob=0.5,
            cj_prob=1.0,
            cj_strength=1.0,
            cj_bright=0.4,
            cj_contrast=0.4,
            cj_sat=0.0,
            cj_hue=0.0,
            random_gray_scale=0.0,
            gaussian_blur=0.0,
            normalize={"mean": [mean], "std": [std]},
        )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index])


class SimClr(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.encoder = Conv4(1, width)
        self.projector = ProjectionHead(
            [(width, HIDDEN, nn.BatchNorm1d(HIDDEN), nn.ReLU()), (HIDDEN, OUTPUT, None, None)]
        )

    def forward(self, x):
        return self.projector(self.encoder(x))


def read_images(folder, count):
    """The first `count` training images of Fashion-MNIST, `[count, 28, 28]` of uint8."""
    path = folder / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    with gzip.open(path) as file:
        header = np.frombuffer(file.read(16), ">u4")
        if list(header[[0, 2, 3]]) != [0x803, SIZE, SIZE]:
            sys.exit(f"error: {path} holds no {SIZE} x {SIZE} images in IDX format")
        if count > header[1]:
            sys.exit(f"error: --images {count} is more than the {header[1]} of {path}")
        return np.frombuffer(file.read(count * SIZE * SIZE), np.uint8).reshape(count, SIZE, SIZE)


def arguments():
    args = parser(__doc__.splitlines()[0], ["simclr.epoch"])
    args.add_argument("--images", type=positive, default=10_000, help="training images (10,000)")
    args.add_argument("--batch", type=positive, default=256, help="images a step (256)")
    args.add_argument("--width", type=positive, default=64, help="width of conv4 (64)")
    args.add_argument("--workers", type=not_negative, default=2, help="processes that make views (2)")
    args.add_argument("--layout", choices=["default", "channels_last"], default="channels_last", help="memory layout")
    args.add_argument("--datasets", type=Path, default=DATASETS, help="folder of the data that ship")
    parsed = args.parse_args()
    if parsed.batch > parsed.images:
        args.error(f"--batch {parsed.batch} is more than there are --images, {parsed.images}")
    return parsed


def make_epoch(args, model, layout):
    """A function that trains `model` on one pass over a data set and returns the last loss."""
    criterion = NTXentLoss(temperature=0.2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)

    def epoch(data):
        loader = DataLoader(data, args.batch, shuffle=True, drop_last=True, num_workers=args.workers)
        for views in loader:
            # One pass over both views, as ours.
            z = model(torch.cat(views).contiguous(memory_format=layout))
            loss = criterion(*z.chunk(2))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return loss.item()

    return epoch


def main():
    args = arguments()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if args.layout == "channels_last" else torch.contiguous_format
    data = Views(read_images(args.datasets, args.images))
    epoch = make_epoch(args, SimClr(args.width).to(memory_format=layout), layout)
    epoch(Subset(data, range(args.batch)))
    seconds, loss = time_rounds(lambda: epoch(data), args.rounds, warmup=False)
    if not np.isfinite(loss):
        sys.exit("error: the last loss is not finite, so its time means nothing")
    peer = f"lightly, workers={args.workers}" + (", default layout" if args.layout == "default" else "")
    sizes = {"images": args.images, "batch": args.batch, "steps": args.images // args.batch}
    report("simclr.epoch", peer, "lightly", seconds, torch.get_num_threads(), loss=loss, **sizes)


if __name__ == "__main__":
    main()
