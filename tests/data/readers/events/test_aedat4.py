"""AEDAT 4: files that dv-processing 2.0.4 wrote, and broken ones."""

from __future__ import annotations

import base64
import importlib.util
import struct
import sys
import zlib

import numpy as np
import pytest

from pcmamba.data import ReadError, read_events
from pcmamba.data.readers.events import lz4

# Deflated. Stream 0: 40 events; stream 1: one black frame in two packets.
FILES = {
    "lz4": """
eNrdVktsE1cUPQ6O4xrHmcQJTZxAh2cQIQ3+IDdkYTvOxxGRGqAQ0ZQVJp6EUcmMNR5HggUKkLYphE/4ZIm6QKyqqstuKiGE
EGKBBEJCQhUrlggBldjR9sw4H+O4bdRVxZPe6L5z7ufdd+97muDm3vT+HQO9I7FQpNZzpxpoBjC0d3ca9vBw7YQXbkqAg1Pi
1N1YHhdoE89OyVOKkVd1LSF2hiIi6ZE54pqeVWQtM6kkhF4wh7RxXci5jHk0IcKL6/Ciarl6ZJVipFTVVs+YpiF/rRxPiDF9
MmcoeSu+kM3jOTrIm4aqTYjk54di8bCl+bfGuqFOqFrm2LCeLRxT9jB8uY9hXdP7iRuZLw3VVIw1OtxbMHMFs5JDZUrRzPy/
uLFMBpT8mKHmzAqJ9Rfypj4pZzNmxmZk3Q4XWoPXoSzDq+OqYpQ7TR8cOVDRQUlp1EpljITVsmpWiJ1XTyijSyFVzRTJrorF
qWD21Xtmse61mOkFY2zV0Y/ZdayYY9hKsqQdy9clZxBddQDRD6g9xw2C/8f2HNw/nP5P7Rn9sNtzSY6Hs1NJT/FdfsLpFMPN
qdStexR/F15H8fG27jjg4pPu5JdKnHWWxfTdGyfPr7ONrYd+QUK0BtWNEJ2nZER98Ejw3ybYhLoIxOhpgm1olOF/STCIFgli
5gzBDmwiH5ghGkWQ/M+UutFOfvAb8j3YEYH/N4IuVMkQxrcEa1FD3v0d0UZ4yV+n1Ip68rFZGdMCG1A6+h3L6cUovgn++A/p
tXDeny2mtx2tdnqHv5dwJQLZ9vaWwXZhK3cwd5abSaKDGYhzRKsRZga/SKj3HkEfsGeOvB8fcYfPSQfgo+aJ8wQ3w0976QLR
djSTv0kpjI3MIH6RfBdJ+B8RTGAbjY5eIuhEJ93/QffrN1nur84TbICrAaLjMlVbsJ6ebpGXuxzkD14hvw1NBF+QDiFAT6ev
EvwMnzB88zWicWwh/xMlpsvwAwvkPQgx/FMJ0/VYZ5/AUqEnVjpllOLDES/QTsG6bVT4IsCV14P5RrTZ5+ny4Z3LjQAXKRRP
0FPsHTccn6KqB3VV+HNlvNq3XLXFMD9YDbnh8eLfxOBIb195xaw2nOPcLeE1HtDJ0kbdjIF6hwvXSqJWfYw38GEnf1ScsLa5
Bb4mGHaT/OqqRUNLDcn7symIpwu2eo8PnSngiHVLnlULNNTVIMgrgOnY7Mo1+AvYSC8M
""",
    "zstd": """
eNpTVnR0DdJ1cQwx0TPg5TrCysAgwcDA4Onv4coABlwMIgwsDDwMHEAWAwMzEPMA8Tt2iOwEoHqblDKFstSi4sz8PFslIz0D
JTsuBSCwyctPSVXIS8xNtVXKLy3xzEvLV1IoSCzJsFXSh/L1oUrRlRtgKDRAVgpWnlhSUqSQnVppq5Scn1tQlFoMsl9JoaSy
AGhAcUlRZl66kl1UcIiLjT5IKU7d+UWZ6Zl5iTm++SmlOal+QPvRDfHNz8t3BooXJYYXZZakFhFpoH9pSUFpCTYDU8tS80qK
CRgD0uKSWpxclFlQgsVnzqXFJfm5CimJJYlgGYV8sHV6RJjqmQK0PjMtM7UI3VDXsJBgrAYgxU0mtng00M9Ei04sdhdnVqVG
wKzMzCtRsjMzwWYbFm2RKNpMLIjRll9alIwR9MngeMTqR32QJ5HSIzofKQwMMQLAcDilz7QioOBgTJ9uQb6uZKVPw+GdPmFs
G/2UMjsuBihYB8QaW/X/JggwqLIyBLFLKTXcTis+IJNlecBk2sbLrF5nZZTbZ9z9rRxwvXQpf/4pz20+jPsLD13ScApbf+ho
1gPTFW4NsV1tJz0rtczje4w+26rorjg/sWiVrpufkktbz4eEXRxV6/KZdYVywqqO7Czf2XxXPmDF5yPRijIMCQY7mHnYyhsO
PuAzkLjDyNZsfSChgF2C5x1D80FZuGTwXcbK9G2GIo9m554p6RWdwghyNRMj1NUbGI6yMyw6pWGS0HmO8UqL5DMpmafHlfj1
21pULroE7ngY1LYhMnL1jKMFO45tqzc8+m8/v3xB1Cfe+o/3+9+K/DcxfbqXo38PQ96RZxevGrXfYnk34eyGPxuflL8+8nVb
07Wpbd/0Sx8XL5WqmRzEnR9olSR2kf0tX1dq9rnmk3M6GS2NWeOCvDqsvfj3HEkoksu8wxul8WO5fvUyPxZ2rtau+t+r7+/6
tfErM0vKgf6/LIIGCguam5YxN7+34FA6xWTwo+/ge4ma4wcLj6s4W36Xqjn+oOq4Cx/rHesffc3vJf70HSyXAYqV8+xLZjtf
dnxL+6nvfPua2c9b88mVH3v2NFrJOEIDFBQBsPiL4DZlYlBhDgFWvBpAMVAuYJACMnmAVbMMUICFgQ1YPUsBWQ4MBgwKoEq7
4diSul5mdoZfzPxODgy6O4x4DJhWCxwQB5mncOMpM8OlY6KKC1Zb/j+8vm47f3d92RHLuvf/F0x7mxCf6xid+70uT+npNM1o
1UjxqzPEGOYmi4nxTbV8NPWm8aoZFS+EjNzWTlqTLcUTo2dZ/T5Tafmeu7KvuJzsZYRP8N5n4WdIUDjBwyMgZMjSud2p16iJ
bXXjxoSGqUYCDEwH7t46qSYJALJJuq4=
""",
    "none": """
eNrtl01ME0EUxx8KiLUgKBjAr2XBgAS6LanIoa0ilMCBkmCDeLNpF9gIu8122wQORhG/QVGRoyfjyRCOHo0xHjx4MJ6M8eTR
eOQovpk3i7WsSjwZ3H+yZX87/3nTmXnM9jU2dEeH23u740Gfv9zzqgSgFgAGhvqjwOWBaigGL5ThHcmLV2kN3S+iP5TKSTnV
zGiGHpY7fH454pFQId1IqZKemFLDspG1BvQxQ5bSCWsiLCuCFWEttPs3Gf35Vm5PWJYpXVSnw3LSmEqbaoaNL0vWdBoDZCxT
08flSGwoFg0pzPrL3oapjWt6YnLQSGUn1RiOXxhk0NCNHnxuJs6ZmqWaWww4lLXSWcspoJpTdSvzhzCsS6+aSZpa2nKYWU82
YxlTUiphJXiLZPDhfFuIOpDC4bUxTTULg0ZH4mcdA+Ttjea0j35FK9hOh7Ez2ow6ag+p6ZYc6Qw6jebQ7fxP3YJdW+lmZM3k
pqVP8n10nKPCJpmXj4WctwaBTQsQ2E75OWbiw38xP/uGB6N/lZ+B7Z2f9n1ISeUi9jENlUV4VuNViffsPxtPbTzFi/ET8BNg
LzNdfv3k0sJO7kcrLAveBSX8WdsV4gpx+r8UXIO9mX90lvgQviWYvgpuhDrOc1eJW+EI99fPEQfQwbQquAtaOPddIz4F7dz/
UXAp7ODt5nXicvyGTGU3iKvxrcT8jwUfhCreHrxJLMMBe1lgFY3PfrMu7Ju/Ef2OYyQW98ItYj9IPMaa4JNwjPP8beIIzpT5
5TvEJaDw9ueCvXwEgNg88X7Yzf2fBdfjSjPNLBA3oIPv5V3iFnw7M/9TwQoc5u2he8SdOFOmd4LD0Mz9E4vExdDG278J3sNb
AZbuE+/DVWBPWh8Q16GD6YVgia8awMhD4mbMBOb/ItiHM2CaXSI+AUc51z4iDkET968IZivM1LtM7MEITB8EV6GjSOTmKP7w
iOPFMoWdBLSb9chefleNWQhiHzEz+Dc5LXbMI/K68O/GDxpXrly5cuXKlStXrlz9N3oPVA/2xbvPFNaDrEqYx6tf8Nv19XW7
Hlkpg43aGRzqDFIFdPDKj1UoTaLCozp0jYoVUS3/qDvt+sfu3+bQn9X3n6hMp1o+r563697vUDxxBQ==
""",
}
INDEX = np.arange(40)
COLUMNS = {"x": 7 * INDEX % 64, "y": 5 * INDEX % 48, "t": 150 * INDEX, "p": INDEX % 3 == 0}


