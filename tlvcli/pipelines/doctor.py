"""Whether an installation can do its work: versions, packages, devices, machine, folders, terminal, network."""

from __future__ import annotations

from pydantic import Field

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.report import Report
from tlvcli.core.runtime import Stopwatch
from tlvcli.pipelines.health.devices import find_devices
from tlvcli.pipelines.health.folders import find_folders
from tlvcli.pipelines.health.machine import find_machine
from tlvcli.pipelines.health.network import find_network
from tlvcli.pipelines.health.packages import find_extras, find_packages
from tlvcli.pipelines.health.probing import probe
from tlvcli.pipelines.health.program import find_program
from tlvcli.pipelines.health.requirements import read_requirements
from tlvcli.pipelines.health.result import DoctorResult
from tlvcli.pipelines.health.terminal import find_terminal

SCHEMA = "tlv.doctor/1"


class DoctorConfig(Config):
    """Settings of `tlv doctor`."""

    online: bool = Field(False, description="try whether published weights could be fetched")
    timeout: float = Field(120.0, gt=0, description="seconds that all packages together may take to be imported")


def run(config: DoctorConfig) -> Report[DoctorResult]:
    """Look at everything; nothing that is broken keeps the rest from being looked at.

    Packages are imported in a process of their own, so that one that crashes is a finding.
    """
    watch = Stopwatch()
    requirements = read_requirements()
    probed = probe(requirements, timeout=config.timeout)
    findings = [
        *find_program(),
        *find_packages(requirements, probed),
        *find_extras(requirements, probed),
        *find_devices(probed),
        *find_machine(),
        *find_folders(),
        *find_terminal(),
        *find_network(online=config.online),
    ]
    return Report[DoctorResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=[],
        config=config.model_dump(),
        result=DoctorResult(
            errors=sum(finding.status == "error" for finding in findings),
            warnings=sum(finding.status == "warning" for finding in findings),
            findings=findings,
        ),
        outputs=[],
        warnings=[],
    )
