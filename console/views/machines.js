// @ts-check
// The machines that agents run on, and running a script on some of them.

import { all, call } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { counted, time } from '../format.js';
import { go } from '../main.js';
import { command } from '../parts/command.js';
import { ask, field } from '../parts/dialog.js';
import { every } from '../parts/live.js';
import { Table } from '../parts/table.js';
import { toast } from '../parts/toast.js';
import { View } from '../parts/view.js';

/** How long after its last word a machine is taken to be there: a connected one is noted every five minutes. */
const ALIVE = 6 * 60_000;
/** How long after a look the next is taken while there is no machine; once there is, every so many of them. */
const SOON = 5000;
const SELDOM = 6;

export class MachinesView extends View {
  /** @type {any[]} */ machines = [];
  none = h('div', { class: 'card empty' }, h('h2', {}, 'No machine has enrolled yet'),
    h('p', {}, 'On the server, this prints a line to paste on the machine, as root:'), command(`jumpbag-server enroll create --url ${location.origin}`, 'Copy: the command for the server'),
    h('p', {}, 'Then, on the machine, start the agent, now and always (', h('code', {}, 'jumpbag-agent run'), ' starts it in the foreground):'), command('jumpbag-agent service install', 'Copy: the command for the machine'),
    h('p', {}, 'It appears here by itself.'));

  async connectedCallback() {
    const run = this.may('Machine.LiveResponse');
    /** @type {import('../parts/table.js').Column<any>[]} */
    const columns = [
      { name: 'name', title: 'Name', key: (machine) => machine.computerDnsName, cell: (machine) => h('strong', {}, machine.computerDnsName) },
      { name: 'alive', title: 'State', key: (machine) => -Date.parse(machine.lastSeen), cell: (machine) => alive(machine) },
      { name: 'os', title: 'System', key: (machine) => machine.osPlatform, cell: (machine) => `${machine.osPlatform} ${machine.version ?? ''}` },
      { name: 'ip', title: 'Address', key: (machine) => machine.lastIpAddress ?? '', cell: (machine) => machine.lastIpAddress },
      { name: 'tags', title: 'Tags', key: (machine) => machine.machineTags.join(), cell: (machine) => machine.machineTags.map((/** @type {string} */ tag) => [h('span', { class: 'tag' }, tag), ' ']) },
      { name: 'agent', title: 'Agent', key: (machine) => machine.agentVersion ?? '', cell: (machine) => machine.agentVersion },
      { name: 'run', title: '', cell: (machine) => run && h('button', { onclick: () => runDialog(machine) }, icon('play'), 'Run a script') },
    ];
    this.table = new Table({ label: 'Machines', columns, id: (machine) => machine.id, open: (machine) => run && runDialog(machine), sort: 'name' });
    this.search = h('input', { type: 'search', 'aria-label': 'Search machines', placeholder: 'Search names, systems, tags, addresses', oninput: () => this.draw() });
    this.count = h('p', { class: 'small faint', role: 'status' });
    this.place = h('div');
    fill(this, h('div', { class: 'page' }, h('div', {}, h('h1', {}, 'Machines'), this.count), this.place));
    await this.load();
    let round = 0;
    // Whoever waits for the first machine does not wait long.
    every(SOON, this.leaving.signal, async () => {
      round += 1;
      if (this.machines.length === 0 || round % SELDOM === 0) await this.load();
    });
  }

  async load() {
    try {
      this.machines = await all('/api/machines', { signal: this.leaving.signal });
    } catch (error) {
      this.tell(this.place, error);
      return;
    }
    if (this.machines.length === 0) {
      if (!this.none.isConnected) fill(this.place, this.none);
      return;
    }
    if (!this.table?.element.isConnected) fill(this.place, h('div', { class: 'card' }, h('div', { class: 'tools' }, h('div', { class: 'search' }, icon('search'), this.search)), this.table?.element));
    this.draw();
  }

  draw() {
    const words = this.search.value.trim().toLowerCase();
    const shown = this.machines.filter((machine) => !words || `${machine.computerDnsName} ${machine.osPlatform} ${machine.machineTags.join(' ')} ${machine.lastIpAddress}`.toLowerCase().includes(words));
    this.table?.show(shown);
    fill(this.count, counted(shown.length, 'machine'));
  }
}

/** @param {any} machine */
function alive(machine) {
  const there = Date.now() - Date.parse(machine.lastSeen) < ALIVE;
  return h('span', { class: there ? 'tag good' : 'tag' }, there ? 'seen ' : 'last seen ', time(machine.lastSeen));
}

/** Asks what to run on a machine, and runs it. @param {any} machine */
async function runDialog(machine) {
  const files = await all('/api/libraryfiles').catch(() => []);
  const about = h('div', { class: 'small faint', role: 'status' });
  let asked = '';
  const told = async () => {
    const named = script.value.trim().toLowerCase();
    const file = files.find(({ fileName }) => fileName.toLowerCase() === named);
    if (named === asked) return;
    asked = named;
    fill(about);
    if (!file) return;
    const words = [file.description && h('p', {}, file.description), file.parametersDescription && h('p', {}, 'Parameters: ', h('code', {}, file.parametersDescription)), file.instructions && h('p', { class: 'lines' }, file.instructions)];
    fill(about, words);
    const warning = await changed(file);
    if (asked === named && warning) fill(about, words, warning);
  };
  const script = h('input', { name: 'script', list: 'scripts', required: true, autocomplete: 'off', oninput: told });
  ask({
    title: `Run on ${machine.computerDnsName}`,
    fields: [
      field('Script of the library (required)', script),
      h('datalist', { id: 'scripts' }, files.map(({ fileName, description }) => h('option', { value: fileName }, description))), about,
      field('Arguments', h('input', { name: 'args', placeholder: 'as on a command line: -n 5 "two words"', autocomplete: 'off' })),
      field('Comment (required)', h('input', { name: 'comment', required: true, placeholder: 'Why: a case number, for example' })),
      field('Then fetch a file or folder', h('input', { name: 'path', placeholder: 'Path on the machine (optional)' })),
    ],
    verb: [icon('play'), 'Run'],
    send: async (form) => {
      const said = (/** @type {string} */ name) => String(form.get(name)).trim();
      const params = [{ key: 'ScriptName', value: said('script') }];
      if (said('args')) params.push({ key: 'Args', value: said('args') });
      const commands = [{ type: 'RunScript', params }];
      if (said('path')) commands.push({ type: 'GetFile', params: [{ key: 'Path', value: said('path') }] });
      const action = await (await call(`/api/machines/${machine.id}/runliveresponse`, { method: 'POST', json: { Comment: said('comment'), Commands: commands } })).json();
      toast(`Asked ${machine.computerDnsName}.`);
      return () => go(`/actions/${action.id}`);
    },
  });
}

/** A word of warning where the text is not the one that ran last. @param {any} file */
async function changed(file) {
  const path = `/api/libraryfiles/${encodeURIComponent(file.fileName)}/versions`;
  const ran = async (/** @type {any} */ version) => (await all(`${path}/${version.version}/runs`)).length > 0;
  try {
    const versions = await all(path);
    if (await ran(versions[0])) return null;
    for (const version of versions.slice(1, 10)) {
      if (version.sha256 !== file.sha256 && await ran(version)) {
        return h('p', { class: 'notice warn' }, `Its text has changed since it last ran, as version ${version.version}. `, h('a', { href: `/files/${encodeURIComponent(file.fileName)}#differences`, target: '_blank' }, 'Look at the differences in another tab'));
      }
    }
  } catch { /* Whoever may not see runs is not warned. */ }
  return null;
}
