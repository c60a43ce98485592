"""DICOM films, written here by pydicom and read as a viewer shows them."""

import builtins
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import ImageCms

from bench.data.cache import image_cache
from bench.data.pixels import Pixels
from bench.datasets.manifest import Manifest
from bench.decode import read_image
from bench.errors import DataMissing

pydicom = pytest.importorskip("pydicom")
SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


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


@pytest.mark.parametrize(
    ("expected", "tags"),
    [
        (SPREAD, {}),
        (SPREAD, {"WindowCenter": 2000}),  # without a width it is no window
        (SPREAD, {"WindowCenter": None, "WindowWidth": None}),
        (SPREAD, {"bits": 16}),
        (SPREAD, {"NumberOfFrames": 1, "PixelAspectRatio": [1, 2]}),
        (DARK, {"kind": "MONOCHROME1"}),
        (DARK, {"PresentationLUTShape": "INVERSE"}),
        (DARK, {"kind": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}),  # said twice, done once
        (SPREAD, {"PresentationLUTShape": "IDENTITY"}),
        (CUT, WINDOW),
        (CUT, {"WindowCenter": [2000, 100], "WindowWidth": [2001, 10]}),
        (CUT, {"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 1000, "WindowWidth": 2001}),
        ([[255, 255, 140], [12, 0, 0]], {"RescaleSlope": -1, "RescaleIntercept": 4095, **WINDOW}),
        (DARK, {"RescaleSlope": -1, "RescaleIntercept": 4095}),
        # (3000 - 2048) / 2048 + .5 = .965; 1 / (1 + exp(-4 * (1000 - 2000) / 1000)) = .018
        ([[0, 0, 122], [246, 255, 255]], {"WindowCenter": 2048, "WindowWidth": 2048, "VOILUTFunction": "LINEAR_EXACT"}),
        ([[0, 5, 128], [250, 255, 255]], {"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": "SIGMOID"}),
        (CUT, {"WindowCenter": 2000, "WindowWidth": 1, "VOILUTFunction": "SIGMOID"}),
    ],
)
def test_every_stage_from_stored_to_shown_grey(tmp_path, expected, tags):
    assert shown(tmp_path, RAMP, **tags) == expected


def test_signed_values(tmp_path):
    assert shown(tmp_path, RAMP - 2048, signed=True) == SPREAD
    # Scanners may leave the bits above the sign empty.
    assert shown(tmp_path, (RAMP - 2048) & 0xFFF, signed=True) == SPREAD


def test_other_bits_than_those_of_the_value_do_not_count(tmp_path):
    assert shown(tmp_path, RAMP | 0x9000) == SPREAD, "an overlay in the upper bits"
    assert shown(tmp_path, (RAMP << 4) | 7, HighBit=15) == SPREAD
    film = pydicom.dcmread(write(tmp_path / "film.dcm", (RAMP << 4) | 7, bits=16))
    film.compress(pydicom.uid.RLELossless)
    film.BitsStored = 12
    film.save_as(tmp_path / "film.dcm")
    assert read_image(tmp_path / "film.dcm").tolist() == SPREAD


def test_tables_of_both_stages(tmp_path):
    steps, entries = [[0, 1, 2, 3]], [0, 10, 200, 255]
    assert shown(tmp_path, steps, ModalityLUTSequence=[table(entries)]) == [entries]
    assert shown(tmp_path, [[0, 1, 2, 5, 9]], ModalityLUTSequence=[table(entries, first=2)]) == [[0, 0, 0, 255, 255]]
    # From -2 on, though stored values have no sign: 0 and 1 are the last two entries, 200 and 255.
    assert shown(tmp_path, [[0, 1, 5]], ModalityLUTSequence=[table(entries, first=-2)]) == [[0, 255, 255]]
    assert shown(tmp_path, steps, VOILUTSequence=[table(entries)]) == [entries]
    twelve = table([0, 1000, 2048, 4095], bits=12)
    assert shown(tmp_path, [[0, 1, 2, 3, 50]], VOILUTSequence=[twelve]) == [[0, 62, 128, 255, 255]]
    # More entries than a byte counts, of 8 bits each.
    long = table([i // 16 for i in range(4096)])
    assert shown(tmp_path, [[0, 255, 2048, 4095]], VOILUTSequence=[long]) == [[0, 15, 128, 255]]
    after = table([0, 10, 20, 30, 40, 50, 60, 255], first=10)
    assert shown(tmp_path, steps, RescaleSlope=2, RescaleIntercept=10, VOILUTSequence=[after]) == [[0, 20, 40, 60]]
    # -2 as a number without sign, because stored values have none.
    unsigned = {"RescaleSlope": 1, "RescaleIntercept": -2, "VOILUTSequence": [table(entries, first=2**16 - 2)]}
    assert shown(tmp_path, steps, **unsigned) == [entries]
    with pytest.raises(ValueError, match="VOI LUT of 16 bits that reaches 255 of 65535"):
        shown(tmp_path, steps, VOILUTSequence=[table(entries, bits=16)])


def test_padding_decides_no_range(tmp_path):
    assert shown(tmp_path, [[0, 1000, 2000, 3000]], PixelPaddingValue=0) == [[0, 0, 128, 255]]
    signed = {"signed": True, "bits": 16, "PixelPaddingValue": -2000}
    assert shown(tmp_path, [[-2000, 1000, 2000, 3000]], **signed) == [[0, 0, 128, 255]]
    limits = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 10}
    assert shown(tmp_path, [[0, 5, 1000, 2000, 3000]], **limits) == [[0, 0, 0, 128, 255]]
    assert shown(tmp_path, [[7, 7]], PixelPaddingValue=7) == [[0, 0]]


def test_an_enhanced_film_of_one_frame_has_its_window_in_the_functional_groups(tmp_path):
    groups, rescale, window = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 1, -1000
    window.WindowCenter, window.WindowWidth = 1000, 2001
    groups.PixelValueTransformationSequence, groups.FrameVOILUTSequence = [rescale], [window]
    assert shown(tmp_path, RAMP, SharedFunctionalGroupsSequence=[groups], NumberOfFrames=1) == CUT


def test_one_bit_and_thirty_two(tmp_path):
    one = {"Rows": 2, "Columns": 3, "BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    assert shown(tmp_path, np.zeros((2, 3)), bits=8, PixelData=b"\5\0", **one) == [[255, 0, 255], [0, 0, 0]]
    assert shown(tmp_path, np.zeros((2, 3)), bits=8, PixelData=b"\x3f\0", **one) == [[255] * 3] * 2, "all of them 1"
    deep = {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}
    data = np.array([[0, 2**31, 2**32 - 1]], "<u4").tobytes()
    assert shown(tmp_path, np.zeros((1, 3)), PixelData=data, **deep) == [[0, 128, 255]]


def test_colour_becomes_rgb(tmp_path):
    colour = np.arange(24).reshape(2, 4, 3) * 10
    assert shown(tmp_path, colour, bits=8, kind="RGB") == colour.tolist()
    planes = {"PlanarConfiguration": 1, "PixelData": colour.transpose(2, 0, 1).astype("u1").tobytes()}
    assert shown(tmp_path, colour, bits=8, kind="RGB", **planes) == colour.tolist()
    twelve = np.array([[[0, 2048, 4095]]])
    assert shown(tmp_path, twelve, kind="RGB") == [[[0, 128, 255]]]
    # PS3.3, C.7.6.3.1.2: R = Y + 1.402 (Cr - 128), G = Y - .344 (Cb - 128) - .714 (Cr - 128), B = Y + 1.772 (Cb - 128)
    ybr, rgb = np.array([[[100, 128, 128], [100, 138, 108]]]), [[[100, 100, 100], [72, 111, 118]]]
    assert shown(tmp_path, ybr, bits=8, kind="YBR_FULL") == rgb
    planes = {"PlanarConfiguration": 1, "PixelData": ybr.transpose(2, 0, 1).astype("u1").tobytes()}
    assert shown(tmp_path, ybr, bits=8, kind="YBR_FULL", **planes) == rgb
    half = {"kind": "YBR_FULL_422", "PixelData": bytes([100, 100, 138, 108])}  # Y, Y, one Cb and Cr for both
    assert shown(tmp_path, ybr, bits=8, **half) == [[[72, 111, 118]] * 2]


def test_a_colour_profile_is_applied(tmp_path):
    colour = np.array([[[10, 120, 250], [200, 100, 0]]])
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(np.array(shown(tmp_path, colour, bits=8, kind="RGB", ICCProfile=srgb)) - colour).max() <= 1
    # The same, with the names of the primary colours red and blue exchanged.
    exchanged = srgb.replace(b"rXYZ", b"____").replace(b"bXYZ", b"rXYZ").replace(b"____", b"bXYZ")
    turned = np.array(shown(tmp_path, colour, bits=8, kind="RGB", ICCProfile=exchanged))
    assert np.abs(turned - colour[:, :, ::-1]).max() <= 1


def test_palettes_become_rgb(tmp_path):
    entries = [[0, 65535, 0, 32768], [0, 0, 65535, 0], [65535, 0, 0, 0]]
    rgb = [[[0, 0, 255], [255, 0, 0]], [[0, 255, 0], [128, 0, 0]]]
    how = {"bits": 8, "kind": "PALETTE COLOR"}
    assert shown(tmp_path, [[0, 1], [2, 3]], **how, **palette(*entries)) == rgb
    short = [[0, 255, 0, 128], [0, 0, 255, 0], [255, 0, 0, 0]]
    assert shown(tmp_path, [[0, 1], [2, 3]], **how, **palette(*short, bits=8, width="u1")) == rgb
    assert shown(tmp_path, [[0, 1], [2, 3]], **how, **palette(*short, bits=8)) == rgb
    assert shown(tmp_path, [[0, 1], [2, 3]], **how, **palette(*short)) == rgb, "8 bits that are said to be 16"
    first = palette([0, 65535], [0, 0], [65535, 0], first=1)
    assert shown(tmp_path, [[0, 1], [2, 3]], **how, **first) == [[[0, 0, 255]] * 2, [[255, 0, 0]] * 2]
    # Of the first 256 entries of 8 bits the last goes for all values beyond.
    grey = [list(range(256))] * 3
    deep = {"bits": 16, "kind": "PALETTE COLOR", **palette(*grey, bits=8, width="u1")}
    assert shown(tmp_path, [[7, 255, 1000]], **deep) == [[[7] * 3, [255] * 3, [255] * 3]]
    # PS3.3, C.7.9.2: one entry of 0, then a line of three to 65535; four entries of 0.
    segments = [[0, 1, 0, 1, 3, 65535], [0, 4, 0, 0, 0, 0], [0, 4, 0, 0, 0, 0]]
    lines = shown(tmp_path, [[0, 1, 2, 3]], **how, **palette(*segments, segmented=True))
    assert lines == [[[0, 0, 0], [85, 0, 0], [170, 0, 0], [255, 0, 0]]]


FOUR = [[0, 255, 0, 128]] * 3
ALPHA = {"AlphaPaletteColorLookupTableData": bytes(4)}


@pytest.mark.parametrize(
    ("why", "tags"),
    [
        ("2 frames, 1 allowed: save the frame", {"NumberOfFrames": 2}),
        ("presentation LUT shape IDENTITY of MONOCHROME1", {"kind": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}),
        ("presentation LUT shape LIN OD", {"PresentationLUTShape": "LIN OD"}),
        ("a display shutter", {"ShutterShape": "CIRCULAR"}),
        ("a presentation LUT sequence", {"PresentationLUTSequence": []}),
        ("a rescale slope without intercept", {"RescaleSlope": 2}),
        ("Window Width must be greater", {"WindowCenter": 2000, "WindowWidth": 0}),
        ("VOI LUT Function value 'FOO'", {**WINDOW, "VOILUTFunction": "FOO"}),
        ("MONOCHROME2 with a palette", palette(*FOUR)),
        ("PALETTE COLOR without a palette", {"kind": "PALETTE COLOR"}),
        ("transparent", {"kind": "PALETTE COLOR", **palette(*FOUR, bits=8, width="u1"), **ALPHA}),
        ("over 256 entries", {"kind": "PALETTE COLOR", **palette(*[[9] * 300] * 3, bits=8, width="u1")}),
        ("YBR_FULL with 1 samples", {"kind": "YBR_FULL"}),
        ("less than expected", {"PixelData": bytes(6)}),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_reason(tmp_path, why, tags):
    with pytest.raises(ValueError, match=f"^DICOM: .*{why}"):
        shown(tmp_path, RAMP, **tags)


@pytest.mark.parametrize("kind", ["HSV", "YBR_PARTIAL_422", "CMYK"])
def test_other_colours_are_refused(tmp_path, kind):
    with pytest.raises(ValueError, match=f"{kind}|Photometric"):
        shown(tmp_path, np.zeros((2, 4, 3)), bits=8, kind=kind)


def test_objects_without_pixels_of_whole_numbers_are_refused_by_name(tmp_path):
    film = pydicom.dcmread(write(tmp_path / "film.dcm", RAMP))
    film.SOPClassUID = pydicom.uid.ParametricMapStorage
    del film.PixelData
    film.FloatPixelData = bytes(24)
    film.save_as(tmp_path / "map.dcm")
    with pytest.raises(ValueError, match="Parametric Map Storage holds no pixels of whole numbers: leave it out"):
        read_image(tmp_path / "map.dcm")


def test_a_film_is_known_by_its_first_bytes(tmp_path):
    file = write(tmp_path / "film.dcm", RAMP, SOPClassUID=pydicom.uid.SecondaryCaptureImageStorage)
    for name in ("IM000001", "film.png"):
        (tmp_path / name).write_bytes(file.read_bytes())
        assert read_image(tmp_path / name).tolist() == SPREAD
    film = pydicom.dcmread(file)
    (tmp_path / "headless").write_bytes(file.read_bytes()[132:])
    assert read_image(tmp_path / "headless").tolist() == SPREAD
    for implicit, little in ((False, True), (True, True), (False, False)):
        film.PixelData = RAMP.astype("<u2" if little else ">u2").tobytes()
        part = pydicom.Dataset({element.tag: element for element in film})
        part.save_as(tmp_path / "bare", implicit_vr=implicit, little_endian=little)
        assert read_image(tmp_path / "bare").tolist() == SPREAD, (implicit, little)
    (tmp_path / "text.dcm").write_text("no film" * 30)
    with pytest.raises(ValueError, match=r"no image that can be read.*DICOM"):
        read_image(tmp_path / "text.dcm")


def test_what_is_not_installed_is_named_with_its_remedy(tmp_path, monkeypatch):
    file = write(tmp_path / "film.dcm", RAMP)
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "is_available", False)
    with pytest.raises(DataMissing, match=r"decoder of Explicit VR Little Endian.*debias-bench\[dicom\]"):
        read_image(file)
    original = builtins.__import__

    def without(name, *rest):
        if name == "pydicom":
            raise ImportError
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataMissing, match=r"pydicom, which reads film.dcm.*debias-bench\[dicom\]"):
        read_image(file)


# --- films that pydicom ships ------------------------------------------------------------------

BARS = {5: (255, 0, 0), 15: (255, 128, 128), 25: (0, 255, 0), 35: (128, 255, 128), 45: (0, 0, 255), 55: (128, 128, 255)}
BARS |= {65: (0, 0, 0), 75: (64, 64, 64), 85: (192, 192, 192), 95: (255, 255, 255)}
"""Row -> colour of the test picture that DCMTK, GDCM and others compressed, in the files SC_*."""
FULL = ("RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded")
SAME = {
    "MR_small.dcm": [f"MR_small_{how}.dcm" for how in FULL],
    "liver_1frame.dcm": ["liver_expb_1frame.dcm"],
    "rtdose_1frame.dcm": ["rtdose_expb_1frame.dcm", "rtdose_rle_1frame.dcm"],
    "SC_rgb_small_odd.dcm": ["SC_rgb_small_odd_big_endian.dcm"],
    "SC_rgb_rle.dcm": ["SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm", "SC_ybr_full_422_uncompressed.dcm"],
}
DAMAGED = {"JPEG-lossy.dcm", "JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm", "badVR.dcm"}


def shipped():
    """Return name -> dataset of each film of one frame."""
    films = {}
    for file in sorted(SHIPPED.rglob("*")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            film = pydicom.dcmread(file, force=True) if file.is_file() else {}
            if "PixelData" in film and "Rows" in film and film.get("NumberOfFrames") in (None, 1, "1A"):
                films[file] = film
    return films


def test_every_film_of_one_frame_that_pydicom_ships_is_read_or_refused():
    pytest.importorskip("libjpeg")
    pytest.importorskip("openjpeg")
    films = shipped()
    assert len(films) > 80
    read, refused = {}, {}
    for file, film in films.items():
        try:
            read[file.name] = read_image(file)
            assert read[file.name].shape == (film.Rows, film.Columns, 3)[: read[file.name].ndim]
        except ValueError as error:
            refused[file.name] = str(error)
    assert set(refused) == DAMAGED
    assert all(why.startswith("DICOM: ") for why in refused.values())
    for plain, others in SAME.items():
        for other in others:
            np.testing.assert_allclose(read[plain].astype(int), read[other], atol=6 * ("ybr" in other), err_msg=other)
    bars = [name for name, pixels in read.items() if name.startswith("SC_") and pixels.shape == (100, 100, 3)]
    assert len(bars) > 14
    for name in bars:
        pixels = [read[name][row, 50].astype(int) for row in BARS]
        np.testing.assert_allclose(pixels, list(BARS.values()), atol=6, err_msg=name)


def test_films_go_into_the_cache_and_damaged_ones_are_listed(tmp_path):
    (tmp_path / "films").mkdir()
    rng = np.random.default_rng(0)
    for i in range(30):
        write(tmp_path / "films" / f"{i:02d}.dcm", rng.integers(0, 4096, (16, 16)))
    (tmp_path / "films" / "07.dcm").write_bytes(b"not a film")
    names = [f"{i:02d}.dcm" for i in range(30)]
    table = pd.DataFrame({"uid": names, "path": names})
    options = {"size": 16, "channels": 1, "crop": "none", "cache_dir": tmp_path / "cache"}
    cache = image_cache(Pixels(Manifest(), "manifest", tmp_path / "films", **options), table)
    assert len(cache.array) == 29
    first = read_image(tmp_path / "films" / "00.dcm")
    np.testing.assert_array_equal(cache.array[0, :, :, 0], first)
