"""The settings of `tlv compare`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tlvcli.core.config import Config
from tlvcli.pipelines.comparing.grid_keys import Axes, parse_axes

Keep = Literal["all", "best", "none"]
DEFAULT_METHODS = ("he", "tlv", "dpiat", "coherent")


def parse_words(value: Any) -> Any:
    """Return the words of `he,tlv`, each once; what is no text is left to pydantic."""
    words = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(words)) if isinstance(words, (list, tuple)) else words


Words = Annotated[tuple[str, ...], BeforeValidator(parse_words)]


class CompareConfig(Config):
    """Settings of `tlv compare`; what is null is as `tlv transfer`, `tlv train` and `tlv eval` have it."""

    source: Words = Field(min_length=1, description="checkpoint files, ARCH@WEIGHTS or ARCH@random")
    target_arch: str | None = Field(
        None, description="what the sources start, as tlv transfer names it; null: they are fine-tuned themselves"
    )
    data: str = Field(description="image folder, NAME:ROOT or digits, with @train or @train:N for a sample")
    test_data: str | None = Field(None, description="what is tested on; default: the test split of the data")
    out: str = Field(description="folder of the comparison: cells, table, curves, report; goes on where it stands")
    methods: Words | None = Field(
        None,
        min_length=1,
        description="transfer methods, as METHOD or METHOD+fit+calibrate, the first is the baseline; default: "
        "he,tlv,dpiat,coherent",
    )
    strategies: Words = Field(("full",), min_length=1, description="fine-tuning strategies")
    grid: Annotated[Axes, BeforeValidator(parse_axes)] = Field(
        default_factory=dict, description="values by key of tlv train or tlv transfer; the first of each is the default"
    )
    seeds: int = Field(3, ge=1, description="how many seeds each cell is run with: seed, seed + 1, ...")
    baseline: str | None = Field(
        None, description="what all is compared to: source, method, strategy, or several of them joined by /"
    )
    epochs: int | None = Field(None, ge=1, description="passes over the training images; default: 10, or the recipe's")
    recipe: str | None = Field(None, description="settings of a published training, under those given here")
    batch_size: int | None = Field(None, ge=1, description="images per batch in training; default: 32")
    lr: float | str | None = Field(None, description="peak learning rate; default: by strategy and optimiser")
    image_size: int | None = Field(
        None, ge=8, description="input side in pixels; default: the source's, else the data's"
    )
    transfer: dict[str, Any] = Field(default_factory=dict, description="further settings of every tlv transfer, by key")
    train: dict[str, Any] = Field(default_factory=dict, description="further settings of every tlv train, by key")
    source_arch: str | None = Field(None, description="architecture of sources that do not name their own")
    jobs: int | None = Field(
        None, ge=1, description="cells at once; default: one for each GPU, else by cores and memory"
    )
    keep: Keep = Field("best", description="checkpoints that stay: of all cells, of the best one, or none")
    device: str = Field("auto", description="auto, cpu or cuda; of several GPUs each has one cell at a time")
    seed: int = Field(0, ge=0, description="the first seed")
    data_seed: int = Field(0, ge=0, description="draws the sample of @train:N and the images held out for val")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    offline: bool = Field(False, description="never touch the network")
    dry_run: bool = Field(False, description="show all cells as commands, run nothing")
    force: bool = Field(False, description="begin anew in the folder of another comparison")

    @model_validator(mode="after")
    def _methods_need_a_target(self) -> CompareConfig:
        if self.target_arch is None and (self.methods or self.transfer):
            given = "methods" if self.methods else "transfer"
            raise ValueError(f"{given}: without target_arch nothing is transferred")
        return self

    @property
    def all_seeds(self) -> range:
        """The seeds that each cell is run with."""
        return range(self.seed, self.seed + self.seeds)
