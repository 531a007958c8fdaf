"""The JSON files of a SONATA configuration: one file, or a circuit and a simulation file named by a third.

Owns the manifest (variables ``$NAME`` or ``${NAME}`` in any text) and that a relative path starts from the folder of the file it stands
in. Knows nothing of what the sections mean.
"""

import json
import re
from pathlib import Path
from typing import Any

from sparseprop_dist.errors import InputError, nearest

VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Return the object in a JSON file; `what` it is to be is how an error calls it."""
    if path.is_dir():
        raise InputError(f'the {what} "{path}" is a directory; name a JSON file')
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f'there is no {what} "{path}"; mend the path, or put the file there') from None
    except json.JSONDecodeError as error:
        raise InputError(f'the {what} "{path}" is no valid JSON: {error.msg} in line {error.lineno}, column {error.colno}') from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'the {what} "{path}" cannot be read ({error})') from error
    if not isinstance(content, dict):
        raise InputError(f'the {what} "{path}" holds a {type(content).__name__}; it must hold an object {{...}}')
    return content


class Settings:
    """The sections of a configuration, each with the file that it stands in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sections: dict[str, tuple[Any, Path]] = {}
        self._collect(path, "SONATA configuration", ())

    def section(self, name: str) -> dict[str, Any]:
        """Return a section that is an object, an empty one if there is none."""
        value, file = self._sections.get(name, ({}, self.path))
        if not isinstance(value, dict):
            raise InputError(f'"{name}" in "{file}" is {json.dumps(value)[:60]}; it must be an object {{...}}')
        return value

    def named_file(self, name: str) -> Path | None:
        """Return the path that the section, a text, means; None if there is none."""
        return self.locate(name, self._sections[name][0], name) if name in self._sections else None

    def file(self, name: str) -> Path:
        """Return the file that a section stands in."""
        return self._sections.get(name, (None, self.path))[1]

    def locate(self, name: str, value: Any, key: str) -> Path:
        """Return the path that `value`, found under `key` in section `name`, means."""
        if not isinstance(value, str) or not value:
            raise InputError(f'"{key}" in "{name}" of "{self.file(name)}" is {json.dumps(value)}; it must be a path')
        return self.file(name).parent / value

    def _collect(self, path: Path, what: str, above: tuple[Path, ...]) -> None:
        """Take the sections of one file, then those of the files that it names; the first to name a section has it."""
        if path.resolve() in above:
            raise InputError(f'the configuration "{path}" names itself; "network" must name a circuit file, "simulation" a simulation file')
        content = read_json(path, what)
        content = _substituted(content, _manifest(content.get("manifest", {}), path), path)
        parts = {key: content.pop(key) for key in ("simulation", "network") if isinstance(content.get(key), str)}
        for key, value in content.items():
            self._sections.setdefault(key, (value, path))
        for key, value in parts.items():
            self._collect(path.parent / value, f"{key} file", (*above, path.resolve()))


def _manifest(given: Any, path: Path) -> dict[str, str]:
    """Return the value of each variable, variables in it replaced."""
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise InputError(f'"manifest" in "{path}" must be an object of texts, such as {{"$BASE_DIR": "."}}')
    values = {key.strip("${}"): value for key, value in given.items()}
    # each pass resolves one level at least, so that what is left after as many passes as there are variables is a circle
    for _ in values:
        values = {key: _substituted(value, values, path) for key, value in values.items()}
    for key, value in values.items():
        if VARIABLE.search(value):
            raise InputError(f'the variable ${key} in the manifest of "{path}" is defined by itself')
    return values


def _substituted(value: Any, variables: dict[str, str], path: Path) -> Any:
    """Return `value` with the variables in all its texts replaced."""
    if isinstance(value, dict):
        return {key: entry if key == "manifest" else _substituted(entry, variables, path) for key, entry in value.items()}
    if isinstance(value, list):
        return [_substituted(entry, variables, path) for entry in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            hint = nearest(name, variables) or "; define it in the manifest"
            raise InputError(f'"{value}" in "{path}" uses the variable ${name}, which its manifest lacks{hint}')
        return variables[name]

    return VARIABLE.sub(replace, value)
