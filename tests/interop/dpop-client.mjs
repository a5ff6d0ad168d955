// A client with a key of its own, whose library makes the proofs (RFC 9449). In: where the library is installed, its name; as JSON what
// it is to call. Out: as JSON its token, and of each call what the library says of it and what each of its requests got.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const [installed, library] = process.argv.slice(2);
const { issuer, id, secret, grant, parameters, algorithm, url: base, calls } = JSON.parse(readFileSync(0));
const load = (name) => import(pathToFileURL(join(installed, 'node_modules', name, 'build/index.js')));

// Both libraries call keys of Ed25519 by their new name; others still write EdDSA.
const [made, named] = algorithm === 'EdDSA' ? ['Ed25519', (header) => { header.alg = 'EdDSA'; }] : [algorithm, () => {}];

/** What the library sends goes through this, which may be exchanged. */
let send = fetch;
let requests = [];
const recorded = async (url, options) => {
  // It is the authorization server's as well.
  if (!String(url).startsWith(base)) return fetch(url, options);
  const answer = await send(url, options);
  const challenges = answer.headers.get('www-authenticate');
  requests.push({ status: answer.status, nonce: answer.headers.has('dpop-nonce'), challenges });
  return answer;
};

const libraries = {
  async oauth4webapi() {
    const oauth = await load('oauth4webapi');
    const client = { client_id: id };
    const server = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer)));
    // As its documentation has it: the key has learnt the nonce by then.
    const withNonce = async (attempt) => {
      try {
        return await attempt();
      } catch (error) {
        if (oauth.isDPoPNonceError(error)) return attempt();
        throw error;
      }
    };
    return {
      key: async () => oauth.DPoP(client, await oauth.generateKeyPair(made), { [oauth.modifyAssertion]: named }),
      token: (DPoP) => withNonce(async () => {
        const authentication = oauth.ClientSecretBasic(secret);
        const answer = await oauth.genericTokenEndpointRequest(server, client, authentication, grant, parameters, { DPoP });
        return oauth.processGenericTokenEndpointResponse(server, client, answer);
      }),
      revoke: async (token) => {
        const answer = await oauth.revocationRequest(server, client, oauth.ClientSecretBasic(secret), token);
        return oauth.processRevocationResponse(answer);
      },
      call: (token, DPoP, method, url, body) => withNonce(() =>
        oauth.protectedResourceRequest(token, method, url, new Headers(), body, { DPoP, [oauth.customFetch]: recorded })),
    };
  },
  async 'openid-client'() {
    const openid = await load('openid-client');
    const config = await openid.discovery(new URL(issuer), id, undefined, openid.ClientSecretBasic(secret));
    config[openid.customFetch] = recorded;
    return {
      key: async () =>
        openid.getDPoPHandle(config, await openid.randomDPoPKeyPair(made), { [openid.modifyAssertion]: named }),
      token: (DPoP) => openid.genericGrantRequest(config, grant, parameters, { DPoP }),
      revoke: (token) => openid.tokenRevocation(config, token),
      call: (token, DPoP, method, url, body) =>
        openid.fetchProtectedResource(config, token, url, method, body, undefined, { DPoP }),
    };
  },
};

const client = await libraries[library]();
const [key, other] = [await client.key(), await client.key()];
const { access_token: token, token_type: type } = await client.token(key);

/** A call by the library as its users make one. */
const call = (name, { method = 'GET', DPoP = key, body = null, sent = fetch } = {}) => {
  send = sent;
  return client.call(token, DPoP, method, new URL(`${base}${name.replaceAll(' ', '-')}?page=2&at=%2F`), body);
};

/** Calls on until `over` the answer, which comes within some minutes. */
const callUntil = async (over, name) => {
  for (const end = Date.now() + 300_000; Date.now() < end;) {
    const answer = await call(name);
    if (over(requests.at(-1))) return answer;
    await answer.arrayBuffer();
    await pause(200);
  }
  throw new Error('it waited in vain');
};

const kinds = {
  'get': call,
  'post': (name) => call(name, { method: 'POST', body: 'an order' }),
  'at once': async (name) => (await Promise.all([1, 2, 3, 4, 5].map(() => call(name))))[0],
  'replayed': (name) => call(name, { sent: async (...request) => {
    await (await fetch(...request)).arrayBuffer();
    return fetch(...request);
  } }),
  'by another key': (name) => call(name, { DPoP: other }),
  'to another place': (name) => call(name, { sent: (url, options) => fetch(url.replace('?', '-and-more?'), options) }),
  'by another method': (name) => call(name, { sent: (url, options) => fetch(url, { ...options, method: 'POST' }) }),
  'as bearer': (name) => call(name, { DPoP: null }),
  'without a token': (name) => call(name, { sent: (url) => fetch(url) }),
  'until another nonce comes': (name) => callUntil(({ nonce }) => nonce, name),
  'until it is revoked': async (name) => {
    await client.revoke(token);
    return callUntil(() => false, name);
  },
};

const results = [];
for (const name of calls) {
  requests = [];
  const result = { name };
  try {
    const answer = await kinds[name](name);
    Object.assign(result, { status: answer.status, text: await answer.text() });
  } catch (error) {
    const { name, message, status, cause } = error;
    Object.assign(result, { error: name, message, status, challenges: cause });
  }
  results.push({ ...result, requests });
}
process.stdout.write(JSON.stringify({ token, type, results }));
