"""What is to follow the mapping: asked for, opened and refused before the work starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.report import InputInfo
from tlvcli.core.runtime import choose_device
from tlvcli.pipelines.checkpoints import OpenedCheckpoint
from tlvcli.pipelines.transferring.config import TransferConfig

if TYPE_CHECKING:
    import torch

    from tlvcli.pipelines.transferring.images import StepImages

# Images that a step takes unless told otherwise, and the fewest that have a variance.
FIT_IMAGES, CALIBRATE_IMAGES, _FEWEST = 1000, 500, 2
_DONE = {"rescale": "rescaled", "fit": "fitted", "calibrate": "calibrated"}


@dataclass(frozen=True)
class Steps:
    """What follows the mapping, with its images; `device` is None where nothing is computed."""

    names: tuple[str, ...] = ()
    fit: StepImages | None = None
    calibrate: StepImages | None = None
    device: torch.device | None = None

    @property
    def images(self) -> tuple[StepImages, ...]:
        """The images of all steps."""
        return tuple(images for images in (self.fit, self.calibrate) if images)

    @property
    def inputs(self) -> list[InputInfo]:
        """The report's entries for the data."""
        from tlvcli.pipelines.image_input import describe_data

        return [describe_data(images.dataset, images.reference) for images in self.images]

    @property
    def warnings(self) -> list[str]:
        """What is to be said of the data."""
        return [warning for images in self.images for warning in images.dataset.warnings]

    def after(self, method: str) -> str:
        """Return the method to name in the checkpoint: `coherent, fitted, calibrated`."""
        return ", ".join([method, *(_DONE[name] for name in self.names)])


def open_steps(config: TransferConfig) -> Steps:
    """Open the images and choose the device; a dry run carries out no step.

    Raises:
        TlvError: what is wrong with the data or the device.
    """
    if config.dry_run or not config.steps:
        return Steps()
    from tlvcli.pipelines.image_input import may_download
    from tlvcli.pipelines.transferring.images import open_images_for

    download = may_download(download=config.download, offline=config.offline)

    def opened(step: str, text: str, at_most: int) -> StepImages:
        return open_images_for(
            step, text, at_least=_FEWEST, at_most=at_most, data_seed=config.data_seed, download=download
        )

    return Steps(
        names=config.steps,
        fit=opened("fit", config.fit.data, FIT_IMAGES) if config.fit else None,
        calibrate=opened("calibrate", config.calibrate.data, CALIBRATE_IMAGES) if config.calibrate else None,
        device=choose_device(config.device),
    )


def refuse_not_runnable(source: OpenedCheckpoint) -> None:
    """Raise `source-not-runnable` for a source that is known by its tensors alone."""
    if source.architecture is None:
        raise TlvError(
            "source-not-runnable",
            f"--fit computes with the source, and {source.reference} does not say which architecture it is",
            "--source-arch names it, as in --source-arch resnet18 or --source-arch net.py:make",
        )