def content(name: str) -> bytes:
    return zlib.decompress(base64.b64decode(FILES[name]))


@pytest.mark.parametrize("name", list(FILES))
def test_files_of_dv_are_read(name, tmp_path):
    if name == "zstd" and not any(
        importlib.util.find_spec(module) for module in ("zstandard", "compression")
    ):
        pytest.skip("needs zstandard")
    (tmp_path / "a.aedat4").write_bytes(content(name))
    events = read_events(tmp_path / "a.aedat4")
    for column, values in COLUMNS.items():
        assert (getattr(events, column) == values).all(), column
    assert events.resolution_hw == (48, 64) and events.t0 == 10**15
    assert events.notes == ("stream 1 of type FRME left out",)


def test_without_zstandard_the_command_is_told(tmp_path, monkeypatch):
    for module in ("zstandard", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.aedat4").write_bytes(content("zstd"))
    with pytest.raises(ImportError, match="needs zstandard: pip install zstandard"):
        read_events(tmp_path / "a.aedat4")


def test_the_package_aedat_reads_the_same(tmp_path):
    aedat = pytest.importorskip("aedat")
    (tmp_path / "a.aedat4").write_bytes(content("lz4"))
    packets = [p["events"] for p in aedat.Decoder(str(tmp_path / "a.aedat4")) if "events" in p]
    theirs, ours = np.concatenate(packets), read_events(tmp_path / "a.aedat4")
    assert (theirs["t"].astype(np.int64) == ours.t + ours.t0).all()
    assert (theirs["x"] == ours.x).all() and (theirs["y"] == ours.y).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d[:40], "expected a header of"),
        (lambda d: d[:1700], "expected the index of packets behind the header"),
        (lambda d: d[:14] + struct.pack("<I", 4) + bytes(4), "no streams|expected a table"),
        (lambda d: d.replace(b"EVTS<", b"TRIG<"), "of type EVTS, got FRME, TRIG"),
        (
            lambda d: d.replace(b"\x00EVTS", b"\x00FRME"),
            "of type EVTS, got b'FRME",
        ),
        (lambda d: b"#!AER-DAT4.1" + d[12:], "expected a first line '#!AER-DAT4.0'"),
    ],
    ids=["header", "cut off", "empty table", "no events", "other type", "version"],
)
def test_broken_files_are_refused(change, said, tmp_path):
    (tmp_path / "a.aedat4").write_bytes(change(content("none")))
    with pytest.raises(ReadError, match=said):
        read_events(tmp_path / "a.aedat4")


