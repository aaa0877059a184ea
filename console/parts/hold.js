// @ts-check
// Legal holds: while a file is held, no version of it is removed.

import { call } from '../api.js';
import { h, icon } from '../dom.js';
import { ask, field } from './dialog.js';
import { toast } from './toast.js';

/** The tag of a file that is held. @param {string | null} [reason] */
export function held(reason) {
  return h('span', { class: 'tag warn hold' }, icon('lock'), 'legal hold', reason && `: ${reason}`);
}

/**
 * Sets a hold, or lifts the one that is there.
 * @param {{ fileName: string, legalHold: boolean }} file @param {string} path @param {() => Promise<unknown>} changed
 */
export function holdDialog(file, path, changed) {
  const hold = !file.legalHold;
  ask({
    title: hold ? `Put ${file.fileName} under a legal hold?` : `Lift the legal hold of ${file.fileName}?`,
    fields: [
      h('p', {}, hold ? 'Until it is lifted, no version of the file is removed: neither by a purge nor because its time is over.'
        : 'Its versions can be removed again, as the times of retention say.'),
      field('Reason, which the audit log keeps', h('input', { name: 'reason', required: true, maxlength: 1024 })),
    ],
    verb: hold ? 'Hold it' : 'Lift the hold',
    send: async (form) => {
      await call(`${path}/legalhold`, { method: 'POST', json: { hold, reason: form.get('reason') } });
      toast(hold ? `${file.fileName} is under a legal hold.` : `The hold of ${file.fileName} is lifted.`);
      await changed();
    },
  });
}
