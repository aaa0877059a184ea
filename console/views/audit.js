// @ts-check
// The audit log: who changed what, newest first.

import { call, get } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { counted, time } from '../format.js';
import { dialog, field } from '../parts/dialog.js';
import { Table } from '../parts/table.js';
import { said, wrong } from '../parts/toast.js';
import { Fault, Verifier, kept, opened, publicKey, unable, verify } from '../parts/verify.js';
import { View } from '../parts/view.js';

const MOST = 1000;

export class AuditView extends View {
  /** The newest first. @type {any[]} */ entries = [];

  async connectedCallback() {
    /** @type {import('../parts/table.js').Column<any>[]} */
    const columns = [
      { name: 'number', title: 'Entry', number: true, key: (entry) => entry.number, cell: (entry) => entry.number },
      { name: 'time', title: 'When', key: (entry) => entry.time, cell: (entry) => time(entry.time, 'seconds') },
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
      h('div', { class: 'row' },
        h('button', { onclick: () => verifyDialog(this.entries[0]?.number ?? 0) }, icon('check'), 'Verify'),
        h('a', { class: 'button', href: '/api/audit?$format=ndjson', download: 'audit.ndjson' }, icon('download'), 'Export'))), this.place));
    try {
      const { value } = await get(`/api/audit?$orderby=number%20desc&$top=${MOST}`, { signal: this.leaving.signal });
      this.entries = value;
      fill(this.place, h('div', { class: 'card' }, h('div', { class: 'tools' }, h('div', { class: 'search' }, icon('search'), this.filter)), this.table.element));
      this.draw();
    } catch (error) {
      this.tell(this.place, error);
    }
  }

  draw() {
    const words = this.filter.value.trim().toLowerCase();
    const shown = this.entries.filter((entry) => !words || `${entry.action} ${entry.target} ${who(entry)}`.toLowerCase().includes(words));
    this.table?.show(shown);
    const all = this.entries.length < MOST ? counted(this.entries.length, 'entry', 'entries') : `the newest ${MOST.toLocaleString()} entries`;
    fill(this.count, words ? `${shown.length.toLocaleString()} of ${all}` : all);
  }
}

/** Verifies the whole log, here. @param {number} newest the number of the newest entry */
function verifyDialog(newest) {
  const own = h('textarea', { class: 'mono', rows: 4, spellcheck: 'false', placeholder: 'jumpbag/…/audit+0123abcd+AQ…' });
  const bar = h('progress', { max: Math.max(newest, 1), value: 0, 'aria-label': 'Entries verified' });
  const state = h('div', { role: 'status' });
  /** @type {AbortController | null} */ let running = null;
  const run = async () => {
    const mine = new AbortController();
    running = mine;
    [bar.hidden, bar.value, start.hidden, stop.hidden] = [false, 0, true, false];
    fill(state, h('p', {}, 'Reading…'));
    const found = await verified(own.value, mine.signal, (done) => {
      bar.value = done.last;
      fill(state, h('p', {}, `${counted(done.entries, 'entry', 'entries')} so far`));
    }).catch((error) => (mine.signal.aborted ? h('p', {}, 'Cancelled: nothing is proved.') : failed(error)));
    [bar.hidden, start.hidden, stop.hidden] = [true, false, true];
    fill(state, found);
    running = null;
  };
  const start = h('button', { class: 'main', onclick: run }, 'Verify');
  const stop = h('button', { hidden: true, onclick: () => running?.abort() }, 'Stop');
  bar.hidden = true;
  const element = dialog('Verify the audit log', (close) => [
    h('p', {}, 'Reads the whole log into this browser and computes everything anew: each hash, the chain through all entries, and the signed checkpoints. The server is not asked whether it is right.'),
    field('A key or checkpoints that were kept elsewhere (optional)', own,
      h('span', { class: 'faint hint' }, 'Only such a key proves anything against somebody who has this server. Without one, the key is the one that the server names now.')),
    bar, state,
    h('div', { class: 'foot' }, h('button', { onclick: close }, 'Close'), stop, start)]);
  element.addEventListener('close', () => running?.abort());
  unable().then((why) => {
    if (!why) return;
    start.hidden = true;
    fill(state, h('div', { class: 'notice warn' }, h('p', {}, why, ' On the command line, ', h('code', {}, 'jumpbag audit verify'), ' does the same.')));
  });
}

/** @param {string} own what the reader kept @param {AbortSignal} signal @param {(done: import('../parts/verify.js').Verified) => void} progress */
async function verified(own, signal, progress) {
  const { keys, notes } = kept(own);
  const texts = keys.length > 0 ? keys : [await (await call('/api/audit/key', { signal })).text()];
  const known = await Promise.all(texts.map(publicKey));
  const checkpoints = await Promise.all(notes.map((note) => opened(note, known).catch((error) => {
    throw new Error(`The checkpoint that was kept does not count: ${error.message}`);
  })));
  const { body } = await call('/api/audit?$format=ndjson', { signal });
  if (!body) throw new Error('The export is empty.');
  const { entries, checkpoints: seals, head, last, sealed } = await verify(body, new Verifier(known, checkpoints), progress);
  return h('div', { class: 'notice good' },
    h('p', {}, `${counted(entries, 'entry', 'entries')} verified, ${counted(seals, 'checkpoint')}, head `, h('code', { class: 'digest' }, head), ` (entry ${last})`),
    sealed < last && h('p', { class: 'small faint' }, `No checkpoint covers what comes behind entry ${sealed} yet.`));
}

/** @param {unknown} error */
function failed(error) {
  if (error instanceof Fault) return h('div', { class: 'notice bad', role: 'alert' }, h('p', {}, h('strong', {}, 'This is not the log that was written.')), h('p', { class: 'digest' }, error.message));
  if (error instanceof TypeError) return wrong(new Error(`The export broke off, so nothing is proved (${said(error)}).`));
  return wrong(error);
}

/** @param {any} entry */
const who = (entry) => entry.actorName ?? entry.actor ?? '';
