// @ts-check
// A table of thousands of rows: only those in sight are elements. Sorted by its headings, walked by the arrow keys.

import { fill, h, icon } from '../dom.js';

const HEIGHT = 41;
const SPARE = 12;

/**
 * @template T
 * @typedef {{ name: string, title: string, cell: (row: T) => import('../dom.js').Child,
 *   key?: (row: T) => string | number, number?: boolean, hidden?: boolean }} Column
 */

/** @template T */
export class Table {
  /**
   * @param {{ label: string, columns: Column<T>[], id: (row: T) => string, open?: (row: T) => void, sort: string, descending?: boolean }} options
   */
  constructor({ label, columns, id, open, sort, descending = false }) {
    this.columns = columns;
    this.id = id;
    this.open = open;
    this.sort = sort;
    this.descending = descending;
    /** @type {T[]} */ this.rows = [];
    /** @type {string} */ this.current = '';
    /** @type {string} what is drawn now */ this.drawn = '';
    this.head = h('thead');
    this.body = h('tbody');
    const table = h('table', { 'aria-label': label }, this.head, this.body);
    this.table = table;
    this.element = h('div', { class: 'grid', tabindex: 0, role: 'region', 'aria-label': label }, table);
    this.element.addEventListener('scroll', () => this.draw(), { passive: true });
    this.element.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
    this.headings();
  }

  shown() {
    return this.columns.filter((column) => !column.hidden);
  }

  headings() {
    const heading = (/** @type {Column<T>} */ column) => {
      const sorted = column.name === this.sort;
      const order = sorted ? (this.descending ? 'descending' : 'ascending') : 'none';
      const sort = () => {
        this.descending = sorted && !this.descending;
        this.sort = column.name;
        this.headings();
        this.show(this.rows);
      };
      const title = column.key
        ? h('button', { onclick: sort }, column.title, sorted && icon(this.descending ? 'down' : 'up'))
        : column.title;
      return h('th', { scope: 'col', 'aria-sort': column.key ? order : null, class: kindOf(column) }, title);
    };
    fill(this.head, h('tr', {}, this.shown().map(heading)));
  }

  /** @param {T[]} rows */
  show(rows) {
    const key = this.columns.find((column) => column.name === this.sort)?.key;
    this.rows = key ? [...rows].sort((a, b) => compare(key(a), key(b)) * (this.descending ? -1 : 1)) : [...rows];
    this.table.setAttribute('aria-rowcount', String(this.rows.length + 1));
    this.drawn = '';
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / HEIGHT) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.element.scrollTop + this.element.clientHeight) / HEIGHT) + SPARE);
    const state = `${first} ${last} ${this.current}`;
    if (state === this.drawn) return;
    this.drawn = state;
    const columns = this.shown();
    const filler = (/** @type {number} */ rows) => {
      if (rows <= 0) return null;
      const cell = h('td', { colspan: columns.length });
      cell.style.height = `${rows * HEIGHT}px`;
      return h('tr', { class: 'filler', 'aria-hidden': 'true' }, cell);
    };
    fill(this.body,
      filler(first),
      this.rows.slice(first, last).map((row, at) => this.row(row, first + at, columns)),
      filler(this.rows.length - last));
  }

  /** @param {T} row @param {number} at @param {Column<T>[]} columns */
  row(row, at, columns) {
    const id = this.id(row);
    const cells = columns.map((column) => h('td', { class: kindOf(column) }, column.cell(row)));
    return h('tr', { 'aria-rowindex': at + 2, class: id === this.current ? 'current' : null, 'data-id': id,
      ondblclick: () => this.open?.(row) }, cells);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const at = this.rows.findIndex((row) => this.id(row) === this.current);
    const page = Math.max(1, Math.floor(this.element.clientHeight / HEIGHT) - 2);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.rows.length - 1 };
    if (event.key === 'Enter' && event.target === this.element && at >= 0) {
      event.preventDefault();
      this.open?.(this.rows[at]);
    } else if (event.key in steps && this.rows.length > 0) {
      event.preventDefault();
      this.select(Math.min(this.rows.length - 1, Math.max(0, /** @type {any} */ (steps)[event.key])));
    }
  }

  /** @param {number} at */
  select(at) {
    this.current = this.id(this.rows[at]);
    const top = at * HEIGHT;
    const view = this.element.clientHeight - HEIGHT;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + HEIGHT > this.element.scrollTop + view) this.element.scrollTop = top + HEIGHT - view;
    this.draw();
    this.element.setAttribute('aria-label', `${this.table.getAttribute('aria-label')}: ${this.current}`);
  }
}

/** Numbers stand at the right, and what has no title is of buttons. @param {{ title: string, number?: boolean }} column */
const kindOf = ({ title, number }) => (number ? 'number' : title === '' ? 'buttons' : null);

/** @param {string | number} a @param {string | number} b */
function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), undefined, { sensitivity: 'base', numeric: true });
}

/**
 * A table of few rows, all of which are there.
 * @param {string} label
 * @param {string[]} titles one that is empty is that of buttons; one that begins with `#` is of numbers
 * @param {import('../dom.js').Child[][]} rows
 */
export function plain(label, titles, rows) {
  const kind = (/** @type {number} */ at) => kindOf({ title: titles[at], number: titles[at].startsWith('#') });
  const heading = (/** @type {string} */ title, /** @type {number} */ at) => h('th', { scope: 'col', class: kind(at) },
    title.replace('#', '') || h('span', { class: 'visually-hidden' }, 'Actions'));
  return h('div', { class: 'grid plain', tabindex: 0, role: 'region', 'aria-label': label }, h('table', { 'aria-label': label },
    h('thead', {}, h('tr', {}, titles.map(heading))),
    h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell, at) => h('td', { class: kind(at) }, cell)))))));
}
