"""What can be wrong with a comparison, found before its first cell runs."""

from __future__ import annotations

from dataclasses import dataclass

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import InputInfo
from tlvcli.data.datasets import open_evaluation_data, open_training_data, splits_of
from tlvcli.data.fingerprint import fingerprint
from tlvcli.data.reference import DataReference, parse_data_reference
from tlvcli.methods.finetuning.table import find_strategy
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import find_method
from tlvcli.models.names import refuse_unknown
from tlvcli.pipelines.checkpoints import open_reference
from tlvcli.pipelines.comparing.cells import CellSettings
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.disk import BYTES_PER_WEIGHT
from tlvcli.pipelines.comparing.grid import Cell
from tlvcli.pipelines.comparing.grid_keys import refuse_unfree
from tlvcli.pipelines.comparing.starts import parse_start
from tlvcli.pipelines.first_look import look_at_checkpoint, look_at_images, look_at_training_data
from tlvcli.pipelines.image_input import describe_data, may_download
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.resolve import resolve
from tlvcli.pipelines.transferring.config import TransferConfig, config_keys


@dataclass(frozen=True)
class ComparedData:
    """What is trained and tested on; `test` is the DATA argument of the tests, None where there is no test split."""

    num_classes: int
    test: str | None
    inputs: tuple[InputInfo, ...]
    fingerprints: dict[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ComparedSources:
    """The sources as they were found, and the bytes of the network that each cell trains."""

    inputs: tuple[InputInfo, ...]
    network_bytes: int


def refuse_words(config: CompareConfig) -> None:
    """Raise where a method or strategy is unknown, or a setting of all cells is one that `compare` makes itself."""
    for method in config.methods or ():
        parse_start(method)
    for strategy in config.strategies:
        find_strategy(strategy)
    refuse_unfree(config.train, "train")
    refuse_unfree(config.transfer, "transfer")


def look_first(config: CompareConfig) -> None:
    """Raise at once what shows of sources, target and data without torch."""
    look_at_training_data(config.data, download=config.download)
    if config.test_data:
        look_at_images(config.test_data, download=config.download)
    for source in config.source:
        look_at_checkpoint(source, config.source_arch)
    if config.target_arch:
        refuse_unknown(config.target_arch)


def refuse_settings(settings: dict[Cell, CellSettings]) -> None:
    """Raise what `tlv transfer` and `tlv train` would say of the settings of any cell.

    Raises:
        TlvError: `config-invalid`, naming the cell, or whatever is wrong with method, strategy or recipe.
    """
    for cell, given in settings.items():
        _refuse(cell, given)


def _refuse(cell: Cell, given: CellSettings) -> None:
    try:
        config = parse_config(TrainConfig, given.train, prefix="train.")
        resolve(config, find_strategy(config.strategy))
        if given.transfer is not None:
            known = [f"transfer.{key}" for key in config_keys()]
            transfer = parse_config(TransferConfig, given.transfer, prefix="transfer.", also_known=known)
            make_recipe(find_method(transfer.method), transfer.matching, transfer.mapping)
    except TlvError as error:
        raise TlvError(error.error_id, f"{cell.name}: {error.message}", error.hint) from error


def look_at_data(config: CompareConfig) -> ComparedData:
    """Open what is trained and tested on.

    Raises:
        TlvError: whatever is wrong with the data, or `classes-mismatch` where both have different classes.
    """
    download = may_download(download=config.download, offline=config.offline)
    reference = parse_data_reference(config.data)
    data = open_training_data(reference, data_seed=config.data_seed, download=download)
    inputs = [describe_data(data.train, config.data), describe_data(data.val, config.data)]
    prints = {"the training images": fingerprint(data.train), "the val images": fingerprint(data.val)}
    warnings = [*data.train.warnings, *data.val.warnings]
    test = config.test_data or _test_split(reference)
    if test is None:
        warnings.append(f"{config.data} has no test split: what val chose is tested on nothing; --test-data names some")
    else:
        tested = open_evaluation_data(parse_data_reference(test), data_seed=config.data_seed, download=download)
        if not set(tested.class_names) <= set(data.train.class_names):
            unknown = sorted(set(tested.class_names) - set(data.train.class_names))
            raise TlvError(
                "classes-mismatch",
                f"{test} has classes that {config.data} has not: {', '.join(unknown[:5])}",
                "test on images of the classes that are trained",
            )
        inputs.append(describe_data(tested, test))
        prints["the test images"] = fingerprint(tested)
        warnings += tested.warnings
    return ComparedData(len(data.train.class_names), test, tuple(inputs), prints, tuple(dict.fromkeys(warnings)))


def _test_split(reference: DataReference) -> str | None:
    if "test" not in splits_of(reference):
        return None
    data = reference.text if reference.split is None else reference.text.rpartition("@")[0]
    return f"{data}@test"


def look_at_sources(config: CompareConfig, num_classes: int) -> ComparedSources:
    """Open every source, which fetches hub weights, and build the target without its weights.

    Raises:
        TlvError: whatever is wrong with a source or the target.
    """
    key = config.train.get("key") if config.target_arch is None else config.transfer.get("key")
    opened = [
        open_reference(
            source,
            role="source",
            key=key,
            arch=config.source_arch,
            offline=config.offline,
            seed=config.seed,
        )
        for source in config.source
    ]
    for source in opened:
        if config.target_arch is None and source.architecture is None:
            raise TlvError(
                "architecture-needed",
                f"{source.reference} does not say which architecture it is",
                "--source-arch NAME names it, as in --source-arch resnet18 or --source-arch net.py:make",
            )
    inputs = tuple(source.info for source in opened)
    if config.target_arch is not None:
        from tlvcli.models.builders import build_skeleton

        skeleton = build_skeleton(
            Architecture(
                name=config.target_arch,
                num_classes=config.transfer.get("num_classes", num_classes),
                in_chans=config.transfer.get("in_chans", 3),
            )
        )
        num_weights = sum(tensor.numel() for tensor in skeleton.state_dict().values())
    else:
        num_weights = max(given.parameters or 0 for given in inputs)
    return ComparedSources(inputs, BYTES_PER_WEIGHT * num_weights)
