// @ts-check
// Deleted files that are still kept, and how much room there is.

import { all, call, get } from '../api.js';
import { facts, fill, h, icon } from '../dom.js';
import { counted, size, time } from '../format.js';
import { go } from '../main.js';
import { ask, field } from '../parts/dialog.js';
import { held, holdDialog } from '../parts/hold.js';
import { follow } from '../parts/live.js';
import { plain } from '../parts/table.js';
import { toast } from '../parts/toast.js';
import { View } from '../parts/view.js';

export class DeletedView extends View {
  async connectedCallback() {
    await follow(this.leaving.signal, () => this.load());
  }

  async load() {
    try {
      const { signal } = this.leaving;
      const [files, usage] = await Promise.all([all('/api/deletedlibraryfiles', { signal }), get('/api/library/usage', { signal })]);
      fill(this, h('div', { class: 'page' }, h('h1', {}, 'Deleted files'), this.usage(usage), this.table(files)));
    } catch (error) {
      this.tell(this, error);
    }
  }

  /** @param {any} usage */
  usage(usage) {
    const of = (/** @type {number} */ used, /** @type {number | null} */ most, /** @type {(value: number) => string} */ shown) => [
      most === null ? shown(used) : `${shown(used)} of ${shown(most)}`,
      most !== null && h('progress', { max: most, value: used, 'aria-label': `${shown(used)} of ${shown(most)}` }),
    ];
    return h('div', { class: 'card pad page' }, h('h2', {}, 'In the library'), facts([
      ['Files', of(usage.files, usage.maxFiles, (value) => counted(value, 'file'))],
      ['Room', of(usage.bytes, usage.maxBytes, size)],
      ['Versions', usage.versions.toLocaleString()],
      ['Largest file', `may have ${size(usage.maxFileBytes)}`],
      ['Kept after deletion', counted(usage.retentionDays, 'day')],
    ]));
  }

  /** @param {any[]} files */
  table(files) {
    if (files.length === 0) return h('div', { class: 'card empty' }, h('h2', {}, 'Nothing was deleted'), h('p', {}, 'What is deleted from the library stays here for a while and can be brought back.'));
    const manage = this.may('Library.Manage');
    const buttons = (/** @type {any} */ file) => manage && h('span', { class: 'row tight' },
      h('button', { onclick: () => this.restore(file) }, icon('restore'), 'Restore'),
      h('button', { onclick: () => holdDialog(file, `/api/deletedlibraryfiles/${file.id}`, () => this.load()) }, icon('lock'), file.legalHold ? 'Lift hold' : 'Hold'),
      h('button', { class: 'danger', disabled: file.legalHold, title: file.legalHold && 'Under a legal hold: lift it first', onclick: () => this.purge(file) }, 'Purge'));
    return h('div', { class: 'card' }, plain('Deleted files', ['Name', 'Deleted', 'By', 'Kept until', '#Size', ''], files.map((file) => [
      file.fileName, time(file.deletedTime), file.deletedBy, file.legalHold ? held(file.legalHoldReason) : time(file.expirationTime), size(file.size), buttons(file)])));
  }

  /** @param {any} file */
  restore(file) {
    ask({
      title: `Restore ${file.fileName}?`,
      fields: h('p', {}, 'It lives in the library again, with all of its history.'),
      verb: 'Restore',
      send: async () => {
        const restored = await (await call(`/api/deletedlibraryfiles/${file.id}/restore`, { method: 'POST' })).json();
        toast(`${restored.fileName} is in the library again.`);
        return () => go(`/files/${encodeURIComponent(restored.fileName)}`);
      },
    });
  }

  /** @param {any} file */
  purge(file) {
    ask({
      title: `Purge ${file.fileName}?`,
      fields: [
        h('p', {}, 'The file and all of its versions are gone for good. The audit log keeps the reason, and the digest of each version.'),
        field('Reason', h('input', { name: 'reason', required: true, maxlength: 1024 })),
      ],
      verb: 'Purge for good',
      danger: true,
      send: async (form) => {
        await call(`/api/deletedlibraryfiles/${file.id}/purge`, { method: 'POST', json: { reason: form.get('reason') } });
        await this.load();
      },
    });
  }
}
