import { createClient } from '@supabase/supabase-js'
import { config, isDemo } from './config'
import { demoToken } from './demo/token'

/** The one client. In the demonstration its token comes from the demonstration's server. */
export const supabase = createClient(
  config.url,
  config.anonKey,
  isDemo ? { accessToken: demoToken } : {},
)
