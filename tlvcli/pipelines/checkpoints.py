"""A checkpoint as the commands see it: opened from a file or the hub, loaded into a module."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal

from tlvcli.core.errors import TlvError, printable
from tlvcli.core.provenance import Ancestor, Architecture, Preprocessing
from tlvcli.core.report import InputInfo
from tlvcli.core.tensors import TensorsInMemory, TensorSource
from tlvcli.io.checkpoint import Checkpoint, hash_checkpoint, open_checkpoint
from tlvcli.models.names import is_classifier, refuse_unknown, user_file
from tlvcli.pipelines.mismatch import refuse_boast, refuse_mismatch
from tlvcli.pipelines.trust import is_trusted, not_trusted, note_named

if TYPE_CHECKING:
    from torch import nn

RANDOM = "random"


@dataclass(frozen=True)
class OpenedCheckpoint:
    """Tensors, and what is known of the network they belong to; its hash is computed while others work.

    `stated` is the architecture that the user, the file or the tensors say it is.
    """

    tensors: TensorSource
    stated: Architecture | None
    class_names: tuple[str, ...] | None
    preprocessing: Preprocessing | None
    warnings: tuple[str, ...]
    reference: str
    role: str
    file: Checkpoint | None
    sha256: Future[str] | None

    @property
    def architecture(self) -> Architecture | None:
        """The architecture to build.

        Raises:
            TlvError: `architecture-untrusted` where that would run a file that the user has not named.
        """
        if self.stated is not None and not is_trusted(self.stated.name):
            raise not_trusted(self.reference, self.stated.name)
        return self.stated

    @property
    def info(self) -> InputInfo:
        """The report's entry for this input; waits for the hash."""
        file = self.file
        return InputInfo(
            role=self.role,
            path=str(file.path) if file else self.reference,
            sha256=self.sha256.result() if self.sha256 else None,
            format=file.format if file else "random initialisation",
            key=file.key if file else None,
            tensors=len(self.tensors.specs),
            parameters=sum(spec.num_elements for spec in self.tensors.specs),
            order=file.order if file else "architecture",
        )

    @property
    def recommended_rates(self) -> dict[str, float] | None:
        """The rates that the checkpoint recommends for its layers, where whoever wrote it said so."""
        provenance = self.file.provenance if self.file else None
        return provenance.recommended_rates if provenance else None

    @property
    def files(self) -> tuple[Path, ...]:
        """What was opened, which no output may replace."""
        return self.file.files if self.file else ()

    @property
    def ancestor(self) -> Ancestor | None:
        """What a checkpoint made from this one says of it, or None for a random start."""
        if self.file is None or self.sha256 is None:
            return None
        provenance = self.file.provenance
        return Ancestor(
            name=printable(self.file.path.name),
            sha256=self.sha256.result(),
            made_by=provenance.made_by if provenance else None,
        )


def open_reference(
    reference: str,
    *,
    role: str,
    key: str | None,
    arch: str | None,
    offline: bool,
    seed: int,
    ema: bool = False,
    is_named: bool = True,
) -> OpenedCheckpoint:
    """Open a checkpoint file, hub weights (`ARCH@WEIGHTS`) or a random start (`ARCH@random`).

    With `ema`, of a file the moving average of the weights. `is_named` says that `reference` and `arch` are the user's
    words, who thus lets a Python file among them run.

    Raises:
        TlvError: whatever is wrong with the file, the name or the network.
    """
    named = named_weights(reference)
    for word in (arch, named[0] if named else None):
        if word is not None and is_named:
            note_named(word)
        elif word is not None and not is_trusted(word):
            raise not_trusted(reference, word)
        if word is not None:
            refuse_unknown(word)
    if named is None:
        refuse_bare_architecture(reference)
        return _open_file(Path(reference), reference, role=role, key=key, arch=arch, ema=ema)
    name, weights = named
    if weights == RANDOM:
        return _open_random(name, reference, role=role, seed=seed)
    from tlvcli.models.hub import fetch_hub_weights

    hub = fetch_hub_weights(name, weights, offline=offline)
    opened = _open_file(hub.path, reference, role=role, key=key, arch=arch or name, ema=ema)
    return replace(opened, class_names=hub.class_names, preprocessing=hub.preprocessing)


def named_weights(reference: str) -> tuple[str, str] | None:
    """Return architecture and weights of `ARCH@WEIGHTS`, None where `reference` is a file."""
    name, at, weights = reference.rpartition("@")
    return None if not at or Path(reference).exists() or "/" in weights else (name, weights)


def refuse_bare_architecture(reference: str) -> None:
    """Raise `checkpoint-missing` for an architecture's name where a checkpoint is asked for."""
    if not Path(reference).exists() and is_classifier(reference):
        raise TlvError(
            "checkpoint-missing",
            f"{reference} is an architecture, not a checkpoint",
            f"write {reference}@DEFAULT for its pretrained weights, {reference}@{RANDOM} for none",
        )


