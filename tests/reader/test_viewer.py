"""The viewer shows all 16 bits, exactly: what a screen pixel should be is computed here by other means."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reader.browsers import chromium, needs_chromium

pytestmark = needs_chromium
PAGE = resources.files("mammogan.reader.serving") / "page"
HERE = "http://viewer.test/"

DRAW = """async ([name, text, height, width, canvasHeight, canvasWidth, scale, x, y, low, high]) => {
  const { weights, greyTable } = await import('/static/resample.js');
  const module = await import(`/static/viewer_${name}.js`);
  const canvas = Object.assign(document.createElement('canvas'), { width: canvasWidth, height: canvasHeight });
  const viewer = new (name === 'gl' ? module.GlViewer : module.PlainViewer)(canvas);
  viewer.load(new Uint16Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer), height, width);
  const columns = weights(width, canvasWidth, scale, x), rows = weights(height, canvasHeight, scale, y);
  viewer.draw(columns, rows, greyTable(low, high, false));
  let rgba = new Uint8Array(4 * canvasWidth * canvasHeight);
  if (name === 'gl') {
    viewer.gl.readPixels(0, 0, canvasWidth, canvasHeight, viewer.gl.RGBA, viewer.gl.UNSIGNED_BYTE, rgba);
    viewer.close();
  } else rgba = viewer.context.getImageData(0, 0, canvasWidth, canvasHeight).data;
  const greys = rgba.filter((_, k) => k % 4 === 0);
  if (!rgba.every((value, k) => value === (k % 4 === 3 ? 255 : greys[k >> 2]))) throw new Error('not grey and opaque');
  return btoa(greys.reduce((word, grey) => word + String.fromCharCode(grey), ''));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def blank(browser: Any, **options: Any) -> Any:
    """An empty tab that can import the page's modules."""

    def fulfil(route: Any) -> None:
        name = route.request.url.removeprefix(f"{HERE}static/")
        if name == route.request.url:
            body = "<!doctype html><link rel=icon href=data:,><link rel=stylesheet href=/static/read.css><body></body>"
            route.fulfill(body=body, content_type="text/html")
        else:
            kind = "text/css" if name.endswith("css") else "text/javascript"
            route.fulfill(body=(PAGE / name).read_text(), content_type=kind)

    context = browser.new_context(**options)
    context.route("**/*", fulfil)
    tab = context.new_page()
    tab.goto(HERE)
    return tab


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    return blank(browser)


def encoded(pixels: np.ndarray) -> str:
    return base64.b64encode(pixels.astype("<u2").tobytes()).decode()


def drawn(
    tab: Any, viewer: str, pixels: np.ndarray, canvas: tuple[int, int], scale: float, origin: tuple[float, float],
    window: tuple[int, int] = (0, 65535),
) -> np.ndarray:  # fmt: skip
    """Greys on a canvas (height, width), uint8, as one of the viewers draws them; origin is x, y."""
    told = tab.evaluate(DRAW, [viewer, encoded(pixels), *pixels.shape, *canvas, scale, *origin, *window])
    shown = np.frombuffer(base64.b64decode(told), np.uint8).reshape(canvas)
    return shown[::-1] if viewer == "gl" else shown


