/**
 * What Vite's preview server needs for the demonstration and the tests: the gateway and a stand-in
 * for Supabase Auth under Supabase's paths, and an endpoint that loses webhooks. For loopback only.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Plugin, PreviewOptions } from 'vite'
import { answerToken } from './auth.ts'
import { loseWebhook } from './lost-webhook.ts'

export interface DemoOptions {
  /** Where the RPC gateway listens, and what it signs tokens with. */
  gateway: string
  jwtSecret: string
  /** Where the stand-in for Stripe listens. */
  stripe: string
  /** The shop's database, as libpq's URI; whoever connects may insert invoices. */
  database: string
}

/** What the page cannot forbid in its own head: to be framed. The rest of its policy is there. */
export const headers = { 'Content-Security-Policy': "frame-ancestors 'none'" }

/** Supabase's API gateway has PostgREST below `/rest/v1`. */
export const previewOptions = (options: DemoOptions): PreviewOptions => ({
  host: '127.0.0.1',
  headers,
  proxy: {
    '/rest/v1': {
      target: options.gateway,
      // This gateway reads a + as itself; PostgREST reads it as the blank that supabase-js means.
      rewrite: (path) => path.replace('/rest/v1', '').replaceAll('+', '%20'),
    },
  },
})

export const demoDoor = (options: DemoOptions): Plugin => ({
  name: 'demo-endpoint',
  configurePreviewServer({ middlewares }) {
    middlewares.use(
      '/auth/v1/token',
      answer(async (request) =>
        answerToken(JSON.parse(await text(request)) as object, options.jwtSecret),
      ),
    )
    middlewares.use(
      '/auth/v1/logout',
      answer(async () => ({ status: 204, body: null })),
    )
    middlewares.use(
      '/demo/lost-webhook',
      answer(async (request) => {
        if (request.method !== 'POST') return { status: 405, body: 'POST it' }
        return { status: 200, body: await loseWebhook(options) }
      }),
    )
  },
})

interface Answer {
  status: number
  body: unknown
}

const answer =
  (make: (request: IncomingMessage) => Promise<Answer>) =>
  (request: IncomingMessage, response: ServerResponse) => {
    make(request)
      .catch((error: unknown) => ({ status: 500, body: { message: String(error) } }))
      .then(({ status, body }) => {
        response.writeHead(status, { 'Content-Type': 'application/json' })
        response.end(body === null ? undefined : JSON.stringify(body))
      })
  }
