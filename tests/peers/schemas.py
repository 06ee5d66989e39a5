# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON documents of vmcorectl against their schemas (docs/schema)."""

import functools
import json
import re
from pathlib import Path

try:
    import jsonschema
except ImportError:
    jsonschema = None

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema"
# Named by a document that has its schema in the file of another.
FILES = {"fix": "check"}


@functools.cache
def validator(name: str):
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def name_of(document) -> str:
    """The file that has the schema of a document: it says so itself."""
    if isinstance(document, list):  # of findings; there may be none
        return "check"
    said = re.fullmatch(r"vmcorectl-([a-z]+)/1", str(document.get("schema")))
    if not said:
        raise LookupError(f"the document names no schema: {json.dumps(document)[:300]}")
    return FILES.get(said[1], said[1])


def check(document) -> None:
    """Raises where the document is not as its schema says."""
    if isinstance(document, list) and any(name_of(entry) != "check" for entry in document):
        for entry in document:  # dump --all-crashed
            check(entry)
        return
    name = name_of(document)
    if jsonschema:
        validator(name).validate(document)
