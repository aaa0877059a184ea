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

const ZONE = 'jumpbag-zone';
const zones = { local: clock(undefined), UTC: clock('UTC') };
let utc = localStorage.getItem(ZONE) === 'UTC';

/** @param {string | undefined} timeZone */
function clock(timeZone) {
  return { day: new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeZone }), time: new Intl.DateTimeFormat(undefined, { timeStyle: 'short', timeZone }), exact: new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', timeZone }) };
}

/** @param {Date} date @param {boolean} inUtc @param {boolean} seconds */
function words(date, inUtc, seconds) {
  const { day, time, exact } = inUtc ? zones.UTC : zones.local;
  const on = day.format(date);
  return `${on === day.format(new Date()) ? 'today' : on}, ${(seconds ? exact : time).format(date)}${inUtc ? ' UTC' : ''}`;
}

/** A time in the reader's zone or in UTC; to the second in UTC when one points at it. @param {string | null | undefined} text @param {'seconds'} [exact] */
export function time(text, exact) {
  if (!text) return h('span', { class: 'faint' }, '–');
  const date = new Date(text);
  return h('time', { datetime: text, 'data-exact': exact, title: `${date.toISOString().replace('T', ' ').replace(/\.\d+Z/, '')} UTC` }, words(date, utc, exact !== undefined));
}

/** Whether times are shown in UTC. */
export const inUtc = () => utc;

/** Shows all times in the other zone, here and from now on: whoever cannot point at one reads UTC so. */
export function switchZone() {
  utc = !utc;
  localStorage.setItem(ZONE, utc ? 'UTC' : 'local');
  for (const element of document.querySelectorAll('time')) element.textContent = words(new Date(element.dateTime), utc, element.dataset.exact !== undefined);
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
