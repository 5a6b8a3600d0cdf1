// The Node contenders of the verify figures, driven line by line like bench/contenders.py.
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createVerifier } from 'fast-jwt'
import { importJWK, jwtVerify } from 'jose'

const document = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { issuer, audience, pools } = document
const expected = (algorithm) => ({ algorithms: [algorithm], allowedIss: issuer, allowedAud: audience })
const pem = (jwk) => createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })

const build = {
  'fast-jwt': async (algorithm, jwk) => {
    const verify = createVerifier({
      key: pem(jwk), cache: false, requiredClaims: ['exp', 'iss', 'aud'], ...expected(algorithm),
    })
    return (tokens) => { for (const token of tokens) verify(token) }
  },
  'fast-jwt-cached': async (algorithm, jwk) => {
    const verify = createVerifier({
      key: pem(jwk), cache: 10_000, requiredClaims: ['exp', 'iss', 'aud'], ...expected(algorithm),
    })
    return (tokens) => { for (const token of tokens) verify(token) }
  },
  jose: async (algorithm, jwk) => {
    const key = await importJWK(jwk, algorithm)
    const options = { algorithms: [algorithm], issuer, audience, requiredClaims: ['exp'] }
    return async (tokens) => { for (const token of tokens) await jwtVerify(token, key, options) }
  },
}

const prepared = new Map()
for await (const line of createInterface({ input: process.stdin })) {
  const { contender, algorithm, first, count, repeat } = JSON.parse(line)
  const name = `${contender} ${algorithm}`
  if (!prepared.has(name)) prepared.set(name, await build[contender](algorithm, pools[algorithm].jwk))
  const tokens = []
  for (const token of pools[algorithm].tokens.slice(first, first + count)) {
    for (let again = 0; again < repeat; again++) tokens.push(Buffer.from(token).toString())
  }
  const began = process.cpuUsage()
  await prepared.get(name)(tokens)
  const { user, system } = process.cpuUsage(began)
  console.log((user + system) / 1e6 / tokens.length)
}
