// The pages of text between the images: information and consent, instructions, display check, end.

export const DEAD_MS = 300; // a key pressed for the last image or page must not answer this one
export const byId = id => document.getElementById(id);
const SCREENS = ['text', 'place', 'rest'];

// Show one of the screens, and only it. The name also stands in the document, where tests wait for it.
export function showScreen(name) {
  for (const id of SCREENS) byId(id).hidden = id !== name;
  document.documentElement.dataset.screen = name;
}

// Words at the bottom about trouble with the server; empty takes them away.
export function notice(words) {
  byId('notice').textContent = words;
  byId('notice').hidden = !words;
}

// Show a page of text until the reader chooses. Paragraphs are text or elements; choices are words of buttons. Enter
// presses the first, but not where the patches are shown: what is seen there has no default answer. Returns the index
// of the choice; never, where there is none.
export function page(name, title, paragraphs, choices, patches = false) {
  const box = byId('text');
  box.querySelector('h1').textContent = title;
  byId('patches').hidden = !patches;
  byId('paragraphs').replaceChildren(...paragraphs.map(part => typeof part === 'string' ? element('p', part) : part));
  box.scrollTop = 0;
  showScreen('text');
  const shownAt = performance.now();
  return new Promise(resolve => {
    const buttons = choices.map((words, index) => {
      const button = element('button', words);
      button.onclick = () => {
        if (performance.now() - shownAt <= DEAD_MS) return;
        delete document.documentElement.dataset.page;
        byId('choices').replaceChildren();
        resolve(index);
      };
      // A key that is held down since the last image must not press a button here.
      button.onkeydown = event => { if (event.repeat) event.preventDefault(); };
      return button;
    });
    byId('choices').replaceChildren(...buttons);
    if (!patches) buttons[0]?.focus();
    else box.querySelector('h1').focus(); // Tab leads on to the first button
    document.documentElement.dataset.page = name;
  });
}

// Paragraphs of a plain text, which empty lines separate.
export function paragraphs(text) {
  return text.split(/\n\s*\n/).map(part => part.trim()).filter(Boolean);
}

// A table of two columns.
export function table(rows) {
  const made = element('table');
  for (const [left, right] of rows) {
    const row = element('tr');
    row.append(element('th', left), element('td', right));
    made.append(row);
  }
  return made;
}

function element(tag, text = '') {
  return Object.assign(document.createElement(tag), { textContent: text });
}
