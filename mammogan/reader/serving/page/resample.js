// Which image pixels each screen pixel shows, and with which weight. Both viewers use these numbers, in whole 256ths, so
// that their sums are exact integers and their greys are the same.

// Weights along one axis: image pixel k has its centre at origin + (k + 0.5) * scale on the canvas. Enlarged, a screen
// pixel is interpolated between the two nearest image pixels; reduced, it is the mean of all image pixels under it, so
// that a small calcification cannot fall between the screen's pixels. Returns from, to (screen pixels that lie on the
// image), taps, and index and weight, each with taps entries a screen pixel, tap after tap.
export function weights(imageLength, canvasLength, scale, origin) {
  const taps = scale >= 1 ? 2 : Math.ceil(1 / scale) + 1;
  const index = new Uint16Array(taps * canvasLength);
  const weight = new Uint16Array(taps * canvasLength);
  const from = Math.min(canvasLength, Math.max(0, Math.ceil(origin - 0.5)));
  const to = Math.max(from, Math.min(canvasLength, Math.ceil(origin + imageLength * scale - 0.5)));
  const width = Math.max(1, 1 / scale);
  for (let x = from; x < to; x++) {
    const start = (x + 0.5 - origin) / scale - width / 2;
    const first = Math.floor(start);
    let covered = 0;
    for (let tap = 0; tap < taps; tap++) {
      const share = Math.min(1, Math.max(0, (first + tap + 1 - start) / width));
      const upTo = tap === taps - 1 ? 256 : Math.round(256 * share);
      index[tap * canvasLength + x] = Math.min(imageLength - 1, Math.max(0, first + tap));
      weight[tap * canvasLength + x] = upTo - covered;
      covered = upTo;
    }
  }
  return { from, to, taps, index, weight };
}

// The grey (0 to 255) of each of the 65536 pixel values: low and below black, high and above white, linear between.
export function greyTable(low, high, inverted) {
  const table = new Uint8Array(65536);
  const width = Math.max(1, high - low);
  for (let value = 0; value < 65536; value++) {
    const grey = Math.round(255 * Math.min(1, Math.max(0, (value - low) / width)));
    table[value] = inverted ? 255 - grey : grey;
  }
  return table;
}
