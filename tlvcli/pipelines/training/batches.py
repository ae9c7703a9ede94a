"""Whether the images fall into batches that can be shared by processes, and learned from."""

from __future__ import annotations

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.input import images_taken


def check_batches(config: TrainConfig, num_images: int, world_size: int, *, drop_single: bool) -> list[str]:
    """Return warnings of what every epoch leaves out.

    Raises:
        TlvError: `batch-not-shared`, `batch-too-small` or `too-few-images`.
    """
    own, rest = divmod(config.batch_size, world_size)
    if rest:
        raise TlvError(
            "batch-not-shared",
            f"batch_size {config.batch_size} does not fall evenly to {world_size} processes",
            f"--batch-size counts the images of all processes: take a multiple of {world_size}",
        )
    if drop_single and (own == 1 or num_images == 1):
        raise TlvError(
            "batch-too-small",
            f"batches of one image: {num_images} to train on, batch_size {config.batch_size}"
            + (f" over {world_size} processes" if world_size > 1 else ""),
            "batch normalisation compares images; take --batch-size 2 or more, and more images",
        )
    taken = images_taken(num_images, config.batch_size, drop_single=drop_single, world_size=world_size)
    if taken == 0:
        raise TlvError(
            "too-few-images",
            f"{num_images} images to train on are too few for {world_size} processes",
            "start fewer processes, or give more images",
        )
    if taken == num_images:
        return []
    if world_size > 1:
        return [
            f"every epoch leaves out {num_images - taken} images, others each time: too few in the last batch "
            f"for {world_size} processes"
        ]
    return [
        "every epoch leaves out one image, another each time: alone in the last batch, "
        "batch normalisation could not train on it"
    ]
