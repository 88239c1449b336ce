// The same greys as viewer_plain.js, computed by a graphics processor. Integer textures cannot be filtered, so the
// shader sums the pixels itself, with the same whole weights.

const VERTEX = `#version 300 es
in vec2 corner;
void main() { gl_Position = vec4(corner, 0., 1.); }`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D pixels, columns, rows, greys;
uniform ivec4 inside;
uniform ivec2 taps;
uniform int height;
out vec4 colour;
void main() {
  ivec2 at = ivec2(int(gl_FragCoord.x), height - 1 - int(gl_FragCoord.y));
  colour = vec4(0., 0., 0., 1.);
  if (at.x < inside.x || at.x >= inside.y || at.y < inside.z || at.y >= inside.w) return;
  uint sum = 32768u;
  for (int j = 0; j < taps.y; j++) {
    uvec2 row = texelFetch(rows, ivec2(at.y, j), 0).rg;
    uint across = 0u;
    for (int i = 0; i < taps.x; i++) {
      uvec2 column = texelFetch(columns, ivec2(at.x, i), 0).rg;
      across += column.g * texelFetch(pixels, ivec2(int(column.r), int(row.r)), 0).r;
    }
    sum += row.g * across;
  }
  uint value = sum >> 16u;
  colour.rgb = vec3(float(texelFetch(greys, ivec2(int(value & 255u), int(value >> 8u)), 0).r) / 255.);
}`;

const UNITS = { pixels: 0, columns: 1, rows: 2, greys: 3 };

export class GlViewer {
  // Throws where WebGL2 is missing.
  constructor(canvas) {
    this.canvas = canvas;
    const gl = this.gl = canvas.getContext('webgl2', { antialias: false, alpha: false, depth: false });
    if (!gl) throw new Error('no WebGL2');
    const program = linked(gl);
    gl.useProgram(program);
    this.at = Object.fromEntries(['inside', 'taps', 'height'].map(name => [name, gl.getUniformLocation(program, name)]));
    this.textures = {};
    for (const [name, unit] of Object.entries(UNITS)) {
      gl.uniform1i(gl.getUniformLocation(program, name), unit);
      this.textures[name] = texture(gl, unit);
    }
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  }

  load(pixels, height, width) {
    const gl = this.gl;
    this.#upload('pixels', gl.R16UI, width, height, gl.RED_INTEGER, gl.UNSIGNED_SHORT, pixels);
    Object.assign(this, { columns: null, rows: null });
  }

  draw(columns, rows, greys) {
    const { gl, at, canvas } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    if (columns !== this.columns) this.#axis('columns', columns);
    if (rows !== this.rows) this.#axis('rows', rows);
    if (greys !== this.greys) this.#upload('greys', gl.R8UI, 256, 256, gl.RED_INTEGER, gl.UNSIGNED_BYTE, greys);
    Object.assign(this, { columns, rows, greys });
    gl.uniform4i(at.inside, columns.from, columns.to, rows.from, rows.to);
    gl.uniform2i(at.taps, columns.taps, rows.taps);
    gl.uniform1i(at.height, canvas.height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // The grey that the canvas shows at a screen pixel; only in the same task as draw.
  grey(x, y) {
    const pixel = new Uint8Array(4);
    this.gl.readPixels(x, this.canvas.height - 1 - y, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, pixel);
    return pixel[0];
  }

  // Give the graphics memory back; browsers keep only few contexts.
  close() {
    this.gl.getExtension('WEBGL_lose_context')?.loseContext();
  }

  #axis(name, { taps, index, weight }) {
    const gl = this.gl, pairs = new Uint16Array(2 * index.length);
    for (let k = 0; k < index.length; k++) {
      pairs[2 * k] = index[k];
      pairs[2 * k + 1] = weight[k];
    }
    this.#upload(name, gl.RG16UI, index.length / taps, taps, gl.RG_INTEGER, gl.UNSIGNED_SHORT, pairs);
  }

  #upload(name, internal, width, height, format, type, data) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + UNITS[name]);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[name]);
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, data);
  }
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.bindAttribLocation(program, 0, 'corner');
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

function texture(gl, unit) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, made);
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  return made;
}