def _open_file(
    path: Path, reference: str, *, role: str, key: str | None, arch: str | None, ema: bool
) -> OpenedCheckpoint:
    file = open_checkpoint(path, key=key, ema=ema)
    warnings = []
    if file.alternatives:
        took = file.key or "the top level"
        warnings.append(f"{path.name} also holds {', '.join(file.alternatives)}; took {took} (--key names another)")
    provenance = file.provenance
    architecture = provenance.architecture if provenance else None
    if arch is not None and (architecture is None or architecture.name != arch):
        from tlvcli.models.recognition.architecture import fit_arguments

        architecture = fit_arguments(arch, file.specs)
    elif architecture is None:
        file, architecture = recognise_file(file)
    else:
        refuse_boast(reference, architecture, file.specs)
    return OpenedCheckpoint(
        tensors=file,
        stated=architecture,
        class_names=provenance.class_names if provenance else None,
        preprocessing=provenance.preprocessing if provenance else None,
        warnings=tuple(warnings),
        reference=reference,
        role=role,
        file=file,
        sha256=_hash_in_background(file),
    )


def recognise_file(file: Checkpoint) -> tuple[Checkpoint, Architecture | None]:
    """Return the architecture that the tensors fit exactly, and the file in that architecture's own order.

    So a .pt and a .safetensors of one model agree.
    """
    from tlvcli.models.recognition.architecture import recognise

    recognised = recognise(file.specs)
    if recognised is None:
        return file, None
    if tuple(spec.name for spec in file.specs) != recognised.tensor_order:
        file = file.reordered(recognised.tensor_order, f"architecture {recognised.architecture.name}")
    return file, recognised.architecture


def _hash_in_background(file: Checkpoint) -> Future[str]:
    """Start hashing; hashlib releases the interpreter lock, so it costs no time while the plan is made.

    A file that is written to or replaced meanwhile has no hash: it would not be that of the tensors.
    """
    future: Future[str] = Future()
    before = _identities(file)

    def work() -> None:
        try:
            sha256 = hash_checkpoint(file)
            if _identities(file) != before:
                raise TlvError(
                    "checkpoint-changed", f"{file.path} was changed while it was read", "run again when it is complete"
                )
            future.set_result(sha256)
        except BaseException as error:
            future.set_exception(error)

    # A daemon, not a pool: after an error or an interrupt nobody waits for the rest of a large file.
    Thread(target=work, name="sha256", daemon=True).start()
    return future


def _identities(file: Checkpoint) -> list[tuple[int, int, int]]:
    """Return what changes when one of the files is replaced or written to."""
    known = [path.stat() for path in file.files]
    return [(status.st_ino, status.st_size, status.st_mtime_ns) for status in known]


def _open_random(name: str, reference: str, *, role: str, seed: int) -> OpenedCheckpoint:
    from tlvcli.models.builders import build, default_num_classes

    architecture = Architecture(name=name, num_classes=default_num_classes(name))
    return OpenedCheckpoint(
        tensors=TensorsInMemory(build(architecture, seed=seed).state_dict()),
        stated=architecture,
        class_names=None,
        preprocessing=None,
        warnings=(),
        reference=reference,
        role=role,
        file=None,
        sha256=None,
    )


def load_module(
    opened: OpenedCheckpoint, *, num_classes: int | None, seed: int, head: Literal["linear"] | None = None
) -> tuple[nn.Module, Architecture, tuple[str, ...]]:
    """Build the checkpoint's architecture in float32 on the CPU and load the tensors strictly.

    With `num_classes` other than the checkpoint's, a fresh head replaces the old one; with `head`, one of that form
    replaces the whole classifier.

    Returns:
        The module, its architecture, and messages about what was replaced.

    Raises:
        TlvError: `architecture-needed` or `checkpoint-mismatch`.
    """
    from tlvcli.models.builders import build, build_skeleton
    from tlvcli.models.head import differing_tensors
    from tlvcli.models.load_state import load_state

    old = opened.architecture
    if old is None:
        raise TlvError(
            "architecture-needed",
            f"{opened.reference} does not say which architecture it is",
            "--arch NAME names it, as in --arch resnet18 or --arch net.py:make",
        )
    changes = {"num_classes": num_classes, "head": head}
    new = old.model_copy(update={key: value for key, value in changes.items() if value is not None})
    if opened.file is None:  # a random start has no head to replace: it is built as wide as it is needed
        return build(new, seed=seed), new, ()
    replaced = differing_tensors(old, new) if new != old else frozenset()
    if user_file(old.name) is None:  # whose code may ask for values, which a skeleton has not
        refuse_mismatch(opened, build_skeleton(new), old, replaced)  # before a file's word costs memory
    module = build(new, seed=seed)
    refuse_mismatch(opened, module, old, replaced)
    kept = [spec.name for spec in opened.tensors.specs if spec.name not in replaced]
    load_state(module, {name: opened.tensors.read(name) for name in kept})
    messages = tuple(
        f"head {layer}: {old.num_classes} -> {new.num_classes} classes, freshly initialised"
        for layer in sorted({name.rpartition(".")[0] for name in replaced.intersection(module.state_dict())})
    )
    return module, new, messages
