// @ts-check
// What a script says, followed while it runs.

import { h } from '../dom.js';
import { listen } from './live.js';

/** Characters and lines of a command's output that are kept on the page. */
const CHARACTERS = 500_000;
const LINES = 20_000;

/**
 * @param {number} index of the command @param {string} path of its stream
 * @param {AbortSignal} signal @param {() => void} changed called when the stream has ended, or cannot be had
 */
export function output(index, path, signal, changed) {
  const text = h('div', { class: 'code output', tabindex: 0, role: 'log', 'aria-label': `Output of command ${index}` });
  let [characters, count] = [0, 0];
  /** The line that is not at its end yet, of either stream. @type {{ type: string, words: Element } | null} */
  let open = null;
  const note = (/** @type {string} */ words) => text.append(h('div', { class: 'note' }, words));
  const add = (/** @type {string} */ type, /** @type {string} */ words) => {
    if (open?.type !== type) {
      const line = h('span');
      text.append(h('div', { class: type === 'stderr' ? 'line stderr' : 'line' }, type === 'stderr' && h('span', { class: 'visually-hidden' }, 'error: '), line));
      open = { type, words: line };
      count += 1;
    }
    open.words.append(words);
  };
  const said = (/** @type {MessageEvent} */ event) => {
    if (characters > CHARACTERS || count > LINES) return;
    const { text: piece, base64 } = JSON.parse(event.data);
    const words = piece ?? atob(base64);
    characters += words.length;
    const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 40;
    const parts = words.split('\n');
    for (const [at, part] of parts.entries()) {
      const last = at === parts.length - 1;
      if (!last || part !== '') add(event.type, part);
      if (!last) open = null;
      if (count > LINES) break;
    }
    if (characters > CHARACTERS || count > LINES) note('There is more: the result has all of it.');
    if (atEnd) text.scrollTop = text.scrollHeight;
  };
  const end = () => {
    close();
    if (count === 0) note('It said nothing.');
    changed();
  };
  const close = listen(path, { stdout: said, stderr: said, end }, { signal, refused: changed });
  return text;
}
