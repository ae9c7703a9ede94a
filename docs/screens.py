"""Pictures of what commands show in a real terminal: each runs in a pseudo-terminal of a given width.

`python docs/screens.py` writes `docs/screens/NAME-COLUMNS.svg`; the checkpoints are made on the way, of random weights.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent / "screens"
LINES = 50
SCREENS = {
    "inspect": ["inspect", "training.pt"],
    "inspect-stats": ["inspect", "tuned.safetensors", "--layers", "layer1", "--stats"],
    "inspect-against": ["inspect", "tuned.safetensors", "--against", "start.safetensors", "--depth", "1"],
    "inspect-summary": ["inspect", "tuned.safetensors", "--summary", "--depth", "2"],
}


def main() -> None:
    """Draw every screen at 80 and at 160 columns."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoints(Path(folder))
        for name, arguments in SCREENS.items():
            for columns in (80, 160):
                shown = run_in_terminal([sys.executable, "-m", "tlvcli", *arguments], columns, Path(folder))
                draw(shown, f"$ tlv {' '.join(arguments)}", columns, FOLDER / f"{name}-{columns}.svg")


def make_checkpoints(folder: Path) -> None:
    """Write a training checkpoint, a start, and the start after a step that moved some of its layers."""
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    start = torchvision.models.resnet18(num_classes=10).state_dict()
    state = {0: {"momentum_buffer": torch.zeros(10, 512)}}
    optimizer = {"state": state, "param_groups": [{"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "params": [0]}]}
    torch.save({"model": start, "optimizer": optimizer, "epoch": 42, "best_top1": 0.913}, folder / "training.pt")
    save_file(start, folder / "start.safetensors")
    tuned = {name: tensor.clone() for name, tensor in start.items()}
    for name, tensor in tuned.items():
        if name.startswith(("layer4", "fc")) and tensor.is_floating_point():
            tensor += 0.1 * tensor.std() * torch.randn_like(tensor) if tensor.std() > 0 else 0.01
    tuned["layer1.0.conv1.weight"][[3, 17]] = 0
    save_file(tuned, folder / "tuned.safetensors")


def run_in_terminal(command: list[str], columns: int, folder: Path) -> str:
    """Return what `command` writes to a terminal of `columns` columns, escape codes included."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(TERM="xterm-256color", COLUMNS=str(columns), PYTHONPATH=str(FOLDER.parents[1]))
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    written = bytearray()
    try:
        while chunk := os.read(terminal, 1 << 16):
            written += chunk
    except OSError:  # how Linux says that the other end has closed
        pass
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, written.decode()
    return written.decode().replace("\r\n", "\n")


def draw(shown: str, title: str, columns: int, path: Path) -> None:
    """Draw the last lines of a screen."""
    lines = [title, *shown.rstrip("\n").split("\n")]
    kept = lines if len(lines) <= LINES else [title, "...", *lines[-LINES:]]
    console = Console(record=True, width=columns, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(kept)), soft_wrap=True)
    picture = console.export_svg(title="tlv", unique_id=path.stem)
    # The reader's own monospace font: the one that rich names would come from the network.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL).replace("Fira Code, ", ""))


if __name__ == "__main__":
    main()
