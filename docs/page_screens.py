"""Pictures of the pages that `--html` writes, taken in headless Chromium.

`python docs/page_screens.py analyze-stats CHECKPOINT --source SOURCE --target TARGET` writes
`docs/images/analyze-stats.png`; what is there shows torchvision's SqueezeNet 1.1 of ImageNet on the hymenoptera images
and on CIFAR-10's test images. It ends above the part that shows kernels at work: the images of a data set are not ours
to publish. So `eval CHECKPOINT --data DATA --worst 0` is taken without the worst images.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent / "images"
# By command the window in pixels, which cuts its page off.
WINDOWS = {"analyze-stats": (1240, 2080), "eval": (1240, 2270)}
WIDTH, COLOURS = 820, 256


def main(command: str, *arguments: str) -> None:
    """Write the page, look at it, and keep a smaller picture of it."""
    with tempfile.TemporaryDirectory() as folder:
        page, screen = Path(folder) / "page.html", Path(folder) / "screen.png"
        words = [command, *arguments, "--html", str(page), "--quiet"]
        subprocess.run([sys.executable, "-m", "tlvcli", *words], check=True)
        take(page, screen, WINDOWS[command], profile=Path(folder) / "profile")
        image = Image.open(screen).convert("RGB")
        height = round(image.height * WIDTH / image.width)
        FOLDER.mkdir(exist_ok=True)
        small = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
        small.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE).save(FOLDER / f"{command}.png", optimize=True)


def take(page: Path, screen: Path, window: tuple[int, int], *, profile: Path) -> None:
    """Write what Chromium shows of a page in a light window."""
    width, height = window
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--blink-settings=preferredColorScheme=1", f"--user-data-dir={profile}"]
    flags += [f"--window-size={width},{height}", f"--screenshot={screen}"]
    subprocess.run(["chromium", *flags, page.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
