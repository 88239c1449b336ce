"""Files that are nearly, hardly or not at all mammograms: everything that turns up in the folders of real archives."""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import damage
import numpy as np
from dicoms import breast, write_mammogram
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")
"""Value representations with a length of 32 bits."""
PIXELS = 0x7FE00010
SYNTAX = 0x00020010


@dataclass(frozen=True)
class Case:
    """A file and what may become of it: 'used', or one of these reason codes."""

    name: str
    path: Path
    outcomes: frozenset[str]


@dataclass(frozen=True)
class Elements:
    """An explicit little-endian file as its top-level elements (tag, VR, value), to be rebuilt with any fault."""

    meta: tuple[tuple[int, bytes, bytes], ...]
    data: tuple[tuple[int, bytes, bytes], ...]

    @classmethod
    def of(cls, path: Path) -> Elements:
        content, at, found = path.read_bytes(), 132, []
        while at < len(content):
            group, element, vr = struct.unpack_from("<HH2s", content, at)
            length, start = _length(content, at, vr)
            found.append((group << 16 | element, vr, content[start : start + length]))
            at = start + length
        split = sum(tag < 0x00030000 for tag, _, _ in found)
        return cls(tuple(found[:split]), tuple(found[split:]))

    def but(self, tag: int, vr: bytes | None = None, value: bytes = b"") -> Elements:
        """With this element instead, in its place by tag; without it when ``vr`` is None."""
        meta, data = ([e for e in part if e[0] != tag] for part in (self.meta, self.data))
        if vr is not None:
            (meta if tag < 0x00030000 else data).append((tag, vr, value))
        return Elements(tuple(sorted(meta)), tuple(sorted(data)))

    def encoded(self) -> bytes:
        return b"\0" * 128 + b"DICM" + b"".join(_element(*element) for element in self.meta + self.data)

    def boundaries(self) -> list[int]:
        """Where each element begins, and within its head and its value."""
        at, found = 132, []
        for element in self.meta + self.data:
            size = len(_element(*element))
            found += [at, at + 4, at + 7, at + size - 1]
            at += size
        return [cut for cut in dict.fromkeys(found) if cut < at]


def _length(content: bytes, at: int, vr: bytes) -> tuple[int, int]:
    if vr in LONG:
        return struct.unpack_from("<I", content, at + 8)[0], at + 12
    return struct.unpack_from("<H", content, at + 6)[0], at + 8


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (struct.pack("<HI", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))) + value


