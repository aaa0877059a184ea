// @ts-check
// A word at the bottom of the page that goes away by itself; screen readers hear it too.

import { h } from '../dom.js';

/** @param {string} text */
export function toast(text) {
  let place = document.querySelector('.toasts');
  if (!place) {
    place = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
    document.body.append(/** @type {Element} */ (place));
  }
  const note = h('div', { class: 'toast' }, text);
  place?.append(note);
  setTimeout(() => note.remove(), 6000);
}

/** What went wrong, in the server's words. @param {unknown} error */
export function wrong(error) {
  const said = error instanceof Error ? error.message : String(error);
  const target = /** @type {any} */ (error)?.target;
  return h('div', { class: 'notice bad', role: 'alert' }, h('p', {}, said), target && h('p', { class: 'small faint' }, `Request ${target}`));
}
