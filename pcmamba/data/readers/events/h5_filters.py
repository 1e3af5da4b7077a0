"""Whether HDF5 can unpack an array here: recordings are often packed by filters it lacks."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

_NAMES = {32001: "blosc", 32026: "blosc2", 32015: "zstd", 32004: "lz4", 36559: "ECF"}


def check_filters(dataset: h5py.Dataset) -> None:
    """Make the filters of an array known, by hdf5plugin where it is installed.

    Raises:
        ImportError: A filter is still not known.
    """
    if not _missing(dataset):
        return
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  (it registers filters)
    missing = _missing(dataset)
    if missing:
        names = ", ".join(_NAMES.get(code, str(code)) for code in missing)
        raise ImportError(
            f"this h5 file is packed by {names}, which needs hdf5plugin: pip install hdf5plugin; "
            "ECF comes with Prophesee's own software, which also converts to dat"
        )


def _missing(dataset: h5py.Dataset) -> list[int]:
    from h5py import h5z

    plist = dataset.id.get_create_plist()
    codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    return [code for code in codes if not h5z.filter_avail(code)]
