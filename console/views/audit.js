// @ts-check
// The audit log: who changed what, newest first.

import { get } from '../api.js';
import { fill, h } from '../dom.js';
import { time } from '../format.js';
import { Table } from '../parts/table.js';
import { wrong } from '../parts/toast.js';

const MOST = 1000;

export class AuditView extends HTMLElement {
  leaving = new AbortController();

  async connectedCallback() {
    /** @type {import('../parts/table.js').Column<any>[]} */
    const columns = [
      { name: 'number', title: 'Entry', number: true, key: (entry) => entry.number, cell: (entry) => entry.number },
      { name: 'time', title: 'When', key: (entry) => entry.time, cell: (entry) => time(entry.time) },
      { name: 'action', title: 'What', key: (entry) => entry.action, cell: (entry) => entry.action },
      { name: 'target', title: 'To', key: (entry) => entry.target ?? '', cell: (entry) => entry.target },
      { name: 'actor', title: 'Who', key: (entry) => who(entry), cell: (entry) => who(entry) },
      { name: 'hash', title: 'Hash', cell: (entry) => h('code', { class: 'faint' }, entry.hash.slice(0, 12)) },
    ];
    this.table = new Table({ label: 'Audit log', columns, id: (entry) => String(entry.number), sort: 'number', descending: true });
    this.filter = h('input', { type: 'search', 'aria-label': 'Filter by action, person or name', placeholder: 'Filter: library.delete, alice, triage.ps1', oninput: () => this.draw() });
    this.count = h('p', { class: 'small faint', role: 'status' });
    this.place = h('div');
    fill(this, h('div', { class: 'page' }, h('div', { class: 'head' }, h('div', {}, h('h1', {}, 'Audit log'), this.count),
      h('a', { class: 'button', href: '/api/audit?$format=ndjson', download: 'audit.ndjson' }, 'Export')), this.place));
    try {
      const { value } = await get(`/api/audit?$orderby=number%20desc&$top=${MOST}`, { signal: this.leaving.signal });
      this.entries = value;
      fill(this.place, h('div', { class: 'card' }, h('div', { class: 'tools' }, h('div', { class: 'search' }, this.filter)), this.table.element));
      this.draw();
    } catch (error) {
      if (!this.leaving.signal.aborted) fill(this.place, wrong(error));
    }
  }

  disconnectedCallback() {
    this.leaving.abort();
  }

  draw() {
    const words = this.filter.value.trim().toLowerCase();
    const shown = this.entries.filter((/** @type {any} */ entry) => !words || `${entry.action} ${entry.target} ${who(entry)}`.toLowerCase().includes(words));
    this.table?.show(shown);
    fill(this.count, `${shown.length.toLocaleString()} of the newest ${MOST.toLocaleString()} entries. An export has all of them, and \`jumpbag audit verify\` proves that none was altered.`);
  }
}

/** @param {any} entry */
const who = (entry) => entry.actorName ?? entry.actor ?? '';
