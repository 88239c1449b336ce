// One image, or the three of a triplet: canvases with one common view (zoom, position) and the mouse that moves it.
import { greyTable, weights } from './resample.js';
import { PlainViewer } from './viewer_plain.js';

const CAPTIONS = ['original', 'adversarial', 'original - adversarial (mid grey: no change)'];
const LARGEST_SCALE = 16;
const CLICK_PIXELS = 4; // a press that moves less is a click

export class Panels {
  // box: the element that the canvases fill. choose(): the viewer's class, asked for when a canvas is made.
  // onTool(name): a tool was used. onClick(x, y): a click on the first panel, in image pixels.
  constructor(box, choose, onTool, onClick) {
    Object.assign(this, { box, choose, onTool, onClick, panels: [], view: { scale: 1, x: 0, y: 0 } });
    this.windows = {};
    this.inverted = false;
    this.tables = {};
    new ResizeObserver(() => this.#resize()).observe(box);
    box.addEventListener('contextmenu', event => event.preventDefault());
    box.addEventListener('wheel', event => this.#wheel(event), { passive: false });
    box.addEventListener('pointermove', event => { this.pointer = event; });
  }

  // Show images, each a Uint16Array; the third is a difference with a window of its own. The windows (low, high) stay
  // as the reader has set them until reset.
  show(images, height, width, defaults) {
    this.defaults = defaults;
    for (const kind of Object.keys(defaults)) this.windows[kind] ??= { ...defaults[kind] };
    Object.assign(this, { images, height, width, marks: [] });
    if (this.panels.length !== images.length) this.#build(images.length);
    images.forEach((pixels, k) => this.panels[k].viewer.load(pixels, height, width));
    this.#resize();
    this.fit();
    this.#draw();
  }

  // Take the images off the screen.
  clear() {
    this.images = null;
    this.panels = [];
    this.box.replaceChildren();
  }

  // Draw circles (x, y, radius in image pixels, and the panels on which to draw them).
  mark(marks) {
    this.marks = marks;
    this.redraw();
  }

  fit() {
    const { width, height } = this.#canvas();
    const scale = Math.min(width / this.width, height / this.height);
    this.view = { scale, x: (width - this.width * scale) / 2, y: (height - this.height * scale) / 2 };
    this.fitted = true;
    this.redraw();
  }

  // One image pixel is one pixel of the screen.
  oneToOne() {
    this.zoom(1 / this.view.scale, this.#at());
    this.view = { scale: 1, x: Math.round(this.view.x), y: Math.round(this.view.y) };
  }

  invert() {
    this.inverted = !this.inverted;
    this.redraw();
  }

  reset() {
    this.windows = structuredClone(this.defaults);
    this.inverted = false;
    this.fit();
  }

  // While on, the image is twice as large around the mouse.
  magnify(on) {
    if (on && !this.before) {
      this.before = { view: this.view, fitted: this.fitted };
      this.zoom(2, this.#at());
    } else if (!on && this.before) {
      Object.assign(this, this.before, { before: null });
      this.redraw();
    }
  }

  zoom(factor, [x, y]) {
    const { width, height } = this.#canvas();
    const smallest = 0.5 * Math.min(width / this.width, height / this.height);
    const scale = Math.min(LARGEST_SCALE, Math.max(smallest, this.view.scale * factor)), by = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * by, y: y - (y - this.view.y) * by };
    this.fitted = false;
    this.redraw();
  }

  pan(dx, dy) {
    this.view = { ...this.view, x: this.view.x + dx, y: this.view.y + dy };
    this.fitted = false;
    this.redraw();
  }

  // Sideways: width of the window. Up and down: its level.
  changeWindow(kind, dx, dy) {
    const { low, high } = this.windows[kind], width = high - low;
    const next = Math.min(131070, Math.max(1, width * Math.exp(dx / 300)));
    const level = Math.min(65535, Math.max(0, (low + high) / 2 + dy * Math.max(width, 64) / 600));
    this.windows[kind] = { low: level - next / 2, high: level + next / 2 };
    this.redraw();
  }

  redraw() {
    if (this.waiting || !this.images) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.images) this.#draw();
    });
  }

  #draw() {
    const { width, height } = this.#canvas(), { scale, x, y } = this.view;
    const key = [width, height, scale, x, y].join();
    if (key !== this.key) {
      this.key = key;
      this.columns = weights(this.width, width, scale, x);
      this.rows = weights(this.height, height, scale, y);
    }
    this.panels.forEach((panel, k) => {
      panel.viewer.draw(this.columns, this.rows, this.#greys(panel.kind));
      this.#drawMarks(panel, k);
    });
  }

