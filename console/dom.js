// @ts-check
// Elements from values. Text is only ever text: nothing here or elsewhere in the console parses HTML, so what a file,
// a machine or a colleague is called cannot become part of the page.

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */

/**
 * An element. Properties that begin with `on` are listeners; `class`, `aria-…`, `data-…` and the like are attributes;
 * a property that is null, undefined or false is left out.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name === 'value' || name === 'checked' || name === 'disabled') /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

/** @param {Node} element @param {Child[]} children */
function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** What is known of something, a title and a value each; what has no value is left out. @param {[string, Child, 'wide'?][]} pairs */
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(([, value]) => value).map(([title, value, wide]) => h('div', { class: wide }, h('dt', {}, title), h('dd', {}, value))));
}

/** Puts other children in the place of those that are there. @param {Element} element @param {...Child} children */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** An icon of the sheet below. @param {keyof typeof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.appendChild(path);
  return svg;
}

const ICONS = {
  upload: 'M10 13V4m0 0L6 8m4-4 4 4M3 14v2a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1v-2',
  download: 'M10 3v9m0 0-4-4m4 4 4-4M3 14v2a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1v-2',
  restore: 'M4 10a6 6 0 1 0 2-4.5M4 3v3.5h3.5',
  trash: 'M4 6h12M8 6V4h4v2m-6 0 .7 10h6.6L14 6M8.5 9v4m3-4v4',
  copy: 'M7 7V4h9v9h-3M4 7h9v9H4z',
  close: 'M5 5l10 10M15 5 5 15',
  search: 'M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zm4-1.5 4 4',
  columns: 'M3 4h14v12H3zM8 4v12m5-12v12',
  up: 'M5 12l5-5 5 5',
  down: 'M5 8l5 5 5-5',
  play: 'M6 4l10 6-10 6z',
  check: 'M4 10.5l4 4 8-9',
  sun: 'M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM10 1.5v2m0 13v2m8.5-8.5h-2m-13 0h-2m14-6-1.4 1.4M5.4 14.6 4 16m12 0-1.4-1.4M5.4 5.4 4 4',
  person: 'M10 10a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zm-6.5 7c.6-3.2 3.2-4.6 6.5-4.6s5.9 1.4 6.5 4.6',
  lock: 'M5 9h10v8H5zm2.5 0V6.5a2.5 2.5 0 0 1 5 0V9',
};