class Suite:
    """Writes the cases into ``folder``, each of other pixels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: list[Case] = []

    def all(self) -> list[Case]:
        """Every case whose path is a regular file, which a table may name."""
        for part in (
            self.cuts,
            self.cut_streams,
            self.damaged_streams,
            self.syntaxes,
            self.shapes,
            self.depths,
            self.windows,
            self.wrong_kinds_of_value,
            self.absent,
            self.other_objects,
            self.strange_structures,
            self.strange_pixels,
            self.no_dicom,
        ):
            part()
        return self.cases

    def add(self, name: str, content: bytes, *outcomes: str) -> None:
        path = self.folder / f"{len(self.cases):03d}.dcm"
        path.write_bytes(content)
        self.cases.append(Case(name, path, frozenset(outcomes)))

    def sound(self, **options: object) -> Elements:
        """A sound file; of other pixels each time."""
        return Elements.of(self._written(**options))

    def _written(self, **options: object) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "sound"
        pixels = options.pop("pixels", None)
        pixels = breast(seed=1000 + len(self.cases)) if pixels is None else pixels
        return write_mammogram(path, pixels, **options)  # type: ignore[arg-type]

    def cuts(self) -> None:
        whole = self.sound()
        content = whole.encoded()
        for cut in [1, 64, 127, 128, 131, 132, *whole.boundaries()]:
            self.add(f"cut at {cut}", content[:cut], "truncated", "not_mg", *REFUSED)

    def cut_streams(self) -> None:
        for syntax in (JPEG2000Lossless, JPEGLSLossless, RLELossless):
            content = self._written(compress=syntax).read_bytes()
            for percent in (99, 95, 80, 60, 40):
                cut = len(content) * percent // 100
                self.add(f"{syntax.name} cut at {percent}%", content[:cut], "truncated")

    def damaged_streams(self) -> None:
        """Of which the file is whole."""
        path = self.folder / "sound"
        for syntax in (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless):
            stream = damage.compressed(path, breast((200, 200), seed=1000 + len(self.cases)), syntax)
            for name, part in damage.cut(stream):
                code = "decode_failed" if syntax == RLELossless else "truncated"
                self.add(f"{syntax.name} {name}, its file whole", damage.with_stream(path, part).read_bytes(), code)
            holed = damage.with_stream(path, damage.zeroed(stream, len(stream) // 2))
            self.add(f"{syntax.name} with a block of zeros", holed.read_bytes(), "decode_failed")

    def syntaxes(self) -> None:
        declared = (
            ImplicitVRLittleEndian,
            ExplicitVRBigEndian,
            DeflatedExplicitVRLittleEndian,
            JPEG2000Lossless,
            JPEG2000,
            JPEGBaseline8Bit,
            JPEGLosslessSV1,
            JPEGLSLossless,
            RLELossless,
            "1.2.840.10008.1.2.4.100",
            "1.2.3.4",
            "no syntax",
            "",
        )
        refused = "decode_failed", "damaged_header", "no_pixels", "not_dicom", "not_mg", "too_small", "too_large"
        for syntax in declared:
            wrong = self.sound().but(SYNTAX, b"UI", _even(str(syntax).encode()))
            # Explicit elements read as implicit ones are told apart by pydicom.
            may_work = ("used",) if syntax == ImplicitVRLittleEndian else ()
            self.add(f"not compressed, declared {syntax!s}", wrong.encoded(), *refused, *may_work)
        self.add("no transfer syntax", self.sound().but(SYNTAX).encoded(), *refused, "used")
        for real in (JPEG2000Lossless, JPEGLSLossless, RLELossless):
            for syntax in (ExplicitVRLittleEndian, *declared):
                if syntax == real:
                    continue
                content = self._written(compress=real).read_bytes()
                self.add(f"{real.name} declared {syntax!s}", declared_as(content, real, syntax), *refused, "used")

    def shapes(self) -> None:
        for rows, columns in ((0, 96), (96, 0), (0, 0), (1, 1), (1, 96), (63, 64), (96, 63)):
            self.add(f"{rows}x{columns}", self._of_shape(rows, columns), "too_small", "decode_failed")
        for rows, columns in ((65535, 65535), (30000, 30000), (65535, 1600)):
            self.add(f"{rows}x{columns} declared", self._of_shape(rows, columns), "too_large")
        for rows, columns in ((97, 96), (96, 200), (9000, 9000)):
            self.add(f"{rows}x{columns} declared", self._of_shape(rows, columns), "truncated")
        self.add("95x96 declared", self._of_shape(95, 96), "used")
        for side in (64, 65):
            self.add(f"{side} pixels", self.sound(pixels=breast((side, side), seed=side)).encoded(), "used")

    def _of_shape(self, rows: int, columns: int) -> bytes:
        return self.sound().but(0x00280010, b"US", _short(rows)).but(0x00280011, b"US", _short(columns)).encoded()

    def depths(self) -> None:
        refused = "decode_failed", "bits_unsupported", "damaged_header", "truncated"
        for tag, name in ((0x00280100, "BitsAllocated"), (0x00280101, "BitsStored"), (0x00280102, "HighBit")):
            for value in (0, 1, 7, 8, 13, 15, 17, 24, 32, 64, 65535):
                self.add(
                    f"{name} {value}", self.sound().but(tag, b"US", _short(value)).encoded(), *refused, "used", "blank"
                )
        for value in (2, 7, 65535):
            self.add(
                f"PixelRepresentation {value}", self.sound().but(0x00280103, b"US", _short(value)).encoded(), *refused
            )
        for value in (0, 2, 3, 4, 65535):
            self.add(f"SamplesPerPixel {value}", self.sound().but(0x00280002, b"US", _short(value)).encoded(), "colour")
        for text in ("RGB", "YBR_FULL", "PALETTE COLOR", "YBR_ICT", "monochrome", "?"):
            self.add(text, self.sound().but(0x00280004, b"CS", _even(text.encode(), b" ")).encoded(), "colour")

    def windows(self) -> None:
        for text in ("NaN", "inf", "-1e400", "-1", "0", "1e308", "1\\2\\3", "x", "", "1,5", "\\", " 12 "):
            value = _even(text.encode(), b" ")
            for tag, name in ((0x00281050, "WindowCenter"), (0x00281051, "WindowWidth")):
                file = self.sound(window=(2000.0, 1000.0, "LINEAR")).but(tag, b"DS", value)
                self.add(f"{name} {text!r}", file.encoded(), "used", "blank", "grey_scale_ruined")
        for text in ("NaN", "0", "-1", "1e308", "1e-308", "x", "inf"):
            for tag, name in ((0x00281053, "RescaleSlope"), (0x00281052, "RescaleIntercept")):
                file = self.sound().but(tag, b"DS", _even(text.encode(), b" "))
                self.add(f"{name} {text}", file.encoded(), "used", "blank")
        for text in ("SIGMOID", "UNKNOWN", ""):
            file = self.sound(window=(1.0, 1.0, "LINEAR")).but(0x00281056, b"CS", _even(text.encode(), b" "))
            self.add(f"VOILUTFunction {text!r}", file.encoded(), "used", "blank", "grey_scale_ruined")

    def wrong_kinds_of_value(self) -> None:
        """Elements under a VR that is not theirs, with a value that is nonsense in it."""
        for tag in (
            *(0x00080008, 0x00080016, 0x00080060, 0x00080068, 0x00181164, 0x00200020, 0x00200062, 0x00280002),
            *(0x00280004, 0x00280008, 0x00280010, 0x00280100, 0x00280101, 0x00280103, 0x00280120, 0x00280301),
            *(0x00281050, 0x00281053, 0x00283000, 0x00283010, 0x20500020, 0x60000102, 0x00185101, 0x0008001C),
        ):
            for vr, value in ((b"UN", b"\xff\xfe\x01\x80"), (b"FD", b"\0\0\0\0\0\0\xf8\x7f"), (b"LO", b"A\\B\xe9 ")):
                file = self.sound().but(tag, vr, value)
                self.add(f"{tag:08x} as {vr.decode()}", file.encoded(), *ANY)

    def absent(self) -> None:
        for tag, _, _ in self.sound().data:
            self.add(
                f"without {tag:08x}",
                self.sound().but(tag).encoded(),
                "used",
                "no_pixels",
                "decode_failed",
                "damaged_header",
            )

    def other_objects(self) -> None:
        for frames in (2, 60, 10**6):
            file = self.sound().but(0x00280008, b"IS", _even(str(frames).encode(), b" "))
            self.add(f"{frames} frames", file.encoded(), "multiframe")
        for uid, name in (
            ("1.2.840.10008.5.1.4.1.1.13.1.3", "tomosynthesis"),
            ("1.2.840.10008.5.1.4.1.1.13.1.4", "tomo raw"),
        ):
            self.add(name, self.sound().but(0x00080016, b"UI", _even(uid.encode())).encoded(), "multiframe")
        for modality in ("SR", "PR", "OT", "CT", "US", "SC", "DOC", "KO", "SEG", "mg"):
            self.add(f"Modality {modality}", self.sound().but(0x00080060, b"CS", modality.encode()).encoded(), "not_mg")
        secondary = self.sound().but(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0")
        self.add("secondary capture", secondary.encoded(), "used")
        photograph = self.sound().but(0x00080060).but(0x00080016, b"UI", _even(b"1.2.840.10008.5.1.4.1.1.77.1.4"))
        self.add("a photograph without modality", photograph.encoded(), "sop_class")
        raw = self.sound().but(0x00080068, b"CS", b"FOR PROCESSING")
        self.add("raw", raw.encoded(), "for_processing")
        report = self.sound().but(PIXELS).but(0x00280010).but(0x00280011).but(0x0040A730, b"SQ", b"")
        self.add("a report that says it is a mammogram", report.encoded(), "no_pixels")
        for tag, name, size in ((0x7FE00008, "float pixels", 4), (0x7FE00009, "double pixels", 8)):
            vr = b"OF" if size == 4 else b"OD"
            file = self.sound().but(PIXELS).but(tag, vr, b"\0" * (96 * 96 * size))
            self.add(name, file.encoded(), "no_pixels")

    def strange_structures(self) -> None:
        item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        nested = (struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + item) * 3000
        self.add("sequences 3000 deep", self._with_tail(nested), "damaged_header")
        unended = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + item
        self.add("a sequence without end", self._with_tail(unended), "damaged_header")
        for length in (0x7FFFFFFF, 0xFFFFFFFE):
            huge = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, length)
            self.add(f"an element of {length} bytes", self._with_tail(huge), "damaged_header", "no_pixels")
            self.add(f"{length} bytes of pixels", self._pixels_of_length(length), "truncated")
        self.add("tags out of order", _shuffled(self.sound()), "used", *REFUSED)
        self.add("elements twice", _doubled(self.sound()), "used", *REFUSED)
        self.add("bytes after the pixels", self.sound().encoded() + b"\0" * 37, "used")
        self.add("no preamble", self.sound().encoded()[132:], "not_dicom")
        self.add(
            "two files in one",
            self.sound().encoded() + self.sound().encoded(),
            "used",
            "damaged_header",
            "decode_failed",
        )
        charset = self.sound().but(0x00080005, b"CS", b"ISO_IR 9999 ").but(0x00100010, b"PN", b"\xe4\xff\xfe\x80")
        self.add("an unknown character set", charset.encoded(), "used")
        self.add(
            "meta length wrong",
            self.sound().but(0x00020000, b"UL", struct.pack("<I", 9999)).encoded(),
            "used",
            *REFUSED,
        )

    def _with_tail(self, tail: bytes) -> bytes:
        """The header up to the patient, then ``tail``."""
        whole = self.sound()
        return Elements(whole.meta, tuple(e for e in whole.data if e[0] < 0x00080060)).encoded() + tail

    def _pixels_of_length(self, length: int) -> bytes:
        whole = self.sound()
        return whole.but(PIXELS).encoded() + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, length) + b"\1\0" * 900

    def strange_pixels(self) -> None:
        size = 96 * 96 * 2
        for name, pixels, outcomes in (
            ("no bytes of pixels", b"", ("no_pixels", "decode_failed")),
            ("one byte short", breast(seed=1).tobytes()[:-1], ("truncated",)),
            ("half the pixels", breast(seed=2).tobytes()[: size // 2], ("truncated",)),
            ("twice the pixels", breast(seed=3).tobytes() * 2, ("multiframe",)),
            ("all zero", b"\0" * size, ("blank",)),
            ("all one", b"\xff" * size, ("blank",)),
        ):
            self.add(name, self.sound().but(PIXELS, b"OW", pixels).encoded(), *outcomes)
        unknown = self.sound().encoded().replace(b"\xe0\x7f\x10\0OW", b"\xe0\x7f\x10\0O\0")
        self.add("pixels of an unknown VR", unknown, "damaged_header")
        padded = self.sound(pixels=np.full((96, 96), 7, np.uint16), PixelPaddingValue=7)
        self.add("padding only", padded.encoded(), "blank")
        for descriptor, data in (
            ((4096, 0, 12), b"\1\0" * 4),
            ((0, 0, 0), b""),
            ((1, 65535, 99), b"\0\0"),
            ((3,), b"\1\0"),
        ):
            lut = _element(0x00283002, b"US", b"".join(map(_short, descriptor))) + _element(0x00283006, b"OW", data)
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(lut)) + lut
            for tag, name in ((0x00283010, "VOI LUT"), (0x00283000, "modality LUT")):
                file = self.sound().but(tag, b"SQ", item)
                outcomes = "used", "blank", "damaged_header", "grey_scale_ruined"
                self.add(f"{name} {descriptor}", file.encoded(), *outcomes)
        for tag, name in ((0x00283010, "VOI LUT"), (0x00283000, "modality LUT")):
            item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
            self.add(f"{name} without content", self.sound().but(tag, b"SQ", item).encoded(), "used", "damaged_header")

    def no_dicom(self) -> None:
        archive, table = io.BytesIO(), io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("x.dcm"))
        with zipfile.ZipFile(table, "w") as workbook:
            workbook.writestr("xl/workbook.xml", "<workbook/>")
        self.add("empty", b"", "empty")
        for name, content in (
            ("one byte", b"\0"),
            ("text", b"not an image\n" * 50),
            ("html", b"<html>404 Not Found</html>" * 20),
            ("json", b'{"error": "expired"}'),
            ("zeros", b"\0" * 5000),
            ("noise", np.random.default_rng(5).bytes(5000)),
            ("png", b"\x89PNG\r\n\x1a\n" + b"\0" * 300),
            ("jpeg", b"\xff\xd8\xff\xe0" + b"\0" * 300),
            ("tar", archive.getvalue()),
            ("zip", table.getvalue()),
            ("gzip", b"\x1f\x8b" + zlib.compress(b"x" * 1000)),
            ("pickle", pickle.dumps({"x": 1}) * 40),
            ("the word DICM at its start", b"DICM" + b"\0" * 300),
        ):
            self.add(name, content, "not_dicom")
        for name, content in (
            ("preamble only", b"\0" * 128 + b"DICM"),
            ("noise after the preamble", b"\0" * 128 + b"DICM" + np.random.default_rng(6).bytes(999)),
            ("text after the preamble", b"\0" * 128 + b"DICM" + b"text " * 99),
        ):
            self.add(name, content, *REFUSED)


REFUSED = (
    "truncated",
    "not_dicom",
    "damaged_header",
    "no_pixels",
    "decode_failed",
    "not_mg",
    "colour",
    "too_small",
    "too_large",
)
ANY = (*REFUSED, "used", "blank", "multiframe", "bits_unsupported", "for_processing")


def declared_as(content: bytes, real: str, syntax: str) -> bytes:
    """A file with another transfer syntax declared than that of its stream."""
    old, new = (_element(SYNTAX, b"UI", _even(str(uid).encode())) for uid in (real, syntax))
    assert old in content
    return content.replace(old, new)


def _even(value: bytes, pad: bytes = b"\0") -> bytes:
    return value + pad * (len(value) % 2)


def _short(value: int) -> bytes:
    return struct.pack("<H", value)


def _shuffled(elements: Elements) -> bytes:
    return Elements(elements.meta, elements.data[::-1]).encoded()


def _doubled(elements: Elements) -> bytes:
    return Elements(elements.meta, tuple(element for element in elements.data for _ in range(2))).encoded()


def no_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Paths at which no regular file can be read, for anyone, root too."""
    makers: dict[str, Callable[[Path], object]] = {
        "absent": lambda path: None,
        "a directory": Path.mkdir,
        "a dangling link": lambda path: path.symlink_to("nowhere.dcm"),
        "a link to itself": lambda path: path.symlink_to(path.name),
        "a link to a directory": lambda path: path.symlink_to(folder),
        "a fifo": os.mkfifo,
        "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
        "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in makers.items():
        path = folder / name.replace(" ", "-")
        make(path)
        yield name, path
    yield "a name too long", folder / ("x" * 300)
    yield "a name with a NUL", folder / "x\0y"
    yield "below a file", Path(__file__) / "x.dcm"


def endless_header(path: Path, megabytes: int = 40) -> Path:
    """A file whose header takes a reader very long: millions of elements without a value."""
    empty = struct.pack("<HH2sH", 0x0009, 0x1001, b"LO", 0)
    path.write_bytes(b"\0" * 128 + b"DICM" + empty * (megabytes * (1 << 20) // len(empty)))
    return path


def bomb(path: Path, gigabytes: float) -> Path:
    """A small deflated file that unfolds to ``gigabytes``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mammogram(path, breast())
    whole = Elements.of(path).but(SYNTAX, b"UI", _even(str(DeflatedExplicitVRLittleEndian).encode()))
    head, packer = Elements(whole.meta, ()).encoded(), zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    folded = packer.compress(struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0))
    zeros = b"\0" * (1 << 24)
    for _ in range(int(gigabytes * (1 << 30)) >> 24):
        folded += packer.compress(zeros)
    path.write_bytes(head + folded + packer.flush())
    return path
