/**
 * Plays Supabase Auth for the demonstration and the tests, as far as signing in and out needs it.
 * For loopback only: everybody knows the password.
 */

import { createHash } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { PASSWORD, PEOPLE } from '../src/demo/people.ts'

/** What a token says of its bearer. */
export interface Claims {
  role: 'anon' | 'authenticated' | 'service_role'
  email?: string
  app_metadata?: { role?: string }
}

export function signToken(claims: Claims, secret: string): Promise<string> {
  return new SignJWT({ ...claims, aud: 'authenticated', sub: idOf(claims.email ?? claims.role) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setExpirationTime(`${HOURS}h`)
    .sign(new TextEncoder().encode(secret))
}

const HOURS = 12

/** A session as Supabase Auth answers with it. */
export async function sessionOf(claims: Claims, secret: string) {
  const email = claims.email ?? ''
  return {
    access_token: await signToken(claims, secret),
    refresh_token: await signRefresh(email, secret),
    token_type: 'bearer',
    expires_in: HOURS * 3600,
    expires_at: Math.floor(Date.now() / 1000) + HOURS * 3600,
    user: {
      id: idOf(email),
      aud: 'authenticated',
      role: claims.role,
      email,
      app_metadata: claims.app_metadata ?? {},
      user_metadata: {},
      created_at: '2025-01-01T00:00:00Z',
    },
  }
}

/** Only who has signed in has one: it is signed, and good for this alone. */
function signRefresh(email: string, secret: string): Promise<string> {
  return new SignJWT({ aud: REFRESH, email })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .sign(new TextEncoder().encode(secret))
}

const REFRESH = 'refresh'

/** Whose refresh token this is; undefined for one that was made up. */
async function refreshedBy(token: unknown, secret: string): Promise<unknown> {
  const key = new TextEncoder().encode(secret)
  return jwtVerify(String(token), key, { audience: REFRESH, algorithms: ['HS256'] }).then(
    ({ payload }) => payload.email,
    () => undefined,
  )
}

/** Of somebody who may sign in; undefined for all others. */
export function claimsOf(email: unknown): Claims | undefined {
  const person = PEOPLE.find((known) => known.email === email)
  if (!person) return undefined
  return {
    role: 'authenticated',
    email: person.email,
    app_metadata: person.isAdmin ? { role: 'admin' } : {},
  }
}

interface Asked {
  email?: unknown
  password?: unknown
  refresh_token?: unknown
}

/** Answers `POST /token`: signing in with a password, or again with what that gave. */
export async function answerToken(asked: Asked, secret: string) {
  const isRefresh = asked.refresh_token !== undefined
  const claims = claimsOf(isRefresh ? await refreshedBy(asked.refresh_token, secret) : asked.email)
  if (!claims || (!isRefresh && asked.password !== PASSWORD)) {
    const refusal = {
      code: 400,
      error_code: 'invalid_credentials',
      msg: 'Invalid login credentials',
    }
    return { status: 400, body: refusal }
  }
  return { status: 200, body: await sessionOf(claims, secret) }
}

/** The same for the same person, and a uuid in form. */
function idOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')
}
