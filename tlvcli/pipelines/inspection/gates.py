"""Conditions that `tlv inspect` can be given: what each asks of its section."""

from __future__ import annotations

from tlvcli.core.report import Gate
from tlvcli.pipelines.inspection.difference import DifferenceSection
from tlvcli.pipelines.inspection.statistics import StatisticsSection
from tlvcli.pipelines.inspection.verification import VerificationSection


def finite_gate(statistics: StatisticsSection) -> Gate:
    """Return the gate of --fail-on nan."""
    broken = len(statistics.non_finite)
    message = f"{broken} tensors hold NaN or Inf" if broken else "every value is finite"
    return Gate(flag="--fail-on nan", met=not broken, message=message)


def identity_gate(difference: DifferenceSection) -> Gate:
    """Return the gate of --exit-code."""
    message = "the checkpoints are identical" if difference.identical else "the checkpoints differ"
    return Gate(flag="--exit-code", met=difference.identical, message=message)


def history_gate(verification: VerificationSection) -> Gate:
    """Return the gate that --verify is."""
    changed = [ancestor.name for ancestor in verification.ancestors if ancestor.status == "changed"]
    changed += [report.path for report in verification.reports if report.status == "changed"]
    message = f"changed: {', '.join(changed)}" if changed else "nothing has changed"
    return Gate(flag="--verify", met=verification.holds, message=message)
