// One cell of the matrix: `client.mjs CLIENT CASE` does what the case says with this client, the way its users would, and
// prints one line of JSON: what each request got, and what a library read in the challenges.

import { readFileSync } from 'node:fs';
import https from 'node:https';

const { CELL, URL: BASE, PKI, TOKEN, WEAK_TOKEN } = process.env;
const SMALL = Buffer.alloc(3_000, 'x');
const LARGE = Buffer.alloc(20_000_000, 'x');
// Some wait in vain for the answer to a large upload.
const PATIENCE = process.argv[3] === 'large' ? 5_000 : 20_000;

const pem = (name) => readFileSync(`${PKI}/${name}`);
const tls = { ca: pem('ca.pem'), cert: pem('alice.pem'), key: pem('alice.key') };
const fields = (token, more) => ({ 'x-cell': CELL, ...(token && { authorization: `Bearer ${token}` }), ...more });

const times = async (count, call) => {
  const answers = [];
  for (let i = 0; i < count; i++) answers.push(await call());
  return answers;
};

/** As oauth4webapi reads it, which none of these clients does. */
async function challenges(oauth, status, headers) {
  const response = new Response('', { status, headers: { 'www-authenticate': headers } });
  const request = oauth.protectedResourceRequest('x', 'GET', new URL('https://api.example.com/'), undefined, null, {
    [oauth.customFetch]: async () => response,
  });
  const error = await request.then(() => undefined, (error) => error);
  const [{ scheme, parameters }] = error.cause;
  return { scheme, ...parameters };
}

/** What the cases ask of an HTTP client: `send` gives status and header fields, or throws. */
async function http(client, name) {
  const status = async (...request) => {
    try {
      return (await client.send(...request)).status;
    } catch (error) {
      const cause = error.cause ?? error;
      return `${error.name}: ${cause.code ?? ''} ${cause.message}`;
    }
  };
  const orders = (body) => status('POST', '/orders', fields(), body);
  switch (name) {
    case 'honest':
      return { answers: await times(1, () => status('GET', '/orders/7', fields(TOKEN))) };
    case 'resumed':
      return {
        answers: await times(3, async () => {
          const answer = await status('GET', '/mesh', fields());
          await client.hangUp();
          return answer;
        }),
      };
    case 'small':
      return { answers: await times(20, () => orders(SMALL)) };
    case 'large':
      return { answers: await times(2, () => orders(LARGE)) };
    case 'kept':
      return { answers: [...(await times(3, () => orders(SMALL))), await status('GET', '/orders/7', fields(TOKEN))] };
    case 'retry':
      await client.retry();
      return { answers: await times(2, () => status('GET', '/limited', fields(TOKEN))) };
    case 'challenge': {
      const oauth = await import('oauth4webapi');
      const answers = [];
      const read = [];
      for (const token of [undefined, WEAK_TOKEN]) {
        const { status, headers } = await client.send('GET', '/orders/7', fields(token));
        answers.push(status);
        read.push(await challenges(oauth, status, headers['www-authenticate']));
      }
      return { answers, challenges: read };
    }
    case 'stream': {
      const refused = await status('GET', '/events', fields());
      const { status: passed, body } = await client.stream('/events', fields(TOKEN, { 'x-upstream-events': '3' }));
      let text = '';
      for await (const chunk of body) {
        text += chunk;
        if (text.endsWith('data: 3\n\n')) break;
      }
      return { answers: [refused, passed], events: text.trim().split('\n\n') };
    }
  }
}

async function undici(allowH2, reset) {
  const { Agent, RetryAgent, request } = await import('undici');
  const agent = () => new Agent({ connect: tls, allowH2, bodyTimeout: PATIENCE, headersTimeout: PATIENCE });
  let dispatcher = agent();
  const call = (method, path, headers, body) => request(BASE + path, { method, headers, body, dispatcher, reset });
  return {
    send: async (...about) => {
      const { statusCode, headers, body } = await call(...about);
      await body.dump();
      return { status: statusCode, headers };
    },
    // Each request says whether its connection goes on.
    hangUp: async () => {},
    retry: () => {
      dispatcher = new RetryAgent(agent(), { statusCodes: [429] });
    },
    stream: async (path, headers) => {
      const { statusCode, body } = await call('GET', path, headers);
      return { status: statusCode, body };
    },
  };
}

async function axios() {
  const { default: library } = await import('axios');
  const httpsAgent = new https.Agent({ ...tls, keepAlive: true });
  const client = library.create({ baseURL: BASE, httpsAgent, timeout: PATIENCE, proxy: false });
  const call = async (method, path, headers, body, responseType) => {
    const options = { method, url: path, headers, data: body, responseType };
    try {
      return await client.request({ ...options, maxBodyLength: Infinity });
    } catch (error) {
      if (error.response) return error.response;
      throw error;
    }
  };
  return {
    send: call,
    hangUp: async () => Object.values(httpsAgent.freeSockets).flat().forEach((socket) => socket.destroy()),
    retry: async () => {
      const { default: axiosRetry } = await import('axios-retry');
      axiosRetry(client, { retries: 3, retryCondition: (error) => error.response?.status === 429 });
    },
    stream: async (path, headers) => {
      const { status, data } = await call('GET', path, headers, undefined, 'stream');
      return { status, body: data };
    },
  };
}

