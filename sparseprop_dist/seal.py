"""Files that must be what they were: flushed to the disk, and sealed by their size and digest.

Owns the form of a manifest (name of a file in a folder: size and BLAKE2b) and the sentences about files that do not fit it. Knows nothing
of what is in them.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sparseprop_dist.errors import InputError

Manifest = dict[str, list[Any]]
"""Relative names, with "/", of files: size in bytes and digest."""
BLOCK = 1 << 20
DIGEST_BYTES = 16


def digest(data: bytes) -> str:
    """Return the digest of bytes."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def canonical(value: Any) -> bytes:
    """Return JSON values as bytes that depend on the values alone."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def flush(path: Path) -> None:
    """Have a file or folder on the disk before this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def seal(folder: Path, names: Iterable[str]) -> Manifest:
    """Flush these files of ``folder``, and the folders that they are in, to the disk; return their manifest."""
    made = {name: _measured(folder / name, flush_it=True) for name in names}
    for place in {(folder / name).parent for name in made}:
        flush(place)
    return made


def files_in(folder: Path) -> list[str]:
    """Return the relative names of all files below ``folder``, and flush the folders."""
    names = []
    for place, _, files in os.walk(folder):
        names += [(Path(place) / file).relative_to(folder).as_posix() for file in files]
        flush(Path(place))
    return sorted(names)


def write_whole(path: Path, text: bytes, *, flushed: bool = True) -> None:
    """Write a file so that ``path`` holds the old or the new text whatever happens, power cuts included if it is ``flushed``."""
    aside = path.with_name(path.name + ".part")
    with open(aside, "wb") as file:
        file.write(text)
        file.flush()
        if flushed:
            os.fsync(file.fileno())
    os.replace(aside, path)
    if flushed:
        flush(path.parent)


def verify(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare files with their manifest.

    Raises
    ------
    InputError
        that names the first file that is missing, cut or changed, that is no plain file, or whose name leads out of the folder.
    """
    for name, sealed in manifest.items():
        path = folder / name
        if name.startswith("/") or ".." in name.split("/") or os.path.realpath(path) != os.path.join(os.path.realpath(folder), name):
            raise InputError(f'the file "{name}" leads out of "{folder}"')
        try:
            found = _measured(path, flush_it=False, size=sealed[0])
        except FileNotFoundError:
            raise InputError(f'the file "{path}" is missing') from None
        except (OSError, TypeError, IndexError, KeyError) as error:
            raise InputError(f'the file "{path}" cannot be compared with its seal ({error})') from None
        if found != list(sealed):
            raise InputError(f'the file "{path}" is damaged (it is not what was written)')


def sealed_record(record: Mapping[str, Any]) -> bytes:
    """Return JSON values with a digest of themselves, as the text of a file."""
    return json.dumps({**record, "seal": digest(canonical(record))}, indent=1, allow_nan=False).encode() + b"\n"


def read_sealed_record(path: Path, limit: int = 1 << 28) -> dict[str, Any]:
    """Return what `sealed_record` made; an InputError if the file is missing or changed."""
    try:
        if os.lstat(path).st_size > limit or not stat.S_ISREG(os.lstat(path).st_mode):
            raise ValueError("no plain file of a size that this program writes")
        record = json.loads(path.read_bytes())
        sealed = record.pop("seal")
    except FileNotFoundError:
        raise InputError(f'the file "{path}" is missing') from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f'the file "{path}" is damaged ({error})') from None
    if sealed != digest(canonical(record)):
        raise InputError(f'the file "{path}" is damaged (it is not what was written)')
    return dict(record)


def _measured(path: Path, *, flush_it: bool, size: int | None = None) -> list[Any]:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb", buffering=0) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError("it is no plain file")
        if flush_it:
            os.fsync(file.fileno())
        found = hashlib.blake2b(digest_size=DIGEST_BYTES)
        if size is None or size == state.st_size:
            while block := file.read(BLOCK):
                found.update(block)
        return [state.st_size, found.hexdigest()]
