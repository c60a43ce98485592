"""DICOM images as a viewer shows them, as uint8. Read by pydicom, an optional extra of the package."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataMissing

_GET_IT = 'Install it: pip install "debias-bench[dicom]".'


def is_dicom(file: Path) -> bool:
    """Tell by its first bytes whether a file is DICOM, with its preamble or, as some scanners write it, without."""
    with file.open("rb") as opened:
        head = opened.read(132)
    if head[128:] == b"DICM":
        return True
    # Without a preamble a file begins with a low element of group 2 or 8, in either byte order.
    tags = [struct.unpack(order, head[:4]) for order in ("<HH", ">HH")] if len(head) >= 8 else []
    return any(group in (2, 8) and element < 0x100 for group, element in tags)


def read_dicom(file: Path, *, deep: bool = False) -> np.ndarray:
    """Return a DICOM image as uint8 (H, W) or, with `deep`, uint16; as uint8 (H, W, 3) where it is in colour.

    Grey values pass the stages of DICOM PS3.4, N.2: the modality LUT (rescaling or table), then the first VOI LUT
    (table or window), then the inversion that MONOCHROME1 or the presentation LUT shape asks for. Without a window or
    table the values of the image, less its padding, are spread over all levels. Colour of any kind becomes RGB, by its
    ICC profile if it has one.

    Raises:
        DataMissing: pydicom, or what decodes this compression, is not installed.
        OSError, ValueError: a file that is damaged, has several frames or no pixels, or is to be shown in a way that
            is not supported.
    """
    try:
        import pydicom
        from pydicom.pixels.processing import apply_icc_profile
    except ImportError:
        raise DataMissing(f"pydicom, which reads {file.name},", get_it=_GET_IT, code="D022") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of attributes that say nothing about pixels
            image = pydicom.dcmread(file, force=True)
            _check(image)
            pixels = _grey(image, *_stored(image)) if image.SamplesPerPixel == 1 else _colour(*_stored(image))
            if pixels.ndim == 2:
                return _levels(pixels, np.uint16 if deep else np.uint8)
            return apply_icc_profile(pixels, image) if "ICCProfile" in image else pixels
    except (OSError, MemoryError, DataMissing):
        raise
    except Exception as error:  # pydicom and its decoders raise anything on damaged files
        raise ValueError(f"DICOM: {' '.join(str(error).split())}") from error


def _check(image: Any) -> None:
    """Raise ValueError for what is no single picture, or would be shown in a way that is not supported."""
    if "PixelData" not in image:
        kind = image["SOPClassUID"].repval if "SOPClassUID" in image else "an object of no known class"
        raise ValueError(f"{kind} holds no pixels of whole numbers: leave it out of the table")
    if (frames := int(image.get("NumberOfFrames") or 1)) > 1:
        raise ValueError(f"{frames} frames, 1 allowed: save the frame that counts as a file")
    # An enhanced image of one frame says in its functional groups what others say at the top.
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in image.get(groups) or []:
            for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in group.get(name) or []:
                    image.update(item)
    kind, shape = image.PhotometricInterpretation, image.get("PresentationLUTShape") or ""
    # Of MONOCHROME1, where low is bright, IDENTITY says the opposite.
    shapes = ("", "INVERSE") if kind == "MONOCHROME1" else ("", "INVERSE", "IDENTITY")
    palette = "RedPaletteColorLookupTableDescriptor" in image
    slope, intercept = image.get("RescaleSlope"), image.get("RescaleIntercept")
    grey = kind in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    refused = {
        f"{kind} with {image.SamplesPerPixel} samples": grey != (image.SamplesPerPixel == 1),
        f"{kind} {'with' if palette else 'without'} a palette": palette != (kind == "PALETTE COLOR"),
        "a display shutter": bool(image.get("ShutterShape")),
        "a presentation LUT sequence": "PresentationLUTSequence" in image,
        f"presentation LUT shape {shape} of {kind}": shape not in shapes,
        "a rescale slope without intercept, or the reverse,": (slope is None) != (intercept is None),
    }
    for what in (what for what, there in refused.items() if there):
        raise ValueError(f"{what} is not supported: export what a viewer shows as PNG")


def _stored(image: Any) -> tuple[np.ndarray, str, int]:
    """Return stored values (H, W) or, in RGB, (H, W, 3), the photometric interpretation and the bits of a value."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    image.ensure_file_meta()
    if "TransferSyntaxUID" not in image.file_meta:
        if image["PixelData"].is_undefined_length:
            raise ValueError("it is compressed and does not say how (Transfer Syntax UID)")
        implicit, little = image.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    syntax = image.file_meta.TransferSyntaxUID
    decoder = get_decoder(syntax)
    if not decoder.is_available:
        raise DataMissing(f"the decoder of {syntax.name}", get_it=_GET_IT, code="D022")
    as_written = not syntax.is_encapsulated or syntax == RLELossless
    values, became = decoder.as_array(image, correct_unused_bits=not as_written)  # pyright: ignore[reportArgumentType]
    if as_written and image.BitsAllocated > 1:
        # pydicom takes the lowest bits for the value, wherever High Bit puts it; other bits may hold an overlay.
        above = image.BitsAllocated - 1 - image.get("HighBit", image.BitsStored - 1)
        values = (values << above) >> (image.BitsAllocated - image.BitsStored)
    return values, str(became["photometric_interpretation"]), image.BitsStored


