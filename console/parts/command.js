// @ts-check
// Lines for a shell, to copy.

import { h, icon } from '../dom.js';
import { copy } from './toast.js';

/** @param {string} text @param {string} label what the button says to those who do not see it */
export function command(text, label) {
  return h('div', { class: 'command' }, h('pre', { tabindex: 0 }, text),
    h('button', { type: 'button', class: 'plain', 'aria-label': label, title: 'Copy', onclick: () => copy('Command', text) }, icon('copy')));
}
