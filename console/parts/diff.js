// @ts-check
// What differs between two versions, below each other or side by side.

import { h } from '../dom.js';

/** @typedef {{ kind: 'context' | 'added' | 'removed', text: string }} Line */
/** @typedef {{ fromStart: number, toStart: number, fromLines: number, toLines: number, lines: Line[] }} Hunk */

const SIGNS = { context: ' ', added: '+', removed: '-' };
const WORDS = { context: '', added: 'added', removed: 'removed' };

/** @param {Hunk[]} hunks @param {boolean} beside */
export function diff(hunks, beside) {
  const rows = hunks.flatMap((hunk) => [
    h('tr', { class: 'gap' }, h('td', { colspan: beside ? 4 : 4 }, `Lines ${hunk.fromStart} to ${hunk.fromStart + Math.max(hunk.fromLines, 1) - 1} → ${hunk.toStart} to ${hunk.toStart + Math.max(hunk.toLines, 1) - 1}`)),
    ...(beside ? besides(hunk) : inline(hunk)),
  ]);
  return h('div', { class: beside ? 'diff side' : 'diff', tabindex: 0, role: 'region', 'aria-label': 'Differences' },
    h('table', {}, h('tbody', {}, rows)));
}

/** @param {Hunk} hunk */
function inline(hunk) {
  let [from, to] = [hunk.fromStart, hunk.toStart];
  return hunk.lines.map(({ kind, text }) => {
    const [left, right] = [kind === 'added' ? '' : from++, kind === 'removed' ? '' : to++];
    return h('tr', { class: WORDS[kind] || null },
      h('td', { class: 'no' }, left), h('td', { class: 'no' }, right),
      h('td', { class: 'sign' }, SIGNS[kind], WORDS[kind] && h('span', { class: 'visually-hidden' }, WORDS[kind])), h('td', {}, text));
  });
}

/** @param {Line} line */
const changes = (line) => line.kind !== 'context';

/** @param {Hunk} hunk */
function besides(hunk) {
  let [from, to] = [hunk.fromStart, hunk.toStart];
  const rows = [];
  const lines = [...hunk.lines];
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
