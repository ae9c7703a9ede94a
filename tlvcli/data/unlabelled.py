"""Images without labels: all below one folder, however they are laid out."""

from __future__ import annotations

from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.data.folders import IMAGE_SUFFIXES, FolderImages, files_below, left_out
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.torchvision_sets import ImageTraits


def open_unlabelled(root: Path) -> ImageDataset:
    """List the images below `root`, none of which is opened; all carry label 0 of one class without a name.

    Raises:
        TlvError: `data-missing` or `data-no-images`.
    """
    if not root.is_dir():
        raise TlvError("data-missing", f"{root} is not a folder", "name a folder of images")
    paths, others = files_below(root)
    if not paths:
        raise TlvError("data-no-images", f"{root}: no image in it or below it", f"known are {' '.join(IMAGE_SUFFIXES)}")
    return ImageDataset(
        name=root.name or str(root),
        split="all",
        kind="images without labels",
        class_names=("",),
        labels=(0,) * len(paths),
        indices=tuple(range(len(paths))),
        source=FolderImages(str(root), tuple(paths)),
        traits=ImageTraits(),
        warnings=left_out(root, others),
    )
