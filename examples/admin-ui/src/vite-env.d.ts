/// <reference types="vite/client" />

interface ImportMetaEnv {
  readonly VITE_SUPABASE_URL?: string
  readonly VITE_SUPABASE_ANON_KEY?: string
  readonly VITE_INVOICE_SYNC_SCHEMA?: string
  readonly VITE_CUSTOMER_COLUMN?: string
  readonly VITE_INVOICE_DATE_COLUMN?: string
  readonly VITE_DEMO?: string
}
