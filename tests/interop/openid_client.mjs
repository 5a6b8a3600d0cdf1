// A relying party on openid-client.
import * as client from 'openid-client'
import { answer, makeDecryptionKeys, makeKeys } from './jobs.mjs'

const plain = [client.allowInsecureRequests, client.enableNonRepudiationChecks]
const keys = new Map()
let config, checks, tokens

function authenticate(method, secret, algorithm) {
  return {
    client_secret_basic: () => client.ClientSecretBasic(secret),
    client_secret_post: () => client.ClientSecretPost(secret),
    private_key_jwt: () => client.PrivateKeyJwt({ key: keys.get(algorithm), kid: algorithm }),
    none: () => client.None(),
  }[method]()
}

function keep(received) {
  tokens = received
  return { ...received, claims: received.claims() ?? null }
}

await answer({
  async makeKeys({ algorithm }) {
    const { privateKey, jwks } = await makeKeys(algorithm)
    keys.set(algorithm, privateKey)
    return jwks
  },

  async discover({ issuer, clientId, method, secret, algorithm, metadata }) {
    config = await client.discovery(
      new URL(issuer), clientId, metadata, authenticate(method, secret, algorithm),
      { execute: plain },
    )
    return config.serverMetadata()
  },

  // Registers itself with keys to sign and to decrypt with.
  async register({ issuer, token, algorithm, encryption, metadata }) {
    const jwks = await this.makeKeys({ algorithm })
    const pair = await makeDecryptionKeys(encryption)
    jwks.keys.push(pair.jwk)
    config = await client.dynamicClientRegistration(
      new URL(issuer), { ...metadata, jwks }, authenticate('private_key_jwt', '', algorithm),
      { execute: plain, initialAccessToken: token },
    )
    client.enableDecryptingResponses(config, undefined, { key: pair.privateKey, kid: pair.jwk.kid })
    return config.clientMetadata()
  },

  async begin({ parameters, pushed, signed }) {
    const verifier = client.randomPKCECodeVerifier()
    checks = {
      pkceCodeVerifier: verifier,
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
      idTokenExpected: true,
    }
    if (parameters.max_age !== undefined) checks.maxAge = Number(parameters.max_age)
    const asked = {
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      ...parameters,
    }
    if (signed) {
      const key = { key: keys.get(signed), kid: signed }
      const address = await client.buildAuthorizationUrlWithJAR(config, asked, key)
      if (!pushed) return address.href
      return (await client.buildAuthorizationUrlWithPAR(config, address.searchParams)).href
    }
    const build = pushed ? client.buildAuthorizationUrlWithPAR : client.buildAuthorizationUrl
    return (await build(config, asked)).href
  },

  async finish({ address, posted, instead }) {
    let answered = new URL(address)
    if (posted) {
      const [place, body] = address.split('?')
      answered = new Request(place, { method: 'POST', body: new URLSearchParams(body) })
    }
    return keep(await client.authorizationCodeGrant(config, answered, { ...checks, ...instead }))
  },

  async refresh({ token, parameters }) {
    return keep(await client.refreshTokenGrant(config, token ?? tokens.refresh_token, parameters))
  },

  clientCredentials: ({ parameters }) => client.clientCredentialsGrant(config, parameters),
  exchange: ({ parameters }) =>
    client.genericGrantRequest(
      config, 'urn:ietf:params:oauth:grant-type:token-exchange', parameters,
    ),
  userinfo: ({ subject }) =>
    client.fetchUserInfo(config, tokens.access_token, subject ?? tokens.claims().sub),
  introspect: ({ token }) => client.tokenIntrospection(config, token),
  revoke: ({ token }) => client.tokenRevocation(config, token),
  logout: ({ parameters }) =>
    client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, ...parameters }).href,
})
