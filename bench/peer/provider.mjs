// oidc-provider as it is, in memory, production mode: the peer of the server figures.
// PORT, ISSUER, CLIENTS (JSON [[client_id, client_secret], …]) and FORMATS (JSON {resource: "opaque" | algorithm})
// come from the environment; prints "ready" when it listens.
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'

const issuer = process.env.ISSUER
const formats = JSON.parse(process.env.FORMATS)
const clients = JSON.parse(process.env.CLIENTS)
const [webId, webSecret, webCallback] = JSON.parse(process.env.WEB)

const signingKey = async (alg, options = {}) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true, ...options })
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `bench-${alg}` }
}

const resourceServer = (resource) => ({
  scope: 'orders:read orders:write',
  audience: resource,
  accessTokenTTL: 300,
  ...(formats[resource] === 'opaque'
    ? { accessTokenFormat: 'opaque' }
    : { accessTokenFormat: 'jwt', jwt: { sign: { alg: formats[resource] } } }),
})

const provider = new Provider(issuer, {
  clients: clients.map(([client_id, client_secret]) => ({
    client_id,
    client_secret,
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  })).concat({
    client_id: webId,
    client_secret: webSecret,
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [webCallback],
    response_types: ['code'],
  }),
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  clientAuthMethods: ['client_secret_basic'],
  scopes: ['openid', 'offline_access', 'orders:read', 'orders:write'],
  jwks: {
    keys: [await signingKey('ES256'), await signingKey('RS256', { modulusLength: 2048 })],
  },
  cookies: { keys: ['bench'] },
  ttl: { ClientCredentials: 300, AccessToken: 300, AuthorizationCode: 60, IdToken: 300, RefreshToken: 1209600 },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_ctx, resource) => {
        if (!(resource in formats)) throw new Error('unknown resource')
        return resourceServer(resource)
      },
    },
  },
})

createServer(provider.callback()).listen(Number(process.env.PORT), '127.0.0.1', () => {
  console.log('ready')
})
