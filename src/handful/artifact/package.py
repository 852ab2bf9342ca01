"""What is in a package: one file with an image and a release, kept anywhere, and started without handful?"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from handful.artifact.docker import docker
from handful.artifact.image import layers_of
from handful.artifact.script import run_package
from handful.errors import CommandFailed, UsageError
from handful.machine.local import last_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from handful.plan.model import Release

FORMAT = 1
CHUNK = 1024**2
READ_ME = """\
A package of handful: {app} of {stack}, release {release}.

bash run_app.bash      starts it on a machine that has Docker; LISTEN=ADDRESS:PORT says where (127.0.0.1 unless told).
handful deploy --package FILE    deploys it.

release/ has what runs (env, files, settings), image.tar.gz the image, checksums their SHA-256. It holds no secrets.
"""


@dataclass(frozen=True)
class Package:
    """An opened package: what package.json tells, and the files of its release by their path in it."""

    folder: Path
    told: Mapping[str, Any]
    files: Mapping[str, bytes]

    def load_image(self) -> None:
        """Have the engine here hold its image. Raises UsageError when that is another than was packed."""
        name = self.told["image"]
        if _has(name, self.told["layers"]):
            return
        with gzip.open(self.folder / "image.tar.gz") as image:
            _feed(["docker", "load", "--quiet"], image)
        if not _has(name, self.told["layers"]):
            raise UsageError(f"the image in this package is not {name}", advice="Make the package again.")


def write_package(path: Path, release: Release, files: Mapping[str, bytes], more: Mapping[str, Any]) -> int:
    """Write a package to `path`, whole or not at all; return its size in bytes.

    `files` are the release's, without secrets; `more` stands in package.json besides.
    """
    image = str(release.settings["image"])
    told = {
        "format": FORMAT, "stack": release.settings["stack"], "app": release.app, "release": release.id,
        "image": image, "layers": layers_of(image), "manifest": release.manifest, **more,
    }
    texts = {
        "README": READ_ME.format(**told).encode(),
        "package.json": json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n",
        "run_app.bash": run_package(release, _secrets(told)).encode(),
        **{f"release/{name}": content for name, content in files.items()},
    }
    with TemporaryDirectory(prefix="handful-", dir=path.parent) as folder:
        packed, whole = Path(folder) / "image.tar.gz", Path(folder) / "package"
        _save(image, packed)
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}
        sums["image.tar.gz"] = _sum(packed)
        texts["checksums"] = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())).encode()
        _write(whole, f"{told['stack']}-{told['app']}-{told['release']}", texts, packed)
        whole.replace(path)
    return path.stat().st_size


def _write(whole: Path, top: str, texts: Mapping[str, bytes], packed: Path) -> None:
    with tarfile.open(whole, "w") as tar:
        for name, content in texts.items():
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
        tar.add(packed, f"{top}/image.tar.gz")


@contextmanager
def opened(path: Path) -> Iterator[Package]:
    """Unpack and check a package. Raises UsageError: no package, one of a newer handful, or one that was changed."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}", advice="Make one with: handful package APP -o FILE")
    with TemporaryDirectory(prefix="handful-") as folder:
        try:
            _unpack(path, Path(folder))
            (inner,) = Path(folder).iterdir()
            lines = (inner / "checksums").read_text(encoding="utf-8").splitlines()
            sums = {name: value for value, _, name in (line.partition("  ") for line in lines)}
            told = json.loads((inner / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, tarfile.TarError) as wrong:
            message = f"{path} is no package that handful has made: {wrong}"
            raise UsageError(message, advice="Make one with: handful package APP -o FILE") from wrong
        _check(path, inner, sums, told)
        release = inner / "release"
        names = (each for each in release.rglob("*") if each.is_file())
        yield Package(inner, told, {each.relative_to(release).as_posix(): each.read_bytes() for each in names})


def _unpack(path: Path, folder: Path) -> None:
    """Only files, and nothing beside the folder: a package may come from anybody."""
    with tarfile.open(path) as tar:
        for member in tar:
            target = (folder / member.name).resolve()
            source = tar.extractfile(member)
            if source is None or not target.is_relative_to(folder.resolve()):
                raise ValueError(f"{member.name} does not belong into one")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK)


def _check(path: Path, inner: Path, sums: Mapping[str, str], told: Mapping[str, Any]) -> None:
    if told.get("format") != FORMAT:
        raise UsageError(f"{path} is a package of a newer handful", advice="Update handful on this computer.")
    found = {each.relative_to(inner).as_posix() for each in inner.rglob("*") if each.is_file()} - {"checksums"}
    for name in sorted(found | sums.keys()):
        if name not in found or _sum(inner / name) != sums.get(name):
            message = f"{name} in {path} is not as the package was made: its checksum is wrong"
            raise UsageError(message, advice="Copy the package again. Nothing was changed.")


def _secrets(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files of secrets that a release with these uses has, by their path below `secrets/`."""
    from handful.plan.release import file_name

    uses = told.get("given", ())
    variables = ("env",) if any(use["env"] for use in uses) else ()
    return (*variables, *(f"files/{file_name(use['file'])}" for use in uses if use["file"]))


def _has(name: str, layers: list[str]) -> bool:
    said = docker("image", "inspect", "--format", "{{range .RootFS.Layers}}{{println .}}{{end}}", name, check=False)
    return said.status == 0 and said.out.split() == layers


def _save(image: str, path: Path) -> None:
    with path.open("wb") as target, gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as packed:
        line = ["docker", "save", image]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            if process.stdout is not None:
                shutil.copyfileobj(process.stdout, packed, CHUNK)
            said = process.stderr.read().decode(errors="replace") if process.stderr is not None else ""
    if process.returncode != 0:
        raise CommandFailed(f"docker save {image} failed", status=process.returncode, detail=last_lines(said))


def _feed(line: list[str], source: IO[bytes] | gzip.GzipFile) -> None:
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        if process.stdin is not None:
            # It may end before it has read all; then its words tell why.
            with suppress(BrokenPipeError), process.stdin:
                shutil.copyfileobj(source, process.stdin, CHUNK)
        said = process.stderr.read().decode(errors="replace") if process.stderr is not None else ""
    if process.returncode != 0:
        raise CommandFailed(f"{' '.join(line[:2])} failed", status=process.returncode, detail=last_lines(said))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
