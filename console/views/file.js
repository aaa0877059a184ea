// @ts-check
// One file: its text, its history, what differs between any two versions, what is said about it, where it ran.

import { ApiError, all, call, fileAt, get } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { size, time } from '../format.js';
import { go } from '../main.js';
import { code, decoded } from '../parts/code.js';
import { confirm, dialog } from '../parts/dialog.js';
import { diff } from '../parts/diff.js';
import { follow } from '../parts/live.js';
import { toast, wrong } from '../parts/toast.js';

/** Larger texts are downloaded and not shown. */
const SHOWN = 2 << 20;

export class FileView extends HTMLElement {
  subject = '';
  /** @type {(permission: string) => boolean} */ may = () => false;
  tab = 'text';
  leaving = new AbortController();

  async connectedCallback() {
    document.addEventListener('jumpbag-changed', () => this.load(), { signal: this.leaving.signal });
    await this.load();
    follow(this.leaving.signal, () => this.load());
  }

  disconnectedCallback() {
    this.leaving.abort();
  }

  async load() {
    const { signal } = this.leaving;
    try {
      const answer = await call(fileAt(this.subject), { signal });
      const file = await answer.json();
      const fresh = this.file?.version !== file.version || this.file?.id !== file.id || this.file?.legalHold !== file.legalHold;
      this.tag = answer.headers.get('ETag') ?? '';
      this.file = file;
      if (fresh) this.draw();
    } catch (error) {
      if (signal.aborted) return;
      const gone = error instanceof ApiError && error.status === 404;
      fill(this, h('div', { class: 'page' }, gone
        ? h('div', { class: 'card empty' }, h('h1', {}, 'This file is not in the library'), h('p', {}, `${this.subject} was deleted, or never was there. A deleted file is kept for a while.`), h('a', { href: '/deleted' }, 'To the deleted files'))
        : wrong(error)));
    }
  }

