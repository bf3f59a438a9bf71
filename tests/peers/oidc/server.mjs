// A token server (oidc-provider), and before the API of BACKEND a gateway that lets in who has one of its tokens that is good.
// Prints its address; ends on SIGTERM. It is steered by files in FOLDER, and keeps its logs there.
//
//   node server.mjs MODULES FOLDER BACKEND TTL_S
//
// rsa.crt, p256.crt  the certificates of the clients cm-rsa and cm-p256; cm-secret has a secret
// failing            while it is there, the token server answers 503
// revoke             all tokens so far are good no more; the file goes when that is done
// token.txt          a token, written anew every second and a half
// cookies.txt        a session of the gateway, in a browser's cookie; written once, and again after session.new was made
// token.log          status and client of each request for a token
// refused.log        status of each call that the gateway refused
import { appendFileSync, existsSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import http from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, folder, backend, ttl] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(join(modules, 'oidc-provider', 'lib', 'index.js')));

const at = (name) => join(folder, name);
const certificates = Object.fromEntries(
  ['rsa', 'p256'].map((name) => [`cm-${name}`, new X509Certificate(readFileSync(at(`${name}.crt`)))]),
);
const client = (client_id, more) => ({
  client_id,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  ...more,
});
const thumbprint = (text) => Buffer.from(text.replaceAll(':', ''), 'hex').toString('base64url');

const configuration = {
  clients: [
    client('cm-secret', { client_secret: 'c0rrect:horse & battery=+%' }),
    ...Object.entries(certificates).map(([id, certificate]) =>
      client(id, {
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: id === 'cm-rsa' ? 'RS256' : 'ES256',
        jwks: { keys: [{ ...certificate.publicKey.export({ format: 'jwk' }), use: 'sig' }] },
      }),
    ),
  ],
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  // What AD FS looks at and oidc-provider does not.
  assertJwtClientAuthClaimsAndHeader(_, claims, header, { clientId }) {
    const certificate = certificates[clientId];
    const isWhole =
      header.typ === 'JWT' &&
      header.x5t === thumbprint(certificate.fingerprint) &&
      header['x5t#S256'] === thumbprint(certificate.fingerprint256) &&
      claims.sub === clientId &&
      claims.nbf <= claims.iat &&
      claims.exp - claims.iat <= 600;
    if (!isWhole) throw new Error(`an assertion that AD FS would not take: ${JSON.stringify({ header, claims })}`);
  },
  ttl: { ClientCredentials: Number(ttl) },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: 'api', accessTokenTTL: Number(ttl), accessTokenFormat: 'opaque' }),
    },
  },
};

const server = http.createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(origin, configuration);
const tokens = provider.callback();
let n_issued = 0;
let n_revoked = 0;
const numbers = new Map();
provider.on('client_credentials.saved', ({ jti }) => numbers.set(jti, ++n_issued));

async function isGood(token) {
  if (existsSync(at('revoke'))) {
    n_revoked = n_issued;
    unlinkSync(at('revoke'));
  }
  const found = token && (await provider.ClientCredentials.find(token));
  return Boolean(found?.isValid && numbers.get(found.jti) > n_revoked);
}

function answerToken(request, response) {
  const isForToken = request.url === '/token';
  const body = [];
  if (isForToken) request.on('data', (chunk) => body.push(chunk));
  response.on('finish', () => {
    const form = new URLSearchParams(Buffer.concat(body).toString());
    if (isForToken) appendFileSync(at('token.log'), `${response.statusCode} ${form.get('client_id') ?? 'cm-secret'}\n`);
  });
  if (isForToken && existsSync(at('failing'))) {
    request.resume();
    response.writeHead(503, { 'content-type': 'text/plain' }).end('the token server is being restarted');
  } else {
    tokens(request, response);
  }
}

function refuse(request, response, status, headers) {
  appendFileSync(at('refused.log'), `${status}\n`);
  // The whole call is read first, as IIS does it.
  request.resume().on('end', () => response.writeHead(status, headers).end());
}

async function answerCall(request, response) {
  const cookie = /^FedAuth=(\S+)$/.exec(request.headers.cookie ?? '')?.[1];
  const bearer = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (!(await isGood(cookie ?? bearer))) {
    return cookie
      ? refuse(request, response, 302, { location: `${origin}/adfs/ls/?wa=wsignin1.0` })
      : refuse(request, response, 401, { 'www-authenticate': 'Bearer error="invalid_token"' });
  }
  const { cookie: _, authorization: __, ...headers } = request.headers;
  const onward = http.request(backend + request.url, { method: request.method, headers, agent }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}

const agent = new http.Agent({ keepAlive: true });
server.on('request', (request, response) => {
  const isForApi = request.url.startsWith('/CertificateManagement/');
  (isForApi ? answerCall : answerToken)(request, response);
});

async function write(name, text) {
  const token = await new provider.ClientCredentials({ client: await provider.Client.find('cm-secret') }).save();
  writeFileSync(at(`${name}.new`), text(token), { mode: 0o600 });
  renameSync(at(`${name}.new`), at(name));
}
const writeToken = () => write('token.txt', (token) => `${token}\n`);
const writeSession = () => write('cookies.txt', (token) => `#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tFedAuth\t${token}\n`);
await writeToken();
await writeSession();
setInterval(writeToken, 1500);
setInterval(async () => {
  if (existsSync(at('session.new'))) {
    await writeSession();
    unlinkSync(at('session.new'));
  }
}, 50);
process.on('SIGTERM', () => process.exit(0));
console.log(origin);
