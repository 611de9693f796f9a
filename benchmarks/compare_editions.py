"""Compare a finished run of the first edition with the same run of this one, bit for bit.

`python benchmarks/compare_editions.py RUN_OLD RUN_NEW`. All tables, stores and steering arrays of
the first run are read, renamed as below, and compared with those of the second: names, types,
order and every bit of every value. Prints a line for each, equal or with its first difference, and
exits with 1 if anything differs, is missing, or is new.
"""

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

Content = dict[str, np.ndarray]  # by column or array

# file or folder of the first edition, as a pattern of its path, and its path now
PATHS = {
    r"tables/evidence/(images|positions|untrained)/": r"tables/significance/null_matches/\1/",
    r"tables/evidence/held_(images|positions|untrained)/": r"tables/significance/null_corr/\1/",
    r"(null_matches|null_corr)/images/": r"\1/permute_images/",
    r"(null_matches|null_corr)/positions/": r"\1/roll_positions/",
    r"tables/evidence/chance\.parquet": "tables/significance/null_counts.parquet",
    r"tables/evidence/replication\.parquet": "tables/significance/split_half.parquet",
    r"tables/evidence/agreement\.parquet": "tables/significance/pair_statistics.parquet",
    r"tables/evidence/": "tables/significance/",
    r"tables/superiority\.parquet": "tables/vargha_delaney.parquet",
}
# columns of tables; a pattern of the path, as it is now, restricts a name to some tables
COLUMNS = {
    r"": {
        "excess": "corr_excess", "replication": "recovery_rate", "replicated": "recovered",
        "corr_low": "corr_ci_low", "corr_high": "corr_ci_high", "colocation": "peak_overlap",
        "left": "null_corr",
    },
    r"/(null_counts|split_half)\.": {
        "what": "level", "found": "n_observed", "by_chance": "n_null", "false": "fdr",
        "in_half": "n_half", "again": "recovery_rate",
    },
    r"/layers\.": {
        "share": "rosetta_share", "sparsity_rest": "sparsity_other",
        "selectivity_rest": "selectivity_other",
    },
    r"/vargha_delaney\.": {
        "rest": "other", "superiority": "vargha_delaney_a",
        "across_layers": "vargha_delaney_a_pooled",
    },
    r"/metrics\.": {"start": "restart"},
    r"^evaluations/.*/table\.": {"low": "ci_low", "high": "ci_high"},
}  # fmt: skip
# texts of columns, as patterns of the whole text
TEXTS = {
    "null": {"images": "permute_images", "positions": "roll_positions"},
    "metric": {
        r"(.*) of before and after": r"\1 between before and after",
        r"moved right \(pixels\)": "displacement to the right (pixels)",
        r"moved down \(pixels\)": "displacement downwards (pixels)",
        r"asked for, right \(pixels\)": "target displacement to the right (pixels)",
        r"asked for, down \(pixels\)": "target displacement downwards (pixels)",
        "agreement of the (moved|magnified) images": "agreement after registration",
        "magnified by": "magnification",
        "asked for": "target magnification",
        r"change of the chosen units \(share\)": "relative change of the selected units",
        r"change of the others \(share\)": "relative change of the other Rosetta neurons",
        r"activity of the chosen units (before|after) \(std\)": (
            r"activity of the selected units \1 (std)"
        ),
        "squared distance to the start": "mean squared distance to the starting latent",
    },
}
# arrays of stores
ARRAYS = {
    r"examples/concepts\.zarr": {"evidence": "score", "leading": "representative"},
}
SUFFIXES = (".parquet", ".npz")
ULPS = {"agreement": 4}  # columns computed by another library now: allowed units in the last place


