// A relying party, and a protected resource, on oauth4webapi: each step by hand.
import * as oauth from 'oauth4webapi'
import { answer, makeKeys } from './jobs.mjs'

const plain = { [oauth.allowInsecureRequests]: true }
let as, client, authentication, key


await answer({
  async makeKeys({ algorithm }) {
    const { privateKey, jwks } = await makeKeys(algorithm)
    key = { key: privateKey, kid: algorithm }
    return jwks
  },

  async discover({ issuer, algorithm, metadata }) {
    const identifier = new URL(issuer)
    const found = await oauth.discoveryRequest(identifier, { algorithm, ...plain })
    as = await oauth.processDiscoveryResponse(identifier, found)
    client = metadata
    authentication = oauth.PrivateKeyJwt(key)
    return as
  },

  async push({ parameters, verifier }) {
    const asked = {
      client_id: client.client_id,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...parameters,
    }
    const sent = await oauth.pushedAuthorizationRequest(as, client, authentication, asked, plain)
    const pushed = await oauth.processPushedAuthorizationResponse(as, client, sent)
    const address = new URL(as.authorization_endpoint)
    address.searchParams.set('client_id', client.client_id)
    address.searchParams.set('request_uri', pushed.request_uri)
    return address.href
  },

  async redeem({ address, state, nonce, verifier, redirectUri, maxAge }) {
    const came = oauth.validateAuthResponse(as, client, new URL(address), state)
    const sent = await oauth.authorizationCodeGrantRequest(
      as, client, authentication, came, redirectUri, verifier, plain,
    )
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, sent, {
      expectedNonce: nonce, maxAge, requireIdToken: true,
    })
    await oauth.validateApplicationLevelSignature(as, sent, plain)
    return { ...tokens, claims: oauth.getValidatedIdTokenClaims(tokens) }
  },

  async refresh({ token }) {
    const sent = await oauth.refreshTokenGrantRequest(as, client, authentication, token, plain)
    return await oauth.processRefreshTokenResponse(as, client, sent)
  },

  async userinfo({ token, subject }) {
    const sent = await oauth.userInfoRequest(as, client, token, plain)
    const told = await oauth.processUserInfoResponse(as, client, subject, sent)
    await oauth.validateApplicationLevelSignature(as, sent, plain)
    return told
  },

  async revoke({ token }) {
    const sent = await oauth.revocationRequest(as, client, authentication, token, plain)
    return await oauth.processRevocationResponse(sent)
  },

  // What an API makes of a request (RFC 9068).
  admit({ token, audience }) {
    const request = new Request(audience, { headers: { authorization: `Bearer ${token}` } })
    return oauth.validateJwtAccessToken(as, request, audience, plain)
  },
})
