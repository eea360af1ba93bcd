import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { type DemoOptions, demoDoor, previewOptions } from './demo/server.ts'

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

export default defineConfig({
  build: { chunkSizeWarningLimit: 1200 },
  plugins: [react(), ...(demo ? [demoDoor(demo)] : [])],
  preview: demo ? previewOptions(demo) : {},
})