  #greys(kind) {
    const { low, high } = this.windows[kind], key = [low, high, this.inverted].join();
    if (this.tables[kind]?.key !== key) this.tables[kind] = { key, table: greyTable(low, high, this.inverted) };
    return this.tables[kind].table;
  }

  #drawMarks(panel, index) {
    const wanted = (this.marks ?? []).filter(mark => mark.panels.includes(index));
    while (panel.rings.length < wanted.length) {
      panel.rings.push(Object.assign(document.createElement('i'), { className: 'ring' }));
      panel.box.append(panel.rings.at(-1));
    }
    const { scale, x, y } = this.view, ratio = devicePixelRatio;
    panel.rings.forEach((ring, k) => {
      ring.hidden = k >= wanted.length;
      if (ring.hidden) return;
      const radius = wanted[k].radius * scale / ratio;
      ring.style.left = `${(x + wanted[k].x * scale) / ratio - radius}px`;
      ring.style.top = `${(y + wanted[k].y * scale) / ratio - radius}px`;
      ring.style.width = ring.style.height = `${2 * radius}px`;
    });
  }

  #build(count) {
    this.box.replaceChildren();
    this.panels = Array.from({ length: count }, (_, k) => this.#panel(k, count));
  }

  #panel(index, count) {
    const box = document.createElement('figure'), canvas = document.createElement('canvas');
    box.append(canvas);
    if (count > 1) box.append(Object.assign(document.createElement('figcaption'), { textContent: CAPTIONS[index] }));
    this.box.append(box);
    const panel = { box, canvas, kind: index === 2 ? 'difference' : 'image', rings: [] };
    panel.viewer = new (this.choose())(canvas);
    canvas.addEventListener('webglcontextlost', () => this.#replace(panel));
    box.addEventListener('pointerdown', event => this.#press(event, panel, index));
    return panel;
  }

  // The graphics processor was lost (a driver restarts): the processor draws from now on.
  #replace(panel) {
    this.choose = () => PlainViewer;
    if (!this.images) return;
    this.#build(this.panels.length);
    this.images.forEach((pixels, k) => this.panels[k].viewer.load(pixels, this.height, this.width));
    this.#resize();
    this.redraw();
  }

  // The canvas has one pixel for each pixel of the screen, whatever the browser's zoom.
  #resize() {
    if (!this.images) return;
    this.#arrange();
    const least = side => Math.min(...this.panels.map(({ box }) => box[side])); // one view needs equal canvases
    const width = Math.max(1, Math.round(least('clientWidth') * devicePixelRatio));
    const height = Math.max(1, Math.round(least('clientHeight') * devicePixelRatio));
    let changed = false;
    for (const { canvas } of this.panels) {
      if (canvas.width === width && canvas.height === height) continue;
      Object.assign(canvas, { width, height });
      canvas.style.width = `${width / devicePixelRatio}px`;
      canvas.style.height = `${height / devicePixelRatio}px`;
      changed = true;
    }
    if (!changed) return;
    this.key = null;
    if (this.fitted) this.fit();
    this.#draw(); // a canvas that changes its size is empty: not even one frame may be
  }

  // As many panels in a row as make the images largest: three on a wide screen, two on an upright one.
  #arrange() {
    const { clientWidth, clientHeight } = this.box, count = this.panels.length;
    const scale = columns => Math.min(
      clientWidth / columns / this.width, clientHeight / Math.ceil(count / columns) / this.height);
    const best = Array.from({ length: count }, (_, k) => k + 1).sort((a, b) => scale(b) - scale(a))[0];
    this.box.style.gridTemplateColumns = `repeat(${best}, minmax(0, 1fr))`;
  }

  #canvas() { return this.panels[0].canvas; }

  // The mouse in canvas pixels, or the middle where it is elsewhere.
  #at(event = this.pointer) {
    const panel = event && this.panels.find(({ box }) => box.contains(event.target));
    const { width, height } = this.#canvas();
    if (!panel) return [width / 2, height / 2];
    const { left, top } = panel.canvas.getBoundingClientRect();
    return [(event.clientX - left) * devicePixelRatio, (event.clientY - top) * devicePixelRatio];
  }

  #wheel(event) {
    event.preventDefault();
    if (!this.images) return;
    this.onTool('zoom');
    this.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 15 : 500)), this.#at(event));
  }

  #press(event, panel, index) {
    if (!this.images) return;
    const { button } = event;
    let [x, y] = [event.clientX, event.clientY], moved = false;
    panel.box.setPointerCapture(event.pointerId);
    const move = at => {
      if (!moved && Math.hypot(at.clientX - x, at.clientY - y) < CLICK_PIXELS) return;
      if (!moved) this.onTool(button ? 'pan' : 'window');
      moved = true;
      const dx = at.clientX - x, dy = at.clientY - y;
      [x, y] = [at.clientX, at.clientY];
      if (button) this.pan(dx * devicePixelRatio, dy * devicePixelRatio);
      else this.changeWindow(panel.kind, dx, dy);
    };
    const up = () => {
      panel.box.removeEventListener('pointermove', move);
      if (!moved && !button && index === 0) this.#clicked(event);
    };
    panel.box.addEventListener('pointermove', move);
    panel.box.addEventListener('pointerup', up, { once: true });
    panel.box.addEventListener('pointercancel', () => panel.box.removeEventListener('pointermove', move), { once: true });
  }

  #clicked(event) {
    const [x, y] = this.#at(event), { scale } = this.view;
    const at = [(x - this.view.x) / scale, (y - this.view.y) / scale];
    if (at[0] >= 0 && at[1] >= 0 && at[0] < this.width && at[1] < this.height) this.onClick(...at);
  }
}