def main() -> int:
    old, new = (Path(run) for run in sys.argv[1:])
    renamed = {_renamed(path, PATHS): path for path in _results(old)}
    present = set(_results(new))
    different = 0
    for path in sorted({*renamed, *present}):
        if path not in present:
            line = "missing"
        elif path not in renamed:
            line = "new"
        else:
            line = _difference(_rename_content(_read(old / renamed[path]), path), _read(new / path))
        different += line != ""
        print(f"{path}: {line or 'equal'}")
    print(f"{len({*renamed, *present}) - different} equal, {different} different")
    return int(different > 0)


def _results(run: Path) -> Iterator[str]:
    """Paths of the tables, stores and arrays of a run."""
    for path in run.rglob("*"):
        relative = path.relative_to(run).as_posix()
        inside_store = ".zarr/" in relative
        if path.suffix == ".zarr" or (path.suffix in SUFFIXES and not inside_store):
            yield relative


def _renamed(text: str, patterns: Mapping[str, str]) -> str:
    """Apply all replacements, one after the other."""
    for pattern, name in patterns.items():
        text = re.sub(pattern, name, text)
    return text


def _read(path: Path) -> Content:
    match path.suffix:
        case ".parquet":
            table = pd.read_parquet(path, dtype_backend="pyarrow")
            return {name: _column(table[name]) for name in table.columns}
        case ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        case ".zarr":
            with warnings.catch_warnings():  # the file index is not an array
                warnings.simplefilter("ignore")
                members = zarr.open_group(path, mode="r").members(max_depth=None)
            arrays = {name: array for name, array in members if isinstance(array, zarr.Array)}
            return {name: np.asarray(arrays[name][...]) for name in sorted(arrays)}
        case suffix:
            raise ValueError(f"{path}: {suffix} is not a kind of result")


def _column(values: pd.Series) -> np.ndarray:
    """The values of a column, texts and lists as objects; missing ones as None."""
    kind = values.dtype.pyarrow_dtype
    plain = values.array._pa_array.combine_chunks()  # without a conversion of missing values
    if plain.null_count or str(kind) in ("string", "large_string") or "list" in str(kind):
        return np.array([*plain.to_pylist(), None], dtype=object)[:-1]
    return plain.to_numpy(zero_copy_only=False)


def _rename_content(content: Content, path: str) -> Content:
    """The content of the first edition, with the names and texts of this one."""
    names: dict[str, str] = {}
    for pattern, some in (ARRAYS if path.endswith(".zarr") else COLUMNS).items():
        if re.search(pattern, path):
            names |= some
    renamed = {names.get(name, name): values for name, values in content.items()}
    for name, patterns in TEXTS.items():
        if name in renamed:
            whole = {f"^{pattern}$": text for pattern, text in patterns.items()}
            texts = [_renamed(text, whole) for text in renamed[name]]
            renamed[name] = np.array([*texts, None], dtype=object)[:-1]
    return dict(sorted(renamed.items())) if path.endswith(".zarr") else renamed


def _difference(old: Content, new: Content) -> str:
    """The first difference in a line; empty if there is none."""
    if list(old) != list(new):
        return f"has {', '.join(new)} instead of {', '.join(old)}"
    for name, before in old.items():
        after = new[name]
        if (before.dtype, before.shape) != (after.dtype, after.shape):
            return f"{name}: {after.dtype} {after.shape} instead of {before.dtype} {before.shape}"
        if before.dtype == object:
            different = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        else:
            bits = np.dtype(f"V{before.dtype.itemsize}")
            same = np.ascontiguousarray(before).ravel().view(bits) == np.ascontiguousarray(
                after
            ).ravel().view(bits)
            different = np.flatnonzero(~same).tolist()
            if name in ULPS:
                allowed = ULPS[name] * np.spacing(np.abs(before))
                different = [i for i in different if not abs(after[i] - before[i]) <= allowed[i]]
        if different:
            first = different[0]
            return (
                f"{name}: {len(different):,} of {before.size:,} values differ, the first at "
                f"{first}: {after.ravel()[first]} instead of {before.ravel()[first]}"
            )
    return ""


if __name__ == "__main__":
    sys.exit(main())
