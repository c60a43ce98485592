"""DICOM films as a viewer shows them, as uint8; read by pydicom, an optional dependency."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.errors import DataMissing


def read_dicom(file: Path) -> np.ndarray:
    """Return a DICOM film as uint8 (H, W), or (H, W, 3) for a film in colour.

    Stored values are rescaled (modality LUT), then mapped by the first window of the file or its table (VOI LUT).
    Without either, the range of the film is mapped to 0 to 255. MONOCHROME1, in which high values are dark, is
    inverted.

    Raises:
        DataMissing: pydicom is not installed.
        OSError, ValueError: the file is damaged, or has several frames or no pixels.
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
        raise ValueError(f"the DICOM film cannot be read: {error}") from error
    if stored.ndim == 3 and film.SamplesPerPixel == 3 and film.PhotometricInterpretation == "RGB":
        return np.asarray(stored, dtype=np.uint8)
    if stored.ndim != 2:
        raise ValueError(
            f"{film.PhotometricInterpretation} of shape {stored.shape}: one grey film or one in RGB expected"
        )
    values = np.asarray(apply_voi_lut(apply_modality_lut(stored, film), film, index=0), dtype=np.float64)
    if "WindowCenter" in film or "VOILUTSequence" in film:
        # pydicom maps a window to the range of the stored bits, after the rescaling.
        lowest = -(2 ** (film.BitsStored - 1)) if film.PixelRepresentation == 1 else 0
        ends = apply_modality_lut(np.array([lowest, lowest + 2**film.BitsStored - 1]), film)
        low, high = sorted(float(end) for end in ends)
    else:
        low, high = float(values.min()), float(values.max())
    shown = np.zeros_like(values) if high <= low else np.clip((values - low) / (high - low), 0, 1)
    if film.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return np.rint(shown * 255).astype(np.uint8)
