// @ts-check
// Values as people read them.

import { h } from './dom.js';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** @param {number} bytes */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });

/** A time in the reader's zone; in UTC when one points at it. @param {string | null | undefined} text */
export function time(text) {
  if (!text) return h('span', { class: 'faint' }, '–');
  const date = new Date(text);
  const today = date.toDateString() === new Date().toDateString();
  const shown = today ? `today, ${CLOCK.format(date)}` : `${DAY.format(date)}, ${CLOCK.format(date)}`;
  return h('time', { datetime: text, title: `${date.toISOString().replace('T', ' ').replace(/\.\d+Z/, '')} UTC · ${FULL.format(date)}` }, shown);
}

/** What a file is, by the end of its name. @param {string} name */
export function kind(name) {
  const found = /\.([A-Za-z0-9]{1,8})$/.exec(name);
  return found ? found[1].toLowerCase() : '';
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}
