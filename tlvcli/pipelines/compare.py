"""Which source, which method, which strategy for my data: a grid of transfers and trainings, chosen on val, tested."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.processes import find_processes
from tlvcli.core.report import OutputInfo, Report, RunInfo
from tlvcli.core.runtime import Stopwatch, choose_device
from tlvcli.data.reference import parse_data_reference
from tlvcli.io.hashing import hash_file
from tlvcli.io.pages import write_page
from tlvcli.io.reports import write_report
from tlvcli.pipelines.comparing.cells import CellSettings, cell_settings
from tlvcli.pipelines.comparing.checks import (
    ComparedData,
    ComparedSources,
    look_at_data,
    look_at_sources,
    look_first,
    refuse_settings,
    refuse_words,
)
from tlvcli.pipelines.comparing.commands import cell_commands
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.disk import estimate_disk, guess_network_bytes, refuse_full_disk
from tlvcli.pipelines.comparing.folder import CompareFolder
from tlvcli.pipelines.comparing.grid import Cell, Grid, make_grid
from tlvcli.pipelines.comparing.grid_record import make_record, read_grid, refuse_other_grid, write_grid
from tlvcli.pipelines.comparing.jobs import warm_up
from tlvcli.pipelines.comparing.machine import Machine, choose_machine
from tlvcli.pipelines.comparing.news import Failure, Unwatched, Watcher
from tlvcli.pipelines.comparing.page import write_comparison_page
from tlvcli.pipelines.comparing.plots import draw_comparison
from tlvcli.pipelines.comparing.records import NOTHING, Record
from tlvcli.pipelines.comparing.result import CellResult, CompareResult
from tlvcli.pipelines.comparing.running import Outcome, run_cells
from tlvcli.pipelines.comparing.summary import summarise
from tlvcli.pipelines.comparing.table import make_table, notes

SCHEMA = "tlv.compare/1"
# What takes long to import, and reads these data alone.
_READERS = {"digits": ("sklearn.datasets",)}


def run(config: CompareConfig, *, watcher: Watcher | None = None) -> Report[CompareResult]:
    """Run what is left of the grid, and leave table, curves, page and report beside the cells.

    A dry run reports the cells as commands, and writes nothing.

    Raises:
        TlvError: `processes-unsupported` under torchrun; whatever is wrong with the grid, its sources, data or folder,
            before a cell runs; `interrupted` or `terminated` by a signal. What goes wrong within a cell is in the
            report.
    """
    watch = Stopwatch()
    if find_processes().several:
        raise TlvError(
            "processes-unsupported",
            "tlv compare starts processes of its own, one for each cell",
            "leave torchrun out; --jobs says how many cells run at once",
        )
    refuse_words(config)
    look_first(config)
    grid, folder = make_grid(config), CompareFolder(Path(config.out))

    def settings_of(num_classes: int, test_data: str | None) -> dict[Cell, CellSettings]:
        known = partial(cell_settings, config, num_classes=num_classes, test_data=test_data)
        return {cell: known(cell, folder.cell(cell)) for cell in grid.cells}

    refuse_settings(settings_of(1, None))  # which are the same for any data, and these take torch
    if not config.dry_run:
        folder.refuse_other(force=config.force)
        # Again below, when the network is known: torch alone takes seconds to import.
        refuse_full_disk(config, grid, folder, guess_network_bytes(config), jobs=1)
        if not folder.report_path.is_file():  # beside one, there may be nothing left to do
            warm_up(*_READERS.get(parse_data_reference(config.data).kind, ()))
    data = look_at_data(config)
    sources = look_at_sources(config, data.num_classes)
    settings = settings_of(data.num_classes, data.test)
    machine = choose_machine(config.jobs, config.device, num_cells=len(settings), network_bytes=sources.network_bytes)
    disk = estimate_disk(grid, sources.network_bytes, jobs=machine.jobs, keep=config.keep)
    warnings = list(data.warnings)
    if config.seeds == 1:
        warnings.append("one seed shows no spread: differences are not tested; --seeds 3 or more")
    if config.dry_run:
        outcome = Outcome(dict.fromkeys(grid.cells, NOTHING), {})
    else:
        refuse_full_disk(config, grid, folder, sources.network_bytes, jobs=machine.jobs)
        with folder.held():
            _begin_or_go_on(config, folder, data, sources)
            outcome = run_cells(grid, settings, folder, machine, keep=config.keep, watcher=watcher or Unwatched())
    result = _result(config, grid, settings, folder, machine, data, disk, outcome)
    return _finish(config, folder, result, data, sources, warnings, watch.run_info(choose_device(config.device)))


def _begin_or_go_on(config: CompareConfig, folder: CompareFolder, data: ComparedData, sources: ComparedSources) -> None:
    files = {f"source {given.path}": given.sha256 or given.format for given in sources.inputs}
    record = make_record(config, {**files, **data.fingerprints})
    then = None if config.force else read_grid(folder)
    if then is None:
        folder.begin()
    else:
        refuse_other_grid(folder, then, record)
    write_grid(folder, record)


def _result(
    config: CompareConfig,
    grid: Grid,
    settings: Mapping[Cell, CellSettings],
    folder: CompareFolder,
    machine: Machine,
    data: ComparedData,
    disk_bytes: int,
    outcome: Outcome,
) -> CompareResult:
    records, failures = outcome.records, outcome.failures
    is_tested = any(record.test_top1 is not None for record in records.values())
    compared_by: Literal["test", "val"] = "test" if data.test and (is_tested or config.dry_run) else "val"
    summary = summarise(grid, records, has_test=compared_by == "test")
    winner = summary.winner
    return CompareResult(
        target_arch=config.target_arch,
        test_data=data.test,
        num_cells=len(grid.cells),
        num_trained=sum(record.trained is not None for record in records.values()),
        num_failed=len(failures),
        jobs=machine.jobs,
        threads=machine.threads,
        disk_bytes=disk_bytes,
        baseline=grid.baseline.name,
        baseline_final=summary.baseline_final,
        compared_by=compared_by,
        winner=winner.variant.name if winner else None,
        winner_checkpoint=str(folder.cell(winner).best_path) if winner and records[winner].has_checkpoint else None,
        variants=summary.variants,
        cells=[_cell(cell, records[cell], failures.get(cell), settings[cell], folder) for cell in grid.cells],
    )


def _cell(
    cell: Cell, record: Record, failure: Failure | None, settings: CellSettings, folder: CompareFolder
) -> CellResult:
    trained, place = record.trained, folder.cell(cell)
    return CellResult(
        name=cell.name,
        variant=cell.variant.name,
        settings=dict(cell.point.settings),
        seed=cell.seed,
        status="failed" if failure else "trained" if trained else "planned",
        error=f"{failure.error_id}: {failure.message}" if failure else None,
        val_top1=trained.val_top1 if trained else None,
        test_top1=record.test_top1 if trained else None,
        best_epoch=trained.best_epoch if trained else None,
        seconds=round(trained.seconds, 3) if trained else None,
        checkpoint=str(place.best_path) if record.has_checkpoint else None,
        commands=cell_commands(settings, place),
    )


def _finish(
    config: CompareConfig,
    folder: CompareFolder,
    result: CompareResult,
    data: ComparedData,
    sources: ComparedSources,
    warnings: list[str],
    ran: RunInfo,
) -> Report[CompareResult]:
    """Write what is made of all cells, and return the report."""
    inputs = [*sources.inputs, *data.inputs]
    outputs: list[OutputInfo] = []
    if not config.dry_run:
        text = "\n".join((make_table(result).to_markdown(), *notes(result), ""))
        outputs.append(write_page(folder.table_path, text, force=True).model_copy(update={"role": "table"}))
        if any(variant.curve for variant in result.variants):
            outputs.append(draw_comparison(result, folder.curves_path))
        outputs.append(
            write_comparison_page(config, result, folder.page_path, inputs=inputs, warnings=warnings, ran=ran)
        )
        if result.winner_checkpoint:
            path = Path(result.winner_checkpoint)
            outputs.append(OutputInfo(role="checkpoint", path=str(path), sha256=hash_file(path)))
    report = Report[CompareResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=ran,
        inputs=inputs,
        config=config.model_dump(),
        result=result,
        outputs=outputs,
        warnings=warnings,
    )
    if not config.dry_run:
        write_report(report, folder.report_path, force=True)
    return report
