// @ts-check
// One file: its text, its history, what differs between any two versions, what is said about it, where it ran.

import { ApiError, all, call, fileAt, get } from '../api.js';
import { facts, fill, h, icon } from '../dom.js';
import { size, time } from '../format.js';
import { go } from '../main.js';
import { code, decoded } from '../parts/code.js';
import { ask, field } from '../parts/dialog.js';
import { diff } from '../parts/diff.js';
import { held, holdDialog } from '../parts/hold.js';
import { follow } from '../parts/live.js';
import { plain } from '../parts/table.js';
import { said, toast, wrong } from '../parts/toast.js';
import { View } from '../parts/view.js';
import { STATUS } from './actions.js';

/** Larger texts are downloaded and not shown. */
const SHOWN = 2 << 20;
/** Versions of which it is asked where they ran. */
const RAN = 20;

/** @type {[string, string][]} */
const TABS = [['text', 'Text'], ['history', 'History'], ['differences', 'Differences'], ['runs', 'Where it ran']];

export class FileView extends View {
  /** What is open is part of the address. */
  tab = TABS.find(([name]) => location.hash === `#${name}`)?.[0] ?? 'text';

  async connectedCallback() {
    await follow(this.leaving.signal, () => this.load());
  }

  async load() {
    const { signal } = this.leaving;
    try {
      const answer = await call(fileAt(this.subject), { signal });
      const file = await answer.json();
      const fresh = this.tag !== answer.headers.get('ETag');
      this.tag = answer.headers.get('ETag') ?? '';
      this.file = file;
      if (fresh) this.draw();
    } catch (error) {
      if (signal.aborted) return;
      this.tag = undefined;
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
    this.hold = h('span', {}, file.legalHold && held());
    if (file.legalHold) this.reason();
    this.place = h('div', { role: 'tabpanel' });
    this.tabs = h('div', { class: 'tabs', role: 'tablist', onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event) });
    fill(this, h('div', { class: 'page' },
      h('p', { class: 'small' }, h('a', { href: '/' }, 'Library'), ' / ', file.fileName),
      h('div', { class: 'head' }, h('div', { class: 'row' }, h('h1', {}, file.fileName), this.hold), h('div', { class: 'row' },
        h('a', { class: 'button', href: content, download: file.fileName }, icon('download'), 'Download'),
        manage && h('button', { onclick: () => this.edit() }, 'Edit'),
        manage && h('button', { onclick: () => holdDialog(file, fileAt(file.fileName), () => this.load()) }, icon('lock'), file.legalHold ? 'Lift hold' : 'Hold'),
        manage && h('button', { class: 'danger', onclick: () => this.remove() }, icon('trash'), 'Delete'))),
      h('div', { class: 'card pad' }, facts([
        ['Description', file.description, 'wide'], ['Parameters', file.parametersDescription, 'wide'], ['Category', file.category],
        ['Tags', file.tags.length > 0 && file.tags.map((/** @type {string} */ tag) => [h('span', { class: 'tag' }, tag), ' '])],
        ['Platforms', file.platforms.join(', ')], ['Instructions', file.instructions, 'wide'],
        ['Version', [`${file.version}, `, time(file.lastUpdatedTime)]], ['First uploaded', [time(file.creationTime), ` by ${file.createdBy}`]],
        ['Size', `${size(file.size)} (${file.size.toLocaleString()} bytes)`], ['SHA-256', [h('code', {}, file.sha256), digest], 'wide'],
      ])),
      h('div', { class: 'card' }, this.tabs, this.place)));
    this.open(this.tab);
  }

  /** The audit log knows why a file is held, for those who may read it. */
  async reason() {
    if (!this.may('Audit.Read')) return;
    const place = this.hold;
    const name = this.file.fileName.replaceAll("'", "''");
    const query = `$filter=${encodeURIComponent(`action eq 'library.hold' and target eq '${name}'`)}&$orderby=number%20desc&$top=1`;
    const { value } = await get(`/api/audit?${query}`, { signal: this.leaving.signal }).catch(() => ({ value: [] }));
    if (value.length > 0) fill(place, held(value[0].after?.reason));
  }

  /** @param {string} tab */
  async open(tab) {
    this.tab = tab;
    history.replaceState(null, '', tab === 'text' ? location.pathname : `#${tab}`);
    const runs = this.may('Machine.Read.All') || this.may('Machine.ReadWrite.All') || this.may('Machine.Read') || this.may('Machine.LiveResponse');
    const tabs = TABS.filter(([name]) => runs || name !== 'runs');
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
    const rows = (await this.versions()).map((version) => [
      version.version, time(version.creationTime), version.createdBy,
      [CAUSES[/** @type {'uploaded'} */ (version.cause)] ?? version.cause, version.changed.length > 0 && h('span', { class: 'faint' }, ` (${[...new Set(version.changed.map((/** @type {string} */ part) => PARTS[part] ?? part))].join(', ')})`)],
      size(version.size), h('code', {}, version.sha256.slice(0, 12)),
      h('span', { class: 'row tight' },
        h('a', { class: 'button', href: `${fileAt(this.file.fileName)}/versions/${version.version}/content`, download: version.fileName, 'aria-label': `Download version ${version.version}` }, icon('download')),
        manage && version.state !== 'current' && h('button', { onclick: () => this.restore(version.version) }, icon('restore'), 'Restore'),
        version.state === 'current' && h('span', { class: 'tag good' }, 'current')),
    ]);
    return plain('History', ['#Version', 'When', 'Who', 'What', '#Size', 'SHA-256', ''], rows);
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
    return [h('div', { class: 'tools pick' }, from, h('span', { class: 'faint' }, 'to'), to, h('label', { class: 'check' }, beside, 'Side by side')), shown];
  }