async function got(http2) {
  const { default: library } = await import('got');
  const agent = new https.Agent({ keepAlive: true });
  let retry = { limit: 0 };
  const options = () => ({
    http2, retry, throwHttpErrors: false, timeout: { request: PATIENCE }, ...(http2 ? {} : { agent: { https: agent } }),
    https: { certificateAuthority: tls.ca, certificate: tls.cert, key: tls.key },
  });
  return {
    send: async (method, path, headers, body) => {
      const answer = await library(BASE + path, { ...options(), method, headers, body });
      return { status: answer.statusCode, headers: answer.headers };
    },
    hangUp: async () => Object.values(agent.freeSockets).flat().forEach((socket) => socket.destroy()),
    // Its default, but for the number.
    retry: () => {
      retry = { limit: 3 };
    },
    stream: (path, headers) =>
      new Promise((resolve, reject) => {
        const body = library.stream(BASE + path, { ...options(), headers });
        body.once('response', ({ statusCode }) => resolve({ status: statusCode, body }));
        body.once('error', reject);
      }),
  };
}

async function grpc(name) {
  const { default: library } = await import('@grpc/grpc-js');
  const credentials = library.credentials.createSsl(tls.ca, tls.key, tls.cert);
  const policy = {
    maxAttempts: 4, initialBackoff: '0.1s', maxBackoff: '0.2s', backoffMultiplier: 2,
    retryableStatusCodes: ['RESOURCE_EXHAUSTED'],
  };
  const options = { 'grpc.max_send_message_length': -1, 'grpc.use_local_subchannel_pool': 1 };
  if (name === 'retry') {
    options['grpc.service_config'] = JSON.stringify({ methodConfig: [{ name: [{}], retryPolicy: policy }] });
  }
  const dial = () => new library.Client(BASE.replace('https://', ''), credentials, options);
  let client = dial();
  const bytes = (value) => value;
  const metadata = (headers) => {
    const metadata = new library.Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return metadata;
  };
  const call = (method, headers, message = Buffer.alloc(0)) =>
    new Promise((resolve) => {
      const deadline = Date.now() + PATIENCE;
      const path = `/orders.Orders/${method}`;
      client.makeUnaryRequest(path, bytes, bytes, message, metadata(headers), { deadline }, (error) =>
        resolve(error ?? { code: 0, details: '' }));
    });
  const code = async (...request) => {
    const { code, details } = await call(...request);
    return [2, 4, 13, 14].includes(code) ? `${code} ${details}` : code;
  };
  const ok = { 'x-upstream-grpc-trailers': '0' };
  switch (name) {
    case 'honest':
      return { answers: [await code('Get', fields(TOKEN, ok))] };
    case 'resumed':
      return {
        answers: await times(3, async () => {
          const answer = await code('Peer', fields(undefined, ok));
          client.close();
          client = dial();
          return answer;
        }),
      };
    case 'small':
      return { answers: await times(20, () => code('Get', fields(), SMALL)) };
    case 'large':
      return { answers: await times(2, () => code('Get', fields(), LARGE)) };
    case 'kept': {
      const refused = await times(3, () => code('Get', fields(), SMALL));
      return { answers: [...refused, await code('Get', fields(TOKEN, ok))] };
    }
    case 'retry':
      return { answers: await times(2, () => code('Limited', fields(TOKEN, ok))) };
    case 'challenge': {
      const oauth = await import('oauth4webapi');
      const answers = [];
      const read = [];
      for (const token of [undefined, WEAK_TOKEN]) {
        const error = await call('Get', fields(token));
        answers.push(error.code);
        read.push(await challenges(oauth, token ? 403 : 401, error.metadata.get('www-authenticate')[0]));
      }
      return { answers, challenges: read };
    }
    case 'stream': {
      const first = (headers) =>
        new Promise((resolve) => {
          const stream =
            client.makeServerStreamRequest('/orders.Orders/Get', bytes, bytes, Buffer.alloc(0), metadata(headers));
          stream.once('data', (message) => resolve({ code: 0, message }));
          stream.on('error', resolve);
        });
      const refused = await first(fields());
      const passed = await first(fields(TOKEN, { 'x-upstream-grpc-trailers': 'never' }));
      return { answers: [refused.code, passed.code], events: [passed.message?.toString()] };
    }
  }
}

async function websocket(name) {
  const { default: WebSocket } = await import('ws');
  const open = (path, token) =>
    new Promise((resolve) => {
      const socket = new WebSocket(BASE.replace('https', 'wss') + path, { ...tls, headers: fields(token) });
      socket.once('unexpected-response', (_, answer) => resolve({ status: answer.statusCode, headers: answer.headers }));
      socket.once('error', (error) => resolve({ status: error.message }));
      socket.once('open', () => socket.send('data: 1'));
      socket.once('message', (text) => resolve({ status: 200, said: text.toString() }));
    });
  switch (name) {
    case 'honest':
      return { answers: [(await open('/websocket', TOKEN)).status] };
    case 'challenge': {
      const oauth = await import('oauth4webapi');
      const answers = [];
      const read = [];
      for (const token of [undefined, WEAK_TOKEN]) {
        const { status, headers } = await open('/orders/7', token);
        answers.push(status);
        read.push(await challenges(oauth, status, headers['www-authenticate']));
      }
      return { answers, challenges: read };
    }
    case 'stream': {
      const [refused, passed] = [await open('/websocket'), await open('/websocket', TOKEN)];
      return { answers: [refused.status, passed.status], events: [passed.said] };
    }
  }
}

async function cell(client, name) {
  switch (client) {
    case 'undici':
      return http(await undici(false, name === 'resumed'), name);
    case 'undici HTTP/2':
      return http(await undici(true, false), name);
    case 'axios':
      return http(await axios(), name);
    case 'got':
      return http(await got(false), name);
    case 'got HTTP/2':
      return http(await got(true), name);
    case 'grpc-js':
      return grpc(name);
    case 'ws':
      return websocket(name);
  }
}

console.log(JSON.stringify(await cell(process.argv[2], process.argv[3])));
// Streams that never end are left where they are.
process.exit(0);
