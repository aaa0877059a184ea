// @ts-check
// What differs between two versions, below each other or side by side.

import { h } from '../dom.js';

/** @typedef {{ kind: 'context' | 'added' | 'removed', text: string }} Line */
/** @typedef {{ fromStart: number, toStart: number, fromLines: number, toLines: number, lines: Line[] }} Hunk */

/** A page with more lines than these would keep nobody company. */
const MOST = 5000;

const SIGNS = { context: ' ', added: '+', removed: '-' };
const WORDS = { context: '', added: 'added', removed: 'removed' };

/** @param {Hunk[]} hunks @param {boolean} beside */
export function diff(hunks, beside) {
  const rows = [];
  let [left, all] = [MOST, 0];
  for (const hunk of hunks) {
    all += hunk.lines.length;
    if (left <= 0) continue;
    const lines = hunk.lines.slice(0, left);
    left -= lines.length;
    rows.push(
      h('tr', { class: 'gap' }, h('td', { colspan: 4 }, `Lines ${span(hunk.fromStart, hunk.fromLines)} → ${span(hunk.toStart, hunk.toLines)}`)),
      ...(beside ? besides(hunk, lines) : inline(hunk, lines)));
  }
  return [
    all > MOST && h('p', { class: 'notice warn' }, `Only the first ${MOST.toLocaleString()} of ${all.toLocaleString()} lines are shown.`),
    h('div', { class: beside ? 'diff side' : 'diff', tabindex: 0, role: 'region', 'aria-label': 'Differences' },
      h('table', {}, h('tbody', {}, rows))),
  ];
}

/** @param {number} start @param {number} lines */
const span = (start, lines) => `${start} to ${start + Math.max(lines, 1) - 1}`;

/** @param {Hunk} hunk @param {Line[]} lines those of it that are shown */
function inline(hunk, lines) {
  let [from, to] = [hunk.fromStart, hunk.toStart];
  return lines.map(({ kind, text }) => {
    const [left, right] = [kind === 'added' ? '' : from++, kind === 'removed' ? '' : to++];
    return h('tr', { class: WORDS[kind] || null },
      h('td', { class: 'no' }, left), h('td', { class: 'no' }, right),
      h('td', { class: 'sign' }, SIGNS[kind], WORDS[kind] && h('span', { class: 'visually-hidden' }, WORDS[kind])), h('td', {}, text));
  });
}

/** @param {Line} line */
const changes = (line) => line.kind !== 'context';

/** @param {Hunk} hunk @param {Line[]} shown those of it that are shown */
function besides(hunk, shown) {
  let [from, to] = [hunk.fromStart, hunk.toStart];
  const rows = [];
  const lines = [...shown];
  while (lines.length > 0) {
    if (!changes(lines[0])) {
      const { text } = /** @type {Line} */ (lines.shift());
      rows.push(pair([from++, text, ''], [to++, text, '']));
      continue;
    }
    /** @type {string[]} */ const removed = [];
    /** @type {string[]} */ const added = [];
    while (lines.length > 0 && changes(lines[0])) {
      const { kind, text } = /** @type {Line} */ (lines.shift());
      (kind === 'removed' ? removed : added).push(text);
    }
    for (let at = 0; at < Math.max(removed.length, added.length); at += 1) {
      rows.push(pair(
        at < removed.length ? [from++, removed[at], 'removed'] : ['', '', ''],
        at < added.length ? [to++, added[at], 'added'] : ['', '', '']));
    }
  }
  return rows;
}

/** @param {[number | '', string, string]} left @param {[number | '', string, string]} right */
function pair(left, right) {
  const side = (/** @type {[number | '', string, string]} */ [number, text, kind]) => [
    h('td', { class: `no ${kind}` }, number), h('td', { class: `text ${kind}` }, text),
  ];
  return h('tr', {}, side(left), side(right));
}
