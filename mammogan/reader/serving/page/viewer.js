// Chooses the viewer: the processor's unless the graphics processor was measured to be faster.
import { greyTable, weights } from './resample.js';
import { GlViewer } from './viewer_gl.js';
import { PlainViewer } from './viewer_plain.js';

const FRAMES = 3;
const HOPELESS_MS = 100; // a first WebGL2 frame that takes this long is drawn without a graphics processor

// Time one frame of both viewers for an image of this size on a canvas of this size. Returns the faster class as
// Viewer, and ms of each for the record; WebGL2's is null where it is missing.
export function chooseViewer(imageHeight, imageWidth, canvasHeight, canvasWidth) {
  const pixels = new Uint16Array(imageHeight * imageWidth).map((_, k) => (k * 40503) & 65535);
  const time = (Viewer, most) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: canvasWidth, height: canvasHeight });
    const viewer = new Viewer(canvas);
    viewer.load(pixels, imageHeight, imageWidth);
    const greys = greyTable(0, 65535, false), taken = [];
    for (let frame = -1; frame < FRAMES; frame++) {
      const scale = Math.min(canvasHeight / imageHeight, canvasWidth / imageWidth), start = performance.now();
      viewer.draw(weights(imageWidth, canvasWidth, scale, frame), weights(imageHeight, canvasHeight, scale, frame), greys);
      viewer.grey(canvasWidth >> 1, canvasHeight >> 1); // waits until the frame is drawn
      const ms = performance.now() - start;
      if (frame >= 0) taken.push(ms); // the first one compiles
      if (ms > most) { taken.push(ms); break; }
    }
    viewer.close?.();
    return taken.sort((a, b) => a - b)[taken.length >> 1];
  };
  const plain = time(PlainViewer, Infinity);
  let gl = null;
  try { gl = time(GlViewer, HOPELESS_MS); } catch { /* no WebGL2: the processor draws */ }
  const faster = gl !== null && gl < plain;
  return { Viewer: faster ? GlViewer : PlainViewer, renderer: faster ? 'webgl2' : 'canvas', ms: { plain, gl } };
}