  draw() {
    const file = this.file;
    const manage = this.may('Library.Manage');
    const content = `${fileAt(file.fileName)}/content`;
    const digest = h('button', { class: 'plain', 'aria-label': 'Copy the SHA-256', onclick: () => navigator.clipboard.writeText(file.sha256).then(() => toast('SHA-256 copied')) }, icon('copy'));
    this.place = h('div', { role: 'tabpanel' });
    this.tabs = h('div', { class: 'tabs', role: 'tablist', onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event) });
    fill(this, h('div', { class: 'page' },
      h('p', { class: 'small' }, h('a', { href: '/' }, 'Library'), ' / ', file.fileName),
      h('div', { class: 'head' }, h('h1', {}, file.fileName), h('div', { class: 'row' },
        h('a', { class: 'button', href: content, download: file.fileName }, icon('download'), 'Download'),
        manage && h('button', { onclick: () => this.edit() }, 'Edit'),
        manage && h('button', { class: 'danger', onclick: () => this.remove() }, icon('trash'), 'Delete'))),
      h('div', { class: 'card pad' }, h('dl', { class: 'facts' },
        fact('Description', file.description), fact('Parameters', file.parametersDescription),
        fact('Tags', file.tags.length > 0 && file.tags.map((/** @type {string} */ tag) => [h('span', { class: 'tag' }, tag), ' '])),
        fact('Platforms', file.platforms.join(', ')), fact('Category', file.category), fact('Instructions', file.instructions),
        fact('Size', `${size(file.size)} (${file.size.toLocaleString()} bytes)`),
        fact('SHA-256', [h('code', {}, file.sha256), digest]),
        fact('Version', [`${file.version}, `, time(file.lastUpdatedTime)]), fact('First uploaded', [time(file.creationTime), ` by ${file.createdBy}`]),
        fact('Legal hold', file.legalHold && 'yes: no version of it is removed'))),
      h('div', { class: 'card' }, this.tabs, this.place)));
    this.open(this.tab);
  }

  /** @param {string} tab */
  async open(tab) {
    this.tab = tab;
    const runs = this.may('Machine.Read.All') || this.may('Machine.ReadWrite.All') || this.may('Machine.Read') || this.may('Machine.LiveResponse');
    const tabs = [['text', 'Text'], ['history', 'History'], ['differences', 'Differences'], ...(runs ? [['runs', 'Where it ran']] : [])];
    fill(this.tabs, tabs.map(([name, title]) => h('button', { role: 'tab', 'aria-selected': String(name === tab), tabindex: name === tab ? 0 : -1, 'data-name': name, onclick: () => this.open(name) }, title)));
    const place = /** @type {Element} */ (this.place);
    place.setAttribute('aria-label', tabs.find(([name]) => name === tab)?.[1] ?? '');
    const wait = setTimeout(() => fill(place, h('p', { class: 'pad faint' }, 'Loading…')), 200);
    try {
      /** @type {Record<string, () => Promise<any>>} */
      const ways = { text: () => this.text(), history: () => this.history(), differences: () => this.differences(), runs: () => this.runs() };
      const shown = await ways[tab]();
      clearTimeout(wait);
      if (this.tab === tab && this.place === place) fill(place, shown);
    } catch (error) {
      clearTimeout(wait);
      if (!this.leaving.signal.aborted) fill(place, h('div', { class: 'pad' }, wrong(error)));
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.tabs.children];
    const at = buttons.findIndex((button) => button.getAttribute('aria-selected') === 'true');
    const next = buttons[(at + step + buttons.length) % buttons.length];
    this.open(next.dataset.name).then(() => this.tabs.querySelector('[aria-selected="true"]')?.focus());
  }

  async text() {
    if (this.file.size > SHOWN) return h('p', { class: 'pad' }, `This file has ${size(this.file.size)}: download it to look at it.`);
    const bytes = await (await call(`${fileAt(this.file.fileName)}/content`, { signal: this.leaving.signal })).arrayBuffer();
    const text = decoded(bytes);
    return text === null ? h('p', { class: 'pad' }, 'This file is no text: download it to look at it.') : code(this.file.fileName, text);
  }

  versions() {
    return all(`${fileAt(this.file.fileName)}/versions`, { signal: this.leaving.signal });
  }

  async history() {
    const manage = this.may('Library.Manage');
    const rows = (await this.versions()).map((version) => h('tr', {},
      h('td', { class: 'number' }, version.version), h('td', {}, time(version.creationTime)), h('td', {}, version.createdBy),
      h('td', {}, CAUSES[/** @type {'uploaded'} */ (version.cause)] ?? version.cause, version.changed.length > 0 && h('span', { class: 'faint' }, ` (${version.changed.join(', ')})`)),
      h('td', { class: 'number' }, size(version.size)), h('td', {}, h('code', {}, version.sha256.slice(0, 12))),
      h('td', {}, h('span', { class: 'row' },
        h('a', { class: 'button', href: `${fileAt(this.file.fileName)}/versions/${version.version}/content`, download: version.fileName, 'aria-label': `Download version ${version.version}` }, icon('download')),
        manage && version.state !== 'current' && h('button', { onclick: () => this.restore(version.version) }, icon('restore'), 'Restore'),
        version.state === 'current' && h('span', { class: 'tag good' }, 'current')))));
    return h('div', { class: 'grid' }, h('table', {},
      h('thead', {}, h('tr', {}, ['Version', 'When', 'Who', 'What', 'Size', 'SHA-256', ''].map((title) => h('th', { scope: 'col' }, title || h('span', { class: 'visually-hidden' }, 'Actions'))))), h('tbody', {}, rows)));
  }

  async differences() {
    const versions = await this.versions();
    if (versions.length < 2) return h('p', { class: 'pad' }, 'There is one version: nothing to compare it with yet.');
    const choose = (/** @type {string} */ label, /** @type {number} */ at) => {
      const select = h('select', { 'aria-label': label, onchange: () => show() }, versions.map((version) => h('option', { value: version.version }, `Version ${version.version}, ${version.createdBy}`)));
      select.value = String(versions[at].version);
      return select;
    };
    const from = choose('From', 1);
    const to = choose('To', 0);
    const beside = h('input', { type: 'checkbox', onchange: () => show() });
    const shown = h('div');
    const show = async () => {
      try {
        const found = await get(`${fileAt(this.file.fileName)}/versions/${from.value}/diff/${to.value}`, { signal: this.leaving.signal });
        const why = found.binary ? 'One of them is no text, so there are no lines to compare.'
          : found.identical ? 'They have the same bytes. What is said about the file may differ.' : found.hunks.length === 0 && 'Their lines are the same; only the encoding differs.';
        fill(shown, why ? h('p', { class: 'pad' }, why) : diff(found.hunks, beside.checked));
      } catch (error) {
        if (!this.leaving.signal.aborted) fill(shown, h('div', { class: 'pad' }, wrong(error)));
      }
    };
    await show();
    return [h('div', { class: 'tools' }, from, h('span', { class: 'faint' }, 'to'), to, h('label', { class: 'check' }, beside, 'Side by side')), shown];
  }

  async runs() {
    const versions = await this.versions();
    const runs = await Promise.all(versions.slice(0, 20).map(async ({ version }) => {
      const found = await all(`${fileAt(this.file.fileName)}/versions/${version}/runs`, { signal: this.leaving.signal });
      return found.map((action) => ({ version, action }));
    }));
    const rows = runs.flat().sort((a, b) => b.action.creationDateTimeUtc.localeCompare(a.action.creationDateTimeUtc));
    if (rows.length === 0) return h('p', { class: 'pad' }, 'No machine was asked to run it yet.');
    return h('div', { class: 'grid' }, h('table', {},
      h('thead', {}, h('tr', {}, ['When', 'Machine', 'Version', 'Status', 'By'].map((title) => h('th', { scope: 'col' }, title)))),
      h('tbody', {}, rows.map(({ version, action }) => h('tr', {},
        h('td', {}, h('a', { href: `/actions/${action.id}` }, time(action.creationDateTimeUtc))), h('td', {}, action.computerDnsName), h('td', {}, version), h('td', {}, action.status), h('td', {}, action.requestor))))));
  }

  /** @param {number} version */
  async restore(version) {
    await this.change(() => call(`${fileAt(this.file.fileName)}/versions/${version}/restore`, { method: 'POST', headers: { 'If-Match': this.tag ?? '' } }), `Version ${version} is back, as a new version.`);
  }

  async remove() {
    const sure = await confirm({ title: `Delete ${this.file.fileName}?`, text: 'It goes out of the library at once and can be restored from the deleted files while it is kept.', verb: 'Delete', danger: true });
    if (sure && await this.change(() => call(fileAt(this.file.fileName), { method: 'DELETE', headers: { 'If-Match': this.tag ?? '' } }), `${this.file.fileName} was deleted.`)) go('/');
  }

  /** @param {() => Promise<unknown>} what @param {string} said */
  async change(what, said) {
    try {
      await what();
      toast(said);
      document.dispatchEvent(new CustomEvent('jumpbag-changed'));
      return true;
    } catch (error) {
      const changed = error instanceof ApiError && error.status === 412;
      toast(changed ? 'Somebody changed it meanwhile: look at it again first.' : error instanceof Error ? error.message : String(error));
      await this.load();
      return false;
    }
  }

  edit() {
    const file = this.file;
    const text = (/** @type {string} */ name, /** @type {string | null} */ value) => h('input', { name, value: value ?? '' });
    const area = h('textarea', { name: 'instructions' });
    area.value = file.instructions ?? '';
    const boxes = ['windows', 'linux', 'macos'].map((name) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'platforms', value: name, checked: file.platforms.includes(name) }), name));
    const problem = h('div');
    const element = dialog(`Edit ${file.fileName}`, (close) => {
      const form = h('form', { onsubmit: async (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        const said = new FormData(form);
        const value = (/** @type {string} */ name) => String(said.get(name) ?? '').trim() || null;
        const patch = {
          description: value('description'), parametersDescription: value('parametersDescription'), category: value('category'), instructions: value('instructions'),
          tags: String(said.get('tags')).split(',').map((tag) => tag.trim()).filter(Boolean), platforms: said.getAll('platforms'),
        };
        try {
          await call(fileAt(file.fileName), { method: 'PATCH', json: patch, headers: { 'If-Match': this.tag ?? '' } });
          element.close();
          document.dispatchEvent(new CustomEvent('jumpbag-changed'));
        } catch (error) {
          fill(problem, wrong(error));
        }
      } },
      h('label', { class: 'field' }, 'Description', text('description', file.description)),
      h('label', { class: 'field' }, 'Parameters', text('parametersDescription', file.parametersDescription)),
      h('label', { class: 'field' }, 'Tags, with commas between', text('tags', file.tags.join(', '))),
      h('fieldset', { class: 'row' }, h('legend', { class: 'small' }, 'Platforms'), boxes),
      h('label', { class: 'field' }, 'Category', text('category', file.category)),
      h('label', { class: 'field' }, 'Instructions', area), problem,
      h('div', { class: 'foot' }, h('button', { type: 'button', onclick: close }, 'Cancel'), h('button', { class: 'main', type: 'submit' }, 'Save')));
      return form;
    });
  }
}

const CAUSES = { uploaded: 'Uploaded', overridden: 'Replaced', changed: 'Described anew', restored: 'Restored' };

/** @param {string} title @param {import('../dom.js').Child} value */
function fact(title, value) {
  return value ? [h('dt', {}, title), h('dd', {}, value)] : null;
}
