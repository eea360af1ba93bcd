import react from '@vitejs/plugin-react'
import { defineConfig, loadEnv, type Plugin } from 'vite'
import { type DemoOptions, demoDoor, headers, previewOptions } from './demo/server.ts'

/** What `demo/demo-ui.sh` says of the demonstration that it has started. */
function demonstration(): DemoOptions | undefined {
  const { DEMO_GATEWAY, DEMO_JWT_SECRET, DEMO_STRIPE, DEMO_DATABASE } = process.env
  if (!DEMO_GATEWAY || !DEMO_JWT_SECRET || !DEMO_STRIPE || !DEMO_DATABASE) return undefined
  return {
    gateway: DEMO_GATEWAY,
    jwtSecret: DEMO_JWT_SECRET,
    stripe: DEMO_STRIPE,
    database: DEMO_DATABASE,
  }
}

const demo = demonstration()

/**
 * What the built page may load, and whom it may talk to: itself and Supabase. Mantine puts its
 * styles into the page as it runs. A page cannot forbid in its own head to be framed: send
 * `frame-ancestors 'none'` as a header.
 */
function policyOf(supabase: string | undefined): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    `connect-src 'self'${supabase ? ` ${new URL(supabase).origin}` : ''}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
}

/** The policy in the page's head, for whatever serves it. Vite's development server needs more. */
const policyInHead = (policy: string): Plugin => ({
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: policy },
      injectTo: 'head-prepend',
    },
  ],
})

export default defineConfig(({ mode }) => {
  const policy = policyOf(loadEnv(mode, import.meta.dirname, 'VITE_').VITE_SUPABASE_URL)
  return {
    build: { chunkSizeWarningLimit: 1200 },
    plugins: [react(), policyInHead(policy), ...(demo ? [demoDoor(demo)] : [])],
    preview: demo ? previewOptions(demo) : { headers },
  }
})
