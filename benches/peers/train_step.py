"""Times the training step (or the forward pass) of an encoder in PyTorch and prints one line of JSON.

The same work as `cargo run --release -p benches --bin train_step`, with the same line: forward, the mean of the squared
features as the loss, backward, and SGD with momentum 0.9, rate 0.01 and no weight decay, on one random batch.

    python train_step.py --encoder resnet18 --batch 64 --steps 20 --threads 2
    python train_step.py --encoder resnet18 --batch 64 --steps 20 --threads 2 --layout channels_last

In the line, "peer" is `torch` for the default layout and `torch, channels last` for the other.
"""

import argparse
import json
import math
import statistics
import sys
import time

import torch
from common import not_negative, positive
from torch import nn
from torch.nn import functional as F


class ConvNorm(nn.Sequential):
    """A convolution without bias and batch norm."""

    def __init__(self, channels, out, kernel=3, stride=1):
        conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(out))


class Conv4(nn.Module):
    """Four blocks of convolution, batch norm and ReLU; 2x2 max pooling behind the first three; then the average."""

    def __init__(self, channels, width):
        super().__init__()
        self.blocks = nn.ModuleList(ConvNorm(channels if i == 0 else width, width) for i in range(4))

    def forward(self, x):
        for i, block in enumerate(self.blocks):
            x = F.relu(block(x), inplace=True)
            if i < 3:
                x = F.max_pool2d(x, 2)
        return x.mean((2, 3))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around an identity, or around a 1x1 projection where the shape changes."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = ConvNorm(channels, out, stride=stride)
        self.conv2 = ConvNorm(out, out)
        changes = stride != 1 or channels != out
        self.downsample = ConvNorm(channels, out, kernel=1, stride=stride) if changes else nn.Identity()

    def forward(self, x):
        y = self.conv2(F.relu(self.conv1(x), inplace=True))
        return F.relu(y.add_(self.downsample(x)), inplace=True)


class Resnet18(nn.Module):
    """ResNet-18 with the small-image stem: a 3x3 convolution of stride 1 and no max pool."""

    def __init__(self, channels, width):
        super().__init__()
        self.stem = ConvNorm(channels, width)
        blocks, source = [], width
        for stage, out in enumerate([width, 2 * width, 4 * width, 8 * width]):
            blocks += [BasicBlock(source, out, 1 if stage == 0 else 2), BasicBlock(out, out, 1)]
            source = out
        self.stages = nn.Sequential(*blocks)

    def forward(self, x):
        return self.stages(F.relu(self.stem(x), inplace=True)).mean((2, 3))


ENCODERS = {"conv4": Conv4, "resnet18": Resnet18}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--encoder", choices=sorted(ENCODERS), required=True)
    parser.add_argument("--batch", type=positive, required=True, help="images a step")
    parser.add_argument("--steps", type=positive, required=True, help="steps that are timed")
    parser.add_argument("--width", type=positive, default=64, help="width of the encoder (64)")
    parser.add_argument("--size", type=positive, default=32, help="height and width of the images, at least 8 (32)")
    parser.add_argument("--channels", type=positive, default=3, help="channels of the images (3)")
    parser.add_argument("--warmup", type=not_negative, default=3, help="steps before the first timed one (3)")
    parser.add_argument("--inference", action="store_true", help="the forward pass alone, without autograd")
    parser.add_argument("--layout", choices=["default", "channels_last"], default="default", help="memory layout")
    parser.add_argument("--threads", type=positive, help="CPU threads (PyTorch's default)")
    args = parser.parse_args()
    if args.size < 8:
        parser.error(f"{args.encoder} halves its input 3 times and needs at least 8 x 8, got --size {args.size}")
    return args


def make_work(args):
    """A function that does one step and returns the tensor that the step is for."""
    torch.manual_seed(0)
    layout = torch.channels_last if args.layout == "channels_last" else torch.contiguous_format
    encoder = ENCODERS[args.encoder](args.channels, args.width).to(memory_format=layout)
    images = torch.rand(args.batch, args.channels, args.size, args.size) * 2 - 1
    images = images.to(memory_format=layout)
    if args.inference:
        encoder.eval()

        @torch.inference_mode()
        def infer():
            return encoder(images)

        return infer

    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.01, momentum=0.9)

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss = encoder(images).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return train


def time_steps(work, warmup, steps):
    """Seconds of every timed step; CPU operations are done when their call returns."""
    seconds = []
    for step in range(warmup + steps):
        start = time.perf_counter()
        result = work()
        elapsed = time.perf_counter() - start
        if step >= warmup:
            seconds.append(elapsed)
    if not torch.isfinite(result).all():
        sys.exit("error: the last step's result is not finite, so its time means nothing")
    return seconds


def main():
    args = arguments()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    seconds = time_steps(make_work(args), args.warmup, args.steps)
    median = statistics.median(seconds)
    line = {
        "work": f"{args.encoder}.{'inference' if args.inference else 'train'}",
        "peer": "torch" if args.layout == "default" else "torch, channels last",
        "seconds": median,
        "encoder": args.encoder,
        "batch": args.batch,
        "steps": args.steps,
        "median_images_per_s": args.batch / median,
        "mean_images_per_s": args.batch * args.steps / math.fsum(seconds),
        "min_step_ms": 1e3 * min(seconds),
        "median_step_ms": 1e3 * median,
        "threads": torch.get_num_threads(),
        "version": f"torch {torch.__version__}",
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
