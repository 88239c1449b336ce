// One reader's way through the study. The server says which step is next; this page keeps nothing between two loads.
import { Place } from './place.js';
import { byId, page, paragraphs, table } from './screens.js';
import { belongTo, get, Moved, NoReader, pixels, post, report, requestId } from './server.js';
import { chooseViewer } from './viewer.js';

const KEYS = [
  ['Left button, drag', 'brightness and contrast (sideways: width, up and down: level)'],
  ['Right or middle button, drag', 'move the image'],
  ['Wheel', 'zoom at the mouse'],
  ['M, held', 'magnify twice at the mouse'],
  ['F, O, R, I', 'fit to the screen, one to one, reset all, invert'],
  ['Space', 'break: the screen is black and the clock stands still'],
];
const ANSWER_KEYS = [
  ['1, 2, 3', 'real, not real, unsure'],
  ['Enter, or the same key again', 'confirm and go on. Until then you can choose again; there is no way back'],
];
const NEXT_KEYS = [['Enter', 'go on. There is no way back']];

let place, viewer, current;

function path(rest) {
  return `/session/${current.session.number}/${rest}`;
}

async function consent({ consent: text }) {
  await page('consent', 'Information and consent', paragraphs(text), ['I have read this and I take part']);
  await post(path('event'), { kind: 'consent', details: {} });
}

async function begin(status) {
  const { session, sessions, practice } = status, finished = sessions.filter(one => one.done === one.total).length;
  const before = finished ? [`Finished: ${finished} of ${sessions.length} sessions. You may go on now or another day: this link leads you here again.`] : [];
  const keys = table([...(session.asks ? ANSWER_KEYS : NEXT_KEYS), ...KEYS]);
  await page('instructions', session.title, [...before, ...paragraphs(session.instructions), keys], ['Continue']);
  const seen = await page('display', 'Is the screen as it should be?', [
    'There is a slightly lighter square in the black one, and a slightly darker square in the white one.',
    'If you do not see both: darken the room, clean and turn up the screen, and look again from the front.',
    'Click on one of the answers, or choose it with Tab and press Enter.',
  ], ['I see both', 'I do not see both'], true);
  prepare();
  await post(path('event'), { kind: 'display', details: { ...display(), both_patches: seen === 0 } });
  if (practice.length) await practise(status);
  const label = session.asks ? 'Start: from now on your answers count' : 'Start';
  await page('start', session.title, [`${session.total} ${session.kind === 'triplet' ? 'triplets' : 'images'}.`], [label]);
  await post(path('event'), { kind: 'begin', details: {} });
  await readSession(status);
}

async function resume(status) {
  const { session } = status;
  await page('resume', session.title, [`You are at ${session.done + 1} of ${session.total}.`], ['Go on']);
  prepare();
  report(path('event'), { kind: 'display', details: display() });
  await readSession(status);
}

async function end({ ending }) {
  await page('end', 'The study is finished', paragraphs(ending || 'Thank you. All your answers are stored.'), []);
}

async function practise({ practice, image, windows }) {
  await page('practice', 'Practice', [
    `${practice.length} images to try the keys. Your answers here do not count and are not kept.`,
  ], ['Try']);
  for (const [index, url] of practice.entries()) {
    const images = [await pixels(url, image.height * image.width)];
    await place.read({ images, ...image, windows, progress: `Practice ${index + 1} of ${practice.length}`, stages: stages() });
  }
  place.panels.clear();
}

function stages() {
  const { session, questions } = current;
  if (!session.asks) return ['next'];
  return ['answer', ...(questions.cancer === 'off' ? [] : [questions.cancer]), ...(questions.click ? ['click'] : [])];
}

async function readSession({ session, image, windows }) {
  let state = await get(path('state'));
  while (state.done < state.total) {
    const { done: position, panels, outline } = state;
    const images = await Promise.all(Array.from({ length: panels }, (_, panel) => (
      pixels(path(`image/${position}/${panel}`), image.height * image.width))));
    const progress = `${session.title}: ${position + 1} of ${state.total}`;
    const given = await place.read({ images, ...image, windows, progress, position, stages: stages(), outline, spent: state.spent });
    state = await post(path('answer'), { position, request: requestId(), ...given });
    if (state.truth) await place.reveal(state.truth, state.truth_outline);
  }
  place.panels.clear();
}

// Measure which viewer is faster, once, for the area that images get on this screen.
function prepare() {
  if (viewer) return;
  const width = Math.round(innerWidth * devicePixelRatio), height = Math.round((innerHeight - 72) * devicePixelRatio);
  viewer = chooseViewer(current.image.height, current.image.width, height, width);
  document.documentElement.dataset.renderer = viewer.renderer;
}

function display() {
  return {
    renderer: viewer.renderer, frame_ms: viewer.ms, pixel_ratio: devicePixelRatio, browser: navigator.userAgent,
    screen: [screen.width, screen.height], window: [innerWidth, innerHeight],
  };
}

const STEPS = { consent, begin, read: resume, end };

async function main() {
  place = new Place(() => viewer.Viewer, (kind, position, details) => report(path('event'), { kind, position, details }));
  for (;;) {
    try {
      current = await get('/me');
      belongTo(current.reader);
      byId('banner').textContent = `${current.banner} - reader ${current.reader}`;
      document.title = `Reading: ${current.reader}`;
      await STEPS[current.step](current);
    } catch (error) {
      place.panels.clear();
      if (error instanceof NoReader) return page('no-reader', 'No access', [error.message], []);
      if (!(error instanceof Moved)) throw error;
      await new Promise(resolve => setTimeout(resolve, 300));
    }
  }
}

main();
