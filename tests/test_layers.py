"""The layout of the package (DESIGN, section 8) as data: who may import what, who may print, and what `import sparseprop_dist` costs.

A new module must be added to `ROWS`, where it belongs; the tests say so.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sparseprop_dist

PACKAGE = Path(sparseprop_dist.__file__).parent

ROWS: list[tuple[int, str]] = [
    # (layer, modules): a module imports only from rows above its own. "name.*": all modules of a subpackage, which may import each other.
    (0, "errors warning"),
    (0, "jit by_address"),
    (0, "elementary quantile clock queue"),
    (0, "random exact_sum gaps"),
    (1, "meeting"),
    (1, "pools distributions state"),
    (1, "models.parameters"),
    (1, "rules"),
    (1, "inputs synapses recordings"),
    (1, "description"),
    (1, "drawing laws matching"),
    (1, "connectivity"),
    (1, "models models.protocol models.scan"),
    (1, "models.row"),
    (1, "models.lif_record models.qif_record models.mixed models.lif_psc_exp_flow"),
    (1, "models.adjoint"),
    (1, "models.replay"),
    (1, "models.lif_adjoint models.lif_psc_exp_inputs models.qif_course"),
    (1, "models.lif_course models.lif_psc_exp_adjoint"),
    (1, "models.lif_rows models.lif_slab models.qif_rows models.current models.lif_psc_exp_record"),
    (1, "models.lif_curve models.lif_psc_exp_rows models.lif_psc_exp_slab"),
    (1, "models.lif_current models.lif_psc_exp_search"),
    (1, "models.lif_current_slab models.lif_psc_exp_current"),
    (1, "models.lif"),
    (1, "models.intfire1 models.lif_psc_exp models.qif"),
    (1, "models.flow_cells models.flow_text"),
    (1, "models.flow_shape"),
    (1, "models.flow_sides"),
    (1, "models.flow_table"),
    (1, "models.flow_record"),
    (1, "models.flow_event"),
    (1, "models.flow_course"),
    (1, "models.flow"),
    (1, "models.eif"),
    (2, "examples partition record"),
    (3, "build.*"),
    (3, "engine.*"),
    (3, "backward tape"),
    (3, "plan"),
    (4, "exchange fingerprint seal warm"),
    (4, "interruption"),
    (4, "configuration"),
    (4, "run_directory sonata.* toml_text"),
    (4, "config heartbeat store"),
    (4, "checkpoint network_file result tables"),
    (4, "sampling"),
    (4, "recorder"),
    (4, "output"),
    (5, "export preparation progress spike_statistics"),
    (5, "analysis"),
    (5, "summary window"),
    (5, "snapshot"),
    (5, "simulate"),
    (5, "at_spikes"),
    (5, "sweep"),
    (5, "gradient_values losses optimisers frames replay"),
    (5, "resume gradients"),
    (6, "replicas tasks"),
    (6, "batch flat torch"),
    (6, "train"),
    (6, "training_file"),
    (6, "options report"),
    (7, "cli"),
    (7, "__main__"),
]

ONLY_IMPORTERS: dict[str, str] = {
    # library: the modules that may import it
    "numba": "jit by_address",
    "llvmlite": "jit by_address",
    "mpi4py": "exchange",
    "zarr": "checkpoint store tables",
    "h5py": "sonata.*",
    "pydantic": "config",
    "tomllib": "config",
    "dask": "result spike_statistics store tables",
    "matplotlib": "analysis",
    "dask_jobqueue": "spike_statistics",
    "torch": "torch",
    "tqdm": "progress",
    "typer": "cli options",
}

NOT_FOR: list[tuple[str, str, str]] = [
    # (modules, what they must not import, why)
    ("engine.*", "models.lif description", "the schedules know no model and no description"),
    ("description", "models.lif", "a new model must not need an edit there"),
]

OUTSIDE: dict[str, str] = {
    # use of the world outside: the modules that may
    "print": "cli",
    "sys.argv": "cli",
    "sys.stdout": "cli exchange",  # exchange: an abort lets out what was said before
    "sys.stderr": "cli exchange",
    "os.environ": "cli heartbeat jit report",  # heartbeat: the number of the Slurm job; jit: where the user's cache folder is
    "os.getenv": "",
}

HEAVY = {"mpi4py", "h5py", "dask", "zarr", "pydantic", "matplotlib", "numba", "numpy", "typer"}
LONGEST_MODULE = 350


def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name inside it ("" for the package itself)."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text("utf-8"))
    return found


MODULES = modules()


def matches(module: str, names: str) -> bool:
    """Whether ``module`` is one of the space-separated ``names``."""
    return any(module == name or (name.endswith(".*") and (module + ".").startswith(name[:-1])) for name in names.split())


def row(module: str) -> int | None:
    return next((number for number, (_, names) in enumerate(ROWS) if matches(module, names)), None)


def entry(module: str) -> str:
    """The name in `ROWS` that stands for ``module``."""
    return next(name for _, names in ROWS for name in names.split() if matches(module, name))


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Absolute dotted names of everything that a module imports anywhere, inside functions and for type checkers too."""
    is_package = name == "" or any(other.startswith(name + ".") for other in MODULES)
    package = [part for part in ("sparseprop_dist." + name).split(".") if part]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + (1 if is_package else 0) - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def own_imports(name: str) -> Iterator[str]:
    """The modules of this package that a module imports, by their names inside it."""
    for imported in imports(name, MODULES[name]):
        parts = imported.split(".")
        if parts[0] != "sparseprop_dist":
            continue
        inside = ".".join(parts[1:])
        if inside not in MODULES:  # an object of a module
            inside = ".".join(parts[1:-1])
        yield inside


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_module_is_listed_and_imports_only_from_rows_above(name):
    mine = row(name)
    assert mine is not None, f"{name} is new: add it to ROWS in {__file__}"
    for imported in own_imports(name):
        if imported == "":
            continue  # the package itself: its version
        if entry(imported) == entry(name) and entry(name).endswith(".*"):
            continue
        theirs = row(imported)
        assert theirs is not None
        assert theirs < mine, f"{name} (row {mine}) must not import {imported} (row {theirs})"


