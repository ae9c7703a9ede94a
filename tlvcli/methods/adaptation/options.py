"""The choices of calibration; importable without torch."""

from __future__ import annotations

from pydantic import Field, model_validator

from tlvcli.core.config import Config


class CalibrateOptions(Config):
    """What `--calibrate` does; both unless told otherwise."""

    unit_variance: bool = Field(True, description="scale weights until what they put out has variance 1")
    batch_statistics: bool = Field(True, description="re-estimate the running statistics of batch normalisation")

    @model_validator(mode="after")
    def _do_something(self) -> CalibrateOptions:
        if not (self.unit_variance or self.batch_statistics):
            raise ValueError("unit_variance and batch_statistics are both off: nothing is left to calibrate")
        return self
