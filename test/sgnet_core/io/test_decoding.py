# SPDX-License-Identifier: Apache-2.0
"""Images of strangers: claimed sizes, other formats, damage. Bytes are built from the formats."""

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgnet_core.errors import DataError
from sgnet_core.io.decoding import EncodedImage

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 14)).astype(np.uint8)
RGB = RNG.integers(0, 256, (9, 14, 3)).astype(np.uint8)


def encoded(suffix, pixels=RGB, *options):
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def patched(content, at, new):
    return content[:at] + new + content[at + len(new) :]


def chunk(kind, content):
    return (
        struct.pack('>I', len(content))
        + kind
        + content
        + struct.pack('>I', zlib.crc32(kind + content))
    )


def png_of(width, height):
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0))
    return PNG_START + header + chunk(b'IDAT', zlib.compress(bytes(99))) + chunk(b'IEND', b'')


def jpeg_of(width, height, before=b'', *options):
    content = encoded('.jpg', RGB, *options)
    at = content.index(b'\xff\xc2' if options else b'\xff\xc0')
    content = patched(content, at + 5, struct.pack('>HH', height, width))
    return content[:at] + before + content[at:]


def tiff_of(width, height, order):
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 1}
    entries = b''.join(struct.pack(order + 'HHII', tag, 4, 1, value) for tag, value in tags.items())
    start = {'<': b'II*\0', '>': b'MM\0*'}[order] + struct.pack(order + 'I', 8)
    return start + struct.pack(order + 'H', len(tags)) + entries + bytes(64)


def webp_of(width, height):
    size = (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
    body = b'WEBPVP8X' + struct.pack('<II', 10, 0) + size + encoded('.webp')[12:]
    return b'RIFF' + struct.pack('<I', len(body)) + body


PNG_START = b'\x89PNG\r\n\x1a\n'
EXTENDED_JPEG = (int(cv2.IMWRITE_JPEG_PROGRESSIVE), 1)
CLAIMS = {
    'png': (png_of(60_000, 60_000), '60000x60000'),
    'jpeg': (jpeg_of(65_500, 65_500), '65500x65500'),
    'jpeg fill bytes': (jpeg_of(65_500, 65_500, b'\xff' * 3), '65500x65500'),
    'jpeg comment': (jpeg_of(30_000, 20_000, b'\xff\xfe\0\x04\xff\xc0'), '30000x20000'),
    'jpeg progressive': (jpeg_of(30_000, 20_000, b'', *EXTENDED_JPEG), '30000x20000'),
    'tiff': (tiff_of(50_000, 50_000, '<'), '50000x50000'),
    'tiff big-endian': (tiff_of(50_000, 50_000, '>'), '50000x50000'),
    'bmp': (patched(encoded('.bmp'), 18, struct.pack('<ii', 40_000, 40_000)), '40000x40000'),
    'bmp upside down': (patched(encoded('.bmp'), 18, struct.pack('<ii', 9000, -9000)), '9000x9000'),
    'ppm': (b'P6\n# by hand\n70000 70000\n255\n' + bytes(99), '70000x70000'),
    'pgm': (b'P5 70000 70000 65535\n' + bytes(99), '70000x70000'),
    'one row too many': (png_of(8000, 8001), '8000x8001'),
}


@pytest.mark.parametrize('case', CLAIMS)
def test_claimed_size_is_checked_before_decoding(case, monkeypatch):
    content, size = CLAIMS[case]
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    with pytest.raises(DataError, match=f'x.img: the header claims {size} pixels, .* 64 megap'):
        EncodedImage('x.img', content)


def test_limit_is_a_parameter():
    content = encoded('.png')
    assert EncodedImage('x', content, max_pixels=9 * 14).size == (9, 14)
    with pytest.raises(DataError, match='claims 14x9 pixels'):
        EncodedImage('x', content, max_pixels=9 * 14 - 1)


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        (b'', '0 bytes are not an image, .*; restore the file$'),
        (b'\x00\x01', '2 bytes are not an image, .*; restore the file, or save it as PNG$'),
        (PNG_START + chunk(b'IEND', b''), r'damaged \(.*\); restore'),
        (PNG_START, 'cut off after 8 bytes; restore'),
        (b'\xff\xd8', 'cut off after 2 bytes'),
        (b'\xff\xd8\xff\xd9', r'damaged \('),
        (jpeg_of(7000, 9000), r'\d+ bytes cannot hold 7000x9000 pixels; restore'),
        (jpeg_of(400, 400), r'\d+ bytes cannot hold 400x400 pixels; restore'),
        (
            jpeg_of(4000, 4000)[:-2] + bytes(99_999) + b'\xff\xda\0\2' * 16 + b'\xff\xd9',
            '17 scans of 4000x4000 pixels take too long to decode; save it as a JPEG',
        ),
        (encoded('.png')[:60] + encoded('.png')[61:], r'damaged \('),
        (b'II*\0\x08\0\0\0', 'damaged or not'),
        (b'BM' + bytes(9), 'damaged or not'),
        (b'RIFF\4\0\0\0WEBP', 'damaged or not'),
        (webp_of(9000, 9000), 'damaged|claims'),
        (b'P6 4', 'damaged or not'),
        (b'P5 4 4 255\nab', 'damaged|cannot be decoded'),
        (b'v/1\x01\2\0\0\0' + bytes(64), 'OpenEXR is not supported; save it as PNG'),
        (b'\x93NUMPY\1\0', 'NumPy is not supported; save'),
        (b'Pf\n4 4\n-1.0\n' + bytes(64), 'PFM is not supported; save'),
        (b'GIF89a' + bytes(64), 'GIF is not supported; save'),
    ],
)
def test_other_content_is_one_line(content, problem):
    with pytest.raises(DataError, match='^x: (' + problem + ')') as caught:
        EncodedImage('x', content).pixels()
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('options', [(), EXTENDED_JPEG, (int(cv2.IMWRITE_JPEG_RST_INTERVAL), 1)])
def test_end_of_a_jpeg_is_that_of_the_image(options):
    """Not that of a thumbnail before it, nor of a video behind it."""
    thumbnail, content = encoded('.jpg', RGB[:3, :3]), encoded('.jpg', RGB, *options)
    content = b'\xff\xd8\xff\xe1' + struct.pack('>H', len(thumbnail) + 2) + thumbnail + content[2:]
    expected = EncodedImage('x', content).pixels()
    for behind in (bytes(99), b'\xff\xda' * 99, b'\xff\xd9' * 2):
        np.testing.assert_array_equal(EncodedImage('x', content + behind).pixels(), expected)
    for length in range(len(content) - 60, len(content)):
        with pytest.raises(DataError, match='cut off'):
            EncodedImage('x', content[:length])


