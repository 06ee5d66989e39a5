#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the software bill of materials of the package `host` or `guest`, as SPDX 2.3 in JSON.

    sbom.py VERSION host|guest docs/third-party-notices.md OUTPUT

The notices' table says which library is in which program; dpkg, where there is one, says which version was there when the
program was linked. The same inputs give the same bytes; the time is $SOURCE_DATE_EPOCH, else that of the notices."""

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

# The names of the table: their licence in SPDX's words, and Debian's package.
LIBRARIES = {
    "libsodium": ("ISC", "libsodium-dev"),
    "libseccomp": ("LGPL-2.1-only", "libseccomp-dev"),
    "zstd": ("BSD-3-Clause OR GPL-2.0-only", "libzstd-dev"),
    "libdeflate": ("MIT", "libdeflate-dev"),
    "LZO (lzo2)": ("GPL-2.0-or-later", "liblzo2-dev"),
    "Snappy": ("BSD-3-Clause", "libsnappy-dev"),
    "XZ Utils (liblzma)": ("LicenseRef-public-domain", "liblzma-dev"),
    "elfutils (libelf)": ("LGPL-3.0-or-later OR GPL-2.0-or-later", "libelf-dev"),
    "zlib, which libelf uses": ("Zlib", "zlib1g-dev"),
    "nlohmann/json": ("MIT", "nlohmann-json3-dev"),
    "{fmt}": ("MIT", "libfmt-dev"),
    "tl::expected": ("CC0-1.0", "libexpected-dev"),
    "CLI11": ("BSD-3-Clause", "libcli11-dev"),
    "toml++": ("MIT", "libtomlplusplus-dev"),
    "glibc": ("LGPL-2.1-or-later", "libc6-dev"),
    "libstdc++, libgcc": ("GPL-3.0-or-later WITH GCC-exception-3.1", "libstdc++-12-dev"),
}
# What the host's programs load when they start, by the same file's first lines.
LOADED = {
    "libvirt": ("LGPL-2.1-or-later", "libvirt-dev"),
    "pugixml": ("MIT", "libpugixml-dev"),
    "libarchive": ("BSD-2-Clause", "libarchive-dev"),
    "libcurl": ("curl", "libcurl4-gnutls-dev"),
    "elfutils (libdw, libelf, libdebuginfod)": ("LGPL-3.0-or-later OR GPL-2.0-or-later", "libdw-dev"),
    "libsystemd": ("LGPL-2.1-or-later", "libsystemd-dev"),
}
PUBLIC_DOMAIN = {"licenseId": "LicenseRef-public-domain", "name": "public domain",
                 "extractedText": "liblzma is in the public domain (COPYING of XZ Utils)."}


def uses(notices: str, component: str) -> dict:
    """How each library of the table is in the component's programs: "static", "header", "shared"."""
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in notices.splitlines() if row.startswith("|")][2:]
    if {row[0] for row in rows} != LIBRARIES.keys():
        sys.exit(f"sbom.py and the table of notices differ: {sorted({row[0] for row in rows} ^ LIBRARIES.keys())}")
    found = {}
    for name, _, command, worker, guest in rows:
        how = f"{command} {worker}" if component == "host" else guest
        if how.strip():
            found[name] = "static" if "static" in how else "header" if "header" in how else "shared"
    return found


def source_of(package: str) -> tuple:
    """Debian's source package and its version; nothing where dpkg does not know it."""
    try:
        done = subprocess.run(["dpkg-query", "-W", "-f", "${source:Package} ${source:Version}\n", package],
                              capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return tuple(done.stdout.splitlines()[0].split()) if done.returncode == 0 and done.stdout else None


def described(identifier: str, name: str, licence: str, package: str) -> dict:
    source = source_of(package)
    entry = {"SPDXID": identifier, "name": name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
             "licenseConcluded": licence, "licenseDeclared": licence, "copyrightText": "NOASSERTION"}
    if source:
        entry["versionInfo"] = source[1]
        entry["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": f"pkg:deb/debian/{source[0]}@{source[1]}?arch=source"}]
    return entry


def bill(version: str, component: str, notices: str, time: int) -> dict:
    name = "vmcorectl" if component == "host" else "vmcore-guest"
    packages = [{"SPDXID": "SPDXRef-package", "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
                 "filesAnalyzed": False, "licenseConcluded": "GPL-2.0-or-later", "licenseDeclared": "GPL-2.0-or-later",
                 "copyrightText": "The vmcorectl authors", "supplier": "Organization: The vmcorectl authors"}]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-package")]
    contained = [(library, how, *LIBRARIES[library]) for library, how in uses(notices, component).items()]
    loaded = [(library, "shared", *facts) for library, facts in LOADED.items()] if component == "host" else []
    for library, how, licence, package in contained + loaded:
        identifier = "SPDXRef-" + re.sub(r"[^A-Za-z0-9]+", "-", library).strip("-")
        packages.append(described(identifier, library, licence, package))
        relations.append(("SPDXRef-package", "DYNAMIC_LINK" if how == "shared" else "STATIC_LINK", identifier))
    created = datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{name}-{version}",
            "documentNamespace": f"urn:vmcorectl:sbom:{name}:{version}:{time}",
            "creationInfo": {"created": created, "creators": ["Tool: sbom.py of vmcorectl", "Organization: The vmcorectl authors"]},
            "packages": packages, "hasExtractedLicensingInfos": [PUBLIC_DOMAIN] if "LicenseRef" in str(packages) else [],
            "relationships": [{"spdxElementId": of, "relationshipType": kind, "relatedSpdxElement": to} for of, kind, to in relations]}


def main() -> None:
    version, component, notices, output = sys.argv[1:]
    time = int(os.environ.get("SOURCE_DATE_EPOCH") or Path(notices).stat().st_mtime)
    Path(output).write_text(json.dumps(bill(version, component, Path(notices).read_text(), time), indent=1) + "\n")


main()
