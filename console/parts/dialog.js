// @ts-check
// Questions in front of the page.

import { h } from '../dom.js';

/**
 * Opens a dialog; it is gone when it is closed.
 * @param {string} title
 * @param {(close: () => void) => import('../dom.js').Child} content
 */
export function dialog(title, content) {
  const element = h('dialog', { 'aria-labelledby': 'dialog-title' });
  const close = () => element.close();
  element.append(h('div', { class: 'body' }, h('h2', { id: 'dialog-title' }, title), content(close)));
  element.addEventListener('close', () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

/**
 * Asks before something is done.
 * @param {{ title: string, text: import('../dom.js').Child, verb: string, danger?: boolean }} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, verb, danger = false }) {
  return new Promise((resolve) => {
    let answer = false;
    const element = dialog(title, (close) => [
      h('div', {}, text),
      h('div', { class: 'foot' },
        h('button', { onclick: close }, 'Cancel'),
        h('button', { class: danger ? 'danger' : 'main', onclick: () => { answer = true; close(); } }, verb)),
    ]);
    element.addEventListener('close', () => resolve(answer));
  });
}
