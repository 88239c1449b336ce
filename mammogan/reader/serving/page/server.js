// Requests to the server: what the reader has answered is kept and sent again until the server has stored it.
import { notice } from './screens.js';

const WAITS_MS = [300, 1000, 2000, 5000];

// The server knows better where the reader is: another tab has moved on, or it was started again.
export class Moved extends Error {}
// The link is not valid, or not any more, or this browser has opened the link of another reader since.
export class NoReader extends Error {}

let sender = {};

// Say with every request from now on that this page is this reader's: the cookie changes when another link is opened.
export function belongTo(reader) {
  sender = { 'x-reader': encodeURIComponent(reader) };
}

export const get = path => request(path, {});
export const post = (path, values) => request(path, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(values),
});

// Pixels of one image; incomplete ones are asked for again.
export async function pixels(path, length) {
  for (;;) {
    const response = await persistent(path, {});
    try {
      const bytes = await response.arrayBuffer();
      if (bytes.byteLength === 2 * length) return new Uint16Array(bytes);
    } catch { /* the connection broke in the middle */ }
    await wait(WAITS_MS[1]);
  }
}

// Report an event without waiting for it; it is lost if the server cannot be reached now. Sent even from a page that
// is being closed.
export function report(path, values) {
  const body = JSON.stringify(values);
  const headers = { 'content-type': 'application/json', ...sender };
  fetch(path, { method: 'POST', headers, body, keepalive: true }).catch(() => {});
}

// 128 random bits as hexadecimal digits. crypto.randomUUID does not exist on plain http.
export function requestId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
}

async function request(path, options) {
  return (await persistent(path, options)).json();
}

async function persistent(path, options) {
  for (let attempt = 0; ; attempt++) {
    let words = 'The server does not answer. ';
    try {
      const response = await fetch(path, { ...options, headers: { ...options.headers, ...sender } });
      if (response.ok || response.status === 429) { // only events can be too many, and reading goes on without them
        notice('');
        return response;
      }
      const told = await response.json();
      if (response.status === 403 || told.other_reader) throw new NoReader(told.error);
      if (response.status < 500) throw new Moved(`${path}: ${response.status}`);
      words = `${told.error} `;
    } catch (error) {
      if (error instanceof NoReader || error instanceof Moved) throw error;
    }
    if (attempt) notice(`${words}Nothing is lost: please leave this page open, it tries again by itself.`);
    await wait(WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)]);
  }
}

const wait = ms => new Promise(resolve => setTimeout(resolve, ms));
