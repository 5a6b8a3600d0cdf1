// Reads a job a line from standard input, answers each with a line.
import { createInterface } from 'node:readline'

export async function answer(jobs) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { job, ...parameters } = JSON.parse(line)
    let outcome
    try {
      outcome = { result: (await jobs[job](parameters)) ?? null }
    } catch (error) {
      outcome = { error: describe(error) }
    }
    process.stdout.write(JSON.stringify(outcome) + '\n')
  }
}

// With what of the answer it was that the library did not take.
function describe(error) {
  const cause = error.cause ?? {}
  const told = error.error ?? cause.error
  const where = cause.parameter ?? cause.attribute ?? cause.claim
  const why = [error.message, cause.message, where, error.error_description]
  return { message: why.filter(Boolean).join(': '), error: told }
}

// A key pair of the client, and the JWK Set to register.
export async function makeKeys(algorithm) {
  const made = {
    ES256: { name: 'ECDSA', namedCurve: 'P-256' },
    RS256: rsa('RSASSA-PKCS1-v1_5'),
    PS256: rsa('RSA-PSS'),
    Ed25519: { name: 'Ed25519' },
  }[algorithm]
  const { privateKey, publicKey } = await crypto.subtle.generateKey(made, true, ['sign', 'verify'])
  const { key_ops, ext, ...jwk } = await crypto.subtle.exportKey('jwk', publicKey)
  return { privateKey, jwks: { keys: [{ ...jwk, kid: algorithm, use: 'sig', alg: algorithm }] } }
}

// One of the client that the server encrypts to.
export async function makeDecryptionKeys(algorithm) {
  const made =
    algorithm === 'RSA-OAEP-256' ? rsa('RSA-OAEP') : { name: 'ECDH', namedCurve: 'P-256' }
  const usages = algorithm === 'RSA-OAEP-256' ? ['encrypt', 'decrypt'] : ['deriveBits']
  const { privateKey, publicKey } = await crypto.subtle.generateKey(made, true, usages)
  const { key_ops, ext, ...jwk } = await crypto.subtle.exportKey('jwk', publicKey)
  return { privateKey, jwk: { ...jwk, kid: algorithm, use: 'enc', alg: algorithm } }
}

function rsa(name) {
  const publicExponent = new Uint8Array([1, 0, 1])
  return { name, hash: 'SHA-256', modulusLength: 2048, publicExponent }
}
