// @ts-check
// Questions in front of the page. What was typed into one is never lost unseen: a refusal leaves it open, and the browser
// asks before the page is left.

import { fill, h } from '../dom.js';
import { wrong } from './toast.js';

/** Open dialogs that hold what is nowhere else (typed words, uploads under way), with what would be lost. @type {Map<HTMLDialogElement, string>} */
const holding = new Map();
/** The question whether one of them may be closed. @type {HTMLDialogElement | null} */
let asking = null;

window.addEventListener('beforeunload', (event) => {
  if (holding.size > 0) event.preventDefault();
});

/** Says whether a dialog holds what would be lost with it. @param {HTMLDialogElement} element @param {boolean} held @param {string} [what] */
export function holds(element, held, what = 'What was typed here is kept nowhere else.') {
  if (held) holding.set(element, what);
  else holding.delete(element);
}

/** Closes a dialog; one that holds something, only if the reader says so. @param {HTMLDialogElement} element @returns {Promise<boolean>} whether it is closed */
export function leave(element) {
  const what = holding.get(element);
  if (what === undefined) element.close();
  if (what === undefined || asking) return Promise.resolve(!element.open);
  return new Promise((resolve) => {
    const yes = () => {
      element.close();
      asking?.close();
    };
    asking = dialog('Close it, and lose what is in it?', (close) => [
      h('p', {}, what),
      h('div', { class: 'foot' }, h('button', { onclick: close }, 'Keep it open'), h('button', { class: 'danger', onclick: yes }, 'Close it'))]);
    asking.addEventListener('close', () => {
      asking = null;
      resolve(!element.open);
    });
  });
}

/** Closes all that is open in front of the page. @returns {Promise<boolean>} whether nothing is */
export async function leaveAll() {
  if (asking) return false;
  for (const element of [.../** @type {NodeListOf<HTMLDialogElement>} */ (document.querySelectorAll('dialog[open]'))].reverse()) {
    if (!await leave(element)) return false;
  }
  return true;
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
  // A browser closes at the second Escape whatever the first was answered: the key itself is taken.
  element.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== 'Escape' || !holding.has(element)) return;
    event.preventDefault();
    leave(element);
  });
  element.addEventListener('cancel', (/** @type {Event} */ event) => {
    if (event.target !== element || !holding.has(element)) return;
    event.preventDefault();
    leave(element);
  });
  document.body.append(element);
  element.showModal();
  return element;
}

/**
 * Asks for something in a form and does it. The dialog closes when that worked; what is refused is said in it.
 * @param {{ title: string, fields: import('../dom.js').Child, verb: import('../dom.js').Child, danger?: boolean, leave?: string,
 *   send: (said: FormData) => Promise<(() => void) | void>, refused?: (error: any) => Promise<import('../dom.js').Child> }} question
 *   what `send` answers is done once the dialog is closed; what `refused` answers, if anything, is said in place of the error
 */
export function ask({ title, fields, verb, danger = false, leave = 'Cancel', send, refused }) {
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
      fill(problem, await refused?.(error).catch(() => null) || wrong(error));
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
