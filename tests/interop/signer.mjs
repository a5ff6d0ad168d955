// Signs tokens with OpenSSL. In: JSON with claims. Out: JSON with a key set, a token for each algorithm, and tokens whose header
// names another algorithm than the key's.

import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

const { claims } = JSON.parse(readFileSync(0));
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = (namedCurve) => generateKeyPairSync('ec', { namedCurve });
const ed25519 = generateKeyPairSync('ed25519');
const pss = (saltLength) => ({ padding: 6, saltLength });
const flat = { dsaEncoding: 'ieee-p1363' };
const signers = {
  RS256: [rsa, 'sha256', {}], RS384: [rsa, 'sha384', {}], RS512: [rsa, 'sha512', {}],
  PS256: [rsa, 'sha256', pss(32)], PS384: [rsa, 'sha384', pss(48)], PS512: [rsa, 'sha512', pss(64)],
  ES256: [ec('P-256'), 'sha256', flat], ES384: [ec('P-384'), 'sha384', flat], ES512: [ec('P-521'), 'sha512', flat],
  Ed25519: [ed25519, null, {}], EdDSA: [ed25519, null, {}],
  ...Object.fromEntries(['44', '65', '87'].map((set) => [`ML-DSA-${set}`, [generateKeyPairSync(`ml-dsa-${set}`), null, {}]])),
};

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = (name, alg) => {
  const [{ privateKey: key }, digest, options] = signers[name];
  const input = `${part({ alg, kid: name, typ: 'at+jwt' })}.${part(claims)}`;
  return `${input}.${sign(digest, Buffer.from(input), { key, ...options }).toString('base64url')}`;
};
const crossed = [['ML-DSA-44', 'ML-DSA-65'], ['ML-DSA-65', 'ML-DSA-44'], ['ML-DSA-87', 'ML-DSA-65'], ['RS256', 'PS256'], ['PS256', 'RS256']];
process.stdout.write(JSON.stringify({
  jwks: { keys: Object.entries(signers).map(([kid, [{ publicKey }]]) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg: kid, use: 'sig' })) },
  tokens: Object.fromEntries(Object.keys(signers).map((name) => [name, token(name, name)])),
  crossed: crossed.map(([name, alg]) => token(name, alg)),
}));
