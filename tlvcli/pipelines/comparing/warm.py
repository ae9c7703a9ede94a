"""Imports what every cell needs; loaded once, into the process that the cells are forked from."""

from __future__ import annotations

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import torch.utils.flop_counter  # noqa: F401
import torchvision.transforms.v2  # noqa: F401

import tlvcli.pipelines.comparing.cell_run
import tlvcli.pipelines.comparing.jobs
import tlvcli.pipelines.eval
import tlvcli.pipelines.train
import tlvcli.pipelines.transfer  # noqa: F401
