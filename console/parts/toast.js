// @ts-check
// A word at the bottom of the page that goes away by itself; screen readers hear it too.

import { h } from '../dom.js';

/** What is shown, and when it goes. @type {Map<string, { note: Element, gone: ReturnType<typeof setTimeout> }>} */
const shown = new Map();

/** @param {string} text @param {number} [milliseconds] @param {string} [about] another word about the same takes its place */
export function toast(text, milliseconds = 6000, about = text) {
  const place = document.querySelector('.toasts') ?? h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
  // Beside an open dialog nothing can be seen or heard.
  const home = document.querySelector('dialog[open]') ?? document.body;
  if (place.parentNode !== home) home.append(place);
  remove(about);
  const note = h('div', { class: 'toast' }, text);
  shown.set(about, { note, gone: setTimeout(() => remove(about), milliseconds) });
  place.append(note);
}

/** @param {string} about */
function remove(about) {
  const before = shown.get(about);
  clearTimeout(before?.gone);
  before?.note.remove();
  shown.delete(about);
}

/** @param {unknown} error */
export const said = (error) => (error instanceof Error ? error.message : String(error));

/** What went wrong, in the server's words. @param {unknown} error */
export function wrong(error) {
  const { status, target } = /** @type {any} */ (error);
  if (status === 401) {
    return h('div', { class: 'notice warn', role: 'alert' }, h('p', {}, 'Your session is over. What stands here is kept: ',
      h('a', { href: '/signin', target: '_blank' }, 'sign in again in another tab'), ', then go on here.'));
  }
  return h('div', { class: 'notice bad', role: 'alert' },
    status === 412 && h('p', {}, 'Somebody changed it meanwhile: look at it again first.'), h('p', {}, said(error)), target && h('p', { class: 'small faint' }, `Request ${target}`));
}

/** Puts a text into the clipboard, and says so. @param {string} name what it is @param {string} value */
export async function copy(name, value) {
  try {
    await navigator.clipboard.writeText(value);
    toast(`${name} copied`);
  } catch {
    toast('The browser does not let a page copy here: select it, and copy it yourself.');
  }
}
