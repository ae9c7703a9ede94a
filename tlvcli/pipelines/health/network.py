"""Findings about the network, which is left alone unless the user asks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tlvcli.pipelines.health.result import Finding

# Where torchvision's weights lie.
WEIGHTS_URL = "https://download.pytorch.org/models/"
_SECONDS = 10
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def find_network(*, online: bool, url: str = WEIGHTS_URL) -> Iterator[Finding]:
    """Yield whether the server that has the published weights answers; without `online` it is not asked."""
    if not online:
        found = "not tried; --online asks the server that has the weights of ARCH@WEIGHTS"
        yield Finding(area="network", name="weights", status="info", found=found)
        return
    started = time.perf_counter()
    try:
        with urlopen(Request(url, method="HEAD"), timeout=_SECONDS):
            pass
    except HTTPError:
        pass  # it answers, if only that it lists no folders
    # URLError and timeouts are OSErrors.
    except (OSError, ValueError) as error:
        proxy = next((name for name in _PROXIES if os.environ.get(name)), None)
        way = f"by way of the proxy in {proxy}" if proxy else "and no proxy is set (https_proxy)"
        yield Finding(
            area="network",
            name="weights",
            status="warning",
            found=f"{url} does not answer: {getattr(error, 'reason', error)}",
            hint=f"asked {way}; files work without: copy weights here, and name them as CHECKPOINT",
        )
        return
    found = f"{url} answers after {time.perf_counter() - started:.1f} s"
    yield Finding(area="network", name="weights", status="ok", found=found)
