// @ts-check
// What machines were asked to do.

import { get } from '../api.js';
import { fill, h } from '../dom.js';
import { time } from '../format.js';
import { go } from '../main.js';
import { every } from '../parts/live.js';
import { Table } from '../parts/table.js';
import { View } from '../parts/view.js';

export const STATUS = { Pending: '', InProgress: 'warn', Succeeded: 'good', Failed: 'bad', TimeOut: 'bad', Cancelled: '' };

/** What an action does, in few words. @param {any} action */
export const words = (action) => action.commands.map((/** @type {any} */ { command }) => command.params.find((/** @type {any} */ { key }) => key !== 'Args' && key !== 'ArgsList')?.value).join(', ');

export class ActionsView extends View {
  async connectedCallback() {
    /** @type {import('../parts/table.js').Column<any>[]} */
    const columns = [
      { name: 'when', title: 'When', key: (action) => action.creationDateTimeUtc, cell: (action) => h('a', { href: `/actions/${action.id}`, tabindex: -1 }, time(action.creationDateTimeUtc, 'seconds')) },
      { name: 'machine', title: 'Machine', key: (action) => action.computerDnsName, cell: (action) => action.computerDnsName },
      { name: 'status', title: 'Status', key: (action) => action.status, cell: (action) => h('span', { class: `tag ${STATUS[/** @type {'Failed'} */ (action.status)]}` }, action.status) },
      { name: 'what', title: 'What', key: words, cell: words },
      { name: 'who', title: 'Who', key: (action) => action.requestor, cell: (action) => action.requestor },
      { name: 'why', title: 'Why', key: (action) => action.requestorComment, cell: (action) => action.requestorComment },
    ];
    this.table = new Table({ label: 'Actions', columns, id: (action) => action.id, open: (action) => go(`/actions/${action.id}`), sort: 'when', descending: true });
    this.place = h('div');
    fill(this, h('div', { class: 'page' }, h('h1', {}, 'Actions'), this.place));
    await this.load();
    every(5000, this.leaving.signal, () => this.load());
  }

  async load() {
    try {
      const { value } = await get('/api/machineactions?$top=1000', { signal: this.leaving.signal });
      if (value.length === 0) return fill(this.place, h('div', { class: 'card empty' }, h('h2', {}, 'Nothing was asked of a machine yet'), h('p', {}, 'Run a script of the library on one, and follow it here.'), h('a', { class: 'button', href: '/machines' }, 'To the machines')));
      if (!this.table?.element.isConnected) fill(this.place, h('div', { class: 'card' }, this.table?.element));
      this.table?.show(value);
    } catch (error) {
      this.tell(this.place, error);
    }
  }
}
