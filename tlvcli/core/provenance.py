"""What a checkpoint of ours says of itself: architecture, classes, preprocessing, and what it was made from."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Noun(BaseModel):
    # Unknown keys of a later version are dropped, not refused: an old tlv still reads a new file.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Architecture(_Noun):
    """A builder with its arguments: enough to construct the module that the tensors fit.

    With `head` "linear", one linear layer has taken the place of the builder's whole classifier.
    """

    name: str
    num_classes: int
    in_chans: int = 3
    head: Literal["linear"] | None = None


class Preprocessing(_Noun):
    """How an image becomes the network's input: resize the short side, crop the centre, normalise.

    `resize_size` and `image_size` are pixels; `mean` and `std` are per channel on a scale of 0 to 1.
    """

    image_size: int
    resize_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    channels: int = 3


class Ancestor(_Noun):
    """One file that a checkpoint was made from: its name without folders, sha256, and its own history."""

    name: str
    sha256: str
    made_by: MadeBy | None = None


class MadeBy(_Noun):
    """The command that wrote a checkpoint, and the files it read."""

    command: str
    method: str
    tlv_version: str
    made_from: tuple[Ancestor, ...] = ()


class Provenance(_Noun):
    """The metadata that every checkpoint written by tlv carries under the key `tlv`.

    `architecture` is None where tlv converted tensors that it could not recognise. `recommended_rates` are multiples
    of the learning rate for layers by name or pattern, the last that fits; 0 is frozen.
    """

    architecture: Architecture | None = None
    made_by: MadeBy
    class_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    tensor_order: tuple[str, ...] = ()
    recommended_rates: dict[str, float] | None = None


Ancestor.model_rebuild()
