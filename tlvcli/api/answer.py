"""What a verb gives back: its report, drawn as a short table, and the checkpoint that it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from tlvcli.api.table import report_rows, to_html, to_text
from tlvcli.core.errors import TlvError
from tlvcli.core.report import Report, ResultT

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, repr=False)
class Answer(Generic[ResultT]):
    """A verb's report; `result` is the part of it that differs from verb to verb."""

    report: Report[ResultT]

    @property
    def result(self) -> ResultT:
        """What the verb found or did."""
        return self.report.result

    @property
    def passed(self) -> bool:
        """Whether every gate that was set is met; the command line would exit with 1 otherwise."""
        return all(gate.met for gate in self.report.gates)

    @property
    def checkpoint(self) -> Path | None:
        """The safetensors file or index that the verb wrote; of a training the best epoch, of a comparison the best."""
        return next((Path(output.path) for output in self.report.outputs if output.role == "checkpoint"), None)

    def state_dict(self) -> dict[str, Tensor]:
        """Read the tensors that the verb wrote, in the order of the module, on the CPU.

        Raises:
            TlvError: `no-checkpoint`.
        """
        from tlvcli.io.checkpoint import open_checkpoint

        file = open_checkpoint(self._written())
        return {spec.name: file.read(spec.name) for spec in file.specs}

    def load(self) -> nn.Module:
        """Build the network that the verb wrote, in eval mode on the CPU.

        Raises:
            TlvError: `no-checkpoint`, or whatever `tlvcli.load` raises.
        """
        from tlvcli.api.verbs import load

        return load(self._written())

    def _written(self) -> Path:
        if self.checkpoint is None:
            what = self.report.schema_id.partition("/")[0].replace(".", " ")
            raise TlvError("no-checkpoint", f"{what} wrote no checkpoint", "name an output, and leave dry_run out")
        return self.checkpoint

    def __repr__(self) -> str:
        return to_text(report_rows(self.report))

    def _repr_html_(self) -> str:
        return to_html(report_rows(self.report))
