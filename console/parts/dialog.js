// @ts-check
// Questions in front of the page. What was typed into one is never lost unseen: a refusal leaves it open, and the browser
// asks before the page is left.

import { fill, h } from '../dom.js';
import { wrong } from './toast.js';

/** Open dialogs that hold what is nowhere else: typed words, uploads under way. @type {Set<HTMLDialogElement>} */
const holding = new Set();

window.addEventListener('beforeunload', (event) => {
  if (holding.size > 0) event.preventDefault();
});

/** Says whether a dialog holds what would be lost with it. @param {HTMLDialogElement} element @param {boolean} held */
export function holds(element, held) {
  if (held) holding.add(element);
  else holding.delete(element);
}

let count = 0;

/**
 * Opens a dialog; it is gone when it is closed.
 * @param {string} title
 * @param {(close: () => void) => import('../dom.js').Child} content
 * @returns {HTMLDialogElement}
 */
export function dialog(title, content) {
  const id = `dialog-${count += 1}`;
  const element = h('dialog', { 'aria-labelledby': id });
  const close = () => element.close();
  element.append(h('div', { class: 'body' }, h('h2', { id }, title), content(close)));
  element.addEventListener('close', () => {
    holding.delete(element);
    const notes = element.querySelector('.toasts');
    if (notes) document.body.append(notes);
    element.remove();
  });
  document.body.append(element);
  element.showModal();
  return element;
}

/**
 * Asks for something in a form and does it. The dialog closes when that worked; what is refused is said in it.
 * @param {{ title: string, fields: import('../dom.js').Child, verb: import('../dom.js').Child, danger?: boolean, leave?: string,
 *   send: (said: FormData) => Promise<(() => void) | void> }} question what `send` answers is done once the dialog is closed
 */
export function ask({ title, fields, verb, danger = false, leave = 'Cancel', send }) {
  const problem = h('div');
  let busy = false;
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    try {
      const then = await send(new FormData(/** @type {HTMLFormElement} */ (event.target)));
      element.close();
      then?.();
    } catch (error) {
      fill(problem, wrong(error));
    }
    busy = false;
  };
  const element = dialog(title, (close) => h('form', { onsubmit: submit, oninput: () => holds(element, true) },
    fields, problem,
    h('div', { class: 'foot' },
      h('button', { type: 'button', onclick: close }, leave),
      h('button', { class: danger ? 'danger' : 'main', type: 'submit' }, verb))));
  return element;
}

/** A field with its name above it. @param {string} title @param {Element} input @param {import('../dom.js').Child} [more] */
export function field(title, input, more) {
  return h('label', { class: 'field' }, title, input, more);
}
