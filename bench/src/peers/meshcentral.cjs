// Speaks to a MeshCentral server as its own command line does (node_modules/meshcentral/meshctrl.js), in one session.
//   settings GROUP   prints what an agent of this group is started with
//   device           waits for an agent and prints its id
//   times ID COUNT   runs `echo hello` COUNT times and prints the milliseconds from each command to its reply, or `lost`
//                    where none came within five seconds
const [modules, base, user, password, what, ...rest] = process.argv.slice(2);
const WebSocket = require(modules + '/ws');
const fail = (why) => { console.error(String(why)); process.exit(1); };
process.on('uncaughtException', fail);

if (what === 'settings') {
    const url = base.replace(/^wss/, 'https') + '/meshsettings?id=' + encodeURIComponent(rest[0]);
    require('https').get(url, { rejectUnauthorized: false }, (answer) => {
        let text = '';
        answer.on('data', (piece) => { text += piece; });
        answer.on('end', () => {
            if (answer.statusCode !== 200) fail('the settings: status ' + answer.statusCode);
            // The texts of its windows in all languages are no settings.
            process.stdout.write(text.split(/\r?\n/).filter((line) => line && !line.startsWith('translation=')).join('\n') + '\n');
        });
    });
} else {
    const login = [user, password].map((text) => Buffer.from(text).toString('base64')).join(',');
    const options = { rejectUnauthorized: false, checkServerIdentity: () => undefined, headers: { 'x-meshauth': login } };
    const session = new WebSocket(base + '/control.ashx', options);
    const say = (message) => session.send(JSON.stringify(message));
    if (what === 'device') setTimeout(() => fail('no agent came in a minute'), 60000);
    session.on('error', fail);
    session.on('close', () => fail('MeshCentral closed the session'));
    let begun, patience, number = 0;
    const next = () => {
        number += 1;
        begun = process.hrtime.bigint();
        patience = setTimeout(() => over('lost'), 5000);
        say({ action: 'runcommands', nodeids: [rest[0]], type: 0, cmds: 'echo hello', responseid: 'bench' + number, runAsUser: 0, reply: true });
    };
    const over = (said) => {
        clearTimeout(patience);
        console.log(said);
        if (number < Number(rest[1])) next(); else process.exit(0);
    };
    session.on('message', (data) => {
        const message = JSON.parse(data);
        if (message.action === 'serverinfo') {
            if (what === 'times') next(); else say({ action: 'nodes', responseid: 'bench' });
        } else if (message.action === 'nodes' && what === 'device') {
            const nodes = Object.values(message.nodes).flat().filter((node) => node.conn === 1);
            if (nodes.length === 0) { setTimeout(() => say({ action: 'nodes', responseid: 'bench' }), 100); return; }
            console.log(nodes[0]._id);
            process.exit(0);
        } else if ((message.action === 'runcommands' || message.type === 'runcommands') && message.responseid === 'bench' + number) {
            if (String(message.result).trim() !== 'hello') fail('the command answered ' + message.result);
            over(Number(process.hrtime.bigint() - begun) / 1e6);
        }
    });
}
