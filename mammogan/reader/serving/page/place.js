// What is on the screen at once, and the keys: one image or triplet is shown until the reader has confirmed an answer.
import { Clock } from './clock.js';
import { Panels } from './panels.js';
import { byId, DEAD_MS, showScreen } from './screens.js';

const HEARTBEAT_MS = 15000;
const CLICK_RADIUS = 24;
export const ANSWERS = ['real', 'not real', 'unsure'];
const STAGES = {
  answer: { question: '', words: ANSWERS },
  'yes-no': { question: 'Cancer?', words: ['no', 'yes'] },
  '1-5': { question: 'Suspicion of cancer, 1 none to 5 certain:', words: ['1', '2', '3', '4', '5'] },
  click: { question: 'Click where you suspect a change; Enter without a click: nowhere', words: [] },
  next: { question: '', words: [] },
};
const TOOLS = { R: 'reset', F: 'fit', O: 'oneToOne', I: 'invert', M: 'magnify' };

export class Place {
  // choose(): class of the viewer. onEvent(kind, position, details): breaks and heartbeats.
  constructor(choose, onEvent) {
    this.panels = new Panels(byId('images'), choose, tool => this.#used(tool), (x, y) => this.#clicked(x, y));
    this.clock = new Clock();
    Object.assign(this, { onEvent, resolve: null, resting: false });
    addEventListener('keydown', event => this.#key(event), true);
    addEventListener('keyup', event => { if (letter(event) === 'M') this.panels.magnify(false); });
    document.addEventListener('visibilitychange', () => { if (document.hidden) this.#rest(true); });
    addEventListener('pagehide', () => this.#beat());
    setInterval(() => this.#beat(), HEARTBEAT_MS);
    for (const button of [byId('next'), byId('break')]) button.onmousedown = event => event.preventDefault();
    byId('next').onclick = () => this.#confirm();
    byId('break').onclick = () => this.#rest(true);
    byId('rest').onclick = () => this.#rest(false);
  }

  // Show images until the reader has answered. stages: keys of STAGES, in turn. spent: times of an earlier showing.
  // position: null where breaks and times are not reported (practice).
  // Returns answer, cancer, click and client (times and tools); those that were not asked are null.
  async read({ images, height, width, windows, progress, stages, position = null, outline = null, spent = null }) {
    byId('progress').textContent = progress;
    showScreen('place');
    this.panels.show(images, height, width, windows);
    if (outline) this.panels.mark([{ ...outline, panels: images.length > 1 ? [1, 2] : [0] }]);
    await painted();
    Object.assign(this, { position, stages, stage: 0, given: {}, tools: {}, changed: 0, shownAt: performance.now() });
    this.clock.start(spent?.ms, spent?.away_ms);
    this.#bar();
    const done = new Promise(resolve => { this.resolve = resolve; });
    document.documentElement.dataset.shown = progress;
    if (document.hidden) this.#rest(true);
    return done;
  }

  // After an answer of a training block: say what it was, until Enter.
  async reveal(truth, outline) {
    byId('answers').replaceChildren();
    byId('question').textContent = `This image is ${truth}.`;
    if (outline) this.panels.mark([{ ...outline, panels: [0] }]);
    Object.assign(this, { position: null, stages: ['next'], stage: 0, shownAt: performance.now() });
    document.documentElement.dataset.revealed = truth;
    await new Promise(resolve => { this.resolve = resolve; });
    delete document.documentElement.dataset.revealed;
  }

  get #awake() {
    return this.resolve && !this.resting && performance.now() - this.shownAt > DEAD_MS;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !this.resolve) return;
    const digit = /^(?:Digit|Numpad)([1-5])$/.exec(event.code)?.[1] ?? /^[1-5]$/.exec(event.key)?.[0];
    const tool = TOOLS[letter(event)];
    const known = digit || tool || [' ', 'Enter', 'Backspace'].includes(event.key);
    if (!known) return;
    event.preventDefault();
    if (event.repeat) return;
    if (event.key === ' ') this.#rest(!this.resting);
    else if (!this.#awake) return;
    else if (digit) this.#choose(Number(digit) - 1);
    else if (event.key === 'Enter') this.#confirm();
    else if (event.key === 'Backspace') this.#back();
    else {
      this.#used(tool);
      this.panels[tool](true);
    }
  }

  // The same key again confirms; another one mends a slip.
  #choose(index) {
    const name = this.stages[this.stage], words = STAGES[name].words;
    if (!this.#awake || index >= words.length) return;
    if (this.given[name] === words[index]) return this.#confirm();
    if (this.given[name]) this.changed++;
    this.given[name] = words[index];
    this.#bar();
  }

  #clicked(x, y) {
    if (!this.#awake || this.stages[this.stage] !== 'click') return;
    this.given.click = [Math.round(10 * x) / 10, Math.round(10 * y) / 10];
    this.#bar();
  }

  #confirm() {
    const name = this.stages[this.stage];
    if (!this.#awake || (STAGES[name].words.length && !this.given[name])) return;
    if (this.stage + 1 < this.stages.length) {
      this.stage++;
      return this.#bar();
    }
    const { resolve, given, tools, changed } = this;
    this.resolve = null;
    this.panels.magnify(false);
    const times = this.clock.read();
    delete document.documentElement.dataset.shown;
    const client = { ...times, ...tools, changed };
    resolve({ answer: given.answer ?? null, cancer: given['yes-no'] ?? given['1-5'] ?? null, click: given.click ?? null, client });
  }

  // To the question before, of the same image.
  #back() {
    if (!this.stage) return;
    this.stage--;
    this.#bar();
  }

  #bar() {
    const name = this.stages[this.stage], { question, words } = STAGES[name];
    byId('question').textContent = question;
    byId('answers').replaceChildren(...words.map((word, index) => {
      const key = `${index + 1}`, button = document.createElement('button');
      Object.assign(button, { textContent: word === key ? word : `${key} ${word}`, tabIndex: -1 });
      button.classList.toggle('chosen', this.given[name] === word);
      button.onmousedown = event => event.preventDefault();
      button.onclick = () => this.#choose(index);
      return button;
    }));
    byId('next').disabled = Boolean(words.length && !this.given[name]);
    const { click } = this.given;
    if (this.stages.includes('click')) {
      this.panels.mark(click ? [{ x: click[0], y: click[1], radius: CLICK_RADIUS, panels: [0] }] : []);
    }
  }

  #rest(on) {
    if (!this.resolve || on === this.resting) return;
    this.resting = on;
    if (on) this.clock.pause();
    else this.clock.resume();
    this.panels.magnify(false);
    this.shownAt = performance.now(); // keys are dead for a moment, as at a new image
    showScreen(on ? 'rest' : 'place');
    this.#report(on ? 'pause' : 'resume');
  }

  #beat() {
    if (this.resolve) this.#report('heartbeat');
  }

  #report(kind) {
    if (this.position !== null) this.onEvent(kind, this.position, this.clock.read());
  }

  #used(tool) {
    this.tools[tool] = (this.tools[tool] ?? 0) + 1;
  }
}

// The letter on the key; where keys have no Latin letters, the one that an English keyboard has there.
function letter({ key, code }) {
  return /^[a-z]$/i.test(key) ? key.toUpperCase() : code.replace('Key', '');
}

// Resolves when what was drawn is on the screen.
function painted() {
  return new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}