def windowed(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.floor(255 * np.clip((values - low) / (high - low), 0, 1) + 0.5).astype(np.uint8)


RAMP = np.arange(65536).reshape(256, 256)
NOISE = np.random.default_rng(0).integers(0, 65536, (120, 90))
VIEWERS = ("plain", "gl")


@pytest.mark.parametrize("viewer", VIEWERS)
def test_every_one_of_65536_values_gets_its_grey(tab: Any, viewer: str) -> None:
    assert (drawn(tab, viewer, RAMP, (256, 256), 1, (0, 0)) == windowed(RAMP, 0, 65535)).all()
    assert (drawn(tab, viewer, RAMP, (256, 256), 1, (0, 0), (1000, 1255)) == windowed(RAMP, 1000, 1255)).all()


@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("level", [0, 1, 255, 256, 4095, 32767, 32768, 65279, 65533])
def test_a_step_of_one_value_can_be_black_and_white(tab: Any, viewer: str, level: int) -> None:
    step = np.full((4, 4), level)
    step[:, 2:] += 1
    assert drawn(tab, viewer, step, (4, 4), 1, (0, 0), (level, level + 1))[0].tolist() == [0, 0, 255, 255]


GEOMETRIES = [
    (1.0, (0, 0)), (1.0, (-13, 7)), (1.45, (-20.3, 4.7)), (3.3, (-50, -90.25)), (0.69, (3.1, -2.6)), (0.37, (0.4, 9)),
]  # fmt: skip


@pytest.mark.parametrize(("scale", "origin"), GEOMETRIES)
def test_both_viewers_show_the_same_greys_everywhere(tab: Any, scale: float, origin: tuple[float, float]) -> None:
    plain, gl = (drawn(tab, viewer, NOISE, (77, 101), scale, origin, (20000, 20400)) for viewer in VIEWERS)
    assert (plain == gl).all() and len(np.unique(plain)) > 5


def test_reduced_each_screen_pixel_is_the_mean_under_it(tab: Any) -> None:
    mean = NOISE.reshape(60, 2, 45, 2).mean((1, 3))
    assert np.abs(drawn(tab, "plain", NOISE, (60, 45), 0.5, (0, 0)) - windowed(mean, 0, 65535).astype(int)).max() <= 1
    speck = np.zeros((90, 90))
    speck[41, 43] = 65535
    assert drawn(tab, "plain", speck, (33, 33), 0.367, (0, 0), (0, 2000)).max() == 255, "a calcification stays"


def test_enlarged_it_interpolates_values_before_the_window(tab: Any) -> None:
    edge = np.array([[1000, 1200]] * 2)
    shown = drawn(tab, "plain", edge, (8, 8), 4, (0, 0), (1100, 1101))
    assert shown[3].tolist() == [0, 0, 0, 0, 255, 255, 255, 255], "a greyed edge would be a window of greys"


def test_outside_the_image_the_screen_is_black(tab: Any) -> None:
    for viewer in VIEWERS:
        shown = drawn(tab, viewer, np.full((10, 10), 65535), (20, 30), 1, (5, 2))
        assert (shown[2:12, 5:15] == 255).all() and shown.astype(int).sum() == 255 * 100


def test_a_16_bit_png_in_a_canvas_would_lose_8_bits(tab: Any) -> None:
    file = io.BytesIO()
    Image.fromarray(RAMP.astype(np.uint16)).save(file, "PNG")
    levels = tab.evaluate(
        """async text => {
          const image = new Image();
          image.src = `data:image/png;base64,${text}`;
          await image.decode();
          const canvas = Object.assign(document.createElement('canvas'), { width: 256, height: 256 });
          const context = canvas.getContext('2d');
          context.drawImage(image, 0, 0);
          return new Set(context.getImageData(0, 0, 256, 256).data).size;
        }""",
        base64.b64encode(file.getvalue()).decode(),
    )
    assert levels <= 256


def test_the_faster_viewer_is_taken(tab: Any) -> None:
    chosen = tab.evaluate(
        """async () => {
          const { chooseViewer } = await import('/static/viewer.js');
          const { renderer, ms } = chooseViewer(400, 300, 600, 500);
          return { renderer, ...ms };
        }"""
    )
    faster = chosen["gl"] is not None and chosen["gl"] < chosen["plain"]
    assert chosen["renderer"] == ("webgl2" if faster else "canvas") and chosen["plain"] > 0


PANELS = """async ([texts, height, width]) => {
  const { Panels } = await import('/static/panels.js');
  const { PlainViewer } = await import('/static/viewer_plain.js');
  const box = document.createElement('div');
  box.id = 'images';
  box.style = 'position: fixed; inset: 0';
  document.body.replaceChildren(box);
  window.panels = new Panels(box, () => PlainViewer, () => {}, (x, y) => { window.clicked = [x, y]; });
  const images = texts.map(text => new Uint16Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer));
  const all = { image: { low: 0, high: 65535 }, difference: { low: 0, high: 65535 } };
  window.panels.show(images, height, width, all);
}"""
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def screenshot(tab: Any) -> np.ndarray:
    """Greys of the screen's pixels, whatever the browser's zoom."""
    tab.evaluate(PAINTED)
    return np.asarray(Image.open(io.BytesIO(tab.screenshot(scale="device"))).convert("L"))


def test_one_to_one_is_one_image_pixel_on_one_pixel_of_the_screen(browser: Any) -> None:
    tab = blank(browser, viewport={"width": 100, "height": 80}, device_scale_factor=2)
    tab.evaluate(PANELS, [[encoded(NOISE)], *NOISE.shape])
    tab.evaluate("panels.oneToOne()")
    shown, expected = screenshot(tab), windowed(NOISE, 0, 65535)
    assert shown.shape == (160, 200)
    assert (shown[20:140, 55:145] == expected).all(), "120 x 90 in the middle of 160 x 200"


def test_the_panels_of_a_triplet_move_together_and_the_difference_has_its_own_window(browser: Any) -> None:
    tab = blank(browser, viewport={"width": 308, "height": 120})
    tab.evaluate(PANELS, [[encoded(NOISE)] * 3, *NOISE.shape])
    tab.add_style_tag(content="figcaption { display: none }")
    start = screenshot(tab)
    tab.mouse.move(50, 60)
    tab.mouse.wheel(0, -300)
    tab.mouse.down(button="right")
    tab.mouse.move(70, 50, steps=4)
    tab.mouse.up(button="right")
    moved = screenshot(tab)
    first, second, third = (moved[:, left : left + 100] for left in (0, 104, 208))
    assert (first == second).all() and (first == third).all() and (first != start[:, :100]).mean() > 0.5
    tab.mouse.down()
    tab.mouse.move(90, 90, steps=4)
    tab.mouse.up()
    windowed_now = screenshot(tab)
    first, second, third = (windowed_now[:, left : left + 100] for left in (0, 104, 208))
    assert (first == second).all() and (third == moved[:, 208:308]).all() and (first != third).any()
