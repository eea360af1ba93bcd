/** The configuration of the page; `.env.example` explains each value. */
const env = import.meta.env

/** Whether the page is built for the demonstration, whose server gives out tokens. */
export const isDemo = env.VITE_DEMO === 'true'

export const config = {
  url: env.VITE_SUPABASE_URL || window.location.origin,
  anonKey: env.VITE_SUPABASE_ANON_KEY || 'anon',
  schema: env.VITE_INVOICE_SYNC_SCHEMA || 'invoice_sync',
  customerColumn: env.VITE_CUSTOMER_COLUMN || null,
  dateColumn: env.VITE_INVOICE_DATE_COLUMN || null,
}