  async runs() {
    const versions = await this.versions();
    const runs = await Promise.all(versions.slice(0, RAN).map(async ({ version }) => {
      const found = await all(`${fileAt(this.file.fileName)}/versions/${version}/runs`, { signal: this.leaving.signal });
      return found.map((action) => ({ version, action }));
    }));
    const rows = runs.flat().sort((a, b) => b.action.creationDateTimeUtc.localeCompare(a.action.creationDateTimeUtc));
    if (rows.length === 0) return h('p', { class: 'pad' }, 'No machine was asked to run it yet.');
    return [
      versions.length > RAN && h('p', { class: 'pad faint' }, `Of the newest ${RAN} versions.`),
      plain('Where it ran', ['When', 'Machine', '#Version', 'Status', 'By'], rows.map(({ version, action }) => [
        h('a', { href: `/actions/${action.id}` }, time(action.creationDateTimeUtc)), action.computerDnsName, version,
        h('span', { class: `tag ${STATUS[/** @type {'Failed'} */ (action.status)]}` }, action.status), action.requestor])),
    ];
  }

  /** @param {number} version */
  async restore(version) {
    await this.change(() => call(`${fileAt(this.file.fileName)}/versions/${version}/restore`, { method: 'POST', headers: { 'If-Match': this.tag ?? '' } }), `Version ${version} is back, as a new version.`);
  }

  remove() {
    const { fileName } = this.file;
    ask({
      title: `Delete ${fileName}?`,
      fields: h('p', {}, 'It goes out of the library at once and can be restored from the deleted files while it is kept.'),
      verb: 'Delete',
      danger: true,
      send: async () => {
        await call(fileAt(fileName), { method: 'DELETE', headers: { 'If-Match': this.tag ?? '' } });
        toast(`${fileName} was deleted.`);
        return () => go('/');
      },
    });
  }

  /** @param {() => Promise<unknown>} what @param {string} done */
  async change(what, done) {
    try {
      await what();
      toast(done);
      document.dispatchEvent(new CustomEvent('jumpbag-changed'));
    } catch (error) {
      const changed = error instanceof ApiError && error.status === 412;
      toast(changed ? 'Somebody changed it meanwhile: look at it again first.' : said(error));
      await this.load();
    }
  }

  edit() {
    // What was seen when it began: whoever changed it meanwhile is not overwritten.
    const { file } = this;
    let { tag = '' } = this;
    const text = (/** @type {string} */ name, /** @type {string | null} */ value) => h('input', { name, value: value ?? '' });
    const area = h('textarea', { name: 'instructions' });
    area.value = file.instructions ?? '';
    const boxes = ['windows', 'linux', 'macos'].map((name) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'platforms', value: name, checked: file.platforms.includes(name) }), name));
    const element = ask({
      title: `Edit ${file.fileName}`,
      fields: [
        field('Description', text('description', file.description)),
        field('Parameters', text('parametersDescription', file.parametersDescription)),
        field('Tags, with commas between', text('tags', file.tags.join(', '))),
        h('fieldset', { class: 'row' }, h('legend', { class: 'small' }, 'Platforms'), boxes),
        field('Category', text('category', file.category)),
        field('Instructions', area),
      ],
      verb: 'Save',
      send: async (form) => {
        const value = (/** @type {string} */ name) => String(form.get(name) ?? '').trim() || null;
        const patch = {
          description: value('description'), parametersDescription: value('parametersDescription'), category: value('category'), instructions: value('instructions'),
          tags: String(form.get('tags')).split(',').map((tag) => tag.trim()).filter(Boolean), platforms: form.getAll('platforms'),
        };
        await call(fileAt(file.fileName), { method: 'PATCH', json: patch, headers: { 'If-Match': tag } });
        document.dispatchEvent(new CustomEvent('jumpbag-changed'));
      },
      refused: async (error) => {
        if (error.status !== 412) return null;
        const answer = await call(fileAt(file.fileName));
        const theirs = await answer.json();
        const [newest] = await this.versions();
        return conflict(theirs, newest, {
          over: () => {
            tag = answer.headers.get('ETag') ?? '';
            element.querySelector('form')?.requestSubmit();
          },
          leave: () => {
            element.close();
            this.load();
          },
        });
      },
    });
  }
}

/**
 * What somebody else made of a file while it was edited here, and what to do about it.
 * @param {any} theirs @param {any} newest its newest version @param {{ over: () => void, leave: () => void }} ways
 */
function conflict(theirs, newest, { over, leave }) {
  return h('div', { class: 'notice warn', role: 'alert' },
    h('p', {}, h('strong', {}, `${newest.createdBy} changed this file while you edited it`), ', ', time(newest.creationTime), `. Now it is version ${theirs.version}, and says:`),
    facts([
      ['Description', theirs.description || 'none', 'wide'], ['Parameters', theirs.parametersDescription, 'wide'], ['Tags', theirs.tags.join(', ') || 'none', 'wide'],
      ['Platforms', theirs.platforms.join(', '), 'wide'], ['Category', theirs.category, 'wide'], ['Instructions', theirs.instructions, 'wide'],
    ]),
    h('p', {}, 'Nothing of yours is saved yet. Its text stays as it is now, whatever you choose.'),
    h('div', { class: 'row' }, h('button', { type: 'button', onclick: over }, 'Save mine over it'), h('button', { type: 'button', onclick: leave }, 'Take theirs')));
}

const CAUSES = { uploaded: 'Uploaded', overridden: 'Replaced', changed: 'Described anew', restored: 'Restored' };
/** What differs from the version before, in people's words. @type {Record<string, string>} */
const PARTS = { sha256: 'text', parametersDescription: 'parameters', hasParameters: 'parameters', fileName: 'name' };
