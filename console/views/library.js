// @ts-check
// The library: a table that searches, filters and sorts, and follows what others do.

import { all } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { counted, kind, size, time } from '../format.js';
import { go } from '../main.js';
import { openUpload } from '../parts/drop.js';
import { follow } from '../parts/live.js';
import { Table } from '../parts/table.js';
import { toast, wrong } from '../parts/toast.js';
import { View } from '../parts/view.js';

const HIDDEN = 'jumpbag-columns';
const PLATFORMS = { windows: 'Windows', linux: 'Linux', macos: 'macOS' };

/** @typedef {{ fileName: string, sha256: string, description: string | null, lastUpdatedTime: string, creationTime: string, createdBy: string, size: number, version: number, tags: string[], platforms: string[], category: string | null, legalHold: boolean, hasParameters: boolean }} File */

/** @returns {import('../parts/table.js').Column<File>[]} */
const columns = () => [
  { name: 'fileName', title: 'Name', key: (file) => file.fileName, cell: (file) => [
    h('a', { href: `/files/${encodeURIComponent(file.fileName)}`, tabindex: -1 }, file.fileName),
    file.legalHold && h('span', { title: 'Under a legal hold' }, ' ', icon('lock'), h('span', { class: 'visually-hidden' }, 'under a legal hold')),
  ] },
  { name: 'description', title: 'Description', key: (file) => file.description ?? '', cell: (file) => h('span', { title: file.description ?? '' }, file.description) },
  { name: 'tags', title: 'Tags', key: (file) => file.tags.join(), cell: (file) => file.tags.map((tag) => [h('span', { class: 'tag' }, tag), ' ']) },
  { name: 'platforms', title: 'Platform', key: (file) => file.platforms.join(), cell: (file) => file.platforms.map((name) => PLATFORMS[/** @type {'linux'} */ (name)]).join(', ') },
  { name: 'category', title: 'Category', key: (file) => file.category ?? '', cell: (file) => file.category },
  { name: 'kind', title: 'Type', key: (file) => kind(file.fileName), cell: (file) => kind(file.fileName) },
  { name: 'size', title: 'Size', number: true, key: (file) => file.size, cell: (file) => size(file.size) },
  { name: 'version', title: 'Version', number: true, key: (file) => file.version, cell: (file) => file.version },
  { name: 'lastUpdatedTime', title: 'Changed', key: (file) => file.lastUpdatedTime, cell: (file) => time(file.lastUpdatedTime) },
  { name: 'createdBy', title: 'First uploaded by', key: (file) => file.createdBy, cell: (file) => file.createdBy },
];

export class LibraryView extends View {
  /** @type {File[]} */ files = [];
  /** @type {Set<string> | null} what the server's search found */ found = null;

  async connectedCallback() {
    const hidden = new Set(JSON.parse(localStorage.getItem(HIDDEN) ?? '["category","kind","createdBy","version"]'));
    this.table = new Table({
      label: 'Library', columns: columns().map((column) => ({ ...column, hidden: hidden.has(column.name) })),
      id: (file) => file.fileName, open: (file) => go(`/files/${encodeURIComponent(file.fileName)}`), sort: 'fileName',
    });
    this.search = h('input', { type: 'search', 'aria-label': 'Search names, descriptions, tags and texts', placeholder: 'Search  ( / )', autocomplete: 'off', oninput: () => this.seek() });
    this.filters = ['platform', 'tag', 'category', 'type', 'who', 'when'].map((name) => h('select', { 'aria-label': FILTERS[name].title, 'data-name': name, onchange: () => this.draw() }));
    this.count = h('p', { class: 'small faint', role: 'status' });
    this.problem = h('div', { class: 'pad', hidden: true });
    this.none = h('div', { class: 'empty', hidden: true }, h('h2', {}, 'No file matches'), h('p', {}, 'Names, descriptions, tags and texts were looked through, as the filters say.'),
      h('button', { onclick: () => this.clear() }, 'Clear search and filters'));
    this.place = h('div');
    const upload = h('button', { class: 'main', onclick: () => openUpload([]) }, icon('upload'), 'Upload');
    fill(this, h('div', { class: 'page' },
      h('div', { class: 'head' }, h('div', {}, h('h1', {}, 'Library'), this.count), this.may('Library.Manage') && upload),
      this.place));
    const { signal } = this.leaving;
    document.addEventListener('keydown', (event) => this.key(event), { signal });
    await follow(signal, () => this.load());
  }

  async load() {
    try {
      this.files = await all('/api/libraryfiles', { signal: this.leaving.signal });
    } catch (error) {
      if (!this.leaving.signal.aborted) this.failed(error);
      return;
    }
    if (this.files.length === 0) return this.nothing();
    if (!this.table?.element.isConnected) {
      fill(this.place, h('div', { class: 'card' },
        h('div', { class: 'tools' }, h('div', { class: 'search' }, icon('search'), this.search), this.filters, this.chooser()),
        this.problem, this.table?.element, this.none));
    }
    this.choices();
    this.draw();
  }

  /** @param {unknown} error */
  failed(error) {
    if (this.files.length > 0) return toast(error instanceof Error ? error.message : String(error));
    fill(this.place, wrong(error), h('p', {}, h('button', { onclick: () => this.load() }, 'Try again')));
  }

  nothing() {
    fill(this.count);
    fill(this.place, h('div', { class: 'card empty' }, icon('upload'), h('h2', {}, 'Put the first script into the library'),
      h('p', {}, 'Drop files anywhere on this page. Each becomes a library file that responders, playbooks and agents can use; every change after that is kept as a version.'),
      this.may('Library.Manage') && h('button', { class: 'main', onclick: () => openUpload([]) }, icon('upload'), 'Choose files')));
  }

