"""This rank's share of a global batch: augmented pixels and dropout masks.

All random draws depend only on (seed, epoch, batch, purpose) and on the sample's position in the global batch. So a
training gives the same result on any number of ranks and can resume at any batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mammogan.config import CadConfig, GanConfig, LesionConfig
from mammogan.data.loading.augment import Augmentation
from mammogan.data.loading.pairs import PairedStream
from mammogan.data.loading.to_device import onto
from mammogan.data.shards.reader import ShardImages
from mammogan.models.networks import Fnet, Neck, unit_pixels
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.optimizer import Precision, generator_for


@dataclass(frozen=True)
class Batches:
    """A paired stream of mammograms with its augmentation."""

    stream: PairedStream
    augmentation: Augmentation
    precision: Precision
    seed: int

    @classmethod
    def of(
        cls,
        first: ShardImages,
        second: ShardImages,
        augmentation: Augmentation,
        config: CadConfig | GanConfig,
        sizes: CadConfig | GanConfig | LesionConfig,
        ranks: Ranks,
    ) -> Batches:
        """Pair mammograms of two labels for a training; ``sizes`` has the number of pairs and the epoch's length."""
        stream = PairedStream(
            first,
            second,
            sizes.pairs,
            config.seed,
            ranks.rank,
            ranks.size,
            config.compute.loader_workers,
            sizes.epoch_batches,
            ranks.device.type == "cuda",
        )
        return cls(stream, augmentation, Precision.choose(config.compute.precision, ranks.device), config.seed)

    def pixels(self, pair: tuple[Tensor, Tensor], epoch: int, batch: int) -> tuple[Tensor, Tensor]:
        """Augment the stream's two uint16 shares (n,1,H,W): floats in [0,1] on the device."""
        drawn = self.augmentation.draw(2 * self.stream.pairs, generator_for(self.seed, epoch, batch, "augment"))
        low, n = self.stream.rank * self.stream.share, self.stream.share
        first, second = (self.as_floats(share) for share in pair)
        return drawn[low : low + n].apply(first), drawn[self.stream.pairs + low :][:n].apply(second)

    def keep(self, fnet: Fnet | Neck, parts: int, epoch: int, batch: int, purpose: str) -> Tensor:
        """Return this rank's dropout mask (parts * n, hidden) for ``parts`` shares of n mammograms."""
        mask = fnet.draw_keep(parts * self.stream.pairs, generator_for(self.seed, epoch, batch, purpose))
        low = self.stream.rank * self.stream.share
        own = mask.view(parts, self.stream.pairs, -1)[:, low : low + self.stream.share]
        return onto(own.flatten(0, 1), self.precision.device)

    def as_floats(self, share: Tensor) -> Tensor:
        return unit_pixels(onto(share, self.precision.device)).to(self.precision.full)