def lz4_frame(*blocks: bytes, flags: int = 0x60) -> bytes:
    sizes = (struct.pack("<I", len(block)) + block for block in blocks)
    return lz4.MAGIC + bytes([flags, 0x40, 0]) + b"".join(sizes) + bytes(4)


def test_lz4_by_hand():
    # 3 new bytes, then 4 + 4 copied from 2 back: abc bcbcbcbc; then 1 new byte.
    first = bytes([3 << 4 | 4]) + b"abc" + bytes([2, 0]) + bytes([1 << 4]) + b"d"
    assert lz4.decompress(lz4_frame(first), 100) == b"abcbcbcbcbcd"
    # A later block copies from an earlier one; 15 + 255 + 0 new bytes in the third.
    second = bytes([4]) + bytes([12, 0]) + bytes([0])
    third = bytes([15 << 4, 255, 0]) + bytes(range(255)) + bytes(15)
    expanded = lz4.decompress(lz4_frame(first, second, third), 1000)
    assert expanded == b"abcbcbcbcbcd" + b"abcbcbcb" + bytes(range(255)) + bytes(15)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (lz4_frame(bytes([4, 9, 0])), "whole LZ4"),
        (lz4_frame(bytes([5 << 4]) + b"abc"), "whole LZ4"),
        (lz4_frame(bytes([15 << 4, 255])), "whole LZ4"),
        (
            lz4_frame(bytes([1 << 4 | 15]) + b"a" + bytes([1, 0]) + b"\xff" * 9 + b"\0"),
            "at most 100",
        ),
        (lz4_frame(b"\x10a")[:-1], "end mark"),
        (lz4_frame(flags=0x61), "without dictionary"),
    ],
    ids=["before the start", "cut off", "length cut off", "too much", "no end", "dictionary"],
)
def test_broken_lz4_is_refused(frame, said):
    with pytest.raises(ValueError, match=said):
        lz4.decompress(frame, 100)
