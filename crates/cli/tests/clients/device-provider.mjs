// A real OpenID provider (the certified `oidc-provider`) where a user signs in by device code.
//
// usage: node device-provider.mjs MODULES   MODULES: the folder that has node_modules
//
// Prints one line of JSON when ready: {issuer, client_id, audience}. Access tokens are RS256 JWTs that live for ten seconds
// less than a minute, so that none is used twice. Control: POST /approve?user_code=… is what the user does in a browser.
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const modules = createRequire(path.join(process.argv[2], 'package.json'));
const load = (name) => import(pathToFileURL(modules.resolve(name)).href);
const { Provider } = await load('oidc-provider');
const { exportJWK, generateKeyPair } = await load('jose');

const audience = 'https://jumpbag.example/';
const user = 'alice@example.org';
const scope = 'Library.Manage';
const { privateKey } = await generateKeyPair('RS256', { extractable: true });

const server = http.createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === '/approve') return approve(url.searchParams.get('user_code'), response);
  return answer(request, response);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'jumpbag-cli',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    deviceFlow: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope,
        audience,
        accessTokenTTL: 50,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims: () => ({ scp: scope, name: 'Alice', upn: user }),
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  ttl: { DeviceCode: 60, Grant: 600, RefreshToken: 600, Interaction: 60, Session: 60 },
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'one', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['nothing is kept'] },
});
const answer = provider.callback();

async function approve(shown, response) {
  const code = await provider.DeviceCode.findByUserCode(shown.replace(/[^A-Z0-9]/g, ''), { ignoreExpiration: false });
  const grant = new provider.Grant({ accountId: user, clientId: 'jumpbag-cli' });
  grant.addOIDCScope('openid profile offline_access');
  grant.addResourceScope(audience, scope);
  Object.assign(code, { accountId: user, grantId: await grant.save(), authTime: Math.floor(Date.now() / 1000) });
  Object.assign(code, { scope: `openid profile offline_access ${scope}`, resource: audience, claims: {} });
  await code.save();
  response.end('approved');
}

console.log(JSON.stringify({ issuer, client_id: 'jumpbag-cli', audience }));
