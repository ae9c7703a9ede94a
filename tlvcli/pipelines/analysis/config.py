"""The settings of `tlv analyze-stats`: four questions, of which one command line asks one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from tlvcli.core.config import Config, WordList

Mode = Literal["shift", "similarity", "scores", "weights"]
At = Literal["pre", "post"]
Select = Literal["kernels", "layers"]

DEFAULT_STATISTIC = "lognormal-kl"


def _split_words(value: object) -> object:
    """Take `a,b` for two words, alone or in a list, as `--score leep,logme` and `--score leep --score logme`."""
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple):
        return value
    words = [entry.split(",") if isinstance(entry, str) else [entry] for entry in entries]
    return [word.strip() if isinstance(word, str) else word for part in words for word in part]


Words = Annotated[list[str], BeforeValidator(_split_words)]

# What means something for one or two of the questions only.
_BELONGS_TO: dict[str, tuple[Mode, ...]] = {
    "source": ("shift",),
    "target": ("shift",),
    "statistic": ("shift",),
    "at": ("shift", "similarity"),
    "select": ("shift",),
    "threshold": ("shift",),
    "fraction": ("shift",),
    "alpha": ("shift",),
    "splits": ("shift",),
    "mask": ("shift",),
    "max_shift": ("shift",),
    "against": ("similarity", "scores"),
    "against_arch": ("similarity", "scores"),
    "data": ("similarity", "scores"),
    "layers": ("shift", "similarity", "weights"),
    "skip_corrupt": ("shift", "similarity"),
    "plots": ("shift", "similarity"),
    "html": ("shift", "similarity"),
}
# What a user looks at, where the answer is one.
_DRAWN = {"html": "page", "plots": "pictures"}
_ASKED_BY: dict[Mode, str] = {
    "shift": "--source and --target",
    "similarity": "--against",
    "scores": "--score",
    "weights": "--weights",
}


class AnalyzeStatsConfig(Config):
    """Settings of `tlv analyze-stats`."""

    checkpoint: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    source: str | None = Field(
        None, description="shift: images like those it was trained on; folder, NAME:ROOT, digits"
    )
    target: str | None = Field(None, description="shift: the images at hand; labels are not needed")
    against: WordList = Field(
        default_factory=list, description="similarity: the other checkpoint; scores: more checkpoints to rank"
    )
    data: str | None = Field(None, description="similarity and scores: the images; scores need labels")
    score: Words = Field(default_factory=list, description="scores: logme, leep, nce, hscore, transrate")
    weights: bool = Field(False, description="describe the weights alone; needs no data and no architecture")
    statistic: Words = Field(
        default_factory=lambda: [DEFAULT_STATISTIC],
        min_length=1,
        description="distances between two sets of activations; the first decides what is shifted",
    )
    layers: WordList = Field(
        default_factory=list,
        description="globs of layer names; default: convolutions, with linear layers if there is at most one; no head",
    )
    at: At = Field(
        "post", description="pre: a layer's own output; post: after the normalisation and activation behind it"
    )
    select: Select = Field("kernels", description="whether kernels or whole layers are found general or specific")
    threshold: float | None = Field(
        None, ge=0, description="shifted above this distance; seed-kl: where its window, up to 1, begins"
    )
    fraction: float | None = Field(None, ge=0, le=1, description="this share is shifted, that of the largest distances")
    alpha: float | None = Field(None, gt=0, lt=1, description="false-discovery rate at which a shift is believed")
    splits: int = Field(100, ge=20, description="random halvings of the source that tell what no shift looks like")
    mask: str | None = Field(None, description="safetensors file that freezes the general kernels in tlv train --mask")
    csv: str | None = Field(None, description="table with a row for each kernel (similarity: pair; scores: checkpoint)")
    plots: str | None = Field(None, description="folder for pictures")
    html: str | None = Field(None, description="one page of HTML, which needs no network")
    max_shift: float | None = Field(None, ge=0, le=1, description="exit 1 if a larger share of the kernels is shifted")
    batch_size: int = Field(64, ge=1, description="images per forward pass; changes the speed only")
    image_size: int | None = Field(None, ge=8, description="input side in pixels; default: the checkpoint's")
    workers: int | None = Field(
        None, ge=0, description="processes that read images; default: by data and cores, up to 8"
    )
    skip_corrupt: bool = Field(False, description="leave out images that cannot be read, and name them")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    arch: str | None = Field(None, description="architecture of a checkpoint that does not name its own")
    against_arch: str | None = Field(None, description="the same for those of against")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    seed: int = Field(0, ge=0, description="draws the halvings, and which images stand for a large set")
    data_seed: int = Field(0, ge=0, description="draws the sample of @SPLIT:N")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")

    @property
    def mode(self) -> Mode:
        """The question that is asked; --score wins over --against, which may only add checkpoints to it."""
        if self.weights:
            return "weights"
        if self.score:
            return "scores"
        return "similarity" if self.against else "shift"

    @model_validator(mode="after")
    def _ask_one_question(self) -> AnalyzeStatsConfig:
        mode = self.mode
        if self.weights and self.score:
            raise ValueError("weights and score are two questions: leave one of them out")
        if mode == "shift" and not (self.source and self.target):
            missing = "target" if self.source else "source" if self.target else None
            if missing:
                raise ValueError(f"{missing} is missing: a shift is between --source and --target")
            raise ValueError("nothing to analyse: give --source and --target, --against, --score or --weights")
        if mode == "similarity" and len(self.against) > 1:
            raise ValueError("against: a similarity is between two checkpoints; --score ranks more")
        if mode in ("similarity", "scores") and not self.data:
            raise ValueError(f"data is missing: {_ASKED_BY[mode]} runs the networks on --data")
        return self

    @model_validator(mode="after")
    def _refuse_idle(self) -> AnalyzeStatsConfig:
        for name, modes in _BELONGS_TO.items():
            default = AnalyzeStatsConfig.model_fields[name].get_default(call_default_factory=True)
            if self.mode not in modes and getattr(self, name) != default:
                belongs, asked = " or ".join(_ASKED_BY[mode] for mode in modes), _ASKED_BY[self.mode]
                if name in _DRAWN:
                    instead = "csv and the report hold all that it finds"
                    raise ValueError(f"{asked} draws no {_DRAWN[name]}: {name} belongs to {belongs}; {instead}")
                raise ValueError(f"{name} belongs to {belongs}, and means nothing with {asked}")
        rules = [name for name in ("threshold", "fraction", "alpha") if getattr(self, name) is not None]
        if len(rules) > 1:
            raise ValueError(f"{' and '.join(rules)} are two rules for what is shifted: give one of them")
        if self.threshold is not None and self.threshold >= 1 and self.statistic[0] == "seed-kl":
            raise ValueError("threshold: seed-kl's window ends at 1, so it begins below")
        return self
