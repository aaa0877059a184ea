// @ts-check
// Deleted files that are still kept, and how much room there is.

import { all, call, get } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { counted, size, time } from '../format.js';
import { go } from '../main.js';
import { confirm, dialog } from '../parts/dialog.js';
import { follow } from '../parts/live.js';
import { toast, wrong } from '../parts/toast.js';

export class DeletedView extends HTMLElement {
  /** @type {(permission: string) => boolean} */ may = () => false;
  leaving = new AbortController();

  async connectedCallback() {
    await this.load();
    follow(this.leaving.signal, () => this.load());
  }

  disconnectedCallback() {
    this.leaving.abort();
  }

  async load() {
    try {
      const { signal } = this.leaving;
      const [files, usage] = await Promise.all([all('/api/deletedlibraryfiles', { signal }), get('/api/library/usage', { signal })]);
      fill(this, h('div', { class: 'page' }, h('h1', {}, 'Deleted files'), this.usage(usage), this.table(files)));
    } catch (error) {
      if (!this.leaving.signal.aborted) fill(this, wrong(error));
    }
  }

  /** @param {any} usage */
  usage(usage) {
    const of = (/** @type {number} */ used, /** @type {number | null} */ most, /** @type {(value: number) => string} */ shown) => [
      most === null ? shown(used) : `${shown(used)} of ${shown(most)}`,
      most !== null && h('progress', { max: most, value: used, 'aria-label': `${shown(used)} of ${shown(most)}` }),
    ];
    return h('div', { class: 'card pad' }, h('dl', { class: 'facts' },
      h('dt', {}, 'Files'), h('dd', {}, of(usage.files, usage.maxFiles, (value) => counted(value, 'file'))),
      h('dt', {}, 'Room'), h('dd', {}, of(usage.bytes, usage.maxBytes, size)),
      h('dt', {}, 'Versions'), h('dd', {}, usage.versions.toLocaleString()),
      h('dt', {}, 'Kept after deletion'), h('dd', {}, counted(usage.retentionDays, 'day')),
      h('dt', {}, 'Largest file'), h('dd', {}, size(usage.maxFileBytes))));
  }

  /** @param {any[]} files */
  table(files) {
    if (files.length === 0) return h('div', { class: 'card empty' }, h('h2', {}, 'Nothing was deleted'), h('p', {}, 'What is deleted from the library stays here for a while and can be brought back.'));
    const manage = this.may('Library.Manage');
    return h('div', { class: 'card grid' }, h('table', {},
      h('thead', {}, h('tr', {}, ['Name', 'Deleted', 'By', 'Kept until', 'Size', ''].map((title) => h('th', { scope: 'col' }, title || h('span', { class: 'visually-hidden' }, 'Actions'))))),
      h('tbody', {}, files.map((file) => h('tr', {},
        h('td', {}, file.fileName), h('td', {}, time(file.deletedTime)), h('td', {}, file.deletedBy),
        h('td', {}, file.legalHold ? h('span', { class: 'tag warn', title: file.legalHoldReason ?? '' }, 'legal hold') : time(file.expirationTime)),
        h('td', { class: 'number' }, size(file.size)),
        h('td', {}, manage && h('span', { class: 'row' },
          h('button', { onclick: () => this.restore(file) }, icon('restore'), 'Restore'),
          h('button', { class: 'danger', onclick: () => this.purge(file) }, 'Purge'))))))));
  }

  /** @param {any} file */
  async restore(file) {
    const sure = await confirm({ title: `Restore ${file.fileName}?`, text: 'It lives in the library again, with all of its history.', verb: 'Restore' });
    if (!sure) return;
    try {
      const restored = await (await call(`/api/deletedlibraryfiles/${file.id}/restore`, { method: 'POST' })).json();
      toast(`${restored.fileName} is in the library again.`);
      go(`/files/${encodeURIComponent(restored.fileName)}`);
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {any} file */
  purge(file) {
    const reason = h('input', { required: true, maxlength: 1024 });
    const problem = h('div');
    const element = dialog(`Purge ${file.fileName}?`, (close) => h('form', { onsubmit: async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      try {
        await call(`/api/deletedlibraryfiles/${file.id}/purge`, { method: 'POST', json: { reason: reason.value } });
        element.close();
        await this.load();
      } catch (error) {
        fill(problem, wrong(error));
      }
    } },
    h('p', {}, 'The file and all of its versions are gone for good. The audit log keeps the reason, and the digest of each version.'),
    h('label', { class: 'field' }, 'Reason', reason), problem,
    h('div', { class: 'foot' }, h('button', { type: 'button', onclick: close }, 'Cancel'), h('button', { class: 'danger', type: 'submit' }, 'Purge for good'))));
  }
}
