"""DICOM films: what a viewer shows, as uint8. Read by pydicom, an optional extra of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.errors import DataMissing


def read_dicom(file: Path) -> np.ndarray:
    """Return a DICOM film as uint8 (H, W), or (H, W, 3) where it is in colour.

    Stored values are rescaled (modality LUT), then shown through the first window of the file, or its table (VOI LUT);
    without either all values of the film are spread from 0 to 255. MONOCHROME1, high values being dark, is inverted.

    Raises:
        DataMissing: pydicom is not installed.
        OSError, ValueError: a file that is damaged, has several frames or no pixels.
    """
    try:
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError
        from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
    except ImportError:
        raise DataMissing(
            f"pydicom, which reads {file.name},", get_it='Install it: pip install "debias-bench[dicom]".', code="D022"
        ) from None
    try:
        film = dcmread(file)
        stored = film.pixel_array
    except (InvalidDicomError, AttributeError, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"no DICOM film that can be read: {error}") from error
    if stored.ndim == 3 and film.SamplesPerPixel == 3 and film.PhotometricInterpretation == "RGB":
        return np.asarray(stored, dtype=np.uint8)
    if stored.ndim != 2:
        raise ValueError(
            f"{film.PhotometricInterpretation} of shape {stored.shape}: one grey film or one in RGB expected"
        )
    values = np.asarray(apply_voi_lut(apply_modality_lut(stored, film), film, index=0), dtype=np.float64)
    if "WindowCenter" in film or "VOILUTSequence" in film:
        # pydicom spreads a window over the range that the stored bits span, after the rescaling.
        ends = apply_modality_lut(np.array([0, 2**film.BitsStored - 1]) - _offset(film), film)
        low, high = sorted(float(end) for end in ends)
    else:
        low, high = float(values.min()), float(values.max())
    shown = np.zeros_like(values) if high <= low else np.clip((values - low) / (high - low), 0, 1)
    if film.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return np.rint(shown * 255).astype(np.uint8)


def _offset(film: object) -> int:
    return 2 ** (film.BitsStored - 1) if film.PixelRepresentation == 1 else 0  # type: ignore[attr-defined]