  /** What the filters offer is what there is. */
  choices() {
    for (const select of this.filters ?? []) {
      const { title, of } = FILTERS[select.dataset.name];
      const before = select.value;
      const counts = new Map();
      for (const file of this.files) for (const value of of(file)) counts.set(value, (counts.get(value) ?? 0) + 1);
      const values = select.dataset.name === 'when' ? WHEN.map(([value]) => value) : [...counts.keys()].sort();
      fill(select, h('option', { value: '' }, title), values.map((value) => h('option', { value }, select.dataset.name === 'when' ? value : `${value} (${counts.get(value)})`)));
      select.value = values.includes(before) ? before : '';
      select.hidden = values.length === 0;
    }
  }

  draw() {
    const words = this.search.value.trim().toLowerCase();
    const wanted = this.filters?.filter((select) => select.value).map((select) => [FILTERS[select.dataset.name], select.value]) ?? [];
    const shown = this.files.filter((file) => {
      const said = `${file.fileName} ${file.description ?? ''} ${file.tags.join(' ')}`.toLowerCase();
      return (!words || said.includes(words) || this.found?.has(file.fileName)) && wanted.every(([filter, value]) => filter.holds(file, value));
    });
    this.table?.show(shown);
    if (this.table) this.table.element.hidden = shown.length === 0;
    this.none.hidden = shown.length > 0;
    fill(this.count, shown.length === this.files.length ? counted(shown.length, 'file') : `${shown.length.toLocaleString()} of ${counted(this.files.length, 'file')}`);
  }

  /** Names are looked through here at once, texts by the server a moment after the last key. */
  seek() {
    this.found = null;
    this.problem.hidden = true;
    this.draw();
    clearTimeout(this.waiting);
    const words = this.search.value;
    const query = searched(words);
    if (words.trim().length < 2 || query === '') return;
    this.waiting = setTimeout(async () => {
      try {
        const found = await all(`/api/libraryfiles?$select=fileName&$search=${encodeURIComponent(query)}`, { signal: this.leaving.signal });
        if (this.search.value !== words) return;
        this.found = new Set(found.map(({ fileName }) => fileName));
        this.draw();
      } catch (error) {
        if (this.leaving.signal.aborted || this.search.value !== words) return;
        // What the names say stands.
        fill(this.problem, h('p', {}, 'The texts could not be searched; only names, descriptions and tags were.'), wrong(error));
        this.problem.hidden = false;
      }
    }, 300);
  }

  clear() {
    this.search.value = '';
    for (const select of this.filters ?? []) select.value = '';
    this.seek();
    this.search.focus();
  }

  chooser() {
    const box = (/** @type {any} */ column) => h('label', { class: 'check' }, h('input', {
      type: 'checkbox', checked: !column.hidden, disabled: column.name === 'fileName',
      onchange: (/** @type {any} */ event) => {
        column.hidden = !event.target.checked;
        localStorage.setItem(HIDDEN, JSON.stringify(this.table?.columns.filter((other) => other.hidden).map(({ name }) => name)));
        this.table?.headings();
        this.table?.show(this.table.rows);
      },
    }), column.title);
    const list = h('div', { class: 'card pad menu', hidden: true }, this.table?.columns.map(box));
    const button = h('button', { 'aria-expanded': 'false', onclick: () => {
      list.hidden = !list.hidden;
      button.setAttribute('aria-expanded', String(!list.hidden));
    } }, icon('columns'), 'Columns');
    return h('div', { class: 'chooser' }, button, list);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLSelectElement;
    if (document.querySelector('dialog[open]')) return;
    if (event.key === '/' && !typing) {
      event.preventDefault();
      this.search.focus();
    } else if (event.key === 'ArrowDown' && event.target === this.search) {
      event.preventDefault();
      this.table?.element.focus();
      if (this.table?.rows.length) this.table.select(0);
    } else if (event.key === 'Enter' && event.target === this.search && this.table?.rows.length) {
      go(`/files/${encodeURIComponent(this.table.rows[0].fileName)}`);
    }
  }
}

/**
 * What was typed, for the server. The beginning of a word is enough; what has other characters is looked for as it stands, and
 * what has neither letters nor digits only in names.
 * @param {string} typed
 */
function searched(typed) {
  const words = typed.trim().split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  return words.map((word) => (/^[\p{L}\p{N}_]+$/u.test(word) ? `${word}*` : `"${word.replace(/[\\"]/g, '\\$&')}"`)).join(' ');
}

/** @type {[string, number][]} */
const WHEN = [['Last hour', 1], ['Last 24 hours', 24], ['Last 7 days', 168], ['Last 30 days', 720]];

/** @type {Record<string, { title: string, of: (file: File) => string[], holds: (file: File, value: string) => boolean }>} */
const FILTERS = {
  platform: { title: 'Platform', of: (file) => file.platforms, holds: (file, value) => file.platforms.includes(value) },
  tag: { title: 'Tag', of: (file) => file.tags, holds: (file, value) => file.tags.includes(value) },
  category: { title: 'Category', of: (file) => (file.category ? [file.category] : []), holds: (file, value) => file.category === value },
  type: { title: 'Type', of: (file) => (kind(file.fileName) ? [kind(file.fileName)] : []), holds: (file, value) => kind(file.fileName) === value },
  who: { title: 'Uploaded by', of: (file) => [file.createdBy], holds: (file, value) => file.createdBy === value },
  when: { title: 'Changed', of: () => [], holds: (file, value) => {
    const hours = WHEN.find(([title]) => title === value)?.[1] ?? 0;
    return Date.now() - Date.parse(file.lastUpdatedTime) < hours * 3_600_000;
  } },
};