@pytest.mark.parametrize('shape', [(2000, 2000), (2000, 2000, 3), (1999, 17, 3)])
@pytest.mark.parametrize('progressive', [0, 1])
@pytest.mark.parametrize('sampling', [0x411111, 0x221111, 0x111111])
def test_smallest_jpeg_is_read(shape, progressive, sampling):
    options = [cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    content = encoded('.jpg', np.full(shape, 128, np.uint8), *options)
    assert EncodedImage('x', content).pixels().shape == shape


@pytest.mark.parametrize(
    'error', [cv2.error('a\nb'), MemoryError(), RecursionError('deep'), struct.error('short')]
)
def test_errors_of_the_decoder_become_data_errors(error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(cv2, 'imdecode', fail)
    with pytest.raises(DataError, match=r'^x: cannot be decoded \((a|deep|short|MemoryError)\)'):
        EncodedImage('x', encoded('.png')).pixels()


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.tiff', '.bmp', '.webp', '.ppm', '.pgm'])
def test_valid_image_is_decoded_as_stored(suffix):
    content = encoded(suffix, GREY if suffix == '.pgm' else RGB)
    image = EncodedImage('x', content)
    assert image.size == (9, 14)
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image.pixels(), expected)


def saved(pixels, kind, orientation):
    exif, content = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    options = {'tiffinfo': {0x0112: orientation}} if kind == 'TIFF' else {'exif': exif}
    PIL.Image.fromarray(pixels).save(content, kind, **options)
    return EncodedImage('x', content.getvalue())


@pytest.mark.parametrize('orientation', [1, 3, 6])
@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'WEBP', 'TIFF'])
def test_orientation_is_never_applied(kind, orientation):
    image = saved(RGB, kind, orientation)
    assert image.orientation == orientation
    if kind == 'TIFF' and orientation > 1:  # OpenCV would apply it
        with pytest.raises(DataError, match=f'TIFF with orientation {orientation}; save it unturn'):
            image.pixels()
    elif kind in ('PNG', 'TIFF'):
        np.testing.assert_array_equal(image.pixels()[..., ::-1], RGB)
    else:
        assert image.pixels().shape == RGB.shape


SEEDS = [
    *(encoded(suffix) for suffix in ('.png', '.jpg', '.tiff', '.bmp', '.webp', '.ppm')),
    encoded('.png', GREY.astype(np.uint16)),
    encoded('.jpg', RGB, *EXTENDED_JPEG),
    *(content for content, _ in CLAIMS.values()),
]
EDITS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 2), st.binary(max_size=4)), max_size=4
)


@given(st.sampled_from(SEEDS) | st.binary(max_size=64), EDITS)
def test_any_bytes_are_an_image_or_a_data_error(content, edits):
    """Bytes that are overwritten, inserted or removed."""
    for at, removed, new in edits:
        at %= len(content) + 1
        content = content[:at] + new + content[at + removed :]
    try:
        image = EncodedImage('x', content)
        pixels = image.pixels()
    except DataError as error:
        assert str(error).startswith('x: ')
        assert '\n' not in str(error)
    else:
        assert pixels.shape[:2] == image.size
        image.indices()
        assert image.orientation
