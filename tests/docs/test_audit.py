# SPDX-License-Identifier: Apache-2.0
"""What is told of the static parts: the SPDX document beside the library, third_party/README.md, and make audit, here with a
cargo that knows two newer versions of one of them."""
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, List

from tests.harness import Build, expect

ROOT = Path(__file__).resolve().parents[2]
AUDIT = ROOT / "scripts" / "audit"

# Of aws-lc-sys 0.998.0 and 0.999.0, one for each question; of all others nothing.
CARGO = """\
#!/bin/sh
manifest=$3
wanted=$(sed -n 's/^aws-lc-sys = .* version = "\\([^"]*\\)".*/\\1/p' "$manifest")
case $wanted in
*'<0.999.0'*) version=0.998.0 ;;
*'<'*) version= ;;
*) version=0.999.0 ;;
esac
if [ -z "$wanted" ] || [ -z "$version" ]; then
	echo 'error: failed to select a version for the requirement'
	exit 101
fi
printf '[[package]]\\nname = "aws-lc-sys"\\nversion = "%s"\\n' "$version" > "${manifest%.toml}.lock"
"""


def parts() -> List[List[str]]:
    lines = (ROOT / "third_party" / "parts").read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def test_the_spdx_document(build: Build) -> None:
    document = json.loads((build.directory / "k8slb.spdx.json").read_text())
    lock = (ROOT / "third_party" / "Cargo.lock").read_text()
    expect(document["spdxVersion"], "SPDX-2.3")
    packages: Dict[str, Dict[str, object]] = {one["name"]: one for one in document["packages"]}
    expect(sorted(packages), sorted(["libk8slb.so", *(name for name, *_ in parts())]))
    for name, version, crate, licence, *_ in parts():
        checksum = re.search(rf'name = "{crate}"\n.*\n.*\nchecksum = "(\w+)"', lock)
        assert checksum, crate
        package = packages[name]
        expect((package["versionInfo"], package["licenseDeclared"]), (version, licence))
        expect(package["checksums"], [{"algorithm": "SHA256", "checksumValue": checksum[1]}])
    linked = {one["relatedSpdxElement"] for one in document["relationships"] if one["relationshipType"] == "STATIC_LINK"}
    expect(linked, {f"SPDXRef-{name}" for name, *_ in parts()})


def test_the_readme_names_these_versions() -> None:
    readme = (ROOT / "third_party" / "README.md").read_text()
    for name, version, crate, *_ in parts():
        assert re.search(rf"^\| {name} \| {re.escape(version)} \|.*`{crate}`", readme, re.MULTILINE), (name, version, crate)


def audit(path: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(AUDIT)], env={**os.environ, "PATH": path}, capture_output=True, text=True)


def test_what_was_published_since(tmp_path: Path) -> None:
    cargo = tmp_path / "cargo"
    cargo.write_text(CARGO)
    cargo.chmod(0o755)

    result = audit(f"{tmp_path}:{os.environ['PATH']}")

    expect((result.returncode, result.stderr), (1, ""), result)
    since = dict(zip((crate for _name, _version, crate, *_ in parts()), re.findall(r"since +(.*)", result.stdout)))
    expect(since, {**dict.fromkeys(since, "nothing"), "aws-lc-sys": "0.998.0, 0.999.0"}, result)
    expect(len(since), len(parts()), result)


def test_a_registry_that_cannot_be_asked_is_no_good_news(tmp_path: Path) -> None:
    cargo = tmp_path / "cargo"
    cargo.write_text("#!/bin/sh\necho 'error: network failure'\nexit 101\n")
    cargo.chmod(0o755)

    result = audit(f"{tmp_path}:{os.environ['PATH']}")

    expect((result.returncode, "network failure" in result.stderr), (1, True), result)
