"""DICOM films, written by pydicom."""

import warnings

import numpy as np
import pytest

from bench.decode import read_image

pydicom = pytest.importorskip("pydicom")


def write(file, stored, *, bits=12, signed=False, kind="MONOCHROME2", **tags):
    """Write a film of stored values (H, W) without compression."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
    film.Rows, film.Columns = stored.shape[:2]
    film.SamplesPerPixel, film.PhotometricInterpretation = (3 if stored.ndim == 3 else 1), kind
    if stored.ndim == 3:
        film.PlanarConfiguration = 0
    film.BitsAllocated, film.BitsStored, film.HighBit = (8 if bits <= 8 else 16), bits, bits - 1
    film.PixelRepresentation = int(signed)
    width = "<i2" if signed else "<u2" if bits > 8 else "u1"
    film.PixelData = stored.astype(width).tobytes()
    for name, value in tags.items():
        setattr(film, name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that pydicom finds odd are written as they are
        film.save_as(file, enforce_file_format=True)
    return file


def shown(tmp_path, stored, **how):
    """Write a film and return what is read of it, as lists."""
    return read_image(write(tmp_path / "film.dcm", np.asarray(stored), **how)).tolist()


def table(entries, first=0, bits=8, **more):
    """Return an item of a modality or VOI LUT sequence."""
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", list(entries))
    return item


def palette(red, green, blue, *, first=0, bits=16, width="<u2", segmented=False):
    """Return the attributes of a palette; entries are written with `width`."""
    tags = {}
    for colour, entries in (("Red", red), ("Green", green), ("Blue", blue)):
        name = f"{colour}PaletteColorLookupTable"
        tags[f"{name}Descriptor"] = [4 if segmented else len(entries), first, bits]
        tags[f"Segmented{name}Data" if segmented else f"{name}Data"] = np.array(entries, width).tobytes()
    return tags


RAMP = np.array([[0, 1000, 2000], [3000, 4000, 4095]])
SPREAD = [[0, 62, 125], [187, 249, 255]]
"""RAMP * 255 / 4095."""
DARK = [[255, 193, 130], [68, 6, 0]]
CUT = [[0, 0, 128], [255, 255, 255]]
"""RAMP in the window of centre 2000 and width 2001, PS3.3, C.11.2.1.2: ((x - (c - .5)) / (w - 1) + .5) * 255."""
WINDOW = {"WindowCenter": 2000, "WindowWidth": 2001}
