// A real OpenID provider (the certified `oidc-provider`) that a test can rotate, break and take down.
//
// usage: node oidc-provider.mjs MODULES   MODULES: the folder that has node_modules
//
// Prints one line of JSON when ready: {issuer, control, client_id, client_secret}. The issuer grants client
// credentials and mints RS256 access tokens with a `roles` claim. People sign in by code flow with PKCE, for the same client
// once it has a redirect URI: whoever comes is `user`, without being asked. The control endpoint takes POSTs with JSON:
//   /configure {roles, audience, lifetime, claims, keys}   what later tokens carry, and how the key document misbehaves:
//                                     keys is "ok", "error" (500), "garbage", "huge" (64 MiB) or "silent" (no answer)
//   /configure {redirect_uri, user, method}   where browsers are sent back to, as whom (null: they are turned away), and how
//                                     the client gives its secret
//   /rotate {keep}                    a new signing key; the old one stays published only when `keep`
//   /down, /up                        close the issuer's listener and its connections, open it again on the same port
//   /mint {claims, header, sign}      a token of any content (null leaves a field out); sign is "real" (the provider's key), "stranger" (its
//                                     `kid`, another key), "hmac" (HS256 with the public key as secret) or "none"
//   /counts                           how often each document was fetched since the start
import { createHmac, createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const modules = createRequire(path.join(process.argv[2], 'package.json'));
const load = (name) => import(pathToFileURL(modules.resolve(name)).href);
const { Provider } = await load('oidc-provider');
const { exportJWK, generateKeyPair, importJWK, SignJWT } = await load('jose');

const client = { client_id: 'oidc-client', client_secret: 'oidc-client-secret-of-a-decent-length' };
const settings = {
  roles: ['Library.Manage'],
  audience: 'https://jumpbag.example',
  lifetime: 3600,
  claims: {},
  keys: 'ok',
  redirect_uri: null,
  user: { sub: 'u-1', name: 'Alice Liddell', preferred_username: 'alice@example.org' },
  method: 'client_secret_post',
};
const counts = { discovery: 0, keys: 0, token: 0 };
let signingKeys = [await newKey()];
let answer;
let current;

const server = http.createServer((request, response) => {
  const page = request.url.split('?')[0];
  if (page === '/.well-known/openid-configuration') counts.discovery += 1;
  if (page === '/token') counts.token += 1;
  if (page === '/jwks') {
    counts.keys += 1;
    if (settings.keys !== 'ok') return misbehave(response);
  }
  if (page.startsWith('/interaction/')) return interact(request, response);
  return answer(request, response);
});
await listen(server, 0);
const port = server.address().port;
const issuer = `http://127.0.0.1:${port}`;
answer = provider();

async function newKey() {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const kid = crypto.randomUUID();
  return { ...(await exportJWK(privateKey)), kid, use: 'sig', alg: 'RS256' };
}

// The provider takes its keys once: rotating them means another provider behind the same address.
function provider() {
  const resource = () => ({
    scope: '',
    audience: settings.audience,
    accessTokenTTL: settings.lifetime,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  });
  const web = settings.redirect_uri !== null;
  current = new Provider(issuer, {
    clients: [
      {
        ...client,
        grant_types: ['client_credentials', ...(web ? ['authorization_code'] : [])],
        redirect_uris: web ? [settings.redirect_uri] : [],
        response_types: web ? ['code'] : [],
        token_endpoint_auth_method: settings.method,
      },
    ],
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ ...settings.user, roles: settings.roles }) }),
    claims: { openid: ['sub', 'roles'], profile: ['name', 'preferred_username'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['nothing is kept'] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'https://jumpbag.example/',
        useGrantedResource: () => true,
        getResourceServerInfo: resource,
      },
    },
    ttl: { ClientCredentials: () => settings.lifetime, Grant: 600, IdToken: 600, Interaction: 60, Session: 60 },
    extraTokenClaims: (_, token) => ({
      roles: settings.roles,
      ...(token.kind === 'AccessToken' ? { name: settings.user?.name, upn: settings.user?.preferred_username } : {}),
      ...settings.claims,
    }),
    jwks: { keys: signingKeys },
  });
  return current.callback();
}

// Whoever comes to sign in is `user`, and agrees to everything.
async function interact(request, response) {
  const { params } = await current.interactionDetails(request, response);
  if (settings.user === null) {
    return current.interactionFinished(request, response, { error: 'access_denied', error_description: 'not today <b>' });
  }
  const accountId = settings.user.sub;
  const grant = new current.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope('https://jumpbag.example/', '');
  return current.interactionFinished(request, response, { login: { accountId }, consent: { grantId: await grant.save() } });
}

async function listen(listener, wanted) {
  listener.listen(wanted, '127.0.0.1');
  await once(listener, 'listening');
}

function misbehave(response) {
  const json = { 'content-type': 'application/json' };
  if (settings.keys === 'error') response.writeHead(500).end('out of order');
  if (settings.keys === 'garbage') response.writeHead(200, json).end('{"keys": [{"kty":');
  if (settings.keys === 'huge') response.writeHead(200, { ...json, 'content-length': 64 << 20 }).end(Buffer.alloc(64 << 20, ' '));
  // 'silent' never answers.
}

// What a test sets to null is left out.
const present = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

async function mint({ claims = {}, header = {}, sign = 'real' }) {
  const now = Math.floor(Date.now() / 1000);
  const key = signingKeys[0];
  const payload = present({
    iss: issuer,
    aud: settings.audience,
    sub: client.client_id,
    client_id: client.client_id,
    roles: settings.roles,
    iat: now,
    exp: now + settings.lifetime,
    ...claims,
  });
  const dressed = present({ alg: 'RS256', typ: 'at+jwt', kid: key.kid, ...header });
  if (sign === 'none') return `${encoded({ alg: 'none', ...header })}.${encoded(payload)}.`;
  if (sign === 'hmac') {
    const pem = createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const body = `${encoded({ ...dressed, alg: 'HS256' })}.${encoded(payload)}`;
    return `${body}.${createHmac('sha256', pem).update(body).digest('base64url')}`;
  }
  if (sign !== 'real' && sign !== 'stranger') throw new Error(`unknown way to sign: ${sign}`);
  const signer = await importJWK(sign === 'real' ? key : await newKey(), 'RS256');
  return new SignJWT(payload).setProtectedHeader(dressed).sign(signer);
}

const commands = {
  '/configure': (wanted) => {
    for (const name of Object.keys(wanted)) {
      if (!(name in settings)) throw new Error(`unknown setting: ${name}`);
    }
    Object.assign(settings, wanted);
    if ('redirect_uri' in wanted || 'method' in wanted) answer = provider();
    return settings;
  },
  '/rotate': async ({ keep = false }) => {
    signingKeys = [await newKey(), ...(keep ? signingKeys : [])];
    answer = provider();
    return { kid: signingKeys[0].kid };
  },
  '/down': async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
    return {};
  },
  '/up': async () => {
    await listen(server, port);
    return {};
  },
  '/mint': async (wanted) => ({ token: await mint(wanted) }),
  '/counts': () => counts,
};

const control = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    if (!(request.url in commands)) throw new Error(`unknown command: ${request.url}`);
    const said = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    response.end(JSON.stringify(await commands[request.url](said)));
  } catch (error) {
    response.writeHead(400).end(String(error));
  }
});
await listen(control, 0);
console.log(JSON.stringify({ issuer, control: `http://127.0.0.1:${control.address().port}`, ...client }));
