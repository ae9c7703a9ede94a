"""Names of files as text: Linux allows bytes in them that are no UTF-8, reports and pages do not."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

# What Python makes of such bytes, and JSON of half a character.
_SURROGATE = re.compile("[\ud800-\udfff]")


def as_text(name: str) -> str:
    """Return a name, or a sentence with one in it, with U+FFFD for whatever in it is no character."""
    return _SURROGATE.sub("\ufffd", name)


# A field of a report in which a file is named, to be read and not to be opened.
NamedText = Annotated[str, AfterValidator(as_text)]