def test_table_is_in_order_and_names_only_what_exists():
    layers = [layer for layer, _ in ROWS]
    assert layers == sorted(layers)
    for _, names in ROWS:
        for name in names.split():
            assert any(matches(module, name) for module in MODULES), f"{name} does not exist: remove it from ROWS"


def test_package_itself_imports_modules_for_type_checkers_only():
    assert {node.module for node in MODULES[""].body if isinstance(node, ast.ImportFrom)} <= {"importlib", "types", "typing"}


@pytest.mark.parametrize("library", ONLY_IMPORTERS)
def test_only_importers(library):
    for name, tree in MODULES.items():
        used = any(imported.split(".")[0] == library for imported in imports(name, tree))
        assert not used or matches(name, ONLY_IMPORTERS[library]), f"{name} imports {library}; only {ONLY_IMPORTERS[library]} may"


@pytest.mark.parametrize(("who", "what", "why"), NOT_FOR)
def test_further_rules(who, what, why):
    for name in MODULES:
        if matches(name, who):
            assert not [imported for imported in own_imports(name) if matches(imported, what)], f"{name}: {why}"


@pytest.mark.parametrize("use", OUTSIDE)
def test_world_outside(use):
    for name, tree in MODULES.items():
        found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) == use]
        assert not found or matches(name, OUTSIDE[use]), f"{name} uses {use} in line {found[0]}"


def test_no_star_imports():
    assert not [name for name, tree in MODULES.items() if any(imported.endswith(".*") for imported in imports(name, tree))]


@pytest.mark.parametrize("name", MODULES)
def test_module_has_a_docstring_and_fits(name):
    path = PACKAGE.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert ast.get_docstring(MODULES[name])
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_MODULE


def test_import_is_light(solo, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nbefore = set(sys.modules)\nimport sparseprop_dist\nprint(*(set(sys.modules) - before))\n")
    added = {name.split(".")[0] for name in solo([script]).stdout.split()}
    assert "sparseprop_dist" in added
    assert not added & HEAVY


def test_public_names():
    """Every public name resolves, has one home, and is known to type checkers."""
    home = {name: module for module, names in sparseprop_dist._HOME.items() for name in names}
    assert sorted(home) == sorted(sparseprop_dist.__all__)
    checked = next(node for node in MODULES[""].body if isinstance(node, ast.If))
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert home.pop(alias.name) == (node.module or "").removeprefix("sparseprop_dist.")
    assert not home
    for name in sparseprop_dist.__all__:
        assert getattr(sparseprop_dist, name) is not None
        assert name in dir(sparseprop_dist)
    with pytest.raises(AttributeError, match="no attribute 'Nowhere'"):
        sparseprop_dist.Nowhere  # noqa: B018


def test_function_is_not_hidden_by_its_module():
    """``sparseprop_dist.simulate`` is the function, although there is a module of that name, in whatever order they are imported."""
    from sparseprop_dist.plan import size
    from sparseprop_dist.preparation import LONGEST

    assert LONGEST
    assert callable(size)
    for name in ("plan", "simulate"):
        assert f"sparseprop_dist.{name}" in sys.modules
        assert callable(getattr(sparseprop_dist, name))
