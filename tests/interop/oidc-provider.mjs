// The certified authorization server oidc-provider. In: where it is installed, a folder with PEM files, a port. Out: a server over
// mTLS that issues certificate-bound tokens to one client for each algorithm, and tokens for keys (DPoP) to apps. Its keys are kept in the folder; with
// `rotate` it makes a new one for ES256, signs with that, and still shows the old one.

import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [installed, folder, port, rotate] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(join(installed, 'node_modules/oidc-provider/lib/index.js')));

const made = (kid, ...how) => ({ ...generateKeyPairSync(...how).privateKey.export({ format: 'jwk' }), kid, use: 'sig' });
const ec = (kid) => made(kid, 'ec', { namedCurve: 'P-256' });
const kept = join(folder, 'oidc-provider-keys.json');
let keys = existsSync(kept) ? JSON.parse(readFileSync(kept)) : [
  ec('ec-1'), made('rsa', 'rsa', { modulusLength: 2048 }), made('ed25519', 'ed25519'),
];
if (rotate) keys = [ec(`ec-${Date.now()}`), ...keys];
writeFileSync(kept, JSON.stringify(keys));

// Asks about opaque tokens; its name and its secret are awkward on purpose.
const asking = { client_id: '1PpG/Q 1', client_secret: 'z/t+ud:X2=%#', grant_types: [], redirect_uris: [], response_types: [] };
const algorithms = { rs256: 'RS256', ps256: 'PS256', es256: 'ES256', ed25519: 'Ed25519', eddsa: 'EdDSA' };
// Whose tokens are for a key of its own: opaque ones, or not.
const app = (client_id) => ({
  client_id, client_secret: 'of an app', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
  scope: 'openid read:orders', token_endpoint_auth_method: 'client_secret_basic', dpop_bound_access_tokens: true,
});
const certificate = (ctx) => ctx.socket.getPeerX509Certificate();
const provider = new Provider(`https://localhost:${port}`, {
  jwks: { keys },
  scopes: ['openid', 'read:orders'],
  clients: [...Object.keys(algorithms), 'opaque'].map((client_id) => ({
    client_id, grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'openid read:orders',
    token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_uri: 'spiffe://example.org/client/partner-a',
    tls_client_certificate_bound_access_tokens: true,
  })).concat([
    app('app'), app('opaque-app'),
    { ...asking, token_endpoint_auth_method: 'client_secret_basic' },
    { ...asking, client_id: 'by-post', token_endpoint_auth_method: 'client_secret_post' },
    {
      ...asking, client_id: 'signed', token_endpoint_auth_method: 'client_secret_basic', introspection_signed_response_alg: 'ES256',
    },
    {
      client_id: 'by-certificate', grant_types: [], redirect_uris: [], response_types: [],
      token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_uri: 'spiffe://example.org/client/orders-api',
    },
  ]),
  clientAuthMethods: ['tls_client_auth', 'client_secret_basic', 'client_secret_post'],
  enabledJWA: {
    idTokenSigningAlgValues: Object.values(algorithms), introspectionSigningAlgValues: Object.values(algorithms),
    dPoPSigningAlgValues: ['ES256', 'ES384', 'PS256', 'RS256', 'Ed25519', 'EdDSA'],
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true },
    revocation: { enabled: true },
    // Its own nonces, which are not those of the resource.
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
    mTLS: {
      enabled: true, certificateBoundAccessTokens: true, tlsClientAuth: true, getCertificate: certificate,
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, _, expected) => certificate(ctx).subjectAltName?.split(', ').includes(`URI:${expected}`),
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource, client) => ({
        audience: resource, scope: 'read:orders', accessTokenTTL: 300,
        ...(client.clientId.startsWith('opaque')
          ? { accessTokenFormat: 'opaque' }
          : { accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithms[client.clientId] ?? 'ES256' } } }),
      }),
    },
  },
});

// What a login would give, and a logout would send, without one.
provider.use(async (ctx, next) => {
  const [, use, id] = ctx.path.match(/^\/test\/(idtoken|logout)\/(\w+)$/) ?? [];
  if (!use) return next();
  const client = await provider.Client.find(id);
  const token = new provider.IdToken({ sub: 'carol' }, { ctx: { oidc: { client, params: {}, body: {} } }, client });
  token.scope = 'openid';
  if (use === 'logout') token.set('events', { 'http://schemas.openid.net/event/backchannel-logout': {} });
  ctx.body = await token.issue({ use });
});

createServer({
  cert: readFileSync(join(folder, 'server.pem')), key: readFileSync(join(folder, 'server.key')),
  ca: readFileSync(join(folder, 'ca.pem')), requestCert: true, rejectUnauthorized: false,
}, provider.callback()).listen(Number(port), '127.0.0.1');
