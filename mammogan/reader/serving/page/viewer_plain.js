// The reference viewer: 16-bit pixels on a 2D canvas, computed on the processor. Works everywhere.

const BLACK = 0xff000000;

export class PlainViewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d', { alpha: false });
    this.words = new Uint32Array(65536);
  }

  load(pixels, height, width) {
    Object.assign(this, { pixels, height, width, columns: null, rows: null });
  }

  // Draw with the weights of columns and rows and a table of greys; each is compared by identity, and what has not
  // changed is not computed again.
  draw(columns, rows, greys) {
    if (columns !== this.columns || rows !== this.rows) this.#resample(columns, rows);
    if (greys !== this.greys) {
      this.greys = greys;
      for (let value = 0; value < 65536; value++) this.words[value] = BLACK | (greys[value] * 0x010101);
    }
    const { words, values, out, canvas: { width } } = this;
    for (let y = rows.from; y < rows.to; y++) {
      for (let k = y * width + columns.from, end = y * width + columns.to; k < end; k++) out[k] = words[values[k]];
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // The grey that the canvas shows at a screen pixel.
  grey(x, y) {
    return this.context.getImageData(x, y, 1, 1).data[0];
  }

  // Bring the image to the canvas's pixels: first along the rows, then along the columns, as 16-bit values.
  #resample(columns, rows) {
    const { pixels, width: imageWidth, canvas: { width, height } } = this;
    Object.assign(this, { columns, rows });
    if (this.image?.width !== width || this.image?.height !== height) {
      this.image = new ImageData(width, height);
      this.out = new Uint32Array(this.image.data.buffer);
      this.values = new Uint16Array(width * height);
    }
    this.out.fill(BLACK);
    const [first, last] = used(rows, height);
    const across = new Uint32Array(Math.max(0, last - first + 1) * width);
    for (let row = first; row <= last; row++) {
      const start = row * imageWidth, target = (row - first) * width;
      for (let tap = 0; tap < columns.taps; tap++) {
        const of = tap * width;
        for (let x = columns.from; x < columns.to; x++)
          across[target + x] += columns.weight[of + x] * pixels[start + columns.index[of + x]];
      }
    }
    const sums = new Float64Array(width);
    for (let y = rows.from; y < rows.to; y++) {
      sums.fill(32768);
      for (let tap = 0; tap < rows.taps; tap++) {
        const weight = rows.weight[tap * height + y];
        if (!weight) continue;
        const start = (rows.index[tap * height + y] - first) * width;
        for (let x = columns.from; x < columns.to; x++) sums[x] += weight * across[start + x];
      }
      for (let x = columns.from; x < columns.to; x++) this.values[y * width + x] = sums[x] / 65536;
    }
  }
}

// First and last image row that any screen row needs.
function used(rows, length) {
  let first = 65535, last = -1;
  for (let tap = 0; tap < rows.taps; tap++) {
    for (let y = rows.from; y < rows.to; y++) {
      first = Math.min(first, rows.index[tap * length + y]);
      last = Math.max(last, rows.index[tap * length + y]);
    }
  }
  return [first, last];
}