def _colour(values: np.ndarray, kind: str, bits: int) -> np.ndarray:
    if kind != "RGB" or values.dtype.kind != "u":
        raise ValueError(f"{kind} of {values.shape[-1]} samples ({values.dtype}): RGB or YBR without sign allowed")
    return np.rint(values.astype(np.float64) / (2**bits - 1) * 255).astype(np.uint8)


def _grey(image: Any, stored: np.ndarray, kind: str, bits: int) -> np.ndarray:
    """Return grey values in 0..1 (H, W), or the colours (H, W, 3) of a palette as uint8."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

    if kind == "PALETTE COLOR":
        return _palette(image, stored)
    # pydicom looks values up in the type that they come in, which may be narrower than a table is long.
    values = apply_modality_lut(stored.astype(np.int64), image)
    if image.get("VOILUTSequence"):
        n, first, bits = (int(number) for number in image.VOILUTSequence[0].LUTDescriptor)
        first -= 2**16 if first >= 2**15 and values.min() < 0 else 0  # read as if it had no sign
        image.VOILUTSequence[0].LUTDescriptor = [n, first, 16]  # of 8, pydicom would count entries with 8 bits
        ends = np.array([first, first + (n or 2**16) - 1])
        values = apply_voi(np.clip(np.rint(values), *ends).astype(np.int64), image).astype(np.float64)
        low, high = 0, 2**bits - 1
        if (last := apply_voi(ends, image).max()) < high // 4:
            raise ValueError(f"a VOI LUT of {bits} bits that reaches {last} of {high}: correct its LUT descriptor")
    elif image.get("WindowCenter") is not None and image.get("WindowWidth") is not None:
        with np.errstate(over="ignore"):  # far below a sigmoid
            values = apply_windowing(values, image)
        low, high = apply_windowing(np.array([-np.inf, np.inf]), image)
    else:
        low, high = (0, 1) if bits == 1 else _range(image, stored, values)
    shown = np.zeros(values.shape) if high == low else np.clip((values - low) / (high - low), 0, 1)
    if kind == "MONOCHROME1" or image.get("PresentationLUTShape") == "INVERSE":
        shown = 1 - shown
    return shown


def _levels(shown: np.ndarray, kind: type[np.unsignedinteger]) -> np.ndarray:
    """Return grey values in 0..1 as whole numbers."""
    return np.rint(shown * np.iinfo(kind).max).astype(kind)


def _range(image: Any, stored: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest of the values that are no padding."""
    if (padding := image.get("PixelPaddingValue")) is not None:
        low, high = sorted((padding, image.get("PixelPaddingRangeLimit", padding)))
        real = values[(stored < low) | (stored > high)]
        values = real if real.size else values
    return float(values.min()), float(values.max())


def _palette(image: Any, stored: np.ndarray) -> np.ndarray:
    from pydicom.pixels.processing import apply_color_lut

    n, first, _ = (int(number) for number in image.RedPaletteColorLookupTableDescriptor)
    n = n or 2**16
    why = "a palette of over 256 entries of 8 bits, big endian or transparent: export it as PNG in RGB"
    try:
        colours = apply_color_lut(np.clip(stored.astype(np.int64), first, first + n - 1), image)
    except OverflowError:  # of an index of 8 bits, in pydicom 3.0.0
        raise ValueError(why) from None
    # pydicom looks entries of 8 bits up by an index of 8 bits, and reads them as little endian.
    little = image.file_meta.TransferSyntaxUID.is_little_endian
    if (n > 256 and colours.dtype == np.uint8) or not little or colours.shape[2] != 3:
        raise ValueError(why)
    # Entries of 8 bits are often kept in 16, whatever the descriptor says.
    top = 255 if colours.max() < 256 else 65535
    return np.rint(colours.astype(np.float64) / top * 255).astype(np.uint8)
