"""DICOM films, written here by pydicom and read as a viewer shows them."""

import builtins

import numpy as np
import pytest
from PIL import ImageCms

from bench.decode import read_image
from bench.errors import DataMissing
from tests.unit.dicom_films import CUT, DARK, RAMP, SPREAD, WINDOW, palette, pydicom, shown, table, write


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
